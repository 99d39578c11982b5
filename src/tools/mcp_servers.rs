//! The fleet: the MCP servers whose tools we proxy.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    FleetView, MemberRow, ServerFigures, ServerRow, Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, max_tokens, text},
    desk::{Desk, What, failed},
    list_resources::cell_text,
    target,
};
use crate::{
    answer::{Answer, Budget, Rank, Row, Selection},
    caller::{Caller, Need},
    cluster::access::{Age, question_of},
};

/// What both tools work with during one call.
pub(super) struct FleetDesk {
    pub(super) desk: Desk,
    pub(super) fleet: Arc<dyn FleetView>,
}

/// `list_mcp_servers`.
pub(super) struct ListMcpServers(pub(super) FleetDesk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    namespace: Option<String>,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

impl Tool for ListMcpServers {
    fn definition(&self) -> Value {
        Definition {
            name: "list_mcp_servers",
            title: "List MCP servers",
            description: "Use this to see which MCP servers are registered, whether they answer, and how many tools each adds here. Those that do not answer come first with the reason. ERRORS counts calls that failed on the way (transport or protocol), not tools' own error answers.",
            properties: json!({
                "namespace": text("all namespaces if absent"),
                "cursor": cursor(),
                "max_tokens": max_tokens(),
            }),
            required: &[],
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn needs(&self) -> &'static [Need] {
        SEEN
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.list(caller, arguments))
    }
}

/// A server is seen by whoever may read its MCPServer.
const SEEN: &[Need] = &[Need { verb: "get", group: "pilothouse.dev", resource: "mcpservers" }];
/// How old what is known of a caller's rights may be.
const FRESH: Duration = Duration::from_secs(60);

impl FleetDesk {
    /// The servers that this caller may see.
    ///
    /// # Errors
    /// An error answer when that cannot be found out.
    async fn visible(&self, caller: &Caller) -> Result<Vec<ServerRow>, Answer> {
        let Self { desk, fleet } = self;
        let mut servers = fleet.servers();
        if !caller.is_impersonated() {
            return Ok(servers);
        }
        if !desk.context.is_empty() {
            return Err(Answer::error("the MCP servers are those of one cluster only: leave `context` out"));
        }
        let namespaces: BTreeSet<String> = servers.iter().map(|row| row.namespace.clone()).collect();
        let asked = namespaces.into_iter().map(|namespace| async move {
            let reviewed = desk.reader.rights(&namespace, FRESH).await.map_err(|error| failed(&error))?;
            let mut yes = SEEN.iter().all(|need| reviewed.rights.meet(*need));
            if !yes && !reviewed.complete {
                yes = true;
                for need in SEEN {
                    let question = question_of(*need, &namespace);
                    let answer = desk.reader.may(&question, Age::Shown(FRESH)).await;
                    yes &= answer.map_err(|error| failed(&error))?;
                }
            }
            Ok::<_, Answer>((namespace, yes))
        });
        let seen: BTreeMap<String, bool> = stream::iter(asked).buffer_unordered(16).try_collect().await?;
        servers.retain(|row| seen.get(&row.namespace) == Some(&true));
        // The reason names the other server, which may be another team's.
        for row in servers.iter_mut().filter(|row| row.state == "PrefixTaken") {
            row.reason = format!("an older server has the prefix {}", row.prefix);
        }
        Ok(servers)
    }
}

impl ListMcpServers {
    async fn list(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request } = arguments::parse(&self.definition(), raw)?;
        let ListArguments { namespace, cursor, max_tokens } = arguments;
        let paging = self.0.desk.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let mut rows = Selection::new(paging.place(), paging.budget());
        let servers = self.0.visible(caller).await?;
        let wanted =
            servers.iter().filter(|row| namespace.as_ref().is_none_or(|wanted| row.namespace == *wanted));
        let wanted: Vec<&ServerRow> = wanted.collect();
        let has_pools = wanted.iter().any(|server| !server.members.is_empty());
        wanted.iter().for_each(|server| rows.offer(row(server, has_pools)));
        let mut columns = vec![
            "NAMESPACE",
            "NAME",
            "PREFIX",
            "STATE",
            "TOOLS",
            "TRANSPORT",
            "ENDPOINTS",
            "CALLS",
            "ERRORS",
            "WHY",
        ];
        if has_pools {
            columns.push("MEMBERS");
        }
        let page = rows.page(columns, paging.budget(), cell_text);
        if let (0, Some(namespace)) = (page.total, &namespace) {
            let mut known: Vec<&str> = servers.iter().map(|row| row.namespace.as_str()).collect();
            known.sort_unstable();
            known.dedup();
            let known = if known.is_empty() { "any namespace".to_owned() } else { known.join(", ") };
            let no = if servers.is_empty() { "nor in" } else { "there are some in" };
            return Err(Answer::error(format!(
                "there is no MCP server in namespace {namespace}: {no} {known}"
            )));
        }
        Ok(Answer::text(paging.text(
            page,
            &What::of("MCP server", "MCP servers", String::new()),
            "ready",
            "",
        )))
    }
}

fn rank(server: &ServerRow) -> Rank {
    match server.state.as_str() {
        "Ready" if server.dropped.is_empty() && absent(server).is_empty() => Rank::Healthy,
        "Ready" | "Degraded" | "Connecting" => Rank::Warning,
        _ => Rank::Broken,
    }
}

/// The members of a pool that do not answer.
fn absent(server: &ServerRow) -> Vec<&MemberRow> {
    let is_there = |member: &&MemberRow| matches!(member.state.as_str(), "Ready" | "Asleep");
    server.members.iter().filter(|member| !is_there(member)).collect()
}

/// Which members answer, and why the others do not, in a few words.
fn members(server: &ServerRow) -> String {
    let names: Vec<&str> = server.members.iter().map(|member| member.name.as_str()).collect();
    match (names.len(), absent(server).as_slice()) {
        (0, _) => String::new(),
        (_, []) => names.join(", "),
        (all, [first, ..]) => {
            let reason = if first.reason.is_empty() { &first.state } else { &first.reason };
            let ready = all - absent(server).len();
            format!("{ready} of {all} ready: {}; {}: {reason}", names.join(", "), first.name)
        }
    }
}

fn row(row: &ServerRow, has_pools: bool) -> Row {
    let ServerRow {
        namespace,
        name,
        prefix,
        state,
        reason,
        transport,
        server: _,
        tools,
        calls,
        errors,
        endpoints,
        dropped,
        figures: _,
        members: _,
    } = row;
    let why = match (reason.is_empty(), dropped.len()) {
        (false, _) => reason.clone(),
        (true, 0) => String::new(),
        (true, count) => format!("{count} entries dropped, {}", dropped[0]),
    };
    let mut cells = vec![
        namespace.clone(),
        name.clone(),
        prefix.clone(),
        state.clone(),
        tools.len().to_string(),
        transport.clone(),
        endpoints.to_string(),
        calls.to_string(),
        errors.to_string(),
        why,
    ];
    if has_pools {
        cells.push(members(row));
    }
    Row { rank: rank(row), key: format!("{namespace}/{name}"), group: namespace.clone(), cells }
}

/// `get_mcp_server`.
pub(super) struct GetMcpServer(pub(super) FleetDesk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    name: String,
    namespace: Option<String>,
    max_tokens: Option<usize>,
}

impl Tool for GetMcpServer {
    fn definition(&self) -> Value {
        Definition {
            name: "get_mcp_server",
            title: "Get MCP server",
            description: "Use this to look at one registered MCP server or MCPPool: whether it answers and why not, its version, its tools as they are called here with what each definition costs in tokens, and its calls.",
            properties: json!({
                "name": text("name of the MCPServer or MCPPool"),
                "namespace": text("needed if several have the name"),
                "max_tokens": max_tokens(),
            }),
            required: &["name"],
            effect: Effect::Reads,
            output: Some(json!({
                "state": { "type": "string" }, "reason": { "type": "string" },
                "tools": { "type": "array", "items": { "type": "string" } },
            })),
        }
        .into_value()
    }

    fn needs(&self) -> &'static [Need] {
        SEEN
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.get(caller, arguments))
    }
}

impl GetMcpServer {
    async fn get(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request: _ } = arguments::parse(&self.definition(), raw)?;
        let GetArguments { name, namespace, max_tokens } = arguments;
        let servers = self.0.visible(caller).await?;
        let in_namespace =
            |row: &&ServerRow| namespace.as_ref().is_none_or(|wanted| row.namespace == *wanted);
        let found: Vec<&ServerRow> =
            servers.iter().filter(|row| row.name == name).filter(in_namespace).collect();
        match found.as_slice() {
            [server] => Ok(described(server, max_tokens.map_or(self.0.desk.budget, Budget::of))),
            [] => {
                let place =
                    namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
                let near = target::nearest(&name, servers.iter().map(|row| row.name.as_str()));
                let near = match (near.as_slice(), servers.len()) {
                    ([], 0) => ": none is registered".to_owned(),
                    ([], _) => ": list_mcp_servers names all".to_owned(),
                    (near, _) => format!(", nearest: {}", near.join(", ")),
                };
                Err(Answer::error(format!("there is no MCP server `{name}`{place}{near}")))
            }
            several => {
                let namespaces: Vec<&str> = several.iter().map(|row| row.namespace.as_str()).collect();
                let sentence = format!(
                    "several MCP servers are named `{name}`: give a `namespace`, {}",
                    namespaces.join(" or ")
                );
                Err(Answer::error(sentence))
            }
        }
    }
}

/// How it does in numbers, on one line.
fn doing(figures: &ServerFigures) -> String {
    let ServerFigures { connections, sessions, listed_ago, half_within, most_within } = figures;
    let age = match listed_ago.map(|ago| ago.as_secs()) {
        None => "never".to_owned(),
        Some(seconds @ 0..120) => format!("{seconds} s ago"),
        Some(seconds @ 120..7200) => format!("{} min ago", seconds / 60),
        Some(seconds) => format!("{} h ago", seconds / 3600),
    };
    let mut line = format!("lists read: {age}, open connections: {connections}, sessions: {sessions}");
    if let Some(half) = half_within {
        line.push_str(&format!(", half of the calls within {half} ms"));
    }
    if let Some(most) = most_within {
        line.push_str(&format!(", 95 % within {most} ms"));
    }
    line.push('\n');
    line
}

/// Entries named that a server offers and that cannot be shown.
const DROPPED: usize = 5;

fn described(row: &ServerRow, budget: Budget) -> Answer {
    let ServerRow {
        namespace,
        name,
        prefix,
        state,
        reason,
        transport,
        server,
        tools,
        calls,
        errors,
        endpoints,
        dropped,
        figures,
        members,
    } = row;
    let tokens: u32 = tools.iter().map(|(_, tokens)| tokens).sum();
    let reason = cell_text(reason);
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let prefix = if prefix.is_empty() { "none" } else { prefix };
    let mut text = format!("{namespace}/{name}: {state}{why}\n");
    if let Some(server) = server {
        text.push_str(&format!("server: {}\n", cell_text(server)));
    }
    text.push_str(&format!(
        "transport: {transport}, endpoints: {endpoints}, prefix: {prefix}, calls: {calls}, errors on the way: {errors}\n"
    ));
    if let Some(figures) = figures {
        text.push_str(&doing(figures));
    }
    if !members.is_empty() {
        text.push_str(&format!("an MCPPool of {}:\n", members.len()));
    }
    for MemberRow { name, state, reason } in members {
        let why = if reason.is_empty() { String::new() } else { format!(": {}", cell_text(reason)) };
        text.push_str(&format!("  {name}: {state}{why}\n"));
    }
    dropped
        .iter()
        .take(DROPPED)
        .for_each(|dropped| text.push_str(&format!("attention: {}\n", cell_text(dropped))));
    text.push_str(&format!("{} tools, about {tokens} tokens to list:\n", tools.len()));
    // The record names the tools again.
    let room = budget.bytes().saturating_sub(text.len()) / 2;
    let mut named = Vec::new();
    let mut lines = String::new();
    for (tool, tokens) in tools {
        let line = format!("  {tool} ({tokens})\n");
        if lines.len() + line.len() > room {
            lines.push_str(&format!("  and {} more: raise max_tokens\n", tools.len() - named.len()));
            break;
        }
        lines.push_str(&line);
        named.push(tool.as_str());
    }
    let structured = json!({ "state": state, "reason": reason, "tools": named });
    Answer::structured(text + &lines, structured)
}
