//! ExternalSecrets, one for each value of an external store. Each makes a Secret of its own name with one key.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::json;

use super::{labels, names};
use crate::{
    api::{External, SecretStoreRef},
    operator::mcp_server::validate::{Owner, Place, SecretUse, Source},
};

/// The key of the Secret that holds the value.
pub(super) const KEY: &str = "value";

pub(super) fn build<'a>(
    owner: &'a Owner,
    secrets: &'a [SecretUse],
    child_labels: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (DynamicObject, &'a External)> {
    secrets.iter().filter_map(move |one| match &one.source {
        Source::External { asks } => Some((external(owner, &one.place, asks, child_labels), asks.as_ref())),
        Source::Secret(_) => None,
    })
}

/// The fields are the same in `v1` and `v1beta1`; which one it is, the cluster says.
fn external(
    owner: &Owner,
    place: &Place,
    asks: &External,
    child_labels: &BTreeMap<String, String>,
) -> DynamicObject {
    let External { store: SecretStoreRef { name: store, kind }, key, property, refresh } = asks;
    let name = names::external(owner, place);
    let mut from = json!({"key": key});
    if let Some(property) = property {
        from["property"] = json!(property);
    }
    DynamicObject {
        types: None,
        metadata: ObjectMeta { name: Some(name.clone()), ..labels::metadata(owner, child_labels) },
        data: json!({"spec": {
            "refreshInterval": refresh.to_string(),
            "secretStoreRef": {"kind": kind.as_str(), "name": store},
            "target": {"name": name, "creationPolicy": "Owner"},
            "data": [{"secretKey": KEY, "remoteRef": from}],
        }}),
    }
}
