//! What malformed messages are answered with over stdio and HTTP+SSE. Afterwards the next request is served as ever.

use futures::StreamExt;
use pilothouse::{gateway::wire::rejected::Reason, mcp::HttpSettings};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::{
    hostile_messages::{BROKEN, HARMLESS, Says, WRONG},
    stage::{Pipe, Served, Stage, initialize, modern, soon},
};

impl Pipe {
    async fn write_bytes(&mut self, bytes: &[u8]) {
        let to = self.end();
        to.write_all(bytes).await.unwrap();
        to.write_all(b"\n").await.unwrap();
    }

    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.read().await.expect("an answer")).unwrap()
    }

    /// It is served as ever, and nothing else was answered before.
    async fn is_served(&mut self, what: &str) {
        self.write(r#"{"jsonrpc":"2.0","id":"next","method":"ping"}"#).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], "next", "{what}: {answer}");
    }
}

#[tokio::test]
async fn what_is_no_message_is_answered_on_stdio_before_and_after_the_handshake() {
    let (stage, _) = Stage::with_props();
    let rejections = stage.face.rejections().clone();
    let mut pipe = Pipe::open(stage.face.clone());
    for greeted in [false, true] {
        if greeted {
            pipe.initialize().await;
        }
        for Says { what, text, code, reason, id } in BROKEN {
            let before = rejections.of(*reason);
            pipe.write_bytes(text).await;
            let answer = pipe.next().await;
            assert_eq!(answer["error"]["code"], *code, "{what}: {answer}");
            assert_eq!(answer.get("id").map(Value::to_string).as_deref(), *id, "{what}: {answer}");
            assert_eq!(rejections.of(*reason), before + 1, "{what}");
        }
        pipe.is_served("all of them").await;
    }
}

#[tokio::test]
async fn what_could_be_an_answer_or_a_notification_is_not_answered_on_stdio() {
    let (stage, _) = Stage::with_props();
    let rejections = stage.face.rejections().clone();
    let mut pipe = Pipe::open(stage.face.clone());
    for greeted in [false, true] {
        if greeted {
            pipe.initialize().await;
        }
        for text in [
            "",
            "   ",
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":7}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"nobody's"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":"much"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/no_such"}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":""}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":"no"}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}"#,
        ] {
            pipe.write(text).await;
            pipe.is_served(text).await;
        }
        let before = rejections.of(Reason::UnknownId);
        pipe.write(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#).await;
        pipe.write(r#"{"jsonrpc":"2.0","id":"x","error":{"code":1,"message":"no"}}"#).await;
        pipe.is_served("answers to nothing").await;
        assert_eq!(rejections.of(Reason::UnknownId), before + 2);
    }
}

#[tokio::test]
async fn wrong_requests_have_their_errors_and_odd_ones_are_served_on_stdio() {
    let (stage, _) = Stage::with_props();
    let mut legacy = Pipe::open(stage.face.clone());
    // Before the handshake nothing can be asked but a ping.
    legacy.write(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    assert_eq!(legacy.answer(1).await["error"]["code"], -32602);
    legacy.initialize().await;
    let mut newer = Pipe::open(stage.face.clone());
    for (method, params, code) in WRONG {
        legacy.write(&format!(r#"{{"jsonrpc":"2.0","id":2,"method":"{method}","params":{params}}}"#)).await;
        let answer = legacy.answer(2).await;
        assert_eq!(answer["error"]["code"], *code, "{method} {params}: {answer}");
        let Ok(params) = serde_json::from_str::<Value>(params) else { continue };
        newer.write(&modern(3, method, params.clone())).await;
        let answer = newer.answer(3).await;
        assert_eq!(answer["error"]["code"], *code, "{method} {params}: {answer}");
    }
    for arguments in HARMLESS.iter().map(|make| make()) {
        let params = format!(r#"{{"name":"length","arguments":{arguments}}}"#);
        legacy.write(&format!(r#"{{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{params}}}"#)).await;
        let answer = legacy.answer(4).await;
        assert!(answer["result"]["length"].as_u64().is_some(), "{answer}");
    }
    newer.write(&modern(5, "initialize", json!({}))).await;
    assert!(newer.answer(5).await["error"]["code"].is_i64());
    newer.write(&modern(6, "tools/list", json!({}))).await;
    assert!(newer.answer(6).await["result"]["tools"].is_array());
}

/// The stream of an HTTP+SSE session, event by event.
struct Events {
    stream: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
    address: String,
}

impl Events {
    async fn open(served: &Served) -> Self {
        let answer = reqwest::get(format!("{}/sse", served.origin)).await.unwrap();
        let mut events =
            Self { stream: answer.bytes_stream().boxed(), text: String::new(), address: String::new() };
        let endpoint = events.next().await;
        events.address = format!("{}{endpoint}", served.origin);
        events
    }

    /// The data of the next event.
    async fn next(&mut self) -> String {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.text = rest.to_owned();
                match data {
                    Some(data) => return data,
                    None => continue,
                }
            }
            let piece = soon("an event", self.stream.next()).await.expect("the stream ended").unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, String) {
        let post = reqwest::Client::new().post(&self.address).header("content-type", "application/json");
        let answer = post.body(body).send().await.unwrap();
        // Who is refused in the middle of a long body may not get to read why.
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }

    async fn ask(&mut self, text: &str) -> Value {
        assert_eq!(self.post(text.to_owned()).await.0, 202);
        serde_json::from_str(&self.next().await).unwrap()
    }
}

#[tokio::test]
async fn what_is_no_message_is_refused_where_it_is_posted_and_the_stream_goes_on() {
    let settings = HttpSettings { body_limit: 4_000_000, ..HttpSettings::default() };
    let served = Served::open(Stage::with_props().0, settings).await;
    let rejections = served.stage.face.rejections().clone();
    let mut events = Events::open(&served).await;
    assert!(events.ask(&initialize(0, "2025-06-18")).await["result"].is_object());
    events.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    for Says { what, text, code: _, reason, id: _ } in BROKEN {
        let before = rejections.of(*reason);
        let (status, said) = events.post(*text).await;
        assert_eq!(status, 400, "{what}: {said}");
        assert!(said.len() > 10, "{what}: {said}");
        assert_eq!(rejections.of(*reason), before + 1, "{what}");
    }
    let before = rejections.of(Reason::TooLarge);
    assert_eq!(events.post(vec![b' '; 4_000_001]).await.0, 413);
    assert_eq!(rejections.of(Reason::TooLarge), before + 1);
    for (method, params, code) in WRONG {
        let request = format!(r#"{{"jsonrpc":"2.0","id":2,"method":"{method}","params":{params}}}"#);
        let answer = events.ask(&request).await;
        assert_eq!(answer["error"]["code"], *code, "{request}: {answer}");
    }
    // A line end between tokens is no end of the message.
    let answer = events.ask("{\"jsonrpc\":\"2.0\",\r\n\"id\":3,\n\"method\":\"ping\"}").await;
    assert_eq!(answer["result"], json!({}));
    for arguments in HARMLESS.iter().map(|make| make()) {
        let params = format!(r#"{{"name":"length","arguments":{arguments}}}"#);
        let answer = events
            .ask(&format!(r#"{{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{params}}}"#))
            .await;
        assert!(answer["result"]["length"].as_u64().is_some(), "{answer}");
    }
}
