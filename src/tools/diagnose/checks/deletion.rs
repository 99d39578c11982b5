//! Objects that somebody has deleted and that do not go.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::tools::{
    diagnose::{
        cause::Cause,
        customs,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::reference,
        picture::{Picture, Scope},
        pods::{is_ending, phase},
    },
    kinds::age,
};

/// Longer than most controllers take to do what their finalizer is for.
const PATIENCE_SECONDS: i64 = 45;

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    findings.extend(objects(picture));
    findings.extend(claims(picture));
    findings.extend(namespaces(picture));
    findings.extend(pods(picture));
}

/// How long ago it should have been gone, if that is long ago.
fn overdue(metadata: &ObjectMeta, picture: &Picture) -> Option<i64> {
    // The API server has added the grace period already.
    let due = metadata.deletion_timestamp.as_ref()?.0;
    let late = picture.now.as_second() - due.as_second();
    (late > PATIENCE_SECONDS).then_some(late)
}

fn objects(picture: &Picture) -> Vec<Finding> {
    let mut all: Vec<(ObjectRef, ObjectMeta)> = Vec::new();
    let mut add = |kind: &str, metadata: &ObjectMeta| {
        if metadata.deletion_timestamp.is_some() {
            all.push((reference(kind, metadata), metadata.clone()));
        }
    };
    picture.deployments.iter().for_each(|object| add("Deployment", &object.metadata));
    picture.replica_sets.iter().for_each(|object| add("ReplicaSet", &object.metadata));
    picture.stateful_sets.iter().for_each(|object| add("StatefulSet", &object.metadata));
    picture.daemon_sets.iter().for_each(|object| add("DaemonSet", &object.metadata));
    picture.jobs.iter().for_each(|object| add("Job", &object.metadata));
    picture.cron_jobs.iter().for_each(|object| add("CronJob", &object.metadata));
    picture.services.iter().for_each(|object| add("Service", &object.metadata));
    picture.ingresses.iter().for_each(|object| add("Ingress", &object.metadata));
    picture.config_maps.iter().for_each(|object| add("ConfigMap", &object.metadata));
    picture.service_accounts.iter().for_each(|object| add("ServiceAccount", &object.metadata));
    picture.volumes.iter().for_each(|object| add("PersistentVolume", &object.metadata));
    for value in &picture.custom {
        let metadata =
            value.get("metadata").and_then(|metadata| serde_json::from_value(metadata.clone()).ok());
        if let Some(metadata) = metadata {
            add(customs::text(value, "/kind"), &metadata);
        }
    }
    all.iter().filter_map(|(object, metadata)| blocked(picture, object, metadata)).collect()
}

fn blocked(picture: &Picture, object: &ObjectRef, metadata: &ObjectMeta) -> Option<Finding> {
    let late = overdue(metadata, picture)?;
    let finalizers = metadata.finalizers.as_deref().filter(|all| !all.is_empty())?;
    let names = finalizers.join(", ");
    let since = metadata.deletion_timestamp.as_ref().map(|at| at.0);
    let mechanism = format!(
        "{} was deleted {} ago and stays: its finalizer {names} was not taken away by the controller that set it",
        object.words(),
        age(since, picture.now)
    );
    let confirm =
        format!("list_events of {}; is the controller of {names} running, and well", object.words());
    let change =
        "bring that controller back; metadata.finalizers: without it only when what it protects is done";
    let finding = Finding::new(Severity::Warning, Cause::DeletionBlocked, object, mechanism, confirm, change);
    let evidence = [
        Evidence::field(object, "metadata.deletionTimestamp", format!("{late}s overdue")),
        Evidence::field(object, "metadata.finalizers", names),
    ];
    // Who has deleted the whole namespace asks why that stays.
    let namespace =
        picture.namespaces.iter().filter(|namespace| namespace.metadata.deletion_timestamp.is_some());
    let namespace = namespace.map(|namespace| reference("Namespace", &namespace.metadata));
    Some(
        finding
            .shown_by(evidence)
            .following(namespace.filter(|namespace| namespace.name == object.namespace)),
    )
}

/// A claim waits for the pods that use it.
fn claims(picture: &Picture) -> Vec<Finding> {
    let stuck = picture.claims.iter().filter_map(|claim| {
        let object = reference("PersistentVolumeClaim", &claim.metadata);
        overdue(&claim.metadata, picture)?;
        let user = picture.pods.iter().find(|pod| {
            let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
            let mut claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
            pod.metadata.namespace.as_ref() == Some(&object.namespace)
                && claims.any(|claim| claim.claim_name == object.name)
                && !matches!(phase(pod), "Succeeded" | "Failed")
        });
        let Some(user) = user else { return blocked(picture, &object, &claim.metadata) };
        let (owner, pod) = (picture.owner_of(user), reference("Pod", &user.metadata));
        let since = claim.metadata.deletion_timestamp.as_ref().map(|at| at.0);
        let mechanism = format!(
            "{} was deleted {} ago and stays as long as {} of {} uses it",
            object.words(),
            age(since, picture.now),
            pod.words(),
            owner.words()
        );
        let confirm = format!("list_resources pods in {}: which mount {}", object.namespace, object.name);
        let change =
            format!("take the claim out of {}, or make a new claim of another name for it", owner.words());
        let finding =
            Finding::new(Severity::Warning, Cause::DeletionBlocked, &object, mechanism, confirm, change);
        let names = claim.metadata.finalizers.clone().unwrap_or_default().join(", ");
        Some(finding.changing(&owner).shown_by([
            Evidence::field(&object, "metadata.finalizers", names),
            Evidence::field(&pod, "spec.volumes[].persistentVolumeClaim.claimName", object.name.as_str()),
        ]))
    });
    stuck.collect()
}

fn namespaces(picture: &Picture) -> Vec<Finding> {
    let here = picture.namespaces.iter().filter(|namespace| match &picture.scope {
        Scope::Cluster => true,
        Scope::Namespace(name) => namespace.metadata.name.as_ref() == Some(name),
        Scope::Object(object) => namespace.metadata.name.as_ref() == Some(&object.namespace),
    });
    let stuck = here.filter_map(|namespace| {
        let object = reference("Namespace", &namespace.metadata);
        overdue(&namespace.metadata, picture)?;
        let conditions = namespace.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let bad: Vec<_> = conditions.filter(|condition| condition.status == "True").collect();
        let say = |kind: &str| {
            let found = bad.iter().find(|condition| condition.type_ == kind)?;
            Some((kind.to_owned(), found.message.clone().unwrap_or_default()))
        };
        // What is asked first: kinds that cannot even be listed, then finalizers, then what is left.
        let said = ["NamespaceDeletionDiscoveryFailure", "NamespaceDeletionContentFailure", "NamespaceFinalizersRemaining", "NamespaceContentRemaining"]
            .iter()
            .find_map(|kind| say(kind));
        let own = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
        let (kind, message) = said.unwrap_or_else(|| ("finalizers".to_owned(), own.join(", ")));
        let since = namespace.metadata.deletion_timestamp.as_ref().map(|at| at.0);
        let mechanism = format!("{} was deleted {} ago and stays: {message}", object.words(), age(since, picture.now));
        let confirm = format!("list_resources of the kinds named there in {}", object.name);
        let change = "mend what its conditions name: the API that does not answer, or the controller whose finalizer is left";
        let finding = Finding::new(Severity::Warning, Cause::NamespaceDeletionBlocked, &object, mechanism, confirm, change);
        // An aggregated API that is down keeps every namespace.
        let apis = picture.api_services.iter().map(|api| reference("APIService", &api.metadata));
        let apis = apis.filter(|_| kind.contains("Discovery"));
        let follows: Vec<ObjectRef> = apis.collect();
        Some(finding.shown_by([Evidence::field(&object, &format!("status.conditions[type={kind}].message"), message)]).following(follows))
    });
    stuck.collect()
}

/// A pod stays when its kubelet does not answer, or when something holds it by a finalizer.
fn pods(picture: &Picture) -> Vec<Finding> {
    let stuck = picture.pods.iter().filter(|pod| is_ending(pod)).filter_map(|pod| {
        let object = reference("Pod", &pod.metadata);
        overdue(&pod.metadata, picture)?;
        if pod.metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty()) {
            return blocked(picture, &object, &pod.metadata);
        }
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone())?;
        let node = ObjectRef::new("Node", "", &node);
        let since = pod.metadata.deletion_timestamp.as_ref().map(|at| at.0);
        let mechanism = format!(
            "{} should have been gone for {} and stays: the kubelet of {} has not ended its containers",
            object.words(),
            age(since, picture.now),
            node.words()
        );
        let confirm = format!("get_resource {}; list_events of {}", node.words(), object.words());
        let change = "bring the node back; delete the pod by force only when the node is surely down";
        let finding =
            Finding::new(Severity::Warning, Cause::DeletionBlocked, &object, mechanism, confirm, change);
        let evidence = Evidence::field(
            &object,
            "metadata.deletionTimestamp",
            since.map(|at| at.to_string()).unwrap_or_default(),
        );
        Some(finding.shown_by([evidence]).following([node]))
    });
    stuck.collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const NONE: [&str; 0] = [];

    fn with(kind: &str, at: &str, more: &str) -> String {
        format!(
            "kind: {kind}\nmetadata: {{ name: x, deletionTimestamp: '2026-01-01T{at}:00Z', finalizers: [example.com/guard] }}\n{more}"
        )
    }

    #[test]
    fn a_finalizer_that_nobody_takes_away() {
        let all = findings(check, &with("ConfigMap", "11:50", ""));
        assert_eq!(
            all[0].mechanism,
            "ConfigMap shop/x was deleted 10m ago and stays: its finalizer example.com/guard was not taken away by the \
             controller that set it"
        );
        let just_now = with("ConfigMap", "11:59", "").replace("11:59:00", "11:59:30");
        assert_eq!(found(check, &just_now), NONE);
        assert_eq!(found(check, &with("Widget", "11:50", "")), ["DeletionBlocked Widget shop/x"]);
        let well = with("ConfigMap", "11:50", "").replace("deletionTimestamp: '2026-01-01T11:50:00Z', ", "");
        assert_eq!(found(check, &well), NONE);
    }

    #[test]
    fn a_claim_in_use() {
        let pod = "---\nkind: Pod\nmetadata: { name: db }\nspec: { containers: [], volumes: [{ name: v, persistentVolumeClaim: { claimName: x } }] }\nstatus: { phase: Running }";
        let all = findings(check, &with("PersistentVolumeClaim", "11:50", pod));
        assert!(
            all[0].mechanism.ends_with("stays as long as Pod shop/db of Pod shop/db uses it"),
            "{}",
            all[0].mechanism
        );
    }

    #[test]
    fn a_namespace_and_a_pod_that_stay() {
        let namespace = "
kind: Namespace
metadata: { name: shop, deletionTimestamp: '2026-01-01T11:50:00Z' }
status: { phase: Terminating, conditions: [
  { type: NamespaceContentRemaining, status: 'True', message: 'Some resources are remaining: widgets.example.com has 1' },
  { type: NamespaceDeletionContentFailure, status: 'False', message: fine }] }";
        let all = findings(check, namespace);
        assert_eq!(
            all[0].mechanism,
            "Namespace shop was deleted 10m ago and stays: Some resources are remaining: widgets.example.com has 1"
        );
        let pod = "kind: Pod\nmetadata: { name: x, deletionTimestamp: '2026-01-01T11:50:00Z' }\nspec: { nodeName: n1, containers: [] }";
        assert_eq!(found(check, pod), ["DeletionBlocked Pod shop/x"]);
        assert_eq!(found(check, &pod.replace("11:50:00", "11:59:30")), NONE);
    }
}
