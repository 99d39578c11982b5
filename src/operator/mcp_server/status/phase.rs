//! The whole in one word.

use super::{
    Situation,
    available::{Availability, Progress},
};
use crate::api::mcp_server::Phase;

/// What the gateway found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    Yes,
    No,
    NotYet,
}

pub(super) fn phase(situation: &Situation<'_>, availability: &Availability, answers: Answers) -> Phase {
    let is_remote = matches!(situation, Situation::Remote { .. });
    match (availability.progress, availability.serves) {
        (Progress::Stopped, _) => Phase::Stopped,
        (Progress::Stuck, false) => Phase::Failed,
        (Progress::Stuck | Progress::Troubled, true) | (Progress::Unanswering, _) => Phase::Degraded,
        (Progress::NotStarted, _) => Phase::Pending,
        (Progress::UnderWay | Progress::Troubled, _) => Phase::Deploying,
        (Progress::Done, _) => match answers {
            Answers::Yes => Phase::Ready,
            Answers::No => Phase::Degraded,
            Answers::NotYet if is_remote => Phase::Pending,
            Answers::NotYet => Phase::Deploying,
        },
    }
}
