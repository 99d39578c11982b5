//! The suite as the server: what our client towards servers sends it, while somebody uses us.
//!
//! The suite starts a program and gives it the address; here that is a script that only hands the address on, and the
//! gateway runs in this process. Left out are the `auth/` scenarios (pilothouse sends servers no tokens of its own, it
//! has no OAuth client) and the skills extension.

use std::{os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use pilothouse::{
    gateway::{Gateway, Prefix, wire::Era},
    tools::Toolbox,
};
use serde_json::{Value, json};

use super::suite::{Outcome, Suite};
use crate::{
    gateway_support::{at_url, ready},
    stage::{Pipe, Stage, soon},
};

/// Hands on what it was started with, and ends when it is told to.
const SCRIPT: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
for url in "$@"; do :; done
printf %s "$MCP_CONFORMANCE_CONTEXT" > context
printf %s "$url" > new && mv new url
while [ ! -e done ]; do sleep 0.02; done
"#;

/// One scenario with a client of that era before us.
pub(super) async fn scenario(name: &str, revision: &str, era: Era) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("client");
    std::fs::write(&script, SCRIPT).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let suite = Suite::scenario(name, revision).of_client(&script);
    let (outcome, ()) = tokio::join!(suite, async {
        let url = soon("the address", read(&folder.path().join("url"))).await;
        let context = std::fs::read_to_string(folder.path().join("context")).unwrap();
        use_it(&url, &serde_json::from_str(&context).unwrap_or_default(), era).await;
        std::fs::write(folder.path().join("done"), "").unwrap();
    });
    outcome
}

async fn read(path: &std::path::Path) -> String {
    loop {
        if let Ok(text) = std::fs::read_to_string(path) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Uses everything that the server offers.
async fn use_it(url: &str, context: &Value, era: Era) {
    let gateway = Arc::new(Gateway::new(Vec::new()));
    let mut downstream = at_url("scenario", url);
    downstream.prefix = Prefix::parse("").unwrap();
    gateway.apply(downstream);
    ready(&gateway, "scenario").await;
    let stage = Stage::over(gateway.clone(), Arc::new(Toolbox::default()), gateway.catalogues());
    let mut client = Client { pipe: Pipe::open(stage.face.clone()), era, next: 1 };
    if era == Era::Legacy {
        client.pipe.initialize().await;
    }
    let tools = client.ask("tools/list", json!({})).await["tools"].take();
    for (tool, arguments) in calls(&tools, &context["toolCalls"]) {
        client.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await;
    }
    for resource in list(client.ask("resources/list", json!({})).await["resources"].take()) {
        client.ask("resources/read", json!({ "uri": resource["uri"] })).await;
    }
    for prompt in list(client.ask("prompts/list", json!({})).await["prompts"].take()) {
        client.ask("prompts/get", json!({ "name": prompt["name"] })).await;
    }
    gateway.shutdown(Duration::from_secs(1)).await;
}

fn list(value: Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// Those that the scenario wants, or else each tool with something for every argument.
fn calls(tools: &Value, wanted: &Value) -> Vec<(String, Value)> {
    if let Some(wanted) = wanted.as_array() {
        let call = |call: &Value| (call["name"].as_str().unwrap().to_owned(), call["arguments"].clone());
        return wanted.iter().map(call).collect();
    }
    let tools = list(tools.clone());
    let rich = tools.iter().map(|tool| &tool["inputSchema"]).find(|schema| !schema["$defs"].is_null());
    let something = |(name, schema): (&String, &Value)| {
        let value = match schema["type"].as_str() {
            Some("number" | "integer") => json!(3),
            Some("boolean") => json!(true),
            _ if name == "schema" => rich.cloned().unwrap_or_default(),
            _ => json!("x"),
        };
        (name.clone(), value)
    };
    let arguments = |tool: &Value| -> Value {
        let properties = tool["inputSchema"]["properties"].as_object();
        properties.map(|properties| properties.iter().map(something).collect()).unwrap_or_else(|| json!({}))
    };
    tools.iter().map(|tool| (tool["name"].as_str().unwrap().to_owned(), arguments(tool))).collect()
}

/// A client over a pipe that answers what it is asked.
struct Client {
    pipe: Pipe,
    era: Era,
    next: u64,
}

impl Client {
    /// The result; `null` for an error.
    async fn ask(&mut self, method: &str, mut params: Value) -> Value {
        loop {
            self.next += 1;
            let mut message =
                json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params });
            if self.era == Era::Modern {
                message["params"]["_meta"] = json!({
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": { "elicitation": {}, "sampling": {}, "roots": {} },
                    "io.modelcontextprotocol/clientInfo": { "name": "suite", "version": "1" }
                });
            }
            self.pipe.write(&message.to_string()).await;
            let mut result = self.answered().await;
            if result["resultType"] != "input_required" {
                return result;
            }
            let mut answers = json!({});
            for (key, question) in result["inputRequests"].as_object().unwrap() {
                answers[key] = answer(question);
            }
            params["inputResponses"] = answers;
            let params = params.as_object_mut().unwrap();
            match result["requestState"].take() {
                Value::Null => drop(params.remove("requestState")),
                state => drop(params.insert("requestState".to_owned(), state)),
            }
        }
    }

    async fn answered(&mut self) -> Value {
        loop {
            let line = self.pipe.read().await.expect("the pipe is open");
            let mut message: Value = serde_json::from_str(&line).unwrap();
            if message.get("method").is_some() && message.get("id").is_some() {
                let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": answer(&message) });
                self.pipe.write(&answer.to_string()).await;
            } else if message["id"] == self.next {
                return message["result"].take();
            }
        }
    }
}

/// With the defaults of a form, and the least elsewhere.
fn answer(question: &Value) -> Value {
    match question["method"].as_str() {
        Some("elicitation/create") => {
            let properties = question["params"]["requestedSchema"]["properties"].as_object();
            let filled = properties.into_iter().flatten().map(|(name, schema)| {
                let value = match (&schema["default"], schema["type"].as_str()) {
                    (Value::Null, Some("boolean")) => json!(true),
                    (Value::Null, Some("number" | "integer")) => json!(1),
                    (Value::Null, _) => json!("x"),
                    (default, _) => default.clone(),
                };
                (name.clone(), value)
            });
            json!({ "action": "accept", "content": filled.collect::<Value>() })
        }
        Some("sampling/createMessage") => {
            json!({ "role": "assistant", "content": { "type": "text", "text": "x" }, "model": "none" })
        }
        _ => json!({ "roots": [] }),
    }
}
