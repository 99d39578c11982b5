//! A downstream as a value: everything the gateway must know to reach and show it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use url::Url;

use crate::caller::Audience;

/// `namespace/name` of the MCPServer, or of the MCPPool; the namespace of a manifest in a folder without one is `default`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerName {
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a downstream's names begin with: `^[a-z][a-z0-9]{0,15}$`, or empty for none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(String);

/// Names of our own tools begin with these; a downstream may not take them.
const RESERVED: [&str; 20] = [
    "get", "list", "explain", "resource", "top", "diagnose", "what", "check", "rollout", "query", "find",
    "search", "propose", "revise", "withdraw", "open", "apply", "close", "call", "cluster",
];

impl Prefix {
    /// # Errors
    /// One sentence that says what a prefix must look like, or that it is one of ours.
    pub fn parse(text: &str) -> Result<Self, String> {
        let legal = text.len() <= 16
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            && !text.starts_with(|c: char| c.is_ascii_digit());
        if !legal {
            return Err(format!(
                "prefix `{text}` is not a name: use a lowercase letter followed by at most 15 lowercase letters or digits, or \"\" for none"
            ));
        }
        if RESERVED.contains(&text) {
            return Err(format!("prefix `{text}` is reserved for pilothouse's own tools: choose another"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The prefix of a server that declares none: its name without dashes, shortened to fit.
    pub fn from_name(name: &str) -> Self {
        let kept: String = name.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit()).collect();
        let kept = kept.trim_start_matches(|c: char| c.is_ascii_digit());
        let short: String = kept.chars().take(16).collect();
        Self::parse(&short)
            .unwrap_or_else(|_| Self(format!("{}x", short.chars().take(15).collect::<String>())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    StreamableHttp,
    Sse,
    /// Only with [`Target::Process`]; a stdio server in a pod is reached through its bridge.
    Stdio,
}

/// One pod that answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Pod name.
    pub id: String,
    /// Where we dial; behind a port-forward this is a loopback address.
    pub address: SocketAddr,
    /// Keeps its sessions, gets nothing new.
    pub terminating: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Ready pods of a workload. `path` begins with `/`.
    Endpoints { path: String, host_header: String, endpoints: Vec<Endpoint> },
    /// A server that is already there.
    Url {
        url: Url,
        host_header: Option<String>,
        headers: Vec<(HeaderName, HeaderValue)>,
        /// PEM text of the authorities that its certificate is checked against; those of the system when absent.
        authorities: Option<String>,
    },
    /// A local process that speaks MCP over its stdin and stdout.
    Process(Program),
    /// A pool: several MCPServers that appear as one, sorted by name. The transport and some terms of the downstream
    /// do not count then, but those of each member.
    Members(Vec<Member>),
}

/// An MCPServer that appears as a part of another downstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub server: ServerName,
    /// Or why it cannot be used: the others go on without it.
    pub reached: Result<Reached, Refusal>,
}

/// Why a declared server cannot be used: one sentence for whoever declared it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header of `spec.remote.headersFrom` has no value, mostly since its Secret is not there or may not be read.
    #[error("{0}")]
    Headers(String),
    /// The manifest itself is to be corrected.
    #[error("{0}")]
    Manifest(String),
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Manifest(why)
    }
}

/// How a member is reached, and what holds for its own endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    pub transport: Transport,
    /// Never [`Target::Members`], which has no places of its own.
    pub target: Target,
    /// As [`Terms::stateless`].
    pub stateless: bool,
    /// As [`Terms::drain`].
    pub drain: Duration,
    /// As [`Terms::wakes_within`].
    pub wakes_within: Option<Duration>,
}

/// How a local process is started. It inherits little of our environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub command: String,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Its working directory; ours when absent.
    pub directory: Option<PathBuf>,
}

/// Which tools of a server are shown and may be called, and as what; names are the server's own. `deny` wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolPolicy {
    /// Empty allows all.
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    /// From the server's own name to the one that stands after the prefix.
    pub rename: BTreeMap<String, String>,
}

impl ToolPolicy {
    pub fn permits(&self, tool: &str) -> bool {
        !self.deny.iter().any(|name| name == tool)
            && (self.allow.is_empty() || self.allow.iter().any(|name| name == tool))
    }

    /// What stands after the prefix.
    pub fn name<'a>(&'a self, tool: &'a str) -> &'a str {
        self.rename.get(tool).map_or(tool, String::as_str)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downstream {
    pub name: ServerName,
    pub prefix: Prefix,
    /// When the MCPServer or MCPPool was created: the oldest keeps a contested prefix.
    pub created: Timestamp,
    pub transport: Transport,
    pub target: Target,
    pub tools: ToolPolicy,
    /// Deadline of one call.
    pub call_timeout: Duration,
    pub terms: Terms,
}

/// On which terms a server is used: by whom, how much at once, and what is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who may see and use its entries. Absent: everybody.
    pub audience: Option<Audience>,
    /// Calls under way at once. Absent: [`super::RUNNING`].
    pub at_once: Option<NonZeroUsize>,
    /// It keeps nothing between calls, so each may go to any of its endpoints. Otherwise the calls of one client's
    /// session go to one.
    pub stateless: bool,
    /// Secrets are taken out of what it answers.
    pub redact: bool,
    pub pinning: Pinning,
    /// Definitions that a person has looked at: `tool=hash`, by the server's own name and all digits of the hash.
    pub approved: BTreeSet<String>,
    /// The hash of each tool as it was when the server was registered, as far as others know it.
    pub pins: BTreeMap<String, String>,
    /// How long the sessions of an endpoint that leaves go on there.
    pub drain: Duration,
    /// Its endpoints go away while nobody uses it, and come back within this time for whoever calls. Absent: they
    /// always stay.
    pub wakes_within: Option<Duration>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            audience: None,
            at_once: None,
            stateless: false,
            redact: true,
            pinning: Pinning::Report,
            approved: BTreeSet::new(),
            pins: BTreeMap::new(),
            drain: Duration::from_secs(30),
            wakes_within: None,
        }
    }
}

/// What happens when the definition of a tool is not the one it had when the server was registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// It is said, and the tool goes on.
    #[default]
    Report,
    /// The tool is not shown and cannot be called until its new definition is [approved](Terms::approved).
    Enforce,
}
