//! A client that answers what servers ask: the same to a server that it speaks to directly, and through pilothouse.

use serde_json::{Value, json};

use crate::support::replica::Replica;

/// More than any tool here asks.
const ROUNDS: usize = 5;
/// What pilothouse says of a call that failed.
const RETRY: &str = "pilothouse.dev/retry";

/// What it says that it can be asked.
pub(super) fn capabilities() -> Value {
    json!({ "roots": {}, "sampling": {}, "elicitation": { "form": {}, "url": {} } })
}

pub(super) fn answer(method: &str, params: &Value) -> Value {
    match method {
        "roots/list" => json!({ "roots": [{ "uri": "file:///srv/ada", "name": "Ada" }] }),
        "sampling/createMessage" => {
            let content =
                json!({ "type": "text", "text": format!("take the window, {}", params["maxTokens"]) });
            json!({ "role": "assistant", "model": "a person", "stopReason": "endTurn", "content": content })
        }
        "elicitation/create" if params["mode"] == "url" => json!({ "action": "accept" }),
        "elicitation/create" => {
            let content = json!({ "name": "Ada", "check": true, "integer": 7 });
            json!({ "action": "accept", "content": content })
        }
        other => panic!("nobody here can be asked {other}"),
    }
}

/// Calls a tool through pilothouse as a client of the newest revision, to which questions come as results.
pub(super) async fn through(replica: &Replica, params: Value, can_be_asked: bool) -> Value {
    let can = if can_be_asked { capabilities() } else { json!({}) };
    let mut next = params.clone();
    let mut was_asked = false;
    for _ in 0..ROUNDS {
        let said = replica.ask_as(&can, "tools/call", next.clone()).await.expect("an answer through us");
        // Never sent, and to be sent again: on a busy machine a server may take longer to start than it is given.
        if said["result"]["_meta"][RETRY]["mayHaveRun"] == false {
            continue;
        }
        if said["result"]["resultType"] != "input_required" {
            assert!(was_asked || !can_be_asked, "nothing was asked: {said}");
            return said;
        }
        was_asked = true;
        let questions = said["result"]["inputRequests"].as_object().expect("questions").iter();
        let answers: serde_json::Map<String, Value> = questions
            .map(|(key, question)| {
                let method = question["method"].as_str().expect("a method");
                (key.clone(), answer(method, &question["params"]))
            })
            .collect();
        next = params.clone();
        next["inputResponses"] = answers.into();
        next["requestState"] = said["result"]["requestState"].clone();
    }
    panic!("it asks, or is not reached, without end: {params}")
}
