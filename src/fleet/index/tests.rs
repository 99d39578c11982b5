#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::{Change, Found, Index, SecretName, SliceName};
use crate::{
    api::{MCPPool, MCPServer},
    gateway::{Endpoint, ServerName, Target},
};

fn server(name: &str, spec: Value) -> MCPServer {
    serde_json::from_value(json!({
        "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer",
        "metadata": { "name": name, "namespace": "tools" }, "spec": spec,
    }))
    .unwrap()
}

fn named(name: &str) -> ServerName {
    ServerName { namespace: "tools".to_owned(), name: name.to_owned() }
}

/// `pods` are name, address and conditions.
fn slice(name: &str, service: &str, pods: &[(&str, &str, Value)]) -> EndpointSlice {
    let endpoints: Vec<_> = pods
        .iter()
        .map(|(pod, address, conditions)| {
            json!({ "addresses": [address], "conditions": conditions,
                    "targetRef": { "kind": "Pod", "name": pod } })
        })
        .collect();
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "tools",
                      "labels": { "kubernetes.io/service-name": service } },
        "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{ "name": "metrics", "port": 9090 }, { "name": "mcp", "port": 8080 }],
    }))
    .unwrap()
}

fn ready() -> Value {
    json!({ "ready": true, "serving": true, "terminating": false })
}

fn pods(changes: &[Change]) -> Vec<Endpoint> {
    let [Change::Apply(downstream)] = changes else { panic!("{changes:?}") };
    let Target::Endpoints { endpoints, .. } = &downstream.target else { panic!("{downstream:?}") };
    endpoints.clone()
}

#[test]
fn a_server_is_its_usable_pods_in_whatever_order_they_are_seen() {
    let mut index = Index::default();
    let leaving = json!({ "ready": false, "serving": true, "terminating": true });
    let broken = json!({ "ready": false, "serving": false, "terminating": false });
    let gone = json!({ "ready": false, "serving": false, "terminating": true });
    let first = slice(
        "a",
        "time",
        &[("p1", "10.0.0.1", ready()), ("p2", "10.0.0.2", leaving), ("p3", "10.0.0.3", broken)],
    );
    assert_eq!(index.apply_slice(&first), []);
    let found = pods(&index.apply_server(server("time", json!({ "image": "time:1" }))));
    let at = |id: &str, address: &str, terminating| Endpoint {
        id: id.to_owned(),
        address: address.parse().unwrap(),
        terminating,
    };
    assert_eq!(found, [at("p1", "10.0.0.1:8080", false), at("p2", "10.0.0.2:8080", true)]);

    let second = slice("b", "time", &[("p4", "10.0.0.4", json!({})), ("p5", "10.0.0.5", gone)]);
    assert_eq!(pods(&index.apply_slice(&second)).len(), 3);
    assert_eq!(pods(&index.delete_slice(&SliceName::of(&first))), [at("p4", "10.0.0.4:8080", false)]);
}

#[test]
fn nothing_new_says_nothing() {
    let mut index = Index::default();
    let time = server("time", json!({ "image": "time:1" }));
    assert_eq!(index.apply_server(time.clone()).len(), 1);
    let mut touched = time;
    touched.metadata.resource_version = Some("9".to_owned());
    touched.metadata.labels = Some([("team".to_owned(), "a".to_owned())].into());
    assert_eq!(index.apply_server(touched), []);
    let pods = slice("a", "time", &[("p1", "10.0.0.1", ready())]);
    assert_eq!(index.apply_slice(&pods).len(), 1);
    assert_eq!(index.apply_slice(&pods), []);
    assert_eq!(index.apply_slice(&slice("c", "other", &[("p", "10.0.0.9", ready())])), []);
    assert_eq!(index.delete_server(&named("none")), []);
}

#[test]
fn a_malformed_server_is_refused_alone_and_comes_back_when_corrected() {
    let mut index = Index::default();
    index.apply_server(server("time", json!({ "image": "time:1" })));
    index.apply_server(server("good", json!({ "image": "x" })));
    let refused = index.apply_malformed(named("time"), "spec.port: invalid type");
    assert!(matches!(&refused[..], [Change::Refuse { name, reason }]
        if *name == named("time") && reason.to_string().contains("spec.port")));
    assert_eq!(index.apply_server(server("good", json!({ "image": "x" }))), []);
    let corrected = index.apply_server(server("time", json!({ "image": "time:1" })));
    assert!(matches!(&corrected[..], [Change::Apply(_)]));
}

#[test]
fn a_new_list_forgets_what_is_not_in_it_within_its_namespace() {
    let mut index = Index::default();
    for name in ["a", "b"] {
        index.apply_server(server(name, json!({ "image": "x" })));
    }
    index.apply_slice(&slice("s", "a", &[("p", "10.0.0.1", ready())]));
    assert_eq!(index.servers_listed(Some("other"), &BTreeSet::new()), []);
    let left = index.servers_listed(Some("tools"), &BTreeSet::from([named("a")]));
    assert_eq!(left, [Change::Delete(named("b"))]);
    assert_eq!(pods(&index.slices_listed(None, &BTreeSet::new())), []);
}

fn labelled(name: &str, pool: &str) -> MCPServer {
    let mut server = server(name, json!({ "image": "x" }));
    server.metadata.labels = Some([("pool".to_owned(), pool.to_owned())].into());
    server
}

fn pool(name: &str, wants: &str) -> MCPPool {
    serde_json::from_value(json!({
        "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPPool",
        "metadata": { "name": name, "namespace": "tools" },
        "spec": { "selector": { "matchLabels": { "pool": wants } } },
    }))
    .unwrap()
}

/// In a few words, in their order.
fn said(changes: &[Change]) -> Vec<String> {
    let words = changes.iter().map(|change| match change {
        Change::Apply(downstream) => {
            let members = downstream.members().iter().map(|member| {
                let Target::Endpoints { endpoints, .. } = &member.reached.as_ref().unwrap().target else {
                    panic!()
                };
                format!(" {}:{}", member.server.name, endpoints.len())
            });
            format!("{}{}", downstream.name.name, members.collect::<String>())
        }
        Change::Refuse { name, reason } => format!("no {}: {reason}", name.name),
        Change::Delete(name) => format!("gone {}", name.name),
    });
    words.collect()
}

#[test]
fn members_appear_as_their_pool_and_by_themselves_again_when_it_is_gone() {
    let mut index = Index::default();
    index.apply_server(labelled("a", "x"));
    index.apply_server(labelled("b", "x"));
    index.apply_slice(&slice("s", "a", &[("p1", "10.0.0.1", ready())]));
    assert_eq!(said(&index.apply_pool(pool("search", "x"))), ["gone a", "gone b", "search a:1 b:0"]);
    assert!(index.apply_pool(pool("search", "x")).is_empty());
    let more = slice("t", "b", &[("p2", "10.0.0.2", ready())]);
    assert_eq!(said(&index.apply_slice(&more)), ["search a:1 b:1"]);
    assert_eq!(said(&index.apply_server(labelled("b", "none"))), ["b", "search a:1"]);
    assert_eq!(said(&index.apply_server(labelled("b", "x"))), ["gone b", "search a:1 b:1"]);
    assert_eq!(said(&index.delete_server(&named("b"))), ["search a:1"]);
    assert_eq!(said(&index.delete_pool(&named("search"))), ["gone search", "a"]);
}

#[test]
fn a_contested_member_goes_to_the_next_pool_when_its_own_is_gone() {
    let mut index = Index::default();
    index.apply_pool(pool("first", "x"));
    index.apply_pool(pool("second", "x"));
    assert_eq!(said(&index.apply_server(labelled("a", "x"))), ["first a:0"]);
    assert_eq!(
        said(&index.pools_listed(None, &BTreeSet::from([named("second")]))),
        ["gone first", "second a:0"]
    );
}

#[test]
fn a_pool_that_cannot_be_used_says_so_and_takes_nobody_in() {
    let mut index = Index::default();
    index.apply_server(labelled("a", "x"));
    let mut odd = pool("search", "x");
    odd.spec.selector.match_labels = None;
    let [refused] = &said(&index.apply_pool(odd))[..] else { panic!() };
    assert!(refused.starts_with("no search: spec.selector selects every MCPServer"), "{refused}");
    let mut prefix = pool("search", "x");
    prefix.spec.gateway.prefix = Some("A".to_owned());
    let changes = said(&index.apply_pool(prefix));
    assert!(changes[0] == "gone a" && changes[1].contains("spec.gateway.prefix"), "{changes:?}");
    // The server has the name, so it is no pool.
    index.delete_pool(&named("search"));
    assert!(index.apply_pool(pool("a", "x")).is_empty());
    let taken = said(&index.apply_pool(pool("search", "x")));
    let [a, search] = &taken[..] else { panic!("{taken:?}") };
    assert!(search == "search a:0" && a.starts_with("no a: an MCPServer of the same name is older"));
}

#[test]
fn headers_come_from_secrets_and_what_is_missing_is_said() {
    let mut index = Index::default();
    let header = json!({ "name": "X-Key", "secretKeyRef": { "name": "s", "key": "k" } });
    let spec = json!({ "remote": { "url": "https://far/mcp", "headersFrom": [header] } });
    let said = |changes: Vec<Change>| match &changes[..] {
        [Change::Refuse { reason, .. }] => reason.to_string(),
        [Change::Apply(downstream)] => match &downstream.target {
            Target::Url { headers, .. } => {
                format!("{:?} {:?}", headers[0].0, headers[0].1.to_str().unwrap())
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert!(said(index.apply_server(server("far", spec))).contains("was not read yet"));
    let wanted = index.wanted_secrets();
    let secret = SecretName { namespace: "tools".to_owned(), name: "s".to_owned() };
    assert_eq!(wanted, BTreeSet::from([secret.clone()]));
    let values = |key: &str, value: &str| Found::Values([(key.to_owned(), value.as_bytes().to_vec())].into());
    for (found, part) in [
        (
            Found::Forbidden,
            "spec.remote.headersFrom `X-Key`: Secret tools/s may not be read: bind the ClusterRole pilothouse-secrets",
        ),
        (Found::Never, "is not read from outside the cluster"),
        (Found::Missing, "Secret tools/s does not exist: create it"),
        (values("other", "v"), "has no key k: it has other"),
        (values("k", "two\nlines"), "is not one line of text"),
        (values("k", "Bearer a\n"), "\"x-key\" \"Bearer a\""),
    ] {
        let said = said(index.apply_secret(secret.clone(), found));
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(index.apply_secret(secret.clone(), values("k", "Bearer a\n")), []);
    index.delete_server(&named("far"));
    assert!(index.wanted_secrets().is_empty());
}

#[test]
fn what_the_tools_were_is_learned_from_the_status_and_the_rest_of_it_is_no_news() {
    let pool = |status: Value| -> MCPPool {
        serde_json::from_value(json!({
            "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPPool",
            "metadata": { "name": "search", "namespace": "tools" },
            "spec": { "selector": { "matchLabels": { "pool": "search" } } }, "status": status,
        }))
        .unwrap()
    };
    let time = |status: Value| {
        let status = Some(serde_json::from_value(status).unwrap());
        MCPServer { status, ..server("time", json!({ "image": "time:1" })) }
    };
    let mut index = Index::default();
    assert_eq!(index.apply_server(time(json!({}))).len(), 1);
    assert_eq!(index.apply_pool(pool(json!({}))).len(), 1);
    assert_eq!(index.apply_server(time(json!({ "phase": "Ready", "toolCount": 1 }))), []);
    assert_eq!(index.apply_pool(pool(json!({ "phase": "Ready", "toolCount": 1 }))), []);
    let pins = json!({ "phase": "Ready", "pins": { "a": "0123" } });
    for changes in [index.apply_server(time(pins.clone())), index.apply_pool(pool(pins.clone()))] {
        let [Change::Apply(downstream)] = &*changes else { panic!("{changes:?}") };
        assert_eq!(downstream.terms.pins["a"], "0123");
    }
    assert_eq!(index.apply_server(time(pins.clone())), []);
    assert_eq!(index.apply_pool(pool(pins)), []);
}
