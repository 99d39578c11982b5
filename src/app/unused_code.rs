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
    kilobytes(size)
}

fn give_back_now() -> io::Result<()> {
    let here = give_back_now as fn() -> io::Result<()> as usize;
    for Mapping { start, end, .. } in unchanged(&fs::read_to_string("/proc/self/smaps")?, here) {
        let Some(first) = NonNull::new(std::ptr::with_exposed_provenance_mut(start)) else { continue };
        // First counted as unused in the kernel's cache too: a container's working set is measured without those.
        match advise(first, end - start, MmapAdvise::MADV_COLD) {
            // Linux before 5.4 does not know this one.
            Ok(()) | Err(Errno::EINVAL) => advise(first, end - start, MmapAdvise::MADV_DONTNEED)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[allow(unsafe_code)]
fn advise(start: NonNull<c_void>, length: usize, advice: MmapAdvise) -> nix::Result<()> {
    // SAFETY: the range is one of the mappings of the program's own file, which stay where they are until it ends. It
    // cannot be written through, and no page of it differs from the file (see `unchanged`). So whatever is dropped is
    // read again from the file, the same as before; the kernel refuses to let the file of a running program be written.
    unsafe { madvise(start, length, advice) }
}

#[derive(Debug, Default, PartialEq)]
struct Mapping<'a> {
    start: usize,
    end: usize,
    rights: &'a str,
    /// Device and inode.
    file: (&'a str, &'a str),
    /// Kilobytes of pages of its own, in memory and swapped out.
    own: Option<usize>,
    swapped: Option<usize>,
}

/// Read-only mappings of the file whose code runs at `here`, without those that hold pages of their own (what the linker
/// relocated, a debugger's breakpoints): those would be lost. From the text of `smaps` (proc_pid_smaps(5)).
fn unchanged(smaps: &str, here: usize) -> Vec<Mapping<'_>> {
    let mut all: Vec<Mapping<'_>> = Vec::new();
    for line in smaps.lines() {
        if let Some(mapping) = header(line) {
            all.push(mapping);
        } else if let Some(mapping) = all.last_mut() {
            match line.split_once(':') {
                Some(("Anonymous", size)) => mapping.own = kilobytes(size),
                Some(("Swap", size)) => mapping.swapped = kilobytes(size),
                _ => {}
            }
        }
    }
    let own = all.iter().find(|mapping| (mapping.start..mapping.end).contains(&here));
    let Some(file) = own.map(|mapping| mapping.file) else { return Vec::new() };
    all.retain(|Mapping { start: _, end: _, rights, file: of, own, swapped }| {
        *of == file && matches!(*rights, "r--p" | "r-xp") && (*own, *swapped) == (Some(0), Some(0))
    });
    all
}

fn kilobytes(size: &str) -> Option<usize> {
    size.trim().strip_suffix(" kB")?.parse().ok()
}

/// `None` for a line that is no header.
fn header(line: &str) -> Option<Mapping<'_>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let (rights, _offset, device, inode) = (words.next()?, words.next()?, words.next()?, words.next()?);
    (start < end).then_some(Mapping { start, end, rights, file: (device, inode), ..Mapping::default() })
}

#[cfg(test)]
mod tests {
    use super::{Mapping, give_back_now, resident_of_files, unchanged};

    const HERE: usize = 0x2800;

    fn found(smaps: &str) -> Vec<(usize, usize)> {
        unchanged(smaps, HERE).iter().map(|Mapping { start, end, .. }| (*start, *end)).collect()
    }

    fn mapping(range: &str, rights: &str, file: &str, (own, swapped): (usize, usize)) -> String {
        format!(
            "{range} {rights} 00001000 {file}\nRss:  8 kB\nAnonymous:  {own} kB\nSwap:  {swapped} kB\nSwapPss: 0 kB\n\
             VmFlags: rd mr\n"
        )
    }

    const PROGRAM: &str = "fe:00 77  /bin/pilothouse";

    #[test]
    fn only_unchanged_pages_of_the_program_are_given_back() {
        let all = [
            mapping("1000-2000", "r--p", PROGRAM, (0, 0)),
            mapping("2000-3000", "r-xp", PROGRAM, (0, 0)),
            // Relocated; relocated and swapped out; written.
            mapping("3000-4000", "r--p", PROGRAM, (4, 0)),
            mapping("4000-5000", "r--p", PROGRAM, (0, 4)),
            mapping("5000-6000", "rw-p", PROGRAM, (0, 0)),
            // Somebody else may unmap these at any time.
            mapping("6000-7000", "r--p", "fe:00 78  /lib/other", (0, 0)),
            mapping("7000-8000", "r--p", "fe:01 77  /other", (0, 0)),
            mapping("8000-9000", "r--p", "00:00 0", (0, 0)),
            mapping("9000-a000", "r-xp", "00:00 0  [vdso]", (0, 0)),
        ];
        assert_eq!(found(&all.concat()), [(0x1000, 0x2000), (0x2000, 0x3000)]);
    }

    #[test]
    fn what_is_not_told_is_left_alone() {
        assert_eq!(found(""), []);
        assert_eq!(found(&mapping("1000-2000", "r-xp", PROGRAM, (0, 0))), [], "it does not run here");
        assert_eq!(found("2000-3000 r-xp 00001000 fe:00 77 /bin/x\nAnonymous: 0 kB\n"), []);
        assert_eq!(found("2000-3000 r-xp 00001000 fe:00 77 /bin/x\nSwap: 0 kB\n"), []);
        assert_eq!(found(&mapping("3000-2000", "r-xp", PROGRAM, (0, 0))), []);
        assert_eq!(found(&mapping("zz-3000", "r-xp", PROGRAM, (0, 0))), []);
        assert_eq!(found(&mapping("2000-3000", "r-xp", "", (0, 0))), []);
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
        let here = give_back_now as fn() -> std::io::Result<()> as usize;
        let smaps = std::fs::read_to_string("/proc/self/smaps")?;
        assert!(unchanged(&smaps, here).iter().any(|code| code.rights == "r-xp"), "{smaps}");
        give_back_now()?;
        assert_eq!(found(&mapping("2000-3000", "r-xp", PROGRAM, (0, 0))), [(0x2000, 0x3000)]);
        give_back_now()
    }
}
