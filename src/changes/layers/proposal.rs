//! What a person gets when no change is certain: a file that says what was asked, why it was not made, and what is
//! to be decided.

use std::fmt::Write;

use serde_json::Value;

use super::Unmapped;
use crate::{
    changes::{edit::Edit, identity::Intent, shown},
    redact,
};

/// Path and Markdown text of the proposal file of a change that could not be mapped. `id` is the change's.
pub(in crate::changes) fn proposal_file(id: &str, intent: &Intent, unmapped: &Unmapped) -> (String, String) {
    let Intent { target, edits, reason } = intent;
    let Unmapped { step, why, way_on: _ } = unmapped;
    let mut text = format!(
        "# Change {id}: {target}\n\nThis change was asked for and could not be mapped to a file with certainty. Nothing was edited.\n\n## What is wanted\n\n| Field of {target} | New value |\n| --- | --- |\n"
    );
    for Edit { path, new } in edits {
        let path = redact::text(&path.to_string()).into_owned();
        let _ = writeln!(text, "| `{}` | {} |", cell(&path), value(new));
    }
    let _ = write!(
        text,
        "\n## Why\n\n{}\n\n## Why it was not mapped\n\nStep `{step}`: {}.\n\n## What a person decides\n\n{}\n",
        shown::in_words(&redact::text(reason)),
        shown::in_words(&redact::text(why)),
        decision(step)
    );
    (format!("changes/{id}.md"), text)
}

fn decision(step: &str) -> &'static str {
    match step {
        "find" | "locate" => {
            "1. Where is this object maintained? Add the repository or folder to the configuration, or make the change there.\n2. Delete this file in the same pull request, or close it when the change is not wanted."
        }
        "render" => {
            "1. What stands in the way of rendering (a remote base, a missing chart, a broken file)? Mend it, or make the change by hand.\n2. Delete this file in the same pull request, or close it when the change is not wanted."
        }
        _ => {
            "1. Which file and field decides? Make the change there and render it; see above what each candidate would have done besides.\n2. Is what else would change wanted too? Then say so in this pull request.\n3. Delete this file in the same pull request, or close it when the change is not wanted."
        }
    }
}

/// As it can stand in a table; a secret as words.
fn value(new: &Value) -> String {
    if new.is_null() {
        return "(removed)".to_owned();
    }
    let mut new = new.clone();
    redact::value(&mut new);
    format!("`{}`", cell(&shown::in_words(&redact::text(&new.to_string()))))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('`', "'")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{Unmapped, proposal_file};
    use crate::{
        changes::identity::Intent,
        tools::{Modification, Proposal},
    };

    #[test]
    fn says_what_why_and_what_is_to_be_decided() {
        let asked = Proposal {
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
            change: Modification::Edits(vec![
                ("spec.replicas".into(), json!(3)),
                (
                    "spec.template.spec.containers[name=web].env".into(),
                    json!([{"name": "DB_PASSWORD", "value": "hunter2"}]),
                ),
            ]),
            reason: "load grew".into(),
            repository: None,
        };
        let (intent, _) = Intent::parse(asked, None).unwrap();
        let unmapped = Unmapped::person("verify", "no candidate | is right");
        let (path, text) = proposal_file("00ff", &intent, &unmapped);
        assert_eq!(path, "changes/00ff.md");
        for part in [
            "Deployment shop/web",
            "| `spec.replicas` | `3` |",
            "load grew",
            "Step `verify`",
            "no candidate",
            "person decides",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}
