//! The parts of one repository: drafted one after the other, committed at once, opened as one pull request.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;

use super::{
    About, Brought, Member, Part, What, branch_id,
    places::{Homeless, Placed},
};
use crate::{
    api::{ChangeRequest, ChangeRequestStatus},
    audit::Line,
    caller::Caller,
    changes::{
        forge::{Committed, Forge, NewCommit, NewPullRequest, PullRequest, PullRequestState},
        layers::{self, Unmapped},
        request::{
            Home, Room,
            branch::{Push, settled},
            branch_of,
            draft::{self, Checking, Draft, Drafted},
            life::{Start, phase, start},
            problem::Problem,
            shelf::ShelfError,
            status, words,
        },
        source::Files,
        text::{Links, Story, Together},
    },
};

/// What every such pull request is labelled with.
const LABEL: &str = "emergency-reconcile";
/// Pull requests of one emergency in one repository, those that are over among them.
const MOST_TURNS: usize = 20;

type Results = Vec<(String, Result<Brought, String>)>;

/// A member with what becomes of the files for it.
pub(super) struct Ready {
    pub(super) member: Member,
    pub(super) draft: Draft,
}

/// The branch that is open for more, and what stands there.
struct Branch {
    id: String,
    name: String,
    head: Option<String>,
    pull_request: Option<PullRequest>,
}

impl Room {
    /// Brings all of them into Git: one pull request for each repository. Asked again with more, or with others, the
    /// open one is brought up to date.
    pub(in crate::changes) async fn together(
        &self,
        caller: &Caller,
        about: About<'_>,
        parts: Vec<Part>,
    ) -> Results {
        let mut results = Results::new();
        let mut members: BTreeMap<String, Vec<Member>> = BTreeMap::new();
        let mut nowhere: Vec<Homeless> = Vec::new();
        for part in parts {
            let key = part.key.clone();
            match self.placed(caller, about, part).await {
                Ok(Placed::In(member)) => {
                    members.entry(member.place.repository.name.clone()).or_default().push(*member);
                }
                Ok(Placed::Nowhere(homeless)) => nowhere.push(*homeless),
                Ok(Placed::Over(brought)) => results.push((key, Ok(brought))),
                Err(problem) => results.push((key, Err(problem.to_string()))),
            }
        }
        for homeless in nowhere {
            match self.proposals_go_to(members.keys()) {
                Some(home) => {
                    let member = homeless.settle(about, home);
                    members.entry(home.repository.name.clone()).or_default().push(member);
                }
                None => results.push((homeless.key, Ok(Brought::NeedsPerson(homeless.why)))),
            }
        }
        for (repository, members) in members {
            let keys: Vec<String> = members.iter().map(|member| member.key.clone()).collect();
            match self.bring(caller, about, &repository, members).await {
                Ok(brought) => results.extend(brought),
                Err(problem) => {
                    let why = problem.to_string();
                    results.extend(keys.into_iter().map(|key| (key, Err(why.clone()))));
                }
            }
        }
        results
    }

    /// The only repository of this emergency, or of the installation.
    fn proposals_go_to<'n>(&self, mut touched: impl Iterator<Item = &'n String>) -> Option<&Home> {
        match (touched.next(), touched.next(), self.homes.as_slice()) {
            (Some(only), None, _) => self.home(only),
            (None, _, [only]) => Some(only),
            _ => None,
        }
    }

    async fn bring(
        &self,
        caller: &Caller,
        about: About<'_>,
        repository: &str,
        members: Vec<Member>,
    ) -> Result<Results, Problem> {
        let home = self.home(repository).ok_or_else(|| {
            Problem::Asked(format!("repository {repository} is no longer configured: add it again"))
        })?;
        let _turn = self.turn(&branch_id(about.emergency, repository, 0)).await?;
        let mut members = members;
        for _ in 0..2 {
            match self.attempt_together(caller, about, home, members).await? {
                Attempted::Done(results) => return Ok(results),
                Attempted::Moved(left) => members = left,
            }
        }
        let branch = home.repository.branch.clone();
        Err(Problem::Moved { repository: repository.to_owned(), branch })
    }

    async fn attempt_together(
        &self,
        caller: &Caller,
        about: About<'_>,
        home: &Home,
        members: Vec<Member>,
    ) -> Result<Attempted, Problem> {
        if !self.lead.leads() {
            return Err(ShelfError::NotLeading.into());
        }
        let forge = home.forge.as_ref();
        let snapshot = forge.snapshot().await?;
        let mut results = Results::new();
        let mut files = snapshot.files.clone();
        let mut ready: Vec<Ready> = Vec::new();
        for member in members {
            let key = member.key.clone();
            match self.drafted(caller, home, &files, member).await? {
                Step::Ready(one) => {
                    files.extend(one.draft.files.clone());
                    ready.push(*one);
                }
                Step::Over(brought) => results.push((key, Ok(brought))),
            }
        }
        files.retain(|path, text| snapshot.files.get(path) != Some(text));
        if ready.is_empty() {
            return Ok(Attempted::Done(results));
        }
        let branch = free_branch(forge, about, &home.repository.name).await?;
        let shelved = self.of_branch(&branch.name).await?;
        let content = hex::encode(digest(&SHA256, json!(files).to_string().as_bytes()));
        let known = shelved.iter().map(status);
        let known = known.filter(|known| phase(known).is_open()).find(|known| !known.commit.is_empty());
        let known = known.unwrap_or_default();
        let at = (branch.name.as_str(), branch.head.as_deref());
        let push = settled(forge, at, (&snapshot, &files), (&known, &content)).await?;
        let base = snapshot.commit;
        let job = Job { home, about, caller, branch: &branch, base: &base };
        let commit = match push {
            Push::Foreign | Push::Unknown { .. } => {
                return Err(Problem::Asked(format!(
                    "branch {} of repository {} holds commits of somebody else: merge or close it, then the rest is proposed anew",
                    branch.name, home.repository.name
                )));
            }
            Push::Keep { commit } => commit,
            Push::Make { expected } => {
                self.audit.durable(job.line("change/push", "allowed", &ready, "")).await?;
                self.unsure(&shelved).await?;
                let message = self.told(job, &ready, |together| together.message());
                let commit =
                    NewCommit { branch: branch.name.clone(), parent: base.clone(), expected, files, message };
                let committed = forge.commit(&commit).await;
                match &committed {
                    Ok(Committed::Done { commit }) => {
                        self.queue(job.line("change/pushed", "done", &ready, commit))
                    }
                    Ok(Committed::Moved) => {}
                    Err(_) => self.queue(job.line("change/pushed", "failed", &ready, "")),
                }
                match committed? {
                    Committed::Done { commit } => commit,
                    Committed::Moved => {
                        let left = ready.into_iter().map(|ready| ready.member).collect();
                        return Ok(Attempted::Moved(left));
                    }
                }
            }
        };
        let opened = self.opened(job, &ready, &shelved, &commit, &content).await?;
        let at = opened.as_ref().map_or_else(|| branch.name.clone(), |opened| opened.url.clone());
        let now = ChangeRequestStatus {
            commit,
            content,
            pull_request: opened.as_ref().map(crate::changes::request::carry::reference),
            ..ChangeRequestStatus::default()
        };
        self.shelve(job, &now, &ready, &shelved).await?;
        results.extend(ready.into_iter().map(|Ready { member, .. }| {
            (member.key, Ok(Brought::Proposed { change: member.id, at: at.clone() }))
        }));
        Ok(Attempted::Done(results))
    }

    /// What becomes of one member on these files.
    async fn drafted(
        &self,
        caller: &Caller,
        home: &Home,
        files: &Files,
        member: Member,
    ) -> Result<Step, Problem> {
        let known = self.shelf.get(&member.id).await?;
        if let (Start::Closed, Some(closed)) = (start(known.as_ref().map(status).as_ref()), &known) {
            return Ok(Step::Over(Brought::NeedsPerson(words::closed(closed))));
        }
        let Member { id, intent, what, place, live, unmapped, .. } = &member;
        let cluster = self.cluster.as_deref();
        let checking = Checking { cluster, policies: &self.policies, caller };
        let planned = match (unmapped, what) {
            (Some(unmapped), _) => Err(unmapped.clone()),
            (None, What::Fields(_)) => {
                layers::plan(files, place, intent, live.as_ref(), &self.renderers).await
            }
            (None, What::Added(manifest)) => {
                layers::add(files, &place.repository, &intent.target, manifest, &self.renderers).await
            }
            (None, What::Removed) => {
                let removed = layers::remove(files, place, &intent.target, &self.renderers).await;
                if removed.as_ref().is_err_and(Unmapped::is_absent) {
                    return Ok(Step::Over(Brought::InGit));
                }
                removed
            }
        };
        let drafted = match planned {
            Ok(planned) => {
                match draft::of_plan(id, files, intent, (planned, live.as_ref()), checking).await {
                    Ok(Drafted::Ready(draft)) => Ok(*draft),
                    Ok(Drafted::Nothing { .. }) => return Ok(Step::Over(Brought::InGit)),
                    // What the cluster took breaks a rule of this installation: which of the two is right?
                    Err(Problem::Asked(why)) => Err(Unmapped::person("check", why)),
                    Err(problem) => return Err(problem),
                }
            }
            Err(unmapped) => Err(unmapped),
        };
        let draft = match drafted {
            Ok(draft) => draft,
            Err(unmapped) if home.forge.has_pull_requests() => for_a_person(&member, &unmapped),
            Err(unmapped) => return Ok(Step::Over(Brought::NeedsPerson(unmapped.to_string()))),
        };
        Ok(Step::Ready(Box::new(Ready { member, draft })))
    }

    async fn of_branch(&self, branch: &str) -> Result<Vec<ChangeRequest>, Problem> {
        let mut requests = self.shelf.list().await?.requests;
        requests.retain(|request| status(request).branch == branch);
        Ok(requests)
    }

    /// The pull request, opened or brought up to date; none where the repository has none.
    async fn opened(
        &self,
        job: Job<'_>,
        ready: &[Ready],
        shelved: &[ChangeRequest],
        commit: &str,
        content: &str,
    ) -> Result<Option<PullRequest>, Problem> {
        let forge = job.home.forge.as_ref();
        if !forge.has_pull_requests() {
            return Ok(None);
        }
        let is_said = |ready: &Ready| {
            shelved.iter().any(|request| {
                let now = status(request);
                super::super::id(request) == ready.member.id && now.content == content && now.commit == commit
            })
        };
        let title = self.told(job, ready, |together| together.title());
        let body = self.told(job, ready, |together| together.body());
        if let Some(open) = &job.branch.pull_request {
            if !ready.iter().all(is_said) {
                self.audit.durable(job.line("change/update", "allowed", ready, commit)).await?;
                forge.update(open.number, &title, &body).await?;
            }
            return Ok(Some(open.clone()));
        }
        self.audit.durable(job.line("change/open", "allowed", ready, commit)).await?;
        let mut labels = job.home.repository.labels.clone();
        labels.push(LABEL.to_owned());
        if ready.iter().any(|ready| ready.draft.needs_human_mapping) {
            labels.push("needs-human-mapping".to_owned());
        }
        let new = NewPullRequest { branch: job.branch.name.clone(), title, body, labels };
        let opened = forge.open(&new).await?;
        self.queue(job.line("change/opened", "done", ready, commit));
        Ok(Some(opened))
    }

    fn told(&self, job: Job<'_>, ready: &[Ready], say: impl Fn(&Together<'_>) -> String) -> String {
        let paths: Vec<Vec<String>> =
            ready.iter().map(|ready| ready.draft.files.keys().cloned().collect()).collect();
        let stories: Vec<Story<'_>> = ready
            .iter()
            .zip(&paths)
            .map(|(Ready { member, draft }, files)| Story {
                id: &member.id,
                intent: &member.intent,
                requested_by: &job.caller.user,
                changed: &draft.told.changed,
                files,
                layer: &draft.layer,
                evidence: &draft.told.evidence,
                before: &draft.told.before,
                after: &draft.told.after,
                checks: &draft.told.checks,
                pods: None,
                checkpoint: None,
                links: Links::default(),
            })
            .collect();
        let checkpoint = self.audit.checkpoint().map(|checkpoint| checkpoint.to_string());
        say(&Together {
            id: &job.branch.id,
            emergency: job.about.emergency,
            incident: job.about.incident,
            about: job.about.said,
            requested_by: &job.caller.user,
            stories: &stories,
            needs_human_mapping: ready.iter().any(|ready| ready.draft.needs_human_mapping),
            checkpoint: checkpoint.as_deref(),
        })
    }
}

enum Attempted {
    Done(Results),
    /// Somebody else was faster: what was read is old.
    Moved(Vec<Member>),
}

enum Step {
    Ready(Box<Ready>),
    Over(Brought),
}

/// One pull request that is being made.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) home: &'a Home,
    pub(super) about: About<'a>,
    pub(super) caller: &'a Caller,
    branch: &'a Branch,
    pub(super) base: &'a str,
}

impl Job<'_> {
    pub(super) fn branch(&self) -> &str {
        &self.branch.name
    }

    fn line(&self, action: &str, decision: &str, ready: &[Ready], commit: &str) -> Line {
        let files: std::collections::BTreeSet<&str> =
            ready.iter().flat_map(|ready| ready.draft.files.keys().map(String::as_str)).collect();
        let changes: Vec<&str> = ready.iter().map(|ready| ready.member.id.as_str()).collect();
        Line::now(self.caller, action, self.about.emergency, decision)
            .with("change", changes.join(", "))
            .with("repository", &self.home.repository.name)
            .with("branch", &self.branch.name)
            .with("base", self.base)
            .with("commit", commit)
            .with("file", files.into_iter().collect::<Vec<_>>().join(", "))
    }
}

/// The first one whose pull request is not over.
async fn free_branch(forge: &dyn Forge, about: About<'_>, repository: &str) -> Result<Branch, Problem> {
    for turn in 0..MOST_TURNS {
        let id = branch_id(about.emergency, repository, turn);
        let name = branch_of(&id);
        let found = forge.find(&name).await?;
        let is_over = found.as_ref().is_some_and(|found| found.state != PullRequestState::Open);
        if !is_over {
            let head = forge.head(&name).await?;
            let pull_request = found.filter(|_| forge.has_pull_requests());
            return Ok(Branch { id, name, head, pull_request });
        }
    }
    Err(Problem::Asked(format!(
        "emergency {} has had {MOST_TURNS} pull requests in repository {repository}: what is left needs a person",
        about.emergency
    )))
}

/// A file that says what a person must put in its place; of a new object, with its manifest.
fn for_a_person(member: &Member, unmapped: &Unmapped) -> Draft {
    let Member { id, intent, what, .. } = member;
    let wanted = match what {
        What::Fields(_) => String::new(),
        What::Added(manifest) => format!(
            "\n## The object as the cluster has it\n\n```yaml\n{}```\n",
            serde_saphyr::to_string(manifest).unwrap_or_default()
        ),
        What::Removed => format!(
            "\n## What was done\n\n{} was deleted in the cluster: remove it from here, or apply it again.\n",
            intent.target
        ),
    };
    draft::for_a_person(id, intent, unmapped).with_more(&wanted)
}
