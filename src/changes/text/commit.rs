//! The title of the pull request, and the message of its commit. The trailers are the last paragraph, so nothing in
//! the reason passes for one.

use std::fmt::Write;

use serde_json::Value;

use super::{
    Links, Story,
    markdown::{short, tame, words},
};
use crate::{
    audit,
    changes::{edit::Changed, shown},
};

/// Git's own advice for the first line of a message.
const SUBJECT: usize = 72;
/// Of a value in the text.
const VALUE: usize = 200;

/// `Deployment shop/web: set spec.replicas to 3`; never longer than 72 characters.
pub(in crate::changes) fn title(story: &Story<'_>) -> String {
    let target = &story.intent.target;
    let long = match story.changed {
        [Changed { path, new: Value::Null, .. }] => format!("{target}: remove {path}"),
        [Changed { path, new, .. }] => format!("{target}: set {path} to {}", value(new)),
        _ => String::new(),
    };
    let title = match (story.changed, long.is_empty() || long.chars().count() > SUBJECT) {
        (_, false) => long,
        ([Changed { path, new, .. }], true) => {
            let verb = if new.is_null() { "remove" } else { "set" };
            let last = path.steps().last().map(ToString::to_string).unwrap_or_default();
            format!("{target}: {verb} {last}")
        }
        (several, true) => format!("{target}: change {} fields", several.len()),
    };
    short(&tame(&title).replace('\n', " "), SUBJECT)
}

pub(in crate::changes) fn commit_message(story: &Story<'_>) -> String {
    let mut message = format!("{}\n\n{}\n\n", title(story), words(&story.intent.reason));
    for Changed { path, old, new, line: _ } in story.changed {
        let old = old.as_ref().map_or_else(|| "(none)".to_owned(), value);
        let new = if new.is_null() { "(removed)".to_owned() } else { value(new) };
        let _ = writeln!(message, "{}: {}", words(&path.to_string()), tame(&format!("{old} -> {new}")));
    }
    let Links { request: _, emergency, incident } = story.links;
    let trailers = [
        ("Change-Id", Some(story.id)),
        ("Requested-By", Some(story.requested_by)),
        ("Emergency", emergency),
        ("Incident", incident),
    ];
    message.push('\n');
    for (name, said) in trailers {
        if let Some(said) = said.map(trailer).filter(|said| !said.is_empty()) {
            let _ = writeln!(message, "{name}: {said}");
        }
    }
    // Ours, and proven word by word: a signature must not be taken for a secret.
    if let Some(checkpoint) = story.checkpoint {
        let _ = writeln!(message, "{}: {checkpoint}", audit::TRAILER);
    }
    message
}

/// One line, whatever is in it.
fn trailer(text: &str) -> String {
    crate::redact::shown(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As JSON, secrets in words: a commit outlives the key behind their digests.
pub(super) fn value(value: &Value) -> String {
    short(&shown::in_words(&crate::redact::shown(&value.to_string())), VALUE)
        .replace("\"(secret value)\"", "(secret value)")
}
