//! When the objects of one kind are looked at again, and what is counted of it.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use kube::runtime::controller::Action;
use tokio::time::Instant;

use super::{
    backoff::{Backoff, Cause},
    metrics::{Ending, Failing, Meter},
    writer::WriteError,
};
use crate::fleet::ServerName;

pub(super) struct Pace {
    kind: &'static str,
    backoff: Mutex<Backoff<ServerName>>,
    pub(super) meter: Meter,
}

impl Pace {
    pub(super) fn new(kind: &'static str, meter: Meter) -> Self {
        Self { kind, backoff: Mutex::default(), meter }
    }

    /// It is looked at again after a while, the later the more often it was.
    pub(super) fn again(&self, name: &ServerName, cause: Cause) -> Action {
        self.meter.ended(Ending::Again);
        self.wait(name, cause)
    }

    /// It is looked at again when something changes.
    pub(super) fn settled(&self, name: &ServerName) -> Action {
        self.meter.ended(Ending::Settled);
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner).forget(name);
        Action::await_change()
    }

    /// It is tried again.
    pub(super) fn failed(&self, name: &ServerName, failing: Failing, error: &dyn fmt::Display) -> Action {
        self.meter.ended(Ending::Failed(failing));
        let kind = self.kind;
        let cause = match failing {
            Failing::Conflict => {
                tracing::debug!(kind, %name, %error, "read again");
                Cause::Conflict
            }
            // A renewal that came late leaves the term as it is; where the term is over, so is this queue.
            Failing::NotLeading => {
                tracing::debug!(kind, %name, %error, "looked at again in a moment");
                Cause::Unanswered
            }
            Failing::Unanswered | Failing::Internal => {
                tracing::warn!(kind, %name, %error, "could not be reconciled, trying again");
                Cause::Unanswered
            }
        };
        self.wait(name, cause)
    }

    /// It is gone.
    pub(super) fn forget(&self, name: &ServerName) {
        self.meter.forget(name);
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner).forget(name);
    }

    fn wait(&self, name: &ServerName, cause: Cause) -> Action {
        let mut backoff = self.backoff.lock().unwrap_or_else(PoisonError::into_inner);
        Action::requeue(backoff.apply(name.clone(), cause, Instant::now()))
    }
}

impl From<&WriteError> for Failing {
    fn from(error: &WriteError) -> Self {
        match error {
            WriteError::Outdated(_) => Self::Conflict,
            WriteError::NotLeading => Self::NotLeading,
            WriteError::Refused { .. } => Self::Unanswered,
        }
    }
}
