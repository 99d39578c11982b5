//! Who asks for a change hears how far it is, and who subscribed to it hears how it goes on: over a pipe in the
//! legacy era, over HTTP in the modern one.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use pilothouse::{
    answer::Sealer,
    cluster::{Contexts, Reader},
    gateway::Catalogue,
    mcp::{self, HttpSettings},
    tools::{self, Changes, Parts},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    changes_stage::{MEMORY, Stage as Repository, caller},
    stage::{Pipe, Served, Stage, modern, soon},
};

/// The tools over that repository, as clients reach them. What shows the catalogue is held.
fn face(repository: &Repository) -> (Stage, watch::Sender<Arc<Catalogue>>) {
    let contexts = Contexts::one(Reader::absent("there is no cluster"));
    let changes = Arc::new(repository.changes.clone()) as Arc<dyn Changes>;
    let parts = Parts { changes: Some(changes), ..Parts::reading(contexts, Sealer::random().unwrap()) };
    let toolbox = tools::standard(parts);
    let entries = mcp::own::entries(&toolbox).into_iter().map(Arc::new).collect();
    let catalogue = watch::Sender::new(Arc::new(Catalogue::new(0, entries)));
    (Stage::new(Arc::new(toolbox), catalogue.subscribe()), catalogue)
}

fn call(memory: &str) -> Value {
    json!({
        "name": "propose_change",
        "arguments": { "kind": "Deployment", "namespace": "shop", "name": "web", "edits": { MEMORY: memory },
            "reason": "OOMKilled three times since 10:00." },
    })
}

/// The steps that these messages tell, in their order.
fn steps(messages: &[Value], token: &Value) -> Vec<String> {
    let told = messages.iter().filter(|message| message["method"] == "notifications/progress");
    let told: Vec<&Value> = told.map(|message| &message["params"]).collect();
    assert!(told.iter().all(|step| step["progressToken"] == *token && step["total"] == 7), "{told:?}");
    let at: Vec<u64> = told.iter().map(|step| step["progress"].as_u64().unwrap()).collect();
    assert!(at.is_sorted_by(|one, other| one < other), "{at:?}");
    told.iter().map(|step| step["message"].as_str().unwrap().to_owned()).collect()
}

/// Without a pull request there is none to open.
const STEPS: [&str; 6] = [
    "finding where the object comes from",
    "reading the repository",
    "editing, and rendering before and after",
    "checking the rendered objects",
    "writing the change down",
    "committing to its branch",
];

#[tokio::test]
async fn a_legacy_client_hears_of_the_steps_and_of_the_end() {
    let repository = Repository::web().await;
    let (stage, _catalogue) = face(&repository);
    let mut pipe = Pipe::open(stage.face.clone());
    let answer = pipe.initialize().await;
    assert_eq!(answer["result"]["capabilities"]["resources"]["subscribe"], true, "{answer}");
    let mut ask = async |id: u64, method: &str, params: Value| -> Vec<Value> {
        pipe.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string())
            .await;
        let mut messages: Vec<Value> = Vec::new();
        while messages.last().is_none_or(|last| last["id"] != id) {
            messages.push(serde_json::from_str(&pipe.read().await.unwrap()).unwrap());
        }
        messages
    };

    let templates = ask(1, "resources/templates/list", json!({})).await;
    assert!(templates[0]["result"].to_string().contains("change://{id}"), "{templates:?}");
    let mut proposed = call("512Mi");
    proposed["_meta"] = json!({ "progressToken": "mine" });
    let messages = ask(2, "tools/call", proposed).await;
    assert_eq!(steps(&messages, &json!("mine")), STEPS);
    let record = &messages.last().unwrap()["result"]["structuredContent"];
    let uri = format!("change://{}", record["id"].as_str().unwrap());

    let read = ask(3, "resources/read", json!({ "uri": uri })).await;
    let text = read[0]["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{read:?}"));
    assert!(text.contains("Proposed") && text.contains("apps/web.yaml"), "{text}");
    let none = ask(4, "resources/subscribe", json!({ "uri": "change://0123456789abcdef" })).await;
    assert_eq!(none[0]["error"]["code"], -32602, "{none:?}");
    let subscribed = ask(5, "resources/subscribe", json!({ "uri": uri })).await;
    assert!(subscribed[0]["error"].is_null(), "{subscribed:?}");
    // A revision in place is no other phase and no other pull request.
    let revise = json!({ "id": record["id"], "merge_patch": { "spec": { "replicas": 4 } } });
    let revised = ask(6, "tools/call", json!({ "name": "revise_change", "arguments": revise })).await;
    let said = revised.last().unwrap()["result"]["content"][0]["text"].to_string();
    assert!(said.contains("spec.replicas: 2 -> 4"), "{said}");
    let id = record["id"].as_str().unwrap();
    assert!(!repository.changes.withdraw(&caller(), id, None).await.is_error);
    let updated: Value = serde_json::from_str(&pipe.read().await.unwrap()).unwrap();
    assert_eq!(updated["method"], "notifications/resources/updated");
    assert_eq!(updated["params"]["uri"], uri);
}

fn post(served: &Served, method: &str, params: Value) -> reqwest::RequestBuilder {
    let request = reqwest::Client::new()
        .post(&served.url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    let request = match params["name"].as_str() {
        Some(name) => request.header("mcp-name", name.to_owned()),
        None => request,
    };
    let mut text: Value = serde_json::from_str(&modern(1, method, params.clone())).unwrap();
    if let Some(token) = params.get("_meta").and_then(|meta| meta.get("progressToken")) {
        text["params"]["_meta"]["progressToken"] = token.clone();
    }
    request.body(text.to_string())
}

#[tokio::test]
async fn a_modern_client_hears_the_same_on_the_streams_of_its_requests() {
    let repository = Repository::web().await;
    let (stage, _catalogue) = face(&repository);
    let served = Served::open(stage, HttpSettings::default()).await;
    let mut proposed = call("512Mi");
    proposed["_meta"] = json!({ "progressToken": 7 });
    let answer = post(&served, "tools/call", proposed).send().await.unwrap().text().await.unwrap();
    let events = answer.lines().filter_map(|line| line.strip_prefix("data: "));
    let messages: Vec<Value> = events.filter_map(|data| serde_json::from_str(data).ok()).collect();
    assert_eq!(steps(&messages, &json!(7)), STEPS, "{answer}");
    let record = &messages.last().unwrap()["result"]["structuredContent"];
    let id = record["id"].as_str().unwrap_or_else(|| panic!("{answer}"));

    let uri = format!("change://{id}");
    let wanted = json!({ "notifications": { "resourceSubscriptions": [uri] } });
    let listening = post(&served, "subscriptions/listen", wanted).send().await.unwrap();
    let events = listening.bytes_stream().filter_map(|bytes| async move {
        let text = String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        text.lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned))
    });
    let mut events = std::pin::pin!(events);
    let mut next =
        async || -> Value { serde_json::from_str(&soon("an event", events.next()).await.unwrap()).unwrap() };
    assert_eq!(next().await["method"], "notifications/subscriptions/acknowledged");
    // What happens between the acknowledgment and the subscription is not told.
    let moving = async {
        loop {
            assert!(!repository.changes.withdraw(&caller(), id, None).await.is_error);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!repository.ask(MEMORY, json!("512Mi")).await.is_error);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let updated = tokio::select! {
        updated = next() => updated,
        () = moving => unreachable!("it goes on"),
    };
    assert_eq!(updated["method"], "notifications/resources/updated");
    assert_eq!(updated["params"]["uri"], uri);
}
