//! What rmcp is told of sessions that it does not have: those that are to be made again here.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rmcp::{
    model::InitializeRequestParams,
    transport::streamable_http_server::session::{SessionState, SessionStore, SessionStoreError},
};

/// What nobody came for within this time is forgotten.
const KEPT: Duration = Duration::from_secs(60);

/// Params of `initialize` on their way between rmcp and `home`, in both directions; nothing stays here.
#[derive(Default)]
pub(super) struct Handover {
    opened: Mutex<Table>,
    expected: Mutex<Table>,
}

type Table = HashMap<String, (Instant, InitializeRequestParams)>;

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put(table: &Mutex<Table>, session: &str, hello: InitializeRequestParams) {
    let mut table = lock(table);
    table.retain(|_, (at, _)| at.elapsed() < KEPT);
    table.insert(session.to_owned(), (Instant::now(), hello));
}

fn take(table: &Mutex<Table>, session: &str) -> Option<InitializeRequestParams> {
    let (at, hello) = lock(table).remove(session)?;
    (at.elapsed() < KEPT).then_some(hello)
}

impl Handover {
    /// With what rmcp has just opened this session.
    pub(super) fn opened(&self, session: &str) -> Option<InitializeRequestParams> {
        take(&self.opened, session)
    }

    /// The next request for that session makes it again.
    pub(super) fn expect(&self, session: &str, hello: InitializeRequestParams) {
        put(&self.expected, session, hello);
    }
}

#[async_trait]
impl SessionStore for Handover {
    async fn load(&self, session: &str) -> Result<Option<SessionState>, SessionStoreError> {
        Ok(take(&self.expected, session).map(SessionState::new))
    }

    async fn store(&self, session: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        put(&self.opened, session, state.initialize_params.clone());
        Ok(())
    }

    async fn delete(&self, session: &str) -> Result<(), SessionStoreError> {
        take(&self.opened, session);
        take(&self.expected, session);
        Ok(())
    }
}
