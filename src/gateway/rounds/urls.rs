//! URLs that a user must open first, in the words of both eras. The 2025-11-25 revision has an error for it, after which
//! its client repeats the call; the modern one asks for it as for any other input. Pure.

use std::collections::BTreeMap;

use serde_json::json;

use super::questions::Question;
use crate::gateway::wire::{
    Raw, RpcError,
    text::{Fields, raw, string},
};

const ELICIT: &str = "elicitation/create";

/// The questions of an error that says that URLs must be opened; nothing when it is another error, or names none.
pub(super) fn wanted(error: &RpcError) -> Option<BTreeMap<String, Question>> {
    if error.code() != Some(RpcError::URL_ELICITATION_REQUIRED) {
        return None;
    }
    let fields = Fields::parse(error.0.get()).ok()?;
    let data = Fields::parse(fields.get("data")?.get()).ok()?.get("elicitations")?.to_owned();
    let all: Vec<&serde_json::value::RawValue> = serde_json::from_str(data.get()).ok()?;
    let questions = all.iter().enumerate().filter_map(|(at, elicitation)| {
        let mut params = Fields::parse(elicitation.get()).ok()?;
        params.get_str("url")?;
        if params.get("mode").is_none() {
            params.set("mode", string("url"));
        }
        // Modern clients know no such id.
        params.remove("elicitationId");
        let question = Question { method: ELICIT.to_owned(), params: Some(params.to_raw()) };
        Some((format!("url{}", at + 1), question))
    });
    let questions: BTreeMap<_, _> = questions.collect();
    (!questions.is_empty()).then_some(questions)
}

/// Whether it asks the user to open a URL.
pub(super) fn is_url(question: &Question) -> bool {
    let params = question.params.as_ref().and_then(|params| Fields::parse(params.get()).ok());
    question.method == ELICIT && params.and_then(|params| params.get_str("mode")).as_deref() == Some("url")
}

/// Whether a client with these capabilities opens URLs.
pub(super) fn can_open(capabilities: Option<&Raw>) -> bool {
    let can = |capabilities: &Raw| {
        let elicitation = Fields::parse(capabilities.get()).ok()?.get("elicitation")?.to_owned();
        Some(Fields::parse(elicitation.get()).ok()?.get("url")?.get().starts_with('{'))
    };
    capabilities.and_then(can) == Some(true)
}

/// The question as a legacy client wants it: with an id of its own.
pub(super) fn with_id(question: Question, id: impl FnOnce() -> String) -> Question {
    if !is_url(&question) {
        return question;
    }
    let Question { method, params } = question;
    let params = params.map(|params| match Fields::parse(params.get()) {
        Ok(mut fields) if fields.get("elicitationId").is_none() => {
            fields.set_str("elicitationId", &id());
            fields.to_raw()
        }
        _ => params.clone(),
    });
    Question { method, params }
}

/// The error for a legacy client that cannot be asked: it shows what is to be opened, and calls again.
pub(super) fn error<'a>(
    questions: impl Iterator<Item = &'a Question>,
    mut id: impl FnMut() -> String,
) -> RpcError {
    let elicitations: Vec<Raw> =
        questions.filter_map(|question| with_id(question.clone(), &mut id).params).collect();
    let (mut data, mut error) = (Fields::default(), Fields::default());
    data.set("elicitations", raw(&elicitations));
    error.set("code", raw(&RpcError::URL_ELICITATION_REQUIRED));
    error.set_str("message", "the server needs the user to open a URL first: open it, then call again");
    error.set("data", data.to_raw());
    RpcError(error.to_raw())
}

/// For a modern client that did not say that it opens URLs.
pub(super) fn missing() -> RpcError {
    let message = "the server needs the user to open a URL, which this client did not declare that it can: declare elicitation.url";
    let data = json!({ "requiredCapabilities": { "elicitation": { "url": {} } } });
    RpcError::with_data(RpcError::MISSING_CAPABILITY, message, data)
}

/// Whether the user has refused to open one of them.
pub(super) fn is_refused(responses: &BTreeMap<String, Raw>) -> bool {
    responses.values().any(|response| {
        let action = Fields::parse(response.get()).ok().and_then(|fields| fields.get_str("action"));
        action.is_some_and(|action| matches!(action.as_str(), "decline" | "cancel"))
    })
}

pub(super) fn refused() -> RpcError {
    let message = "the user did not open the URL that the server needs, so the call was not repeated: ask the user, then call again without requestState";
    RpcError::new(RpcError::INVALID_PARAMS, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::{Question, can_open, error, is_refused, is_url, wanted, with_id};
    use crate::gateway::wire::{Raw, RpcError};

    fn json(text: &str) -> Raw {
        serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
    }

    const ERROR: &str = r#"{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","elicitationId":"1","url":"https://x/1","message":"Sign in","n":2.50},7]}}"#;

    #[test]
    fn the_error_of_one_era_is_the_question_of_the_other() {
        let questions = wanted(&RpcError(json(ERROR))).unwrap();
        assert_eq!(questions.len(), 1);
        let question = &questions["url1"];
        assert!(is_url(question));
        let params = question.params.as_ref().unwrap().get();
        assert_eq!(params, r#"{"mode":"url","url":"https://x/1","message":"Sign in","n":2.50}"#);
        let back = error(questions.values(), || "new".to_owned());
        assert_eq!(back.code(), Some(-32042));
        let elicitations = r#""data":{"elicitations":[{"mode":"url","url":"https://x/1","message":"Sign in","n":2.50,"elicitationId":"new"}]}"#;
        assert!(back.0.get().contains(elicitations), "{back:?}");
    }

    #[test]
    fn other_errors_ask_for_nothing() {
        for other in [
            r#"{"code":-32042,"message":"m"}"#,
            r#"{"code":-32042,"message":"m","data":{"elicitations":[]}}"#,
            r#"{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url"}]}}"#,
            &ERROR.replace("-32042", "-32041"),
        ] {
            assert!(wanted(&RpcError(json(other))).is_none(), "{other}");
        }
    }

    #[test]
    fn a_question_keeps_the_id_that_it_has() {
        let of =
            |params: &str| Question { method: "elicitation/create".to_owned(), params: Some(json(params)) };
        let id = |params: &str| with_id(of(params), || "new".to_owned()).params.unwrap().get().to_owned();
        assert_eq!(id(r#"{"mode":"url","elicitationId":"old"}"#), r#"{"mode":"url","elicitationId":"old"}"#);
        assert_eq!(id(r#"{"mode":"url"}"#), r#"{"mode":"url","elicitationId":"new"}"#);
        assert_eq!(id(r#"{"mode":"form"}"#), r#"{"mode":"form"}"#);
        assert!(!is_url(&of(r#"{"message":"x"}"#)));
    }

    #[test]
    fn who_opens_urls_says_so_and_who_refuses_too() {
        let can = |text: &str| can_open(Some(&json(text)));
        assert!(can(r#"{"elicitation":{"form":{},"url":{}}}"#));
        assert!(!can(r#"{"elicitation":{}}"#) && !can("{}") && !can_open(None));
        let responses = |text: &str| BTreeMap::from([("url1".to_owned(), json(text))]);
        assert!(is_refused(&responses(r#"{"action":"decline"}"#)));
        assert!(!is_refused(&responses(r#"{"action":"accept"}"#)));
        assert!(!is_refused(&BTreeMap::new()));
    }
}
