//! All sessions of this bridge: how many there may be, and their end.

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Semaphore, TryAcquireError};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{child::Child, session::Session};

#[derive(Debug)]
pub(super) struct Sessions {
    program: PathBuf,
    command: Vec<OsString>,
    idle: Duration,
    /// One for each process that lives, also while it starts and while it is being ended.
    places: Arc<Semaphore>,
    /// Those that are initialized.
    by_id: Mutex<HashMap<String, Arc<Session>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("this server has as many sessions as it may have: end one or try again later")]
    Full,
    #[error("the server is stopping: try again")]
    Stopping,
    #[error("the server's command cannot be started ({0})")]
    Start(#[from] io::Error),
}

impl Sessions {
    /// `program` is what `command[0]` means; `stop` ends all sessions.
    pub(super) fn new(
        program: PathBuf,
        command: Vec<OsString>,
        idle: Duration,
        max_sessions: usize,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            program,
            command,
            idle,
            places: Arc::new(Semaphore::new(max_sessions)),
            by_id: Mutex::default(),
            stop,
            tasks: TaskTracker::new(),
        })
    }

    fn by_id(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Session>> {
        self.by_id().get(id).filter(|session| !session.ended.is_cancelled()).map(Arc::clone)
    }

    /// Starts a process for a session that nobody can find yet.
    pub(super) fn start(self: &Arc<Self>) -> Result<Starting, StartError> {
        if self.stop.is_cancelled() {
            return Err(StartError::Stopping);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => StartError::Full,
            TryAcquireError::Closed => StartError::Stopping,
        })?;
        let (child, stdin, stdout) = Child::start(&self.program, &self.command)?;
        let id = uuid::Uuid::new_v4().to_string();
        let (session, lines) = Session::new(id, self.stop.child_token());
        let (sessions, running) = (Arc::clone(self), Arc::clone(&session));
        self.tasks.spawn(async move {
            let id = running.id.clone();
            running.run(child, stdin, stdout, lines, sessions.idle).await;
            sessions.by_id().remove(&id);
            drop(place);
        });
        Ok(Starting { session, sessions: Arc::clone(self), kept: false })
    }

    /// Waits until every process has ended; `stop` must have been cancelled.
    pub(super) async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A session whose process has not answered `initialize` yet; dropping it ends the process.
#[derive(Debug)]
pub(super) struct Starting {
    pub(super) session: Arc<Session>,
    sessions: Arc<Sessions>,
    kept: bool,
}

impl Starting {
    /// From now on it is found by its id.
    pub(super) fn keep(mut self) {
        self.kept = true;
        let id = self.session.id.clone();
        self.sessions.by_id().insert(id.clone(), Arc::clone(&self.session));
        // Its task may have ended, and removed nothing, a moment ago.
        if self.session.ended.is_cancelled() {
            self.sessions.by_id().remove(&id);
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if !self.kept {
            self.session.ended.cancel();
        }
    }
}
