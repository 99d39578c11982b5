//! Every CEL rule of every CRD has an example that it refuses. Needs no cluster.

use std::collections::BTreeSet;

use kube::CustomResourceExt;
use pilothouse::api::{DataSource, MCPPool, MCPServer};
use serde_json::Value;

use super::{
    basics::{GATEWAY, REMOTE, SOURCE},
    contents::{CONFIG, PROBES, ROLLOUT, SECRETS},
    examples::Examples,
    other_kinds::{self, POOL},
    pods::{PLACEMENT, SCALING, SECURITY, STORAGE},
    surroundings::{CONNECTED, NETWORK, OBSERVABILITY},
    unlike_the_others::{CHANGES, NAMES, TOO_LARGE},
};

const TABLES: [&Examples; 16] = [
    &SOURCE,
    &REMOTE,
    &GATEWAY,
    &SCALING,
    &STORAGE,
    &PLACEMENT,
    &SECURITY,
    &CONFIG,
    &SECRETS,
    &PROBES,
    &ROLLOUT,
    &NETWORK,
    &OBSERVABILITY,
    &CONNECTED,
    &POOL,
    &other_kinds::SOURCE,
];

/// The messages of all rules below.
fn messages(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for rule in object.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten()
            {
                into.insert(rule["message"].as_str().expect("a rule has a message").to_owned());
            }
            object.values().for_each(|value| messages(value, into));
        }
        Value::Array(values) => values.iter().for_each(|value| messages(value, into)),
        _ => {}
    }
}

#[test]
fn every_rule_has_an_example() {
    let mut unshown = BTreeSet::new();
    for crd in [MCPServer::crd(), MCPPool::crd(), DataSource::crd()] {
        messages(&serde_json::to_value(&crd).unwrap(), &mut unshown);
    }
    assert!(unshown.len() > 100, "rules were found: {}", unshown.len());
    let in_tables = TABLES.iter().flat_map(|table| table.refused).map(|(_, says)| *says);
    let elsewhere = NAMES.iter().map(|(_, _, says)| *says).chain(CHANGES.iter().map(|(_, _, says)| *says));
    for says in in_tables.chain(elsewhere).chain([TOO_LARGE]) {
        unshown.remove(says);
    }
    assert!(unshown.is_empty(), "without an example: {unshown:#?}");
}
