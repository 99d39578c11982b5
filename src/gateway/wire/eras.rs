//! The two eras in each other's words: parameters on their way down, results and errors on their way up.
//! Only what must change is changed; everything else stays the text it was.

use serde_json::json;

use super::{
    Era, Raw, RpcError,
    text::{Fields, raw, string},
};

/// Keys of `_meta` with this beginning belong to the connection, not to what the client asks.
const META: &str = "io.modelcontextprotocol/";
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Where a modern request says what its client can do.
pub const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The extension by which modern servers answer later.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";

/// What a connection to a downstream speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub era: Era,
    /// The negotiated revision, for example `2025-11-25`.
    pub version: String,
}

/// Parameters as the downstream gets them, and the progress token the client gave.
#[derive(Debug)]
pub struct Prepared {
    pub params: Option<Raw>,
    pub client_token: Option<Raw>,
}

/// Puts our token in the place of the client's progress token (a client without one gets none invented), and
/// the connection's own words in the place of the client's.
///
/// # Errors
/// When `params` or its `_meta` is not an object.
pub fn params(
    params: Option<&Raw>,
    client: Era,
    downstream: &Spoken,
    token: &str,
) -> Result<Prepared, RpcError> {
    let bad = |what: &str| {
        RpcError::new(RpcError::INVALID_PARAMS, &format!("{what} is not an object: send a JSON object"))
    };
    let mut fields = Fields::of(params.map(AsRef::as_ref)).map_err(|_| bad("params"))?;
    let meta_before = fields.get("_meta").map(ToOwned::to_owned);
    let mut meta = Fields::of(meta_before.as_deref()).map_err(|_| bad("params._meta"))?;

    let client_token = meta.get("progressToken").map(ToOwned::to_owned);
    if client_token.is_some() {
        meta.set_str("progressToken", token);
    }
    match (downstream.era, client) {
        (Era::Legacy, Era::Legacy) => {}
        (Era::Legacy, Era::Modern) => meta.retain(|key| !key.starts_with(META)),
        (Era::Modern, _) => {
            meta.set_str(VERSION, &downstream.version);
            if meta.get(CAPABILITIES).is_none() {
                meta.set(CAPABILITIES, raw(&json!({})));
            }
            if meta.get(CLIENT).is_none() {
                let us = json!({ "name": "pilothouse", "version": env!("CARGO_PKG_VERSION") });
                meta.set(CLIENT, raw(&us));
            }
        }
    }
    match (&meta_before, meta.is_empty()) {
        (None, true) => {}
        (Some(before), true) if !is_empty_object(before) => {
            fields.remove("_meta");
        }
        _ => fields.set("_meta", meta.to_raw()),
    }
    let absent = params.is_none() && fields.is_empty();
    Ok(Prepared { params: (!absent).then(|| fields.to_raw()), client_token })
}

/// What a legacy client said when its session began, as a modern server wants it said in every request: what it can be
/// asked, who it is, and the least severe log message that it wants.
pub fn declared(params: Option<&Raw>, capabilities: &Raw, info: Option<&Raw>, level: &str) -> Option<Raw> {
    // Whatever is wrong with the params is said where they are sent.
    let mut fields = Fields::of(params.map(AsRef::as_ref)).ok()?;
    let meta = fields.get("_meta").map(ToOwned::to_owned);
    let mut meta = Fields::of(meta.as_deref()).ok()?;
    meta.set(CAPABILITIES, without_tasks(capabilities));
    match info {
        Some(info) => meta.set(CLIENT, info.clone()),
        None => drop(meta.remove(CLIENT)),
    }
    meta.set_str(LEVEL, level);
    fields.set("_meta", meta.to_raw());
    Some(fields.to_raw())
}

/// A legacy client knows other tasks than a modern server does.
fn without_tasks(capabilities: &Raw) -> Raw {
    let without = || {
        let mut fields = Fields::parse(capabilities.get()).ok()?;
        let extensions = fields.get("extensions")?.to_owned();
        let mut extensions = Fields::parse(extensions.get()).ok()?;
        let extensions = extensions.remove(TASKS).then(|| extensions.to_raw())?;
        fields.set("extensions", extensions);
        Some(fields.to_raw())
    };
    without().unwrap_or_else(|| capabilities.clone())
}

fn is_empty_object(value: &Raw) -> bool {
    Fields::parse(value.get()).is_ok_and(|fields| fields.is_empty())
}

/// A result in the words of the client.
///
/// # Errors
/// When a modern server starts a task or the like, which a legacy client cannot follow. What it asks back is put to
/// the client before (`gateway::rounds`).
pub fn result(method: &str, result: Raw, downstream: Era, client: Era) -> Result<Raw, RpcError> {
    if downstream == client {
        return Ok(result);
    }
    // Not an object: no result any revision knows; what it means is the client's to judge.
    let Ok(mut fields) = Fields::parse(result.get()) else { return Ok(result) };
    match client {
        Era::Legacy => {
            match fields.get_str("resultType").as_deref() {
                None | Some("complete") => {}
                Some(other) => {
                    return Err(RpcError::new(
                        RpcError::INTERNAL,
                        &format!(
                            "this server answered with a result of type `{other}`, which MCP 2025-11-25 and older do not have: use a client that speaks MCP 2026-07-28"
                        ),
                    ));
                }
            }
            let changed = ["resultType", "ttlMs", "cacheScope"].map(|key| fields.remove(key));
            Ok(if changed.contains(&true) { fields.to_raw() } else { result })
        }
        Era::Modern => {
            if fields.get("resultType").is_none() {
                fields.set("resultType", string("complete"));
            }
            if is_cacheable(method) {
                if fields.get("ttlMs").is_none() {
                    fields.set("ttlMs", raw(&0));
                }
                if fields.get("cacheScope").is_none() {
                    fields.set("cacheScope", string("private"));
                }
            }
            Ok(fields.to_raw())
        }
    }
}

fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" | "resources/read"
    )
}

/// An error in the words of the client: a modern one must never see the codes of legacy ones.
pub fn error(error: RpcError, downstream: Era, client: Era) -> RpcError {
    if (downstream, client) != (Era::Legacy, Era::Modern) {
        return error;
    }
    let code = match error.code() {
        Some(RpcError::RESOURCE_NOT_FOUND) => RpcError::INVALID_PARAMS,
        Some(RpcError::URL_ELICITATION_REQUIRED) => RpcError::INTERNAL,
        _ => return error,
    };
    let Ok(mut fields) = Fields::parse(error.0.get()) else { return error };
    fields.set("code", raw(&code));
    RpcError(fields.to_raw())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::value::RawValue;

    use super::{Spoken, declared, error, params, result};
    use crate::gateway::wire::{Era, Raw, RpcError};

    fn text(json: &str) -> Raw {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn legacy() -> Spoken {
        Spoken { era: Era::Legacy, version: "2025-11-25".to_owned() }
    }

    fn modern() -> Spoken {
        Spoken { era: Era::Modern, version: "2026-07-28".to_owned() }
    }

    fn prepared(before: &str, client: Era, downstream: &Spoken) -> String {
        params(Some(&text(before)), client, downstream, "p1").unwrap().params.unwrap().get().to_owned()
    }

    #[test]
    fn legacy_params_stay_as_they_came_but_for_the_progress_token() {
        let before = r#"{"z":2.50,"_meta":{"a":1e3,"progressToken":7,"io.modelcontextprotocol/related-task":{}},"a":[ 1 ]}"#;
        let after = before.replace("\"progressToken\":7", "\"progressToken\":\"p1\"");
        assert_eq!(prepared(before, Era::Legacy, &legacy()), after);
        let token = params(Some(&text(before)), Era::Legacy, &legacy(), "p1").unwrap().client_token;
        assert_eq!(token.unwrap().get(), "7");
    }

    #[test]
    fn a_client_without_a_progress_token_gets_none_invented() {
        assert_eq!(prepared(r#"{"a":1}"#, Era::Legacy, &legacy()), r#"{"a":1}"#);
        assert!(params(None, Era::Legacy, &legacy(), "p1").unwrap().params.is_none());
        assert_eq!(prepared(r#"{"_meta":{}}"#, Era::Modern, &legacy()), r#"{"_meta":{}}"#);
    }

    #[test]
    fn a_legacy_server_does_not_see_the_words_of_a_modern_client() {
        let before =
            r#"{"a":1,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","traceparent":"x"}}"#;
        assert_eq!(prepared(before, Era::Modern, &legacy()), r#"{"a":1,"_meta":{"traceparent":"x"}}"#);
        let only = r#"{"a":1,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
        assert_eq!(prepared(only, Era::Modern, &legacy()), r#"{"a":1}"#);
    }

    #[test]
    fn a_modern_server_gets_our_version_and_the_client_s_capabilities() {
        let before = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2027-01-01","io.modelcontextprotocol/clientCapabilities":{"x":1.0},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}}"#;
        assert_eq!(prepared(before, Era::Modern, &modern()), before.replace("2027-01-01", "2026-07-28"));
        let from_legacy = prepared(r#"{"a":1}"#, Era::Legacy, &modern());
        assert!(from_legacy.contains(r#""io.modelcontextprotocol/clientCapabilities":{}"#), "{from_legacy}");
    }

    #[test]
    fn params_that_are_no_object_are_refused() {
        let refused = params(Some(&text("[1]")), Era::Legacy, &legacy(), "p1").unwrap_err();
        assert_eq!(refused.code(), Some(RpcError::INVALID_PARAMS));
    }

    #[test]
    fn a_modern_client_is_told_that_a_legacy_result_is_complete() {
        let call =
            result("tools/call", text(r#"{"content":[],"n":2.50}"#), Era::Legacy, Era::Modern).unwrap();
        assert_eq!(call.get(), r#"{"content":[],"n":2.50,"resultType":"complete"}"#);
        let list = result("tools/list", text(r#"{"tools":[]}"#), Era::Legacy, Era::Modern).unwrap();
        assert_eq!(list.get(), r#"{"tools":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#);
    }

    #[test]
    fn a_legacy_client_does_not_see_modern_words() {
        let modern =
            text(r#"{"resultType":"complete","contents":[],"ttlMs":5,"cacheScope":"public","x":1e3}"#);
        let read = result("resources/read", modern, Era::Modern, Era::Legacy).unwrap();
        assert_eq!(read.get(), r#"{"contents":[],"x":1e3}"#);
    }

    #[test]
    fn a_task_for_a_legacy_client_is_an_error_that_says_so() {
        let task = text(r#"{"resultType":"task","taskId":"1"}"#);
        let refused = result("tools/call", task, Era::Modern, Era::Legacy).unwrap_err();
        assert!(refused.message().unwrap().contains("type `task`"));
    }

    #[test]
    fn a_modern_server_hears_from_each_request_what_a_legacy_client_said_once() {
        let before = text(r#"{"z":2.50,"_meta":{"x":1e3}}"#);
        let (can, who) = (text(r#"{"elicitation":{}}"#), text(r#"{"name":"c","version":"1"}"#));
        let said = declared(Some(&before), &can, Some(&who), "info").unwrap();
        let after = prepared(said.get(), Era::Legacy, &modern());
        let expected = r#"{"z":2.50,"_meta":{"x":1e3,"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/logLevel":"info","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
        assert_eq!(after, expected);
    }

    #[test]
    fn a_modern_server_starts_no_task_for_a_legacy_client() {
        let can = text(r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"a/b":{"n":1.0}},"roots":{}}"#);
        let said = declared(None, &can, None, "info").unwrap();
        assert!(said.get().contains(r#"{"extensions":{"a/b":{"n":1.0}},"roots":{}}"#), "{said}");
    }

    #[test]
    fn within_one_era_nothing_is_touched() {
        let odd = r#"{ "resultType" : "odd", "n": 18446744073709551617 }"#;
        assert_eq!(result("tools/call", text(odd), Era::Modern, Era::Modern).unwrap().get(), odd);
    }

    #[test]
    fn not_found_has_the_modern_code_for_a_modern_client() {
        let legacy = RpcError(text(r#"{"code":-32002,"message":"no","data":{"uri":"x"}}"#));
        let modern = error(legacy, Era::Legacy, Era::Modern);
        assert_eq!(modern.0.get(), r#"{"code":-32602,"message":"no","data":{"uri":"x"}}"#);
    }
}
