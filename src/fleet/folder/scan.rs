//! One look at a folder: every manifest in it, and what is wrong with the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

use super::documents;
use crate::{
    fleet::{manifest, roster::Change},
    gateway::ServerName,
};

/// Bytes of one manifest file.
const FILE_LIMIT: u64 = 1024 * 1024;

/// What stands in a folder.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// [`Change::Apply`] or [`Change::Refuse`] for each manifest that has a name.
    pub(super) servers: BTreeMap<ServerName, Change>,
    /// The file of each.
    pub(super) files: BTreeMap<ServerName, String>,
    /// Files of which something could not be read: what else they declare is not known.
    pub(super) spoiled: BTreeSet<String>,
    pub(super) complaints: Vec<Complaint>,
}

/// What is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    file: String,
    /// Line and column, where they are known.
    at: Option<(u64, u64)>,
    what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// What the manifests of a folder say, so that a folder in which nothing has changed is not parsed again: that takes far
/// more memory than what is known of it afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wording(u64);

/// Reads every `*.yaml`, `*.yml` and `*.json` of a folder, in the order of their names; a name that stands twice
/// belongs to the first. Nothing when they say what was `known` already.
///
/// # Errors
/// When the folder itself cannot be read; a file that cannot is a complaint.
pub(super) fn scan(folder: &Path, known: Option<Wording>) -> io::Result<Option<(Wording, Scan)>> {
    let files = manifests(folder)?;
    // Read twice when it is new: all texts at once could take much memory. One that changes in between is seen next time.
    let wording = wording(&files);
    if known == Some(wording) {
        return Ok(None);
    }
    let mut scan = Scan::default();
    for file in files {
        scan.file(folder, &file);
    }
    Ok(Some((wording, scan)))
}

fn manifests(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let named = path.extension().and_then(|end| end.to_str());
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if matches!(named, Some("yaml" | "yml" | "json")) && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn wording(files: &[PathBuf]) -> Wording {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        read(file).map_err(|error| error.to_string()).hash(&mut hasher);
    }
    Wording(hasher.finish())
}

impl Scan {
    fn file(&mut self, folder: &Path, path: &Path) {
        let file = path.display().to_string();
        let complain = |at, what| Complaint { file: file.clone(), at, what };
        let text = match read(path) {
            Ok(text) => text,
            // Gone since the folder was read, which the next look sees.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.complaints.push(complain(None, error.to_string()));
                self.spoiled.insert(file);
                return;
            }
        };
        let documents = documents::read(&text);
        if !documents.wrong.is_empty() {
            self.spoiled.insert(file.clone());
        }
        for wrong in documents.wrong {
            self.complaints.push(complain(wrong.at, wrong.what));
        }
        for (line, server) in documents.servers {
            let name = manifest::name(&server);
            if self.servers.contains_key(&name) {
                let what = format!("{name} is declared twice in this folder: rename or remove one");
                self.complaints.push(complain(Some((line, 1)), what));
                continue;
            }
            let change = match manifest::local(&server, folder) {
                Ok(downstream) => Change::Apply(Box::new(downstream)),
                Err(reason) => {
                    self.complaints.push(complain(Some((line, 1)), reason.to_string()));
                    Change::Refuse { name: name.clone(), reason }
                }
            };
            self.files.insert(name.clone(), file.clone());
            self.servers.insert(name, change);
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let size = fs::metadata(path)?.len();
    if size > FILE_LIMIT {
        return Err(io::Error::other(format!(
            "{size} bytes are too many for a manifest: at most {FILE_LIMIT}"
        )));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::scan;

    #[test]
    fn a_folder_is_looked_through_again_only_when_a_manifest_says_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let (file, note) = (folder.path().join("a.yaml"), folder.path().join("note.txt"));
        fs::write(&file, "nonsense").unwrap();
        let (first, scanned) = scan(folder.path(), None).unwrap().unwrap();
        assert_eq!(scanned.complaints.len(), 1);
        fs::write(&note, "no manifest").unwrap();
        fs::write(&file, "nonsense").unwrap();
        assert!(scan(folder.path(), Some(first)).unwrap().is_none());
        fs::write(&file, "nonsensf").unwrap();
        let (second, _) = scan(folder.path(), Some(first)).unwrap().unwrap();
        fs::rename(&file, folder.path().join("b.yaml")).unwrap();
        assert!(scan(folder.path(), Some(second)).unwrap().is_some(), "complaints name another file");
        fs::remove_file(folder.path().join("b.yaml")).unwrap();
        let (_, scanned) = scan(folder.path(), Some(second)).unwrap().unwrap();
        assert!(scanned.complaints.is_empty());
    }
}
