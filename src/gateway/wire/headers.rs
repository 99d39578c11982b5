//! The standard headers of a modern HTTP request (SEP-2243): what they must say, and whether they do.
//!
//! rmcp checks them against the message it sees, which is a [carrier](super::carrier); so this check is ours.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::text::{Fields, Head};

pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
const PARAM_PREFIX: &str = "mcp-param-";
const ANNOTATION: &str = "x-mcp-header";
/// The first revision with these headers, and the first modern one.
pub const FIRST_MODERN: &str = "2026-07-28";

const ENCODED: (&str, &str) = ("=?base64?", "?=");

/// Whether the request says that it is of a modern revision. Dates compare as text.
pub fn are_modern(headers: &HeaderMap) -> bool {
    headers
        .get(PROTOCOL_VERSION)
        .and_then(|version| version.to_str().ok())
        .is_some_and(|version| version >= FIRST_MODERN)
}

/// Which member of the params `Mcp-Name` repeats.
fn name_key(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// What the headers of a request must say.
fn expected(head: &Head<'_>, schema: Option<&str>) -> Vec<Expected> {
    let Some(method) = head.method.as_deref() else { return Vec::new() };
    let mut all = vec![Expected { header: METHOD, value: Some(Value::from(method)), encoded: false }];
    let Ok(params) = Fields::of(head.params) else { return all };
    if let Some(name) = name_key(method).and_then(|key| params.get_str(key)) {
        all.push(Expected { header: NAME, value: Some(Value::from(name)), encoded: true });
    }
    if method == "tools/call"
        && let Some(schema) = schema.filter(|schema| schema.contains(ANNOTATION))
        && let Ok(schema) = serde_json::from_str::<Value>(schema)
    {
        let arguments: Value = params
            .get("arguments")
            .and_then(|arguments| serde_json::from_str(arguments.get()).ok())
            .unwrap_or_default();
        annotated(&schema, &arguments, &mut all);
    }
    all
}

struct Expected {
    header: HeaderName,
    /// `None`: the header must be absent.
    value: Option<Value>,
    /// Whether the header may be wrapped in base64.
    encoded: bool,
}

/// `x-mcp-header` annotations on the chain of `properties`, each with its argument.
fn annotated(schema: &Value, arguments: &Value, all: &mut Vec<Expected>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, schema) in properties {
        let argument = arguments.get(name).unwrap_or(&Value::Null);
        if let Some(header) = schema.get(ANNOTATION).and_then(Value::as_str)
            && let Ok(header) = HeaderName::from_bytes(format!("{PARAM_PREFIX}{header}").as_bytes())
        {
            let value = matches!(argument, Value::String(_) | Value::Number(_) | Value::Bool(_))
                .then(|| argument.clone());
            all.push(Expected { header, value, encoded: true });
        }
        annotated(schema, argument, all);
    }
}

/// Why a tool with this input schema must not be offered: an annotation that no request could follow.
pub fn misfit(schema: &str) -> Option<String> {
    if !schema.contains(ANNOTATION) {
        return None;
    }
    let schema: Value = serde_json::from_str(schema).ok()?;
    let mut seen = Vec::new();
    misfits(&schema, &mut seen)
}

fn misfits(schema: &Value, seen: &mut Vec<String>) -> Option<String> {
    let properties = schema.get("properties")?.as_object()?;
    properties.iter().find_map(|(name, property)| {
        let Some(header) = property.get(ANNOTATION) else { return misfits(property, seen) };
        let header = header.as_str().unwrap_or_default();
        if !is_token(header) {
            return Some(format!("the {ANNOTATION} of `{name}` is no name of a header"));
        }
        let kind = property.get("type").and_then(Value::as_str).unwrap_or_default();
        if !matches!(kind, "string" | "integer" | "boolean") {
            return Some(format!("`{name}` has an {ANNOTATION} and is no string, integer or boolean"));
        }
        let lower = header.to_ascii_lowercase();
        if seen.contains(&lower) {
            return Some(format!("two arguments have the {ANNOTATION} `{header}`"));
        }
        seen.push(lower);
        None
    })
}

/// RFC 9110: what a header's name is made of.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Numbers agree by value, `1` with `1.0`; everything else as text.
fn agrees(header: &str, value: &Value) -> bool {
    let same_number = header.parse::<f64>().ok().zip(value.as_f64()).is_some_and(|(a, b)| a == b);
    header == printed(value) || same_number
}

/// The only value of a header. Twice is an error: who reads the other one would be led elsewhere.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(format!("header {name} is there twice"));
    }
    value
        .to_str()
        .map(Some)
        .map_err(|_| format!("header {name} has characters that are not allowed in headers"))
}

fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix(ENCODED.0).and_then(|value| value.strip_suffix(ENCODED.1)) {
        Some(inner) => String::from_utf8(BASE64_STANDARD.decode(inner).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// Whether the headers of a modern request repeat its body, as they must. `schema` is the input schema of the
/// tool that is called.
///
/// # Errors
/// One sentence that names the header.
pub fn check(headers: &HeaderMap, head: &Head<'_>, schema: Option<&str>) -> Result<(), String> {
    for Expected { header, value, encoded } in expected(head, schema) {
        let found = only(headers, &header)?;
        match (found, value) {
            (None, None) => {}
            (Some(_), None) => {
                return Err(format!("header {header} is there, but the argument it repeats is not"));
            }
            (None, Some(_)) => return Err(format!("header {header} is missing: it must repeat the body")),
            (Some(found), Some(value)) => {
                let found = if encoded {
                    decoded(found).ok_or_else(|| format!("header {header} is not valid base64"))?
                } else {
                    found.to_owned()
                };
                if !agrees(&found, &value) {
                    return Err(format!(
                        "header {header} says `{found}`, the body says `{}`",
                        printed(&value)
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The headers that a modern request to another server must carry.
pub fn of_request(head: &Head<'_>, schema: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
    let header = |Expected { header, value, .. }| {
        let text = printed(&value?);
        let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
            && text.trim() == text
            && !text.starts_with(ENCODED.0);
        let text =
            if plain { text } else { format!("{}{}{}", ENCODED.0, BASE64_STANDARD.encode(text), ENCODED.1) };
        Some((header, HeaderValue::from_str(&text).ok()?))
    };
    expected(head, schema).into_iter().filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderMap;

    use super::{check, misfit, of_request};
    use crate::gateway::wire::text::Head;

    const SCHEMA: &str = r#"{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"},
        "in":{"type":"object","properties":{"s":{"type":"string","x-mcp-header":"S"}}}}}"#;

    fn said(body: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        check(&map, &Head::parse(body).unwrap(), Some(SCHEMA))
    }

    const CALL: &str =
        r#"{"id":1,"method":"tools/call","params":{"name":"grüß","arguments":{"n":7,"in":{}}}}"#;
    const RIGHT: [(&str, &str); 3] =
        [("mcp-method", "tools/call"), ("mcp-name", "=?base64?Z3LDvMOf?="), ("mcp-param-n", "7.0")];

    #[test]
    fn headers_that_repeat_the_body_agree() {
        assert_eq!(said(CALL, &RIGHT), Ok(()));
    }

    #[test]
    fn a_missing_wrong_double_or_needless_header_is_named() {
        assert!(said(CALL, &RIGHT[..2]).unwrap_err().contains("mcp-param-n is missing"));
        assert!(said(CALL, &RIGHT[1..]).unwrap_err().contains("mcp-method is missing"));
        assert!(said(CALL, &[RIGHT[0], ("mcp-name", "x")]).unwrap_err().contains("mcp-name says `x`"));
        assert!(said(CALL, &[RIGHT[0], RIGHT[0]]).unwrap_err().contains("twice"));
        assert!(said(CALL, &[RIGHT[0], ("mcp-name", "=?base64?%?=")]).unwrap_err().contains("base64"));
        let more = [RIGHT[0], RIGHT[1], RIGHT[2], ("mcp-param-s", "x")];
        assert!(said(CALL, &more).unwrap_err().contains("mcp-param-s is there"));
    }

    #[test]
    fn annotations_that_nobody_could_follow_are_named() {
        assert_eq!(misfit(SCHEMA), None);
        let one = |property: &str| misfit(&format!(r#"{{"properties":{{"a":{property}}}}}"#));
        for (wrong, says) in [
            (r#"{"type":"string","x-mcp-header":""}"#, "no name"),
            (r#"{"type":"string","x-mcp-header":"My Region"}"#, "no name"),
            (r#"{"type":"string","x-mcp-header":"Région"}"#, "no name"),
            (r#"{"type":"number","x-mcp-header":"N"}"#, "no string"),
            (r#"{"type":"object","x-mcp-header":"N"}"#, "no string"),
            (
                r#"{"type":"string","x-mcp-header":"N"},"b":{"type":"string","x-mcp-header":"n"}"#,
                "two arguments",
            ),
        ] {
            assert!(one(wrong).is_some_and(|why| why.contains(says)), "{wrong}");
        }
    }

    #[test]
    fn what_we_send_is_what_we_would_accept() {
        let head = Head::parse(CALL).unwrap();
        let headers: HeaderMap = of_request(&head, Some(SCHEMA)).into_iter().collect();
        assert_eq!(headers.len(), 3);
        assert_eq!(check(&headers, &head, Some(SCHEMA)), Ok(()));
    }
}
