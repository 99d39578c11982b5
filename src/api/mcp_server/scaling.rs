//! How many pods.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{embedded, rules, span::Span};

/// Pods by load, through a HorizontalPodAutoscaler. `spec.replicas` is then its to set.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.max >= self.min").message("spec.autoscaling.max must not be less than spec.autoscaling.min: raise max or lower min"))]
pub struct Autoscaling {
    /// Fewest pods, from 1 to 1000.
    #[serde(default = "Autoscaling::default_min")]
    #[x_kube(validation = rules::between("spec.autoscaling.min", 1, 1000))]
    pub min: i32,

    /// Most pods, from 1 to 1000.
    #[x_kube(validation = rules::between("spec.autoscaling.max", 1, 1000))]
    pub max: i32,

    /// The use of CPU to aim at, in percent of what is requested, from 1 to 1000. Default: 80 if `memory` is not
    /// set either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::between("spec.autoscaling.cpu", 1, 1000))]
    pub cpu: Option<i32>,

    /// The use of memory to aim at, in percent of what is requested, from 1 to 1000. Default: not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::between("spec.autoscaling.memory", 1, 1000))]
    pub memory: Option<i32>,
}

impl Autoscaling {
    fn default_min() -> i32 {
        1
    }
}

/// No pods while nobody calls. The tools stay listed; the first call waits until a pod answers it.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScaleToZero {
    /// How long no caller may have called it or held a session with it, from 10s to 24h.
    #[serde(default = "ScaleToZero::default_idle_after")]
    #[x_kube(validation = rules::span("spec.scaleToZero.idleAfter", "10s", "24h"))]
    pub idle_after: Span,

    /// How long the first call waits for a pod, from 1s to 1h.
    #[serde(default = "ScaleToZero::default_wake_timeout")]
    #[x_kube(validation = rules::span("spec.scaleToZero.wakeTimeout", "1s", "1h"))]
    pub wake_timeout: Span,
}

impl ScaleToZero {
    fn default_idle_after() -> Span {
        Span::minutes(15)
    }

    fn default_wake_timeout() -> Span {
        Span::minutes(1)
    }
}

/// How many pods a drain of nodes leaves, through a PodDisruptionBudget. Exactly one of both.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.minAvailable) != has(self.maxUnavailable)").message("spec.disruptionBudget must hold exactly one of minAvailable and maxUnavailable: set one of them"))]
pub struct DisruptionBudget {
    /// Pods that stay: a number or a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::number_or_text::<4>")]
    #[x_kube(validation = pods_or_percentage("spec.disruptionBudget.minAvailable"))]
    pub min_available: Option<IntOrString>,

    /// Pods that may be missing: a number or a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::number_or_text::<4>")]
    #[x_kube(validation = pods_or_percentage("spec.disruptionBudget.maxUnavailable"))]
    pub max_unavailable: Option<IntOrString>,
}

fn pods_or_percentage(field: &str) -> kube::core::Rule {
    kube::core::Rule::new(
        "type(self) == int ? self >= 0 && self <= 1000 : string(self).matches('^(100|[1-9]?[0-9])%$')",
    )
    .message(&*format!("{field} must be a number of pods or a percentage: write it like 1 or 50%"))
}
