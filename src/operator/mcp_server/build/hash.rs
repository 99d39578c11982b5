//! Hashes that tell what was meant from what is there.
//!
//! A child carries `<inputs>.<built>` in one annotation. *Inputs* is the hash of what the MCPServer says: only its
//! change makes an update. *Built* is the hash of what this version of pilothouse makes of it: when it alone
//! differs, another version built the child, and it is left as it is.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::digest::{SHA256, digest};
use kube::Resource;
use serde::Serialize;
use serde_json::Value;

use crate::operator::mcp_server::validate::Workload;

/// Annotation of every child.
pub(super) const DESIRED_HASH: &str = "pilothouse.dev/desired-hash";

/// Of the pod template: a change rolls the pods.
pub(super) const CONFIG_HASH: &str = "pilothouse.dev/config-hash";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DesiredHash {
    pub inputs: String,
    pub built: String,
}

impl DesiredHash {
    /// What an object says it was made from.
    pub(crate) fn of<K: Resource>(object: &K) -> Option<Self> {
        let noted = object.meta().annotations.as_ref()?.get(DESIRED_HASH)?;
        let (inputs, built) = noted.split_once('.')?;
        Some(Self { inputs: inputs.to_owned(), built: built.to_owned() })
    }
}

impl fmt::Display for DesiredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.inputs, self.built)
    }
}

/// Hash of everything an MCPServer says about its pods.
pub(super) fn of_pods(
    labels: &BTreeMap<String, String>,
    workload: &Workload,
) -> Result<String, serde_json::Error> {
    fingerprint(&(labels, workload))
}

/// Hash of the pods and of the objects they refer to, once one of these has changed.
pub(super) fn of_rotated(pods: &str, rotation: Option<&str>) -> Result<String, serde_json::Error> {
    match rotation {
        None => Ok(pods.to_owned()),
        Some(rotation) => fingerprint(&(pods, rotation)),
    }
}

/// The same and of the DataSources, where there are any.
pub(super) fn of_connected(pods: &str, sources: Option<&str>) -> Result<String, serde_json::Error> {
    match sources {
        None => Ok(pods.to_owned()),
        Some(sources) => fingerprint(&(pods, "sources", sources)),
    }
}

/// Hash of what an MCPServer says about another child.
pub(super) fn of_child(
    labels: &BTreeMap<String, String>,
    part: &impl Serialize,
) -> Result<String, serde_json::Error> {
    fingerprint(&(labels, part))
}

/// Notes on the object what it was made from.
pub(super) fn note<K: Resource + Serialize>(object: &mut K, inputs: &str) -> Result<(), serde_json::Error> {
    let hash = DesiredHash { inputs: inputs.to_owned(), built: fingerprint(object)? };
    object.meta_mut().annotations.get_or_insert_default().insert(DESIRED_HASH.to_owned(), hash.to_string());
    Ok(())
}

/// 16 hex digits. The order of keys does not matter, nor whether something is absent, null or empty.
///
/// # Errors
/// When the value cannot be written as JSON.
pub(crate) fn fingerprint(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let value = canonical(serde_json::to_value(value)?).unwrap_or(Value::Null);
    let sum = digest(&SHA256, value.to_string().as_bytes());
    Ok(hex::encode(&sum.as_ref()[..8]))
}

fn canonical(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        // Places count: an item that says nothing stays one.
        Value::Array(items) => {
            Some(Value::Array(items.into_iter().map(|item| canonical(item).unwrap_or(Value::Null)).collect()))
        }
        Value::Object(fields) => {
            let sorted: BTreeMap<String, Value> =
                fields.into_iter().filter_map(|(key, value)| Some((key, canonical(value)?))).collect();
            (!sorted.is_empty()).then(|| Value::Object(sorted.into_iter().collect()))
        }
        scalar => Some(scalar),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::fingerprint;

    #[test]
    fn order_and_emptiness_do_not_matter() {
        let one = fingerprint(&json!({"a": 1, "b": {"c": [1, 2]}, "d": null, "e": {}})).unwrap();
        let other = fingerprint(&json!({"b": {"c": [1, 2], "x": []}, "a": 1})).unwrap();
        assert_eq!(one, other);
        assert_eq!(one.len(), 16);
    }

    #[test]
    fn values_and_places_matter() {
        let one = fingerprint(&json!({"args": ["a", "b"]})).unwrap();
        assert_ne!(one, fingerprint(&json!({"args": ["b", "a"]})).unwrap());
        assert_ne!(one, fingerprint(&json!({"args": ["a", "b", ""]})).unwrap());
    }
}
