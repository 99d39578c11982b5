//! Takes one request into its repository: read, draft, write down, record, commit, open, write down.
//!
//! Whatever stops it, asking again or the next look goes on from what is there: the branch's name is the request's id,
//! so the repository itself says how far it came.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    super::{
        config::Repository,
        forge::{Committed, ForgeError, NewCommit, NewPullRequest, PullRequest, PullRequestState},
        identity::Intent,
        shown,
        source::Place,
    },
    Home, Room,
    branch::{Push, settled},
    branch_of,
    carried::Carried,
    conditions::{said, set, time},
    draft::{self, Checking, Draft, Drafted, Sight},
    keeping::Write,
    life::trouble,
    problem::Problem,
    progress::Stage,
    shelf::ShelfError,
    spec, status,
    story::Texts,
};
use crate::{
    api::{
        ChangeRequest, ChangeRequestSpec, ChangeRequestStatus,
        change_request::{ChangeCondition, ChangePhase, PullRequestRef},
    },
    audit::Line,
    caller::Caller,
};

/// What is to be carried.
pub(super) struct Load<'a> {
    pub(super) home: &'a Home,
    /// Where in its repository the object may be.
    pub(super) place: &'a Place,
    /// As the cluster has it, where it could be read.
    pub(super) live: Option<&'a Value>,
    pub(super) intent: &'a Intent,
    pub(super) caller: &'a Caller,
    pub(super) id: String,
    /// As it is on the shelf.
    pub(super) stored: Option<ChangeRequest>,
    /// As it shall be; edits and reason are those of the intent.
    pub(super) spec: ChangeRequestSpec,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Somebody asks, for the first time or once more.
    Ask,
    /// Somebody gives an open one another intent.
    Revise,
    /// Nobody waits for it.
    Finish,
}

impl Room {
    /// The caller holds the turn of this id.
    pub(super) async fn carry(&self, mut load: Load<'_>) -> Result<Carried, Problem> {
        for _ in 0..2 {
            if let Some(carried) = self.attempt(&mut load).await? {
                return Ok(carried);
            }
            tracing::info!(change = %load.id, "the repository or the request moved; trying once more");
            load.stored = self.shelf.get(&load.id).await?;
        }
        let repository = &load.home.repository;
        Err(Problem::Moved { repository: repository.name.clone(), branch: repository.branch.clone() })
    }

    /// Nothing: somebody else was faster, what was read is old.
    async fn attempt(&self, load: &mut Load<'_>) -> Result<Option<Carried>, Problem> {
        let (home, intent) = (load.home, load.intent);
        let forge = home.forge.as_ref();
        Stage::Read.begins();
        let snapshot = match forge.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => return self.stopped(load, error).await.map(Some),
        };
        let base = snapshot.commit.clone();
        let cluster = self.cluster.as_deref();
        let checking = Checking { cluster, policies: &self.policies, caller: load.caller };
        let (place, live, renderers) = (load.place, load.live, &self.renderers);
        let sight = Sight { place, live, renderers, has_pull_requests: forge.has_pull_requests() };
        let draft = match draft::make(&load.id, &snapshot.files, intent, sight, checking).await? {
            Drafted::Ready(draft) => draft,
            Drafted::Nothing { file } => {
                let earlier = load.stored.take().map(Box::new);
                return Ok(Some(Carried::Nothing { file, commit: base, earlier }));
            }
        };
        load.spec.edits.clone_from(&draft.edits);
        load.spec.reason.clone_from(&draft.reason);
        let name = branch_of(&load.id);
        let head = match forge.head(&name).await {
            Ok(head) => head,
            Err(error) => return self.stopped(load, error).await.map(Some),
        };
        let mut now = load.stored.as_ref().map(status).unwrap_or_default();
        let was_open = matches!(now.phase, Some(ChangePhase::Proposed | ChangePhase::Approved));
        let branch = (name.as_str(), head.as_deref());
        let wanted = (&snapshot, &draft.files);
        let mut push = match settled(forge, branch, wanted, (&now, &draft.content)).await {
            Ok(push) => push,
            Err(error) => return self.stopped(load, error).await.map(Some),
        };
        let mut opened = None;
        if !was_open && forge.has_pull_requests() {
            let found = match forge.find(&name).await {
                Ok(found) => found,
                Err(error) => return self.stopped(load, error).await.map(Some),
            };
            match found.as_ref().map(|found| &found.state) {
                Some(PullRequestState::Closed { by })
                    if load.stored.is_none() && found.as_ref().is_some_and(|found| !found.is_withdrawn()) =>
                {
                    return Err(Problem::Closed(closed(&load.id, found.as_ref(), by.as_deref())));
                }
                Some(PullRequestState::Merged { .. }) if head.is_some() => {
                    push = Push::Make { expected: head.clone() };
                }
                Some(PullRequestState::Open) => opened = found,
                _ => {}
            }
        }
        if push == Push::Foreign {
            let request = load.stored.clone();
            return match (load.how, request) {
                (How::Ask, Some(request)) if was_open => {
                    let note =
                        format!("{name} holds commits of somebody else since: they are left as they are");
                    Ok(Some(Carried::Already { request: Box::new(request), note: Some(note) }))
                }
                _ => Err(Problem::Asked(format!(
                    "branch {name} of repository {} holds commits of somebody else: let them finish it, or remove the branch and ask again",
                    home.repository.name
                ))),
            };
        }
        if let (true, Push::Keep { .. }, How::Ask, Some(request)) = (was_open, &push, load.how, &load.stored)
        {
            return Ok(Some(Carried::Already { request: Box::new(request.clone()), note: None }));
        }
        describe(&mut now, &draft, &home.repository, &base, &name);
        now.intent = intent.id(&home.repository.name);
        if load.how == How::Revise {
            now.revision = now.revision.saturating_add(1);
        }
        // Who only asks for an open one once more changes nothing of it.
        if load.how == How::Revise || (load.how == How::Ask && !was_open) {
            self.note_askers(&mut now, load.stored.as_ref(), &load.spec, load.caller).await?;
        }
        if !was_open {
            now.phase = Some(ChangePhase::Drafted);
            now.message.clear();
        }
        Stage::Record.begins();
        let mut request = match self.write_down(load, now, was_open).await {
            Ok(request) => request,
            Err(Problem::Shelf(ShelfError::Outdated(_))) => return Ok(None),
            Err(problem) => return Err(problem),
        };
        load.stored = Some(request.clone());
        let mut now = status(&request);
        // Somebody else, or this process before it ended, may have done all of it.
        let mut did = false;
        match push {
            Push::Keep { commit } => now.commit = commit,
            Push::Make { expected } => {
                let commit = NewCommit {
                    branch: name.clone(),
                    parent: base.clone(),
                    expected,
                    files: draft.files.clone(),
                    message: String::new(),
                };
                did = true;
                Stage::Commit.begins();
                self.about_to(load, "change/push", &now).await?;
                let message = self.texts(load, &draft).commit();
                let commit = NewCommit { message, ..commit };
                match forge.commit(&commit).await {
                    Ok(Committed::Done { commit }) => {
                        now.commit = commit;
                        self.noted(load, "change/pushed", "done", &now);
                    }
                    Ok(Committed::Moved) => return Ok(None),
                    Err(error) => {
                        self.noted(load, "change/pushed", "failed", &now);
                        return self.stopped(load, error).await.map(Some);
                    }
                }
            }
            Push::Foreign | Push::Unknown { .. } => return Ok(None),
        }
        now.content.clone_from(&draft.content);
        did |= forge.has_pull_requests() && opened.is_none();
        match self.open(load, &draft, &mut now, opened).await {
            Ok(()) => {}
            Err(Problem::Forge(error)) => {
                // The commit is there: whoever goes on must know it for ours.
                if let Some(stored) = load.stored.as_mut() {
                    stored.status = Some(ChangeRequestStatus { pull_request: None, ..now });
                }
                return self.stopped(load, error).await.map(Some);
            }
            Err(problem) => return Err(problem),
        }
        let base_branch = &home.repository.branch;
        proposed(&mut now, was_open, base_branch, forge.has_pull_requests());
        let before = request.status.replace(now);
        // It is there whatever comes of this: the answer must say so, and asking again finds it.
        match self.keep(before.as_ref(), &request, Write::Status).await {
            Ok(stored) => request = stored,
            Err(error) => tracing::error!(%error, change = %load.id, "the change was proposed but not kept"),
        }
        let request = Box::new(request);
        Ok(Some(match (was_open, did) {
            (true, _) => Carried::Updated { request, notes: draft.notes },
            (false, true) => Carried::Proposed { request, notes: draft.notes },
            (false, false) => Carried::Already { request, note: None },
        }))
    }

    /// On the shelf, before anything leaves this process.
    async fn write_down(
        &self,
        load: &Load<'_>,
        now: ChangeRequestStatus,
        was_open: bool,
    ) -> Result<ChangeRequest, Problem> {
        let _admission = self.state.admission.lock().await;
        if !was_open && load.spec.emergency.is_none() {
            self.has_room(load).await?;
        }
        let mut now = now;
        if now.times.drafted.is_none() {
            now.times.drafted = Some(time(Timestamp::now()));
        }
        self.put(load, now).await
    }

    async fn put(&self, load: &Load<'_>, now: ChangeRequestStatus) -> Result<ChangeRequest, Problem> {
        if !self.lead.leads() {
            return Err(ShelfError::NotLeading.into());
        }
        let Some(stored) = &load.stored else {
            let mut request = ChangeRequest::new(&load.id, load.spec.clone());
            request.metadata.namespace = Some(self.place_of(&load.spec.target).to_owned());
            request.status = Some(now);
            return Ok(self.keep(None, &request, Write::New).await?);
        };
        let before = stored.status.as_ref();
        let mut request = ChangeRequest { status: Some(now), ..stored.clone() };
        if request.spec == load.spec {
            return Ok(self.keep(before, &request, Write::Status).await?);
        }
        // Who asked first stays the requester.
        let requested_by = std::mem::take(&mut request.spec.requested_by);
        request.spec = ChangeRequestSpec { requested_by, ..load.spec.clone() };
        Ok(self.keep(before, &request, Write::Spec).await?)
    }

    async fn open(
        &self,
        load: &Load<'_>,
        draft: &Draft,
        now: &mut ChangeRequestStatus,
        opened: Option<PullRequest>,
    ) -> Result<(), Problem> {
        let home = load.home;
        let forge = home.forge.as_ref();
        if !forge.has_pull_requests() {
            return Ok(());
        }
        Stage::Open.begins();
        let (title, body) = self.texts(load, draft).pull_request();
        let known = now.pull_request.as_ref().and_then(|known| u64::try_from(known.number).ok());
        let is_open = matches!(now.phase, Some(ChangePhase::Proposed | ChangePhase::Approved));
        match (known.filter(|_| is_open), opened) {
            (Some(number), _) => {
                self.about_to(load, "change/update", now).await?;
                forge.update(number, &title, &body).await?;
            }
            (None, Some(found)) => now.pull_request = Some(reference(&found)),
            (None, None) => {
                self.about_to(load, "change/open", now).await?;
                let mut labels = home.repository.labels.clone();
                if draft.needs_human_mapping {
                    labels.push("needs-human-mapping".to_owned());
                }
                let new = NewPullRequest { branch: now.branch.clone(), title, body, labels };
                now.pull_request = Some(reference(&forge.open(&new).await?));
                self.noted(load, "change/opened", "done", now);
            }
        }
        Ok(())
    }

    /// With the newest checkpoint of the audit record, which covers the line that was written last.
    fn texts<'t>(&self, load: &'t Load<'_>, draft: &'t Draft) -> Texts<'t> {
        let kept = match &load.stored {
            Some(stored) => (&stored.spec, stored.metadata.namespace.as_deref()),
            None => (&load.spec, None),
        };
        let checkpoint = self.audit.checkpoint().map(|checkpoint| checkpoint.to_string());
        Texts::of(&load.id, load.intent, draft, kept, checkpoint)
    }

    /// Keeps what a forge that does not do its part leaves behind.
    ///
    /// # Errors
    /// When it cannot go on by itself.
    async fn stopped(&self, load: &mut Load<'_>, error: ForgeError) -> Result<Carried, Problem> {
        let mut now = load.stored.as_ref().map(status).unwrap_or_default();
        if matches!(now.phase, Some(ChangePhase::Proposed | ChangePhase::Approved)) {
            return Err(error.into());
        }
        let repository = &load.home.repository;
        if load.stored.is_none() && load.spec.edits.is_empty() {
            // Nothing of the repository was seen: what of the values is a secret there is not known.
            load.spec.edits = spec::unseen(load.intent);
        }
        let whole = load.spec.edits.iter().all(|edit| {
            !edit.new.as_ref().is_some_and(shown::holds_placeholder) && !edit.path.contains("<redacted:")
        });
        let waits = matches!(error, ForgeError::Unavailable(_)) && whole;
        let at = Timestamp::now();
        now.phase = Some(if waits { ChangePhase::Drafted } else { ChangePhase::Failed });
        now.repository.clone_from(&repository.name);
        now.base_branch.clone_from(&repository.branch);
        now.branch = branch_of(&load.id);
        now.intent = load.intent.id(&repository.name);
        now.times.drafted.get_or_insert_with(|| time(at));
        now.times.ended = (!waits).then(|| time(at));
        let word = trouble(&error);
        let why = error.to_string();
        set(&mut now, ChangeCondition::Reachable, false, word, &why, at);
        set(&mut now, ChangeCondition::Proposed, false, word, &why, at);
        now.message = said(&if waits {
            format!("It is not in the repository yet: {why}. It goes on by itself once that works.")
        } else {
            format!("It did not get into the repository: {why}. Then propose the same change again.")
        });
        match self.put(load, now).await {
            Ok(request) if waits => return Ok(Carried::Kept { request: Box::new(request), why }),
            Ok(_) => {}
            Err(problem) => {
                tracing::error!(%problem, change = %load.id, "what stopped the change is not kept")
            }
        }
        Err(error.into())
    }

    /// The promise: the line is on disk before anything leaves this process.
    async fn about_to(
        &self,
        load: &Load<'_>,
        action: &str,
        now: &ChangeRequestStatus,
    ) -> Result<(), Problem> {
        if !self.lead.leads() {
            return Err(ShelfError::NotLeading.into());
        }
        Ok(self.audit.durable(line(load, action, "allowed", now)).await?)
    }

    fn noted(&self, load: &Load<'_>, action: &str, decision: &str, now: &ChangeRequestStatus) {
        self.queue(line(load, action, decision, now));
    }

    /// What came of something whose beginning is on disk.
    pub(super) fn queue(&self, line: Line) {
        if let Err(error) = self.audit.queue(line) {
            tracing::error!(%error, "what came of a change is not in the audit record");
        }
    }
}

fn line(load: &Load<'_>, action: &str, decision: &str, now: &ChangeRequestStatus) -> Line {
    let Load { home, intent, caller, id, spec, .. } = load;
    let files: Vec<_> = now.files.iter().map(|file| file.path.as_str()).collect();
    Line {
        arguments_digest: Some(intent.digest(&home.repository.name)),
        ..Line::now(caller, action, &spec.target.to_string(), decision)
            .with("change", id)
            .with("repository", &home.repository.name)
            .with("branch", &now.branch)
            .with("base", &now.base_commit)
            .with("commit", &now.commit)
            .with("file", files.join(", "))
    }
}

pub(super) fn describe(
    now: &mut ChangeRequestStatus,
    draft: &Draft,
    repository: &Repository,
    base: &str,
    branch: &str,
) {
    let Draft {
        files: _,
        places,
        fields,
        edits: _,
        reason: _,
        difference,
        layer,
        checks,
        risk,
        notes: _,
        told: _,
        needs_human_mapping,
        content: _,
    } = draft;
    now.repository.clone_from(&repository.name);
    now.base_branch.clone_from(&repository.branch);
    base.clone_into(&mut now.base_commit);
    branch.clone_into(&mut now.branch);
    now.files.clone_from(places);
    now.fields.clone_from(fields);
    now.difference.clone_from(difference);
    now.layer.clone_from(layer);
    now.checks.clone_from(checks);
    now.risk.clone_from(risk);
    now.needs_human_mapping = *needs_human_mapping;
}

pub(super) fn proposed(now: &mut ChangeRequestStatus, was_open: bool, base: &str, has_pull_requests: bool) {
    let at = Timestamp::now();
    if !was_open {
        now.times.proposed = Some(time(at));
        now.times.ended = None;
        now.times.merged = None;
        now.times.applied = None;
        now.times.verified = None;
        now.merged_commit.clear();
        now.conditions.retain(|known| known.type_ == ChangeCondition::Reachable.as_str());
    }
    // Whatever was approved was something else.
    now.phase = Some(ChangePhase::Proposed);
    now.times.approved = None;
    now.approved_by.clear();
    now.self_approved = false;
    let where_ = match &now.pull_request {
        Some(PullRequestRef { url, .. }) => url.clone(),
        None => now.branch.clone(),
    };
    let what = if has_pull_requests { "" } else { "branch " };
    let message = format!("It is for review in {what}{where_}.");
    set(now, ChangeCondition::Proposed, true, "Open", &message, at);
    set(now, ChangeCondition::Reachable, true, "Answers", "The repository answers.", at);
    now.message = said(&format!("{message} Next: a person reviews it and merges it into {base}."));
}

pub(super) fn reference(pull_request: &PullRequest) -> PullRequestRef {
    PullRequestRef {
        number: i64::try_from(pull_request.number).unwrap_or(i64::MAX),
        url: pull_request.url.clone(),
    }
}

fn closed(id: &str, found: Option<&PullRequest>, by: Option<&str>) -> String {
    let by = by.unwrap_or("a person");
    let url = found.map_or("its pull request", |found| found.url.as_str());
    format!(
        "change {id} was closed by {by} without being merged ({url}) and is not opened again: look there why, and propose something else"
    )
}
