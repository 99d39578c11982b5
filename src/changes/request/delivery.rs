//! Whether the cluster has a merged change, and how the object is with it. Pure: what was read comes in as values.

use serde_json::Value;

use crate::{
    api::change_request::{ChangeTarget, FieldEdit},
    changes::path::FieldPath,
    tools::{Outcome, same_amount},
};

/// What a look at the cluster came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    /// How it is known that the cluster has the change, one sentence; nothing while it has not.
    pub(super) by: Option<String>,
    /// What it still lacks, one sentence.
    pub(super) missing: String,
    pub(super) health: Health,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    Not { why: String },
}

/// How far an applier is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Applier {
    /// `Application argocd/shop`.
    pub(super) by: String,
    /// As it calls what it has applied.
    pub(super) revision: String,
}

/// Of an Application, a Kustomization or a HelmRelease: what it says that it has applied.
pub(super) fn appliers(by: &str, applier: &Value) -> Vec<Applier> {
    let status = &applier["status"];
    let many = status["sync"]["revisions"].as_array().into_iter().flatten();
    let one = [&status["sync"]["revision"], &status["lastAppliedRevision"]];
    let revisions = many.chain(one).filter_map(Value::as_str).filter(|revision| !revision.is_empty());
    revisions.map(|revision| Applier { by: by.to_owned(), revision: revision.to_owned() }).collect()
}

/// `synced` says which applier has the merged commit, if one has; `appliers` how far they are.
pub(super) fn judge(
    target: &ChangeTarget,
    edits: &[FieldEdit],
    outcome: &Outcome,
    appliers: &[Applier],
    synced: Option<&str>,
) -> Delivered {
    let Outcome { object, unhealthy } = outcome;
    let health = match unhealthy {
        None => Health::Good,
        Some(why) => Health::Not { why: why.clone() },
    };
    let Some(object) = object else {
        let missing = format!("{target} is not in the cluster.");
        return Delivered { by: None, health: Health::Not { why: missing.clone() }, missing };
    };
    let differing: Vec<String> =
        edits.iter().filter(|edit| !holds(object, edit)).map(|edit| edit.path.clone()).collect();
    let by = match (synced, differing.as_slice()) {
        (Some(applier), _) => Some(format!("{applier} has applied the merged commit.")),
        (None, []) => Some(format!("{target} has the new value in every changed field.")),
        (None, _) => None,
    };
    let behind = appliers
        .iter()
        .map(|Applier { by, revision }| format!("{by} is at {revision}"))
        .collect::<Vec<_>>()
        .join(", ");
    let behind = if behind.is_empty() { String::new() } else { format!(" ({behind})") };
    let missing = format!("{target} does not have the new value of {}{behind}.", differing.join(", "));
    Delivered { by, missing, health }
}

/// The commit in what an applier calls its revision: `3f2a…`, `main@sha1:3f2a…`, `main/3f2a…`.
pub(super) fn commit_of(revision: &str) -> Option<&str> {
    let commit = revision.rsplit([':', '/', '@']).next()?;
    let is_commit = commit.len() >= 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
    is_commit.then_some(commit)
}

fn holds(object: &Value, edit: &FieldEdit) -> bool {
    let FieldEdit { path, new } = edit;
    let Ok(path) = path.parse::<FieldPath>() else { return false };
    let found = path.locate(object).ok();
    let value = found.as_ref().filter(|place| place.missing() == 0).and_then(|place| place.get(object));
    match (new, value) {
        (None, None) => true,
        (Some(new), Some(value)) => same(new, value),
        (None, Some(value)) => value.is_null(),
        (Some(_), None) => false,
    }
}

/// As the API server would store it: it fills in defaults and writes amounts in its own way.
fn same(asked: &Value, live: &Value) -> bool {
    match (asked, live) {
        (Value::Object(asked), Value::Object(live)) => {
            asked.iter().all(|(key, asked)| live.get(key).map_or(asked.is_null(), |live| same(asked, live)))
        }
        (Value::Array(asked), Value::Array(live)) => {
            asked.len() == live.len() && asked.iter().zip(live).all(|(asked, live)| same(asked, live))
        }
        (asked, live) if asked == live => true,
        (asked, live) => match (scalar(asked), scalar(live)) {
            (Some(asked), Some(live)) => asked == live || same_amount(&asked, &live),
            _ => false,
        },
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Applier, Health, appliers, commit_of, judge};
    use crate::{
        api::change_request::{ChangeTarget, FieldEdit},
        tools::Outcome,
    };

    const MEMORY: &str = "spec.template.spec.containers[name=web].resources.limits.memory";

    fn outcome(memory: &Value) -> Outcome {
        let limits = json!({ "memory": memory, "cpu": "500m" });
        let container = json!({ "name": "web", "resources": { "limits": limits } });
        let template = json!({ "spec": { "containers": [container] } });
        let object = json!({ "spec": { "replicas": 2, "template": template } });
        Outcome { object: Some(object), ..Outcome::default() }
    }

    fn target() -> ChangeTarget {
        ChangeTarget {
            kind: "Deployment".into(),
            group: None,
            namespace: Some("shop".into()),
            name: "web".into(),
        }
    }

    fn edit(path: &str, new: Option<Value>) -> FieldEdit {
        FieldEdit { path: path.into(), new }
    }

    fn has(edit: FieldEdit, outcome: &Outcome) -> bool {
        judge(&target(), &[edit], outcome, &[], None).by.is_some()
    }

    #[test]
    fn the_same_value_in_other_words_is_the_same() {
        let now = outcome(&json!("512Mi"));
        assert!(has(edit(MEMORY, Some(json!("512Mi"))), &now));
        assert!(has(edit(MEMORY, Some(json!("0.5Gi"))), &now));
        assert!(has(edit("spec.replicas", Some(json!("2"))), &now));
        assert!(has(edit("spec.paused", None), &now));
        let limits = "spec.template.spec.containers[name=web].resources.limits";
        assert!(has(edit(limits, Some(json!({ "cpu": 0.5 }))), &now), "defaults may stand beside it");
        assert!(!has(edit(limits, None), &now));
        assert!(!has(edit(MEMORY, Some(json!("1Gi"))), &now));
        assert!(!has(edit("spec.template.spec.containers[name=db].image", Some(json!("x"))), &now));
    }

    #[test]
    fn what_is_missing_names_the_field_and_how_far_the_applier_is() {
        let (now, edits) = (outcome(&json!("512Mi")), [edit(MEMORY, Some(json!("1Gi")))]);
        let applied = [Applier { by: "Application argocd/shop".into(), revision: "3f2a".into() }];
        let delivered = judge(&target(), &edits, &now, &applied, None);
        assert!(delivered.by.is_none());
        assert!(
            delivered.missing.contains(MEMORY) && delivered.missing.contains("argocd/shop is at 3f2a"),
            "{delivered:?}"
        );
        let synced = judge(&target(), &edits, &now, &applied, Some("Kustomization flux-system/apps"));
        assert_eq!(
            synced.by.as_deref(),
            Some("Kustomization flux-system/apps has applied the merged commit.")
        );
        let gone = judge(&target(), &[], &Outcome::default(), &[], None).health;
        assert!(matches!(gone, Health::Not { why } if why.contains("not in the cluster")));
    }

    #[test]
    fn appliers_say_what_they_have_applied() {
        let argo = json!({ "status": { "sync": { "revisions": ["a", "b"] } } });
        let flux = json!({ "status": { "lastAppliedRevision": "main@sha1:c" } });
        let all: Vec<_> = [argo, flux, json!({})]
            .iter()
            .flat_map(|one| appliers("x", one))
            .map(|one| one.revision)
            .collect();
        assert_eq!(all, ["a", "b", "main@sha1:c"]);
    }

    #[test]
    fn a_commit_is_found_in_what_appliers_call_a_revision() {
        let commit = "3f2a3f2a3f2a3f2a3f2a3f2a3f2a3f2a3f2a3f2a";
        for revision in [commit.to_owned(), format!("main@sha1:{commit}"), format!("main/{commit}")] {
            assert_eq!(commit_of(&revision), Some(commit));
        }
        assert_eq!(commit_of("1.2.3"), None);
        assert_eq!(commit_of("v1.0@sha256:"), None);
    }
}
