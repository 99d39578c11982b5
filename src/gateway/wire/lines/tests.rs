#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use rmcp::{
    RoleClient, RoleServer,
    model::{JsonRpcMessage, ServerJsonRpcMessage, ServerResult},
    transport::Transport,
};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::{Lines, Tap};
use crate::gateway::wire::{
    carrier::{self, Carried},
    rejected::{Reason, Rejections},
};

#[tokio::test]
async fn a_message_in_two_halves_with_a_cancelled_read_between_arrives_whole() {
    let (mut client, server) = tokio::io::duplex(4096);
    let (reader, writer) = tokio::io::split(server);
    let mut lines = Lines::<RoleServer, _>::carrying(reader, writer);
    client.write_all(br#"{"jsonrpc":"2.0","id":1,"meth"#).await.unwrap();
    let half = tokio::time::timeout(std::time::Duration::from_millis(20), lines.receive()).await;
    assert!(half.is_err());
    client.write_all(b"od\":\"tools/call\",\"params\":{\"n\":1.0}}\n").await.unwrap();
    let Some(JsonRpcMessage::Request(request)) = lines.receive().await else { unreachable!() };
    use rmcp::model::GetExtensions;
    let carried = request.request.extensions().get::<Carried>().unwrap();
    assert_eq!(carried.params.as_ref().unwrap().get(), r#"{"n":1.0}"#);
}

#[tokio::test]
async fn what_is_no_message_and_what_is_too_long_is_answered_and_counted() {
    let (client, server) = tokio::io::duplex(4096);
    let (reader, writer) = tokio::io::split(server);
    let counts = Arc::<Rejections>::default();
    let mut lines = Lines::<RoleServer, _>::carrying(reader, writer).with_limit(100).counting(counts.clone());
    let (client_reader, mut client_writer) = tokio::io::split(client);
    let long = "x".repeat(1000);
    let text = format!("not json\n\n[]\n{long}\n{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}}\n");
    client_writer.write_all(text.as_bytes()).await.unwrap();
    let Some(JsonRpcMessage::Request(request)) = lines.receive().await else { unreachable!() };
    assert_eq!(request.request.method(), "ping");
    let mut answers = BufReader::new(client_reader).lines();
    assert!(answers.next_line().await.unwrap().unwrap().contains("-32700"));
    assert!(answers.next_line().await.unwrap().unwrap().contains("batches are not served"));
    assert!(answers.next_line().await.unwrap().unwrap().contains("longer than 100 bytes"));
    for reason in [Reason::InvalidJson, Reason::Batch, Reason::TooLarge] {
        assert_eq!(counts.of(reason), 1, "{}", reason.word());
    }
}

#[tokio::test]
async fn what_a_server_prints_beside_its_messages_is_not_answered() {
    let (server, client) = tokio::io::duplex(4096);
    let (reader, writer) = tokio::io::split(client);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut lines = Lines::<RoleClient, _, _>::tapped(reader, writer, Seen(seen.clone())).with_limit(60);
    let (mut heard, mut said) = tokio::io::split(server);
    let long = "x".repeat(100);
    said.write_all(&[b"[INFO] started\n{\n\xff\n".as_slice(), long.as_bytes(), b"\n"].concat())
        .await
        .unwrap();
    said.shutdown().await.unwrap();
    assert!(lines.receive().await.is_none());
    lines.close().await.unwrap();
    drop(lines);
    let mut answers = String::new();
    heard.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers, "");
    assert_eq!(*seen.lock().unwrap(), ["[INFO] started", "{", "malformed", "oversized", "end"]);
}

#[tokio::test]
async fn closing_writes_what_waits_first() {
    let (mut client, server) = tokio::io::duplex(4096);
    let (reader, writer) = tokio::io::split(server);
    let mut lines = Lines::<RoleServer, _>::carrying(reader, writer);
    let raw = RawValue::from_string(r#"{"n":2.50}"#.to_owned()).unwrap();
    let result = ServerResult::CustomResult(carrier::result(None, raw));
    let message = ServerJsonRpcMessage::response(result, rmcp::model::RequestId::Number(5));
    lines.send(message).await.unwrap();
    lines.close().await.unwrap();
    drop(lines);
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{\"n\":2.50}}\n");
}

struct Seen(Arc<Mutex<Vec<String>>>);
impl Tap for Seen {
    fn take(&mut self, line: &str) -> bool {
        self.0.lock().unwrap().push(line.to_owned());
        line.contains("\"p1\"")
    }
    fn malformed(&mut self) {
        self.0.lock().unwrap().push("malformed".to_owned());
    }
    fn oversized(&mut self, _start: &str) {
        self.0.lock().unwrap().push("oversized".to_owned());
    }
    fn ended(&mut self) {
        self.0.lock().unwrap().push("end".to_owned());
    }
}

#[tokio::test]
async fn a_tap_takes_its_messages_and_hears_the_end_once() {
    let (mut server, client) = tokio::io::duplex(4096);
    let (reader, writer) = tokio::io::split(client);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut lines = Lines::<RoleClient, _, _>::tapped(reader, writer, Seen(seen.clone()));
    server.write_all(b"{\"id\":\"p1\",\"result\":1}\n").await.unwrap();
    drop(server);
    assert!(lines.receive().await.is_none());
    assert!(lines.receive().await.is_none());
    assert_eq!(*seen.lock().unwrap(), [r#"{"id":"p1","result":1}"#, "end"]);
}
