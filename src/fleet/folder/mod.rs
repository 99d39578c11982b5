//! `--servers DIR`: MCPServer manifests in a folder, run as local processes. No cluster needed.

mod documents;
mod scan;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::scan::{Complaint, Scan, Wording};
use super::roster::{Change, Roster, Source};
use crate::gateway::ServerName;

/// Editors write a file in several steps; this long it must be quiet before we read.
const QUIET: Duration = Duration::from_millis(100);
/// Some file systems tell nothing: look anyway.
const RESCAN: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
#[error("the folder {path} cannot be read ({reason}): give an existing folder with --servers")]
pub struct FolderError {
    path: PathBuf,
    reason: io::Error,
}

/// Watches one folder, not its subfolders, and keeps the roster as its manifests say.
pub struct Folder {
    path: PathBuf,
    roster: Arc<Roster>,
}

impl Folder {
    /// # Errors
    /// When `path` is not a folder that can be read.
    pub fn open(path: &Path, roster: Arc<Roster>) -> Result<Self, FolderError> {
        let failed = |reason| FolderError { path: path.to_owned(), reason };
        // Absolute, since processes get it as their working directory.
        let absolute = path.canonicalize().map_err(failed)?;
        std::fs::read_dir(&absolute).map_err(failed)?;
        Ok(Self { path: absolute, roster })
    }

    /// Runs until `stop`. A file that cannot be used is reported once, until it or its trouble changes, and the
    /// others go on; a folder that is gone for a while keeps its servers.
    pub async fn run(self, stop: CancellationToken) {
        let (changed, mut changes) = mpsc::channel(1);
        // Kept: dropping it ends the watch.
        let _watch = match watch(&self.path, changed) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "folder cannot be watched, looking every {} s", RESCAN.as_secs());
                None
            }
        };
        let mut seen = Seen::default();
        loop {
            let (path, known) = (self.path.clone(), seen.wording);
            match tokio::task::spawn_blocking(move || scan::scan(&path, known)).await {
                Ok(Ok(Some((wording, scan)))) => {
                    seen.wording = Some(wording);
                    for change in seen.take(scan) {
                        self.roster.record(Source::Folder, change);
                    }
                }
                Ok(Ok(None)) => seen.unreadable = false,
                Ok(Err(error)) => seen.unreadable(&self.path, &error),
                Err(error) => tracing::error!(%error, "the scan of the folder broke off"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tokio::time::timeout(RESCAN, quiet(&mut changes)) => {}
            }
        }
    }
}

/// Returns when something has changed and it has been quiet since, or after ten times that.
async fn quiet(changes: &mut mpsc::Receiver<()>) {
    if changes.recv().await.is_none() {
        // Not watched: only the rescan is left.
        std::future::pending::<()>().await;
    }
    for _ in 0..10 {
        tokio::time::sleep(QUIET).await;
        if changes.try_recv().is_err() {
            return;
        }
    }
}

fn watch(path: &Path, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too; only ours to ignore. A full channel already says "changed".
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = changed.try_send(());
        }
    })?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// What the last scan showed.
#[derive(Default)]
struct Seen {
    wording: Option<Wording>,
    servers: BTreeMap<ServerName, Change>,
    files: BTreeMap<ServerName, String>,
    complaints: Vec<Complaint>,
    unreadable: bool,
}

impl Seen {
    /// The changes since the last scan; logs complaints that are new. What a file declared stays while the file cannot be
    /// read: a slip of the pen removes nobody, and nothing that is remembered of a server.
    fn take(&mut self, scan: Scan) -> Vec<Change> {
        let Scan { mut servers, mut files, spoiled, complaints } = scan;
        self.unreadable = false;
        for complaint in complaints.iter().filter(|complaint| !self.complaints.contains(complaint)) {
            tracing::warn!("{complaint}");
        }
        self.complaints = complaints;
        for (name, before) in std::mem::take(&mut self.files) {
            let stays = spoiled.contains(&before) && !servers.contains_key(&name);
            if let Some(change) = self.servers.get(&name).filter(|_| stays) {
                servers.insert(name.clone(), change.clone());
                files.insert(name, before);
            }
        }
        let gone = self.servers.keys().filter(|name| !servers.contains_key(name));
        let mut changes: Vec<_> = gone.cloned().map(Change::Delete).collect();
        changes.extend(
            servers
                .iter()
                .filter(|(name, now)| self.servers.get(name) != Some(now))
                .map(|(_, now)| now.clone()),
        );
        (self.servers, self.files) = (servers, files);
        changes
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        if !std::mem::replace(&mut self.unreadable, true) {
            tracing::warn!(path = %path.display(), %error, "folder cannot be read, its servers stay as they are");
        }
    }
}
