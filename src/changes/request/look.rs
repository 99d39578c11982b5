//! One look at what became of a request, and keeping what was seen.

use std::{collections::HashMap, sync::PoisonError, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    super::forge::{Forge, ForgeError, PullRequest, PullRequestState},
    Home, Room,
    delivery::{self, Applier, Delivered},
    id,
    keeping::Write,
    life::{self, Act, Duty, Next, Seen},
    pace::Came,
    shelf::ShelfError,
    status, story,
};
use crate::{
    api::{
        ChangeRequest, ChangeRequestStatus,
        change_request::{ChangePhase, ChangeTarget},
    },
    audit::Line,
    caller::Caller,
    tools::{Sought, Trace},
};

/// What was seen, owned.
enum View {
    PullRequest(PullRequest),
    Gone,
    BaseRewritten,
    Cluster(Delivered),
    Trouble(ForgeError),
    /// Nobody can be asked.
    Nothing,
}

impl Room {
    /// Looks where the request's phase says, as often as that leads on, and keeps what changed. Answers the request as
    /// it is then.
    pub(super) async fn look(&self, request: ChangeRequest) -> (ChangeRequest, Came) {
        let mut request = request;
        let mut came = Came::Same;
        // A merge may have been applied long ago: each phase is passed through.
        for _ in 0..3 {
            let before = status(&request);
            let view = self.view(&request, &before).await;
            let failed = matches!(view, View::Trouble(_));
            let Some(Next { status, acts }) = self.next(&request, &before, &view) else { break };
            if status != before {
                match self.keep_seen(&request, status, &acts).await {
                    Ok(kept) => request = kept,
                    Err(ShelfError::Outdated(_)) => {
                        tracing::debug!(change = id(&request), "changed meanwhile, looked at again later");
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(%error, change = id(&request), "what became of the change is not kept");
                        return (request, Came::Failed);
                    }
                }
                came = Came::Changed;
            }
            if failed {
                came = Came::Failed;
            }
            let then = life::duty(&super::status(&request));
            if failed || then == life::duty(&before) || then == Duty::None {
                break;
            }
        }
        self.looked_at(id(&request));
        (request, came)
    }

    /// As [`Self::look`], unless somebody has looked within `age`, or this process does not lead.
    pub(super) async fn fresh(&self, request: ChangeRequest, age: Duration) -> ChangeRequest {
        let is_fresh = self.looks().get(id(&request)).is_some_and(|at| at.elapsed() < age);
        let followed = match life::duty(&status(&request)) {
            Duty::Forge | Duty::Cluster => true,
            Duty::Finish => false,
            // A person may have opened it again.
            Duty::None => status(&request).phase == Some(ChangePhase::Rejected),
        };
        if is_fresh || !followed || !self.lead.leads() {
            return request;
        }
        let Some(_turn) = self.try_turn(id(&request)).await else { return request };
        self.look(request).await.0
    }

    fn looks(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.state.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looked_at(&self, id: &str) {
        let mut looks = self.looks();
        looks.retain(|_, at| at.elapsed() < Duration::from_secs(60));
        looks.insert(id.to_owned(), Instant::now());
    }

    fn next(&self, request: &ChangeRequest, before: &ChangeRequestStatus, view: &View) -> Option<Next> {
        let seen = match view {
            View::PullRequest(pull_request) => Seen::PullRequest(pull_request),
            View::Gone => Seen::Gone,
            View::BaseRewritten => Seen::BaseRewritten,
            View::Cluster(delivered) => Seen::Cluster(delivered),
            View::Trouble(error) => Seen::Trouble(error),
            View::Nothing => return None,
        };
        Some(life::next(&request.spec, before, seen, &self.people, Timestamp::now()))
    }

    async fn view(&self, request: &ChangeRequest, now: &ChangeRequestStatus) -> View {
        let Some(home) = self.home(&now.repository) else {
            return View::Trouble(ForgeError::Missing(format!(
                "repository {} is no longer configured: add it again, or withdraw the change by hand",
                now.repository
            )));
        };
        match life::duty(now) {
            Duty::Cluster => self.cluster(home, request, now).await,
            Duty::Forge | Duty::None => reviewed(home, now).await.unwrap_or_else(View::Trouble),
            Duty::Finish => View::Nothing,
        }
    }

    async fn cluster(&self, home: &Home, request: &ChangeRequest, now: &ChangeRequestStatus) -> View {
        let forge = home.forge.as_ref();
        match base_holds(forge, &now.base_branch, &now.merged_commit).await {
            Ok(false) => return View::BaseRewritten,
            Ok(true) => {}
            Err(error) => tracing::debug!(%error, change = id(request), "the base is not looked at"),
        }
        let Some(outcomes) = &self.outcomes else { return View::Nothing };
        let target = &request.spec.target;
        let outcome = match outcomes.outcome(target).await {
            Ok(outcome) => outcome,
            Err(why) => {
                tracing::debug!(why, change = id(request), "the object is not looked at");
                return View::Nothing;
            }
        };
        let appliers = self.appliers(target).await;
        let synced = synced(forge, &appliers, &now.merged_commit).await;
        let synced = synced.as_deref();
        View::Cluster(match request.spec.whole {
            Some(whole) => delivery::judge_whole(target, whole, &outcome, synced),
            None => delivery::judge(target, &request.spec.edits, &outcome, &appliers, synced),
        })
    }

    /// How far those are that apply the object.
    async fn appliers(&self, target: &ChangeTarget) -> Vec<Applier> {
        let Some(finder) = &self.finder else { return Vec::new() };
        match finder.trace(&Caller::process(), &sought(target)).await {
            Ok(Trace { origins, .. }) => {
                let known = origins.iter().filter_map(|origin| Some((&origin.by, origin.applier.as_ref()?)));
                known.flat_map(|(by, applier)| delivery::appliers(by, applier)).collect()
            }
            Err(why) => {
                tracing::debug!(why, %target, "what applies it is not known");
                Vec::new()
            }
        }
    }

    async fn keep_seen(
        &self,
        request: &ChangeRequest,
        mut now: ChangeRequestStatus,
        acts: &[Act],
    ) -> Result<ChangeRequest, ShelfError> {
        now.observed_generation = request.metadata.generation.or(now.observed_generation);
        let update = ChangeRequest { status: Some(now.clone()), ..request.clone() };
        let kept = self.keep(request.status.as_ref(), &update, Write::Status).await?;
        for act in acts {
            match act {
                Act::Note(phase) => self.note(request, &now, *phase),
                Act::Comment(text) => self.comment(request, &now, text).await,
            }
        }
        Ok(kept)
    }

    fn note(&self, request: &ChangeRequest, now: &ChangeRequestStatus, phase: ChangePhase) {
        tracing::info!(change = id(request), %phase, message = %now.message, "a change went on");
        let line = own_line(&request.spec.target, id(request), "change/seen", phase.as_str(), now);
        if let Err(error) = self.audit.queue(line) {
            tracing::error!(%error, change = id(request), "what became of a change is not in the audit record");
        }
    }

    /// A line that cannot be written is lost: the request says the same.
    async fn comment(&self, request: &ChangeRequest, now: &ChangeRequestStatus, said: &str) {
        let Some(number) = number(now) else { return };
        let Some(home) = self.home(&now.repository) else { return };
        let line = own_line(&request.spec.target, id(request), "change/comment", "allowed", now);
        if let Err(error) = self.audit.durable(line).await {
            tracing::warn!(%error, change = id(request), "the pull request is not told");
            return;
        }
        if let Err(error) = home.forge.comment(number, &story::plain_line(said)).await {
            tracing::warn!(%error, change = id(request), "the pull request is not told");
        }
    }
}

pub(super) fn sought(target: &ChangeTarget) -> Sought {
    let ChangeTarget { kind, group, namespace, name } = target;
    let kind = group.as_ref().map_or_else(|| kind.clone(), |group| format!("{kind}.{group}"));
    Sought { kind, namespace: namespace.clone(), name: name.clone() }
}

pub(super) fn number(now: &ChangeRequestStatus) -> Option<u64> {
    now.pull_request.as_ref().and_then(|known| u64::try_from(known.number).ok())
}

/// Of what nobody asked for.
fn own_line(
    target: &ChangeTarget,
    id: &str,
    action: &str,
    decision: &str,
    now: &ChangeRequestStatus,
) -> Line {
    let caller = Caller { user: "pilothouse".to_owned(), ..Caller::process() };
    Line::now(&caller, action, &target.to_string(), decision)
        .with("change", id)
        .with("repository", &now.repository)
        .with("branch", &now.branch)
        .with("commit", if now.merged_commit.is_empty() { &now.commit } else { &now.merged_commit })
}

async fn reviewed(home: &Home, now: &ChangeRequestStatus) -> Result<View, ForgeError> {
    let forge = home.forge.as_ref();
    let found = match number(now) {
        Some(number) => Some(forge.get(number).await?),
        None => forge.find(&now.branch).await?,
    };
    let Some(found) = found else { return Ok(View::Gone) };
    match (&found.state, forge.has_pull_requests()) {
        (PullRequestState::Closed { .. }, false) => return Ok(View::Gone),
        (PullRequestState::Open, _) => {}
        _ => return Ok(View::PullRequest(found)),
    }
    match base_holds(forge, &now.base_branch, &now.base_commit).await {
        Ok(false) => Ok(View::BaseRewritten),
        Ok(true) | Err(ForgeError::Unsupported(_)) => Ok(View::PullRequest(found)),
        Err(error) => Err(error),
    }
}

/// Whether the base branch holds the commit; one that is not known is not looked for.
async fn base_holds(forge: &dyn Forge, base: &str, commit: &str) -> Result<bool, ForgeError> {
    if commit.is_empty() {
        return Ok(true);
    }
    let Some(head) = forge.head(base).await? else {
        return Err(ForgeError::Missing(format!(
            "branch {base} is not there any more: check the repository"
        )));
    };
    if head == commit {
        return Ok(true);
    }
    match forge.contains(&head, commit).await {
        // It was thrown away with what held it.
        Err(ForgeError::Missing(_)) => Ok(false),
        held => held,
    }
}

/// The applier that has applied the merged commit.
async fn synced(forge: &dyn Forge, appliers: &[Applier], merged: &str) -> Option<String> {
    for Applier { by, revision, .. } in appliers.iter().filter(|applier| applier.has_applied) {
        let Some(commit) = delivery::commit_of(revision) else { continue };
        if commit == merged || matches!(forge.contains(commit, merged).await, Ok(true)) {
            return Some(by.clone());
        }
    }
    None
}
