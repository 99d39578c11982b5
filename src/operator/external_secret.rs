//! ExternalSecrets: how one is written for the External Secrets Operator, and what it answers in the status.

use kube::{
    ResourceExt,
    core::{DynamicObject, ObjectMeta},
};
use serde_json::{Value, json};

use crate::api::{External, SecretStoreRef, Span};

/// A value of a store, and the key of the Secret that holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub key: &'a str,
    pub asks: &'a External,
}

/// One that fills the Secret of its own name. Its stores are asked as often as the most impatient value wants. The
/// fields are the same in `v1` and `v1beta1`; which one it is, the cluster says.
pub(super) fn build(metadata: ObjectMeta, first: Wanted<'_>, others: &[Wanted<'_>]) -> DynamicObject {
    let External { store, refresh, key: _, property: _ } = first.asks;
    let all = [first].into_iter().chain(others.iter().copied());
    let often = others.iter().map(|other| other.asks.refresh).fold(*refresh, Span::min);
    let data = json!({"spec": {
        "refreshInterval": often.to_string(),
        "secretStoreRef": reference(store),
        "target": {"name": metadata.name, "creationPolicy": "Owner"},
        "data": all.map(|wanted| entry(wanted, store)).collect::<Vec<_>>(),
    }});
    DynamicObject { types: None, metadata, data }
}

/// `first`: the store of whatever names none.
fn entry(wanted: Wanted<'_>, first: &SecretStoreRef) -> Value {
    let External { store, key, property, refresh: _ } = wanted.asks;
    let mut from = json!({"key": key});
    if let Some(property) = property {
        from["property"] = json!(property);
    }
    let mut entry = json!({"secretKey": wanted.key, "remoteRef": from});
    if first != store {
        entry["sourceRef"] = json!({"storeRef": reference(store)});
    }
    entry
}

fn reference(store: &SecretStoreRef) -> Value {
    let SecretStoreRef { name, kind } = store;
    json!({"kind": kind.as_str(), "name": name})
}

/// How far ExternalSecrets have come: told by the one that is the furthest behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// A sentence about one that has no value, without the way out.
    Failed(String),
    /// A sentence.
    Waiting(String),
    /// A sentence.
    Synced(String),
}

pub(super) fn progress(all: &[DynamicObject]) -> Progress {
    let mut all: Vec<&DynamicObject> = all.iter().collect();
    all.sort_by_key(|one| one.name_any());
    let failed = all.iter().find_map(|one| match readiness(one) {
        Some(("False", why)) => Some((one.name_any(), why)),
        _ => None,
    });
    if let Some((name, why)) = failed {
        let why = if why.is_empty() { "it says no reason" } else { why.trim_end_matches('.') };
        return Progress::Failed(format!("ExternalSecret {name} has no value: {why}"));
    }
    match all.iter().find(|one| readiness(one).is_none_or(|(status, _)| status != "True")) {
        Some(waits) => Progress::Waiting(format!(
            "ExternalSecret {} was not answered by its operator yet.",
            waits.name_any()
        )),
        None => Progress::Synced(match all.len() {
            1 => "1 ExternalSecret has its value.".to_owned(),
            count => format!("{count} ExternalSecrets have their values."),
        }),
    }
}

/// What is said where the cluster has no such kind.
pub(super) const KIND_MISSING: &str = "The cluster has no ExternalSecret (external-secrets.io/v1 or v1beta1): install the External Secrets Operator, the ExternalSecrets are then made within a minute.";

/// Status and message of its condition `Ready`.
fn readiness(external: &DynamicObject) -> Option<(&str, &str)> {
    let conditions = external.data.pointer("/status/conditions")?.as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    Some((ready["status"].as_str()?, ready.get("message").and_then(Value::as_str).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use kube::core::ObjectMeta;
    use serde_json::json;

    use super::{Wanted, build};
    use crate::api::External;

    fn asks(text: &str) -> External {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn values_of_several_stores_are_one_object() {
        let user = asks("{store: {name: vault}, key: shop, property: user}");
        let password = asks("{store: {name: all, kind: ClusterSecretStore}, key: pass, refresh: 30s}");
        let (first, other) =
            (Wanted { key: "username", asks: &user }, Wanted { key: "password", asks: &password });
        let metadata = ObjectMeta { name: Some("orders-datasource".to_owned()), ..ObjectMeta::default() };
        let made = build(metadata, first, &[other]);
        assert_eq!(
            made.data,
            json!({"spec": {
                "refreshInterval": "30s",
                "secretStoreRef": {"kind": "SecretStore", "name": "vault"},
                "target": {"name": "orders-datasource", "creationPolicy": "Owner"},
                "data": [
                    {"secretKey": "username", "remoteRef": {"key": "shop", "property": "user"}},
                    {"secretKey": "password", "remoteRef": {"key": "pass"},
                        "sourceRef": {"storeRef": {"kind": "ClusterSecretStore", "name": "all"}}},
                ],
            }})
        );
    }
}
