//! A server with the entries that the suite calls, answering as raw JSON behind the production face.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use pilothouse::{
    gateway::{
        Catalogue, Entry, Kind, Route,
        wire::{Era, Raw, RpcError, Up, text::raw},
    },
    mcp::{Asked, Offer, Own},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    content,
    questions::{self, Seal},
};

pub(super) struct Fixture {
    catalogue: watch::Sender<Arc<Catalogue>>,
    seal: Seal,
    /// How often the lists were changed on request.
    changes: Mutex<u64>,
}

impl Fixture {
    pub(super) fn new() -> (Self, watch::Receiver<Arc<Catalogue>>) {
        let (catalogue, catalogues) = watch::channel(Arc::new(Catalogue::new(0, entries())));
        (Self { catalogue, seal: Seal::new(), changes: Mutex::new(0) }, catalogues)
    }

    /// Adds one entry, so that the list of its kind changes.
    fn change(&self, kind: Kind) {
        let mut changes = self.changes.lock().unwrap();
        *changes += 1;
        let name = format!("changed_{changes}");
        let value = json!({ "name": name, "description": name, "inputSchema": { "type": "object" } });
        let mut all = entries();
        all.push(Arc::new(entry(kind, &name, &value)));
        self.catalogue.send_replace(Arc::new(Catalogue::new(*changes, all)));
    }

    async fn call(&self, asked: Asked<'_>, params: &Value, up: &Upward) -> Result<Value, RpcError> {
        let arguments = &params["arguments"];
        match asked.name {
            "test_tool_with_logging" | "test_logging_tool" => {
                for message in ["Tool execution started", "Tool processing data", "Tool execution completed"]
                {
                    let params = json!({ "level": "info", "logger": "fixture", "data": message });
                    up.note("notifications/message", params).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Ok(content::text("Logging test completed"))
            }
            "test_tool_with_progress" => {
                let token = &params["_meta"]["progressToken"];
                for progress in [0, 50, 100].iter().filter(|_| !token.is_null()) {
                    let params = json!({ "progressToken": token, "progress": progress, "total": 100 });
                    up.note("notifications/progress", params).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Ok(content::text("Progress test completed"))
            }
            "test_sampling" => {
                let message =
                    json!({ "role": "user", "content": { "type": "text", "text": arguments["prompt"] } });
                let question = json!({ "messages": [message], "maxTokens": 100 });
                let answer = up.ask("sampling/createMessage", question).await?;
                Ok(content::text(&format!("LLM response: {}", answer["content"]["text"])))
            }
            "test_elicitation" => up.form(arguments["message"].as_str(), questions::PERSON).await,
            "test_elicitation_sep1034_defaults" => up.form(None, questions::DEFAULTS).await,
            "test_elicitation_sep1330_enums" => up.form(None, questions::ENUMS).await,
            "test_reconnection" => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(content::text("Reconnection test completed"))
            }
            "test_missing_capability" => {
                let declared = &params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["sampling"];
                if declared.is_object() {
                    return Ok(content::text("The client can sample."));
                }
                let data = json!({ "requiredCapabilities": { "sampling": {} } });
                Err(RpcError::with_data(-32021, "this tool needs a client that can sample", data))
            }
            "test_trigger_tool_change" => {
                self.change(Kind::Tool);
                Ok(content::text("The tools changed."))
            }
            "test_trigger_prompt_change" => {
                self.change(Kind::Prompt);
                Ok(content::text("The prompts changed."))
            }
            name => match self.in_rounds(asked, params, up).await {
                Some(answer) => answer,
                None => Ok(content::shown(name).unwrap_or_else(|| content::text("Done."))),
            },
        }
    }

    /// Entries that need the client's input: a modern client gets the question as a result, a legacy one is asked.
    async fn in_rounds(
        &self,
        asked: Asked<'_>,
        params: &Value,
        up: &Upward,
    ) -> Option<Result<Value, RpcError>> {
        let mut params = params.clone();
        loop {
            let answer = questions::asked(&self.seal, asked.name, &params)?;
            let Ok(result) = &answer else { return Some(answer) };
            let requests = result["inputRequests"].as_object().filter(|requests| !requests.is_empty());
            let Some(requests) = requests.filter(|_| asked.era == Era::Legacy) else { return Some(answer) };
            let one = |(key, request): (&String, &Value)| {
                let (key, request) = (key.clone(), request.clone());
                async move { (key, up.ask(request["method"].as_str().unwrap(), request["params"].clone()).await) }
            };
            let answers = futures::future::join_all(requests.iter().map(one)).await;
            let mut responses = json!({});
            for (key, answer) in answers {
                match answer {
                    Ok(answer) => responses[key] = answer,
                    Err(_) if asked.name.ends_with("_capabilities") => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            params["inputResponses"] = responses;
            params["requestState"] = result["requestState"].clone();
        }
    }
}

impl Own for Fixture {
    fn offer(&self) -> Offer {
        Offer {
            instructions: "A fixture for the conformance suite.".into(),
            logging: true,
            subscriptions: true,
        }
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, up: mpsc::Sender<Up>) -> BoxFuture<'a, Result<Raw, RpcError>> {
        Box::pin(async move {
            let params: Value =
                asked.params.map_or(Value::Null, |params| serde_json::from_str(params.get()).unwrap());
            let up =
                Upward { up, answers: (asked.era == Era::Modern).then(|| params["inputResponses"].clone()) };
            let answer = match asked.method {
                "tools/call" => match self.call(asked, &params, &up).await {
                    Err(error) if error.code() == Some(ASKS) => asks(&error),
                    answer => answer?,
                },
                "resources/read" => content::read(asked.name),
                "prompts/get" => match self.in_rounds(asked, &params, &up).await {
                    Some(answer) => answer?,
                    None => content::prompt(asked.name, &params["arguments"]),
                },
                "completion/complete" => {
                    json!({ "completion": { "values": ["paris", "park"], "total": 2, "hasMore": false } })
                }
                _ => json!({}),
            };
            Ok(raw(&answer))
        })
    }
}

/// Stands for a question to a modern client, which is a result and ends the call.
const ASKS: i32 = 1;

fn asks(error: &RpcError) -> Value {
    let error: Value = serde_json::from_str(error.0.get()).unwrap();
    json!({ "resultType": "input_required", "inputRequests": { "question": error["data"] } })
}

/// What a tool sends while it runs.
struct Upward {
    up: mpsc::Sender<Up>,
    /// Of a modern client: what it has answered.
    answers: Option<Value>,
}

impl Upward {
    async fn note(&self, method: &str, params: Value) {
        let note = Up::Note { method: method.to_owned(), params: Some(raw(&params)) };
        self.up.send(note).await.unwrap();
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        if let Some(answers) = &self.answers {
            let question =
                || RpcError::with_data(ASKS, "asks", json!({ "method": method, "params": params }));
            return answers.get("question").cloned().ok_or_else(question);
        }
        let (reply, answer) = oneshot::channel();
        let ask = Up::Ask { method: method.to_owned(), params: Some(raw(&params)), reply };
        self.up.send(ask).await.unwrap();
        answer.await.unwrap().map(|answer| serde_json::from_str(answer.get()).unwrap())
    }

    async fn form(&self, message: Option<&str>, schema: &str) -> Result<Value, RpcError> {
        let schema: Value = serde_json::from_str(schema).unwrap();
        let message = message.unwrap_or("Please review");
        let answer =
            self.ask("elicitation/create", json!({ "message": message, "requestedSchema": schema })).await?;
        let (action, content) = (answer["action"].as_str().unwrap_or_default(), &answer["content"]);
        Ok(content::text(&format!("Elicitation completed: action={action}, content={content}")))
    }
}

fn entry(kind: Kind, name: &str, value: &Value) -> Entry {
    Entry {
        kind,
        name: name.to_owned(),
        raw: raw(value),
        hash: name.into(),
        route: Route::Own,
        exposure: Arc::default(),
    }
}

fn entries() -> Vec<Arc<Entry>> {
    let of = |kind: Kind, key: &'static str, values: Vec<Value>| {
        values
            .into_iter()
            .map(move |value| Arc::new(entry(kind, value[key].as_str().unwrap_or_default(), &value)))
    };
    of(Kind::Tool, "name", content::tools())
        .chain(of(Kind::Prompt, "name", content::prompts()))
        .chain(of(Kind::Resource, "uri", content::resources()))
        .chain(of(Kind::ResourceTemplate, "uriTemplate", content::templates()))
        .collect()
}
