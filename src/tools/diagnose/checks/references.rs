//! ConfigMaps, Secrets, accounts and classes that pods name and that are not there.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

use super::subject::{Subject, subjects};
use crate::tools::{
    diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        owning::{Workload, workloads},
        picture::{EventFacts, Picture, SecretFacts},
        pods::{is_ready, is_unwell, phase},
        reach::has_all,
        references::{Reference, Referred, references},
    },
    target::nearest,
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    let mut missing: BTreeMap<(ObjectRef, Reference), Finding> = BTreeMap::new();
    for subject in subjects(picture) {
        let Some(spec) = subject.spec() else { continue };
        for reference in references(spec).into_iter().filter(|reference| !reference.is_optional) {
            let Some(finding) = judge(&subject, &reference) else { continue };
            match missing.entry((subject.owner.clone(), reference)) {
                Entry::Vacant(entry) => {
                    entry.insert(finding);
                }
                Entry::Occupied(mut entry) => add(entry.get_mut(), finding),
            }
        }
    }
    findings.extend(missing.into_values());
    for workload in workloads(picture) {
        findings.extend(account(picture, &workload));
        findings.extend(classes(picture, &workload));
    }
}

/// Another pod of the same owner. One that is held says more than one that runs still, and is alone affected.
fn add(known: &mut Finding, other: Finding) {
    match known.severity.cmp(&other.severity) {
        Ordering::Less => {}
        Ordering::Equal => known.affects.extend(other.affects),
        Ordering::Greater => *known = other,
    }
}

/// What is missing of a reference.
enum Missing {
    Object,
    Key { known: BTreeSet<String> },
}

fn judge(subject: &Subject<'_>, reference: &Reference) -> Option<Finding> {
    let Reference { what, name, key, is_optional: _, path } = reference;
    // Without it pulls are tried all the same; where they fail, the check of images tells of it.
    if *what == Referred::PullSecret {
        return None;
    }
    let missing = missing(subject, reference)?;
    let object = ObjectRef::new(what.kind(), &subject.this.namespace, name);
    let is_held = is_held(subject);
    let severity = if is_held { Severity::Critical } else { Severity::Warning };
    let effect = if is_held { "so its pods cannot start" } else { "so its pods will not start again" };
    let field = subject.path(path);
    let (cause, mechanism, change) = match missing {
        Missing::Object => {
            let cause = if what.kind() == "Secret" { Cause::SecretMissing } else { Cause::ConfigMapMissing };
            let near = near_objects(subject.picture, &object);
            let near = near.map_or_else(String::new, |near| format!(" (nearest: {near})"));
            let mechanism = format!("{} does not exist{near}, {effect}", object.words());
            (cause, mechanism, format!("make {}, or name one that exists in {field}", object.words()))
        }
        Missing::Key { known } => {
            let cause =
                if what.kind() == "Secret" { Cause::SecretKeyMissing } else { Cause::ConfigMapKeyMissing };
            let key = key.as_deref().unwrap_or_default();
            let has: Vec<&str> = known.iter().take(8).map(String::as_str).collect();
            let has = if has.is_empty() { String::new() } else { format!(" (it has {})", has.join(", ")) };
            let mechanism = format!("{} has no key {key}{has}, {effect}", object.words());
            (
                cause,
                mechanism,
                format!("add the key {key} to {}, or name a key that it has in {field}", object.words()),
            )
        }
    };
    let named = key.as_ref().map_or_else(|| name.clone(), |key| format!("{name}, key {key}"));
    let confirm =
        format!("get_resource kind={} namespace={} name={name}", what.kind(), subject.this.namespace);
    let finding = subject.finding(severity, cause, mechanism, confirm, change);
    Some(
        finding
            .shown_by([subject.field(&format!("spec.{path}"), named)])
            .shown_by(kubelet_says(subject, name)),
    )
}

/// The pod waits for something to start.
fn is_held(subject: &Subject<'_>) -> bool {
    phase(subject.pod) == "Pending" || (is_unwell(subject.pod, subject.picture.now) && !is_ready(subject.pod))
}

fn missing(subject: &Subject<'_>, reference: &Reference) -> Option<Missing> {
    let Reference { what, name, key, is_optional: _, path: _ } = reference;
    let (picture, namespace) = (subject.picture, subject.this.namespace.as_str());
    let lacks = |known: BTreeSet<String>| {
        let key = key.as_ref()?;
        (!known.contains(key)).then_some(Missing::Key { known })
    };
    if *what == Referred::ConfigMap {
        if !has_all(picture, "ConfigMap", namespace) {
            return told(subject, reference);
        }
        let found = picture.config_maps.iter().find(|map| {
            map.metadata.name.as_deref() == Some(name) && map.metadata.namespace.as_deref() == Some(namespace)
        });
        let Some(map) = found else { return Some(Missing::Object) };
        let text = map.data.iter().flat_map(|data| data.keys());
        let binary = map.binary_data.iter().flat_map(|data| data.keys());
        return lacks(text.chain(binary).cloned().collect());
    }
    match picture.secrets.get(&(namespace.to_owned(), name.clone())) {
        Some(SecretFacts::Missing) => Some(Missing::Object),
        Some(SecretFacts::There { keys, certificate_ends: _ }) => lacks(keys.clone()),
        Some(SecretFacts::Unknown) | None => told(subject, reference),
    }
}

/// What we may not read, the kubelet may: its own words tell.
fn told(subject: &Subject<'_>, reference: &Reference) -> Option<Missing> {
    let Reference { what, name, key, is_optional: _, path: _ } = reference;
    let kind = what.kind().to_lowercase();
    let words = said(subject);
    let is_missing = words.iter().any(|words| words.contains(&format!("{kind} \"{name}\" not found")));
    if is_missing {
        return Some(Missing::Object);
    }
    let key = key.as_ref()?;
    let lacks = words.iter().any(|words| {
        (words.contains("couldn't find key") || words.contains("non-existent"))
            && words.contains(key)
            && words.contains(name)
    });
    lacks.then(|| Missing::Key { known: BTreeSet::new() })
}

fn said<'a>(subject: &Subject<'a>) -> Vec<&'a str> {
    let waiting = subject.units().into_iter().filter_map(|unit| unit.waiting()?.message.as_deref());
    waiting.chain(subject.events().map(|event| event.message.as_str())).collect()
}

fn kubelet_says(subject: &Subject<'_>, name: &str) -> Option<Evidence> {
    let event = subject.events().find(|event: &&EventFacts| event.is_warning && event.message.contains(name));
    subject.evidence(event)
}

/// Objects of the kind whose name is like it.
fn near_objects(picture: &Picture, object: &ObjectRef) -> Option<String> {
    if object.kind != "ConfigMap" {
        return None;
    }
    let known = picture.config_maps.iter().map(|map| &map.metadata);
    let names = known
        .filter(|known| known.namespace.as_deref() == Some(&object.namespace))
        .filter_map(|known| known.name.as_deref());
    let near = nearest(&object.name, names.filter(|name| *name != "kube-root-ca.crt"));
    (!near.is_empty()).then(|| near.join(", "))
}

/// A workload whose account is not there gets no pods at all.
fn account(picture: &Picture, workload: &Workload<'_>) -> Option<Finding> {
    let Workload { object, spec, replicas, .. } = workload;
    let name = spec.service_account_name.as_deref().filter(|name| !name.is_empty())?;
    if *replicas == Some(0) || !has_all(picture, "ServiceAccount", &object.namespace) {
        return None;
    }
    let mut known = picture.service_accounts.iter().map(|account| &account.metadata);
    let is_there = known.any(|known| {
        known.name.as_deref() == Some(name) && known.namespace.as_deref() == Some(&object.namespace)
    });
    if is_there {
        return None;
    }
    let mechanism =
        format!("ServiceAccount {}/{name} does not exist, so no pods can be made", object.namespace);
    let change = format!(
        "make ServiceAccount {}/{name}, or name one that exists in serviceAccountName",
        object.namespace
    );
    let confirm = format!("list_resources kind=serviceaccounts namespace={}", object.namespace);
    let cause = Cause::ServiceAccountMissing;
    Some(of_template(picture, workload, cause, mechanism, confirm, change, ("serviceAccountName", name)))
}

fn classes(picture: &Picture, workload: &Workload<'_>) -> Vec<Finding> {
    let Workload { object: _, spec, replicas, .. } = workload;
    if *replicas == Some(0) {
        return Vec::new();
    }
    let is_class = |name: &str| {
        let known = picture.priority_classes.iter().any(|class| class.metadata.name.as_deref() == Some(name));
        known || !picture.has_read("PriorityClass")
    };
    let is_runtime = |name: &str| picture.runtime_classes.contains(name) || !picture.has_read("RuntimeClass");
    let priority = spec.priority_class_name.as_deref().filter(|name| !name.is_empty() && !is_class(name));
    let runtime = spec.runtime_class_name.as_deref().filter(|name| !name.is_empty() && !is_runtime(name));
    let missing = [
        ("PriorityClass", "priorityClassName", Cause::PriorityClassMissing, priority),
        ("RuntimeClass", "runtimeClassName", Cause::RuntimeClassMissing, runtime),
    ];
    let judge = |(kind, field, cause, name): (&str, &'static str, Cause, Option<&str>)| {
        let name = name?;
        let mechanism = format!("{kind} {name} does not exist, so no pods can be made");
        let change = format!("make {kind} {name}, or name one that exists in {field}");
        let confirm = format!("list_resources kind={kind}");
        Some(of_template(picture, workload, cause, mechanism, confirm, change, (field, name)))
    };
    missing.into_iter().filter_map(judge).collect()
}

/// Told of the workload, with what its controller says of it.
fn of_template(
    picture: &Picture,
    workload: &Workload<'_>,
    cause: Cause,
    mechanism: String,
    confirm: String,
    change: String,
    (field, name): (&str, &str),
) -> Finding {
    let object = &workload.object;
    let made: Vec<ObjectRef> = picture.made_by(object);
    let says = picture.events.iter().find(|event| {
        event.is_warning
            && event.message.contains(name)
            && (event.object == *object || made.contains(&event.object))
    });
    // While its pods run, made before it went, only the next will fail.
    let severity = if says.is_some() || made.is_empty() { Severity::Critical } else { Severity::Warning };
    Finding::new(severity, cause, object, mechanism, confirm, change)
        .shown_by([Evidence::field(object, &format!("spec.template.spec.{field}"), name)])
        .shown_by(says.map(|event| picture.event_evidence(event)))
        .affecting(made)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const POD: &str = r#"
kind: Pod
metadata: { name: p }
spec:
  containers:
    - name: main
      env:
        - { name: A, valueFrom: { secretKeyRef: { name: db, key: PASS } } }
        - { name: B, valueFrom: { configMapKeyRef: { name: setings, key: x, optional: true } } }
      envFrom: [{ configMapRef: { name: setings } }]
status: { phase: Pending }
---
kind: ConfigMap
metadata: { name: settings }
data: { a: "1" }
---
kind: Secret
metadata: { name: db }
keys: [PASSWORD]
"#;

    #[test]
    fn objects_and_keys_that_are_missing_are_named_with_the_nearest() {
        let all = findings(check, POD);
        let said: Vec<&str> = all.iter().map(|finding| finding.mechanism.as_str()).collect();
        assert_eq!(
            said,
            [
                "ConfigMap shop/setings does not exist (nearest: settings), so its pods cannot start",
                "Secret shop/db has no key PASS (it has PASSWORD), so its pods cannot start",
            ]
        );
    }

    #[test]
    fn optional_ones_and_those_that_are_there_are_nothing() {
        let fine = POD.replace("name: setings }", "name: settings }").replace("key: PASS ", "key: PASSWORD ");
        assert!(found(check, &fine).is_empty(), "{:?}", found(check, &fine));
    }

    #[test]
    fn a_workload_without_its_account_gets_no_pods() {
        let yaml = r#"
kind: Deployment
metadata: { name: web }
spec:
  selector: {}
  template: { spec: { serviceAccountName: robot, containers: [] } }
---
kind: Event
object: { kind: ReplicaSet, name: web-7 }
reason: FailedCreate
message: 'error looking up service account shop/robot: serviceaccount "robot" not found'
"#;
        assert_eq!(found(check, yaml), ["ServiceAccountMissing Deployment shop/web"]);
        assert!(
            found(check, &yaml.replace("spec:\n  selector", "spec:\n  replicas: 0\n  selector")).is_empty()
        );
    }
}
