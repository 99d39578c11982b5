//! ConfigMaps, service accounts and claims that nothing in the picture refers to.
//!
//! Programs read ConfigMaps through the API too, and custom resources name what they need in ways of their own: what
//! carries the name of an owner, or is named anywhere in a custom resource, counts as used. Secrets are not read unless
//! somebody refers to them, so unused ones are not found.

use std::collections::BTreeSet;

use k8s_openapi::{api::core::v1::PodSpec, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::hint;
use crate::tools::diagnose::{
    cause::Cause,
    finding::{Evidence, Finding, ObjectRef},
    look::{reference, seconds_old},
    owning::workloads,
    picture::Picture,
    reach::has_all,
    references::{Referred, references},
};

/// Somebody may be about to use it.
const NEW_SECONDS: i64 = 600;
/// Made in every namespace by the cluster itself.
const OWN: [&str; 5] = ["kube-root-ca.crt", "openshift-service-ca.crt", "default", "builder", "deployer"];

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    // Without all workloads nobody can say that something is not used.
    let all = ["Pod", "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job"];
    if all.iter().any(|kind| picture.unread.contains_key(kind)) {
        return;
    }
    let used = Used::of(picture);
    for map in &picture.config_maps {
        let object = reference("ConfigMap", &map.metadata);
        if used.is_left(picture, &object, &map.metadata) {
            let mechanism = format!("no workload refers to {}", object.words());
            let change = "take it away, unless a program reads it through the API";
            findings.push(hint(Cause::ConfigMapUnused, &object, mechanism, change, named_by_nobody(&object)));
        }
    }
    for account in &picture.service_accounts {
        let object = reference("ServiceAccount", &account.metadata);
        if used.is_left(picture, &object, &account.metadata) {
            let mechanism = format!("no workload runs as {}", object.words());
            let change = "take it away with its bindings, unless somebody outside uses its tokens";
            findings.push(hint(
                Cause::ServiceAccountUnused,
                &object,
                mechanism,
                change,
                named_by_nobody(&object),
            ));
        }
    }
    for claim in &picture.claims {
        let object = reference("PersistentVolumeClaim", &claim.metadata);
        if used.is_left(picture, &object, &claim.metadata) && !is_of_stateful_set(picture, &object) {
            let mechanism = format!("no workload mounts {}, which holds storage", object.words());
            let change = "take it away when its data are not needed";
            findings.push(hint(Cause::ClaimUnused, &object, mechanism, change, named_by_nobody(&object)));
        }
    }
}

fn named_by_nobody(object: &ObjectRef) -> Evidence {
    Evidence::field(object, "metadata.name", "named by no workload")
}

struct Used {
    objects: BTreeSet<ObjectRef>,
    /// Everything that custom resources say.
    custom: String,
}

impl Used {
    fn of(picture: &Picture) -> Self {
        let mut objects = BTreeSet::new();
        for maker in workloads(picture) {
            add(&mut objects, &maker.object.namespace, maker.spec);
        }
        for pod in &picture.pods {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            if let Some(spec) = &pod.spec {
                add(&mut objects, namespace, spec);
            }
        }
        let custom = picture.custom.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Self { objects, custom }
    }

    fn is_left(&self, picture: &Picture, object: &ObjectRef, metadata: &ObjectMeta) -> bool {
        !self.objects.contains(object)
            && !OWN.contains(&object.name.as_str())
            && metadata.owner_references.as_ref().is_none_or(Vec::is_empty)
            && seconds_old(metadata, picture.now) > NEW_SECONDS
            && has_all(picture, &object.kind, &object.namespace)
            && !self.custom.contains(&format!("\"{}\"", object.name))
    }
}

fn add(objects: &mut BTreeSet<ObjectRef>, namespace: &str, spec: &PodSpec) {
    for reference in references(spec).into_iter().filter(|reference| reference.what == Referred::ConfigMap) {
        objects.insert(ObjectRef::new("ConfigMap", namespace, &reference.name));
    }
    let account = spec.service_account_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("default");
    objects.insert(ObjectRef::new("ServiceAccount", namespace, account));
    for volume in spec.volumes.iter().flatten() {
        if let Some(claim) = &volume.persistent_volume_claim {
            objects.insert(ObjectRef::new("PersistentVolumeClaim", namespace, &claim.claim_name));
        }
    }
}

/// It keeps the data of a pod that the set may make again.
fn is_of_stateful_set(picture: &Picture, claim: &ObjectRef) -> bool {
    picture.stateful_sets.iter().any(|set| {
        let templates = set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten());
        let set_name = set.metadata.name.as_deref().unwrap_or_default();
        set.metadata.namespace.as_ref() == Some(&claim.namespace)
            && templates.into_iter().any(|template| {
                let template = template.metadata.name.as_deref().unwrap_or_default();
                claim.name.starts_with(&format!("{template}-{set_name}-"))
            })
    })
}
