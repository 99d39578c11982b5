//! A change request as it is kept: one JSON file each in `<data>/changes/`, so that they outlive the process.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::identity::is_id;

/// How far we have come with a change request; what people made of it since is looked up, see `standing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// Written down, not pushed: the process ended in between, or is at it.
    Drafted,
    /// The branch is in the repository.
    Proposed,
    /// The branch could not be pushed.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) state: State,
    /// `Deployment shop/web`.
    pub(super) target: String,
    pub(super) edits: Vec<EditRecord>,
    pub(super) reason: String,
    pub(super) requested_by: String,
    pub(super) at: Timestamp,
    pub(super) repository: String,
    /// What the branch is proposed against, and the commit that it starts from.
    pub(super) base_branch: String,
    pub(super) base_commit: String,
    pub(super) branch: String,
    pub(super) commit: String,
    pub(super) file: String,
    /// Of the first change, counted from 1.
    pub(super) line: usize,
    /// Of every change, in order; empty in records of before it was kept.
    #[serde(default)]
    pub(super) lines: Vec<usize>,
    pub(super) diff: String,
    /// Why it failed; empty otherwise.
    pub(super) problem: String,
}

/// Holds no secret: values that are one are kept as their placeholder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct EditRecord {
    pub(super) path: String,
    pub(super) old: Value,
    pub(super) new: Value,
}

impl Record {
    /// The namespace of the object.
    pub(super) fn namespace(&self) -> Option<&str> {
        let (_, name) = self.target.split_once(' ')?;
        name.split_once('/').map(|(namespace, _)| namespace)
    }

    /// What a tool answers beside the text.
    pub(super) fn structured(&self) -> Value {
        let Self {
            id,
            state,
            target,
            edits: _,
            reason,
            requested_by,
            at,
            repository,
            base_branch,
            base_commit: _,
            branch,
            commit,
            file,
            line,
            lines,
            diff,
            problem,
        } = self;
        json!({
            "id": id, "state": state, "target": target, "repository": repository, "baseBranch": base_branch,
            "branch": branch, "commit": commit, "file": file, "line": line, "lines": lines, "diff": diff, "reason": reason,
            "requestedBy": requested_by, "at": time(*at), "problem": problem,
        })
    }
}

/// The folder of records. Every look reads the disk: another process may share it.
#[derive(Clone, Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the change requests in {path} cannot be {verb} ({source}): free the disk or give another folder with --data"
)]
pub struct StoreError {
    path: String,
    verb: &'static str,
    source: io::Error,
}

impl Store {
    pub(super) fn open(folder: PathBuf) -> Result<Self, StoreError> {
        fs::create_dir_all(&folder).map_err(|source| failed(&folder, "kept", source))?;
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a record so that after a crash either the old or the new one is there, whole.
    pub(super) fn put(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.path(&record.id);
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&serde_json::to_vec_pretty(record)?)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| failed(&path, "written", source))
    }

    pub(super) fn get(&self, id: &str) -> Result<Option<Record>, StoreError> {
        if !is_id(id) {
            return Ok(None);
        }
        let path = self.path(id);
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(record) => Ok(Some(record)),
                Err(error) => Err(failed(&path, "read", error.into())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, "read", error)),
        }
    }

    /// All records, newest first, and the names of files that hold none.
    pub(super) fn list(&self) -> Result<(Vec<Record>, Vec<String>), StoreError> {
        let mut records = Vec::new();
        let mut broken = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(|source| failed(&self.folder, "read", source))? {
            let entry = entry.map_err(|source| failed(&self.folder, "read", source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(id) = name.strip_suffix(".json").filter(|id| is_id(id)) else { continue };
            match self.get(id) {
                Ok(record) => records.extend(record),
                Err(_) => broken.push(name),
            }
        }
        records.sort_by_key(|record: &Record| std::cmp::Reverse(record.at));
        Ok((records, broken))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

/// As people read it: no one needs its fractions of a second.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

fn failed(path: &Path, verb: &'static str, source: io::Error) -> StoreError {
    StoreError { path: path.display().to_string(), verb, source }
}
