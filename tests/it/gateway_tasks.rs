//! Tasks of servers, through the face: their ids are sealed, and go with their caller alone.

use std::sync::Arc;

use pilothouse::{
    caller::{Caller, Proof},
    gateway::{Gateway, wire::Era},
    mcp::{
        Auth, HttpSettings,
        authentication::{Methods, StaticToken, StaticTokens},
    },
    tools::Toolbox,
};
use serde_json::{Value, json};

use crate::{
    face_talk::Talk,
    gateway_odd::{Odd, Reply},
    gateway_support::{at_url, ready},
    stage::{Served, Stage},
};

const ANN: &str = "0123456789abcdef0123456789abcde1";
const BOB: &str = "0123456789abcdef0123456789abcde2";
const TASKS: &str = "io.modelcontextprotocol/tasks";

/// Knows one task, `t-7`.
fn modern() -> Odd {
    let declared = r#"{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    Odd::declaring(Era::Modern, declared, |method, params| {
        let asked: Value = serde_json::from_str(params).unwrap();
        let result = match method {
            "tools/list" => json!({ "resultType": "complete", "tools": [{ "name": "dig" }] }),
            "tools/call" => {
                json!({ "resultType": "task", "taskId": "t-7", "status": "working", "ttlMs": 60000 })
            }
            "tasks/get" | "tasks/update" | "tasks/cancel" if asked["taskId"] != "t-7" => {
                return Reply::Error(r#"{"code":-32602,"message":"no such task"}"#.to_owned());
            }
            "tasks/get" => {
                let content = json!([{ "type": "text", "text": "dug" }]);
                json!({ "resultType": "complete", "taskId": "t-7", "status": "completed", "result": { "content": content } })
            }
            "tasks/update" | "tasks/cancel" => json!({ "resultType": "complete" }),
            _ => return Reply::Error(r#"{"code":-32601,"message":"unknown"}"#.to_owned()),
        };
        Reply::Result(result.to_string())
    })
}

fn legacy() -> Odd {
    let declared = r#"{"tools":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}"#;
    Odd::declaring(Era::Legacy, declared, |method, params| {
        let asked: Value = serde_json::from_str(params).unwrap();
        let related = json!({ "io.modelcontextprotocol/related-task": { "taskId": "t-7" } });
        let result = match method {
            "tools/list" => {
                json!({ "tools": [{ "name": "dig", "execution": { "taskSupport": "required" } }] })
            }
            "tools/call" => {
                assert_eq!(asked["task"], json!({ "ttl": 60000 }));
                json!({ "task": { "taskId": "t-7", "status": "working", "ttl": 60000 } })
            }
            _ if asked["taskId"] != "t-7" => {
                return Reply::Error(r#"{"code":-32602,"message":"no such task"}"#.to_owned());
            }
            "tasks/result" => json!({ "content": [{ "type": "text", "text": "dug" }], "_meta": related }),
            "tasks/get" => json!({ "taskId": "t-7", "status": "completed", "ttl": 60000 }),
            "tasks/cancel" => json!({ "taskId": "t-7", "status": "cancelled", "ttl": 60000 }),
            _ => return Reply::Error(r#"{"code":-32601,"message":"unknown"}"#.to_owned()),
        };
        Reply::Result(result.to_string())
    })
}

async fn before(server: &Odd) -> Served {
    let gateway = Arc::new(Gateway::new(Vec::new()));
    gateway.apply(at_url("one", &server.url()));
    ready(&gateway, "one").await;
    let catalogues = gateway.catalogues();
    let stage = Stage::over(gateway, Arc::new(Toolbox::default()), catalogues);
    let mut tokens = StaticTokens::default();
    for (user, token) in [("ann", ANN), ("bob", BOB)] {
        let caller = Caller { user: user.to_owned(), proof: Proof::MappedToken, ..Caller::process() };
        tokens.add(StaticToken::new(token).unwrap(), caller).unwrap();
    }
    let auth = Auth::Bearer(Methods { tokens, ..Methods::default() }.into());
    Served::open(stage, HttpSettings { auth, ..HttpSettings::default() }).await
}

#[tokio::test]
async fn a_modern_server_s_task_is_followed_by_its_caller_and_nobody_else() {
    let server = modern();
    let served = before(&server).await;
    let follows = json!({ "extensions": { TASKS: {} } });
    let ann = Talk::open_as(ANN, &served.url, Era::Modern, follows.clone()).await;
    assert_eq!(ann.greeting["capabilities"]["extensions"], json!({ TASKS: {} }));

    let begun = ann.ask("tools/call", json!({ "name": "one_dig" })).await.unwrap();
    assert_eq!((&begun["resultType"], &begun["status"]), (&json!("task"), &json!("working")));
    let id = begun["taskId"].as_str().unwrap();
    assert!(!id.contains("t-7"), "{id}");

    let got = ann.ask("tasks/get", json!({ "taskId": id })).await.unwrap();
    assert_eq!(got["taskId"], id, "the id stays the same");
    assert_eq!(got["result"]["content"][0]["text"], "dug");
    let answers = json!({ "taskId": id, "inputResponses": { "q": { "action": "accept" } } });
    ann.ask("tasks/update", answers).await.unwrap();
    ann.ask("tasks/cancel", json!({ "taskId": id })).await.unwrap();
    let update: Value = serde_json::from_str(&server.seen("tasks/update")[0]).unwrap();
    assert_eq!(
        (&update["taskId"], &update["inputResponses"]["q"]["action"]),
        (&json!("t-7"), &json!("accept"))
    );
    let asked = server.count("tasks/get");

    let bob = Talk::open_as(BOB, &served.url, Era::Modern, follows).await;
    for (who, id) in [(&bob, id), (&ann, "t-7"), (&ann, &id[1..])] {
        let unknown = who.ask("tasks/get", json!({ "taskId": id })).await.unwrap_err();
        assert_eq!(unknown["code"], -32602, "{unknown}");
        assert!(unknown["message"].as_str().unwrap().starts_with("there is no task"), "{unknown}");
    }
    let plain = Talk::open_as(ANN, &served.url, Era::Modern, json!({})).await;
    let missing = plain.ask("tasks/get", json!({ "taskId": id })).await.unwrap_err();
    assert_eq!(missing["code"], -32021, "{missing}");
    assert_eq!(missing["data"]["requiredCapabilities"]["extensions"], json!({ TASKS: {} }));
    assert_eq!(server.count("tasks/get"), asked, "the server did not hear of them");
}

#[tokio::test]
async fn where_no_server_has_tasks_their_methods_are_unknown() {
    let server = Odd::start(Era::Modern, |_, _| {
        Reply::Result(r#"{"resultType":"complete","tools":[{"name":"dig"}]}"#.to_owned())
    });
    let served = before(&server).await;
    let ann = Talk::open_as(ANN, &served.url, Era::Modern, json!({ "extensions": { TASKS: {} } })).await;
    let unknown = ann.ask("tasks/get", json!({ "taskId": "x" })).await.unwrap_err();
    assert_eq!(unknown["code"], -32601, "{unknown}");
}

#[tokio::test]
async fn a_legacy_client_follows_a_legacy_server_s_task() {
    let server = legacy();
    let served = before(&server).await;
    let ann = Talk::open_as(ANN, &served.url, Era::Legacy, json!({})).await;
    assert_eq!(ann.greeting["capabilities"]["tasks"]["requests"], json!({ "tools": { "call": {} } }));
    let call = json!({ "name": "one_dig", "task": { "ttl": 60000 } });
    let begun = ann.ask("tools/call", call).await.unwrap();
    let id = begun["task"]["taskId"].as_str().unwrap();
    assert!(!id.contains("t-7"), "{id}");

    let got = ann.ask("tasks/get", json!({ "taskId": id })).await.unwrap();
    assert_eq!((&got["taskId"], &got["status"]), (&json!(id), &json!("completed")));
    let result = ann.ask("tasks/result", json!({ "taskId": id })).await.unwrap();
    assert_eq!(result["content"][0]["text"], "dug");
    assert_eq!(result["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], id);
    let cancelled = ann.ask("tasks/cancel", json!({ "taskId": id })).await.unwrap();
    assert_eq!(cancelled["taskId"], id);

    let bob = Talk::open_as(BOB, &served.url, Era::Legacy, json!({})).await;
    let unknown = bob.ask("tasks/result", json!({ "taskId": id })).await.unwrap_err();
    assert_eq!(unknown["code"], -32602, "{unknown}");
    let list = ann.ask("tasks/list", json!({})).await.unwrap_err();
    assert_eq!(list["code"], -32601, "{list}");
}

#[tokio::test]
async fn a_modern_server_begins_no_task_for_a_legacy_client() {
    let server = modern();
    let served = before(&server).await;
    let ann = Talk::open_as(ANN, &served.url, Era::Legacy, json!({ "extensions": { TASKS: {} } })).await;
    assert_eq!(ann.greeting["capabilities"].get("extensions"), None);
    // The server here begins one all the same.
    let refused = ann.ask("tools/call", json!({ "name": "one_dig" })).await.unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("type `task`"), "{refused}");
    assert!(!server.seen("tools/call")[0].contains(TASKS));
}

#[tokio::test]
async fn a_legacy_server_is_not_told_of_the_tasks_that_a_modern_client_follows() {
    let server = Odd::start(Era::Legacy, |method, _| {
        Reply::Result(match method {
            "tools/list" => r#"{"tools":[{"name":"dig"}]}"#.to_owned(),
            _ => r#"{"content":[]}"#.to_owned(),
        })
    });
    let served = before(&server).await;
    let can = json!({ "elicitation": {}, "extensions": { TASKS: {}, "a/b": {} } });
    let ann = Talk::open_as(ANN, &served.url, Era::Modern, can).await;
    ann.ask("tools/call", json!({ "name": "one_dig" })).await.unwrap();
    let greetings = server.seen("initialize");
    assert!(greetings.iter().any(|greeting| greeting.contains("a/b")), "{greetings:?}");
    assert!(!greetings.iter().any(|greeting| greeting.contains(TASKS)), "{greetings:?}");
}
