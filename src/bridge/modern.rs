//! A server that knows no handshake, behind `/mcp` where each session has a process of its own: there are no sessions
//! then, so one warm process answers everybody, as with `--shared`.
//!
//! Most servers have a handshake. So nothing is started to find out before one has refused `initialize`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{
    sessions::Sessions,
    shared::{Cold, Shared},
};

#[derive(Debug)]
pub(super) struct Modern {
    sessions: Arc<Sessions>,
    stop: CancellationToken,
    /// A process has refused `initialize`, as one does that knows none.
    was_refused: AtomicBool,
    /// Nothing in it where the server has a handshake after all.
    found: OnceCell<Option<Arc<Shared>>>,
}

impl Modern {
    pub(super) fn new(sessions: Arc<Sessions>, stop: CancellationToken) -> Self {
        Self { sessions, stop, was_refused: AtomicBool::new(false), found: OnceCell::new() }
    }

    pub(super) fn note_refusal(&self) {
        self.was_refused.store(true, Ordering::Relaxed);
    }

    /// The process for requests without a session; nothing where they need one.
    pub(super) async fn shared(&self) -> Option<Arc<Shared>> {
        if !self.was_refused.load(Ordering::Relaxed) {
            return None;
        }
        let found = self.found.get_or_try_init(|| async {
            let shared = Arc::new(Shared::new(Arc::clone(&self.sessions), self.stop.clone()));
            let is_modern = shared.is_modern().await?;
            if is_modern {
                tokio::spawn(Arc::clone(&shared).keep_warm());
            }
            Ok::<_, Cold>(is_modern.then_some(shared))
        });
        match found.await {
            Ok(found) => found.clone(),
            Err(cold) => {
                tracing::warn!(%cold, "a server that refused initialize cannot be asked otherwise");
                None
            }
        }
    }
}
