//! From an intent to a branch: find, edit, write down, record, push. Nothing here decides by guessing; every step
//! that is not certain ends with a sentence.

use std::{collections::BTreeSet, path::Path};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    config::Repository,
    diff,
    git::{GitError, Snapshot},
    identity::{Intent, Target},
    layers::{self, Changed, Planned, Unmapped},
    message,
    record::{EditRecord, Record, State, Store, StoreError},
    render::Renderers,
    shown::Veil,
    source::{self, Files, Place},
};
use crate::{
    answer::Answer,
    audit::{Audit, AuditError, Line},
    caller::Caller,
};

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Asked(String),
    #[error("in repository {repository}, {unmapped}")]
    Unmapped { repository: String, unmapped: Unmapped },
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
    pub(super) renderers: &'a Renderers,
}

/// One fetched state of a repository, and what is planned in it.
struct Found<'r> {
    snapshot: Snapshot<'r>,
    files: Files,
}

/// Whether the object is in the place's repository; for choosing among several.
pub(super) async fn holds(desk: &Desk<'_>, place: &Place, target: &Target) -> Result<bool, Problem> {
    let Found { snapshot: _, files } = fetch(desk, &place.repository).await?;
    let held = layers::holds(&files, place, target, desk.renderers).await;
    held.map_err(|unmapped| unmapped_in(place, unmapped))
}

fn unmapped_in(place: &Place, unmapped: Unmapped) -> Problem {
    Problem::Unmapped { repository: place.repository.name.clone(), unmapped }
}

async fn fetch<'r>(desk: &Desk<'_>, repository: &'r Repository) -> Result<Found<'r>, Problem> {
    let snapshot = Snapshot::fetch(repository, desk.work).await?;
    let tree = snapshot.files().await?;
    let paths: Vec<_> = tree.iter().map(|file| file.path.as_str()).collect();
    let read = source::read(&paths, &repository.prefix);
    let wanted: Vec<_> = tree.iter().filter(|file| read.contains(file.path.as_str())).collect();
    let texts = snapshot.read(&wanted).await?;
    let files = wanted.iter().zip(texts).map(|(file, text)| (file.path.clone(), text)).collect();
    Ok(Found { snapshot, files })
}

/// Makes the change in one repository. The caller holds that repository's lock. `live` is the object as the cluster
/// has it, where it could be read.
pub(super) async fn run(
    desk: &Desk<'_>,
    place: &Place,
    intent: &Intent,
    live: Option<&Value>,
    caller: &Caller,
) -> Result<Answer, Problem> {
    let repository = &place.repository;
    for _ in 0..2 {
        match attempt(desk, place, intent, live, caller).await? {
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
    place: &Place,
    intent: &Intent,
    live: Option<&Value>,
    caller: &Caller,
) -> Result<Attempt, Problem> {
    let repository = &place.repository;
    let Found { snapshot, files } = fetch(desk, repository).await?;
    let planned = layers::plan(&files, place, intent, live, desk.renderers).await;
    let planned = planned.map_err(|unmapped| unmapped_in(place, unmapped))?;
    let id = intent.id(&repository.name);
    let earlier = desk.store.get(&id)?;
    if planned.changed.is_empty() {
        return Ok(Attempt::Done(message::nothing_to_do(&message::There {
            intent,
            id: &id,
            repository: &repository.name,
            branch: &repository.branch,
            commit: &snapshot.commit,
            file: planned.layer.file(),
            earlier: earlier.as_ref(),
        })));
    }
    let branch = format!("pilothouse/{id}");
    let heads = snapshot.heads(&branch).await?;
    if heads.base.as_ref() != Some(&snapshot.commit) {
        return Ok(Attempt::Moved);
    }
    let old = |path: &str| files.get(path).map(String::as_str).unwrap_or_default();
    let texts: Vec<_> = planned.files.iter().flat_map(|(path, text)| [old(path), text.as_str()]).collect();
    let veil = Veil::of(&texts);
    let mut record = Record {
        id: id.clone(),
        state: State::Drafted,
        target: intent.target.to_string(),
        edits: planned.changed.iter().map(|changed| edit_record(changed, &veil)).collect(),
        reason: veil.over(&intent.reason),
        requested_by: caller.user.clone(),
        at: Timestamp::now(),
        repository: repository.name.clone(),
        base_branch: repository.branch.clone(),
        base_commit: snapshot.commit.clone(),
        branch: branch.clone(),
        commit: String::new(),
        file: planned.layer.file().to_owned(),
        line: planned.changed.iter().map(|changed| changed.line).min().unwrap_or(1),
        lines: planned
            .changed
            .iter()
            .map(|changed| changed.line)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        diff: planned.files.iter().map(|(path, text)| diff::veiled(&veil, path, old(path), text)).collect(),
        problem: String::new(),
    };
    if let Some(head) = heads.change {
        let record = take_over(desk, earlier, record, head)?;
        return Ok(Attempt::Done(message::already(&record)));
    }
    let text = message::commit(intent, &record, caller);
    record.commit = snapshot.commit(&planned.files, &text).await?;
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
    Ok(Attempt::Done(message::proposed(&record, &said(&planned))))
}

/// How it is known, and what else the caller should know.
fn said(planned: &Planned) -> Vec<String> {
    planned.evidence.iter().chain(&planned.notes).cloned().collect()
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
    let Changed { path, old, new, layer: _, line: _ } = changed;
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
