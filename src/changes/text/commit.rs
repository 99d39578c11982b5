//! The title of the pull request, and the message of its commit. The trailers are the last paragraph, so nothing in
//! the reason passes for one.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
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
    let Story { id, requested_by, links, checkpoint, evidence, .. } = story;
    message + &trailers(id, requested_by, *links, *evidence, *checkpoint)
}

/// The last paragraph of a message, with the blank line before it.
pub(super) fn trailers<'e>(
    id: &str,
    requested_by: &str,
    links: Links<'_>,
    evidence: impl IntoIterator<Item = &'e String>,
    checkpoint: Option<&str>,
) -> String {
    let Links { request, emergency, incident } = links;
    let (evidence, author) = (evidence_digest(evidence), author(requested_by));
    let trailers = [
        ("Change-Id", Some(id)),
        ("Change-Request", request),
        ("Requested-By", Some(requested_by)),
        ("Emergency", emergency),
        ("Incident", incident),
        ("Evidence-SHA256", evidence.as_deref()),
        ("Co-authored-by", author.as_deref()),
    ];
    let mut message = "\n".to_owned();
    for (name, said) in trailers {
        if let Some(said) = said.map(trailer).filter(|said| !said.is_empty()) {
            let _ = writeln!(message, "{name}: {said}");
        }
    }
    // Ours, and proven word by word: a signature must not be taken for a secret.
    if let Some(checkpoint) = checkpoint {
        let _ = writeln!(message, "{}: {checkpoint}", audit::TRAILER);
    }
    message
}

/// SHA-256 of what the pull request gives as evidence, one a line: that it was not changed since can be proven.
fn evidence_digest<'e>(evidence: impl IntoIterator<Item = &'e String>) -> Option<String> {
    let all: Vec<&str> = evidence.into_iter().map(String::as_str).collect();
    (!all.is_empty()).then(|| hex::encode(digest(&SHA256, all.join("\n").as_bytes())))
}

/// As forges know a person again: by a mail address. Who is called otherwise is nobody there.
fn author(requested_by: &str) -> Option<String> {
    let address = requested_by.rsplit(['#', ':', '/']).next()?;
    let (name, host) = address.split_once('@')?;
    let is_plain = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
    };
    (is_plain(name) && is_plain(host) && host.contains('.')).then(|| format!("{name} <{address}>"))
}

/// One line, whatever is in it.
pub(super) fn trailer(text: &str) -> String {
    crate::redact::shown(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As JSON, secrets in words: a commit outlives the key behind their digests.
pub(super) fn value(value: &Value) -> String {
    short(&shown::in_words(&crate::redact::shown(&value.to_string())), VALUE)
        .replace("\"(secret value)\"", "(secret value)")
}
