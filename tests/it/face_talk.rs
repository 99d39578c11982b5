//! A small client of either era for tests: it sends what it is told over HTTP, answers what it is asked, and hears.

use std::sync::Mutex;

use pilothouse::gateway::wire::Era;
use reqwest::{Client, RequestBuilder, Response, header::HeaderValue};
use serde_json::{Value, json};

use crate::stage::soon;

pub(crate) struct Talk {
    http: Client,
    url: String,
    token: String,
    era: Era,
    capabilities: Value,
    session: Option<HeaderValue>,
    /// The result of `initialize` or `server/discover`.
    pub(crate) greeting: Value,
    /// What it answers to every question.
    pub(crate) answer: Value,
    /// The params of all questions.
    pub(crate) asked: Mutex<Vec<Value>>,
}

impl Talk {
    pub(crate) async fn open(url: &str, era: Era, capabilities: Value) -> Self {
        Self::open_as("", url, era, capabilities).await
    }

    /// With the token of a caller.
    pub(crate) async fn open_as(token: &str, url: &str, era: Era, capabilities: Value) -> Self {
        let http = Client::builder().no_proxy().build().unwrap();
        let mut talk = Self {
            http,
            url: url.to_owned(),
            token: token.to_owned(),
            era,
            capabilities,
            session: None,
            greeting: Value::Null,
            answer: json!({ "action": "accept" }),
            asked: Mutex::default(),
        };
        match era {
            Era::Modern => talk.greeting = talk.ask("server/discover", json!({})).await.unwrap(),
            Era::Legacy => {
                let client = json!({ "name": "talk", "version": "1" });
                let params = json!({ "protocolVersion": "2025-11-25", "capabilities": talk.capabilities, "clientInfo": client });
                let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
                let answer = talk.post(&message).send().await.unwrap();
                talk.session = Some(answer.headers()["mcp-session-id"].clone());
                talk.greeting = Events::of(answer).next().await["result"].clone();
                let noted = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
                talk.post(&noted).send().await.unwrap();
            }
        }
        talk
    }

    fn dressed(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.header("accept", "application/json, text/event-stream");
        let request = if self.token.is_empty() { request } else { request.bearer_auth(&self.token) };
        match &self.session {
            Some(session) => request.header("mcp-session-id", session.clone()),
            None => request,
        }
    }

    fn post(&self, message: &Value) -> RequestBuilder {
        let request = self.http.post(&self.url).header("content-type", "application/json");
        self.dressed(request).body(message.to_string())
    }

    fn request(&self, method: &str, mut params: Value) -> RequestBuilder {
        if self.era == Era::Modern {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
            params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({ "name": "talk", "version": "1" });
        }
        let request = self.post(&json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }));
        if self.era == Era::Legacy {
            return request;
        }
        let request = request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
        let name = ["name", "uri", "taskId"].into_iter().find_map(|key| params[key].as_str());
        match name.filter(|_| method != "completion/complete") {
            Some(name) => request.header("mcp-name", name),
            None => request,
        }
    }

    /// The result, or the error.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Result<Value, Value> {
        let mut events = Events::of(self.request(method, params).send().await.unwrap());
        loop {
            let mut message = events.next().await;
            if message["id"] == 7 && message.get("method").is_none() {
                return match message.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(message["result"].take()),
                };
            }
            if message.get("method").is_some() && message.get("id").is_some() {
                let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": self.answer });
                self.asked.lock().unwrap().push(message["params"].take());
                self.post(&answer).send().await.unwrap();
            }
        }
    }

    /// What comes unasked: the session's own stream, or one that is opened for updates of these resources.
    pub(crate) async fn hear(&self, uris: &[&str]) -> Events {
        let request = match self.era {
            Era::Legacy => self.dressed(self.http.get(&self.url)),
            Era::Modern => {
                let wanted = json!({ "notifications": { "resourceSubscriptions": uris } });
                self.request("subscriptions/listen", wanted)
            }
        };
        let events = Events::of(request.send().await.unwrap());
        if self.era == Era::Legacy {
            for uri in uris {
                self.ask("resources/subscribe", json!({ "uri": uri })).await.unwrap();
            }
        }
        events
    }
}

/// The messages of one answer.
pub(crate) struct Events {
    answer: Response,
    text: String,
}

impl Events {
    fn of(answer: Response) -> Self {
        Self { answer, text: String::new() }
    }

    pub(crate) async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data:")).map(str::to_owned);
                self.text = rest.to_owned();
                match data.and_then(|data| serde_json::from_str(data.trim()).ok()) {
                    Some(message) => return message,
                    None => continue,
                }
            }
            match soon("a message", self.answer.chunk()).await.unwrap() {
                Some(chunk) => self.text.push_str(&String::from_utf8_lossy(&chunk).replace('\r', "")),
                // A body of JSON.
                None => return serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}", self.text)),
            }
        }
    }
}
