//! The face over stdin and stdout.

use std::process::Stdio;

use pilothouse::gateway::Kind;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use crate::stage::{ODD, Pipe, Stage, initialize, modern, soon};

fn call(id: u64, tool: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool } }).to_string()
}

#[tokio::test]
async fn both_eras_are_served_on_one_pipe() {
    let (stage, _) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.write(&modern(1, "server/discover", json!({}))).await;
    let discovered = pipe.answer(1).await;
    assert!(discovered["result"]["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")));

    pipe.write(&initialize(2, "2026-07-28")).await;
    let initialized = pipe.answer(2).await;
    assert_eq!(initialized["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(initialized["result"]["serverInfo"]["name"], "pilothouse");
    pipe.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;

    pipe.write(r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#).await;
    let legacy = pipe.answer(3).await;
    assert_eq!(legacy["result"]["tools"].as_array().unwrap().len(), 4);
    assert!(legacy["result"].get("resultType").is_none());

    pipe.write(&modern(4, "tools/list", json!({ "cursor": "" }))).await;
    let modern = pipe.answer(4).await;
    assert_eq!(modern["result"]["resultType"], "complete");
    assert_eq!(modern["result"]["cacheScope"], "private");
}

#[tokio::test]
async fn a_modern_client_needs_no_handshake() {
    let (stage, _) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.write(&modern(1, "tools/call", json!({ "name": "length" }))).await;
    assert!(pipe.answer(1).await["result"]["length"].is_u64());
}

#[tokio::test]
async fn an_odd_answer_comes_as_it_was() {
    let (stage, _) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.initialize().await;
    pipe.write(&call(1, "odd")).await;
    let line = pipe.read().await.unwrap();
    assert_eq!(line, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{ODD}}}"#));
}

#[tokio::test]
async fn what_is_no_request_harms_nothing_and_stdout_stays_protocol() {
    let (stage, _) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.initialize().await;
    for line in [
        "",
        "hello",
        "{\"jsonrpc\":\"2.0\",\"id\":1,",
        "{}",
        "null",
        "\u{feff}",
        r#"[{"jsonrpc":"2.0","id":90,"method":"ping"}]"#,
        r#"{"jsonrpc":"2.0","id":91.5,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":77,"result":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/unheard-of","params":{"x":1}}"#,
        r#"{"jsonrpc":"2.0","id":92,"method":"unheard/of"}"#,
        r#"{"jsonrpc":"2.0","id":93,"method":"tools/call","params":[1]}"#,
        r#"{"jsonrpc":"2.0","id":94,"method":"tools/call","params":{"name":"lenght"}}"#,
        r#"{"jsonrpc":"2.0","id":95,"method":"tools/list","params":{"cursor":"garbage"}}"#,
    ] {
        pipe.write(line).await;
    }
    pipe.write(r#"{"jsonrpc":"2.0","id":99,"method":"ping"}"#).await;
    pipe.close().await;
    let mut codes = std::collections::BTreeMap::new();
    let mut texts = String::new();
    while let Some(line) = pipe.read().await {
        let message: Value = serde_json::from_str(&line).expect("every line is JSON");
        assert_eq!(message["jsonrpc"], "2.0");
        codes.insert(message["id"].to_string(), message["error"]["code"].as_i64());
        texts.push_str(&line);
    }
    assert_eq!(codes["92"], Some(-32601));
    assert_eq!(codes["93"], Some(-32602));
    assert_eq!(codes["94"], Some(-32602));
    assert_eq!(codes["95"], Some(-32602));
    assert_eq!(codes["91.5"], Some(-32600));
    assert_eq!(codes["99"], None);
    assert!(texts.contains("batches are not served"));
    assert!(texts.contains("did you mean length?"));
    soon("the end", pipe.served).await.unwrap();
}

#[tokio::test]
async fn a_message_of_50_mb_is_answered() {
    let (stage, _) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.initialize().await;
    let size = 50_000_000;
    let text = "x".repeat(size);
    pipe.write(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"length","arguments":{{"text":"{text}"}}}}}}"#
    ))
    .await;
    let answer = pipe.answer(1).await;
    assert!(answer["result"]["length"].as_u64().unwrap() > size as u64);
}

#[tokio::test]
async fn a_cancelled_call_is_dropped() {
    let (stage, props) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.initialize().await;
    pipe.write(&call(7, "wait")).await;
    props.are_waiting(1).await;
    pipe.write(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#).await;
    props.are_waiting(0).await;
}

#[tokio::test]
async fn closing_the_pipe_ends_what_is_open() {
    let (stage, props) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.initialize().await;
    pipe.write(&call(7, "wait")).await;
    props.are_waiting(1).await;
    pipe.close().await;
    soon("the end", pipe.served).await.unwrap();
    props.are_waiting(0).await;
}

#[tokio::test]
async fn a_question_and_its_answer_go_through_as_they_were() {
    let (stage, _) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.initialize().await;
    pipe.write(&call(1, "ask")).await;
    let question = pipe.read().await.unwrap();
    assert!(question.contains(r#""method":"elicitation/create","params":{"n":1.0}"#), "{question}");
    let id = serde_json::from_str::<Value>(&question).unwrap()["id"].to_string();
    let answer = r#"{"action":"accept","content":{"n":12345678901234567890123}}"#;
    pipe.write(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{answer}}}"#)).await;
    let line = pipe.read().await.unwrap();
    assert_eq!(line, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{answer}}}"#));
}

#[tokio::test]
async fn a_modern_client_listens_on_the_pipe_and_stops() {
    let (stage, props) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    pipe.write(&modern(3, "subscriptions/listen", wanted)).await;
    let read = async |pipe: &mut Pipe| pipe.read().await.unwrap();
    assert!(read(&mut pipe).await.contains("notifications/subscriptions/acknowledged"));
    props.show(&[(Kind::Tool, "new")]);
    let told = read(&mut pipe).await;
    assert!(told.contains("notifications/tools/list_changed") && told.contains("subscriptionId"), "{told}");

    pipe.write(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#).await;
    pipe.write(&modern(4, "tools/list", json!({}))).await;
    assert_eq!(pipe.answer(4).await["result"]["tools"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn the_program_ends_when_told_to_though_its_client_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_pilothouse"))
        .arg("serve")
        .arg("--data")
        .arg(folder.path())
        .env("HOME", folder.path())
        .env_remove("KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut to = program.stdin.take().unwrap();
    let mut from = BufReader::new(program.stdout.take().unwrap()).lines();
    to.write_all(format!("{}\n", initialize(1, "2025-06-18")).as_bytes()).await.unwrap();
    let first = soon("the handshake", from.next_line()).await.unwrap().unwrap();
    assert!(first.starts_with(r#"{"jsonrpc":"2.0","id":1,"result":"#), "{first}");

    let id = nix::unistd::Pid::from_raw(i32::try_from(program.id().unwrap()).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(soon("the end", program.wait()).await.unwrap().success());
    assert_eq!(soon("the end of stdout", from.next_line()).await.unwrap(), None);
}
