//! A change of a Pod or a ReplicaSet, said of what makes it: there it lasts. Pure.

use serde_json::{Value, json};

use super::path::{FieldPath, Step};
use crate::tools::{Modification, Proposal};

/// Where the kinds that make pods hold what their pods are made from.
const TEMPLATES: [&[&str]; 2] = [&["spec", "template"], &["spec", "jobTemplate", "spec", "template"]];
/// What a ReplicaSet has from what makes it, field by field.
const SHARED: [&[&str]; 3] = [&["spec", "template"], &["spec", "replicas"], &["spec", "minReadySeconds"]];
/// What a pod has from its template.
const OF_POD: [&[&str]; 3] = [&["spec"], &["metadata", "labels"], &["metadata", "annotations"]];

/// Whether objects of the kind are made again from a template.
pub(super) fn is_made(kind: &str) -> bool {
    matches!(kind, "Pod" | "ReplicaSet")
}

/// The same change of `owner`, which makes the object of this kind.
///
/// # Errors
/// A part of a sentence, when it would not be the same change there.
pub(super) fn of_owner(kind: &str, change: Modification, owner: &Value) -> Result<Modification, String> {
    let template =
        TEMPLATES.into_iter().find(|steps| at(owner, steps).is_some_and(|found| found["spec"].is_object()));
    let Some(template) = template else { return Err("it has no template of pods".to_owned()) };
    if kind == "ReplicaSet" {
        if template != TEMPLATES[0] {
            return Err("it makes no ReplicaSets".to_owned());
        }
        return shared(change);
    }
    match change {
        Modification::Edits(edits) => {
            let edits = edits.into_iter().map(|(path, new)| Ok((of_template(&path, template)?, new)));
            Ok(Modification::Edits(edits.collect::<Result<_, String>>()?))
        }
        Modification::MergePatch(patch) => Ok(Modification::MergePatch(within(only(patch, &OF_POD)?, template))),
        Modification::StrategicPatch(patch) => {
            Ok(Modification::StrategicPatch(within(only(patch, &OF_POD)?, template)))
        }
        Modification::JsonPatch(_) => Err(
            "a JSON patch counts the items of lists, which a pod may have in another order than its template: name fields with `edits`"
                .to_owned(),
        ),
        Modification::Replicas(_) => Err("a pod is one".to_owned()),
    }
}

fn at<'v>(value: &'v Value, steps: &[&str]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| value.get(step))
}

fn within(patch: Value, steps: &[&str]) -> Value {
    steps.iter().rev().fold(patch, |inner, step| json!({ *step: inner }))
}

/// # Errors
/// When the field is not one that the template has for the pod.
fn of_template(path: &str, template: &[&str]) -> Result<String, String> {
    let parsed: FieldPath = path.parse().map_err(|error| format!("{error}"))?;
    if !begins(&parsed, &OF_POD) {
        return Err(format!("{path} is the pod's own"));
    }
    if parsed.steps().iter().any(|step| matches!(step, Step::Index(_))) {
        return Err(format!(
            "{path} counts the items of a list, which a pod may have in another order than its template: name the item, like [name=web]"
        ));
    }
    Ok(format!("{}.{path}", template.join(".")))
}

fn shared(change: Modification) -> Result<Modification, String> {
    match change {
        Modification::Edits(edits) => {
            for (path, _) in &edits {
                let parsed: FieldPath = path.parse().map_err(|error| format!("{error}"))?;
                if !begins(&parsed, &SHARED) {
                    return Err(format!("{path} is the ReplicaSet's own"));
                }
            }
            Ok(Modification::Edits(edits))
        }
        Modification::MergePatch(patch) => Ok(Modification::MergePatch(only(patch, &SHARED)?)),
        Modification::StrategicPatch(patch) => Ok(Modification::StrategicPatch(only(patch, &SHARED)?)),
        Modification::JsonPatch(operations) => {
            let is_shared = |operation: &Value| {
                let path = operation["path"].as_str().unwrap_or_default();
                let steps: Vec<&str> = path.split('/').skip(1).collect();
                SHARED.iter().any(|known| steps.starts_with(known))
            };
            match operations.iter().find(|operation| !is_shared(operation)) {
                Some(own) => Err(format!("{} is the ReplicaSet's own", own["path"])),
                None => Ok(Modification::JsonPatch(operations)),
            }
        }
        Modification::Replicas(count) => Ok(Modification::Replicas(count)),
    }
}

fn begins(path: &FieldPath, known: &[&[&str]]) -> bool {
    let keys: Vec<&str> = path
        .steps()
        .iter()
        .map_while(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) | Step::Select { .. } => None,
        })
        .collect();
    known.iter().any(|known| keys.starts_with(known))
}

/// # Errors
/// When the patch is about more than these fields.
fn only(patch: Value, known: &[&[&str]]) -> Result<Value, String> {
    fn stray(value: &Value, known: &[&[&str]], depth: usize) -> Option<String> {
        let fields = value.as_object()?;
        fields.iter().find_map(|(key, below)| {
            let left: Vec<&[&str]> =
                known.iter().copied().filter(|steps| steps.get(depth) == Some(&key.as_str())).collect();
            if left.is_empty() {
                return Some(key.clone());
            }
            let is_whole = left.iter().any(|steps| steps.len() == depth + 1);
            let stray = if is_whole { None } else { stray(below, &left, depth + 1) };
            stray.map(|below| format!("{key}.{below}"))
        })
    }
    match stray(&patch, known, 0) {
        Some(field) if !["apiVersion", "kind"].contains(&field.as_str()) => {
            Err(format!("{field} is not of what makes it"))
        }
        Some(_) => Err("leave apiVersion and kind out of the patch".to_owned()),
        None => Ok(patch),
    }
}

/// The proposal for the owner.
pub(super) fn renamed(proposal: Proposal, change: Modification, owner: &Value) -> Proposal {
    let text = |pointer: &str| owner.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let kind = text("/kind").unwrap_or_default();
    let version = text("/apiVersion").unwrap_or_default();
    let kind = version.split_once('/').map_or_else(|| kind.clone(), |(group, _)| format!("{kind}.{group}"));
    Proposal {
        kind,
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name").unwrap_or_default(),
        change,
        ..proposal
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{of_owner, renamed};
    use crate::tools::{Modification, Proposal};

    fn deployment() -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "template": { "spec": { "containers": [{ "name": "web" }] } } } })
    }

    fn edit(kind: &str, path: &str, owner: &Value) -> Result<String, String> {
        let change = Modification::Edits(vec![(path.to_owned(), json!(1))]);
        match of_owner(kind, change, owner)? {
            Modification::Edits(edits) => Ok(edits[0].0.clone()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_field_of_a_pod_is_one_of_its_template() {
        let owner = deployment();
        let image = "spec.containers[name=web].image";
        assert_eq!(edit("Pod", image, &owner), Ok(format!("spec.template.{image}")));
        assert_eq!(
            edit("Pod", "metadata.labels.a", &owner),
            Ok("spec.template.metadata.labels.a".to_owned())
        );
        let cron = json!({ "spec": { "jobTemplate": { "spec": { "template": { "spec": {} } } } } });
        assert_eq!(edit("Pod", image, &cron), Ok(format!("spec.jobTemplate.spec.template.{image}")));
        for (path, said) in [
            ("metadata.name", "the pod's own"),
            ("metadata.finalizers", "the pod's own"),
            ("spec.containers[0].image", "name the item"),
            ("spec..x", "character"),
        ] {
            assert!(edit("Pod", path, &owner).unwrap_err().contains(said), "{path}");
        }
        assert!(edit("Pod", image, &json!({ "spec": {} })).unwrap_err().contains("no template"));
    }

    #[test]
    fn a_replica_set_shares_some_fields_with_what_makes_it() {
        let owner = deployment();
        for path in ["spec.replicas", "spec.template.spec.containers[0].image"] {
            assert_eq!(edit("ReplicaSet", path, &owner), Ok(path.to_owned()));
        }
        for path in ["spec.selector.matchLabels.a", "metadata.labels.a"] {
            assert!(edit("ReplicaSet", path, &owner).unwrap_err().contains("own"), "{path}");
        }
        assert_eq!(of_owner("ReplicaSet", Modification::Replicas(3), &owner), Ok(Modification::Replicas(3)));
        let patch = |path: &str| Modification::JsonPatch(vec![json!({ "op": "remove", "path": path })]);
        assert!(of_owner("ReplicaSet", patch("/spec/template/spec/hostname"), &owner).is_ok());
        assert!(of_owner("ReplicaSet", patch("/spec/templates"), &owner).is_err());
    }

    #[test]
    fn a_patch_goes_into_the_template_and_nowhere_else() {
        let owner = deployment();
        let patch = json!({ "spec": { "priority": 1 }, "metadata": { "labels": { "a": "b" } } });
        assert_eq!(
            of_owner("Pod", Modification::MergePatch(patch.clone()), &owner),
            Ok(Modification::MergePatch(json!({ "spec": { "template": patch } })))
        );
        let own = json!({ "spec": {}, "metadata": { "name": "x" } });
        let said = of_owner("Pod", Modification::StrategicPatch(own), &owner).unwrap_err();
        assert!(said.contains("metadata.name"), "{said}");
        assert!(of_owner("Pod", Modification::JsonPatch(Vec::new()), &owner).is_err());
        assert!(of_owner("Pod", Modification::Replicas(2), &owner).is_err());
    }

    #[test]
    fn the_proposal_is_of_the_owner() {
        let asked = Proposal {
            kind: "Pod".into(),
            namespace: Some("shop".into()),
            name: "web-1".into(),
            change: Modification::Replicas(1),
            reason: "why".into(),
            repository: None,
        };
        let now = renamed(asked, Modification::Replicas(2), &deployment());
        assert_eq!(
            (now.kind.as_str(), now.name.as_str(), now.reason.as_str()),
            ("Deployment.apps", "web", "why")
        );
    }
}
