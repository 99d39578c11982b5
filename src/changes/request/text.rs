//! What a commit and a pull request say.

use std::fmt::Write;

use serde_json::Value;

use super::{
    super::{
        identity::{Intent, clean},
        shown,
    },
    draft::Draft,
};
use crate::api::change_request::{ChangeCheck, ChangedField, CheckOutcome};

/// Git's own advice for the first line of a message.
const SUBJECT: usize = 72;
/// Of a difference in a pull request, which shows all of it in another place.
const SHOWN: usize = 6_000;

/// In one line.
pub(super) fn title(intent: &Intent, draft: &Draft) -> String {
    let target = &intent.target;
    let precise = match draft.fields.as_slice() {
        [ChangedField { path, after: None, .. }] => format!("{target}: remove {path}"),
        [ChangedField { path, after: Some(new), .. }] => format!("{target}: set {path} to {}", plain(new)),
        _ => String::new(),
    };
    if !precise.is_empty() && precise.chars().count() <= SUBJECT {
        return precise;
    }
    let last = intent.edits.first().and_then(|edit| edit.path.steps().last());
    match (draft.fields.as_slice(), last) {
        ([ChangedField { after, .. }], Some(step)) if intent.edits.len() == 1 => {
            let verb = if after.is_none() { "remove" } else { "set" };
            format!("{target}: {verb} {step}")
        }
        _ => format!("{target}: change {} fields", draft.fields.len()),
    }
}

/// The trailers are the last paragraph, so nothing in the reason passes for one.
pub(super) fn commit(intent: &Intent, draft: &Draft, id: &str, requested_by: &str) -> String {
    let mut message = title(intent, draft);
    let _ = write!(message, "\n\n{}\n\n", shown::in_words(&draft.reason));
    message += &fields(draft);
    let who = clean(requested_by).replace(['\n', '\t'], " ");
    let _ = write!(message, "\nChange-Id: {id}\nRequested-By: {who}\n");
    message
}

fn fields(draft: &Draft) -> String {
    let mut text = String::new();
    for ChangedField { path, before, after } in &draft.fields {
        let or = |value: &Option<Value>, otherwise: &str| {
            value.as_ref().map_or_else(|| otherwise.to_owned(), plain)
        };
        let _ = writeln!(text, "{path}: {} -> {}", or(before, "(none)"), or(after, "(removed)"));
    }
    text
}

/// Markdown; the last line is for machines.
pub(super) fn body(draft: &Draft, id: &str, requested_by: &str, evidence: &[String]) -> String {
    let who = clean(requested_by).replace(['\n', '\t'], " ");
    let mut text = format!("{}\n\nAsked by `{who}` through pilothouse.\n\n", shown::in_words(&draft.reason));
    let _ = write!(text, "```text\n{}```\n", fields(draft));
    if !evidence.is_empty() {
        text.push_str("\n**Evidence**\n");
        for one in evidence {
            let _ = writeln!(text, "- {}", shown::in_words(one));
        }
    }
    text.push_str("\n**Checks**\n");
    for ChangeCheck { name, outcome, said } in &draft.checks {
        let mark = match outcome {
            CheckOutcome::Passed => "passed",
            CheckOutcome::Failed => "FAILED",
            CheckOutcome::NotRun => "not run",
        };
        let _ = writeln!(text, "- {name}: {mark}. {said}");
    }
    for note in &draft.notes {
        let _ = writeln!(text, "- note: {note}");
    }
    let shown: String = shown::in_words(&draft.difference).chars().take(SHOWN).collect();
    let _ = write!(text, "\n<details><summary>Difference</summary>\n\n```diff\n{shown}```\n</details>\n");
    text.push_str("\n**To take it back**: revert the merge commit.\n");
    let _ = write!(text, "\n<!-- pilothouse change {id} -->\n");
    text
}

/// One line under a pull request.
pub(super) fn line(who: &str, what: &str) -> String {
    let who = clean(who).replace(['\n', '\t'], " ");
    format!("{what} by `{who}` through pilothouse.")
}

fn plain(value: &Value) -> String {
    shown::in_words(&short(value)).replace("\"(secret value)\"", "(secret value)")
}

pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 200 { text } else { text.chars().take(199).chain(['…']).collect() }
}

/// What pilothouse says by itself.
pub(super) fn plain_line(said: &str) -> String {
    shown::in_words(said)
}
