//! ExternalSecrets, one for each value of an external store. Each makes a Secret of its own name with one key.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;

use super::{labels, names};
use crate::{
    api::External,
    operator::{
        external_secret::{self, Wanted},
        mcp_server::validate::{Owner, Place, SecretUse, Source},
    },
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

fn external(
    owner: &Owner,
    place: &Place,
    asks: &External,
    child_labels: &BTreeMap<String, String>,
) -> DynamicObject {
    let name = names::external(owner, place);
    let metadata = ObjectMeta { name: Some(name), ..labels::metadata(owner, child_labels) };
    external_secret::build(metadata, Wanted { key: KEY, asks }, &[])
}
