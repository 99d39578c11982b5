//! From an intent to a branch: find, edit, write down, record, push. Nothing here decides by guessing; every step
//! that is not certain ends with a sentence.

use std::{collections::BTreeSet, path::Path};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    checks::{self, policy::Policies},
    config::Repository,
    diff, documents,
    edit::{self, Changed, EditError},
    fit,
    git::{GitError, Snapshot, TreeFile},
    identity::{Intent, Target},
    message,
    record::{EditRecord, Record, State, Store, StoreError},
    shown::Veil,
    source::{self, File, Hit, SourceError},
    text::{self, Links, Story},
};
use crate::{
    answer::Answer,
    audit::{Audit, AuditError, Line},
    caller::Caller,
    tools::ClusterChecks,
};

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Asked(String),
    #[error("in repository {repository}, {source}")]
    Source { repository: String, source: SourceError },
    #[error("in {file} of repository {repository}, {source}")]
    Edit { repository: String, file: String, source: Box<EditError> },
    #[error("reading the YAML files was interrupted ({0}): ask again, and report it when it happens twice")]
    Interrupted(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(
        "branch {branch} of repository {repository} moved twice while the change was made: ask again when it is quiet"
    )]
    Moved { repository: String, branch: String },
}

/// Where the work is done and what it leaves.
pub(super) struct Desk<'a> {
    pub(super) store: &'a Store,
    pub(super) audit: &'a Audit,
    /// For private working folders.
    pub(super) work: &'a Path,
    pub(super) cluster: Option<&'a dyn ClusterChecks>,
    pub(super) policies: &'a Policies,
}

/// The document in one fetched state of a repository.
struct Found<'r> {
    snapshot: Snapshot<'r>,
    tree: TreeFile,
    file: File,
    hit: Hit,
}

/// Whether the object stands in the repository; for choosing among several.
pub(super) async fn holds(
    desk: &Desk<'_>,
    repository: &Repository,
    target: &Target,
) -> Result<bool, Problem> {
    match find(desk, repository, target).await {
        Ok(_) => Ok(true),
        Err(Problem::Source { source: SourceError::None { .. }, .. }) => Ok(false),
        // It is there in some way; the attempt that follows says in which.
        Err(Problem::Source { .. }) => Ok(true),
        Err(problem) => Err(problem),
    }
}

async fn find<'r>(
    desk: &Desk<'_>,
    repository: &'r Repository,
    target: &Target,
) -> Result<Found<'r>, Problem> {
    let snapshot = Snapshot::fetch(repository, desk.work).await?;
    let tree = snapshot.files().await?;
    let charts: BTreeSet<_> = tree.iter().filter_map(|file| source::chart(&file.path)).collect();
    let wanted: Vec<_> = tree.iter().filter(|file| source::is_read(&file.path, &repository.prefix)).collect();
    let texts = snapshot.read(&wanted).await?;
    let files: Vec<_> =
        wanted.iter().zip(texts).map(|(file, text)| File { path: file.path.clone(), text }).collect();
    let (wanted_target, name) = (target.clone(), repository.name.clone());
    let (prefix, namespace) = (repository.prefix.clone(), repository.namespace.clone());
    let (hit, mut files) = apart(move || {
        let hit = source::find(&files, &charts, &wanted_target, &prefix, namespace.as_deref());
        (hit, files)
    })
    .await?;
    let hit = hit.map_err(|source| Problem::Source { repository: name, source })?;
    let tree = wanted[hit.file].clone();
    let file = files.swap_remove(hit.file);
    Ok(Found { snapshot, tree, file, hit })
}

/// Runs what may take a second with large files where it holds up nobody.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// Makes the change in one repository. The caller holds that repository's lock.
pub(super) async fn run(
    desk: &Desk<'_>,
    repository: &Repository,
    intent: &Intent,
    caller: &Caller,
) -> Result<Answer, Problem> {
    for _ in 0..2 {
        match attempt(desk, repository, intent, caller).await? {
            Attempt::Done(answer) => return Ok(answer),
            Attempt::Moved => {
                tracing::info!(repository = %repository.name, "the base moved; trying once more")
            }
        }
    }
    Err(Problem::Moved { repository: repository.name.clone(), branch: repository.branch.clone() })
}

enum Attempt {
    Done(Answer),
    /// Somebody else was faster: what was read is no longer what stands there.
    Moved,
}

async fn attempt(
    desk: &Desk<'_>,
    repository: &Repository,
    intent: &Intent,
    caller: &Caller,
) -> Result<Attempt, Problem> {
    let Found { snapshot, tree, file, hit } = find(desk, repository, &intent.target).await?;
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
    let id = intent.id(&repository.name);
    let earlier = desk.store.get(&id)?;
    if edited.changed.is_empty() {
        return Ok(Attempt::Done(message::nothing_to_do(&message::There {
            intent,
            id: &id,
            repository: &repository.name,
            branch: &repository.branch,
            commit: &snapshot.commit,
            file: &file.path,
            earlier: earlier.as_ref(),
        })));
    }
    let namespace = intent.target.namespace.as_deref();
    let object = |text: &str| object(text, hit.document, namespace);
    let objects = (object(&file.text)?, object(&edited.text)?);
    let checks = checks::run(desk.cluster, desk.policies, caller, &objects.0, &objects.1).await;
    if let Some(why) = checks::stopped(&checks) {
        return Err(Problem::Asked(why));
    }
    let branch = format!("pilothouse/{id}");
    let heads = snapshot.heads(&branch).await?;
    if heads.base.as_ref() != Some(&snapshot.commit) {
        return Ok(Attempt::Moved);
    }
    let veil = Veil::of(&[&file.text, &edited.text]);
    let mut record = Record {
        id: id.clone(),
        state: State::Drafted,
        target: intent.target.to_string(),
        edits: edited.changed.iter().map(|changed| edit_record(changed, &veil)).collect(),
        reason: veil.over(&intent.reason),
        requested_by: caller.user.clone(),
        at: Timestamp::now(),
        repository: repository.name.clone(),
        base_branch: repository.branch.clone(),
        base_commit: snapshot.commit.clone(),
        branch: branch.clone(),
        commit: String::new(),
        file: file.path.clone(),
        line: edited.changed.iter().map(|changed| changed.line).min().unwrap_or(1),
        lines: edited
            .changed
            .iter()
            .map(|changed| changed.line)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        diff: diff::veiled(&veil, &file.path, &file.text, &edited.text),
        problem: String::new(),
    };
    if let Some(head) = heads.change {
        let record = take_over(desk, earlier, record, head)?;
        return Ok(Attempt::Done(message::already(&record)));
    }
    let files = [file.path.clone()];
    let text = text::commit_message(&Story {
        id: &id,
        intent,
        requested_by: &caller.user,
        changed: &edited.changed,
        files: &files,
        layer: "the plain manifest, read again after the edit",
        evidence: &[],
        before: &objects.0,
        after: &objects.1,
        checks: &checks,
        pods: None,
        checkpoint: None,
        links: Links::default(),
    });
    record.commit = snapshot.commit(&tree, &edited.text, &text).await?;
    desk.store.put(&record)?;
    // The promise: the line is on disk before anything leaves this process.
    desk.audit.durable(line(intent, &record, caller, "change/push", "allowed")).await?;
    match snapshot.push(&record.commit, &branch).await {
        Ok(()) => {}
        Err(GitError::Raced { .. }) => return Ok(Attempt::Moved),
        Err(error) => {
            record.state = State::Failed;
            record.problem = error.to_string();
            desk.store.put(&record)?;
            desk.audit.queue(line(intent, &record, caller, "change/pushed", "failed"))?;
            return Err(error.into());
        }
    }
    record.state = State::Proposed;
    // The branch is there whatever comes of these two: the answer must say so, and a repeat finds it.
    if let Err(error) = desk.store.put(&record) {
        tracing::error!(%error, change = %id, "the change was pushed but not kept");
    }
    if let Err(error) = desk.audit.queue(line(intent, &record, caller, "change/pushed", "done")) {
        tracing::error!(%error, change = %id, "the change was pushed; its end is not in the audit record");
    }
    Ok(Attempt::Done(message::proposed(&record, &notes)))
}

/// A plain manifest is what will be applied.
fn object(text: &str, document: usize, namespace: Option<&str>) -> Result<Vec<Value>, Problem> {
    let documents = documents::read(text).map_err(|error| Problem::Asked(error.to_string()))?;
    let mut object = documents.into_iter().nth(document).map(|found| found.value).unwrap_or_default();
    if let (Some(namespace), Some(metadata)) = (namespace, object["metadata"].as_object_mut()) {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
    }
    Ok(vec![object])
}

/// The branch is in the repository already: keep what is known of it, or what can be told from here when another
/// replica, or a process that has lost its data, made it.
fn take_over(desk: &Desk<'_>, earlier: Option<Record>, now: Record, head: String) -> Result<Record, Problem> {
    let record = match earlier {
        Some(earlier) if earlier.state == State::Proposed => return Ok(earlier),
        Some(earlier) => Record { state: State::Proposed, commit: head, problem: String::new(), ..earlier },
        None => Record {
            state: State::Proposed,
            commit: head,
            requested_by: "somebody through another pilothouse (see the commit's Requested-By)".to_owned(),
            ..now
        },
    };
    desk.store.put(&record)?;
    Ok(record)
}

fn edit_record(changed: &Changed, veil: &Veil) -> EditRecord {
    let Changed { path, old, new, line: _ } = changed;
    EditRecord {
        path: veil.over(&path.to_string()),
        old: old.clone().unwrap_or(Value::Null),
        new: new.clone(),
    }
}

fn line(intent: &Intent, record: &Record, caller: &Caller, action: &str, decision: &str) -> Line {
    Line {
        arguments_digest: Some(intent.digest(&record.repository)),
        ..Line::now(caller, action, &record.target, decision)
            .with("change", &record.id)
            .with("repository", &record.repository)
            .with("branch", &record.branch)
            .with("commit", &record.commit)
            .with("file", &record.file)
    }
}
