//! All sessions of this bridge: how many there may be, and their end.

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::StatusCode;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{child::Child, limits::Limits, memory, session::Session};

/// How often it is looked at how much memory processes hold.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Sessions {
    program: PathBuf,
    command: Vec<OsString>,
    limits: Limits,
    /// What whoever asked is told to do when a process has ended.
    advice: &'static str,
    /// One for each process that lives, also while it starts and while it is being ended.
    places: Arc<Semaphore>,
    /// Those that are initialized.
    by_id: Mutex<HashMap<String, Arc<Session>>>,
    /// All whose process runs, by its process group.
    running: Mutex<HashMap<i32, Arc<Session>>>,
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

impl StartError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Full | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Start(_) => StatusCode::BAD_GATEWAY,
        }
    }
}

impl Sessions {
    /// `program` is what `command[0]` means; `stop` ends all sessions.
    pub(super) fn new(
        program: PathBuf,
        command: Vec<OsString>,
        limits: Limits,
        advice: &'static str,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            program,
            command,
            limits,
            advice,
            places: Arc::new(Semaphore::new(limits.processes)),
            by_id: Mutex::default(),
            running: Mutex::default(),
            stop,
            tasks: TaskTracker::new(),
        })
    }

    fn by_id(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<i32, Arc<Session>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (session, lines) = Session::new(id, self.advice, self.stop.child_token());
        let group = child.group();
        if let Some(group) = group {
            self.running().insert(group, Arc::clone(&session));
        }
        let (sessions, running) = (Arc::clone(self), Arc::clone(&session));
        self.tasks.spawn(async move {
            let id = running.id.clone();
            running.run(child, stdin, stdout, lines, &sessions.limits).await;
            sessions.by_id().remove(&id);
            if let Some(group) = group {
                sessions.running().remove(&group);
            }
            drop(place);
        });
        Ok(Starting { session, sessions: Arc::clone(self), kept: false })
    }

    /// Ends what holds too much memory; returns when there is no limit, or after `stop`.
    pub(super) async fn watch_memory(self: Arc<Self>) {
        let (each, container) = (self.limits.memory, memory::of_container());
        if each.is_none() && container.is_none() {
            return;
        }
        let look = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                self.look_at_memory(each, container);
            }
        };
        self.stop.run_until_cancelled(look).await;
    }

    fn look_at_memory(&self, each: Option<u64>, container: Option<u64>) {
        let running: Vec<(i32, Arc<Session>)> =
            self.running().iter().map(|(group, session)| (*group, Arc::clone(session))).collect();
        if running.is_empty() {
            return;
        }
        let held = match memory::held() {
            Ok(held) => held,
            Err(error) => {
                tracing::warn!(%error, "/proc cannot be read, so memory is not limited");
                return;
            }
        };
        let groups: Vec<(i32, u64)> =
            running.iter().map(|(group, _)| (*group, held.get(group).copied().unwrap_or(0))).collect();
        for (group, excess) in memory::too_large(&groups, each, container) {
            if let Some((_, session)) = running.iter().find(|(of, _)| *of == group) {
                session.end(excess.sentence());
            }
        }
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
