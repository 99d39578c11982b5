//! The reads: every kind of the namespace that may be listed, a few of the cluster, each streamed into little.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    delivery,
    entry::{Condition, Entry, Meta, Sort, Span, Symptom, Thing},
    events::Events,
    object,
    related::Related,
    revisions::Revisions,
    symptom::{self, Symptoms},
    timeline,
};
use crate::{
    answer::Answer,
    cluster::{ListRequest, ReadError, Resource},
    tools::{
        desk::{Desk, failed},
        kinds::Facts,
    },
};

/// All that was found.
pub(super) struct Looked {
    pub(super) entries: Vec<Entry>,
    pub(super) symptoms: Vec<Symptom>,
    /// What could not be seen, each in a few words.
    pub(super) notes: Vec<String>,
}

/// Lists that are read at the same time.
const AT_ONCE: usize = 8;
/// Of one namespace; a cluster with more kinds is not looked through to its end.
const MOST_KINDS: usize = 150;

/// Kinds that change all the time, or only mirror others.
const NOISE: [&str; 12] = [
    "Endpoints",
    "EndpointSlice",
    "Lease",
    "PodMetrics",
    "NodeMetrics",
    "ControllerRevision",
    "ReplicaSet",
    "Event",
    "CiliumEndpoint",
    "CSIStorageCapacity",
    "PolicyReport",
    "EphemeralReport",
];
/// What is read of all namespaces, and of the cluster, when none is given.
const OF_CLUSTER: [&str; 27] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "ConfigMap",
    "Secret",
    "Service",
    "Ingress",
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ResourceQuota",
    "LimitRange",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "Namespace",
    "StorageClass",
    "PriorityClass",
    "CustomResourceDefinition",
    "APIService",
    "PersistentVolumeClaim",
    "Route",
    "Gateway",
    "HTTPRoute",
];
/// Of the cluster, whatever namespace is looked at: these bear on all of them.
const BEARING: [&str; 3] = ["Node", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];
/// Kinds that could not be read and are named.
const UNREAD_NAMED: usize = 6;
/// Recordings hold no managedFields.
const RECORDED: &str = "who wrote which fields (a recording does not hold it)";

/// What one list gave.
#[derive(Default)]
struct Part {
    entries: Vec<Entry>,
    symptoms: Symptoms,
    revisions: Revisions,
    events: Events,
    /// Workload and node of each pod.
    nodes: Vec<(Thing, String)>,
    /// Autoscaler, and kind and name of what it scales.
    targets: Vec<(String, String, String)>,
    unread: Option<String>,
}

/// # Errors
/// An error answer when nothing at all can be read.
pub(super) async fn look(
    desk: &Desk,
    namespace: Option<&str>,
    mut related: Option<Related>,
    span: Span,
) -> Result<Looked, Answer> {
    let kinds = desk.reader.kinds().await.map_err(|error| failed(&error))?;
    let wanted: Vec<(&Resource, Option<&str>)> = kinds
        .iter()
        .filter(|resource| resource.can("list") && resource.can("get"))
        .filter_map(|resource| Some((resource, place(resource, namespace)?)))
        .take(MOST_KINDS)
        .collect();
    let parts: Vec<_> =
        wanted.into_iter().map(|(resource, place)| part(desk, resource, place, namespace, span)).collect();
    let parts: Vec<Result<Part, ReadError>> = stream::iter(parts).buffered(AT_ONCE).collect().await;

    let asked = parts.len();
    let mut all = Part::default();
    let mut unread = Vec::new();
    for part in parts {
        let Part { entries, symptoms, revisions, events, nodes, targets, unread: missing } =
            part.map_err(|error| failed(&error))?;
        all.entries.extend(entries);
        all.entries.extend(revisions.entries(span));
        all.symptoms.merge(symptoms);
        if events.oldest.is_some() {
            all.events = events;
        }
        all.nodes.extend(nodes);
        all.targets.extend(targets);
        unread.extend(missing);
    }
    if unread.len() == asked {
        return Err(Answer::error(match namespace {
            Some(namespace) => format!("there is no namespace `{namespace}` of which you may read anything"),
            None => "you may not read all namespaces at once: give `namespace`".to_owned(),
        }));
    }
    let Part { mut entries, symptoms, mut events, nodes, targets, revisions: _, unread: _ } = all;
    entries.extend(symptoms.images(span));
    entries.extend(events.entries());
    if let Some(related) = &mut related {
        nodes.iter().for_each(|(workload, node)| related.add_node(workload, node));
        targets.iter().for_each(|(name, kind, target)| related.add_autoscaler(name, kind, target));
        // Before they are joined: what was made together is not all related.
        entries.retain(|entry| related.has(&entry.thing));
        events.scalings.retain(|thing, _| related.has(thing));
    }
    let mut entries = timeline::joined(entries, &events.scalings);
    let first_warnings = events.first_warnings(symptoms.things());
    let mut symptoms = symptoms.symptoms(&first_warnings);
    if namespace.is_some() {
        let own: BTreeSet<&str> = nodes.iter().map(|(_, node)| node.as_str()).collect();
        let bears = |thing: &Thing| thing.kind != "Node" || own.contains(thing.name.as_str());
        // A node that failed may have had its pods taken away.
        entries.retain(|entry| bears(&entry.thing) || entry.what.starts_with("Ready became"));
        symptoms.retain(|symptom| bears(&symptom.thing));
    }
    if let Some(related) = &related {
        symptoms.retain(|symptom| related.has(&symptom.thing));
    }
    let mut notes = Vec::new();
    if !unread.is_empty() {
        let more = unread.len().saturating_sub(UNREAD_NAMED);
        let more = if more > 0 { format!(" and {more} more kinds") } else { String::new() };
        unread.truncate(UNREAD_NAMED);
        notes.push(format!("{}{more} (could not be read)", unread.join(", ")));
    }
    if desk.reader.recorded_at().is_some() {
        notes.push(RECORDED.to_owned());
    }
    Ok(Looked { entries, symptoms, notes })
}

/// Where a kind is read: nowhere, in one namespace, or in all and of the cluster.
fn place<'a>(resource: &Resource, namespace: Option<&'a str>) -> Option<Option<&'a str>> {
    let kind = resource.kind.as_str();
    let delivers = delivery::KINDS.contains(&(resource.group.as_str(), kind));
    // The old and the new API have the same events.
    let events = kind == "Event" && resource.group.is_empty();
    let revisions = ["ReplicaSet", "ControllerRevision"].contains(&kind) && resource.group == "apps";
    if delivers || (BEARING.contains(&kind) && !resource.group.contains("metrics")) {
        return Some(None);
    }
    match namespace {
        Some(namespace) if resource.namespaced => {
            (events || revisions || !NOISE.contains(&kind)).then_some(Some(namespace))
        }
        Some(_) => None,
        None => (events || revisions || kind == "Pod" || OF_CLUSTER.contains(&kind)).then_some(None),
    }
}

/// One kind. What may not be read is named and no failure.
async fn part(
    desk: &Desk,
    resource: &Resource,
    place: Option<&str>,
    namespace: Option<&str>,
    span: Span,
) -> Result<Part, ReadError> {
    let mut part = Part::default();
    let request = ListRequest { namespace: place.map(str::to_owned), ..ListRequest::default() };
    let facts = Facts::at(span.to);
    let read = desk
        .reader
        .list(resource, &request, |object| part.add(resource, object, namespace, span, &facts))
        .await;
    match read {
        Ok(_) => {}
        // Without a cluster or a name, no other kind would be read either.
        Err(
            error
            @ (ReadError::NoCluster(_) | ReadError::Unauthorized { .. } | ReadError::Unreachable { .. }),
        ) => {
            return Err(error);
        }
        // One kind that is slow, refused or gone hides itself alone.
        Err(_) => part.unread = Some(resource.id()),
    }
    Ok(part)
}

#[derive(Deserialize)]
struct Seen {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Value,
    node_name: Value,
    scale_target_ref: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Value,
    last_scale_time: Value,
    desired_replicas: Value,
}

impl Part {
    fn add(
        &mut self,
        resource: &Resource,
        object: &RawValue,
        namespace: Option<&str>,
        span: Span,
        facts: &Facts,
    ) {
        let (group, kind) = (resource.group.as_str(), resource.kind.as_str());
        if kind == "Event" && group.is_empty() {
            return self.events.add(object, span);
        }
        if group == "apps" && ["ReplicaSet", "ControllerRevision"].contains(&kind) {
            self.revisions.add(kind, object, span);
            return;
        }
        if delivery::KINDS.contains(&(group, kind)) {
            let object = serde_json::from_str(object.get()).unwrap_or_default();
            self.entries.extend(delivery::entries(kind, &object, namespace, span));
            return;
        }
        let Ok(Seen { metadata, spec, status }) = serde_json::from_str::<Seen>(object.get()) else { return };
        if kind == "Secret" && metadata.labels.get("owner").is_some_and(|owner| owner == "helm") {
            self.entries.extend(delivery::helm(&metadata, span));
            return;
        }
        if symptom::JUDGED.contains(&kind) {
            let thing = self.symptoms.add(group, kind, object, facts);
            if let Some((thing, node)) = thing.zip(spec.node_name.as_str()) {
                self.nodes.push((thing, node.to_owned()));
            }
        }
        // Made and scheduled by others; what was made by hand is told.
        if kind == "Pod" || (kind == "Job" && metadata.controller().is_some()) {
            if metadata.controller().is_none() {
                self.entries.extend(object::entries(kind, &metadata, None, span));
            }
            return;
        }
        if kind == "Node" {
            self.conditions(&metadata, status.conditions, span);
        }
        if kind == "HorizontalPodAutoscaler" {
            self.autoscaler(
                &metadata,
                &spec.scale_target_ref,
                &status.last_scale_time,
                &status.desired_replicas,
                span,
            );
        }
        self.entries.extend(object::entries(kind, &metadata, spec.replicas.as_i64(), span));
    }

    fn conditions(&mut self, node: &Meta, conditions: Value, span: Span) {
        let conditions: Vec<Condition> = serde_json::from_value(conditions).unwrap_or_default();
        for condition in conditions {
            if let Some(at) = condition.last_transition_time.filter(|at| span.has(*at)) {
                let Condition { kind, status, .. } = &condition;
                let what = format!("{kind} became {status} ({})", condition.words());
                self.entries.push(Entry {
                    at,
                    thing: node.thing("Node"),
                    sort: Sort::Condition,
                    by: String::new(),
                    what,
                });
            }
        }
    }

    fn autoscaler(&mut self, own: &Meta, target: &Value, last: &Value, desired: &Value, span: Span) {
        let Some((kind, name)) = target["kind"].as_str().zip(target["name"].as_str()) else { return };
        self.targets.push((own.name.clone(), kind.to_owned(), name.to_owned()));
        let last = last.as_str().and_then(|last| last.parse().ok()).filter(|at| span.has(*at));
        if let Some(at) = last {
            let desired = desired.as_i64().map_or_else(String::new, |count| format!(", now {count} wanted"));
            let what = format!("scaled {kind} {name}{desired}");
            let thing = own.thing("HorizontalPodAutoscaler");
            self.entries.push(Entry { at, thing, sort: Sort::Scaled, by: String::new(), what });
        }
    }
}

/// Of all things, so that a test can say what is read.
#[cfg(test)]
mod tests {
    use super::{Resource, place};

    fn resource(group: &str, kind: &str, namespaced: bool) -> Resource {
        Resource { group: group.into(), kind: kind.into(), namespaced, ..Resource::default() }
    }

    #[test]
    fn every_kind_of_a_namespace_is_read_but_noise() {
        for (group, kind, namespaced, expected) in [
            ("", "ConfigMap", true, Some(Some("shop"))),
            ("shop.test", "Widget", true, Some(Some("shop"))),
            ("coordination.k8s.io", "Lease", true, None),
            ("apps", "ReplicaSet", true, Some(Some("shop"))),
            ("", "Event", true, Some(Some("shop"))),
            ("events.k8s.io", "Event", true, None),
            ("argoproj.io", "Application", true, Some(None)),
            ("", "Node", false, Some(None)),
            ("rbac.authorization.k8s.io", "ClusterRole", false, None),
        ] {
            assert_eq!(place(&resource(group, kind, namespaced), Some("shop")), expected, "{kind}");
        }
        assert_eq!(place(&resource("shop.test", "Widget", true), None), None);
        assert_eq!(place(&resource("rbac.authorization.k8s.io", "ClusterRole", false), None), Some(None));
    }
}
