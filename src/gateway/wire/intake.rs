//! Which texts of a client are taken as messages: decided on the text alone, before anything else looks at it.
//!
//! Strict where JSON-RPC 2.0 and MCP say something. `params: null` is taken as no params, since clients send it.

use rmcp::model::InitializeRequestParams;
use serde_json::value::RawValue;

use super::{
    RpcError, carrier,
    rejected::Reason,
    text::{Fields, Head, Message},
};

/// In the `_meta` of a modern request, whose method rmcp judges itself.
const MODERN: &str = "io.modelcontextprotocol/protocolVersion";

/// Why a text is not taken, and what is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub reason: Reason,
    pub code: i32,
    /// Of the request, as JSON text, where it has one that names it.
    pub id: Option<String>,
    pub message: String,
    /// Notifications and answers are never answered, least of all with an error: two peers could go on for ever.
    pub is_answered: bool,
}

impl Malformed {
    fn new(reason: Reason, code: i32, message: impl Into<String>) -> Self {
        Self { reason, code, id: None, message: message.into(), is_answered: true }
    }

    fn shape(message: impl Into<String>) -> Self {
        Self::new(Reason::WrongShape, RpcError::INVALID_REQUEST, message)
    }

    fn params(message: impl Into<String>) -> Self {
        Self::new(Reason::WrongShape, RpcError::INVALID_PARAMS, message)
    }

    /// Of bytes that are no text.
    pub fn not_text() -> Self {
        Self::new(Reason::InvalidJson, RpcError::PARSE, "the message is not UTF-8")
    }

    /// The whole message that says so.
    pub fn refusal(&self) -> String {
        carrier::refusal(self.id.as_deref(), self.code, &self.message)
    }
}

/// The message in `text`, when it is one.
///
/// # Errors
/// With what is answered to it.
pub fn read(text: &str) -> Result<Head<'_>, Malformed> {
    let head = Head::parse(text).map_err(|error| headless(text, &error))?;
    match judged(&head) {
        Ok(()) => Ok(head),
        Err(malformed) => Err(answerable(malformed, &head)),
    }
}

/// Of a text that has no head.
fn headless(text: &str, error: &serde_json::Error) -> Malformed {
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        let message = format!("the message is not JSON: {error}");
        return Malformed::new(Reason::InvalidJson, RpcError::PARSE, message);
    }
    if text.trim_ascii_start().starts_with('[') {
        let message = "batches are not served: send one message at a time";
        return Malformed::new(Reason::Batch, RpcError::INVALID_REQUEST, message);
    }
    named(Malformed::shape(format!("this is JSON but not a JSON-RPC message: {error}")), text)
}

/// With its id, and whether it could be a request at all.
fn named(malformed: Malformed, text: &str) -> Malformed {
    let Ok(fields) = Fields::parse(text) else { return malformed };
    let twice = fields.iter().filter(|(name, _)| *name == "id").count() > 1;
    let id = fields.get("id").filter(|id| names(id) && !twice).map(|id| id.get().to_owned());
    let is_answer = fields.get("result").is_some() || fields.get("error").is_some();
    Malformed { id, is_answered: !is_answer, ..malformed }
}

fn answerable(malformed: Malformed, head: &Head<'_>) -> Malformed {
    let id = head.id.filter(|id| names(id)).map(|id| id.get().to_owned());
    let is_answer = head.result.is_some() || head.error.is_some();
    let is_notification = head.method.is_some() && head.id.is_none();
    let is_answered = !is_answer && !is_notification;
    Malformed { id: id.filter(|_| is_answered), is_answered, ..malformed }
}

fn judged(head: &Head<'_>) -> Result<(), Malformed> {
    if head.jsonrpc.as_deref() != Some("2.0") {
        return Err(Malformed::shape(r#"`jsonrpc` must be "2.0""#));
    }
    let answers = usize::from(head.result.is_some()) + usize::from(head.error.is_some());
    if answers > 1 || answers == 1 && head.method.is_some() {
        return Err(Malformed::shape("a message has one of `method`, `result` and `error`"));
    }
    if head.id.is_some_and(|id| !is_id(id)) {
        return Err(Malformed::shape("`id` must be a string or a whole number of 64 bits"));
    }
    match head.message() {
        None => Err(Malformed::shape("this is JSON but neither a request nor a notification nor an answer")),
        Some(Message::Response) => {
            if head.error.is_some_and(|error| !is_error(error)) {
                return Err(Malformed::shape("`error` must have a whole `code` and a `message`"));
            }
            Ok(())
        }
        Some(Message::Request | Message::Notification) => params(head),
    }
}

fn params(head: &Head<'_>) -> Result<(), Malformed> {
    let said = head.params.map_or("null", |params| params.get());
    if !said.starts_with(['{', '[']) && said != "null" {
        return Err(Malformed::shape("`params` must be an object"));
    }
    let params = Fields::of(head.params);
    let params = params.map_err(|error| Malformed::params(format!("`params` must be an object: {error}")))?;
    let meta = Fields::of(params.get("_meta"));
    let meta =
        meta.map_err(|error| Malformed::params(format!("`params._meta` must be an object: {error}")))?;
    // rmcp takes an initialize that it cannot read for a method of ours.
    if head.method.as_deref() == Some("initialize") && meta.get(MODERN).is_none() {
        let read = serde_json::from_str::<InitializeRequestParams>(said);
        read.map_err(|error| Malformed::params(format!("these are no params of initialize: {error}")))?;
    }
    Ok(())
}

/// A string, or a whole number as far as rmcp keeps it.
fn is_id(id: &RawValue) -> bool {
    let text = id.get();
    match text.strip_prefix('"') {
        Some(_) => serde_json::from_str::<String>(text).is_ok(),
        // To most readers -0 is a fraction.
        None => text != "-0" && text.parse::<i64>().is_ok(),
    }
}

/// Whether the sender finds its request by that id in an error: also by one that is refused.
fn names(id: &RawValue) -> bool {
    is_id(id) || serde_json::from_str::<f64>(id.get()).is_ok()
}

fn is_error(error: &RawValue) -> bool {
    let error = RpcError(error.to_owned());
    error.code().is_some() && error.message().is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Malformed, Reason, RpcError, read};

    fn refused(text: &str) -> Malformed {
        read(text).err().unwrap_or_else(|| panic!("taken: {text}"))
    }

    #[test]
    fn what_clients_really_send_is_taken() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            r#" {"jsonrpc":"2.0","id":"x","method":"tools/list","params":null,"more":1} "#,
            r#"{"jsonrpc":"2.0","id":-9223372036854775808,"method":"a","params":{"n":1e999,"_meta":{}}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":0,"result":null}"#,
            r#"{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"no"}}"#,
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_a_parse_error_and_what_is_no_message_an_invalid_request() {
        use Reason::{Batch, InvalidJson, WrongShape};
        let (parse, request, params) = (RpcError::PARSE, RpcError::INVALID_REQUEST, RpcError::INVALID_PARAMS);
        for (text, reason, code, id) in [
            ("", InvalidJson, parse, None),
            (r#"{"jsonrpc":"2.0","id":1,"#, InvalidJson, parse, None),
            (r#"{"jsonrpc":"2.0","id":1,"method":5,}"#, InvalidJson, parse, None),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, InvalidJson, parse, None),
            ("\u{feff}{}", InvalidJson, parse, None),
            ("\u{a0}{}", InvalidJson, parse, None),
            ("{\"a\":\"\0\"}", InvalidJson, parse, None),
            ("[]", Batch, request, None),
            (" [1", InvalidJson, parse, None),
            ("5", WrongShape, request, None),
            ("{}", WrongShape, request, None),
            (r#"{"id":1,"method":"ping"}"#, WrongShape, request, Some("1")),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, WrongShape, request, Some("1")),
            (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, WrongShape, request, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, WrongShape, request, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, WrongShape, request, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1}"#, WrongShape, request, Some("1")),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, WrongShape, request, None),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, WrongShape, request, Some("1.5")),
            (r#"{"jsonrpc":"2.0","id":1e2,"method":"ping"}"#, WrongShape, request, Some("1e2")),
            (r#"{"jsonrpc":"2.0","id":1e999,"method":"ping"}"#, WrongShape, request, None),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, WrongShape, request, None),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, WrongShape, request, None),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, WrongShape, request, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#, WrongShape, request, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#, WrongShape, params, Some("1")),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":7}}"#,
                WrongShape,
                params,
                Some("1"),
            ),
            (r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#, WrongShape, params, Some("1")),
        ] {
            let malformed = refused(text);
            assert_eq!((malformed.reason, malformed.code), (reason, code), "{text}: {}", malformed.message);
            assert_eq!(malformed.id.as_deref(), id, "{text}");
            assert!(malformed.is_answered, "{text}");
        }
    }

    #[test]
    fn what_could_be_an_answer_or_a_notification_is_not_answered() {
        for text in [
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"no"}}"#,
            r#"{"id":1,"id":1,"result":{}}"#,
        ] {
            assert!(!refused(text).is_answered, "{text}");
        }
    }

    #[test]
    fn an_initialize_of_the_modern_era_is_left_to_who_knows_that_there_is_none() {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert!(read(text).is_ok());
    }

    #[test]
    fn no_depth_and_no_length_is_too_much_for_the_stack() {
        let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
        let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"x":{deep}}}}}"#);
        assert!(read(&call).is_ok());
        assert_eq!(refused(&deep).reason, Reason::Batch);
    }
}
