//! pilothouse's own tools, one a file; this file is the list.
//!
//! What tools need of other rooms they name as traits here; `app` plugs the rooms in.

mod arguments;
mod change_resource;
mod changes;
mod check_access;
mod cluster_checks;
mod cluster_overview;
mod definition;
mod desk;
mod diagnose;
mod difference;
mod emergency;
mod explain_kind;
pub(crate) mod find_source;
mod get_helm_release;
mod get_logs;
mod get_resource;
mod helm;
mod kinds;
mod list_alerts;
mod list_events;
mod list_helm_releases;
mod list_kinds;
mod list_resources;
mod live;
mod mcp_servers;
mod metrics;
mod modification;
mod objects;
mod on_cluster;
mod on_leader;
mod one_object;
mod outcome;
mod owners;
pub mod prompts;
mod propose_change;
pub(crate) mod quantity;
mod query_metrics;
mod resource_tree;
mod rollout_history;
mod search_tools;
mod standard;
mod steps;
mod target;
mod top;
mod what_changed;
mod window;

pub use change_resource::ChangeResources;
pub use cluster_checks::{ClusterChecks, DryRun, Live};
pub use emergency::{Emergencies, EmergencyAsk, EmergencyOpening};
pub use find_source::{Applied, AppliedFrom, Sought, SourceFinder, Trace, source_finder};
pub use live::ClusterObjects;
pub use metrics::{Alert, AlertState, Metrics, MetricsError, Series};
pub use objects::{Completion, Objects, Wanted};
pub use on_leader::{Leader, LedCall};
pub use outcome::{ClusterOutcomes, Outcome, Outcomes};
pub use quantity::same_amount;
pub use search_tools::{CALL, InnerCall, SEARCH, ToolSearch, parse_call, parse_search, search_definitions};
pub use standard::{Parts, standard};
pub use steps::{Step, Steps};

use std::collections::BTreeMap;

use futures::{future::BoxFuture, stream::BoxStream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    answer::Answer,
    caller::{Caller, Need},
};

/// One tool of ours: its definition and what it does.
pub trait Tool: Send + Sync {
    /// The MCP `Tool` object: name, title, description, inputSchema, outputSchema, annotations.
    fn definition(&self) -> Value;

    /// What the caller must be allowed in the cluster for this tool to be of any use; a caller who is not, in any
    /// namespace, is not shown it.
    fn needs(&self) -> &'static [Need] {
        &[]
    }

    /// Answers a call. Wrong arguments give an error answer that says what is allowed and nearest.
    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer>;
}

/// A call's answer, whether it came to one or to an error.
fn answered<'a>(asked: impl Future<Output = Result<Answer, Answer>> + Send + 'a) -> BoxFuture<'a, Answer> {
    Box::pin(async move { asked.await.unwrap_or_else(|error| error) })
}

/// All tools of ours that have their backend, by name, and the cluster's objects.
#[derive(Default)]
pub struct Toolbox {
    tools: BTreeMap<String, Box<dyn Tool>>,
    objects: Option<Objects>,
    changes: Option<ChangeResources>,
}

impl Toolbox {
    pub fn add(&mut self, tool: Box<dyn Tool>) {
        let name = tool.definition()["name"].as_str().unwrap_or_default().to_owned();
        self.tools.insert(name, tool);
    }

    /// The cluster's objects as resources; absent where no cluster is read.
    pub fn objects(&self) -> Option<&Objects> {
        self.objects.as_ref()
    }

    /// The change requests as resources; absent where none can be made.
    pub fn changes(&self) -> Option<&ChangeResources> {
        self.changes.as_ref()
    }

    pub fn definitions(&self) -> impl Iterator<Item = Value> {
        self.tools.values().map(|tool| tool.definition())
    }

    pub fn get(&self, name: &str) -> Option<&dyn Tool> {
        self.tools.get(name).map(AsRef::as_ref)
    }
}

/// The fleet as tools see it; implemented in `app` over `fleet` and `gateway`.
pub trait FleetView: Send + Sync {
    /// Every known MCP server, sorted by name.
    fn servers(&self) -> Vec<ServerRow>;
}

/// One MCP server of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerRow {
    pub namespace: String,
    pub name: String,
    pub prefix: String,
    /// `Ready`, `Degraded`, `CircuitOpen`, `Connecting`, `Unreachable`, `PrefixTaken`.
    pub state: String,
    /// Why it is not ready, one sentence; empty when it is.
    pub reason: String,
    pub transport: String,
    /// `name version (protocol)` of the last handshake.
    pub server: Option<String>,
    /// Names as clients see them, with the estimated tokens of each definition.
    pub tools: Vec<(String, u32)>,
    pub calls: u64,
    pub errors: u64,
    pub endpoints: usize,
    /// Tools that are quarantined or changed, and entries that were dropped alone, one sentence each.
    pub dropped: Vec<String>,
    /// How it does in numbers; nothing when it is not registered.
    pub figures: Option<ServerFigures>,
    /// The MCPServers behind it when it is an MCPPool, sorted by name.
    pub members: Vec<MemberRow>,
}

/// How an MCP server does, by way of this process.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerFigures {
    pub connections: usize,
    pub sessions: usize,
    /// How long ago its lists were read.
    pub listed_ago: Option<std::time::Duration>,
    /// Half of its calls took no longer, in milliseconds.
    pub half_within: Option<u32>,
    /// 95 % of its calls took no longer, in milliseconds.
    pub most_within: Option<u32>,
}

/// A member of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberRow {
    pub name: String,
    /// As [`ServerRow::state`].
    pub state: String,
    /// As [`ServerRow::reason`].
    pub reason: String,
}

/// How much of what is written to the cluster comes through Git; implemented by `changes`.
pub trait GitopsCoverage: Send + Sync {
    /// Of the last 24 hours, in one namespace or in all.
    fn figure(&self, namespace: Option<&str>) -> CoverageFigure;
}

/// Writes in scope by how they came about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoverageFigure {
    pub writes: u64,
    pub through_git: u64,
    pub in_sessions: u64,
    /// The latest of the others, newest first: `Deployment shop/web by ann (kubectl-edit), 2026-11-22T10:02:00Z`. To be
    /// shown only to who may see these objects.
    pub past: Vec<String>,
}

/// Change requests as tools see them; implemented by `changes`.
pub trait Changes: Send + Sync {
    fn propose<'a>(&'a self, caller: &'a Caller, proposal: Proposal) -> BoxFuture<'a, Answer>;
    fn get<'a>(&'a self, caller: &'a Caller, id: &'a str) -> BoxFuture<'a, Answer>;
    fn list<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, Answer>;

    /// One item whenever the phase or the pull request of a change is another.
    ///
    /// # Errors
    /// One sentence, when there is none of that id that this caller may see.
    fn updates<'a>(
        &'a self,
        caller: &'a Caller,
        id: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, ()>, String>>;

    /// Gives a change another intent; see [`Revision`].
    fn revise<'a>(&'a self, caller: &'a Caller, id: &'a str, revision: Revision) -> BoxFuture<'a, Answer>;

    /// Takes a change back, as long as it is not merged.
    fn withdraw<'a>(
        &'a self,
        caller: &'a Caller,
        id: &'a str,
        reason: Option<&'a str>,
    ) -> BoxFuture<'a, Answer>;
}

/// What is to be different about a change that was proposed; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revision {
    /// All of it, in the place of what was asked before.
    pub change: Option<Modification>,
    pub reason: Option<String>,
}

/// Who may see and propose which changes; implemented in `app` over the cluster's access rules.
pub trait ChangeAccess: Send + Sync {
    /// Whether this caller may see what others propose for objects of that namespace; without one, for those of the
    /// whole cluster.
    ///
    /// # Errors
    /// One sentence, when it cannot be found out.
    fn sees_others<'a>(
        &'a self,
        caller: &'a Caller,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, String>>;

    /// Whether this caller may revise and withdraw what others proposed for objects of that namespace.
    ///
    /// # Errors
    /// One sentence, when it cannot be found out.
    fn changes_others<'a>(
        &'a self,
        caller: &'a Caller,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, String>>;

    /// Returns when this caller may see the object to be changed, whose manifest the answer shows.
    ///
    /// # Errors
    /// One sentence, when not or when it cannot be found out.
    fn sees_object<'a>(
        &'a self,
        caller: &'a Caller,
        proposal: &'a Proposal,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// An intended change of one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    pub kind: String,
    /// Absent for objects without a namespace.
    pub namespace: Option<String>,
    pub name: String,
    pub change: Modification,
    /// Why, in the caller's words; becomes the commit's text.
    pub reason: String,
    /// A configured repository's name; needed only when the object stands in several.
    pub repository: Option<String>,
}

/// The ways to say what is to change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Modification {
    /// Field paths such as `spec.template.spec.containers[name=web].resources.limits.memory` and their new
    /// values, in the order given; `null` removes the field.
    Edits(Vec<(String, Value)>),
    /// RFC 7386.
    MergePatch(Value),
    /// As `kubectl patch --type strategic` takes it: lists are merged by their keys.
    StrategicPatch(Value),
    /// RFC 6902, tests included.
    JsonPatch(Vec<Value>),
    /// How many pods a workload is to have.
    Replicas(u32),
}
