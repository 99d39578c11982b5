//! The pods of the other replicas, by the EndpointSlices of the Service that is there for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::OnceLock,
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store},
        watcher,
    },
};
use tokio_util::task::AbortOnDropHandle;

/// Headless, and also with pods that are not ready: they may have sessions.
const SERVICE: &str = "pilothouse-peers";

pub(super) struct Found {
    api: Api<EndpointSlice>,
    own_pod: String,
    port: u16,
    /// Since the first time that somebody wanted to know.
    watched: OnceLock<Watched>,
}

struct Watched {
    slices: Store<EndpointSlice>,
    _task: AbortOnDropHandle<()>,
}

impl Found {
    pub(super) fn new(client: Client, namespace: &str, own_pod: &str, port: u16) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, own_pod: own_pod.to_owned(), port, watched: OnceLock::new() }
    }

    /// Nothing when they could not be listed within that time.
    pub(super) async fn addresses(&self, within: Duration) -> Option<BTreeSet<SocketAddr>> {
        let slices = &self.watched.get_or_init(|| watch(self.api.clone())).slices;
        let listed = tokio::time::timeout(within, slices.wait_until_ready()).await;
        if !matches!(listed, Ok(Ok(()))) {
            return None;
        }
        let state = slices.state();
        Some(addresses(state.iter().map(AsRef::as_ref), &self.own_pod, self.port))
    }
}

impl Found {
    /// Of one pod; nothing when it is not there, or they could not be listed within that time.
    pub(super) async fn address_of(&self, pod: &str, within: Duration) -> Option<SocketAddr> {
        let slices = &self.watched.get_or_init(|| watch(self.api.clone())).slices;
        tokio::time::timeout(within, slices.wait_until_ready()).await.ok()?.ok()?;
        let state = slices.state();
        let pods = pods(state.iter().map(AsRef::as_ref), &self.own_pod);
        pods.get(pod).map(|address| SocketAddr::new(*address, self.port))
    }
}

fn watch(api: Api<EndpointSlice>) -> Watched {
    let (slices, writer) = reflector::store();
    let config = watcher::Config::default().labels(&format!("kubernetes.io/service-name={SERVICE}"));
    let mut is_broken = false;
    let events = watcher(api, config).default_backoff().reflect(writer).for_each(move |event| {
        let was_broken = std::mem::replace(&mut is_broken, event.is_err());
        if let Err(error) = event
            && !was_broken
        {
            tracing::warn!(
                %error,
                "the other replicas (EndpointSlices of {SERVICE}) cannot be watched, trying again: until then no server is put to sleep"
            );
        }
        std::future::ready(())
    });
    Watched { slices, _task: AbortOnDropHandle::new(tokio::spawn(events)) }
}

/// One for each pod but our own.
fn addresses<'a>(
    slices: impl Iterator<Item = &'a EndpointSlice>,
    own_pod: &str,
    port: u16,
) -> BTreeSet<SocketAddr> {
    pods(slices, own_pod).into_values().map(|address| SocketAddr::new(address, port)).collect()
}

/// Each pod but our own, by its name where it has one.
fn pods<'a>(slices: impl Iterator<Item = &'a EndpointSlice>, own_pod: &str) -> BTreeMap<String, IpAddr> {
    let mut pods = BTreeMap::<String, IpAddr>::new();
    for endpoint in slices.flat_map(|slice| &slice.endpoints) {
        let Some(address) = endpoint.addresses.first().and_then(|address| address.parse::<IpAddr>().ok())
        else {
            continue;
        };
        let pod = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
        if pod.as_deref() != Some(own_pod) {
            // Those of two address families have it twice.
            pods.entry(pod.unwrap_or_else(|| address.to_string())).or_insert(address);
        }
    }
    pods
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::json;

    use super::addresses;

    fn slice(family: &str, endpoints: &[(&str, &str)]) -> EndpointSlice {
        let endpoint = |(pod, address): &(&str, &str)| json!({ "addresses": [address], "targetRef": { "kind": "Pod", "name": pod } });
        let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
        let slice = json!({ "metadata": {}, "addressType": family, "endpoints": endpoints, "ports": [{ "port": 8080 }] });
        serde_json::from_value(slice).unwrap()
    }

    #[test]
    fn every_other_pod_is_asked_once_at_its_health_port() {
        let four = slice("IPv4", &[("p-0", "10.0.0.1"), ("p-1", "10.0.0.2"), ("p-2", "10.0.0.3")]);
        let six = slice("IPv6", &[("p-0", "fd00::1"), ("p-1", "fd00::2")]);
        let found = addresses([&four, &six].into_iter(), "p-0", 8081);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.2:8081", "10.0.0.3:8081"]);
    }

    #[test]
    fn alone_there_is_nobody_to_ask() {
        assert!(addresses([&slice("IPv4", &[("p-0", "10.0.0.1")])].into_iter(), "p-0", 8081).is_empty());
        assert!(addresses([].into_iter(), "p-0", 8081).is_empty());
    }
}
