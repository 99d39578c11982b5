//! Whether the cluster has a merged change, and how the object is with it. Pure: what was read comes in as values.

use serde_json::Value;

use super::health::{self, Health};
use crate::{
    api::change_request::{ChangeTarget, FieldEdit, Whole},
    changes::{path::FieldPath, shown},
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

/// How far an applier is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Applier {
    /// `Application argocd/shop`.
    pub(super) by: String,
    /// As it calls the state of the repository that it is at.
    pub(super) revision: String,
    /// False while it has only compared the cluster with that state.
    pub(super) has_applied: bool,
}

/// Of an Application, a Kustomization or a HelmRelease: what it says of the states it knows. Argo CD names the newest
/// one as soon as it has compared it, so only a word that the cluster is like it, or that a sync to it succeeded, is
/// one of having applied it.
pub(super) fn appliers(by: &str, applier: &Value) -> Vec<Applier> {
    let status = &applier["status"];
    let (sync, operation) = (&status["sync"], &status["operationState"]);
    let synced = revisions(&operation["syncResult"]).filter(|_| operation["phase"] == "Succeeded");
    let compared = revisions(sync).map(|revision| (revision, sync["status"] == "Synced"));
    let flux = status["lastAppliedRevision"].as_str().filter(|revision| !revision.is_empty());
    let applied = synced.chain(flux).map(|revision| (revision, true));
    let known = compared.chain(applied);
    known
        .map(|(revision, has_applied)| Applier {
            by: by.to_owned(),
            revision: revision.to_owned(),
            has_applied,
        })
        .collect()
}

fn revisions(of: &Value) -> impl Iterator<Item = &str> {
    let many = of["revisions"].as_array().into_iter().flatten();
    many.chain([&of["revision"]]).filter_map(Value::as_str).filter(|revision| !revision.is_empty())
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
    let Some(object) = object else {
        let missing = format!("{target} is not in the cluster.");
        return Delivered { by: None, health: Health::Not { why: missing.clone() }, missing };
    };
    let health = health::of_bounds(object, edits).unwrap_or_else(|| match unhealthy {
        None => Health::Good,
        Some(why) => Health::Not { why: why.clone() },
    });
    let differing: Vec<&FieldEdit> = edits.iter().filter(|edit| !holds(object, edit)).collect();
    // Applied, and undone or held back: the change is not what the object runs with.
    let against: Vec<&str> =
        differing.iter().filter(|edit| is_comparable(edit)).map(|edit| edit.path.as_str()).collect();
    let health = match (synced, against.is_empty()) {
        (Some(_), false) => Health::Not {
            why: format!(
                "{} has another value than Git says, so something else sets it or holds it back",
                against.join(", ")
            ),
        },
        _ => health,
    };
    let differing: Vec<&str> = differing.iter().map(|edit| edit.path.as_str()).collect();
    let by = match (synced, differing.as_slice()) {
        (Some(applier), _) => Some(format!("{applier} has applied the merged commit.")),
        (None, []) => Some(format!("{target} has the new value in every changed field.")),
        (None, _) => None,
    };
    let behind = appliers
        .iter()
        .map(|Applier { by, revision, has_applied }| {
            format!("{by} {} {revision}", if *has_applied { "is at" } else { "has not applied" })
        })
        .collect::<Vec<_>>()
        .join(", ");
    let behind = if behind.is_empty() { String::new() } else { format!(" ({behind})") };
    let missing = format!("{target} does not have the new value of {}{behind}.", differing.join(", "));
    Delivered { by, missing, health }
}

/// As [`judge`], of an object that came into Git or went out of it as a whole.
pub(super) fn judge_whole(
    target: &ChangeTarget,
    whole: Whole,
    outcome: &Outcome,
    synced: Option<&str>,
) -> Delivered {
    let Outcome { object, unhealthy } = outcome;
    let synced = synced.map(|applier| format!("{applier} has applied the merged commit."));
    let missing = match whole {
        Whole::Added => format!("{target} is not in the cluster."),
        Whole::Removed => format!("{target} is still in the cluster."),
    };
    if object.is_some() != (whole == Whole::Added) {
        return Delivered { by: synced, health: Health::Not { why: missing.clone() }, missing };
    }
    let so =
        format!("{target} is {}in the cluster, as Git says.", if object.is_some() { "" } else { "not " });
    let health = match unhealthy {
        Some(why) if object.is_some() => Health::Not { why: why.clone() },
        _ => Health::Good,
    };
    Delivered { by: synced.or(Some(so)), missing, health }
}

/// The commit in what an applier calls its revision: `3f2a…`, `main@sha1:3f2a…`, `main/3f2a…`.
pub(super) fn commit_of(revision: &str) -> Option<&str> {
    let commit = revision.rsplit([':', '/', '@']).next()?;
    let is_commit = commit.len() >= 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
    is_commit.then_some(commit)
}

/// Whether the live object tells of it: the API server fills removed fields in again, and of secrets only stand-ins are
/// kept.
fn is_comparable(FieldEdit { path, new }: &FieldEdit) -> bool {
    !path.contains("<redacted:") && new.as_ref().is_some_and(|new| !shown::holds_placeholder(new))
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

    use super::{Applier, Health, appliers, commit_of, judge, judge_whole};
    use crate::{
        api::change_request::{ChangeTarget, FieldEdit, Whole},
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
        let by = "Application argocd/shop".to_owned();
        let applied = [Applier { by, revision: "3f2a".into(), has_applied: true }];
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
        let argo = json!({ "status": { "sync": { "status": "Synced", "revisions": ["a", "b"] } } });
        let flux = json!({ "status": { "lastAppliedRevision": "main@sha1:c" } });
        assert_eq!(applied(&argo), ["a", "b"]);
        assert_eq!(applied(&flux), ["main@sha1:c"]);
        assert_eq!(applied(&json!({})), [""; 0]);
    }

    fn applied(applier: &Value) -> Vec<String> {
        let all = appliers("x", applier).into_iter();
        all.filter(|one| one.has_applied).map(|one| one.revision).collect()
    }

    #[test]
    fn what_argo_cd_has_only_compared_is_not_applied() {
        // Right after the merge, before the sync that it starts by itself.
        let compared = json!({ "status": { "sync": { "status": "OutOfSync", "revision": "new" },
            "operationState": { "phase": "Succeeded", "syncResult": { "revision": "old" } } } });
        assert_eq!(applied(&compared), ["old"]);
        let running = json!({ "status": { "sync": { "status": "OutOfSync", "revision": "new" },
            "operationState": { "phase": "Running", "syncResult": { "revision": "new" } } } });
        assert_eq!(applied(&running), [""; 0]);
        let synced = json!({ "status": { "sync": { "status": "OutOfSync", "revision": "newer" },
            "operationState": { "phase": "Succeeded", "syncResult": { "revisions": ["new", "charts"] } } } });
        assert_eq!(applied(&synced), ["new", "charts"]);
        let behind = judge(
            &target(),
            &[edit(MEMORY, Some(json!("1Gi")))],
            &outcome(&json!("512Mi")),
            &appliers("Application argocd/shop", &compared),
            None,
        );
        assert!(behind.by.is_none() && behind.missing.contains("has not applied new"), "{behind:?}");
    }

    #[test]
    fn an_object_that_differs_is_not_healthy_with_the_change() {
        let now = outcome(&json!("512Mi"));
        let with = |edits: &[FieldEdit]| judge(&target(), edits, &now, &[], Some("Application argocd/shop"));
        let against = with(&[edit(MEMORY, Some(json!("1Gi")))]);
        assert!(against.by.is_some());
        assert!(matches!(&against.health, Health::Not { why } if why.contains(MEMORY)), "{against:?}");
        // The API server fills in what was removed, and a stand-in says nothing of the value.
        let limits = "spec.template.spec.containers[name=web].resources.limits.cpu";
        for silent in [edit(limits, None), edit(MEMORY, Some(json!("<redacted:ab12cd>")))] {
            assert_eq!(with(&[silent]).health, Health::Good);
        }
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

    #[test]
    fn an_object_that_came_or_went_as_a_whole() {
        let (there, gone) = (outcome(&json!("1Gi")), Outcome::default());
        for (whole, outcome, is) in [
            (Whole::Added, &there, true),
            (Whole::Added, &gone, false),
            (Whole::Removed, &gone, true),
            (Whole::Removed, &there, false),
        ] {
            let delivered = judge_whole(&target(), whole, outcome, None);
            assert_eq!((delivered.by.is_some(), delivered.health == Health::Good), (is, is), "{whole:?}");
        }
    }
}
