//! How much memory server processes hold, and which of them hold too much.
//!
//! What the kernel cannot take back without swap is counted: pages that are backed by a file it drops by itself, and
//! a program that many processes run would count many times. A limit of the kernel's own for each process
//! (`RLIMIT_AS`) is no choice: Node and Java reserve far more than they use.

use std::{collections::HashMap, fs, io};

/// Where a container sees its own limit: cgroup v2, v1.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// cgroup v1 says a number near the largest for "no limit".
const NO_LIMIT: u64 = 1 << 60;

/// The memory limit of this container in bytes, if it has one.
pub(super) fn of_container() -> Option<u64> {
    let said = LIMITS.iter().find_map(|file| fs::read_to_string(file).ok())?;
    said.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

/// Bytes that each process group holds.
///
/// # Errors
/// When /proc cannot be read; a process that ends meanwhile is none.
pub(super) fn held() -> io::Result<HashMap<i32, u64>> {
    let mut groups = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let (stat, status) = (entry.path().join("stat"), entry.path().join("status"));
        let Some(group) = fs::read_to_string(stat).ok().as_deref().and_then(group) else { continue };
        let Ok(status) = fs::read_to_string(status) else { continue };
        *groups.entry(group).or_default() += own_bytes(&status);
    }
    Ok(groups)
}

/// The process group in `/proc/PID/stat`. The name in parentheses may hold anything.
fn group(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

fn own_bytes(status: &str) -> u64 {
    let kilobytes = |line: &str| -> Option<u64> {
        let rest = line.strip_prefix("RssAnon:").or_else(|| line.strip_prefix("RssShmem:"))?;
        rest.split_whitespace().next()?.parse().ok()
    };
    status.lines().filter_map(kilobytes).sum::<u64>() * 1024
}

/// Why a process group has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// It holds more than each may.
    Own { held: u64, limit: u64 },
    /// All together come close to what the container may have, and it holds most.
    Largest { held: u64, limit: u64 },
}

impl Excess {
    /// One sentence without its end, for whoever asked.
    pub(super) fn sentence(self) -> String {
        match self {
            Self::Own { held, limit } => format!(
                "the server process held {} MiB of memory, more than the {} MiB that it may have",
                held >> 20,
                limit >> 20
            ),
            Self::Largest { held, limit } => format!(
                "the processes of this server came close to the {} MiB of memory that their container may have, and this one held most, {} MiB",
                limit >> 20,
                held >> 20
            ),
        }
    }
}

/// Which of `groups` (number, bytes) have to end. One alone is not ended for the sake of others: the kernel judges
/// it by the container's limit.
pub(super) fn too_large(
    groups: &[(i32, u64)],
    each: Option<u64>,
    container: Option<u64>,
) -> Vec<(i32, Excess)> {
    let own = |held| each.filter(|limit| held > *limit).map(|limit| Excess::Own { held, limit });
    let mut ends: Vec<(i32, Excess)> =
        groups.iter().filter_map(|(group, held)| Some((*group, own(*held)?))).collect();
    let mut rest: Vec<(i32, u64)> = groups.iter().copied().filter(|(_, held)| own(*held).is_none()).collect();
    rest.sort_by_key(|(_, held)| *held);
    let Some(limit) = container else { return ends };
    let most = limit / 10 * 9;
    while rest.len() > 1 && rest.iter().map(|(_, held)| held).sum::<u64>() > most {
        if let Some((group, held)) = rest.pop() {
            ends.push((group, Excess::Largest { held, limit }));
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::{Excess, group, own_bytes, too_large};

    const STATUS: &str =
        "Name:\tnode\nVmRSS:\t  5000 kB\nRssAnon:\t  1000 kB\nRssFile:\t  3990 kB\nRssShmem:\t    10 kB\n";

    #[test]
    fn a_process_is_read_whatever_its_name() {
        assert_eq!(group("77 (odd) name (x) S 1 42 42 0 -1"), Some(42));
        assert_eq!(group("77 (gone"), None);
        assert_eq!(own_bytes(STATUS), 1010 * 1024);
        assert_eq!(own_bytes("Name:\tkthreadd\n"), 0);
    }

    #[test]
    fn each_over_its_limit_goes_and_then_the_largest_until_the_rest_fits() {
        let groups = [(1, 50), (2, 300), (3, 400), (4, 60)];
        let own = |held| Excess::Own { held, limit: 350 };
        let largest = |held| Excess::Largest { held, limit: 400 };
        assert_eq!(too_large(&groups, None, None), []);
        assert_eq!(too_large(&groups, Some(350), None), [(3, own(400))]);
        assert_eq!(too_large(&groups, Some(350), Some(400)), [(3, own(400)), (2, largest(300))]);
        assert_eq!(too_large(&groups, None, Some(900)), []);
    }

    #[test]
    fn one_alone_is_left_to_the_kernel() {
        assert_eq!(too_large(&[(1, 399)], None, Some(400)), []);
    }
}
