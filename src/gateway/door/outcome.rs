//! What the outcome of a request says: of its server, and whether the request may be sent again.

use std::time::{Duration, Instant};

use super::{Door, Refusal};
use crate::gateway::{
    Request,
    breaker::{Circuit, Leave},
    downstream::ServerName,
    repair,
    rounds::Unanswered,
    wire::text::Fields,
};

impl Door {
    /// Several failures running close the way to the server for a while.
    pub(super) fn learn<T>(
        &self,
        server: &ServerName,
        leave: Option<Leave<'_>>,
        outcome: &Result<T, Unanswered>,
        (method, limit): (&str, Duration),
    ) {
        match outcome {
            Ok(_) => drop(leave.map(Leave::answered)),
            Err(Unanswered::TooSlow) => {
                let reason = format!("{method} was not answered within {limit:?}");
                self.breakers.failed(server, &reason, Instant::now());
            }
            Err(Unanswered::Fault(fault)) if fault.speaks_of_server() => {
                self.breakers.failed(server, &fault.reason(), Instant::now());
            }
            Err(Unanswered::Fault(_)) => {}
        }
    }

    pub(super) fn broken(&self) -> Refusal {
        let reason = match self.breakers.circuit() {
            Circuit::Open { reason } | Circuit::Degraded { reason } => reason,
            Circuit::Closed => "it has just answered again".to_owned(),
        };
        Refusal::Broken { reason }
    }

    /// Whether it does no harm to send this again, although the server may have acted on it.
    pub(super) fn may_repeat(&self, request: &Request) -> bool {
        let tool = Fields::of(request.params.as_deref()).ok().and_then(|params| params.get_str("name"));
        let server = &request.server;
        let tool = tool.and_then(|tool| self.board.look(|registry| registry.definition(server, &tool)));
        repair::is_repeatable(&request.method, tool.as_deref())
    }
}
