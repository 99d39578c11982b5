//! `MCPServer`: a Model Context Protocol server that pilothouse runs, or one that is already there.

// KubeSchema writes a copy of each struct inside a function and calls it `pub`.
#![allow(unreachable_pub)]

mod config;
mod data_sources;
mod gateway;
mod litellm;
mod network;
mod observability;
mod placement;
mod probes;
mod remote;
mod rollout;
mod scaling;
mod secrets;
mod security;
mod service_account;
mod status;
mod storage;
mod transport;

pub use config::Config;
pub use data_sources::{DataPolicy, DataSources, DataTemplate, TemplateFormat};
pub use gateway::{Access, GatewaySpec, Pinning, ToolSelection};
pub use litellm::LiteLlm;
pub use network::{IngressSpec, NetworkPolicySpec};
pub use observability::{Metrics, Observability, ServiceMonitorSpec, Tracing};
pub use placement::{PodAntiAffinity, ServerType};
pub use probes::{ProbeSpec, Probes};
pub use remote::{HeaderFrom, Remote};
pub use rollout::{Gate, Rollout};
pub use scaling::{Autoscaling, DisruptionBudget, ScaleToZero};
pub use secrets::SecretEntry;
pub use security::{Seccomp, SeccompType, Security};
pub use service_account::ServiceAccountSpec;
pub use status::{ConditionType, ConnectedSource, Endpoints, MCPServerStatus, Phase, ServerInfo, ToolStatus};
pub use storage::{AccessMode, EmptyDir, Medium, StorageMount};
pub use transport::Transport;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, EnvFromSource, EnvVar, LocalObjectReference, ResourceRequirements, Toleration,
    TopologySpreadConstraint,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{embedded, omit, rules};

const DEFAULT_PORT: i32 = 8080;
const DEFAULT_REPLICAS: i32 = 1;

/// What to run, or where it already runs, and how its tools appear. Exactly one of `image` and `remote`.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "pilothouse.dev",
    version = "v1alpha1",
    kind = "MCPServer",
    plural = "mcpservers",
    singular = "mcpserver",
    shortname = "phs",
    category = "pilothouse",
    namespaced,
    status = "MCPServerStatus",
    derive = "PartialEq",
    doc = "A Model Context Protocol server. pilothouse runs it (image) or reaches it (remote) and offers its tools to every connected client. Creating one equals creating a pod in its namespace.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Tools", type_ = "integer", json_path = ".status.toolCount"),
    printcolumn(name = "Transport", type_ = "string", json_path = ".spec.transport"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.endpoints.service"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("!(has(self.spec.image) && has(self.spec.remote))")
        .message("spec.image and spec.remote exclude each other: remove one of them"),
    validation = Rule::new("has(self.spec.image) || has(self.spec.remote)")
        .message("spec.image is missing: set spec.image to run a server, or spec.remote.url to use one that is already there"),
    validation = Rule::new(
        "!(has(self.spec.image) && has(self.spec.transport) && self.spec.transport == 'stdio') || (has(self.spec.command) && size(self.spec.command) > 0)"
    )
    .message("spec.command is required when spec.transport is stdio: name the program the image would start, for example [\"node\", \"server.js\"]"),
    validation = Rule::new("!(has(self.spec.remote) && has(self.spec.transport) && self.spec.transport == 'stdio')")
        .message("spec.transport stdio has no meaning with spec.remote: use streamable-http or sse"),
    validation = Rule::new(
        "!has(self.spec.remote) || !(has(self.spec.autoscaling) || has(self.spec.scaleToZero) || has(self.spec.disruptionBudget) || has(self.spec.storage) || has(self.spec.nodeSelector) || has(self.spec.tolerations) || has(self.spec.affinity) || has(self.spec.podAntiAffinity) || has(self.spec.topologySpreadConstraints) || has(self.spec.podLabels) || has(self.spec.podAnnotations) || has(self.spec.security) || has(self.spec.serviceAccount) || has(self.spec.config) || has(self.spec.secrets) || has(self.spec.probes) || has(self.spec.rollout) || has(self.spec.networkPolicy) || has(self.spec.ingress) || has(self.spec.observability) || has(self.spec.dataSources))"
    )
    .message("spec.remote is a server that is already there, so what describes a pod has no meaning: remove autoscaling, scaleToZero, disruptionBudget, storage, config, secrets, probes, rollout, security, serviceAccount, networkPolicy, ingress, observability, dataSources and where pods are placed"),
    validation = Rule::new(
        "!(has(self.spec.autoscaling) && has(self.spec.resources)) || !(has(self.spec.autoscaling.cpu) || !has(self.spec.autoscaling.memory)) || (has(self.spec.resources.requests) && 'cpu' in self.spec.resources.requests) || (has(self.spec.resources.limits) && 'cpu' in self.spec.resources.limits)"
    )
    .message("spec.autoscaling.cpu is a percentage of spec.resources.requests.cpu, which is missing: set it"),
    validation = Rule::new(
        "!(has(self.spec.autoscaling) && has(self.spec.resources) && has(self.spec.autoscaling.memory)) || (has(self.spec.resources.requests) && 'memory' in self.spec.resources.requests) || (has(self.spec.resources.limits) && 'memory' in self.spec.resources.limits)"
    )
    .message("spec.autoscaling.memory is a percentage of spec.resources.requests.memory, which is missing: set it"),
    validation = Rule::new(
        "!(has(self.spec.podAntiAffinity) && has(self.spec.affinity) && has(self.spec.affinity.podAntiAffinity))"
    )
    .message("spec.podAntiAffinity and spec.affinity.podAntiAffinity exclude each other: remove one of them"),
    validation = Rule::new(
        "!(has(self.spec.config) && has(self.spec.storage)) || self.spec.storage.all(mount, mount.mountPath != self.spec.config.mountPath)"
    )
    .message("spec.config.mountPath is also the mountPath of a spec.storage entry: choose another for one of them"),
    validation = Rule::new(
        "!(has(self.spec.config) && has(self.spec.secrets)) || self.spec.secrets.all(one, !has(one.file) || !one.file.startsWith(self.spec.config.mountPath + '/'))"
    )
    .message("spec.secrets[].file is inside spec.config.mountPath, whose files come from the ConfigMap alone: choose another folder"),
    validation = Rule::new(
        "!(has(self.spec.config) && has(self.spec.dataSources) && has(self.spec.dataSources.template)) || !self.spec.dataSources.template.mountPath.startsWith(self.spec.config.mountPath + '/')"
    )
    .message("spec.dataSources.template.mountPath is inside spec.config.mountPath, whose files come from the ConfigMap alone: choose another folder"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')")
        .message("metadata.name must be a lowercase letter followed by at most 62 lowercase letters, digits or dashes, because a Service gets this name: rename the MCPServer"),
)]
#[serde(rename_all = "camelCase")]
pub struct MCPServerSpec {
    /// What kind of server it is; for people and metrics.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub server_type: Option<ServerType>,

    /// Container image of the server, such as `docker.io/mcp/everything:1`. Excludes `remote`. The pod runs as
    /// user 65532 with a read-only root and a writable /tmp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^[^ \\t\\n]+$')").message("spec.image must name an image without spaces, such as docker.io/mcp/everything:1: correct it"))]
    pub image: Option<String>,

    /// When the kubelet fetches the image. Default: Always for the tag `latest` or none, else IfNotPresent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Secrets of this namespace with the registry's credentials; the kubelet reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::brief::<Vec<LocalObjectReference>>", length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,

    /// Replaces the image's ENTRYPOINT. Required for stdio, where it is started by the bridge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub command: Vec<String>,

    /// Arguments of the command; replaces the image's CMD.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub args: Vec<String>,

    /// How the server speaks MCP. A stdio server is bridged to Streamable HTTP inside its pod.
    #[serde(default)]
    pub transport: Transport,

    /// Port the server listens on in its pod, and the port of its Service. For stdio the bridge listens here.
    #[serde(default = "default_port")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535").message("spec.port must be from 1 to 65535: set the port the server listens on"))]
    pub port: i32,

    /// Path of the MCP endpoint. Default: `/mcp`, or `/sse` for the transport sse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^/[^ ?#]*$')").message("spec.path must begin with / and hold no space, ? or #: write it like /mcp"))]
    pub path: Option<String>,

    /// A server that is already there. Excludes `image`; what describes a pod is then not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,

    /// Number of pods. 0 stops the server and keeps everything else.
    #[serde(default = "default_replicas")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 1000").message("spec.replicas must be from 0 to 1000: set 0 to stop the server"))]
    pub replicas: i32,

    /// Environment variables, as in a pod. `HOME` is /tmp unless it is set here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::brief::<Vec<EnvVar>>", length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,

    /// ConfigMaps and Secrets whose keys become environment variables, as in a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::brief::<Vec<EnvFromSource>>", length(max = 64))]
    pub env_from: Vec<EnvFromSource>,

    /// CPU and memory, as in a pod. Default: requests 10m and 64Mi, limits 2 and 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::brief::<Option<ResourceRequirements>>")]
    pub resources: Option<ResourceRequirements>,

    /// Pods by load. `replicas` is then the HorizontalPodAutoscaler's to set. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// No pods while nobody calls. Default: pods run always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_to_zero: Option<ScaleToZero>,

    /// How many pods a drain of nodes leaves. Default: none is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption_budget: Option<DisruptionBudget>,

    /// Volumes, each with a mountPath of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"]))]
    pub storage: Vec<StorageMount>,

    /// Labels of the nodes that pods may run on, as in a pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "embedded::texts::<32, 63>")]
    #[x_kube(validation = rules::labels("spec.nodeSelector"))]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that pods tolerate, as in a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::brief::<Vec<Toleration>>", length(max = 32))]
    #[x_kube(validation = Rule::new("self.all(one, (!has(one.operator) || one.operator in ['Exists', 'Equal']) && (!has(one.effect) || one.effect in ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute']))").message("spec.tolerations must have the operator Exists or Equal and the effect NoSchedule, PreferNoSchedule or NoExecute: correct them"))]
    pub tolerations: Vec<Toleration>,

    /// Which nodes and neighbours pods want, as in a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::brief::<Option<Affinity>>")]
    pub affinity: Option<Affinity>,

    /// Whether pods of this server share a node. Default: as the scheduler likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_anti_affinity: Option<PodAntiAffinity>,

    /// How pods are spread over zones and nodes, as in a pod; without a `labelSelector` it means the pods of this
    /// server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::brief::<Vec<TopologySpreadConstraint>>", length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(one, one.maxSkew >= 1 && one.whenUnsatisfiable in ['DoNotSchedule', 'ScheduleAnyway'])").message("spec.topologySpreadConstraints must have a maxSkew of at least 1 and whenUnsatisfiable DoNotSchedule or ScheduleAnyway: correct them"))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,

    /// Further labels of the pods. Those of the MCPServer are passed on anyway.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "embedded::texts::<64, 63>")]
    #[x_kube(validation = rules::labels("spec.podLabels"))]
    #[x_kube(validation = Rule::new("self.all(key, !key.matches('^(app[.]kubernetes[.]io|([^/]+[.])?pilothouse[.]dev)/'))").message("spec.podLabels must not begin with app.kubernetes.io/ or pilothouse.dev/, which pilothouse sets itself: remove them"))]
    pub pod_labels: BTreeMap<String, String>,

    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "embedded::texts::<64, 4096>")]
    #[x_kube(
        validation = Rule::new("self.all(key, !key.matches('^([^/]+[.])?pilothouse[.]dev/'))").message("spec.podAnnotations must not begin with pilothouse.dev/, which pilothouse sets itself: remove them"),
        validation = Rule::new("self.all(key, !key.matches('^(container[.]apparmor[.]security[.]beta|(container[.])?seccomp[.]security[.]alpha)[.]kubernetes[.]io'))").message("spec.podAnnotations must not choose AppArmor or seccomp profiles, since pods here keep to Pod Security restricted: use spec.security.seccompProfile"),
    )]
    pub pod_annotations: BTreeMap<String, String>,

    /// As whom the pod runs and what it may do. Default: Pod Security `restricted` with a read-only root and no
    /// token.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub security: Security,

    /// The account the pod runs with. Default: one of its own.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub service_account: ServiceAccountSpec,

    /// Files that are no secret, in a ConfigMap of its own. A change rolls the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,

    /// Secret values, as environment variables or files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(one, !(has(one.env) || has(one.file)) || self.exists_one(other, (has(one.env) && has(other.env) && one.env == other.env) || (has(one.file) && has(other.file) && one.file == other.file)))").message("spec.secrets gives one env or file to two secrets: choose another for one of them"))]
    pub secrets: Vec<SecretEntry>,

    /// When a pod counts as started, ready and alive. Default: as the transport needs it.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub probes: Probes,

    /// How a new revision takes over.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub rollout: Rollout,

    /// Who reaches the pods and what they reach. Default: in comes pilothouse, out goes DNS.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub network_policy: NetworkPolicySpec,

    /// A way in from outside the cluster. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,

    /// Metrics and traces of the server itself.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub observability: Observability,

    /// The DataSources it is connected to. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sources: Option<DataSources>,

    /// Registration in a LiteLLM proxy. Default: none.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub litellm: LiteLlm,

    /// How the server's tools appear to clients.
    #[serde(default)]
    pub gateway: GatewaySpec,
}

/// When the kubelet fetches an image.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl ImagePullPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

impl MCPServerSpec {
    /// The path of the MCP endpoint, begins with `/`.
    pub fn endpoint_path(&self) -> &str {
        self.path.as_deref().unwrap_or(self.transport.default_path())
    }
}

fn default_port() -> i32 {
    DEFAULT_PORT
}

fn default_replicas() -> i32 {
    DEFAULT_REPLICAS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::MCPServerSpec;

    /// What a spec from before the later fields is written as; a field that is added must not appear in it.
    #[test]
    fn an_old_object_stays_as_it_was() {
        let old = json!({
            "image": "a",
            "transport": "streamable-http",
            "port": 8080,
            "replicas": 1,
            "gateway": { "tools": {}, "callTimeout": "60s" },
        });
        let spec: MCPServerSpec = serde_json::from_value(old.clone()).unwrap();
        assert_eq!(serde_json::to_value(&spec).unwrap(), old);
        let smallest: MCPServerSpec = serde_json::from_value(json!({ "image": "a" })).unwrap();
        assert_eq!(smallest, spec);
    }

    #[test]
    fn groups_that_are_named_empty_are_as_by_default() {
        let empty = json!({ "image": "a", "security": {}, "networkPolicy": {}, "probes": {}, "rollout": {} });
        let spec: MCPServerSpec = serde_json::from_value(empty).unwrap();
        assert!(
            spec.security.read_only_root_filesystem && spec.network_policy.enabled && spec.gateway.redact
        );
        let written: Value = serde_json::to_value(&spec).unwrap();
        assert!(written.get("security").is_none() && written.get("networkPolicy").is_none(), "{written}");
    }
}
