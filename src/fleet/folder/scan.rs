//! One look at a folder: every manifest in it, and what is wrong with the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::Path,
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

/// Reads every `*.yaml`, `*.yml` and `*.json` of a folder, in the order of their names; a name that stands twice
/// belongs to the first.
///
/// # Errors
/// When the folder itself cannot be read; a file that cannot is a complaint.
pub(super) fn scan(folder: &Path) -> io::Result<Scan> {
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
    let mut scan = Scan::default();
    for file in files {
        scan.file(folder, &file);
    }
    Ok(scan)
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
