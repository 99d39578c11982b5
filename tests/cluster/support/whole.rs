//! Operator, fleet and gateway of one process together, for one namespace of its own: as pilothouse runs in a
//! cluster, but in the test's process, which reaches pods by their addresses.

use std::{sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use pilothouse::{
    api::MCPServer,
    fleet::{
        Roster, Serving,
        cluster::{Cluster, Reach},
    },
    gateway::{
        Gateway, Kind, Request, Route,
        wire::{Era, text},
    },
    operator::{LitellmSettings, Operator, OperatorSettings},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{client, own_operator::TIMING, wait::until};

/// For pods that are started from an image that is there.
pub(crate) const STARTED: Duration = Duration::from_secs(180);

/// A server made with the official SDK: its tools are what `TOOLS` says, and it answers with `SAYS`.
const SERVER: &str = r"
const { Server } = require('@modelcontextprotocol/sdk/server/index.js');
const { StreamableHTTPServerTransport } = require('@modelcontextprotocol/sdk/server/streamableHttp.js');
const { ListToolsRequestSchema, CallToolRequestSchema } = require('@modelcontextprotocol/sdk/types.js');
const tools = JSON.parse(process.env.TOOLS);
require('http').createServer(async (request, response) => {
  const server = new Server({ name: 'demo', version: '1' }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, async () => ({ tools }));
  server.setRequestHandler(CallToolRequestSchema, async call => ({
    content: [{ type: 'text', text: process.env.SAYS + ' ' + call.params.name }],
  }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  response.on('close', () => { transport.close(); server.close(); });
  await server.connect(transport);
  await transport.handleRequest(request, response);
}).listen(8080);
";

/// Name of the server.
pub(crate) const NAME: &str = "demo";

/// Ends when dropped.
pub(crate) struct Whole {
    pub(crate) client: Client,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) servers: Api<MCPServer>,
    _stop: DropGuard,
}

impl Whole {
    pub(crate) async fn start(namespace: &str) -> Self {
        Self::start_so(namespace, |_| ()).await
    }

    pub(crate) async fn start_with(namespace: &str, litellm: Option<LitellmSettings>) -> Self {
        Self::start_so(namespace, |settings| settings.litellm = litellm).await
    }

    pub(crate) async fn start_so(namespace: &str, change: impl FnOnce(&mut OperatorSettings)) -> Self {
        let client = client::admin().await;
        let gateway = Arc::new(Gateway::new(Vec::new()));
        let stop = CancellationToken::new();
        let only = vec![namespace.to_owned()];
        let roster = Roster::new(gateway.clone());
        let fleet = Cluster::new(client.clone(), only.clone(), Reach::Direct, roster.clone());
        tokio::spawn(fleet.run(stop.clone()));
        let mut settings = OperatorSettings::new("test", namespace);
        settings.namespaces = only;
        settings.own_image = Some("docker.io/pilothouse/pilothouse:test".to_owned());
        settings.lease_timing = TIMING;
        change(&mut settings);
        let serving = Serving::new(gateway.clone(), roster, client.clone(), Reach::Direct);
        let operator = Operator::new(client.clone(), settings, gateway.observations()).serving(serving);
        tokio::spawn(operator.run(stop.clone()));
        let servers = Api::namespaced(client.clone(), namespace);
        Self { client, gateway, servers, _stop: stop.drop_guard() }
    }

    pub(crate) async fn create(&self, spec: Value) {
        let server = MCPServer::new(NAME, serde_json::from_value(spec).expect("the spec parses"));
        self.servers.create(&PostParams::default(), &server).await.expect("the MCPServer is accepted");
    }

    pub(crate) async fn change(&self, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let changed = self.servers.patch(NAME, &PatchParams::default(), &patch).await;
        changed.expect("the change is accepted");
    }

    /// `status reason: message` of a condition; empty when there is none.
    pub(crate) async fn condition(&self, type_: &str) -> String {
        let server = self.servers.get(NAME).await.expect("the MCPServer is there");
        let conditions = server.status.unwrap_or_default().conditions;
        let found = conditions.into_iter().find(|condition| condition.type_ == type_);
        found.map_or_else(String::new, |one| format!("{} {}: {}", one.status, one.reason, one.message))
    }

    pub(crate) async fn condition_becomes(&self, type_: &str, says: &str, within: Duration) -> String {
        let mut last = String::new();
        let started = std::time::Instant::now();
        while started.elapsed() < within {
            last = self.condition(type_).await;
            if last.contains(says) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{type_} does not say `{says}` within {within:?}, but `{last}`");
    }

    pub(crate) async fn is_listed(&self, tool: &str) {
        until(&format!("{tool} is listed"), STARTED, || async {
            self.gateway.catalogue().find(Kind::Tool, tool).map(drop)
        })
        .await;
    }

    /// What a tool answers, or why not.
    pub(crate) async fn call(&self, tool: &str) -> String {
        let catalogue = self.gateway.catalogue();
        let entry = catalogue.find(Kind::Tool, tool).unwrap_or_else(|| panic!("{tool} is not listed"));
        let Route::Downstream { server, original } = entry.route.clone() else { panic!("{tool} is ours") };
        let params = Some(text::raw(&json!({ "name": original, "arguments": {} })));
        let method = "tools/call".to_owned();
        let request =
            Request { server: server.as_ref().clone(), method, params, era: Era::Legacy, seats: None };
        match self.gateway.call(request, mpsc::channel(16).0).await {
            Ok(answer) => {
                let answer: Value = serde_json::from_str(answer.get()).expect("JSON");
                answer["content"][0]["text"].as_str().unwrap_or_default().to_owned()
            }
            Err(error) => error.message().unwrap_or_default(),
        }
    }
}

/// The spec of [`SERVER`] with these tools.
pub(crate) fn spec(says: &str, tools: &Value) -> Value {
    json!({
        "image": "docker.io/pilothouse-test/parts:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["node", "-e", SERVER],
        "env": env(says, tools),
    })
}

pub(crate) fn env(says: &str, tools: &Value) -> Value {
    json!([{ "name": "SAYS", "value": says }, { "name": "TOOLS", "value": tools.to_string() }])
}

pub(crate) fn tool(name: &str, schema: Value) -> Value {
    json!({ "name": name, "description": "A tool", "inputSchema": schema })
}
