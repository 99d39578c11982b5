//! What callers are told of change requests: always what, where, the difference, and how to go on.

use std::fmt::Write;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::{
    super::{config::Repository, identity::Intent},
    carried::Carried,
    id,
    life::{phase, short},
    status, story,
};
use crate::{
    answer::{Answer, Table},
    api::{
        ChangeRequest, ChangeRequestStatus,
        change_request::{
            ChangeCheck, ChangeCondition, ChangePhase, ChangedField, CheckOutcome, PullRequestRef,
        },
    },
};

/// Of a difference in the text of an answer; the request holds more of it.
const DIFFERENCE: usize = 6_000;
/// Requests in one list.
pub(super) const LISTED: usize = 50;

/// A sentence from what was said without beginning and end.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.trim_end_matches('.').chars();
    characters
        .next()
        .map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), characters.as_str()))
}

pub(super) fn asked_at(request: &ChangeRequest) -> Option<Time> {
    let drafted = request.status.as_ref().and_then(|status| status.times.drafted.clone());
    drafted.or_else(|| request.metadata.creation_timestamp.clone())
}

pub(super) fn carried(carried: &Carried, intent: &Intent, name: &str, repository: &Repository) -> Answer {
    match carried {
        Carried::Proposed { request, notes } => {
            let by = &request.spec.requested_by;
            let target = &request.spec.target;
            let head = format!("Proposed {name}: {target}, for {by}. Nothing in the cluster was touched.");
            open(request, &head, notes)
        }
        Carried::Updated { request, notes } => {
            let head = format!(
                "Updated {name}: {}. The same pull request or branch, now on {} at {}.",
                request.spec.target,
                status(request).base_branch,
                short(&status(request).base_commit)
            );
            open(request, &head, notes)
        }
        Carried::Already { request, note } => {
            let asked = asked_at(request).map_or_else(String::new, |at| format!(" at {}", at.0));
            let head = format!(
                "Already proposed as {name}: {}, by {}{asked}. Nothing new was pushed.",
                request.spec.target, request.spec.requested_by
            );
            let notes: Vec<_> = note.iter().cloned().collect();
            open(request, &head, &notes)
        }
        Carried::Nothing { file, commit, earlier } => {
            nothing_to_do(intent, name, repository, file, commit, earlier.as_deref())
        }
        Carried::Kept { request, why } => {
            let head = format!(
                "Kept as {name}, and not in the repository yet: {why}. It goes on by itself once that works; get_change says how far it is."
            );
            Answer::structured(format!("{head}\n{}", fields(request)), record(request))
        }
    }
}

/// What is in the repository for review.
fn open(request: &ChangeRequest, head: &str, notes: &[String]) -> Answer {
    let mut text = format!("{head}\n{}{}", fields(request), where_(request));
    for note in notes {
        let _ = writeln!(text, "Note: {note}");
    }
    text += &checks(&status(request));
    let _ = write!(
        text,
        "Next: a person reviews it and merges it into {}; get_change looks whether that has happened.\n\n{}",
        status(request).base_branch,
        difference(request)
    );
    Answer::structured(text, record(request))
}

fn nothing_to_do(
    intent: &Intent,
    name: &str,
    repository: &Repository,
    file: &str,
    commit: &str,
    earlier: Option<&ChangeRequest>,
) -> Answer {
    let (target, base) = (&intent.target, &repository.branch);
    let mut text = format!(
        "Nothing to do: {target} is in {file} of repository {} ({base} at {}) exactly as asked already.",
        repository.name,
        short(commit)
    );
    if let Some(earlier) = earlier {
        let now = status(earlier);
        let _ = write!(text, " It was asked for as {name}, which is {}.", phase(&now));
    }
    text.push_str(" If the cluster differs, look at what applies the repository, not at the repository.");
    Answer::structured(
        text,
        json!({
            "id": name, "state": "NothingToDo", "target": target.to_string(), "repository": repository.name,
            "baseBranch": base, "branch": "", "commit": commit, "file": file, "diff": "",
        }),
    )
}

/// One request as it is kept; `first` is said before it.
pub(super) fn one(request: &ChangeRequest, first: &str) -> Answer {
    let now = status(request);
    let asked = asked_at(request).map_or_else(String::new, |at| format!(" at {}", at.0));
    let mut text = String::new();
    if !first.is_empty() {
        let _ = writeln!(text, "{first}");
    }
    let _ = writeln!(
        text,
        "{} ({}): {}, asked by {}{asked}: {}",
        id(request),
        phase(&now),
        request.spec.target,
        request.spec.requested_by,
        request.spec.reason
    );
    text += &fields(request);
    text += &where_(request);
    if now.self_approved {
        text.push_str("Attention: nobody but the requester approved it.\n");
    }
    text += &checks(&now);
    if let Some(why) = not_looked(&now) {
        let _ = writeln!(text, "What became of it since is not known ({}).", why.trim_end_matches('.'));
    }
    if !now.message.is_empty() {
        let _ = writeln!(text, "Now: {}", now.message);
    }
    let _ = write!(text, "\n{}", difference(request));
    Answer::structured(text, record(request))
}

/// The newest requests, of `total`.
pub(super) fn list(requests: &[ChangeRequest], total: usize, broken: &[String]) -> Answer {
    let mut text = match total {
        0 => "No change has been proposed yet.\n".to_owned(),
        1 => "1 change request:\n".to_owned(),
        count => format!("{count} change requests, newest first:\n"),
    };
    let mut table = Table::new(["ID", "STATE", "OBJECT", "REPOSITORY", "WHERE", "ASKED", "BY"]);
    let mut rows = Vec::with_capacity(requests.len());
    let mut unknown = Vec::new();
    for request in requests {
        let now = status(request);
        let ChangeRequestStatus { repository, branch, pull_request, commit, .. } = &now;
        let at = asked_at(request).map_or_else(String::new, |at| at.0.to_string());
        let state = phase(&now).as_str();
        let url = pull_request.as_ref().map(|pull_request| pull_request.url.clone());
        let target = request.spec.target.to_string();
        let by = &request.spec.requested_by;
        let where_ = url.as_deref().unwrap_or(branch);
        table
            .push([id(request), state, &target, repository, where_, &at, by].map(ToOwned::to_owned).to_vec());
        let mut row = json!({
            "id": id(request), "state": state, "target": target, "repository": repository, "branch": branch,
            "commit": commit, "file": file(&now), "at": at, "requestedBy": by,
        });
        if let Some(url) = url {
            row["pullRequest"] = url.into();
        }
        rows.push(row);
        unknown.extend(not_looked(&now).map(ToOwned::to_owned));
    }
    if !requests.is_empty() {
        text += &table.render();
    }
    if total > requests.len() {
        let _ =
            writeln!(text, "… and {} older ones; get_change shows one by its id.", total - requests.len());
    }
    unknown.sort();
    unknown.dedup();
    for why in unknown {
        let _ = writeln!(
            text,
            "Some are shown as they were last seen; what became of them is not known: {}.",
            why.trim_end_matches('.')
        );
    }
    if !broken.is_empty() {
        let _ = writeln!(text, "Not readable: {}.", broken.join(", "));
    }
    Answer::structured(text, json!({ "changes": rows, "total": total }))
}

/// What a closed one says to whoever asks for the same.
pub(super) fn closed(request: &ChangeRequest) -> String {
    let now = status(request);
    format!("change {} is the same, and {}", id(request), lower(now.message.trim_end_matches('.')))
}

/// What one that asks for something else by now says to whoever asks for what it asked first.
pub(super) fn revised(request: &ChangeRequest) -> String {
    format!(
        "change {} was this and was revised since, it is open in {}: revise_change takes it back to what you ask, or wait until it is merged",
        id(request),
        where_(request).trim().trim_start_matches("Branch: ").trim_start_matches("Pull request: ")
    )
}

fn lower(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or(String::new(), |first| format!("{}{}", first.to_lowercase(), characters.as_str()))
}

/// Why the repository could not be asked.
fn not_looked(now: &ChangeRequestStatus) -> Option<&str> {
    let is_reachable = ChangeCondition::Reachable.as_str();
    let known = now.conditions.iter().find(|known| known.type_ == is_reachable && known.status == "False")?;
    (phase(now) != ChangePhase::Failed).then_some(known.message.as_str())
}

fn fields(request: &ChangeRequest) -> String {
    let now = status(request);
    let mut text = String::new();
    let or = |value: &Option<Value>, otherwise: &str| {
        value.as_ref().map_or_else(|| otherwise.to_owned(), story::short)
    };
    for ChangedField { path, before, after } in &now.fields {
        let _ = writeln!(text, "Field: {path}: {} -> {}", or(before, "(none)"), or(after, "(removed)"));
    }
    for file in &now.files {
        let lines: Vec<_> = file.lines.iter().map(ToString::to_string).collect();
        let lines = if lines.is_empty() { String::new() } else { format!(":{}", lines.join(", ")) };
        let _ = writeln!(text, "Where: {}{lines}", file.path);
    }
    text
}

fn where_(request: &ChangeRequest) -> String {
    let now = status(request);
    let ChangeRequestStatus { pull_request, branch, repository, commit, base_branch, base_commit, .. } = &now;
    if branch.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    if let Some(PullRequestRef { url, .. }) = pull_request {
        let _ = writeln!(text, "Pull request: {url}");
    }
    let commit = if commit.is_empty() {
        String::new()
    } else {
        format!(" (commit {}, on {base_branch} at {})", short(commit), short(base_commit))
    };
    let _ = writeln!(text, "Branch: {branch} in repository {repository}{commit}");
    text
}

fn checks(now: &ChangeRequestStatus) -> String {
    let mut text = String::new();
    for ChangeCheck { name, outcome, said } in &now.checks {
        match outcome {
            CheckOutcome::Passed => {}
            CheckOutcome::Failed => drop(writeln!(text, "Check {name} FAILED: {said}")),
            CheckOutcome::NotRun => drop(writeln!(text, "Check {name} was not run: {said}")),
        }
    }
    text
}

fn difference(request: &ChangeRequest) -> String {
    let difference = status(request).difference;
    let mut shown: String = difference.chars().take(DIFFERENCE).collect();
    if shown.len() < difference.len() {
        shown.push_str("\n… the rest is in the branch.\n");
    }
    shown
}

fn file(now: &ChangeRequestStatus) -> String {
    now.files.first().map(|file| file.path.clone()).unwrap_or_default()
}

/// What a tool answers beside the text.
fn record(request: &ChangeRequest) -> Value {
    let now = status(request);
    let state = phase(&now);
    let lines: Vec<i32> = now.files.first().map(|file| file.lines.clone()).unwrap_or_default();
    let mut record = json!({
        "id": id(request), "state": state, "target": request.spec.target.to_string(),
        "repository": now.repository, "baseBranch": now.base_branch, "branch": now.branch, "commit": now.commit,
        "file": file(&now), "line": lines.first().copied().unwrap_or(1), "lines": lines, "diff": now.difference,
        "reason": request.spec.reason, "requestedBy": request.spec.requested_by,
        "at": asked_at(request).map(|at| at.0.to_string()), "message": now.message,
        "problem": if state == ChangePhase::Failed { now.message.as_str() } else { "" },
    });
    if let Some(PullRequestRef { number, url }) = &now.pull_request {
        record["pullRequest"] = json!({ "number": number, "url": url });
    }
    if !now.asked_by.is_empty() {
        record["askedBy"] = json!(now.asked_by);
    }
    if !now.approved_by.is_empty() {
        record["approvedBy"] = json!(now.approved_by);
        record["selfApproved"] = json!(now.self_approved);
    }
    if !now.merged_commit.is_empty() {
        record["mergedCommit"] = now.merged_commit.as_str().into();
    }
    if now.revision > 0 {
        record["revision"] = now.revision.into();
    }
    if let Some(before) = &request.spec.revises {
        record["revises"] = before.as_str().into();
    }
    if now.needs_human_mapping {
        record["needsHumanMapping"] = true.into();
    }
    if let Some(why) = not_looked(&now) {
        record["notLooked"] = why.into();
    }
    record
}
