//! The shelf of a process without a cluster to write to: one YAML file a request, as `kubectl get -o yaml` would show
//! it. Several processes may share the folder: each write is made under a lock of the folder, and is whole or not
//! there at all.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};

use super::{
    legacy,
    shelf::{Held, Shelf, ShelfError, Shelved},
};
use crate::{api::ChangeRequest, changes::identity::is_id};

/// Beside the requests; held while one is written.
const LOCK: &str = ".lock";

#[derive(Clone, Debug)]
pub(in crate::changes) struct Folder {
    path: PathBuf,
}

/// Why a folder cannot be a shelf.
#[derive(Debug, thiserror::Error)]
#[error(
    "the change requests in {path} cannot be {verb} ({source}): free the disk or give another folder with --data"
)]
pub struct FolderError {
    path: String,
    verb: &'static str,
    source: io::Error,
}

impl FolderError {
    fn of(path: &Path, verb: &'static str, source: io::Error) -> Self {
        Self { path: path.display().to_string(), verb, source }
    }
}

impl From<FolderError> for ShelfError {
    fn from(error: FolderError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Holds a file a request, which is locked while a process works on that request.
const TURNS: &str = ".turns";

/// How often a file is looked at that somebody subscribed to: other processes write to the folder too.
const LOOK: Duration = Duration::from_millis(500);

/// Another for each version of a file, since each is a file of its own; nothing where there is none.
fn stamp(file: &Path) -> Option<(u64, i64, i64)> {
    let meta = fs::metadata(file).ok()?;
    Some((meta.ino(), meta.mtime(), meta.mtime_nsec()))
}

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Nothing,
    /// The version that the request carries.
    Version,
}

impl Folder {
    /// # Errors
    /// When it is not there and cannot be made.
    pub(in crate::changes) fn open(path: PathBuf) -> Result<Self, FolderError> {
        fs::create_dir_all(path.join(TURNS)).map_err(|source| FolderError::of(&path, "kept", source))?;
        Ok(Self { path })
    }

    fn file(&self, id: &str) -> PathBuf {
        self.path.join(format!("{id}.yaml"))
    }

    fn read(&self, id: &str) -> Result<Option<ChangeRequest>, FolderError> {
        if !is_id(id) {
            return Ok(None);
        }
        let path = self.file(id);
        let failed = |source| FolderError::of(&path, "read", source);
        match fs::read_to_string(&path) {
            Ok(text) => serde_saphyr::from_str(&text)
                .map(Some)
                .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error.to_string()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.legacy(id),
            Err(error) => Err(failed(error)),
        }
    }

    /// As earlier versions kept it.
    fn legacy(&self, id: &str) -> Result<Option<ChangeRequest>, FolderError> {
        let path = self.path.join(format!("{id}.json"));
        match fs::read(&path) {
            Ok(bytes) => {
                legacy::read(&bytes).map(Some).map_err(|error| FolderError::of(&path, "read", error.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FolderError::of(&path, "read", error)),
        }
    }

    fn all(&self) -> Result<Shelved, FolderError> {
        let failed = |source| FolderError::of(&self.path, "read", source);
        let mut shelved = Shelved::default();
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            let id = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".json"));
            if let Some(id) = id.filter(|id| is_id(id)) {
                names.push((id.to_owned(), name));
            }
        }
        // One that was written anew has both files for a moment.
        names.sort();
        names.dedup_by(|a, b| a.0 == b.0);
        for (id, name) in names {
            match self.read(&id) {
                Ok(request) => shelved.requests.extend(request),
                Err(_) => shelved.broken.push(name),
            }
        }
        Ok(shelved)
    }

    fn write(&self, request: &ChangeRequest, expects: Expects) -> Result<ChangeRequest, ShelfError> {
        let id = request.metadata.name.clone().unwrap_or_default();
        if !is_id(&id) {
            return Err(ShelfError::Broken(format!("{id:?} is not the id of a change")));
        }
        let path = self.file(&id);
        let failed = |source| FolderError::of(&path, "written", source);
        let lock = File::create(self.path.join(LOCK)).map_err(failed)?;
        // Given back when the file is closed.
        lock.lock().map_err(failed)?;
        let there = self.read(&id)?;
        let version = |request: &ChangeRequest| {
            request.metadata.resource_version.as_deref().and_then(|version| version.parse::<u64>().ok())
        };
        let before = match (&there, expects) {
            (None, Expects::Nothing) => 0,
            (Some(there), Expects::Version) if version(there) == version(request) => {
                version(there).unwrap_or(0)
            }
            (Some(_), Expects::Nothing) | (_, Expects::Version) => return Err(ShelfError::Outdated(id)),
        };
        let mut stored = request.clone();
        stored.metadata.resource_version = Some((before + 1).to_string());
        let text = serde_saphyr::to_string(&stored)
            .map_err(|error| ShelfError::Broken(format!("change {id} cannot be written as YAML: {error}")))?;
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            match fs::remove_file(self.path.join(format!("{id}.json"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            File::open(&self.path)?.sync_all()
        };
        write().map_err(failed)?;
        Ok(stored)
    }

    fn lock(&self, id: &str, wait: bool) -> Result<Option<Held>, ShelfError> {
        let path = self.path.join(TURNS).join(id);
        let failed = |source| FolderError::of(&path, "locked", source);
        if !is_id(id) {
            return Ok(Some(Held::default()));
        }
        let file = File::create(&path).map_err(failed)?;
        if wait {
            file.lock().map_err(failed)?;
            return Ok(Some(Held { _lock: Some(file) }));
        }
        match file.try_lock() {
            Ok(()) => Ok(Some(Held { _lock: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error).into()),
        }
    }

    /// Disks may be slow; nobody else waits for this one.
    fn apart<'a, T: Send + 'static>(
        &'a self,
        work: impl FnOnce(&Self) -> Result<T, ShelfError> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, ShelfError>> {
        let folder = self.clone();
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&folder)).await;
            done.unwrap_or_else(|error| {
                Err(ShelfError::Broken(format!("the disk was not waited for: {error}")))
            })
        })
    }
}

impl Shelf for Folder {
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ChangeRequest>, ShelfError>> {
        let id = id.to_owned();
        self.apart(move |folder| Ok(folder.read(&id)?))
    }

    fn hold<'a>(&'a self, id: &'a str, wait: bool) -> BoxFuture<'a, Result<Option<Held>, ShelfError>> {
        let id = id.to_owned();
        self.apart(move |folder| folder.lock(&id, wait))
    }

    fn list(&self) -> BoxFuture<'_, Result<Shelved, ShelfError>> {
        self.apart(|folder| Ok(folder.all()?))
    }

    fn news(&self, request: &ChangeRequest) -> BoxStream<'static, ()> {
        let folder = self.clone();
        let id = super::id(request).to_owned();
        let stamped = stream::unfold((folder, id, None), |(folder, id, before)| async move {
            loop {
                let file = folder.file(&id);
                let stamp = folder.apart(move |_| Ok(stamp(&file))).await.ok().flatten();
                if stamp != before {
                    return Some(((), (folder, id, stamp)));
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        stamped.boxed()
    }

    fn create<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>> {
        let request = request.clone();
        self.apart(move |folder| folder.write(&request, Expects::Nothing))
    }

    fn update<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>> {
        let request = request.clone();
        self.apart(move |folder| folder.write(&request, Expects::Version))
    }

    fn revise<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>> {
        self.update(request)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::{Folder, Shelf, ShelfError};
    use crate::{
        api::{ChangeRequest, ChangeRequestSpec, ChangeRequestStatus, change_request::ChangePhase},
        changes::request::sample,
    };

    #[tokio::test]
    async fn what_is_stored_is_read_back_and_a_late_write_fails() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Folder::open(folder.path().join("changes")).unwrap();
        let ChangeRequest { spec, .. } = sample("00ff00ff00ff00ff");
        assert_eq!(shelf.get("00ff00ff00ff00ff").await, Ok(None));
        let made = shelf.create(&ChangeRequest::new("00ff00ff00ff00ff", spec.clone())).await.unwrap();
        assert_eq!(shelf.get("00ff00ff00ff00ff").await, Ok(Some(made.clone())));
        assert!(matches!(shelf.create(&made).await, Err(ShelfError::Outdated(_))));

        let status = ChangeRequestStatus { phase: Some(ChangePhase::Proposed), ..Default::default() };
        let now = shelf.update(&ChangeRequest { status: Some(status), ..made.clone() }).await.unwrap();
        assert!(matches!(shelf.update(&made).await, Err(ShelfError::Outdated(_))));
        let revised = ChangeRequestSpec { reason: "Other.".into(), ..spec };
        shelf.revise(&ChangeRequest { spec: revised, ..now }).await.unwrap();
        let listed = shelf.list().await.unwrap();
        assert_eq!(listed.requests[0].spec.reason, "Other.");
        assert_eq!(listed.requests[0].status.as_ref().unwrap().phase, Some(ChangePhase::Proposed));
        assert!(shelf.get("../../etc/passwd").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_one_process_works_on_another_leaves_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = [(); 2].map(|()| Folder::open(folder.path().to_owned()).unwrap());
        let held = one.hold("00ff00ff00ff00ff", true).await.unwrap();
        assert!(other.hold("00ff00ff00ff00ff", false).await.unwrap().is_none());
        assert!(other.hold("11ff00ff00ff00ff", false).await.unwrap().is_some());
        drop(held);
        assert!(other.hold("00ff00ff00ff00ff", true).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_file_that_is_none_is_named_and_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Folder::open(folder.path().to_owned()).unwrap();
        shelf.create(&sample("00ff00ff00ff00ff")).await.unwrap();
        fs::write(folder.path().join("11ff00ff00ff00ff.yaml"), "kind: [").unwrap();
        let listed = shelf.list().await.unwrap();
        assert_eq!((listed.requests.len(), listed.broken), (1, vec!["11ff00ff00ff00ff.yaml".to_owned()]));
    }
}
