//! Fleets too large to list, callers who ask too fast, and the trace that a call is part of: through the face.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use pilothouse::{
    audit::Audit,
    caller::{Audience, Caller, Proof},
    gateway::{Gateway, Terms, wire::Era},
    mcp::{Face, Manners, RateLimit, search_entries, trace::Span},
    tools::Toolbox,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{at_url, named, ready, wait_for},
    stage::Pipe,
};

struct Town {
    face: Arc<Face>,
    /// The params of each tools/call that reached a server.
    calls: Arc<Mutex<Vec<Value>>>,
    spans: mpsc::Receiver<Span>,
    gateway: Arc<Gateway>,
    server: Option<Odd>,
    _audit: tempfile::TempDir,
}

/// Twelve tools of one server that only `ann` may use, and of another that all may.
async fn town(listed_up_to: usize, limit: Option<RateLimit>) -> Town {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = calls.clone();
    let server = Odd::start(Era::Legacy, move |method, params| match method {
        "tools/list" => {
            let tools: Vec<Value> = (0..12)
                .map(|number| {
                    let description =
                        if number == 7 { "Opens a ticket about a lost parcel." } else { "Waits." };
                    json!({ "name": format!("tool{number}"), "description": description })
                })
                .collect();
            Reply::Result(json!({ "tools": tools }).to_string())
        }
        "tools/call" => {
            seen.lock().unwrap().push(serde_json::from_str(params).unwrap());
            Reply::Result(r#"{"content":[{"type":"text","text":"done"}]}"#.to_owned())
        }
        _ => Reply::Result("{}".to_owned()),
    });
    let gateway = Arc::new(Gateway::new(search_entries()));
    let audience = Some(Audience { users: vec!["ann".to_owned()], ..Audience::default() });
    let mut hers = at_url("hers", &server.url());
    hers.terms = Terms { audience, ..Terms::default() };
    gateway.apply(hers);
    gateway.apply(at_url("all", &server.url()));
    ready(&gateway, "hers").await;
    ready(&gateway, "all").await;
    let audit = tempfile::tempdir().unwrap();
    let (sender, spans) = mpsc::channel(100);
    let face = Face::showing(
        gateway.catalogues(),
        gateway.clone(),
        Arc::new(Toolbox::default()),
        Audit::open(audit.path()).unwrap(),
    );
    let face = face.treating(listed_up_to, Manners::new(limit, Some(sender)));
    Town { face, calls, spans, gateway, server: Some(server), _audit: audit }
}

fn somebody(user: &str) -> Caller {
    Caller { user: user.to_owned(), proof: Proof::Oidc, ..Caller::anonymous() }
}

impl Town {
    async fn session(&self, user: &str) -> Pipe {
        let mut pipe = Pipe::open_as(somebody(user), self.face.clone());
        pipe.initialize().await;
        pipe
    }
}

async fn ask(pipe: &mut Pipe, id: u64, method: &str, params: Value) -> Value {
    pipe.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()).await;
    pipe.answer(id).await
}

async fn call(pipe: &mut Pipe, id: u64, tool: &str, arguments: Value) -> Value {
    ask(pipe, id, "tools/call", json!({ "name": tool, "arguments": arguments })).await
}

async fn listed(pipe: &mut Pipe, id: u64, params: Value) -> Vec<String> {
    let answer = ask(pipe, id, "tools/list", params).await;
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn said(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn who_sees_too_many_tools_is_given_a_search_that_finds_what_may_be_called() {
    let town = town(20, None).await;
    let mut ann = town.session("ann").await;
    assert_eq!(listed(&mut ann, 1, json!({})).await, ["call_tool", "search_tools"]);
    let whole = json!({ "_meta": { "pilothouse.dev/tools": "all" } });
    assert_eq!(listed(&mut ann, 2, whole).await.len(), 24);
    let found = call(&mut ann, 3, "search_tools", json!({ "query": "parcel tickets" })).await;
    assert!(said(&found).contains("hers_tool7") && said(&found).contains("all_tool7"), "{found}");
    assert!(!said(&found).contains("tool3"), "{found}");
    let answer =
        call(&mut ann, 4, "call_tool", json!({ "name": "hers_tool7", "arguments": { "n": 1 } })).await;
    assert_eq!(said(&answer), "done");
    let called = town.calls.lock().unwrap().last().cloned().unwrap();
    assert_eq!((&called["name"], &called["arguments"]), (&json!("tool7"), &json!({ "n": 1 })));

    // Who sees fewer has them listed, and neither finds nor calls the others.
    let mut bob = town.session("bob").await;
    assert_eq!(listed(&mut bob, 1, json!({})).await.len(), 12);
    let brief = json!({ "_meta": { "pilothouse.dev/tools": "search" } });
    assert_eq!(listed(&mut bob, 2, brief).await, ["call_tool", "search_tools"]);
    let found = call(&mut bob, 3, "search_tools", json!({ "query": "parcel" })).await;
    assert!(!said(&found).contains("hers_tool7") && said(&found).contains("all_tool7"), "{found}");
    let refused = call(&mut bob, 4, "call_tool", json!({ "name": "hers_tool7" })).await;
    let why = refused["error"]["message"].as_str().unwrap();
    assert!(why.contains("there is no tool `hers_tool7`"), "{why}");
    let wrong = call(&mut bob, 5, "call_tool", json!({ "tool": "x" })).await;
    assert_eq!(wrong["result"]["isError"], true, "{wrong}");
}

#[tokio::test]
async fn who_wants_the_whole_list_hears_of_what_a_brief_one_does_not_have() {
    let town = town(20, None).await;
    let mut ann = town.session("ann").await;
    let whole = json!({ "_meta": { "pilothouse.dev/tools": "all" } });
    assert_eq!(listed(&mut ann, 1, whole.clone()).await.len(), 24);
    town.gateway.apply(at_url("new", &town.server.as_ref().unwrap().url()));
    while !ann.read().await.unwrap().contains("notifications/tools/list_changed") {}
    assert_eq!(listed(&mut ann, 2, whole).await.len(), 36);
}

#[tokio::test]
async fn a_list_says_which_of_its_servers_do_not_answer_now() {
    let mut town = town(100, None).await;
    let mut bob = town.session("bob").await;
    let list = ask(&mut bob, 1, "tools/list", json!({})).await;
    assert_eq!(list["result"].get("_meta"), None, "{list}");
    drop(town.server.take());
    // Whoever calls notices first.
    call(&mut bob, 2, "all_tool1", json!({})).await;
    wait_for("the loss is seen", || town.gateway.catalogue().stale(&named("all"))).await;
    let list = ask(&mut bob, 3, "tools/list", json!({})).await;
    let stale = list["result"]["_meta"]["pilothouse.dev/stale"].as_object().unwrap();
    assert!(stale["shop/all"].is_string() && stale.len() == 1, "{stale:?}");
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn who_asks_too_fast_is_told_to_wait_and_others_are_not() {
    let [per_minute, burst] = [1, 3].map(|number| NonZeroU32::new(number).unwrap());
    let town = town(100, Some(RateLimit { per_minute, burst })).await;
    let (mut ann, mut bob) = (town.session("ann").await, town.session("bob").await);
    for id in 1..=3 {
        assert_eq!(said(&call(&mut ann, id, "all_tool1", json!({})).await), "done");
    }
    let refused = call(&mut ann, 4, "all_tool1", json!({})).await;
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(said(&refused).contains("1 times a minute") && said(&refused).contains("wait"), "{refused}");
    assert_eq!(listed(&mut ann, 5, json!({})).await.len(), 24, "lists are not counted");
    assert_eq!(said(&call(&mut bob, 1, "all_tool1", json!({})).await), "done");
    assert_eq!(town.calls.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_trace_goes_on_through_us_to_the_server() {
    let mut town = town(100, None).await;
    let mut ann = town.session("ann").await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let meta = json!({ "traceparent": format!("00-{trace}-00f067aa0ba902b7-01"), "tracestate": "a=1" });
    let answer = ask(&mut ann, 1, "tools/call", json!({ "name": "all_tool1", "_meta": meta })).await;
    assert_eq!(said(&answer), "done");
    let called = town.calls.lock().unwrap().last().cloned().unwrap();
    let parent = called["_meta"]["traceparent"].as_str().unwrap().to_owned();
    let span = town.spans.recv().await.unwrap();
    while let Ok(other) = town.spans.try_recv() {
        assert_ne!(other.trace, trace);
    }
    let span = if span.trace == trace { span } else { panic!("{span:?}") };
    assert_eq!(parent, format!("00-{trace}-{}-01", span.id));
    assert_eq!(called["_meta"]["tracestate"], "a=1");
    assert_eq!(
        (span.parent.as_deref(), span.name.as_str()),
        (Some("00f067aa0ba902b7"), "tools/call all_tool1")
    );
    assert!(!span.failed);
}
