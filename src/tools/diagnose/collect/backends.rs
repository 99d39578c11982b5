//! Whether anything stands behind webhooks and aggregated APIs. Their Services may be in any namespace.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use k8s_openapi::api::{admissionregistration::v1::WebhookClientConfig, discovery::v1::EndpointSlice};

use super::{Source, source::together};
use crate::{
    cluster::{ListRequest, ReadError},
    tools::diagnose::picture::{BackendFacts, Picture},
};

/// Services that are asked for.
const MOST: usize = 40;

type Name = (String, String);

pub(super) async fn read(source: &Source<'_>, picture: &Picture) -> BTreeMap<Name, BackendFacts> {
    let reads = wanted(picture).into_iter().take(MOST).map(|name| one(source, name).boxed()).collect();
    together(reads).await.into_iter().collect()
}

fn wanted(picture: &Picture) -> BTreeSet<Name> {
    let validating = picture.validating_webhooks.iter().flat_map(|all| all.webhooks.iter().flatten());
    let mutating = picture.mutating_webhooks.iter().flat_map(|all| all.webhooks.iter().flatten());
    let of = |client: &WebhookClientConfig| {
        let service = client.service.as_ref()?;
        Some((service.namespace.clone(), service.name.clone()))
    };
    let hooks = validating
        .filter_map(|hook| of(&hook.client_config))
        .chain(mutating.filter_map(|hook| of(&hook.client_config)));
    let apis = picture.api_services.iter().filter_map(|api| {
        let service = api.spec.as_ref()?.service.as_ref()?;
        Some((service.namespace.clone()?, service.name.clone()?))
    });
    hooks.chain(apis).collect()
}

async fn one(source: &Source<'_>, (namespace, name): Name) -> (Name, BackendFacts) {
    let facts = match source.one("", "Service", &namespace, &name).await {
        Ok(_) => endpoints(source, &namespace, &name).await,
        Err(ReadError::NotFound { .. }) => BackendFacts::Missing,
        Err(_) => BackendFacts::Unknown,
    };
    ((namespace, name), facts)
}

async fn endpoints(source: &Source<'_>, namespace: &str, name: &str) -> BackendFacts {
    let Some(slices) = source.kinds.of_kind("discovery.k8s.io", "EndpointSlice") else {
        return BackendFacts::Unknown;
    };
    let request = ListRequest {
        namespace: Some(namespace.to_owned()),
        labels: Some(format!("kubernetes.io/service-name={name}")),
        ..ListRequest::default()
    };
    let mut ready_endpoints = 0;
    let each = |slice: &serde_json::value::RawValue| {
        let Ok(slice) = serde_json::from_str::<EndpointSlice>(slice.get()) else { return };
        ready_endpoints += slice
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.conditions.as_ref().is_none_or(|is| is.ready != Some(false)))
            .count();
    };
    match source.reader.list(slices, &request, each).await {
        Ok(_) => BackendFacts::There { ready_endpoints },
        Err(_) => BackendFacts::Unknown,
    }
}
