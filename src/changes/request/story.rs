//! What a commit, a pull request and its comments say.

use serde_json::Value;

use super::{
    super::{
        identity::{Intent, clean},
        shown,
        text::{self, Links, Story},
    },
    draft::Draft,
    told::Told,
};
use crate::api::ChangeRequestSpec;

/// What the texts of one change are made from.
pub(super) struct Texts<'a> {
    id: &'a str,
    /// With the reason without the secrets that the file knows of.
    intent: Intent,
    draft: &'a Draft,
    spec: &'a ChangeRequestSpec,
    files: Vec<String>,
    evidence: Vec<String>,
    checkpoint: Option<String>,
    /// Where the request is kept: `ChangeRequest shop/00ff…`.
    request: Option<String>,
}

impl<'a> Texts<'a> {
    pub(super) fn of(
        id: &'a str,
        intent: &Intent,
        draft: &'a Draft,
        (spec, namespace): (&'a ChangeRequestSpec, Option<&str>),
        checkpoint: Option<String>,
    ) -> Self {
        let files = draft.files.keys().cloned().collect();
        let evidence = spec.evidence.iter().chain(&draft.told.evidence).cloned().collect();
        let intent = Intent { reason: draft.reason.clone(), ..intent.clone() };
        let request = namespace.map(|namespace| format!("ChangeRequest {namespace}/{id}"));
        Self { id, intent, draft, spec, files, evidence, checkpoint, request }
    }

    pub(super) fn commit(&self) -> String {
        text::commit_message(&self.story())
    }

    /// Title and body.
    pub(super) fn pull_request(&self) -> (String, String) {
        let story = self.story();
        let title = text::title(&story);
        let title =
            if self.draft.needs_human_mapping { format!("To be mapped by a person: {title}") } else { title };
        (title, text::body(&story))
    }

    fn story(&self) -> Story<'_> {
        let Self { id, intent, draft, spec, files, evidence, checkpoint, request } = self;
        let Told { changed, before, after, checks, evidence: _, pods } = &draft.told;
        Story {
            id,
            intent,
            requested_by: &spec.requested_by,
            changed,
            files,
            layer: &draft.layer,
            evidence,
            before,
            after,
            checks,
            pods: *pods,
            checkpoint: checkpoint.as_deref(),
            links: Links {
                request: request.as_deref(),
                emergency: spec.emergency.as_deref(),
                incident: None,
            },
        }
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
