//! When a pod counts as started, ready and alive.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{omit, rules, span::Span};

/// When a pod counts as started, ready and alive. What is not set here is as the transport needs it: the port is
/// open, or the bridge of a stdio server says that it is well.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// Until it succeeds, the other two wait. Default: every 1s, 120 times.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub startup: ProbeSpec,

    /// While it fails, no call goes to the pod. Default: every 5s, 3 times.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub readiness: ProbeSpec,

    /// When it fails, the container is restarted. Default: every 10s, 6 times.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub liveness: ProbeSpec,
}

/// One probe. `path` asks by HTTP, `tcp` only opens a connection.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.path) && has(self.tcp) && self.tcp)").message("spec.probes: path asks by HTTP and tcp only connects: remove one of them"),
    validation = Rule::new("!(has(self.disabled) && self.disabled) || !(has(self.path) || has(self.tcp) || has(self.port) || has(self.period) || has(self.timeout) || has(self.failureThreshold))").message("spec.probes: disabled excludes everything else of a probe: remove disabled or the rest"),
)]
pub struct ProbeSpec {
    /// There is no such probe. Default: false.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub disabled: bool,

    /// The path that must answer with a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::url_path("spec.probes: path", "/healthz"))]
    pub path: Option<String>,

    /// A connection to the port is enough. Default: false.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub tcp: bool,

    /// The port asked. Default: `spec.port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::port("spec.probes: port"))]
    pub port: Option<i32>,

    /// How often, in whole seconds, from 1s to 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = whole_seconds("spec.probes: period"))]
    pub period: Option<Span>,

    /// How long one answer may take, in whole seconds, from 1s to 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = whole_seconds("spec.probes: timeout"))]
    pub timeout: Option<Span>,

    /// How many failures in a row count, from 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::between("spec.probes: failureThreshold", 1, 1000))]
    pub failure_threshold: Option<i32>,
}

/// Kubernetes counts a probe's time in seconds.
fn whole_seconds(field: &str) -> kube::core::Rule {
    kube::core::Rule::new("self.matches('^[1-9][0-9]{0,3}(s|m|h)$') && duration(self) <= duration('1h')")
        .message(&*format!(
            "{field} must be whole seconds, minutes or hours, from 1s to 1h: write it like 10s"
        ))
}
