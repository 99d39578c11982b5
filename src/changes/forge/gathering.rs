//! The files of a snapshot as they come in: which are taken, and how many at most.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use super::{ForgeError, Snapshot};

/// Larger files are maintained by no person. Bytes.
pub(super) const LARGEST: u64 = 1 << 20;
const MOST_FILES: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;

/// What is never text, and often large or many.
const NO_TEXT: [&str; 24] = [
    "7z", "avif", "bmp", "bz2", "eot", "exe", "gif", "gz", "ico", "jar", "jpeg", "jpg", "mp4", "otf", "pdf",
    "png", "so", "tar", "tgz", "ttf", "webp", "woff", "woff2", "zip",
];

#[derive(Debug, Default)]
pub(super) struct Gathering {
    files: BTreeMap<String, String>,
    bytes: usize,
}

/// Whether a file may be text that a person maintains.
pub(super) fn is_wanted(path: &str, size: u64) -> bool {
    let ending = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
    size <= LARGEST && ending.is_none_or(|ending| !NO_TEXT.contains(&ending.to_ascii_lowercase().as_str()))
}

impl Gathering {
    /// Takes a file, unless it is no text.
    ///
    /// # Errors
    /// When there are too many, or they are too large; without a beginning and an end: `holds …`.
    pub(super) fn add(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), String> {
        if bytes.contains(&0) {
            return Ok(());
        }
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        self.bytes += text.len();
        self.files.insert(path.to_owned(), text);
        if self.files.len() > MOST_FILES {
            return Err(format!("holds more than {MOST_FILES} text files"));
        }
        if self.bytes > MOST_BYTES {
            return Err(format!("holds more than {} MiB of text", MOST_BYTES >> 20));
        }
        Ok(())
    }

    pub(super) fn files(self) -> BTreeMap<String, String> {
        self.files
    }
}

/// What git calls a file of these bytes, in a repository whose ids are as long as `like`.
pub(super) fn blob_id(bytes: &[u8], like: &str) -> String {
    let algorithm = if like.len() == 64 { &SHA256 } else { &SHA1_FOR_LEGACY_USE_ONLY };
    let mut context = Context::new(algorithm);
    context.update(format!("blob {}\0", bytes.len()).as_bytes());
    context.update(bytes);
    hex::encode(context.finish())
}

/// Whether the file that is there now (by git's id) is the one that was read: an archive leaves out files and puts
/// words into others where `.gitattributes` says so, and what was read so must not be written back.
///
/// # Errors
/// What is different.
pub(super) fn same(old: Option<&Snapshot>, path: &str, there: Option<&str>) -> Result<(), String> {
    let Some(old) = old else { return Ok(()) };
    let is_same = match (old.files.get(path), there) {
        (Some(text), Some(id)) => blob_id(text.as_bytes(), id) == id,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if is_same {
        return Ok(());
    }
    Err(format!(
        "{path} in the repository is not what its archive showed (.gitattributes with export-subst, export-ignore, eol or a filter): change it by hand, or take it out of .gitattributes"
    ))
}

/// Unpacks where it holds up nobody.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(format!("was not read to its end ({error})")),
    }
}

/// `why` as [`Gathering::add`] says it.
pub(super) fn too_much(place: &str, why: &str) -> ForgeError {
    ForgeError::Unsupported(format!("{place} {why}: keep the manifests in a repository of their own"))
}

#[cfg(test)]
mod tests {
    use super::{Gathering, blob_id, is_wanted, same};
    use crate::changes::forge::Snapshot;

    #[test]
    fn a_file_that_the_archive_shows_otherwise_is_not_written() {
        let files = [("a.yaml".to_owned(), "hello\n".to_owned())].into();
        let old = Snapshot { commit: "c".to_owned(), files };
        let there = Some("ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(same(Some(&old), "a.yaml", there), Ok(()));
        assert_eq!(same(Some(&old), "new.yaml", None), Ok(()));
        assert_eq!(same(None, "a.yaml", None), Ok(()), "nothing was read");
        for (path, there) in [("a.yaml", None), ("hidden.yaml", there), ("a.yaml", Some("e69de29bb2"))] {
            assert!(same(Some(&old), path, there).is_err(), "{path}");
        }
    }

    #[test]
    fn text_of_any_kind_is_taken_and_the_rest_left() {
        for path in ["a.yaml", "c/templates/_helpers.tpl", "conf/nginx.conf", "Makefile", ".gitattributes"] {
            assert!(is_wanted(path, 1 << 20), "{path}");
            assert!(!is_wanted(path, (1 << 20) + 1), "{path}");
        }
        for path in ["logo.PNG", "c/charts/redis-1.2.tgz", "font.woff2"] {
            assert!(!is_wanted(path, 10), "{path}");
        }
        let mut all = Gathering::default();
        for (path, bytes) in [("a", b"x: 1\n".to_vec()), ("b", vec![0, 1]), ("c", vec![0xff, 0xfe])] {
            assert_eq!(all.add(path, bytes), Ok(()));
        }
        assert_eq!(all.files().into_keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn too_much_is_said() {
        let mut all = Gathering::default();
        let more = (0..10_001).find_map(|number| all.add(&format!("{number}.yaml"), Vec::new()).err());
        assert_eq!(more.as_deref(), Some("holds more than 10000 text files"));
        let mut all = Gathering::default();
        let more = (0..100).find_map(|number| all.add(&format!("{number}"), vec![b'a'; 1 << 20]).err());
        assert_eq!(more.as_deref(), Some("holds more than 64 MiB of text"));
    }

    #[test]
    fn ids_are_those_of_git() {
        assert_eq!(blob_id(b"hello\n", "e69de29bb2"), "ce013625030ba8dba906f756967f9e9ca394464a");
        let long = "0".repeat(64);
        assert_eq!(blob_id(b"", &long), "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813");
    }
}
