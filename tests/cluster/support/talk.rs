//! A client of this process's own pilothouse, as a caller that the test names.

use std::{sync::Arc, time::Duration};

use pilothouse::{
    caller::Caller,
    mcp::{self, Face},
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(30);

/// A legacy session, which hears of changes without asking.
pub(crate) struct Talk {
    to: WriteHalf<DuplexStream>,
    from: Lines<BufReader<ReadHalf<DuplexStream>>>,
    /// Notifications that came while an answer was waited for.
    told: Vec<String>,
    next: u64,
}

impl Talk {
    pub(crate) async fn open(face: Arc<Face>, caller: Caller) -> Self {
        let (client, server) = tokio::io::duplex(1 << 20);
        let (reader, writer) = tokio::io::split(server);
        tokio::spawn(async move {
            mcp::stdio::serve(caller, face, reader, writer, CancellationToken::new()).await
        });
        let (from, to) = tokio::io::split(client);
        let mut talk = Self { to, from: BufReader::new(from).lines(), told: Vec::new(), next: 0 };
        let client = json!({ "name": "test", "version": "1" });
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
        talk.ask("initialize", hello).await;
        talk.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        talk
    }

    async fn write(&mut self, message: &Value) {
        self.to.write_all(format!("{message}\n").as_bytes()).await.expect("the session is open");
    }

    async fn read(&mut self) -> Value {
        let line = tokio::time::timeout(DEADLINE, self.from.next_line()).await;
        let line =
            line.expect("nothing came in time").expect("the session is open").expect("the session ended");
        serde_json::from_str(&line).expect("JSON")
    }

    /// The whole answer: `result` or `error`.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        loop {
            let message = self.read().await;
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
            self.told.extend(message["method"].as_str().map(str::to_owned));
        }
    }

    /// Waits for that notification.
    pub(crate) async fn hears(&mut self, method: &str) {
        loop {
            if let Some(at) = self.told.iter().position(|told| told == method) {
                self.told.remove(at);
                return;
            }
            let message = self.read().await;
            self.told.extend(message["method"].as_str().map(str::to_owned));
        }
    }

    /// What was told and not yet waited for.
    pub(crate) fn told(&self) -> &[String] {
        &self.told
    }

    pub(crate) async fn tools(&mut self) -> Vec<String> {
        let answer = self.ask("tools/list", json!({})).await;
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
        tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// The text of a tool's answer or of its error, whichever way it came.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> String {
        let answer = self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await;
        let text = answer["result"]["content"][0]["text"].as_str().or(answer["error"]["message"].as_str());
        text.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}
