//! What servers declare beside their lists reaches clients, and what a client declares reaches its own sessions.

use std::sync::Arc;

use pilothouse::{
    gateway::{Gateway, Kind, wire::Era},
    mcp::HttpSettings,
    tools::Toolbox,
};
use serde_json::{Value, json};

use crate::{
    face_talk::Talk,
    gateway_odd::{Odd, Reply},
    gateway_support::{at_url, ready},
    stage::{Served, Stage, soon},
};

fn script(_method: &str, _params: &str) -> Reply {
    Reply::Result(r#"{"tools":[{"name":"a"}],"resultType":"complete","content":[]}"#.to_owned())
}

/// The face before these servers, all of which have been listed.
async fn before(servers: &[(&str, &Odd)]) -> Served {
    let gateway = Arc::new(Gateway::new(Vec::new()));
    for (name, server) in servers {
        gateway.apply(at_url(name, &server.url()));
    }
    for (name, _) in servers {
        ready(&gateway, name).await;
    }
    let mut catalogues = gateway.catalogues();
    let all = servers.len();
    let listed = catalogues.wait_for(|catalogue| catalogue.of_kind(Kind::Tool).count() >= all);
    soon("all lists", listed).await.unwrap();
    let catalogues = gateway.catalogues();
    let stage = Stage::over(gateway, Arc::new(Toolbox::default()), catalogues);
    Served::open(stage, HttpSettings::default()).await
}

async fn told(served: &Served, era: Era) -> Value {
    Talk::open(&served.url, era, json!({})).await.greeting["capabilities"].clone()
}

#[tokio::test]
async fn clients_of_both_eras_are_told_what_all_their_servers_declare() {
    let legacy = Odd::declaring(
        Era::Legacy,
        r#"{"tools":{},"x-odd":{"n":2.5},"experimental":{"try":{"a":1}},"extensions":{"com.example/a":{"x":1}},"tasks":{"list":{},"requests":{"tools":{"call":{}}}}}"#,
        script,
    );
    let modern = Odd::declaring(
        Era::Modern,
        r#"{"tools":{},"extensions":{"com.example/a":{"x":2,"y":[1]},"com.example/b":{},"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/skills":{}}}"#,
        script,
    );
    let served = before(&[("first", &legacy), ("second", &modern)]).await;
    let of_both = json!({ "com.example/a": { "x": 1, "y": [1] }, "com.example/b": {} });

    let to_legacy = told(&served, Era::Legacy).await;
    assert_eq!(to_legacy["extensions"], of_both);
    assert_eq!(to_legacy["experimental"], json!({ "try": { "a": 1 } }));
    assert_eq!(to_legacy["x-odd"], json!({ "n": 2.5 }));
    assert_eq!(to_legacy["tasks"], json!({ "requests": { "tools": { "call": {} } } }));
    assert_eq!(to_legacy["tools"]["listChanged"], true, "what pilothouse itself declares stays");

    let to_modern = told(&served, Era::Modern).await;
    let mut with_tasks = of_both.clone();
    with_tasks["io.modelcontextprotocol/tasks"] = json!({});
    assert_eq!(to_modern["extensions"], with_tasks);
    assert_eq!(to_modern["x-odd"], json!({ "n": 2.5 }));
    assert_eq!(to_modern.get("tasks"), None);
}

#[tokio::test]
async fn without_declarations_nothing_is_added() {
    let plain = Odd::start(Era::Modern, script);
    let served = before(&[("plain", &plain)]).await;
    for era in [Era::Legacy, Era::Modern] {
        let told = told(&served, era).await;
        assert_eq!(told.get("extensions"), None, "{told}");
        assert_eq!(told.get("experimental"), None, "{told}");
    }
}

#[tokio::test]
async fn a_server_hears_of_its_client_s_extensions() {
    let (legacy, modern) = (Odd::start(Era::Legacy, script), Odd::start(Era::Modern, script));
    let served = before(&[("legacy", &legacy), ("modern", &modern)]).await;
    let declares = json!({ "extensions": { "com.example/a": { "x": 1 } }, "experimental": { "e": {} } });
    for era in [Era::Legacy, Era::Modern] {
        let talk = Talk::open(&served.url, era, declares.clone()).await;
        for tool in ["legacy_a", "modern_a"] {
            talk.ask("tools/call", json!({ "name": tool })).await.unwrap();
        }
        let call: Value = serde_json::from_str(modern.seen("tools/call").last().unwrap()).unwrap();
        let heard = &call["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        assert_eq!(heard["extensions"], declares["extensions"], "{era:?}");
        let greeting: Value = serde_json::from_str(legacy.seen("initialize").last().unwrap()).unwrap();
        assert_eq!(greeting["capabilities"]["extensions"], declares["extensions"], "{era:?}");
        assert_eq!(greeting["capabilities"]["experimental"], declares["experimental"], "{era:?}");
    }
}
