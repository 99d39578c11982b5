//! What a change makes of one state of a repository: the new files, and all that is said of them.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::{
    super::{
        checks::{self, Check, Outcome, policy::Policies},
        diff, edit,
        identity::Intent,
        layers::{self, Changed, Planned, Unmapped, Verified, WayOn},
        render::Renderers,
        shown::{self, Veil},
        source::{Files, Place},
        text::{self, Links, Story},
    },
    problem::Problem,
    progress::Stage,
    spec,
    told::Told,
};
use crate::{
    api::change_request::{ChangeCheck, ChangedField, ChangedFile, CheckOutcome, FieldEdit},
    caller::Caller,
    redact,
    tools::ClusterChecks,
};

/// Characters of a difference that are kept; the rest is in the branch.
const LONGEST: usize = 16_000;

/// Nothing in it is a secret but the texts of the files.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    /// New texts by path, as they are committed.
    pub(super) files: Files,
    pub(super) places: Vec<ChangedFile>,
    pub(super) fields: Vec<ChangedField>,
    /// What was asked, as it may be kept.
    pub(super) edits: Vec<FieldEdit>,
    pub(super) reason: String,
    pub(super) difference: String,
    pub(super) layer: String,
    pub(super) checks: Vec<ChangeCheck>,
    pub(super) risk: String,
    pub(super) notes: Vec<String>,
    pub(super) told: Told,
    pub(super) needs_human_mapping: bool,
    /// SHA-256 of `files`, hex.
    pub(super) content: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Drafted {
    Ready(Box<Draft>),
    /// Everything that was asked stands there already.
    Nothing {
        file: String,
    },
}

/// Where the object is looked for, and what it is like.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) place: &'a Place,
    /// As the cluster has it, where it could be read.
    pub(super) live: Option<&'a Value>,
    pub(super) renderers: &'a Renderers,
    /// Whether a person is shown a proposal file where nothing else is certain: a branch alone shows it to nobody.
    pub(super) has_pull_requests: bool,
}

/// What a draft is checked with.
#[derive(Clone, Copy)]
pub(super) struct Checking<'a> {
    pub(super) cluster: Option<&'a dyn ClusterChecks>,
    pub(super) policies: &'a Policies,
    pub(super) caller: &'a Caller,
}

/// # Errors
/// When there is no such change: a check failed, or the caller must ask otherwise.
pub(super) async fn make(
    id: &str,
    files: &Files,
    intent: &Intent,
    sight: Sight<'_>,
    checking: Checking<'_>,
) -> Result<Drafted, Problem> {
    let Sight { place, live, renderers, has_pull_requests } = sight;
    let repository = &place.repository;
    Stage::Render.begins();
    let planned = match layers::plan(files, place, intent, live, renderers).await {
        Ok(planned) => planned,
        Err(unmapped) if has_pull_requests && is_for_a_person(place, &unmapped) => {
            return Ok(Drafted::Ready(Box::new(for_a_person(id, intent, &unmapped))));
        }
        Err(unmapped) => {
            return Err(Problem::Unmapped { repository: repository.name.clone(), unmapped });
        }
    };
    of_plan(id, files, intent, (planned, live), checking).await
}

/// What a plan makes of the files, once it was checked; `live` is the object in the cluster.
///
/// # Errors
/// When a check failed.
pub(super) async fn of_plan(
    id: &str,
    files: &Files,
    intent: &Intent,
    (planned, live): (Planned, Option<&Value>),
    checking: Checking<'_>,
) -> Result<Drafted, Problem> {
    if planned.files.is_empty() {
        return Ok(Drafted::Nothing { file: planned.layer.file().to_owned() });
    }
    let Checking { cluster, policies, caller } = checking;
    Stage::Check.begins();
    let checks = checks::run(cluster, policies, caller, &planned.before, &planned.after).await;
    if let Some(why) = checks::stopped(&checks) {
        return Err(Problem::Asked(why));
    }
    let old = |path: &str| files.get(path).map(String::as_str).unwrap_or_default();
    let texts: Vec<_> = planned.files.iter().flat_map(|(path, text)| [old(path), text.as_str()]).collect();
    let veil = Veil::of(&texts);
    let difference: String =
        planned.files.iter().map(|(path, text)| diff::veiled(&veil, path, old(path), text)).collect();
    let Planned { files, changed, layer, before, after, evidence, notes, verified } = planned;
    let told = Told {
        changed: changed.iter().map(told).collect(),
        before,
        after,
        checks: [proven(&verified)].into_iter().chain(checks).collect(),
        evidence: evidence.clone(),
        pods: live.and_then(pods),
    };
    let paths: Vec<String> = files.keys().cloned().collect();
    let layer = layer.to_string();
    let story = Story {
        id,
        intent,
        requested_by: &caller.user,
        changed: &told.changed,
        files: &paths,
        layer: &layer,
        evidence: &[],
        before: &told.before,
        after: &told.after,
        checks: &told.checks,
        pods: told.pods,
        checkpoint: None,
        links: Links::default(),
    };
    let risk = veil.over(&text::risk_words(&story));
    let draft = Draft {
        places: lines(&files, &changed),
        fields: changed.iter().map(|changed| field(changed, &veil)).collect(),
        edits: kept(intent, &veil),
        reason: veil.over(&intent.reason),
        difference: cut(&difference),
        layer,
        checks: told.checks.iter().cloned().map(kept_check).collect(),
        risk,
        notes: evidence.into_iter().chain(notes).map(|note| veil.over(&note)).collect(),
        told,
        needs_human_mapping: false,
        content: String::new(),
        files,
    };
    Ok(Drafted::Ready(Box::new(draft.sealed())))
}

/// How many pods a workload is to have, by its live object: an autoscaler may have set another number than Git.
fn pods(live: &Value) -> Option<u32> {
    let count = match live["kind"].as_str()? {
        "DaemonSet" => live["status"]["desiredNumberScheduled"].as_u64()?,
        "Deployment" | "StatefulSet" => live["spec"]["replicas"].as_u64().unwrap_or(1),
        _ => return None,
    };
    u32::try_from(count).ok()
}

/// Whether it is certain that the object is maintained here: a proposal elsewhere would help nobody.
fn is_for_a_person(place: &Place, unmapped: &Unmapped) -> bool {
    unmapped.way_on == WayOn::Person && (unmapped.step != "find" || !place.evidence.is_empty())
}

/// A file that says what is wanted, where no change of the manifests is certain.
pub(super) fn for_a_person(id: &str, intent: &Intent, unmapped: &Unmapped) -> Draft {
    let (path, text) = layers::proposal_file(id, intent, unmapped);
    let veil = Veil::default();
    let edits = spec::unseen(intent);
    let fields = edits.iter().map(|edit| ChangedField {
        path: edit.path.clone(),
        before: None,
        after: edit.new.clone(),
    });
    Draft {
        places: vec![ChangedFile { path: path.clone(), lines: Vec::new() }],
        fields: fields.collect(),
        reason: veil.over(&intent.reason),
        difference: cut(&diff::veiled(&veil, &path, "", &text)),
        layer: "not known".to_owned(),
        checks: vec![ChangeCheck {
            name: unmapped.step.to_owned(),
            outcome: CheckOutcome::NotRun,
            said: redact::text(&unmapped.to_string()).into_owned(),
        }],
        risk: "Nothing was edited: a person puts the change where it belongs.".to_owned(),
        notes: vec![format!(
            "where this field is set is not certain ({}): the pull request holds a proposal that a person must map",
            redact::text(&unmapped.to_string())
        )],
        told: Told::default(),
        needs_human_mapping: true,
        content: String::new(),
        edits,
        files: Files::from([(path, text)]),
    }
    .sealed()
}

/// The files that change, each with its lines where they are known.
fn lines(files: &Files, changed: &[Changed]) -> Vec<ChangedFile> {
    let of = |path: &String| {
        let lines: BTreeSet<usize> = changed
            .iter()
            .filter(|changed| changed.layer.file() == path)
            .map(|changed| changed.line)
            .collect();
        let lines = lines.into_iter().filter_map(|line| i32::try_from(line).ok()).collect();
        ChangedFile { path: path.clone(), lines }
    };
    files.keys().map(of).collect()
}

fn proven(verified: &Verified) -> Check {
    let (name, said) = match verified {
        Verified::Rendered { by } => (
            "render",
            format!("Rendered before and after with {by}: the difference is exactly what was asked."),
        ),
        Verified::ProvenEdit => {
            ("edit", "The file was parsed again: nothing but the asked fields is another.".to_owned())
        }
    };
    Check { name: name.to_owned(), outcome: Outcome::Passed, said }
}

fn told(changed: &Changed) -> edit::Changed {
    let Changed { path, old, new, layer: _, line } = changed.clone();
    edit::Changed { path, old, new, line }
}

fn kept_check(check: Check) -> ChangeCheck {
    let Check { name, outcome, said } = check;
    let outcome = match outcome {
        Outcome::Passed => CheckOutcome::Passed,
        Outcome::Failed => CheckOutcome::Failed,
        Outcome::NotRun => CheckOutcome::NotRun,
    };
    ChangeCheck { name, outcome, said }
}

impl Draft {
    /// With more at the end of the file that is for a person.
    pub(super) fn with_more(mut self, text: &str) -> Self {
        for file in self.files.values_mut() {
            file.push_str(text);
        }
        self.sealed()
    }

    fn sealed(self) -> Self {
        let said = serde_json::json!(self.files).to_string();
        Self { content: hex::encode(digest(&SHA256, said.as_bytes())), ..self }
    }
}

fn field(changed: &Changed, veil: &Veil) -> ChangedField {
    let Changed { path, old, new, layer: _, line: _ } = changed;
    ChangedField {
        path: veil.over(&path.to_string()),
        before: old.clone(),
        after: Some(new.clone()).filter(|new| !new.is_null()),
    }
}

/// The edits without secrets.
fn kept(intent: &Intent, veil: &Veil) -> Vec<FieldEdit> {
    let edits = intent.edits.iter().map(|edit| FieldEdit {
        path: veil.over(&edit.path.to_string()),
        new: Some(veiled(&edit.new, veil)).filter(|new| !new.is_null()),
    });
    edits.collect()
}

fn veiled(value: &Value, veil: &Veil) -> Value {
    match value {
        Value::String(text) => Value::String(veil.over(text)),
        Value::Array(items) => Value::Array(items.iter().map(|item| veiled(item, veil)).collect()),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (veil.over(key), veiled(value, veil)));
            let mut shown = shown::document(&Value::Object(fields.collect()));
            redact::value(&mut shown);
            shown
        }
        other => other.clone(),
    }
}

fn cut(difference: &str) -> String {
    let mut shown: String = difference.chars().take(LONGEST).collect();
    if shown.len() < difference.len() {
        shown.push_str("\n… the rest is in the branch.\n");
    }
    shown
}
