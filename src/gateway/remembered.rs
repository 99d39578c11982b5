//! What the servers offered last, on the volume of this replica: a restart of ours shows it at once, and holds their
//! tools to what they were. One file a server, `namespace/name.json`.
//!
//! Everything here may be lost: then the lists are shown once they are read, and the first ones count as registered.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fs,
    hash::{Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    catalogue::Kind, declared::Declared, downstream::ServerName, observation::ServerInfo, wire::Raw,
};

/// Largest file that is kept, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

/// Of one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    /// Of the MCPServer: another one of that name is another server.
    pub(super) created: Timestamp,
    pub(super) listed: Option<Timestamp>,
    pub(super) server: Option<ServerInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) declared: Option<Declared>,
    pub(super) entries: Vec<Kept>,
    /// Tools as they were at first, where that is not among the entries.
    pub(super) pins: Vec<Kept>,
    /// Hashes of all tools as they were at first.
    pub(super) hashes: BTreeMap<String, String>,
}

/// An entry as its server gave it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) kind: Kind,
    pub(super) raw: Raw,
}

/// The volume. Reads and writes block for as long as the disk does.
#[derive(Debug)]
pub(super) struct Memory {
    folder: PathBuf,
    /// What stands in the files, as a hash: what is there already is not written again. Held while a file is
    /// written, so that a later page cannot be overtaken by an earlier one.
    written: Mutex<BTreeMap<ServerName, u64>>,
}

impl Memory {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder, written: Mutex::default() }
    }

    /// Nothing when it is another server, or nothing that can be read is there.
    pub(super) fn recall(&self, name: &ServerName, created: Timestamp) -> Option<Page> {
        let path = self.path(name)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a remembered list cannot be read: it is listed anew");
                return None;
            }
        };
        match serde_json::from_str::<Page>(&text) {
            Ok(page) => (page.created == created).then_some(page),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a remembered list is damaged: it is listed anew");
                None
            }
        }
    }

    /// `page` is asked for when it is this one's turn.
    pub(super) fn keep(&self, name: &ServerName, page: impl FnOnce() -> Option<Page>) {
        let Some(path) = self.path(name) else { return };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(page) = page() else { return };
        let Ok(text) = serde_json::to_string(&page) else { return };
        if text.len() > LARGEST {
            tracing::debug!(server = %name, bytes = text.len(), "its lists are too large to be remembered");
            return;
        }
        let hash = without_time(page);
        if written.get(name) == Some(&hash) {
            return;
        }
        match write(&path, &text) {
            Ok(()) => {
                written.insert(name.clone(), hash);
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what a server offers is not remembered: is the volume full or read-only?");
            }
        }
    }

    pub(super) fn forget(&self, name: &ServerName) {
        let Some(path) = self.path(name) else { return };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.remove(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "a remembered list cannot be removed");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Names come from manifests; one that is a path is not for us.
    fn path(&self, ServerName { namespace, name }: &ServerName) -> Option<PathBuf> {
        let is_plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        };
        (is_plain(namespace) && is_plain(name))
            .then(|| self.folder.join(namespace).join(format!("{name}.json")))
    }
}

/// Lists that were read again and say the same need no new file.
fn without_time(page: Page) -> u64 {
    let page = Page { listed: None, ..page };
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(&page).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::BTreeMap, fs};

    use jiff::Timestamp;

    use super::{Kept, Memory, Page};
    use crate::gateway::{Kind, ServerName, wire::Raw};

    fn name(name: &str) -> ServerName {
        ServerName { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    fn page() -> Page {
        let raw: Raw = serde_json::from_str(r#"{"name":"a","n":2.50}"#).unwrap();
        Page {
            created: Timestamp::UNIX_EPOCH,
            listed: Some(Timestamp::UNIX_EPOCH),
            server: None,
            declared: None,
            entries: vec![Kept { kind: Kind::Tool, raw }],
            pins: vec![],
            hashes: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_kept_comes_back_as_it_was_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(folder.path().join("fleet"));
        assert!(memory.recall(&name("a"), Timestamp::UNIX_EPOCH).is_none());
        memory.keep(&name("a"), || Some(page()));
        let again = Memory::at(folder.path().join("fleet"));
        let recalled = again.recall(&name("a"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(recalled.entries[0].raw.get(), r#"{"name":"a","n":2.50}"#);
        assert!(again.recall(&name("a"), Timestamp::MAX).is_none(), "another server of that name");
        again.forget(&name("a"));
        assert!(again.recall(&name("a"), Timestamp::UNIX_EPOCH).is_none());
    }

    #[test]
    fn what_is_there_already_is_not_written_again_and_a_damaged_file_is_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(folder.path().to_owned());
        memory.keep(&name("a"), || Some(page()));
        let file = folder.path().join("shop/a.json");
        fs::write(&file, "{").unwrap();
        memory.keep(&name("a"), || Some(Page { listed: None, ..page() }));
        assert_eq!(fs::read_to_string(&file).unwrap(), "{");
        assert!(memory.recall(&name("a"), Timestamp::UNIX_EPOCH).is_none());
        memory.keep(&name("a"), || Some(Page { entries: vec![], ..page() }));
        assert!(memory.recall(&name("a"), Timestamp::UNIX_EPOCH).is_some());
    }

    #[test]
    fn a_name_that_is_a_path_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(folder.path().join("in"));
        memory.keep(&ServerName { namespace: "..".to_owned(), name: "x".to_owned() }, || Some(page()));
        memory.keep(&name("../../x"), || Some(page()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
