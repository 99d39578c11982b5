//! What pilothouse answers itself, as the face sees it.

use futures::future::BoxFuture;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::{
    answer::Answer,
    caller::Caller,
    gateway::{
        Entry, Kind,
        wire::{
            Era, Raw, RpcError, Up,
            text::{Fields, raw},
        },
    },
    tools::Toolbox,
};

/// A request for one of our own entries.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// For example `tools/call`.
    pub method: &'a str,
    /// Tool or prompt name, or resource URI; empty for methods without one.
    pub name: &'a str,
    pub params: Option<&'a RawValue>,
    pub caller: &'a Caller,
    pub era: Era,
}

/// What is declared to clients beside tools, prompts, resources and completions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// What the server is for and how to begin; under 2 KB, clients cut it there.
    pub instructions: String,
    /// Log messages may come while a request is open; those below the level of `logging/setLevel` do not.
    pub logging: bool,
    /// Resources can be subscribed to.
    pub subscriptions: bool,
}

/// Our own entries: those of the catalogue with [`Route::Own`].
pub trait Own: Send + Sync {
    fn offer(&self) -> Offer;

    /// Answers for an own entry; `up` reaches the client before the answer does. Era words that every answer
    /// has (`resultType`, cache hints) are added by the face.
    fn answer<'a>(&'a self, asked: Asked<'a>, up: mpsc::Sender<Up>) -> BoxFuture<'a, Result<Raw, RpcError>>;
}

const INSTRUCTIONS: &str = "pilothouse shows a Kubernetes cluster and the MCP servers that run in it. Start with \
cluster_overview: it says what is wrong first. list_resources and get_resource read any kind, get_logs and \
list_events say why something happened. pilothouse's own tools change nothing in the cluster. Tools named \
prefix_tool belong to MCP servers behind it; list_mcp_servers says which.";

const OF_CHANGES: &str = " propose_change opens a change request in Git that a person merges.";

/// Largest arguments of a tool of ours, in bytes: what is looked up and compared by likeness must be short.
const LARGEST: usize = 64 * 1024;

impl Own for Toolbox {
    fn offer(&self) -> Offer {
        let changes = if self.get("propose_change").is_some() { OF_CHANGES } else { "" };
        // Log messages are those of downstreams.
        Offer { instructions: format!("{INSTRUCTIONS}{changes}"), logging: true, subscriptions: false }
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, _up: mpsc::Sender<Up>) -> BoxFuture<'a, Result<Raw, RpcError>> {
        Box::pin(async move {
            let Asked { method, name, params, caller, era: _ } = asked;
            let tool = (method == "tools/call").then(|| self.get(name)).flatten();
            let Some(tool) = tool else {
                let message = format!("pilothouse has no {method} for `{name}`");
                return Err(RpcError::new(RpcError::METHOD_NOT_FOUND, &message));
            };
            let params = Fields::of(params)
                .map_err(|error| RpcError::new(RpcError::INVALID_PARAMS, &format!("params: {error}")))?;
            let arguments = params.get("arguments");
            if arguments.is_some_and(|arguments| arguments.get().len() > LARGEST) {
                let message =
                    format!("The arguments are larger than {LARGEST} bytes: {name} needs far less.");
                return Ok(Answer::error(message).into_result());
            }
            Ok(tool.call(caller, arguments).await.into_result())
        })
    }
}

/// The catalogue entries of our own tools.
pub fn entries(toolbox: &Toolbox) -> Vec<Entry> {
    toolbox
        .definitions()
        .map(|definition| {
            let name = definition["name"].as_str().unwrap_or_default();
            Entry::own(Kind::Tool, name, raw(&definition))
        })
        .collect()
}
