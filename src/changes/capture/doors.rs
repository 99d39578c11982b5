//! Where sightings come in from outside: they are handed over and looked at later, so that nobody who brings one waits.
//! What does not fit is counted and dropped; the watch sees the write all the same.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use subtle::ConstantTimeEq;
use tokio::sync::mpsc;

use super::metrics::Metrics;

/// Questions that wait to be looked at.
pub(super) const QUESTIONS: usize = 512;
/// Posts of audit events that wait to be looked at.
pub(super) const POSTS: usize = 16;

/// What came in.
#[derive(Debug)]
pub(super) enum Brought {
    Question(Bytes),
    Events(Bytes),
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Doors {
    questions: mpsc::Sender<Brought>,
    posts: mpsc::Sender<Brought>,
    token_file: Option<Arc<PathBuf>>,
    metrics: Metrics,
}

/// What becomes of a post of audit events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    Taken,
    /// None are taken here: no token is configured.
    Closed,
    /// The token is missing or another, or ours cannot be read.
    Refused,
    /// Too much is waiting: to be sent again in a while.
    Full,
}

impl Doors {
    pub(super) fn new(
        questions: mpsc::Sender<Brought>,
        posts: mpsc::Sender<Brought>,
        token_file: Option<PathBuf>,
        metrics: Metrics,
    ) -> Self {
        Self { questions, posts, token_file: token_file.map(Arc::new), metrics }
    }

    /// An AdmissionReview, as the API server sent it. Returns at once.
    pub fn question(&self, body: Bytes) {
        if self.questions.try_send(Brought::Question(body)).is_err() {
            self.metrics.dropped("webhook");
        }
    }

    /// Whether whoever posts with this `Authorization` may.
    pub fn admits(&self, authorization: Option<&str>) -> Reception {
        let Some(file) = &self.token_file else { return Reception::Closed };
        let ours = match std::fs::read_to_string(file.as_path()) {
            Ok(ours) if !ours.trim().is_empty() => ours,
            Ok(_) => {
                tracing::warn!(file = %file.display(), "the token of emergency.auditEvents is empty: no audit events are taken");
                return Reception::Refused;
            }
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "the token of emergency.auditEvents cannot be read: no audit events are taken");
                return Reception::Refused;
            }
        };
        let theirs = authorization.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let is_ours: bool = theirs.trim().as_bytes().ct_eq(ours.trim().as_bytes()).into();
        if is_ours { Reception::Taken } else { Reception::Refused }
    }

    /// Audit events of somebody who was admitted.
    pub fn events(&self, body: Bytes) -> Reception {
        if self.posts.try_send(Brought::Events(body)).is_ok() {
            return Reception::Taken;
        }
        self.metrics.dropped("audit_events");
        Reception::Full
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use tokio::sync::mpsc;

    use super::{Doors, Reception};
    use crate::changes::capture::metrics::Metrics;

    #[test]
    fn whoever_brings_the_token_posts_until_too_much_waits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let (questions, _kept) = mpsc::channel(1);
        let (posts, mut waiting) = mpsc::channel(1);
        let doors = Doors::new(questions, posts, Some(file.clone()), Metrics::default());
        assert_eq!(doors.admits(Some("Bearer x")), Reception::Refused, "there is no token yet");
        std::fs::write(&file, "right\n").unwrap();
        for (authorization, expected) in [
            (None, Reception::Refused),
            (Some("Bearer "), Reception::Refused),
            (Some("Bearer wrong"), Reception::Refused),
            (Some("right"), Reception::Refused),
            (Some("Bearer right"), Reception::Taken),
        ] {
            assert_eq!(doors.admits(authorization), expected, "{authorization:?}");
        }
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(doors.admits(Some("Bearer ")), Reception::Refused, "an empty token is none");
        assert_eq!(doors.events(Bytes::new()), Reception::Taken);
        assert_eq!(doors.events(Bytes::new()), Reception::Full);
        assert!(waiting.try_recv().is_ok());
        assert_eq!(doors.events(Bytes::new()), Reception::Taken);
        for _ in 0..3 {
            doors.question(Bytes::new());
        }
        assert_eq!(doors.metrics.dropped_so_far("webhook"), 2);
    }
}
