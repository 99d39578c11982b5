//! The last states that are done with, on the data folder: what differs from them at the next start was written while
//! nobody looked, or was not handed on before the process ended.
//!
//! One file of JSON lines, of which a later one replaces an earlier one. It is not synced: what a power cut takes is
//! seen again. It holds no secrets.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{snapshot::Snapshot, tracker::Shelf, write::ObjectRef};

/// Lines that are no longer true, before the file is written anew.
const STALE: usize = 2_000;

#[derive(Debug, thiserror::Error)]
#[error(
    "what capture has seen cannot be {verb} in {path} ({source}): free the disk or give another folder with --data"
)]
pub struct StoreError {
    path: String,
    verb: &'static str,
    source: io::Error,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Entry {
    /// Since then all objects of the shelf are known.
    Since(Shelf, Timestamp),
    Object(Box<Snapshot>),
    Gone(ObjectRef),
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) since: BTreeMap<Shelf, Timestamp>,
    /// Lines that could not be read, such as one that a crash left half-written.
    pub(super) malformed: usize,
}

#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    file: File,
    lines: usize,
}

impl Store {
    /// # Errors
    /// When the folder or its file cannot be made, read or written.
    pub(super) fn open(folder: &Path) -> Result<(Self, Left), StoreError> {
        let path = folder.join("objects.jsonl");
        let failed = |verb, source| StoreError { path: folder.display().to_string(), verb, source };
        fs::create_dir_all(folder).map_err(|error| failed("kept", error))?;
        let (left, lines) = read(&path).map_err(|error| failed("read", error))?;
        let file =
            File::options().create(true).append(true).open(&path).map_err(|error| failed("kept", error))?;
        let mut store = Self { path, file, lines };
        let known: Vec<&Snapshot> = left.snapshots.iter().collect();
        if left.malformed > 0 || store.is_stale(known.len()) {
            store.rewrite(known.into_iter(), &left.since)?;
        }
        Ok((store, left))
    }

    /// # Errors
    /// When the disk does not take it; nothing is known of what was written then, and it is to be written again.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut text = Vec::new();
        let written = entries.iter().try_for_each(|entry| line(&mut text, entry));
        written.and_then(|()| self.file.write_all(&text)).map_err(|error| self.failed(error))?;
        self.lines += entries.len();
        Ok(())
    }

    /// Whether most of the file is no longer true.
    pub(super) fn is_stale(&self, objects: usize) -> bool {
        self.lines > 2 * objects + STALE
    }

    /// # Errors
    /// When the disk does not take it; the file is as it was then.
    pub(super) fn rewrite<'s>(
        &mut self,
        snapshots: impl Iterator<Item = &'s Snapshot>,
        since: &BTreeMap<Shelf, Timestamp>,
    ) -> Result<(), StoreError> {
        let new = self.path.with_extension("new");
        let mut lines = 0;
        let written = File::create(&new).and_then(|file| {
            let mut file = BufWriter::new(file);
            for (shelf, since) in since {
                line(&mut file, &Entry::Since(shelf.clone(), *since))?;
                lines += 1;
            }
            for snapshot in snapshots {
                line(&mut file, &Entry::Object(Box::new(snapshot.redacted())))?;
                lines += 1;
            }
            file.flush()?;
            fs::rename(&new, &self.path)?;
            File::options().append(true).open(&self.path)
        });
        self.file = written.map_err(|error| self.failed(error))?;
        self.lines = lines;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError { path: self.path.display().to_string(), verb: "written", source }
    }
}

fn line(into: &mut impl Write, entry: &Entry) -> io::Result<()> {
    serde_json::to_writer(&mut *into, entry)?;
    into.write_all(b"\n")
}

fn read(path: &Path) -> io::Result<(Left, usize)> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Left::default(), 0)),
        Err(error) => return Err(error),
    };
    let (mut left, mut objects, mut lines) = (Left::default(), BTreeMap::new(), 0);
    for line in BufReader::new(file).split(b'\n') {
        lines += 1;
        match serde_json::from_slice(&line?) {
            Ok(Entry::Since(shelf, at)) => drop(left.since.insert(shelf, at)),
            Ok(Entry::Object(snapshot)) => drop(objects.insert(snapshot.object.clone(), *snapshot)),
            Ok(Entry::Gone(object)) => drop(objects.remove(&object)),
            Err(_) => left.malformed += 1,
        }
    }
    left.snapshots = objects.into_values().collect();
    Ok((left, lines))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;

    use super::{Entry, Store};
    use crate::changes::capture::joiner_fixture::{deployment, shelf, snapshot};

    #[test]
    fn what_was_done_with_is_there_again_without_secrets_and_half_a_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, left) = Store::open(folder.path()).unwrap();
        assert!(left.snapshots.is_empty() && left.since.is_empty());
        let mut object = deployment("5", 1, "a:1");
        object["spec"]["template"]["spec"]["containers"][0]["env"] =
            serde_json::json!([{"name": "DB_PASSWORD", "value": "hunter2hunter2"}]);
        let kept = snapshot(&object);
        store
            .append(&[
                Entry::Since(shelf(), Timestamp::UNIX_EPOCH),
                Entry::Object(Box::new(snapshot(&deployment("4", 1, "a:0")).redacted())),
                Entry::Object(Box::new(kept.redacted())),
            ])
            .unwrap();
        let path = folder.path().join("objects.jsonl");
        let mut text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        text.push_str("{\"object\": {\"obj");
        std::fs::write(&path, &text).unwrap();
        let (mut store, left) = Store::open(folder.path()).unwrap();
        assert_eq!((left.snapshots.len(), left.since.len(), left.malformed), (1, 1, 1));
        assert_eq!(
            (&left.snapshots[0].version, &left.snapshots[0].fingerprint),
            (&kept.version, &kept.fingerprint)
        );
        store.append(&[Entry::Gone(kept.object)]).unwrap();
        let (_, left) = Store::open(folder.path()).unwrap();
        assert_eq!((left.snapshots.len(), left.malformed), (0, 0));
    }
}
