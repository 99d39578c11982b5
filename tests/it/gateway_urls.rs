//! URLs that a user must open first: the error of one era is the question of the other, through the face.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use pilothouse::{
    gateway::{Gateway, wire::Era},
    mcp::HttpSettings,
    tools::Toolbox,
};
use serde_json::{Value, json};

use crate::{
    face_talk::Talk,
    gateway_odd::{Odd, Reply},
    gateway_support::{at_url, ready},
    stage::{Served, Stage},
};

const URL: &str = "https://example.com/sign-in";

/// Says until its `times`th call that the user must sign in.
fn legacy(times: usize) -> Odd {
    let calls = AtomicUsize::new(0);
    Odd::start(Era::Legacy, move |method, _| match method {
        "tools/list" => Reply::Result(r#"{"tools":[{"name":"buy"}]}"#.to_owned()),
        "tools/call" if calls.fetch_add(1, Ordering::Relaxed) < times => Reply::Error(format!(
            r#"{{"code":-32042,"message":"sign in","data":{{"elicitations":[{{"mode":"url","elicitationId":"e-1","url":"{URL}","message":"Sign in first"}}]}}}}"#
        )),
        _ => Reply::Result(r#"{"content":[{"type":"text","text":"bought"}]}"#.to_owned()),
    })
}

fn modern() -> Odd {
    Odd::start(Era::Modern, |method, params| match method {
        "tools/list" => Reply::Result(r#"{"resultType":"complete","tools":[{"name":"buy"}]}"#.to_owned()),
        "tools/call" if params.contains("inputResponses") => {
            Reply::Result(format!(r#"{{"resultType":"complete","content":[],"echo":{params}}}"#))
        }
        _ => Reply::Result(format!(
            r#"{{"resultType":"input_required","inputRequests":{{"sign":{{"method":"elicitation/create","params":{{"mode":"url","url":"{URL}","message":"Sign in first"}}}}}},"requestState":"its own"}}"#
        )),
    })
}

async fn before(server: &Odd) -> Served {
    let gateway = Arc::new(Gateway::new(Vec::new()));
    gateway.apply(at_url("one", &server.url()));
    ready(&gateway, "one").await;
    let catalogues = gateway.catalogues();
    let stage = Stage::over(gateway, Arc::new(Toolbox::default()), catalogues);
    Served::open(stage, HttpSettings::default()).await
}

fn opens_urls() -> Value {
    json!({ "elicitation": { "form": {}, "url": {} } })
}

fn retry(state: &Value, action: &str) -> Value {
    json!({ "name": "one_buy", "inputResponses": { "url1": { "action": action } }, "requestState": state })
}

#[tokio::test]
async fn a_legacy_server_s_error_is_a_question_to_a_modern_client_and_the_call_is_repeated() {
    let server = legacy(2);
    let served = before(&server).await;
    let talk = Talk::open(&served.url, Era::Modern, opens_urls()).await;
    let mut answer = talk.ask("tools/call", json!({ "name": "one_buy" })).await.unwrap();
    for round in 1..=2 {
        assert_eq!(answer["resultType"], "input_required", "{answer}");
        let question = json!({ "method": "elicitation/create", "params": { "mode": "url", "url": URL, "message": "Sign in first" } });
        assert_eq!(answer["inputRequests"], json!({ "url1": question }));
        assert_eq!(server.count("tools/call"), round);
        answer = talk.ask("tools/call", retry(&answer["requestState"], "accept")).await.unwrap();
    }
    assert_eq!(answer["content"][0]["text"], "bought");
    let last = server.seen("tools/call").pop().unwrap();
    assert!(!last.contains("inputResponses") && !last.contains("requestState"), "{last}");
}

#[tokio::test]
async fn who_refuses_or_cannot_open_it_gets_an_error_and_the_server_no_further_call() {
    let server = legacy(9);
    let served = before(&server).await;
    let talk = Talk::open(&served.url, Era::Modern, opens_urls()).await;
    let asked = talk.ask("tools/call", json!({ "name": "one_buy" })).await.unwrap();
    let refused = talk.ask("tools/call", retry(&asked["requestState"], "decline")).await.unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("did not open the URL"), "{refused}");
    assert_eq!(server.count("tools/call"), 1);

    let talk = Talk::open(&served.url, Era::Modern, json!({ "elicitation": { "form": {} } })).await;
    let missing = talk.ask("tools/call", json!({ "name": "one_buy" })).await.unwrap_err();
    assert_eq!(missing["code"], -32021, "{missing}");
    assert_eq!(missing["data"]["requiredCapabilities"], json!({ "elicitation": { "url": {} } }));
}

#[tokio::test]
async fn a_legacy_client_gets_a_legacy_server_s_error_as_it_came() {
    let server = legacy(1);
    let served = before(&server).await;
    let talk = Talk::open(&served.url, Era::Legacy, opens_urls()).await;
    let error = talk.ask("tools/call", json!({ "name": "one_buy" })).await.unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["elicitations"][0]["elicitationId"]),
        (&json!(-32042), &json!("e-1"))
    );
    let bought = talk.ask("tools/call", json!({ "name": "one_buy" })).await.unwrap();
    assert_eq!(bought["content"][0]["text"], "bought");
}

#[tokio::test]
async fn a_modern_server_s_question_is_put_to_a_legacy_client_that_opens_urls() {
    let server = modern();
    let served = before(&server).await;
    let talk = Talk::open(&served.url, Era::Legacy, opens_urls()).await;
    let done = talk.ask("tools/call", json!({ "name": "one_buy" })).await.unwrap();
    assert_eq!(done["echo"]["inputResponses"], json!({ "sign": { "action": "accept" } }));
    assert_eq!(done["echo"]["requestState"], "its own");
    let asked = talk.asked.lock().unwrap();
    assert_eq!((&asked[0]["mode"], &asked[0]["url"]), (&json!("url"), &json!(URL)));
    assert!(asked[0]["elicitationId"].as_str().is_some_and(|id| id.len() == 32), "{asked:?}");
}

#[tokio::test]
async fn a_legacy_client_that_cannot_be_asked_gets_the_error_of_its_era() {
    let server = modern();
    let served = before(&server).await;
    let talk = Talk::open(&served.url, Era::Legacy, json!({ "elicitation": {} })).await;
    let error = talk.ask("tools/call", json!({ "name": "one_buy" })).await.unwrap_err();
    assert_eq!(error["code"], -32042, "{error}");
    let wanted = &error["data"]["elicitations"][0];
    assert_eq!((&wanted["mode"], &wanted["url"]), (&json!("url"), &json!(URL)));
    assert!(wanted["elicitationId"].is_string(), "{error}");
    assert!(talk.asked.lock().unwrap().is_empty());
}
