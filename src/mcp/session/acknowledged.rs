//! What the lists were before rmcp acknowledged a subscription. The handler hears of it only after the client has the
//! acknowledgment, and what changed in between would never be told.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::task;

use crate::mcp::announce::Since;

/// By task: rmcp asks what is accepted, acknowledges, and runs the handler in one task for each request.
#[derive(Default)]
pub(super) struct Acknowledged(Mutex<HashMap<task::Id, Since>>);

impl Acknowledged {
    /// Before the acknowledgment. One that cannot be sent ends the session, and this with it.
    pub(super) fn begin(&self, since: Since) {
        if let Some(task) = task::try_id() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(task, since);
        }
    }

    /// After it, once.
    pub(super) fn begun(&self) -> Option<Since> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&task::try_id()?)
    }
}
