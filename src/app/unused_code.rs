//! The program's own code, given back to the kernel where nothing runs it any more.
//!
//! The kernel keeps what was ever touched of a program's file, with sixteen pages around each, until memory is short:
//! soon after a start that is 40 MB, of which a program that answers calls uses ten. What is given back and then run
//! again is found in the kernel's cache of the file: some hundred page faults, one or two milliseconds in all.

use std::{ffi::c_void, fs, io, ptr::NonNull, time::Duration};

use nix::{
    errno::Errno,
    sys::mman::{MmapAdvise, madvise},
};

const PERIOD: Duration = Duration::from_millis(500);
/// Kilobytes of files that may be resident: half as much again as a program at work uses.
const ENOUGH: usize = 16 * 1024;

/// Never returns, but when the kernel does not tell what is mapped.
pub(super) async fn give_back() {
    let mut period = tokio::time::interval(PERIOD);
    loop {
        period.tick().await;
        if let Err(error) = give_back_when_too_much() {
            tracing::info!(%error, "code that is not used stays in memory");
            return;
        }
    }
}

fn give_back_when_too_much() -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    if resident_of_files(&status).is_some_and(|kilobytes| kilobytes > ENOUGH) {
        give_back_now()
    } else {
        Ok(())
    }
}

/// Kilobytes, from the text of `status` (proc_pid_status(5)).
fn resident_of_files(status: &str) -> Option<usize> {
    let size = status.lines().find_map(|line| line.strip_prefix("RssFile:"))?;
    size.trim().strip_suffix(" kB")?.parse().ok()
}

fn give_back_now() -> io::Result<()> {
    for Mapped { start, length } in unchanged(&fs::read_to_string("/proc/self/smaps")?) {
        // First counted as unused in the kernel's cache too: a container's working set is measured without those.
        match advise(start, length, MmapAdvise::MADV_COLD) {
            // Linux before 5.4 does not know this one.
            Ok(()) | Err(Errno::EINVAL) => advise(start, length, MmapAdvise::MADV_DONTNEED)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[allow(unsafe_code)]
fn advise(start: NonNull<c_void>, length: usize, advice: MmapAdvise) -> nix::Result<()> {
    // SAFETY: the range is a mapping of a file that cannot be written through, and no page of it differs from the
    // file (see `unchanged`). So whatever is dropped is read again from the file, the same as before; the kernel
    // refuses to let the file of a running program be written.
    unsafe { madvise(start, length, advice) }
}

#[derive(Debug, PartialEq)]
struct Mapped {
    start: NonNull<c_void>,
    /// Bytes.
    length: usize,
}

/// Read-only and private mappings of files, without those that hold pages of their own (what the linker relocated, a
/// debugger's breakpoints): those would be lost. From the text of `smaps` (proc_pid_smaps(5)).
fn unchanged(smaps: &str) -> Vec<Mapped> {
    let mut all = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        if let Some(header) = header(line) {
            current = header;
        } else if line.strip_prefix("Anonymous:").is_some_and(|size| size.trim() == "0 kB") {
            all.extend(current.take());
        }
    }
    all
}

/// `None` for a line that is no header; in it, `None` for a mapping that is not to be touched.
fn header(line: &str) -> Option<Option<Mapped>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let (rights, _offset, _device, inode) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let start = NonNull::new(std::ptr::with_exposed_provenance_mut(start));
    let of_file = inode != "0" && matches!(rights, "r--p" | "r-xp");
    Some(start.filter(|_| of_file).and_then(|first| {
        let length = end.checked_sub(first.addr().get())?;
        Some(Mapped { start: first, length })
    }))
}

#[cfg(test)]
mod tests {
    use super::{Mapped, give_back_now, resident_of_files, unchanged};

    fn found(smaps: &str) -> Vec<(usize, usize)> {
        unchanged(smaps).iter().map(|Mapped { start, length }| (start.addr().get(), *length)).collect()
    }

    fn mapping(header: &str, anonymous: &str) -> String {
        format!("{header}\nSize: 8 kB\nRss: 8 kB\nAnonymous: {anonymous}\nVmFlags: rd mr\n")
    }

    #[test]
    fn only_unchanged_pages_of_files_are_given_back() {
        let code =
            mapping("7f0000002000-7f0000004000 r-xp 00002000 fe:00 77   /bin/pilothouse", "       0 kB");
        let constants =
            mapping("7f0000000000-7f0000002000 r--p 00000000 fe:00 77   /bin/pilothouse", "       0 kB");
        let relocated =
            mapping("7f0000004000-7f0000006000 r--p 00004000 fe:00 77   /bin/pilothouse", "       4 kB");
        let written =
            mapping("7f0000006000-7f0000008000 rw-p 00006000 fe:00 77   /bin/pilothouse", "       0 kB");
        let shared = mapping("7f0000008000-7f000000a000 r--s 00000000 fe:00 78   /var/log", "       0 kB");
        let heap = mapping("7f000000a000-7f000000c000 r--p 00000000 00:00 0", "       0 kB");
        let kernel = mapping("7f000000c000-7f000000e000 r-xp 00000000 00:00 0   [vdso]", "       0 kB");
        let all = [constants, code, relocated, written, shared, heap, kernel].concat();
        assert_eq!(found(&all), [(0x7f00_0000_0000, 0x2000), (0x7f00_0000_2000, 0x2000)]);
    }

    #[test]
    fn odd_lines_are_passed_over() {
        assert_eq!(found(""), []);
        assert_eq!(found("Anonymous: 0 kB\n"), []);
        assert_eq!(found(&mapping("2000-1000 r-xp 00000000 fe:00 77 /bin/x", "0 kB")), []);
        assert_eq!(found(&mapping("zz-1000 r-xp 00000000 fe:00 77 /bin/x", "0 kB")), []);
        assert_eq!(found(&mapping("1000-2000 r-xp", "0 kB")), []);
    }

    #[test]
    fn what_is_resident_of_files_is_read() {
        let status = "VmRSS:\t   46000 kB\nRssAnon:\t   33000 kB\nRssFile:\t   13000 kB\n";
        assert_eq!(resident_of_files(status), Some(13_000));
        assert_eq!(resident_of_files("VmRSS:\t   46000 kB\n"), None);
        assert_eq!(resident_of_files("RssFile:\t many kB\n"), None);
    }

    #[test]
    fn a_program_runs_on_without_what_was_given_back() -> std::io::Result<()> {
        give_back_now()?;
        assert_eq!(found("1000-2000 r-xp 00000000 fe:00 77 /bin/x\nAnonymous: 0 kB\n"), [(0x1000, 0x1000)]);
        give_back_now()
    }
}
