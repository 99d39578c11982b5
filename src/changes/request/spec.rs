//! A request's spec: from an intent, and back to one.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::{
    super::{
        config::Repository,
        edit::Edit,
        identity::{Intent, Target, clean},
        path::Step,
    },
    id,
    problem::Problem,
};
use crate::{
    api::{
        ChangeRequest, ChangeRequestSpec,
        change_request::{ChangeTarget, FieldEdit},
    },
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

/// The id of what takes up another request: the same intent may be asked for again under it.
pub(super) fn taken_up(asked: &str, before: &str) -> String {
    let said = format!("{asked} after {before}");
    hex::encode(digest(&SHA256, said.as_bytes())).chars().take(asked.len()).collect()
}

/// One that was made with kubectl stands under the id of its intent and beside its object, as ours do.
///
/// # Errors
/// When it does not.
pub(super) fn is_as_we_make_it(
    request: &ChangeRequest,
    intent: &Intent,
    repository: &Repository,
    place: &str,
) -> Result<(), Problem> {
    let asked = intent.id(&repository.name);
    let expected = match &request.spec.revises {
        Some(before) => taken_up(&asked, before),
        None => asked,
    };
    if id(request) != expected {
        return Err(Problem::Asked(format!(
            "the name of this ChangeRequest must be {expected}, the id of what it asks: delete it and make the same again under that name, or let propose_change make it"
        )));
    }
    if intent.target.namespace.is_none() || request.metadata.namespace.as_deref() == Some(place) {
        return Ok(());
    }
    Err(Problem::Asked(format!(
        "the ChangeRequest of such an object stands in namespace {place}: delete it and make it there"
    )))
}

/// Edits and reason come with the draft, which knows what of them is a secret.
pub(super) fn spec(intent: &Intent, caller: &Caller, repository: &str, cause: Cause) -> ChangeRequestSpec {
    let Target { kind, group, namespace, name } = intent.target.clone();
    let Cause { evidence, emergency, revises } = cause;
    ChangeRequestSpec {
        target: ChangeTarget { kind, group, namespace, name },
        edits: Vec::new(),
        whole: None,
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
