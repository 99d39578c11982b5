//! What a change makes of one state of a repository: the new files, and all that is said of them.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::{
    super::{
        checks::{self, Check, Outcome, policy::Policies},
        config::Repository,
        diff, documents,
        edit::{self, Changed, EditError},
        fit,
        forge::Snapshot,
        identity::{Intent, Target},
        shown::{self, Veil},
        source::{self, File, Hit, SourceError},
    },
    problem::Problem,
};
use crate::{
    api::change_request::{ChangeCheck, ChangedField, ChangedFile, CheckOutcome, FieldEdit},
    caller::Caller,
    tools::ClusterChecks,
};

/// Characters of a difference that are kept; the rest is in the branch.
const LONGEST: usize = 16_000;

/// Nothing in it is a secret but the texts of the files.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    /// New texts by path, as they are committed.
    pub(super) files: BTreeMap<String, String>,
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

/// Whether the object stands in the repository; for choosing among several.
pub(super) async fn holds(
    repository: &Repository,
    snapshot: Snapshot,
    target: &Target,
) -> Result<bool, Problem> {
    match find(repository, snapshot, target).await {
        Ok(_) => Ok(true),
        Err(Problem::Source { source: SourceError::None { .. }, .. }) => Ok(false),
        // It is there in some way; the attempt that follows says in which.
        Err(Problem::Source { .. }) => Ok(true),
        Err(problem) => Err(problem),
    }
}

async fn find(repository: &Repository, snapshot: Snapshot, target: &Target) -> Result<(File, Hit), Problem> {
    let charts: BTreeSet<_> = snapshot.files.keys().filter_map(|path| source::chart(path)).collect();
    let (wanted, name) = (target.clone(), repository.name.clone());
    let (prefix, namespace) = (repository.prefix.clone(), repository.namespace.clone());
    apart(move || {
        let files = snapshot.files.into_iter();
        let mut files: Vec<_> = files
            .filter(|(path, _)| source::is_read(path, &prefix))
            .map(|(path, text)| File { path, text })
            .collect();
        let hit = source::find(&files, &charts, &wanted, &prefix, namespace.as_deref())
            .map_err(|source| Problem::Source { repository: name, source })?;
        Ok((files.swap_remove(hit.file), hit))
    })
    .await?
}

/// Runs what may take a second with large files where it holds up nobody.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// What a draft is checked with.
#[derive(Clone, Copy)]
pub(super) struct Checking<'a> {
    pub(super) cluster: Option<&'a dyn ClusterChecks>,
    pub(super) policies: &'a Policies,
    pub(super) caller: &'a Caller,
}

pub(super) async fn make(
    repository: &Repository,
    snapshot: Snapshot,
    intent: &Intent,
    checking: Checking<'_>,
) -> Result<Drafted, Problem> {
    let (file, hit) = find(repository, snapshot, &intent.target).await?;
    let (text, edits) = (file.text.clone(), intent.edits.clone());
    let (edited, notes) = apart(move || {
        let notes = documents::read(&text).map_err(EditError::from).and_then(|documents| match documents
            .get(hit.document)
        {
            Some(document) => fit::check(&document.value, &edits).map_err(EditError::Refused),
            None => Ok(Vec::new()),
        })?;
        Ok((edit::apply(&text, hit.document, &edits)?, notes))
    })
    .await?
    .map_err(|source| Problem::Edit {
        repository: repository.name.clone(),
        file: file.path.clone(),
        source: Box::new(source),
    })?;
    if edited.changed.is_empty() {
        return Ok(Drafted::Nothing { file: file.path });
    }
    let namespace = intent.target.namespace.as_deref();
    let checks = checked(checking, (&file.text, &edited.text), hit.document, namespace).await?;
    if let Some(why) = checks::stopped(&checks) {
        return Err(Problem::Asked(why));
    }
    let veil = Veil::of(&[&file.text, &edited.text]);
    let lines: BTreeSet<usize> = edited.changed.iter().map(|changed| changed.line).collect();
    let lines = lines.into_iter().filter_map(|line| i32::try_from(line).ok()).collect();
    let difference = diff::veiled(&veil, &file.path, &file.text, &edited.text);
    let draft = Draft {
        places: vec![ChangedFile { path: file.path.clone(), lines }],
        fields: edited.changed.iter().map(|changed| field(changed, &veil)).collect(),
        edits: kept(intent, &veil),
        reason: veil.over(&intent.reason),
        difference: cut(&difference),
        layer: "plain manifest".to_owned(),
        checks: [proven()].into_iter().chain(checks.into_iter().map(kept_check)).collect(),
        risk: String::new(),
        notes,
        needs_human_mapping: false,
        content: String::new(),
        files: BTreeMap::from([(file.path, edited.text)]),
    };
    Ok(Drafted::Ready(Box::new(draft.sealed())))
}

/// The checks of a plain manifest: what it says before and after is what will be applied.
async fn checked(
    checking: Checking<'_>,
    (before, after): (&str, &str),
    document: usize,
    namespace: Option<&str>,
) -> Result<Vec<Check>, Problem> {
    let Checking { cluster, policies, caller } = checking;
    let object = |text: &str| -> Result<Vec<Value>, Problem> {
        let documents = documents::read(text).map_err(|error| Problem::Asked(error.to_string()))?;
        let mut object = documents.into_iter().nth(document).map(|found| found.value).unwrap_or_default();
        if let (Some(namespace), Some(metadata)) = (namespace, object["metadata"].as_object_mut()) {
            metadata.entry("namespace").or_insert_with(|| namespace.into());
        }
        Ok(vec![object])
    };
    Ok(checks::run(cluster, policies, caller, &object(before)?, &object(after)?).await)
}

fn proven() -> ChangeCheck {
    ChangeCheck {
        name: "edit".to_owned(),
        outcome: CheckOutcome::Passed,
        said: "The file was parsed again: nothing but the asked fields is another.".to_owned(),
    }
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
    fn sealed(self) -> Self {
        let said = serde_json::json!(self.files).to_string();
        Self { content: hex::encode(digest(&SHA256, said.as_bytes())), ..self }
    }
}

fn field(changed: &Changed, veil: &Veil) -> ChangedField {
    let Changed { path, old, new, line: _ } = changed;
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
            crate::redact::value(&mut shown);
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
