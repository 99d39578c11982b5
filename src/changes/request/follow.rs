//! What happens by itself while this process leads: open requests are looked after, unfinished ones finished.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Room,
    carried::Carried,
    carry::{How, Load},
    conditions::{said, set, time},
    id,
    keeping::Write,
    life::{Duty, duty},
    pace::{Agenda, Came},
    problem::Problem,
    shelf::ShelfError,
    spec, status,
};
use crate::{
    api::{
        ChangeRequest,
        change_request::{ChangeCondition, ChangePhase},
    },
    caller::Caller,
};

/// Requests that are looked at at the same time.
const TOGETHER: usize = 4;

impl Room {
    /// Until `cancel`; what is under way is finished.
    pub(in crate::changes) async fn follow(self: Arc<Self>, cancel: CancellationToken) {
        let mut agenda = Agenda::new(self.every);
        let pause = (self.every / 4).clamp(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            if self.lead.leads() {
                self.round(&mut agenda).await;
            } else {
                // Another replica looks after them and counts them; what this one knew is old when it leads again.
                self.counting.standing(&ChangePhase::ALL.map(|phase| (phase, 0)));
                agenda.keep(|_| false);
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn round(&self, agenda: &mut Agenda) {
        let requests = match self.shelf.list().await {
            Ok(listed) => listed.requests,
            Err(error) => {
                tracing::warn!(%error, "the change requests cannot be listed, trying again");
                return;
            }
        };
        self.count(&requests);
        let followed: Vec<_> =
            requests.into_iter().filter(|request| duty(&status(request)) != Duty::None).collect();
        agenda.keep(|known| followed.iter().any(|request| id(request) == known));
        let now = Instant::now();
        let due: Vec<_> = followed.into_iter().filter(|request| agenda.is_due(id(request), now)).collect();
        let looked: Vec<_> = stream::iter(due)
            .map(|request| async move {
                let name = id(&request).to_owned();
                let came = self.attend(request).await;
                (name, came)
            })
            .buffer_unordered(TOGETHER)
            .collect()
            .await;
        for (name, came) in looked {
            if let Some(came) = came {
                agenda.apply(&name, came, Instant::now());
            }
        }
    }

    /// Nothing while a caller is at it.
    async fn attend(&self, request: ChangeRequest) -> Option<Came> {
        let _turn = self.try_turn(id(&request)).await?;
        // As it is now that nobody else is at it.
        let request = self.shelf.get(id(&request)).await.ok()??;
        Some(match duty(&status(&request)) {
            Duty::None => Came::Same,
            Duty::Finish => self.finish(request).await,
            Duty::Forge | Duty::Cluster => self.look(request).await.1,
        })
    }

    /// Goes on with one that was written down, by this process or by one that has ended.
    async fn finish(&self, request: ChangeRequest) -> Came {
        let problem = match self.try_finish(&request).await {
            Ok(Carried::Kept { .. }) => return Came::Failed,
            Ok(Carried::Nothing { file, .. }) => Problem::Asked(format!(
                "{} is in {file} as asked already, so nothing is proposed",
                request.spec.target
            )),
            Ok(_) => return Came::Changed,
            // What stopped it stands in its status, or passes.
            Err(Problem::Forge(_) | Problem::Moved { .. } | Problem::Audit(_)) => return Came::Failed,
            Err(Problem::Shelf(ShelfError::Outdated(_) | ShelfError::NotLeading)) => return Came::Failed,
            Err(Problem::Limit { .. }) => return Came::Failed,
            Err(problem) => problem,
        };
        self.fail(request, &problem.to_string()).await;
        Came::Changed
    }

    async fn try_finish(&self, request: &ChangeRequest) -> Result<Carried, Problem> {
        let (intent, wanted) = spec::intent_of(&request.spec)?;
        let known = status(request);
        let name = Some(known.repository.as_str()).filter(|name| !name.is_empty()).or(wanted.as_deref());
        let caller = Caller { user: request.spec.requested_by.clone(), ..Caller::process() };
        let ground = self.ground(&caller, &intent.target, name).await?;
        if request.status.is_none() {
            let place = self.place_of(&request.spec.target);
            spec::is_as_we_make_it(request, &intent, &ground.place.repository, place)?;
        }
        let load = Load {
            home: self.home_of(&ground.place.repository)?,
            place: &ground.place,
            live: ground.live.as_ref(),
            intent: &intent,
            caller: &caller,
            id: id(request).to_owned(),
            stored: Some(request.clone()),
            spec: request.spec.clone(),
            how: How::Finish,
        };
        self.carry(load).await
    }

    async fn fail(&self, request: ChangeRequest, why: &str) {
        let mut now = status(&request);
        let at = Timestamp::now();
        now.phase = Some(ChangePhase::Failed);
        now.times.ended = Some(time(at));
        set(&mut now, ChangeCondition::Proposed, false, "NotPossible", why, at);
        now.message = said(&format!("It was not proposed: {why}."));
        let before = request.status.clone();
        let failed = ChangeRequest { status: Some(now), ..request };
        if let Err(error) = self.keep(before.as_ref(), &failed, Write::Status).await {
            tracing::warn!(%error, "why a change could not be proposed is not kept");
        }
    }
}
