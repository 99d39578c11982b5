//! Records for tests, without a cluster's store: one YAML file each in `<data>/emergencies/`, as `kubectl` would show it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use futures::future::{BoxFuture, ready};

use super::parts::{RecordError, Records};
use crate::api::EmergencyChange;

/// Only one process may use a folder: the version of a record is checked under a lock of this process.
pub(super) struct Folder {
    path: PathBuf,
    turn: Mutex<()>,
}

impl Folder {
    /// # Errors
    /// When the folder cannot be made.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        let path = data.join("emergencies");
        fs::create_dir_all(&path)?;
        Ok(Self { path, turn: Mutex::default() })
    }

    fn file(&self, change: &EmergencyChange) -> Result<PathBuf, RecordError> {
        let name = change.metadata.name.as_deref().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(RecordError::Failed(format!("{name:?} is no name of an emergency")));
        }
        Ok(self.path.join(format!("{name}.yaml")))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> RecordError {
        RecordError::Failed(format!(
            "the emergencies in {} cannot be kept ({error}): free the disk or give another folder with --data",
            self.path.display()
        ))
    }

    fn read(&self, path: &Path) -> Result<EmergencyChange, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        serde_saphyr::from_str(&text).map_err(|error| error.to_string())
    }

    /// Whole or not at all, also after a crash.
    fn write(
        &self,
        path: &Path,
        mut change: EmergencyChange,
        version: u64,
    ) -> Result<EmergencyChange, RecordError> {
        change.metadata.resource_version = Some(version.to_string());
        let text = serde_saphyr::to_string(&change).map_err(|error| self.failed(&error))?;
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| self.failed(&error))?;
        Ok(change)
    }

    fn listed(&self) -> Result<Vec<EmergencyChange>, String> {
        let entries = fs::read_dir(&self.path).map_err(|error| self.failed(&error).to_string())?;
        let mut changes = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| self.failed(&error).to_string())?.path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            match self.read(&path) {
                Ok(change) => changes.push(change),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "this emergency cannot be read")
                }
            }
        }
        Ok(changes)
    }

    fn created(&self, mut change: EmergencyChange) -> Result<EmergencyChange, RecordError> {
        let path = self.file(&change)?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if path.exists() {
            return Err(RecordError::Outdated);
        }
        let now = super::captured::second(jiff::Timestamp::now());
        change.metadata.creation_timestamp.get_or_insert(now);
        self.write(&path, change, 1)
    }

    fn updated(&self, change: EmergencyChange) -> Result<EmergencyChange, RecordError> {
        let path = self.file(&change)?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.read(&path).map_err(|error| self.failed(&error))?;
        let version = |of: &EmergencyChange| of.metadata.resource_version.clone().unwrap_or_default();
        if version(&kept) != version(&change) {
            return Err(RecordError::Outdated);
        }
        let next = version(&kept).parse::<u64>().unwrap_or(0).saturating_add(1);
        self.write(&path, change, next)
    }
}

impl Records for Folder {
    fn list(&self) -> BoxFuture<'_, Result<Vec<EmergencyChange>, String>> {
        Box::pin(ready(self.listed()))
    }

    fn create(&self, change: EmergencyChange) -> BoxFuture<'_, Result<EmergencyChange, RecordError>> {
        Box::pin(ready(self.created(change)))
    }

    fn update(&self, change: EmergencyChange) -> BoxFuture<'_, Result<EmergencyChange, RecordError>> {
        Box::pin(ready(self.updated(change)))
    }

    /// Nobody reads events here: the log says it.
    fn tell<'a>(
        &'a self,
        _about: &'a EmergencyChange,
        _is_warning: bool,
        _reason: &'static str,
        _note: String,
    ) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Folder, RecordError};
    use crate::{
        api::EmergencyChange,
        changes::emergency::{
            captured::tests::{at, write},
            config::tests::terms,
            parts::Records,
            step::unsanctioned,
        },
    };

    #[tokio::test]
    async fn a_record_is_kept_whole_and_never_over_a_newer_one() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::open(data.path()).unwrap();
        let change: EmergencyChange = unsanctioned(None, &write(1, "1", 1, 2), at(2), &terms("{}")).0.into();
        let made = folder.create(change.clone()).await.unwrap();
        assert_eq!(folder.create(change).await.unwrap_err(), RecordError::Outdated);
        let again = Folder::open(data.path()).unwrap().list().await.unwrap();
        assert_eq!(again, std::slice::from_ref(&made));
        let newer = folder.update(made.clone()).await.unwrap();
        assert_ne!(newer.metadata.resource_version, made.metadata.resource_version);
        assert_eq!(folder.update(made).await.unwrap_err(), RecordError::Outdated);
    }
}
