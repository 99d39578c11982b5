//! Workloads whose pods are not as many, or not as new, as they should be. Mostly these are symptoms: what keeps the
//! pods is told by the other checks, and this folds under it.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus, StatefulSet},
    core::v1::Pod,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::{
    answer::counted,
    tools::diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::{controller, reference, seconds_old},
        picture::Picture,
        pods::{START_SECONDS, condition, is_ready, is_unscheduled, is_unwell},
        reach::has_all,
    },
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for deployment in &picture.deployments {
        findings.extend(of_deployment(picture, deployment));
    }
    for set in &picture.stateful_sets {
        findings.extend(of_stateful_set(picture, set));
        findings.extend(held_by_old_revision(picture, set));
        findings.extend(governing_service(picture, set));
        findings.extend(waits_for_hand(set));
    }
    for set in &picture.daemon_sets {
        findings.extend(of_daemon_set(picture, set));
    }
}

fn of_deployment(picture: &Picture, deployment: &Deployment) -> Option<Finding> {
    let (spec, status) = (deployment.spec.as_ref()?, deployment.status.as_ref()?);
    let object = reference("Deployment", &deployment.metadata);
    if spec.replicas == Some(0) || deployment.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if spec.paused == Some(true) {
        return paused(&object, spec, status);
    }
    let is_false = |kind: &str| find(status, kind).filter(|is| is.status == "False");
    if let Some(failure) = find(status, "ReplicaFailure").filter(|is| is.status == "True") {
        return Some(stuck(picture, &object, spec, status, failure));
    }
    let late = is_false("Progressing");
    let held = held(picture, &object, spec);
    match (late, held) {
        (_, Some(held)) => Some(held),
        (Some(late), None) => Some(stuck(picture, &object, spec, status, late)),
        (None, None) => None,
    }
}

fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn paused(object: &ObjectRef, spec: &DeploymentSpec, status: &DeploymentStatus) -> Option<Finding> {
    let wanted = spec.replicas.unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or(0);
    let ready = status.ready_replicas.unwrap_or(0);
    if updated >= wanted {
        return None;
    }
    let severity = if ready == 0 { Severity::Critical } else { Severity::Warning };
    let mechanism = format!(
        "its rollout is paused while changes wait: {updated} of {wanted} pods are of the newest template"
    );
    let confirm = format!("get_resource kind=Deployment namespace={} name={}", object.namespace, object.name);
    let finding = Finding::new(
        severity,
        Cause::RolloutPaused,
        object,
        mechanism,
        confirm,
        "spec.paused: null, once the changes are meant",
    );
    Some(finding.shown_by([
        Evidence::field(object, "spec.paused", "true"),
        Evidence::field(object, "status.updatedReplicas", updated.to_string()),
    ]))
}

fn stuck(
    picture: &Picture,
    object: &ObjectRef,
    spec: &DeploymentSpec,
    status: &DeploymentStatus,
    condition: &DeploymentCondition,
) -> Finding {
    let wanted = spec.replicas.unwrap_or(1);
    let (ready, updated) = (status.ready_replicas.unwrap_or(0), status.updated_replicas.unwrap_or(0));
    let severity = if ready < wanted { Severity::Critical } else { Severity::Warning };
    let mechanism =
        format!("its rollout is stuck: {ready} of {wanted} pods ready, {updated} of the newest template");
    let confirm = format!(
        "what_changed namespace={}, get_resource kind=Deployment name={}",
        object.namespace, object.name
    );
    let path = format!("status.conditions[type={}]", condition.type_);
    let words = [condition.reason.as_deref(), condition.message.as_deref()];
    let reason = words.into_iter().flatten().collect::<Vec<_>>().join(": ");
    Finding::new(
        severity,
        Cause::RolloutStuck,
        object,
        mechanism,
        confirm,
        "what keeps its pods, or the last revision again",
    )
    .shown_by([Evidence::field(object, &path, reason)])
    .following(picture.made_by(object))
    .following([object.clone()])
}

/// The new pod cannot come while the old one is there, and the old one may not go before it.
fn held(picture: &Picture, object: &ObjectRef, spec: &DeploymentSpec) -> Option<Finding> {
    let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    let wanted = spec.replicas.unwrap_or(1);
    let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    let is_rolling =
        spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate");
    if !is_rolling || share(unavailable, wanted) > 0 {
        return None;
    }
    let pods: Vec<&Pod> = picture.pods_of(object).collect();
    let revision = |pod: &Pod| controller(&pod.metadata).map(|owner| owner.name.clone());
    let waiting = pods.iter().find(|pod| is_unscheduled(pod, picture.now) && blames_its_like(pod))?;
    let old = pods.iter().find(|pod| is_ready(pod) && revision(pod) != revision(waiting))?;
    let (waiting, old) = (reference("Pod", &waiting.metadata), reference("Pod", &old.metadata));
    let mechanism = format!(
        "its rollout cannot proceed: no node takes the new pod {} beside the old {}, and maxUnavailable 0 keeps the old until the new is ready",
        waiting.name, old.name
    );
    let change =
        "spec.strategy.rollingUpdate.maxUnavailable: 1 (or strategy Recreate), or room for one pod more";
    let confirm = format!("get_resource kind=Pod namespace={} name={}", object.namespace, waiting.name);
    let value = unavailable.map_or_else(|| "25% (rounded down to 0)".to_owned(), words);
    let event = picture.events_of(&waiting).find(|event| event.reason == "FailedScheduling");
    let finding =
        Finding::new(Severity::Critical, Cause::RolloutCannotProceed, object, mechanism, confirm, change)
            .shown_by([Evidence::field(object, "spec.strategy.rollingUpdate.maxUnavailable", value)])
            .shown_by(event.map(|event| picture.event_evidence(event)));
    Some(finding.affecting([waiting]))
}

/// Whether the scheduler names something that pods of one workload take from each other.
fn blames_its_like(pod: &Pod) -> bool {
    let message = condition(pod, "PodScheduled").and_then(|is| is.message.as_deref()).unwrap_or_default();
    ["anti-affinity", "free ports", "Insufficient"].iter().any(|word| message.contains(word))
}

/// How many of `wanted` may be away, rounded down as the controller does.
fn share(value: Option<&IntOrString>, wanted: i32) -> i32 {
    match value {
        None => wanted * 25 / 100,
        Some(IntOrString::Int(count)) => *count,
        Some(IntOrString::String(share)) => {
            let percent: i32 = share.trim_end_matches('%').parse().unwrap_or(25);
            wanted * percent / 100
        }
    }
}

fn words(value: &IntOrString) -> String {
    match value {
        IntOrString::Int(count) => count.to_string(),
        IntOrString::String(share) => share.clone(),
    }
}

fn of_stateful_set(picture: &Picture, set: &StatefulSet) -> Option<Finding> {
    let (spec, status) = (set.spec.as_ref()?, set.status.as_ref()?);
    let object = reference("StatefulSet", &set.metadata);
    let (wanted, ready) = (spec.replicas.unwrap_or(1), status.ready_replicas.unwrap_or(0));
    let first = picture.pods_of(&object).find(|pod| is_unwell(pod, picture.now));
    let first = first.filter(|_| ready < wanted)?;
    let pod = reference("Pod", &first.metadata);
    let in_order = spec.pod_management_policy.as_deref() != Some("Parallel");
    let not_made = wanted - status.replicas;
    let why = if in_order && not_made > 0 {
        format!("; {not_made} more are made only when {} is ready", pod.name)
    } else {
        String::new()
    };
    let mechanism = format!("{ready} of {wanted} pods are ready, {} is not{why}", pod.name);
    let confirm = format!("get_resource kind=Pod namespace={} name={}", pod.namespace, pod.name);
    let finding = Finding::new(
        Severity::Critical,
        Cause::RolloutStuck,
        &object,
        mechanism,
        confirm,
        "what keeps its pod",
    );
    let evidence = Evidence::field(&object, "status.readyReplicas", ready.to_string());
    Some(finding.shown_by([evidence]).following([pod, object.clone()]))
}

/// A pod of a revision that was given up is not ready, and the controller waits for it before it makes the next one.
fn held_by_old_revision(picture: &Picture, set: &StatefulSet) -> Option<Finding> {
    let (spec, status) = (set.spec.as_ref()?, set.status.as_ref()?);
    if spec.pod_management_policy.as_deref() == Some("Parallel") {
        return None;
    }
    let object = reference("StatefulSet", &set.metadata);
    let newest = status.update_revision.as_deref()?;
    let revision = |pod: &Pod| pod.metadata.labels.as_ref()?.get("controller-revision-hash").cloned();
    let old = picture.pods_of(&object).find(|pod| {
        is_unwell(pod, picture.now) && revision(pod).is_some_and(|revision| revision != newest)
    })?;
    let pod = reference("Pod", &old.metadata);
    let mechanism = format!(
        "its rollout cannot proceed: pod {} of an earlier revision never gets ready, and the pods of the newest template are made only when it is",
        pod.name
    );
    let confirm = format!("get_resource kind=Pod namespace={} name={}", pod.namespace, pod.name);
    let change =
        format!("nothing in the template: delete pod {}, so that it is made of the newest", pod.name);
    let finding =
        Finding::new(Severity::Critical, Cause::RolloutCannotProceed, &object, mechanism, confirm, change);
    let of = revision(old).unwrap_or_default();
    Some(finding.affecting([pod.clone()]).shown_by([
        Evidence::field(&object, "status.updateRevision", newest),
        Evidence::field(&pod, "metadata.labels.controller-revision-hash", of),
    ]))
}

/// The pods' names are of a Service that is not there.
fn governing_service(picture: &Picture, set: &StatefulSet) -> Option<Finding> {
    let spec = set.spec.as_ref().filter(|spec| spec.replicas != Some(0))?;
    let object = reference("StatefulSet", &set.metadata);
    let name = spec.service_name.as_deref().filter(|name| !name.is_empty())?;
    let mut services = picture.services.iter().map(|service| reference("Service", &service.metadata));
    let wanted = ObjectRef::new("Service", &object.namespace, name);
    if !has_all(picture, "Service", &object.namespace) || services.any(|service| service == wanted) {
        return None;
    }
    let first = format!("{}-0.{name}", object.name);
    let mechanism = format!(
        "its governing {} does not exist, so names of its pods such as {first} cannot be resolved",
        wanted.words()
    );
    let confirm = format!("list_resources kind=services namespace={}", object.namespace);
    let change = format!(
        "make it headless (clusterIP: None), with the pods' labels as its selector and the name {name}"
    );
    let finding =
        Finding::new(Severity::Warning, Cause::GoverningServiceMissing, &object, mechanism, confirm, change);
    let pods: Vec<ObjectRef> = picture.pods_of(&object).map(|pod| reference("Pod", &pod.metadata)).collect();
    let evidence = Evidence::field(&object, "spec.serviceName", name);
    Some(
        finding.shown_by([evidence]).affecting(std::iter::once(wanted.clone()).chain(pods)).changing(&wanted),
    )
}

/// A new template that no pod gets by itself.
fn waits_for_hand(set: &StatefulSet) -> Option<Finding> {
    let (spec, status) = (set.spec.as_ref()?, set.status.as_ref()?);
    let strategy = spec.update_strategy.as_ref()?;
    let wanted = spec.replicas.unwrap_or(1);
    let is_behind = wanted > 0
        && status.update_revision.is_some()
        && status.current_revision != status.update_revision
        && status.updated_replicas.unwrap_or(0) < wanted;
    let partition = strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition).unwrap_or(0);
    let (path, value) = match strategy.type_.as_deref() {
        Some("OnDelete") => ("spec.updateStrategy.type", "OnDelete".to_owned()),
        _ if partition >= wanted => ("spec.updateStrategy.rollingUpdate.partition", partition.to_string()),
        _ => return None,
    };
    if !is_behind || status.observed_generation != set.metadata.generation {
        return None;
    }
    let object = reference("StatefulSet", &set.metadata);
    let mechanism = format!("its changes reach no pod: {path} is {value}, so pods keep the old template");
    let confirm =
        format!("get_resource kind=StatefulSet namespace={} name={}", object.namespace, object.name);
    let finding = Finding::new(
        Severity::Warning,
        Cause::RolloutCannotProceed,
        &object,
        mechanism,
        confirm,
        format!("{path}: so that pods are replaced"),
    );
    Some(finding.shown_by([Evidence::field(&object, path, value)]))
}

fn of_daemon_set(picture: &Picture, set: &DaemonSet) -> Option<Finding> {
    let status = set.status.as_ref()?;
    let object = reference("DaemonSet", &set.metadata);
    let (wanted, ready) = (status.desired_number_scheduled, status.number_ready);
    let is_old = seconds_old(&set.metadata, picture.now) > START_SECONDS;
    let unwell: Vec<ObjectRef> = picture
        .pods_of(&object)
        .filter(|pod| is_unwell(pod, picture.now))
        .map(|pod| reference("Pod", &pod.metadata))
        .collect();
    let refused = picture.events_of(&object).find(|event| event.reason == "FailedCreate");
    if ready >= wanted || !is_old || (unwell.is_empty() && refused.is_none()) {
        return None;
    }
    let mechanism =
        format!("it is ready on {ready} of {}", counted(usize::try_from(wanted).unwrap_or(0), "node"));
    let confirm = format!("list_resources kind=pods namespace={}", object.namespace);
    let finding = Finding::new(
        Severity::Critical,
        Cause::DaemonSetIncomplete,
        &object,
        mechanism,
        confirm,
        "what keeps its pods",
    );
    let evidence = Evidence::field(&object, "status.numberReady", ready.to_string());
    let event = refused.map(|event| picture.event_evidence(event));
    Some(finding.shown_by([evidence]).shown_by(event).following(unwell).following([object.clone()]))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::found;

    fn deployment(spec: &str, status: &str) -> String {
        format!(
            r#"
kind: Deployment
metadata: {{ name: web }}
spec: {{ selector: {{}}, template: {{}}, {spec} }}
status: {{ {status} }}
"#
        )
    }

    #[test]
    fn stuck_is_told_from_paused_and_from_on_its_way() {
        let late = "conditions: [{ type: Progressing, status: \"False\", reason: ProgressDeadlineExceeded }]";
        for (spec, status, expected) in [
            ("replicas: 2", late, vec!["RolloutStuck Deployment shop/web"]),
            ("replicas: 0", late, vec![]),
            ("replicas: 2, paused: true", "updatedReplicas: 1", vec!["RolloutPaused Deployment shop/web"]),
            ("replicas: 2, paused: true", "updatedReplicas: 2", vec![]),
            (
                "replicas: 2",
                "conditions: [{ type: Progressing, status: \"True\" }], readyReplicas: 1",
                vec![],
            ),
        ] {
            assert_eq!(found(check, &deployment(spec, status)), expected, "{spec} {status}");
        }
    }

    #[test]
    fn a_broken_pod_of_an_earlier_revision_holds_the_mended_one() {
        let set = r#"
kind: StatefulSet
metadata: { name: db }
spec: { selector: {}, template: {} }
status: { replicas: 1, updateRevision: db-2 }
---
kind: Pod
metadata:
  name: db-0
  labels: { controller-revision-hash: db-1 }
  ownerReferences: [{ apiVersion: apps/v1, kind: StatefulSet, name: db, uid: u, controller: true }]
spec: { containers: [] }
status: { phase: Pending }
"#;
        let all = found(check, set);
        assert!(all.contains(&"RolloutCannotProceed StatefulSet shop/db".to_owned()), "{all:?}");
        assert!(
            !found(check, &set.replace("db-2", "db-1"))
                .iter()
                .any(|found| found.starts_with("RolloutCannot"))
        );
    }

    #[test]
    fn a_governing_service_that_is_not_there() {
        let set = r#"
kind: StatefulSet
metadata: { name: db }
spec: { serviceName: db, selector: {}, template: {} }
status: { replicas: 1 }
"#;
        assert_eq!(found(check, set), ["GoverningServiceMissing StatefulSet shop/db"]);
        let with = format!("{set}---\nkind: Service\nmetadata: {{ name: db }}\n");
        assert!(found(check, &with).is_empty());
    }
}
