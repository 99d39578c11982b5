//! The files that hold the lines of one log: the one that grows, and those before it, which are full and never touched
//! again. README.md says what a crash between two of them leaves.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A file that takes no more lines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sealed {
    /// The number of its first line, by its name.
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

/// Digits of a number in a name, so that names stand in the order of their lines.
const DIGITS: usize = 12;

/// `audit.jsonl`, also when `file` is one of the full ones before it: `audit.000000000001.jsonl`.
pub(super) fn growing(file: &Path) -> PathBuf {
    match stem(file).rsplit_once('.') {
        Some((log, number)) if is_number(number) => file.with_file_name(format!("{log}.jsonl")),
        _ => file.to_owned(),
    }
}

/// The name of the file that begins with line `first`, once it is full.
pub(super) fn full(lines: &Path, first: u64) -> PathBuf {
    lines.with_extension(format!("{first:0DIGITS$}.jsonl"))
}

/// The full files of the log that grows in `lines`, in their order.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn sealed(lines: &Path) -> io::Result<Vec<Sealed>> {
    let log = stem(lines);
    let folder = lines.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let path = entry?.path();
        let is_ours = path.extension().is_some_and(|ending| ending == "jsonl");
        let of = stem(&path);
        let number = of.strip_prefix(&*log).and_then(|rest| rest.strip_prefix('.'));
        // The file that grows has a second name while it is sealed.
        if is_ours
            && let Some(number) = number.filter(|number| is_number(number))
            && let Ok(first) = number.parse()
            && path.is_file()
            && !is_same(&path, lines)?
        {
            files.push(Sealed { first, path });
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_number(text: &str) -> bool {
    text.len() >= DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => Ok((one.dev(), one.ino()) == (other.dev(), other.ino())),
        (Err(error), _) | (_, Err(error)) if error.kind() == ErrorKind::NotFound => Ok(false),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// Whether `file`, which is locked, still is the one that grows: another process may have sealed it before it was
/// locked here.
pub(super) fn still_grows(lines: &Path, file: &File) -> io::Result<bool> {
    let (opened, named) = (file.metadata()?, fs::metadata(lines)?);
    Ok((opened.dev(), opened.ino()) == (named.dev(), named.ino()))
}

/// Seals the file that grows, whose first line is `first`, and returns the empty one that took its name, locked. The
/// name is never without a file, and never on one that others could lock.
///
/// # Errors
/// When one of the steps fails; the file that grew then goes on growing.
pub(super) fn seal(lines: &Path, first: u64) -> io::Result<File> {
    let next = prepare(lines)?;
    name_full(lines, first)?;
    replace(lines)?;
    Ok(next)
}

fn prepare(lines: &Path) -> io::Result<File> {
    let next =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(following(lines))?;
    next.try_lock().map_err(io::Error::from)?;
    next.sync_all()?;
    Ok(next)
}

fn name_full(lines: &Path, first: u64) -> io::Result<()> {
    fs::hard_link(lines, full(lines, first))?;
    sync_folder(lines)
}

fn replace(lines: &Path) -> io::Result<()> {
    fs::rename(following(lines), lines)?;
    sync_folder(lines)
}

/// What a crash in the middle of [`seal`] has left is taken back; the lines are where they were. Only for who holds the
/// lock of the file that grows.
///
/// # Errors
/// When a file cannot be removed.
pub(super) fn settle(lines: &Path) -> io::Result<()> {
    match fs::remove_file(following(lines)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let log = stem(lines);
    let Some(folder) = lines.parent() else { return Ok(()) };
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if growing(&path) == lines && stem(&path) != log && is_same(&path, lines)? {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn following(lines: &Path) -> PathBuf {
    lines.with_extension("jsonl.next")
}

fn sync_folder(lines: &Path) -> io::Result<()> {
    match lines.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, path::Path};

    use super::{full, growing, name_full, prepare, replace, seal, sealed, settle};

    #[test]
    fn names_lead_to_the_log_and_stand_in_order() {
        let lines = Path::new("/d/audit-2.jsonl");
        assert_eq!(full(lines, 7), Path::new("/d/audit-2.000000000007.jsonl"));
        assert_eq!(growing(&full(lines, 7)), lines);
        for other in ["/d/audit-2.jsonl", "/d/audit.7.jsonl", "/d/audit.jsonl.torn-1770000000000"] {
            assert_eq!(growing(Path::new(other)), Path::new(other));
        }
        let folder = tempfile::tempdir().unwrap();
        let lines = folder.path().join("audit.jsonl");
        for first in [1_000_000, 1, 200] {
            fs::write(full(&lines, first), "x").unwrap();
        }
        fs::write(folder.path().join("audit-2.000000000001.jsonl"), "x").unwrap();
        let firsts: Vec<u64> = sealed(&lines).unwrap().iter().map(|file| file.first).collect();
        assert_eq!(firsts, [1, 200, 1_000_000]);
    }

    #[test]
    fn whatever_a_crash_leaves_of_sealing_the_lines_are_in_one_file() {
        for steps in 0..=3 {
            let folder = tempfile::tempdir().unwrap();
            let lines = folder.path().join("audit.jsonl");
            fs::write(&lines, "one\n").unwrap();
            let next = prepare(&lines).unwrap();
            if steps > 0 {
                name_full(&lines, 1).unwrap();
            }
            if steps > 1 {
                replace(&lines).unwrap();
            }
            drop(next);
            settle(&lines).unwrap();
            let sealed = sealed(&lines).unwrap();
            assert_eq!(sealed.len(), usize::from(steps > 1), "{steps}");
            let held = sealed.first().map_or(&lines, |file| &file.path);
            assert_eq!(fs::read_to_string(held).unwrap(), "one\n");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + sealed.len());
            // And it can be done again.
            if sealed.is_empty() {
                seal(&lines, 1).unwrap();
                assert_eq!(fs::read_to_string(full(&lines, 1)).unwrap(), "one\n");
            }
        }
    }
}
