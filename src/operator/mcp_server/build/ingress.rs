//! The way in from outside the cluster.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::{
        HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
        IngressSpec, IngressTLS, ServiceBackendPort,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{labels, pod::PORT_NAME};
use crate::{
    api::mcp_server::IngressSpec as Declared,
    operator::mcp_server::{child::listed, validate::Owner},
};

pub(super) fn build(owner: &Owner, declared: &Declared, child_labels: &BTreeMap<String, String>) -> Ingress {
    let Declared { host, path, class_name, tls_secret_name, annotations } = declared;
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: owner.name.name.clone(),
            port: Some(ServiceBackendPort { name: Some(PORT_NAME.to_owned()), number: None }),
        }),
        resource: None,
    };
    Ingress {
        metadata: ObjectMeta {
            annotations: Some(listed(annotations)),
            ..labels::metadata(owner, child_labels)
        },
        spec: Some(IngressSpec {
            ingress_class_name: class_name.clone(),
            rules: Some(vec![IngressRule {
                host: Some(host.clone()),
                http: Some(HTTPIngressRuleValue {
                    paths: vec![HTTPIngressPath {
                        path: Some(path.clone()),
                        path_type: "Prefix".to_owned(),
                        backend,
                    }],
                }),
            }]),
            tls: tls_secret_name.as_ref().map(|secret| {
                vec![IngressTLS { hosts: Some(vec![host.clone()]), secret_name: Some(secret.clone()) }]
            }),
            default_backend: None,
        }),
        ..Ingress::default()
    }
}

/// Where it answers from outside.
pub(super) fn url(declared: &Declared, endpoint_path: &str) -> String {
    let Declared { host, path, tls_secret_name, .. } = declared;
    let scheme = if tls_secret_name.is_some() { "https" } else { "http" };
    let is_under = endpoint_path.starts_with(path.trim_end_matches('/'));
    format!("{scheme}://{host}{}", if is_under { endpoint_path } else { path })
}
