//! Carriers: the shape in which a message passes through rmcp untouched.
//!
//! rmcp's models are typed and lose what they do not know. So a request goes in as one private method that
//! rmcp takes for a custom request; its true method and params ride beside it as [`Carried`]. What the handler
//! answers, asks or notes goes out as text inside a string, and [`unwrap`] puts that text back in its place.

use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    CustomNotification, CustomRequest, CustomResult, ErrorCode, ErrorData, ProgressNotificationParam,
    ProgressToken,
};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use super::{
    Raw, RpcError,
    text::{Fields, Head, Message, raw},
};

/// The private method under which rmcp sees every carried message.
pub const METHOD: &str = "x-pilothouse/raw";
/// Opens a string that holds JSON text of ours; no text of anybody else begins with this character.
const MARK: char = '\u{1}';
const ANSWER_RESULT: &str = "x-pilothouse-result";
const ANSWER_ERROR: &str = "x-pilothouse-error";
const DECLARED: &str = "x-pilothouse/declared";

/// The request that a carrier stands for. Handlers find it in the extensions of their context (lines), or in
/// the extensions of the HTTP request's parts there (Streamable HTTP).
#[derive(Clone, Debug)]
pub struct Carried {
    pub method: Arc<str>,
    pub params: Option<Arc<RawValue>>,
    /// Where the result goes when it need not pass through rmcp at all.
    pub slot: Option<Slot>,
}

/// Takes the result of one request past rmcp. Only for answers that nobody replays.
#[derive(Clone, Debug, Default)]
pub struct Slot(Arc<Mutex<Option<Raw>>>);

impl Slot {
    pub fn put(&self, result: Raw) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    pub fn take(&self) -> Option<Raw> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Requests that rmcp must see itself: they open, keep or probe a connection.
pub fn is_lifecycle(method: &str) -> bool {
    matches!(method, "initialize" | "ping" | "server/discover" | "subscriptions/listen")
}

/// A message as it goes into rmcp.
#[derive(Debug)]
pub struct Wrapped {
    pub text: String,
    /// To be put into the extensions of the request.
    pub carried: Option<Carried>,
}

/// Towards rmcp: what must not be typed becomes a carrier. `None`: goes in as it is.
///
/// Wraps requests that are not [lifecycle](is_lifecycle), and all responses: those to requests that rmcp made
/// on its own must not be given to this function.
pub fn wrap(head: &Head<'_>) -> Option<Wrapped> {
    let id = head.id?;
    match head.message()? {
        Message::Request => {
            let method = head.method.as_deref()?;
            if is_lifecycle(method) {
                return None;
            }
            let meta = head
                .params
                .and_then(|params| Some(Fields::parse(params.get()).ok()?.get("_meta")?.to_owned()));
            let mut params = Fields::default();
            if let Some(meta) = meta {
                params.set("_meta", meta);
            }
            params.set_str("m", method);
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"{METHOD}","params":{params}}}"#,
                id = id.get(),
                params = params.to_raw().get()
            );
            let params = head.params.map(|params| Arc::from(params.to_owned()));
            Some(Wrapped { text, carried: Some(Carried { method: method.into(), params, slot: None }) })
        }
        Message::Response => {
            let (key, value) = match (head.error, head.result) {
                (Some(error), _) => (ANSWER_ERROR, error),
                (None, result) => (ANSWER_RESULT, result?),
            };
            // An object, never a bare string: rmcp prints a long string once for every type it tries.
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"{key}":{text}}}}}"#,
                id = id.get(),
                text = raw(value.get()).get()
            );
            Some(Wrapped { text, carried: None })
        }
        Message::Notification => None,
    }
}

/// Away from rmcp: puts carried text back in its place. `None`: the message carries nothing.
///
/// The text is one line: line breaks between tokens became spaces.
pub fn unwrap(text: &str) -> Option<String> {
    unwrap_with(text, None)
}

/// Like [`unwrap`]; a result that went past rmcp is taken from `slot`.
pub fn unwrap_with(text: &str, slot: Option<&Slot>) -> Option<String> {
    let head = Head::parse(text).ok()?;
    let text = match head.message()? {
        Message::Response => {
            let id = head.id?.get();
            if let Some(error) = head.error {
                let data = Fields::parse(error.get()).ok()?.get_str("data")?;
                let error = data.strip_prefix(MARK)?;
                format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
            } else if let Some(result) = head.result.filter(|result| is_declaring(result)) {
                format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, with_declared(result)?.get())
            } else {
                let result = head.result.filter(|result| result.get().starts_with('"'))?;
                let result: String = match slot.and_then(Slot::take) {
                    Some(result) => Box::<str>::from(result).into_string(),
                    None => serde_json::from_str(result.get()).ok()?,
                };
                format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
            }
        }
        Message::Request if head.method.as_deref() == Some(METHOD) => {
            let (method, params) = named(&head)?;
            format!(r#"{{"jsonrpc":"2.0","id":{id},{method}{params}}}"#, id = head.id?.get())
        }
        Message::Notification if head.method.as_deref() == Some(METHOD) => {
            let (method, params) = named(&head)?;
            format!(r#"{{"jsonrpc":"2.0",{method}{params}}}"#)
        }
        Message::Notification if head.method.as_deref() == Some("notifications/progress") => {
            let message = Fields::parse(head.params?.get()).ok()?.get_str("message")?;
            let params = message.strip_prefix(MARK)?;
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#)
        }
        Message::Request | Message::Notification => return None,
    };
    Some(one_line(text))
}

/// The member of a typed result's `_meta` that holds capabilities which rmcp does not know; [`unwrap`] puts them in
/// their place. They are the members of an object.
pub fn declared(capabilities: &RawValue) -> (String, Value) {
    (DECLARED.to_owned(), Value::String(format!("{MARK}{}", capabilities.get())))
}

/// The text of anybody else is a string here.
fn is_declaring(result: &RawValue) -> bool {
    result.get().starts_with('{') && result.get().contains(DECLARED)
}

fn with_declared(result: &RawValue) -> Option<Raw> {
    let mut fields = Fields::parse(result.get()).ok()?;
    let meta = fields.get("_meta")?.to_owned();
    let mut meta = Fields::parse(meta.get()).ok()?;
    let declared = meta.get_str(DECLARED)?;
    let declared = Fields::parse(declared.strip_prefix(MARK)?).ok()?;
    meta.remove(DECLARED);
    if meta.is_empty() {
        fields.remove("_meta");
    } else {
        let meta = meta.to_raw();
        fields.set("_meta", meta);
    }
    let capabilities = fields.get("capabilities")?.to_owned();
    let mut capabilities = Fields::parse(capabilities.get()).ok()?;
    for (what, value) in declared.iter() {
        capabilities.set(what, value.to_owned());
    }
    let capabilities = capabilities.to_raw();
    fields.set("capabilities", capabilities);
    Some(fields.to_raw())
}

/// Line breaks between tokens are legal JSON and break lines and events; inside strings they cannot occur.
fn one_line(text: String) -> String {
    if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ") } else { text }
}

/// The members `"method":…` and `,"params":…` of a carried request or notification.
fn named(head: &Head<'_>) -> Option<(String, String)> {
    let carrier = Fields::parse(head.params?.get()).ok()?;
    let method = format!(r#""method":{}"#, carrier.get("m")?.get());
    let params = carrier.get_str("raw").map(|params| format!(r#","params":{params}"#)).unwrap_or_default();
    Some((method, params))
}

fn named_params(method: &str, params: Option<&RawValue>) -> Value {
    match params {
        Some(params) => json!({ "m": method, "raw": params.get() }),
        None => json!({ "m": method }),
    }
}

/// The answer to a carried request. With a slot the text goes past rmcp.
pub fn result(slot: Option<&Slot>, result: Raw) -> CustomResult {
    match slot {
        Some(slot) => {
            slot.put(result);
            CustomResult(Value::String(String::new()))
        }
        None => CustomResult(Value::String(Box::<str>::from(result).into_string())),
    }
}

/// An error as it must reach the client. rmcp reads only the code, for the HTTP status.
pub fn error(error: &RpcError) -> ErrorData {
    let code = ErrorCode(error.code().unwrap_or(RpcError::INTERNAL));
    ErrorData {
        code,
        message: "carried".into(),
        data: Some(Value::String(format!("{MARK}{}", error.0.get()))),
    }
}

/// A request of ours to the client; [`answer`] reads what comes back.
pub fn ask(method: &str, params: Option<&RawValue>) -> CustomRequest {
    CustomRequest::new(METHOD, Some(named_params(method, params)))
}

/// The client's answer to a carried request of ours.
///
/// # Errors
/// The client's own error, or ours when rmcp gave back something that is no carrier.
pub fn answer(result: &CustomResult) -> Result<Raw, RpcError> {
    let text = |key: &str| {
        let text = result.0.get(key)?.as_str()?;
        RawValue::from_string(text.to_owned()).ok()
    };
    if let Some(error) = text(ANSWER_ERROR) {
        return Err(RpcError(error));
    }
    text(ANSWER_RESULT)
        .ok_or_else(|| RpcError::new(RpcError::INTERNAL, "the client's answer did not come as it was sent"))
}

/// A notification to the client.
pub fn note(method: &str, params: Option<&RawValue>) -> CustomNotification {
    CustomNotification::new(METHOD, Some(named_params(method, params)))
}

/// Progress must stay typed, or rmcp does not find the stream of the request it belongs to. `None` when the
/// params have no token or progress.
pub fn progress(params: &RawValue) -> Option<ProgressNotificationParam> {
    let fields = Fields::parse(params.get()).ok()?;
    let token: ProgressToken = serde_json::from_str(fields.get("progressToken")?.get()).ok()?;
    let progress: f64 = serde_json::from_str(fields.get("progress")?.get()).ok()?;
    Some(ProgressNotificationParam::new(token, progress).with_message(format!("{MARK}{}", params.get())))
}

/// A refusal of a message that never reached a handler, as a whole message. `id` is JSON text.
pub fn refusal(id: Option<&str>, code: i32, message: &str) -> String {
    let error = RpcError::new(code, message);
    let id = id.map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0",{id}"error":{error}}}"#, error = error.0.get())
}

/// Any value of rmcp's as text.
///
/// # Errors
/// When it cannot be serialised, which no message of rmcp's can cause.
pub fn print<T: serde::Serialize>(message: &T) -> Result<String, serde_json::Error> {
    to_raw_value(message).map(|text| Box::<str>::from(text).into_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rmcp::model::{
        ClientJsonRpcMessage, ClientRequest, ClientResult, JsonRpcMessage, NumberOrString, RequestId,
        ServerJsonRpcMessage, ServerNotification, ServerRequest, ServerResult,
    };
    use serde_json::value::RawValue;

    use super::{RpcError, answer, ask, declared, error, note, print, progress, result, unwrap, wrap};
    use crate::gateway::wire::text::Head;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_request_goes_in_as_a_carrier_and_its_params_stay_text() {
        let text = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"a":2.50,"_meta":{"progressToken":"t"},"a":1e3}}"#;
        let wrapped = wrap(&Head::parse(text).unwrap()).unwrap();
        let carried = wrapped.carried.unwrap();
        assert_eq!(&*carried.method, "tools/call");
        assert_eq!(carried.params.unwrap().get(), r#"{"a":2.50,"_meta":{"progressToken":"t"},"a":1e3}"#);
        let JsonRpcMessage::Request(request) =
            serde_json::from_str::<ClientJsonRpcMessage>(&wrapped.text).unwrap()
        else {
            unreachable!()
        };
        let ClientRequest::CustomRequest(_) = request.request else { unreachable!() };
    }

    #[test]
    fn lifecycle_and_notifications_go_in_as_they_are() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":"x","method":"server/discover"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        ] {
            assert!(wrap(&Head::parse(text).unwrap()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_result_comes_out_as_it_was_and_on_one_line() {
        let carried = result(None, raw("{\"x\": 1.0,\n \"x\":[18446744073709551617]}"));
        let message =
            ServerJsonRpcMessage::response(ServerResult::CustomResult(carried), RequestId::Number(3));
        let out = unwrap(&print(&message).unwrap()).unwrap();
        assert_eq!(
            out,
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"x\": 1.0,  \"x\":[18446744073709551617]}}"
        );
    }

    #[test]
    fn an_error_comes_out_whole() {
        let text = r#"{"code":-32042,"message":"m","data":{"n":1e2},"more":true}"#;
        let message = ServerJsonRpcMessage::error(error(&RpcError(raw(text))), Some(RequestId::Number(1)));
        let out = unwrap(&print(&message).unwrap()).unwrap();
        assert_eq!(out, format!(r#"{{"jsonrpc":"2.0","id":1,"error":{text}}}"#));
    }

    #[test]
    fn capabilities_that_nobody_knows_stand_among_the_others() {
        let (key, value) = declared(&raw(r#"{"x-odd":{"n":2.50},"extensions":{"a/b":{}}}"#));
        let result = |meta: &str| {
            let meta = meta.replace("DECLARED", &format!("{:?}:{value}", key));
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"result":{{"capabilities":{{"tools":{{}}}},"_meta":{meta}}}}}"#
            )
        };
        let expected = r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{},"x-odd":{"n":2.50},"extensions":{"a/b":{}}}}}"#;
        assert_eq!(unwrap(&result("{DECLARED}")).unwrap(), expected);
        let kept = unwrap(&result(r#"{"a":1,DECLARED}"#)).unwrap();
        assert!(kept.ends_with(r#","_meta":{"a":1}}}"#), "{kept}");
    }

    #[test]
    fn a_question_and_its_answer_stay_text() {
        let question = ask("elicitation/create", Some(&raw(r#"{"n":1.0}"#)));
        let id = NumberOrString::Number(0);
        let message = ServerJsonRpcMessage::request(ServerRequest::CustomRequest(question), id);
        let out = unwrap(&print(&message).unwrap()).unwrap();
        assert_eq!(out, r#"{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"n":1.0}}"#);

        let back = r#"{"jsonrpc":"2.0","id":0,"result":{"action":"accept","content":{"n":12345678901234567890123}}}"#;
        let wrapped = wrap(&Head::parse(back).unwrap()).unwrap().text;
        let JsonRpcMessage::Response(response) =
            serde_json::from_str::<ClientJsonRpcMessage>(&wrapped).unwrap()
        else {
            unreachable!()
        };
        let ClientResult::CustomResult(custom) = response.result else { unreachable!() };
        assert_eq!(
            answer(&custom).unwrap().get(),
            r#"{"action":"accept","content":{"n":12345678901234567890123}}"#
        );
    }

    #[test]
    fn a_refusal_of_the_client_stays_an_error() {
        let back = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"no"}}"#;
        let wrapped = wrap(&Head::parse(back).unwrap()).unwrap().text;
        let JsonRpcMessage::Response(response) =
            serde_json::from_str::<ClientJsonRpcMessage>(&wrapped).unwrap()
        else {
            unreachable!()
        };
        let ClientResult::CustomResult(custom) = response.result else { unreachable!() };
        assert_eq!(answer(&custom).unwrap_err().code(), Some(-1));
    }

    #[test]
    fn notes_and_progress_come_out_as_they_were() {
        let params = r#"{"progressToken":"t","progress":0.10,"odd":1.0}"#;
        let typed = progress(&raw(params)).unwrap();
        let notification =
            ServerNotification::ProgressNotification(rmcp::model::ProgressNotification::new(typed));
        let out = unwrap(&print(&ServerJsonRpcMessage::notification(notification)).unwrap()).unwrap();
        assert_eq!(
            out,
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#)
        );

        let notification =
            ServerNotification::CustomNotification(note("notifications/message", Some(&raw("[1.0]"))));
        let out = unwrap(&print(&ServerJsonRpcMessage::notification(notification)).unwrap()).unwrap();
        assert_eq!(out, r#"{"jsonrpc":"2.0","method":"notifications/message","params":[1.0]}"#);
    }
}
