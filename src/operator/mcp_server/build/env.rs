//! The environment of the server. What people set wins over what is set for them.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};

use super::{external_secrets, names};
use crate::operator::mcp_server::validate::{Owner, Place, SecretUse, Source, Traced, Workload};

pub(super) fn build(owner: &Owner, workload: &Workload) -> Vec<EnvVar> {
    let mut env = workload.env.clone();
    env.extend(workload.secrets.iter().filter_map(|one| secret(owner, one)));
    let for_them = workload.tracing.iter().flat_map(|traced| tracing(owner, traced)).chain(
        // A user that is in no passwd file has no home; caches go to /tmp.
        [("HOME", "/tmp".to_owned())],
    );
    for (name, value) in for_them {
        if !env.iter().any(|variable| variable.name == name) {
            env.push(EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() });
        }
    }
    env
}

fn secret(owner: &Owner, one: &SecretUse) -> Option<EnvVar> {
    let Place::Env(name) = &one.place else { return None };
    let (secret, key) = kept(owner, one);
    Some(EnvVar {
        name: name.clone(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret,
                key,
                optional: one.optional.then_some(true),
            }),
            ..EnvVarSource::default()
        }),
    })
}

/// Name and key of the Secret that holds it.
pub(super) fn kept(owner: &Owner, one: &SecretUse) -> (String, String) {
    match &one.source {
        Source::Secret(reference) => (reference.name.clone(), reference.key.clone()),
        Source::External { .. } => (names::external(owner, &one.place), external_secrets::KEY.to_owned()),
    }
}

/// As every OpenTelemetry SDK reads it.
fn tracing(owner: &Owner, traced: &Traced) -> Vec<(&'static str, String)> {
    let Traced { endpoint, sampling } = traced;
    let mut env = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str().trim_end_matches('/').to_owned()),
        ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
        ("OTEL_SERVICE_NAME", owner.name.name.clone()),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            format!("service.namespace={0},k8s.namespace.name={0}", owner.name.namespace),
        ),
    ];
    if let Some(share) = sampling {
        env.push(("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()));
        env.push(("OTEL_TRACES_SAMPLER_ARG", share.to_string()));
    }
    env
}
