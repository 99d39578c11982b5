//! What the fixture asks its client: as questions to a legacy one, as results to a modern one (SEP-2322).

use aws_lc_rs::hmac;
use rmcp::ErrorData;
use serde_json::{Value, json};

use super::content::{prompt, text};

pub(super) const DEFAULTS: &str = r#"{"type":"object","properties":{
    "name":{"type":"string","description":"User name","default":"John Doe"},
    "age":{"type":"integer","description":"User age","default":30},
    "score":{"type":"number","description":"User score","default":95.5},
    "status":{"type":"string","description":"User status","enum":["active","inactive","pending"],"default":"active"},
    "verified":{"type":"boolean","description":"Verification status","default":true}},"required":[]}"#;

pub(super) const ENUMS: &str = r#"{"type":"object","properties":{
    "untitledSingle":{"type":"string","enum":["option1","option2","option3"]},
    "titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First Option"},
        {"const":"value2","title":"Second Option"},{"const":"value3","title":"Third Option"}]},
    "legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["Option One","Option Two","Option Three"]},
    "untitledMulti":{"type":"array","items":{"type":"string","enum":["option1","option2","option3"]}},
    "titledMulti":{"type":"array","items":{"anyOf":[{"const":"value1","title":"First Choice"},
        {"const":"value2","title":"Second Choice"},{"const":"value3","title":"Third Choice"}]}}},"required":[]}"#;

pub(super) const PERSON: &str = r#"{"type":"object","properties":{
    "username":{"type":"string","description":"User's response"},
    "email":{"type":"string","description":"User's email address"}},"required":["username","email"]}"#;

pub(super) fn form(message: &str, field: &str, kind: &str) -> Value {
    json!({ "method": "elicitation/create", "params": {
        "message": message,
        "requestedSchema": { "type": "object", "properties": { field: { "type": kind } }, "required": [field] }
    } })
}

fn sample(text: &str, tokens: u32) -> Value {
    json!({ "method": "sampling/createMessage", "params": {
        "messages": [{ "role": "user", "content": { "type": "text", "text": text } }], "maxTokens": tokens
    } })
}

/// Signs what must come back as it was.
pub(super) struct Seal(hmac::Key);

impl Seal {
    pub(super) fn new() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, b"conformance fixture"))
    }

    fn close(&self, state: &str) -> String {
        format!("{state}.{}", hex::encode(hmac::sign(&self.0, state.as_bytes())))
    }

    fn open(&self, sealed: &str) -> Result<String, ErrorData> {
        let opened = sealed.rsplit_once('.').and_then(|(state, tag)| {
            hmac::verify(&self.0, state.as_bytes(), &hex::decode(tag).ok()?).ok()?;
            Some(state.to_owned())
        });
        opened.ok_or_else(|| ErrorData::invalid_params("requestState was changed on its way", None))
    }
}

/// Tools and prompts that need the input of a client that can do this. `None`: not one of them.
pub(super) fn asked(
    seal: &Seal,
    name: &str,
    params: &Value,
    capabilities: &Value,
) -> Option<Result<Value, ErrorData>> {
    let test = name.strip_prefix("test_input_required_result_")?;
    Some(answered(seal, test, params, capabilities))
}

fn answered(seal: &Seal, test: &str, params: &Value, capabilities: &Value) -> Result<Value, ErrorData> {
    let responses = &params["inputResponses"];
    let state = params["requestState"].as_str().map(|state| seal.open(state)).transpose()?;
    let state = state.as_deref();
    let said = |key: &str, field: &str| responses[key]["content"][field].as_str();
    let ask = |requests: Value| json!({ "resultType": "input_required", "inputRequests": requests });
    let ask_with = |requests: Value, state: &str| {
        let mut result = ask(requests);
        result["requestState"] = Value::from(seal.close(state));
        result
    };
    Ok(match test {
        "elicitation" => match said("user_name", "name") {
            Some(name) => text(&format!("Hello, {name}!")),
            None => ask(json!({ "user_name": form("What is your name?", "name", "string") })),
        },
        "sampling" => match responses["capital_question"]["content"]["text"].as_str() {
            Some(answer) => text(answer),
            None => ask(json!({ "capital_question": sample("What is the capital of France?", 100) })),
        },
        "list_roots" => match responses["client_roots"]["roots"].as_array() {
            Some(roots) => text(&format!("Roots: {}", Value::from(roots.clone()))),
            None => ask(json!({ "client_roots": { "method": "roots/list", "params": {} } })),
        },
        "request_state" | "tampered_state" => match (responses["confirm"].is_object(), state) {
            (true, Some(_)) => text("state-ok"),
            _ => ask_with(json!({ "confirm": form("Please confirm", "ok", "boolean") }), test),
        },
        "multiple_inputs" => {
            let all = ["user_name", "greeting", "client_roots"].iter().all(|key| responses[*key].is_object());
            if all && state.is_some() {
                text("All inputs came.")
            } else {
                let requests = json!({
                    "user_name": form("What is your name?", "name", "string"),
                    "greeting": sample("Generate a greeting", 50),
                    "client_roots": { "method": "roots/list", "params": {} }
                });
                ask_with(requests, test)
            }
        }
        "multi_round" => match (state, said("step1", "name"), said("step2", "color")) {
            (Some("round-2"), _, Some(color)) => text(&format!("Your color is {color}.")),
            (Some("round-1"), Some(_), _) => {
                let step = form("Step 2: What is your favorite color?", "color", "string");
                ask_with(json!({ "step2": step }), "round-2")
            }
            _ => {
                ask_with(json!({ "step1": form("Step 1: What is your name?", "name", "string") }), "round-1")
            }
        },
        "capabilities" => {
            if responses.is_object() {
                return Ok(text("All that could be asked was answered."));
            }
            let can = |what: &str| capabilities[what].is_object();
            let mut requests = json!({});
            if can("elicitation") {
                requests["user_name"] = form("What is your name?", "name", "string");
            }
            if can("sampling") {
                requests["greeting"] = sample("Generate a greeting", 50);
            }
            ask(requests)
        }
        _ => match said("user_context", "context") {
            Some(_) => prompt("test_simple_prompt", &Value::Null),
            None => {
                let context = form("What context should the prompt use?", "context", "string");
                ask(json!({ "user_context": context }))
            }
        },
    })
}
