//! The file of the record: opened under a lock, its chain continued, appended to and fsynced.

use std::{
    fs::{File, OpenOptions, TryLockError, create_dir_all},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{Line, chain::Head};

/// More processes than this never share one data folder by intent.
const MOST_FILES: u32 = 64;
/// How far back from the end the last line is looked for; longer lines are not ours.
const LONGEST_LINE: u64 = 1 << 20;

/// Holds the file's lock as long as it lives.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    head: Head,
    /// What is known to be whole on disk; after a failure everything past it is cut before the next write.
    good: u64,
    torn: bool,
}

impl Journal {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        create_dir_all(folder)?;
        if let Some(data) = folder.parent() {
            File::open(data)?.sync_all()?;
        }
        for number in 1..=MOST_FILES {
            let name = if number == 1 { "audit.jsonl".to_owned() } else { format!("audit-{number}.jsonl") };
            let path = folder.join(name);
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Ok(()) => return Self::resume(folder, path, file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("all {MOST_FILES} files are in use by other processes")))
    }

    fn resume(folder: &Path, path: PathBuf, mut file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let start = length.saturating_sub(LONGEST_LINE);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        (&mut file).take(length - start).read_to_end(&mut tail)?;

        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole == 0 && start > 0 {
            return Err(io::Error::other("its last line is longer than any of ours; move the file away"));
        }
        let (lines, rest) = tail.split_at(whole);
        let head = match last_line(lines) {
            None => Head::start(),
            Some(line) => Head::after(line)
                .ok_or_else(|| io::Error::other("its last line is not one of ours; move the file away"))?,
        };
        let good = start + whole as u64;
        let mut journal = Self { path, file, head, good, torn: true };
        if rest.is_empty() {
            journal.torn = false;
            // The folder's entry must survive a crash too, else the first fsynced line could vanish with it.
            File::open(folder)?.sync_all()?;
        } else {
            let aside = journal.set_aside(rest)?;
            File::open(folder)?.sync_all()?;
            journal.append(&[Line::own(
                "audit/recovered",
                &aside,
                "a half-written last line was set aside",
            )])?;
        }
        Ok(journal)
    }

    /// Keeps the half-written line in a file of its own; returns that file's name.
    fn set_aside(&self, rest: &[u8]) -> io::Result<String> {
        let stem = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = format!("{stem}.torn-{}", Timestamp::now().as_millisecond());
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(self.path.with_file_name(&name))?;
        file.write_all(rest)?;
        file.sync_all()?;
        Ok(name)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the lines and fsyncs once: all of them are on disk, or none counts.
    pub(super) fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut head = self.head.clone();
        let mut text = String::new();
        for line in lines {
            let (entry, next) = head.append(line)?;
            text.push_str(&entry);
            head = next;
        }
        if self.torn {
            self.file.set_len(self.good)?;
        }
        self.torn = true;
        self.file.seek(SeekFrom::Start(self.good))?;
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What stands there now must not be taken for a record of something that was refused.
            self.torn = self.file.set_len(self.good).is_err();
            return Err(error);
        }
        self.torn = false;
        self.good += text.len() as u64;
        self.head = head;
        Ok(())
    }
}

/// The last line of whole lines, without its break.
fn last_line(lines: &[u8]) -> Option<&[u8]> {
    let lines = lines.strip_suffix(b"\n")?;
    Some(lines.iter().rposition(|byte| *byte == b'\n').map_or(lines, |at| &lines[at + 1..]))
}
