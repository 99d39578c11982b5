//! A call's arguments, read against the tool's own schema. What is wrong is said with what is allowed.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, value::RawValue};

use crate::answer::Answer;

/// Arguments that are right, and the text that names the request whatever page of it is asked for.
#[derive(Debug)]
pub(super) struct Parsed<T> {
    pub(super) arguments: T,
    pub(super) request: String,
}

/// These do not make another request.
const OF_THE_PAGE: [&str; 2] = ["cursor", "max_tokens"];

/// Reads arguments for the tool with this definition. Absent, `null` and empty text are the same for what is
/// not required.
///
/// # Errors
/// An error answer of one sentence for the first thing that is wrong.
pub(super) fn parse<T: DeserializeOwned>(
    definition: &Value,
    raw: Option<&RawValue>,
) -> Result<Parsed<T>, Answer> {
    let tool = definition["name"].as_str().unwrap_or_default();
    let mut given: Map<String, Value> = match raw.map(|raw| serde_json::from_str(raw.get())) {
        None | Some(Ok(Value::Null)) => Map::new(),
        Some(Ok(Value::Object(given))) => given,
        Some(Ok(_) | Err(_)) => {
            return Err(Answer::error(format!("the arguments of {tool} must be a JSON object")));
        }
    };
    given.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
    check(tool, &definition["inputSchema"], &given).map_err(Answer::error)?;
    let mut named: Vec<_> = given.iter().filter(|(key, _)| !OF_THE_PAGE.contains(&key.as_str())).collect();
    named.sort_by_key(|(key, _)| key.as_str());
    let request = named.iter().fold(tool.to_owned(), |text, (key, value)| format!("{text}\n{key}={value}"));
    let arguments = serde_json::from_value(Value::Object(given))
        .map_err(|error| Answer::error(format!("the arguments of {tool} cannot be used: {error}")))?;
    Ok(Parsed { arguments, request })
}

/// One object is named by `kind` and `name`, none by neither.
///
/// # Errors
/// An error answer when only one of them is given.
pub(super) fn kind_and_name(
    kind: Option<String>,
    name: Option<String>,
) -> Result<Option<(String, String)>, Answer> {
    match (kind, name) {
        (Some(kind), Some(name)) => Ok(Some((kind, name))),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => {
            Err(Answer::error("give `kind` and `name` together, or neither"))
        }
    }
}

fn check(tool: &str, schema: &Value, given: &Map<String, Value>) -> Result<(), String> {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let allowed = || {
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        if names.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", names.join(", ")) }
    };
    for (key, value) in given {
        let Some(property) = properties.get(key) else {
            let near = nearest(key, properties.keys().map(String::as_str))
                .map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
            return Err(format!("{tool} has no argument `{key}`{near}: {}", allowed()));
        };
        check_value(tool, key, property, value)?;
    }
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    match required.iter().filter_map(Value::as_str).find(|key| !given.contains_key(*key)) {
        Some(missing) => {
            let about = properties[missing]["description"].as_str().unwrap_or_default();
            Err(format!("{tool} needs `{missing}` ({about}): {}", allowed()))
        }
        None => Ok(()),
    }
}

fn check_value(tool: &str, key: &str, property: &Value, value: &Value) -> Result<(), String> {
    let fits = match property["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.as_i64().is_some(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    if !fits {
        let wanted = property["type"].as_str().unwrap_or_default();
        return Err(format!("`{key}` of {tool} must be of type {wanted}, got {}", short(value)));
    }
    let out = |bound: &str, is_out: fn(i64, i64) -> bool| {
        property[bound].as_i64().zip(value.as_i64()).is_some_and(|(bound, value)| is_out(value, bound))
    };
    if out("minimum", |value, least| value < least) || out("maximum", |value, most| value > most) {
        let (least, most) = (&property["minimum"], &property["maximum"]);
        let range =
            if most.is_null() { format!("at least {least}") } else { format!("from {least} to {most}") };
        return Err(format!("`{key}` of {tool} must be {range}, got {value}"));
    }
    let choices = property["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !choices.is_empty() && !choices.contains(value) {
        let names: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        return Err(format!("`{key}` of {tool} must be one of {}, got {}", names.join(", "), short(value)));
    }
    Ok(())
}

fn short(value: &Value) -> String {
    let text: String = value.to_string().chars().take(60).collect();
    crate::redact::shown(&text)
}

/// The name of `known` that `asked` was probably meant to be.
pub(super) fn nearest<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::jaro_winkler(name, asked), name))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json, value::RawValue};

    use super::parse;

    fn definition() -> Value {
        json!({ "name": "list_things", "inputSchema": { "type": "object", "required": ["kind"], "properties": {
            "kind": { "type": "string", "description": "which kind" },
            "namespace": { "type": "string" },
            "tail": { "type": "integer", "minimum": 1, "maximum": 10 },
            "order": { "type": "string", "enum": ["name", "age"] },
            "cursor": { "type": "string" } } } })
    }

    fn read(text: &str) -> Result<super::Parsed<Value>, String> {
        let raw = RawValue::from_string(text.into()).unwrap();
        parse(&definition(), Some(&raw)).map_err(|answer| answer.text)
    }

    #[test]
    fn wrong_arguments_are_told_with_what_is_allowed() {
        for (arguments, told) in [
            ("[]", "must be a JSON object"),
            ("{}", "needs `kind` (which kind): it takes kind, namespace"),
            (r#"{"kind":"a","namespce":"b"}"#, "no argument `namespce`, did you mean `namespace`?"),
            (r#"{"kind":"a","zzz":1}"#, "no argument `zzz`: it takes kind"),
            (r#"{"kind":7}"#, "`kind` of list_things must be of type string, got 7"),
            (r#"{"kind":"a","tail":11}"#, "must be from 1 to 10, got 11"),
            (r#"{"kind":"a","order":"size"}"#, "must be one of name, age, got \"size\""),
        ] {
            let error = read(arguments).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn pages_of_one_request_have_one_name() {
        let first = read(r#"{"kind":"a","namespace":null,"tail":2}"#).unwrap();
        let next = read(r#"{"tail":2,"cursor":"x","kind":"a","namespace":""}"#).unwrap();
        assert_eq!(first.request, next.request);
        assert_ne!(first.request, read(r#"{"kind":"b","tail":2}"#).unwrap().request);
        assert_eq!(first.arguments, json!({ "kind": "a", "tail": 2 }));
    }
}
