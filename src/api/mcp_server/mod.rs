//! `MCPServer`: a Model Context Protocol server that pilothouse runs, or one that is already there.

// KubeSchema writes a copy of each struct inside a function and calls it `pub`.
#![allow(unreachable_pub)]

mod gateway;
mod remote;
mod status;
mod transport;

pub use gateway::{GatewaySpec, ToolSelection};
pub use remote::Remote;
pub use status::{ConditionType, Endpoints, MCPServerStatus, Phase, ServerInfo, ToolStatus};
pub use transport::Transport;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, LocalObjectReference, ResourceRequirements};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')")
        .message("metadata.name must be a lowercase letter followed by at most 62 lowercase letters, digits or dashes, because a Service gets this name: rename the MCPServer"),
)]
#[serde(rename_all = "camelCase")]
pub struct MCPServerSpec {
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
    #[schemars(length(max = 16))]
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
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,

    /// ConfigMaps and Secrets whose keys become environment variables, as in a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env_from: Vec<EnvFromSource>,

    /// CPU and memory, as in a pod. Default: requests 10m and 64Mi, memory limit 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

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
