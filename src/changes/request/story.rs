//! What a commit, a pull request and its comments say.

use serde_json::Value;

use super::{
    super::{
        checks::Check,
        edit::Changed,
        identity::{Intent, clean},
        shown,
        text::{self, Links, Story},
    },
    draft::Draft,
};
use crate::api::ChangeRequestSpec;

/// What is told of a draft beside what is kept of it. Only [`text`] shows it, which takes secrets out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) changed: Vec<Changed>,
    /// The rendered objects that differ.
    pub(super) before: Vec<Value>,
    pub(super) after: Vec<Value>,
    pub(super) checks: Vec<Check>,
    pub(super) evidence: Vec<String>,
}

/// The texts of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) title: String,
    pub(super) body: String,
    pub(super) commit: String,
}

impl Texts {
    pub(super) fn of(
        id: &str,
        intent: &Intent,
        draft: &Draft,
        spec: &ChangeRequestSpec,
        checkpoint: Option<&str>,
    ) -> Self {
        let files: Vec<String> = draft.files.keys().cloned().collect();
        let evidence: Vec<String> = spec.evidence.iter().chain(&draft.told.evidence).cloned().collect();
        // The reason without the secrets that the file knows of.
        let intent = Intent { reason: draft.reason.clone(), ..intent.clone() };
        let links = Links { emergency: spec.emergency.as_deref(), ..Links::default() };
        let story = Story {
            id,
            intent: &intent,
            requested_by: &spec.requested_by,
            changed: &draft.told.changed,
            files: &files,
            layer: &draft.layer,
            evidence: &evidence,
            before: &draft.told.before,
            after: &draft.told.after,
            checks: &draft.told.checks,
            pods: None,
            checkpoint,
            links,
        };
        let title = text::title(&story);
        let title =
            if draft.needs_human_mapping { format!("To be mapped by a person: {title}") } else { title };
        Self { title, body: text::body(&story), commit: text::commit_message(&story) }
    }
}

/// One line of somebody under a pull request.
pub(super) fn line(who: &str, what: &str) -> String {
    let who = clean(who).replace(['\n', '\t'], " ");
    format!("{what} by `{who}` through pilothouse.")
}

/// What pilothouse says by itself.
pub(super) fn plain_line(said: &str) -> String {
    shown::in_words(said)
}

/// A value in an answer.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 200 { text } else { text.chars().take(199).chain(['…']).collect() }
}
