//! Metrics and traces of the server itself.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{embedded, rules, span::Span};

/// Metrics and traces of the server itself; what pilothouse measures of it needs nothing here.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Observability {
    /// The server has Prometheus metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,

    /// The server sends traces by OpenTelemetry; it gets the usual `OTEL_` variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
}

/// Where its metrics are.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Their port. Default: `spec.port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::port("spec.observability.metrics.port"))]
    pub port: Option<i32>,

    /// Their path.
    #[serde(default = "Metrics::default_path")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::url_path("spec.observability.metrics.path", "/metrics"))]
    pub path: String,

    /// How often they are fetched, from 1s to 1h.
    #[serde(default = "Metrics::default_interval")]
    #[x_kube(validation = rules::span("spec.observability.metrics.interval", "1s", "1h"))]
    pub interval: Span,

    /// A ServiceMonitor is made. Needs the Prometheus operator. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_monitor: Option<ServiceMonitorSpec>,
}

impl Metrics {
    fn default_path() -> String {
        "/metrics".to_owned()
    }

    fn default_interval() -> Span {
        Span::seconds(30)
    }
}

/// The ServiceMonitor that is made.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMonitorSpec {
    /// Further labels, by which a Prometheus selects it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "embedded::texts::<64, 63>")]
    #[x_kube(validation = rules::labels("spec.observability.metrics.serviceMonitor.labels"))]
    pub labels: BTreeMap<String, String>,

    /// Its namespace. Default: that of the MCPServer. In another one it has no owner reference and is removed by
    /// pilothouse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::object_name("spec.observability.metrics.serviceMonitor.namespace", "a namespace"))]
    pub namespace: Option<String>,
}

/// Where its traces go.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Tracing {
    /// The collector, by OTLP.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::http_url("spec.observability.tracing.endpoint", "http://collector.monitoring:4318"))]
    pub endpoint: String,

    /// The share of traces that is sent where the caller did not decide, from 0 to 1. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 0.0 && self <= 1.0").message("spec.observability.tracing.sampling must be from 0 to 1: write 0.1 for every tenth trace"))]
    pub sampling: Option<f64>,
}
