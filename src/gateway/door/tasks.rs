//! Requests about a task: they go where it was begun, since another pod may not know of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{Door, Refusal, too_slow};
use crate::gateway::{
    Request,
    activity::Call,
    link::Link,
    rounds::{OfTask, Unanswered},
    wire::{Era, Raw, RpcError, Up},
};

impl Door {
    /// A legacy task belongs to a session, which has its seat; any pod is asked when the task's own is gone.
    pub(super) async fn of_task(
        &self,
        of: &OfTask,
        request: &Request,
        call: &mut Call<'_>,
        up: &mpsc::Sender<Up>,
        (limit, kind): (Duration, &str),
    ) -> Result<Result<Raw, RpcError>, Refusal> {
        let there = self.at(&of.task.place).filter(|_| request.era == Era::Modern);
        let Some(link) = there else { return self.answer(request, None, call, up, (limit, kind)).await };
        let _turn = self.turn(limit).await?;
        let server = &link.place.server;
        call.goes_to(server);
        let Some(leave) = self.breakers.enter(server, Instant::now()) else { return Err(self.broken()) };
        let outcome = self.rounds.ask(&link, request, up, limit).await;
        self.learn(server, Some(leave), &outcome, (&request.method, limit));
        match outcome {
            Ok(answer) => Ok(answer),
            Err(Unanswered::TooSlow) => Ok(Err(too_slow(request, kind, limit))),
            Err(Unanswered::Fault(fault)) => Err(Refusal::Fault(fault)),
        }
    }

    /// An open connection to that place.
    fn at(&self, place: &str) -> Option<Arc<Link>> {
        let links = self.links.borrow();
        let resting = self.resting.borrow();
        let is_there = |link: &&Arc<Link>| {
            !link.is_dead() && !resting.contains(&link.place.server) && link.place.mark() == place
        };
        links.open.iter().find(is_there).cloned()
    }
}
