//! The body of the pull request, never longer than forges take.

use std::fmt::Write;

use serde_json::Value;
use similar::TextDiff;

use super::{
    Links, Story,
    commit::value,
    markdown::{block, code, line, short, tame_lines, words},
    risk::{self, Risk},
};
use crate::changes::{
    checks::{Check, Outcome, pairs},
    edit::Changed,
    shown,
};

/// Bytes. Forges take 65,536 characters; what is added by one of them must fit too.
const LONGEST: usize = 60_000;
/// Of the difference when the rest leaves little room.
const LEAST_DIFFERENCE: usize = 2_000;
/// Of one sentence of evidence.
const SENTENCE: usize = 500;
const SENTENCES: usize = 20;

/// Markdown.
pub(in crate::changes) fn body(story: &Story<'_>) -> String {
    let difference = difference(story);
    let whole = written(story, &difference);
    if whole.len() <= LONGEST {
        return whole;
    }
    let rest = whole.len() - difference.len();
    let room = LONGEST.saturating_sub(rest).max(LEAST_DIFFERENCE);
    let cut = cut(&difference, room);
    written(story, &format!("{cut}\n… the rest is in the files of this change"))
}

fn written(story: &Story<'_>, difference: &str) -> String {
    let Story { id, intent, requested_by, layer, files, .. } = story;
    let mut text = format!(
        "<!-- pilothouse:change={} -->\n{} asks for this change; pilothouse made it. Nothing in the cluster was touched: merging applies it.\n\n",
        id,
        code(requested_by)
    );
    let _ = write!(text, "## Intent\n\n{}\n", block("text", &words(&intent.reason)));
    let _ = write!(text, "{} in {}\n\n", code(&intent.target.to_string()), places(files));
    text.push_str(&fields(story.changed));
    text.push_str(&evidence(story.evidence));
    let _ = write!(
        text,
        "## What becomes of the objects\n\n{}\nDecided by {}.\n\n",
        block("diff", difference),
        line(layer)
    );
    text.push_str(&checks(story.checks));
    let risk = risk::of(story);
    text.push_str(&told(&risk));
    let _ = write!(
        text,
        "## Rollback\n\nRevert this commit; what applies the repository brings the former state back. {}\n\n",
        lost(story)
    );
    text.push_str(&verify(story));
    text.push_str(&links(story.links, story.checkpoint));
    text.trim_end().to_owned() + "\n"
}

pub(super) fn places(files: &[String]) -> String {
    files.iter().map(|file| code(file)).collect::<Vec<_>>().join(", ")
}

pub(super) fn fields(changed: &[Changed]) -> String {
    let mut text = "| Field | Before | After |\n|---|---|---|\n".to_owned();
    for Changed { path, old, new, line: _ } in changed {
        let old = old.as_ref().map_or_else(|| "(none)".to_owned(), |old| code(&value(old)));
        let new = if new.is_null() { "(removed)".to_owned() } else { code(&value(new)) };
        let _ = writeln!(text, "| {} | {old} | {new} |", code(&short(&path.to_string(), SENTENCE)));
    }
    text.push('\n');
    text
}

fn evidence(sentences: &[String]) -> String {
    if sentences.is_empty() {
        return String::new();
    }
    let mut text = "## Evidence\n\n".to_owned();
    for sentence in sentences.iter().take(SENTENCES) {
        let _ = writeln!(text, "- {}", line(&short(sentence, SENTENCE)));
    }
    text.push('\n');
    text
}

pub(super) fn checks(checks: &[Check]) -> String {
    let mut text = "## Checks\n\n| Check | Outcome | Said |\n|---|---|---|\n".to_owned();
    for Check { name, outcome, said } in checks {
        let outcome = match outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "**failed**",
            Outcome::NotRun => "not run",
        };
        let _ = writeln!(text, "| {} | {outcome} | {} |", line(name), line(said));
    }
    text.push('\n');
    text
}

fn told(risk: &Risk) -> String {
    let Risk { level, reasons } = risk;
    let mut text = format!("## Risk: {level}\n\n");
    for reason in reasons {
        let _ = writeln!(text, "- {}", line(reason));
    }
    text.push('\n');
    text
}

/// What a revert does not bring back.
pub(super) fn lost(story: &Story<'_>) -> &'static str {
    let pairs = pairs::of(story.before, story.after);
    let is = |kind: &str| pairs.iter().any(|pair| pair.api().1 == kind);
    if pairs.iter().any(|pair| pair.before.is_none()) {
        return "It removes the new objects, and what they hold by then is lost.";
    }
    if pairs.iter().any(|pair| pair.after.is_none()) {
        return "What the removed objects held (volumes, addresses, history) does not come back with them.";
    }
    if is("PersistentVolumeClaim") {
        return "A volume that has grown does not shrink again.";
    }
    if is("Job") || is("CronJob") {
        return "Runs that were missed or made meanwhile stay as they are.";
    }
    if pairs.iter().any(risk::rolls) {
        return "Pods are replaced once more; what they held in memory is lost.";
    }
    "Nothing is lost: all former values stand in Git."
}

fn verify(story: &Story<'_>) -> String {
    let mut text = "## How to verify\n\n".to_owned();
    let _ = writeln!(text, "- `get_change id={}` tells when it is merged, applied and healthy", story.id);
    for pair in pairs::of(story.before, story.after).iter().take(5) {
        let (_, kind) = pair.api();
        let (name, namespace) = (pair.name(), pair.namespace());
        let at = namespace.map_or_else(String::new, |namespace| format!(" -n {namespace}"));
        let of = namespace.map_or_else(String::new, |namespace| format!(" namespace={namespace}"));
        let small = kind.to_lowercase();
        if ["deployment", "statefulset", "daemonset"].contains(&small.as_str()) {
            let _ = writeln!(text, "- {}", code(&format!("kubectl{at} rollout status {small}/{name}")));
            let _ = writeln!(text, "- {}", code(&format!("diagnose{of} kind={kind} name={name}")));
        } else {
            let _ = writeln!(text, "- {}", code(&format!("kubectl{at} get {small} {name} -o yaml")));
        }
    }
    text.push('\n');
    text
}

pub(super) fn links(links: Links<'_>, checkpoint: Option<&str>) -> String {
    let Links { request, emergency, incident } = links;
    let all = [
        ("Change request", request),
        ("Emergency", emergency),
        ("Incident", incident),
        ("Audit checkpoint", checkpoint),
    ];
    let mut text = String::new();
    for (what, where_) in all {
        if let Some(where_) = where_.filter(|where_| !where_.is_empty()) {
            let _ = writeln!(text, "- {what}: {}", code(where_));
        }
    }
    if text.is_empty() { text } else { format!("## Links\n\n{text}") }
}

/// The rendered objects as a person compares them, without secrets.
pub(super) fn difference(story: &Story<'_>) -> String {
    let mut text = String::new();
    for pair in pairs::of(story.before, story.after) {
        let (before, after) = (pair.before.map(yaml), pair.after.map(yaml));
        let name = pair.words();
        let header = |is_there: bool| if is_there { name.clone() } else { "(none)".to_owned() };
        let (from, to) = (header(before.is_some()), header(after.is_some()));
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let step = TextDiff::from_lines(&before, &after);
        text.push_str(&step.unified_diff().context_radius(3).header(&from, &to).to_string());
    }
    tame_lines(&shown::in_words(&crate::redact::text(&text)))
}

fn yaml(object: &Value) -> String {
    let shown = shown::document(object);
    serde_saphyr::to_string(&shown).unwrap_or_else(|_| format!("{shown:#}"))
}

/// At a line's end.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let cut = &text[..end];
    cut.rfind('\n').map_or(cut, |at| &cut[..at])
}
