//! Reads the objects of a namespace, each kept as little as possible.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use super::{
    grow::World,
    thing::{Thing, kind_of},
};
use crate::{
    answer::Answer,
    cluster::{ListRequest, ReadError, Resource},
    tools::{
        desk::{Desk, failed},
        kinds::{Facts, Line, View},
        list_resources,
    },
};

/// Read whole, since they say how they are and what they refer to. The metadata of all others is enough.
const WHOLE: [(&str, &str); 20] = [
    ("", "Pod"),
    ("apps", "ReplicaSet"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("", "ReplicationController"),
    ("apps.openshift.io", "DeploymentConfig"),
    ("", "Service"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("networking.k8s.io", "Ingress"),
    ("route.openshift.io", "Route"),
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("gateway.networking.k8s.io", "GRPCRoute"),
    ("gateway.networking.k8s.io", "TLSRoute"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("policy", "PodDisruptionBudget"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("", "PersistentVolumeClaim"),
];
/// What pods use by name.
const USED: [&str; 4] = ["ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim"];
/// Own nothing and are owned by nothing that matters, or are the same objects under another name.
const NOISE: [&str; 6] = [
    "events",
    "events.events.k8s.io",
    "endpoints",
    "leases.coordination.k8s.io",
    "controllerrevisions.apps",
    "podtemplates",
];
/// More kinds than any but the largest platforms have in a namespace.
const MOST_KINDS: usize = 250;
const AT_ONCE: usize = 8;
/// The next page reads the same version of this many kinds, those with the most objects: their names and versions must
/// fit into a cursor. If one of the few others changes where a page has shown it, the next page says so.
const PINNED: usize = 8;

/// What was read of one kind.
struct Seen {
    things: Vec<Thing>,
    names: Vec<String>,
    /// Empty for a recording.
    version: String,
}

/// What is to be read.
pub(super) struct Wanted<'a> {
    pub(super) namespace: Option<&'a str>,
    /// What was asked for and what made it, in this namespace: shown whatever their kinds.
    pub(super) shown: &'a [&'a Value],
    /// By id of their kinds: what earlier pages have shown.
    pub(super) versions: &'a BTreeMap<String, String>,
    /// Ages are reckoned from here.
    pub(super) now: Timestamp,
}

/// What was read.
pub(super) struct Read {
    pub(super) world: World,
    /// Kinds that could not be read.
    pub(super) unread: Vec<String>,
    /// As in [`Wanted`], for the next page.
    pub(super) versions: BTreeMap<String, String>,
}

/// The objects of the namespace.
///
/// # Errors
/// An error answer when not even the kinds can be read, or a version is no longer kept.
pub(super) async fn world(desk: &Desk, wanted: Wanted<'_>) -> Result<Read, Answer> {
    let Wanted { namespace, shown, versions, now } = wanted;
    let namespace = namespace.map(str::to_owned);
    let kinds = desk.reader.kinds().await.map_err(|error| failed(&error))?;
    let list = |id: &str| ListRequest {
        namespace: namespace.clone(),
        at: versions.get(id).cloned(),
        ..ListRequest::default()
    };
    let mut facts = Facts::at(now);
    facts.endpoints = list_resources::endpoints(desk, &list("endpointslices.discovery.k8s.io")).await.0;
    let wanted: Vec<&Resource> = kinds
        .iter()
        .filter(|kind| kind.namespaced && kind.can("list") && !NOISE.contains(&kind.id().as_str()))
        .filter(|kind| kind.group != "metrics.k8s.io")
        .take(MOST_KINDS)
        .collect();
    let reads: Vec<_> =
        wanted.into_iter().map(|kind| of_kind(desk, kind, list(&kind.id()), &facts)).collect();
    let all: Vec<(&Resource, Result<Seen, ReadError>)> =
        stream::iter(reads).buffered(AT_ONCE).collect().await;
    let (mut world, mut unread) = (World::default(), Vec::new());
    let mut many: Vec<(usize, String, String)> = Vec::new();
    for (kind, seen) in all {
        match seen {
            Ok(Seen { things, names, version }) => {
                if !things.is_empty() && !version.is_empty() {
                    many.push((things.len(), kind.id(), version));
                }
                world.things.extend(things);
                if USED.contains(&kind.kind.as_str()) {
                    world.known.insert(kind.kind.clone());
                    world.there.extend(names.into_iter().map(|name| (kind.kind.clone(), name)));
                }
            }
            Err(ReadError::Gone) => return Err(failed(&ReadError::Gone)),
            Err(_) => unread.push(kind.id()),
        }
    }
    for object in shown {
        let (group, kind) = kind_of(object);
        let mut thing = Thing::of(group, kind, object);
        let raw = serde_json::value::to_raw_value(object);
        if let (Some(resource), Ok(raw)) = (kinds.of_kind(group, kind), raw) {
            judge(&mut thing, &desk.view(resource).await, &raw, &facts);
        }
        match world.things.iter_mut().find(|known| known.uid == thing.uid) {
            // Read whole, and at the version that all pages show.
            Some(known) if known.rank.is_some() => {}
            Some(known) => *known = thing,
            None => world.things.push(thing),
        }
    }
    many.sort_by(|a, b| b.cmp(a));
    many.truncate(PINNED);
    let versions = many.into_iter().map(|(_, id, version)| (id, version)).collect();
    Ok(Read { world, unread, versions })
}

async fn of_kind<'a>(
    desk: &Desk,
    resource: &'a Resource,
    list: ListRequest,
    facts: &Facts,
) -> (&'a Resource, Result<Seen, ReadError>) {
    let Resource { group, kind, .. } = resource;
    let mut seen = Seen { things: Vec::new(), names: Vec::new(), version: String::new() };
    let is_used = USED.contains(&kind.as_str());
    let whole = WHOLE.contains(&(group.as_str(), kind.as_str()));
    let view = View::built_in(group, kind);
    let each = |raw: &RawValue| {
        let Ok(object) = serde_json::from_str::<Value>(raw.get()) else { return };
        let mut thing = Thing::of(group, kind, &object);
        if is_used {
            seen.names.push(thing.name.clone());
        }
        if let (true, Some(view)) = (whole, &view) {
            judge(&mut thing, view, raw, facts);
        }
        if whole || !thing.owners.is_empty() {
            seen.things.push(thing);
        }
    };
    let read = if whole {
        desk.reader.list(resource, &list, each).await
    } else {
        desk.reader.list_metadata(resource, &list, each).await
    };
    (resource, read.map(|version| Seen { version, ..seen }))
}

/// Adds how it is, as a list of its kind would show it.
fn judge(thing: &mut Thing, view: &View, raw: &RawValue, facts: &Facts) {
    // The pods of a workload stand below it and say themselves how they are.
    let Ok(Line { health, cells, .. }) = view.line(raw, facts) else { return };
    thing.state = state(&view.columns(), &cells);
    thing.rank = Some(health.rank);
    thing.why = health.why;
}

/// The cell that says most, with its heading: `ready 1/2`.
fn state(columns: &[String], cells: &[String]) -> String {
    const TELLING: [&str; 8] =
        ["READY", "STATUS", "ENDPOINTS", "HOST", "HOSTS", "REPLICAS", "ALLOWED", "LETS-IN"];
    let found = TELLING.iter().find_map(|telling| {
        let at = columns.iter().position(|column| column == telling)?;
        let cell = cells.get(at).filter(|cell| !cell.is_empty())?;
        Some(format!("{} {cell}", telling.to_lowercase()))
    });
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::state;

    #[test]
    fn the_cell_that_says_most_is_the_state() {
        let told = |columns: &[&str], cells: &[&str]| {
            let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
            state(&owned(columns), &owned(cells))
        };
        assert_eq!(told(&["TYPE", "ENDPOINTS"], &["ClusterIP", "0/2"]), "endpoints 0/2");
        assert_eq!(told(&["STATUS", "READY"], &["Running", "1/1"]), "ready 1/1");
        assert_eq!(told(&["HOSTS"], &[""]), "");
    }
}
