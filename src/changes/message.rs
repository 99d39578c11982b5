//! What the caller is told: always what, where, the difference, and how to go on.

use std::{collections::BTreeSet, fmt::Write};

use serde_json::{Value, json};

use super::{
    identity::Intent,
    record::{Record, State, time},
    standing::Standing,
};
use crate::answer::{Answer, Table};

/// Of a diff in the text of an answer; the record beside it has all of it.
const DIFF_SHOWN: usize = 6000;
/// Changes in one list.
pub(super) const LISTED: usize = 50;

fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => "(removed)".to_owned(),
        value => value.to_string(),
    };
    if text.chars().count() <= 200 { text } else { text.chars().take(199).chain(['…']).collect() }
}

/// The change is now on its branch.
pub(super) fn proposed(record: &Record, notes: &[String]) -> Answer {
    let Record { id, target, repository, base_branch, base_commit, branch, commit, requested_by, .. } =
        record;
    let mut text = format!(
        "Proposed {id}: {target}, for {requested_by}. Nothing in the cluster was touched.\n{}Branch: {branch} in repository {repository} (commit {}, on {base_branch} at {})\n",
        fields(record),
        short_id(commit),
        short_id(base_commit),
    );
    for note in notes {
        let _ = writeln!(text, "Note: {note}");
    }
    let _ = write!(
        text,
        "Next: a person reviews the branch and merges it into {base_branch}; get_change looks whether that has happened.\n\n{}",
        diff(record)
    );
    Answer::structured(text, record.structured())
}

/// The same change is on its branch already.
pub(super) fn already(record: &Record) -> Answer {
    let Record { id, target, repository, base_branch, branch, commit, at, requested_by, .. } = record;
    let at = time(*at);
    let text = format!(
        "Already proposed as {id}: {target}, by {requested_by} at {at}. Nothing new was pushed.\n{}Branch: {branch} in repository {repository} (commit {})\nNext: a person reviews the branch and merges it into {base_branch}.\n\n{}",
        fields(record),
        short_id(commit),
        diff(record),
    );
    Answer::structured(text, record.structured())
}

/// Where everything that was asked stands already.
pub(super) struct There<'a> {
    pub(super) intent: &'a Intent,
    pub(super) id: &'a str,
    pub(super) repository: &'a str,
    pub(super) branch: &'a str,
    pub(super) commit: &'a str,
    pub(super) file: &'a str,
    pub(super) earlier: Option<&'a Record>,
}

pub(super) fn nothing_to_do(there: &There<'_>) -> Answer {
    let There { intent, id, repository, branch, commit, file, earlier } = there;
    let target = &intent.target;
    let mut text = format!(
        "Nothing to do: {target} is in {file} of repository {repository} ({branch} at {}) exactly as asked already.",
        short_id(commit)
    );
    if let Some(earlier) = earlier.filter(|earlier| earlier.state == State::Proposed) {
        let _ = write!(text, " It was proposed as {id} at {}.", time(earlier.at));
    }
    text.push_str(" If the cluster differs, look at what applies the repository, not at the repository.");
    Answer::structured(
        text,
        json!({
            "id": id, "state": "NothingToDo", "target": target.to_string(), "repository": repository,
            "baseBranch": branch, "branch": "", "commit": commit, "file": file, "diff": "",
        }),
    )
}

/// One change as it was kept, and where it stands now.
pub(super) fn one(record: &Record, standing: &Standing) -> Answer {
    let Record { id, target, reason, requested_by, at, repository, branch, commit, .. } = record;
    let text = format!(
        "{id} ({}): {target}, asked by {requested_by} at {}: {reason}\n{}Branch: {branch} in repository {repository} (commit {})\nNext: {}.\n\n{}",
        standing.word(),
        time(*at),
        fields(record),
        short_id(commit),
        standing.next(record),
        diff(record),
    );
    let mut structured = record.structured();
    structured["state"] = standing.word().into();
    if let Standing::NotLooked { why } = standing {
        structured["notLooked"] = why.as_str().into();
    }
    Answer::structured(text, structured)
}

/// The newest changes with where each stands, of `total`.
pub(super) fn list(records: &[Record], standings: &[Standing], total: usize, broken: &[String]) -> Answer {
    let mut text = match total {
        0 => "No change has been proposed yet.\n".to_owned(),
        1 => "1 change request:\n".to_owned(),
        count => format!("{count} change requests, newest first:\n"),
    };
    let mut table = Table::new(["ID", "STATE", "OBJECT", "REPOSITORY", "BRANCH", "ASKED", "BY"]);
    let mut rows = Vec::with_capacity(records.len());
    for (record, standing) in records.iter().zip(standings) {
        let Record { id, target, repository, branch, commit, file, at, requested_by, .. } = record;
        let (state, at) = (standing.word(), time(*at));
        table.push(
            [id, state, target, repository, branch, &at, requested_by].map(ToString::to_string).to_vec(),
        );
        rows.push(json!({
            "id": id, "state": state, "target": target, "repository": repository, "branch": branch,
            "commit": commit, "file": file, "at": at, "requestedBy": requested_by,
        }));
    }
    if !records.is_empty() {
        text += &table.render();
    }
    if total > records.len() {
        let _ = writeln!(text, "… and {} older ones; get_change shows one by its id.", total - records.len());
    }
    let unknown: BTreeSet<_> = standings
        .iter()
        .filter_map(|standing| match standing {
            Standing::NotLooked { why } => Some(why.as_str()),
            _ => None,
        })
        .collect();
    for why in unknown {
        let _ = writeln!(
            text,
            "Some are shown as they were when pushed; what became of them is not known: {why}."
        );
    }
    if !broken.is_empty() {
        let _ = writeln!(text, "Not readable in the data folder's changes/: {}.", broken.join(", "));
    }
    Answer::structured(text, json!({ "changes": rows, "total": total }))
}

fn fields(record: &Record) -> String {
    let mut text = String::new();
    for edit in &record.edits {
        let _ = writeln!(
            text,
            "Field: {}: {} -> {}",
            edit.path,
            if edit.old.is_null() { "(none)".to_owned() } else { short(&edit.old) },
            short(&edit.new)
        );
    }
    let mut lines: Vec<_> = record.lines.iter().map(ToString::to_string).collect();
    if lines.is_empty() {
        lines.push(record.line.to_string());
    }
    let _ = writeln!(text, "Where: {}:{}", record.file, lines.join(", "));
    text
}

fn diff(record: &Record) -> String {
    let mut shown: String = record.diff.chars().take(DIFF_SHOWN).collect();
    if shown.len() < record.diff.len() {
        shown.push_str("\n… the rest is in the branch.\n");
    }
    shown
}

fn short_id(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
