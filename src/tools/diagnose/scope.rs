//! What is asked for, and which objects hang together with one object.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::LabelSelector};

use super::{
    finding::ObjectRef,
    look::reference,
    picture::{Picture, Scope},
    rank::Ranked,
    references::references,
};
use crate::{
    answer::Answer,
    tools::{arguments, desk::Desk},
};

/// The scope that a call's arguments name.
///
/// # Errors
/// An error answer when they name nothing that is there.
pub(super) async fn resolve(
    desk: &Desk,
    namespace: Option<String>,
    kind: Option<String>,
    name: Option<String>,
) -> Result<Scope, Answer> {
    let Some((kind, name)) = arguments::kind_and_name(kind, name)? else {
        desk.known_namespace(namespace.as_deref()).await?;
        return Ok(namespace.map_or(Scope::Cluster, Scope::Namespace));
    };
    let resource = desk.kind(&kind).await?;
    desk.object(&resource, namespace.as_deref(), &name).await?;
    if matches!(resource.id().as_str(), "namespaces" | "projects.project.openshift.io") {
        return Ok(Scope::Namespace(name));
    }
    let namespace = namespace.filter(|_| resource.namespaced).unwrap_or_default();
    Ok(Scope::Object(ObjectRef { kind: resource.kind, namespace, name }))
}

/// `namespace shop`, `the cluster`, `Deployment shop/web`.
pub(super) fn words(scope: &Scope) -> String {
    match scope {
        Scope::Cluster => "the cluster".to_owned(),
        Scope::Namespace(namespace) => format!("namespace {namespace}"),
        Scope::Object(object) => object.words(),
    }
}

/// Leaves what has to do with the scope.
pub(super) fn within(picture: &Picture, ranked: Vec<Ranked>) -> Vec<Ranked> {
    let Scope::Object(object) = &picture.scope else { return ranked };
    let near = related(picture, object);
    ranked.into_iter().filter(|ranked| concerns(ranked, &near)).collect()
}

fn concerns(ranked: &Ranked, near: &BTreeSet<ObjectRef>) -> bool {
    let Ranked { root, symptoms } = ranked;
    std::iter::once(root)
        .chain(symptoms)
        .flat_map(|finding| [&finding.object, &finding.change.object].into_iter().chain(&finding.affects))
        .any(|object| near.contains(object))
}

/// The object, its pods, their makers, and what these use and are used by.
fn related(picture: &Picture, object: &ObjectRef) -> BTreeSet<ObjectRef> {
    let mut near = BTreeSet::from([object.clone()]);
    if let Some(target) = target_of(picture, object) {
        near.insert(target);
    }
    let services: Vec<ObjectRef> = backends_of(picture, object);
    near.extend(services);
    let pods: Vec<&Pod> = picture.pods.iter().filter(|pod| is_near(picture, pod, &near)).collect();
    for pod in &pods {
        near.extend(used_by(pod));
        near.insert(reference("Pod", &pod.metadata));
        near.extend(picture.makers_of(pod));
    }
    for service in &picture.services {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        if let Some(selector) = selector
            && pods
                .iter()
                .any(|pod| selects(selector, pod) && pod.metadata.namespace == service.metadata.namespace)
        {
            near.insert(reference("Service", &service.metadata));
        }
    }
    for ingress in &picture.ingresses {
        let this = reference("Ingress", &ingress.metadata);
        if backends_of(picture, &this).iter().any(|service| near.contains(service)) {
            near.insert(this);
        }
    }
    for scaler in &picture.autoscalers {
        let this = reference("HorizontalPodAutoscaler", &scaler.metadata);
        if target_of(picture, &this).is_some_and(|target| near.contains(&target)) {
            near.insert(this);
        }
    }
    let claims = picture
        .claims
        .iter()
        .filter(|claim| near.contains(&reference("PersistentVolumeClaim", &claim.metadata)));
    let volumes: Vec<ObjectRef> = claims
        .filter_map(|claim| claim.spec.as_ref()?.volume_name.as_deref())
        .map(|name| ObjectRef::new("PersistentVolume", "", name))
        .collect();
    near.extend(volumes);
    near
}

/// What an autoscaler scales.
fn target_of(picture: &Picture, object: &ObjectRef) -> Option<ObjectRef> {
    let scaler = picture
        .autoscalers
        .iter()
        .find(|scaler| reference("HorizontalPodAutoscaler", &scaler.metadata) == *object)?;
    let target = &scaler.spec.as_ref()?.scale_target_ref;
    Some(ObjectRef::new(&target.kind, &object.namespace, &target.name))
}

/// The Services that an Ingress leads to.
fn backends_of(picture: &Picture, object: &ObjectRef) -> Vec<ObjectRef> {
    let ingress = picture.ingresses.iter().find(|ingress| reference("Ingress", &ingress.metadata) == *object);
    let Some(spec) = ingress.and_then(|ingress| ingress.spec.as_ref()) else { return Vec::new() };
    let paths =
        spec.rules.iter().flatten().filter_map(|rule| rule.http.as_ref()).flat_map(|http| &http.paths);
    let backends = paths.map(|path| &path.backend).chain(&spec.default_backend);
    backends
        .filter_map(|backend| backend.service.as_ref())
        .map(|service| ObjectRef::new("Service", &object.namespace, &service.name))
        .collect()
}

/// Whether the pod is one of these objects, made by one, selected by one, or uses one.
fn is_near(picture: &Picture, pod: &Pod, near: &BTreeSet<ObjectRef>) -> bool {
    let this = reference("Pod", &pod.metadata);
    if near.contains(&this) || picture.makers_of(pod).iter().any(|maker| near.contains(maker)) {
        return true;
    }
    let selected = picture.services.iter().any(|service| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        near.contains(&reference("Service", &service.metadata)) && selector.is_some_and(|by| selects(by, pod))
    });
    let guarded = picture.disruption_budgets.iter().any(|budget| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        near.contains(&reference("PodDisruptionBudget", &budget.metadata))
            && selector
                .and_then(|selector: &LabelSelector| selector.match_labels.as_ref())
                .is_some_and(|by| selects(by, pod))
    });
    selected || guarded || used_by(pod).iter().any(|used| near.contains(used))
}

fn selects(selector: &BTreeMap<String, String>, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    !selector.is_empty()
        && selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// Node, claims, account, ConfigMaps and Secrets.
fn used_by(pod: &Pod) -> Vec<ObjectRef> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(spec) = &pod.spec else { return Vec::new() };
    let mut used: Vec<ObjectRef> = references(spec)
        .into_iter()
        .map(|reference| ObjectRef::new(reference.what.kind(), namespace, &reference.name))
        .collect();
    used.extend(spec.node_name.as_deref().map(|node| ObjectRef::new("Node", "", node)));
    let account = spec.service_account_name.as_deref();
    used.extend(account.map(|account| ObjectRef::new("ServiceAccount", namespace, account)));
    let claims = spec.volumes.iter().flatten().filter_map(|volume| volume.persistent_volume_claim.as_ref());
    used.extend(claims.map(|claim| ObjectRef::new("PersistentVolumeClaim", namespace, &claim.claim_name)));
    used
}
