//! From what a caller asks to the request that stands for it.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::{
    super::{
        edit::Edit,
        identity::{Intent, Target, clean},
        path::Step,
        understand::{self, Understood},
    },
    Place, Room,
    carry::{Carried, How, Load},
    draft, id,
    life::{Start, phase, start},
    problem::Problem,
    status, words,
};
use crate::{
    answer::Answer,
    api::{
        ChangeRequest, ChangeRequestSpec,
        change_request::{ChangePhase, ChangeTarget, FieldEdit},
    },
    audit::Line,
    caller::Caller,
    redact,
    tools::{Modification, Proposal},
};

/// What a request is about beside its intent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::changes) struct Cause {
    pub(in crate::changes) evidence: Vec<String>,
    pub(in crate::changes) emergency: Option<String>,
    /// The one that was rejected or withdrawn before.
    pub(in crate::changes) revises: Option<String>,
}

impl Room {
    pub(in crate::changes) async fn propose(&self, caller: &Caller, proposal: Proposal) -> Answer {
        let asked =
            format!("{} {}/{}", proposal.kind, proposal.namespace.as_deref().unwrap_or("-"), proposal.name);
        match self.try_propose(caller, proposal, Cause::default()).await {
            Ok((_, answer)) => answer,
            Err(problem) => self.refused(caller, "change/propose", &asked, "Nothing was proposed", &problem),
        }
    }

    /// Says and records why something was not done.
    pub(super) fn refused(
        &self,
        caller: &Caller,
        action: &str,
        asked: &str,
        what: &str,
        problem: &Problem,
    ) -> Answer {
        // What a parser or git quotes may be a secret.
        let problem = redact::text(&problem.to_string()).into_owned();
        let line = Line::now(caller, action, &clean(asked), "refused").with("reason", problem.as_str());
        if let Err(error) = self.audit.queue(line) {
            tracing::error!(%error, "a refused change is not in the audit record");
        }
        Answer::error(format!("{what}: {problem}."))
    }

    /// With the request's id.
    ///
    /// # Errors
    /// When nothing came of it; the request may stand as Failed.
    pub(in crate::changes) async fn try_propose(
        &self,
        caller: &Caller,
        proposal: Proposal,
        cause: Cause,
    ) -> Result<(String, Answer), Problem> {
        if let Some(access) = &self.access {
            access.sees_object(caller, &proposal).await.map_err(Problem::Asked)?;
        }
        let understood = understand::understood(caller, proposal, self.cluster.as_deref()).await;
        let Understood { intent, repository: wanted, live: _ } = understood.map_err(Problem::Asked)?;
        let place = self.choose(&intent.target, wanted.as_deref()).await?;
        let asked = intent.id(&place.repository.name);
        let asked = match &cause.revises {
            Some(before) => taken_up(&asked, before),
            None => asked,
        };
        // One that was revised into the same intent stands under another id.
        let id = self.revised_into(&asked).await?.unwrap_or(asked);
        let _turn = self.state.turns.take(&id).await;
        let mut stored = self.shelf.get(&id).await?;
        if start(stored.as_ref().map(status).as_ref()) == Start::Refresh
            && let Some(open) = stored.take()
        {
            // A person may have merged or closed it since the last look.
            stored = Some(self.look(open).await.0);
        }
        if let (Start::Closed, Some(closed)) = (start(stored.as_ref().map(status).as_ref()), &stored) {
            return Err(Problem::Closed(words::closed(closed)));
        }
        if let Some(known) = stored.as_ref().filter(|known| was_revised(known, &id)) {
            return Err(Problem::Asked(words::revised(known)));
        }
        let spec = spec(&intent, caller, &place.repository.name, cause);
        let load = Load { place, intent: &intent, caller, id: id.clone(), stored, spec, how: How::Ask };
        let carried = self.carry(load).await?;
        Ok((id.clone(), words::carried(&carried, &intent, &id, &place.repository)))
    }

    /// The open request that was revised until it asks for this.
    async fn revised_into(&self, asked: &str) -> Result<Option<String>, Problem> {
        let requests = self.shelf.list().await?.requests;
        let found = requests.iter().find(|known| {
            let status = status(known);
            status.intent == asked && id(known) != asked && phase(&status).is_open()
        });
        Ok(found.map(|known| id(known).to_owned()))
    }

    /// The repository that was named, the only one, or the only one that holds the object.
    pub(super) async fn choose(&self, target: &Target, wanted: Option<&str>) -> Result<&Place, Problem> {
        let names =
            || self.places.iter().map(|place| place.repository.name.as_str()).collect::<Vec<_>>().join(", ");
        match (wanted, self.places.as_slice()) {
            (_, []) => {
                return Err(Problem::Asked(
                    "no repository is configured: add one under changes.repositories in the configuration"
                        .to_owned(),
                ));
            }
            (Some(wanted), _) => {
                return self.place(wanted).ok_or_else(|| {
                    Problem::Asked(format!("there is no repository {wanted:?}; configured are {}", names()))
                });
            }
            (None, [only]) => return Ok(only),
            (None, _) => {}
        }
        let mut holding = Vec::new();
        for place in &self.places {
            // One that cannot be searched might hold it too: then the choice would be a guess.
            let snapshot = place.forge.snapshot().await?;
            if draft::holds(&place.repository, snapshot, target).await? {
                holding.push(place);
            }
        }
        match holding.as_slice() {
            [only] => Ok(only),
            [] => Err(Problem::Asked(format!(
                "{target} is in none of the repositories {}; name one with repository to see what was searched there",
                names()
            ))),
            several => {
                let several: Vec<_> = several.iter().map(|place| place.repository.name.as_str()).collect();
                Err(Problem::Asked(format!(
                    "{target} stands in several repositories ({}): name one with repository",
                    several.join(", ")
                )))
            }
        }
    }
}

/// The id of what takes up another request: the same intent may be asked for again under it.
fn taken_up(asked: &str, before: &str) -> String {
    let said = format!("{asked} after {before}");
    hex::encode(digest(&SHA256, said.as_bytes())).chars().take(asked.len()).collect()
}

/// Whether an open request asks for something else than its id stands for.
fn was_revised(known: &ChangeRequest, asked: &str) -> bool {
    let status = status(known);
    phase(&status).is_open()
        && status.phase != Some(ChangePhase::Drafted)
        && known.spec.revises.is_none()
        && !status.intent.is_empty()
        && status.intent != asked
        && id(known) == asked
}

/// Edits and reason come with the draft, which knows what of them is a secret.
fn spec(intent: &Intent, caller: &Caller, repository: &str, cause: Cause) -> ChangeRequestSpec {
    let Target { kind, group, namespace, name } = intent.target.clone();
    let Cause { evidence, emergency, revises } = cause;
    ChangeRequestSpec {
        target: ChangeTarget { kind, group, namespace, name },
        edits: Vec::new(),
        reason: intent.reason.clone(),
        evidence: evidence.iter().map(|one| redact::text(&clean(one)).into_owned()).collect(),
        requested_by: caller.user.clone(),
        repository: Some(repository.to_owned()),
        emergency,
        revises,
    }
}

/// The intent of a request that is on the shelf.
pub(super) fn intent_of(spec: &ChangeRequestSpec) -> Result<(Intent, Option<String>), Problem> {
    Intent::parse(proposal_of(spec), None).map_err(Problem::Asked)
}

pub(super) fn proposal_of(spec: &ChangeRequestSpec) -> Proposal {
    let ChangeTarget { kind, group, namespace, name } = spec.target.clone();
    Proposal {
        kind: group.map_or_else(|| kind.clone(), |group| format!("{kind}.{group}")),
        namespace,
        name,
        change: Modification::Edits(
            spec.edits
                .iter()
                .map(|edit| (edit.path.clone(), edit.new.clone().unwrap_or(Value::Null)))
                .collect(),
        ),
        reason: spec.reason.clone(),
        repository: spec.repository.clone(),
    }
}

/// The edits as they may be kept before their file was seen: numbers, flags and what stands where no secret does.
pub(super) fn unseen(intent: &Intent) -> Vec<FieldEdit> {
    const DOUBTFUL: [&str; 8] =
        ["env", "data", "stringData", "args", "command", "annotations", "value", "envFrom"];
    let keep = |Edit { path, new }: &Edit| {
        let is_doubtful = path
            .steps()
            .iter()
            .any(|step| matches!(step, Step::Key(key) if DOUBTFUL.contains(&key.as_str())));
        let is_plain = match new {
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
            Value::String(text) => !is_doubtful && redact::text(text) == *text,
            Value::Array(_) | Value::Object(_) => false,
        };
        let new = if is_plain { new.clone() } else { Value::from("<redacted:unseen>") };
        FieldEdit { path: path.to_string(), new: Some(new).filter(|new| !new.is_null()) }
    };
    intent.edits.iter().map(keep).collect()
}
