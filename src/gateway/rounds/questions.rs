//! Questions as modern results carry them, and the answers that come with the next call. Pure.

use std::collections::BTreeMap;

use crate::gateway::wire::{
    Raw, RpcError,
    text::{Fields, raw, string},
};

/// One question: a request that a server has for its client.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) method: String,
    pub(super) params: Option<Raw>,
}

/// A result that asks for input.
#[derive(Debug)]
pub(super) struct InputRequired {
    /// By the server's own keys, in its order.
    pub(super) questions: Vec<(String, Question)>,
    /// As text of JSON.
    pub(super) state: Option<Raw>,
}

impl InputRequired {
    /// `None`: the result is of another type.
    ///
    /// # Errors
    /// When it asks in a way that nobody could answer.
    pub(super) fn parse(result: &Raw) -> Result<Option<Self>, RpcError> {
        // Most results do not even have the word in them.
        if !result.get().contains("input_required") {
            return Ok(None);
        }
        let Ok(fields) = Fields::parse(result.get()) else { return Ok(None) };
        if fields.get_str("resultType").as_deref() != Some("input_required") {
            return Ok(None);
        }
        let wrong = || {
            let message = "this server asks back in a way that is not MCP (inputRequests must be an object of requests): see its own log";
            RpcError::new(RpcError::INTERNAL, message)
        };
        let requests = Fields::of(fields.get("inputRequests")).map_err(|_| wrong())?;
        let mut questions = Vec::new();
        for (key, request) in requests.iter() {
            let request = Fields::parse(request.get()).map_err(|_| wrong())?;
            let method = request.get_str("method").ok_or_else(wrong)?;
            let params = request.get("params").map(ToOwned::to_owned);
            questions.push((key.to_owned(), Question { method, params }));
        }
        Ok(Some(Self { questions, state: fields.get("requestState").map(ToOwned::to_owned) }))
    }
}

/// The result that asks a modern client.
pub(super) fn ask(questions: &BTreeMap<String, Question>, state: &str) -> Raw {
    let mut requests = Fields::default();
    for (key, Question { method, params }) in questions {
        let mut request = Fields::default();
        request.set_str("method", method);
        if let Some(params) = params {
            request.set("params", params.clone());
        }
        requests.set(key, request.to_raw());
    }
    let mut result = Fields::default();
    result.set_str("resultType", "input_required");
    result.set("inputRequests", requests.to_raw());
    result.set_str("requestState", state);
    result.to_raw()
}

/// The answers that come with a call, by the key of their question.
pub(super) fn responses(params: Option<&Raw>) -> BTreeMap<String, Raw> {
    let params = Fields::of(params.map(AsRef::as_ref)).unwrap_or_default();
    let Some(responses) = params.get("inputResponses") else { return BTreeMap::new() };
    let responses = Fields::parse(responses.get()).unwrap_or_default();
    responses.iter().map(|(key, answer)| (key.to_owned(), answer.to_owned())).collect()
}

/// The call once more, with the answers to what it asked.
pub(super) fn again(params: Option<&Raw>, answers: &[(String, Raw)], state: Option<Raw>) -> Raw {
    let mut responses = Fields::default();
    for (key, answer) in answers {
        responses.set(key, answer.clone());
    }
    let responses = responses.to_raw();
    let mut params = Fields::of(params.map(AsRef::as_ref)).unwrap_or_default();
    params.set("inputResponses", responses);
    match state {
        Some(state) => params.set("requestState", state),
        None => {
            params.remove("requestState");
        }
    }
    params.to_raw()
}

/// The call without what belongs to rounds, for a server that knows none.
pub(super) fn plain(params: Option<Raw>) -> Option<Raw> {
    let params = params?;
    let Ok(mut fields) = Fields::parse(params.get()) else { return Some(params) };
    let changed = ["inputResponses", "requestState"].map(|key| fields.remove(key));
    Some(if changed.contains(&true) { fields.to_raw() } else { params })
}

/// `result` or `params` with this state in the place of its own.
pub(super) fn with_state(value: &Raw, state: &str) -> Raw {
    let Ok(mut fields) = Fields::parse(value.get()) else { return value.clone() };
    fields.set("requestState", string(state));
    fields.to_raw()
}

/// A notification of progress under the token that the client gave this time; `None` when it gave none.
pub(super) fn progress(params: Option<&Raw>, token: Option<&Raw>) -> Option<Raw> {
    let mut fields = Fields::of(params.map(AsRef::as_ref)).ok()?;
    fields.set("progressToken", token?.clone());
    Some(raw(&fields))
}

/// The progress token of a call.
pub(super) fn token(params: Option<&Raw>) -> Option<Raw> {
    let params = Fields::of(params.map(AsRef::as_ref)).ok()?;
    let meta = Fields::parse(params.get("_meta")?.get()).ok()?;
    meta.get("progressToken").map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::{InputRequired, Question, again, ask, plain, progress, responses, token, with_state};
    use crate::gateway::wire::Raw;

    fn text(json: &str) -> Raw {
        serde_json::value::RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn what_we_ask_can_be_read_as_a_question() {
        let question = Question { method: "roots/list".to_owned(), params: None };
        let form = Question { method: "elicitation/create".to_owned(), params: Some(text(r#"{"n":2.50}"#)) };
        let asked = ask(&BTreeMap::from([("q1".to_owned(), question), ("q2".to_owned(), form)]), "sealed");
        let expected = r#"{"resultType":"input_required","inputRequests":{"q1":{"method":"roots/list"},"q2":{"method":"elicitation/create","params":{"n":2.50}}},"requestState":"sealed"}"#;
        assert_eq!(asked.get(), expected);
        let read = InputRequired::parse(&asked).unwrap().unwrap();
        assert_eq!(read.questions.len(), 2);
        assert_eq!(read.questions[1].1.params.as_ref().unwrap().get(), r#"{"n":2.50}"#);
        assert_eq!(read.state.unwrap().get(), r#""sealed""#);
    }

    #[test]
    fn other_results_ask_nothing_and_broken_questions_are_said() {
        for result in [r#"{"content":[]}"#, r#"{"text":"input_required"}"#, "null"] {
            assert!(InputRequired::parse(&text(result)).unwrap().is_none(), "{result}");
        }
        let broken = text(r#"{"resultType":"input_required","inputRequests":[1]}"#);
        assert!(InputRequired::parse(&broken).unwrap_err().message().unwrap().contains("asks back"));
    }

    #[test]
    fn answers_go_beside_what_was_asked() {
        let before = text(r#"{"name":"a","z":1e3}"#);
        let answers = [("q".to_owned(), text(r#"{"n":1.0}"#))];
        let after = again(Some(&before), &answers, Some(text(r#""s""#)));
        assert_eq!(
            after.get(),
            r#"{"name":"a","z":1e3,"inputResponses":{"q":{"n":1.0}},"requestState":"s"}"#
        );
        assert_eq!(responses(Some(&after))["q"].get(), r#"{"n":1.0}"#);
        assert_eq!(plain(Some(after.clone())).unwrap().get(), before.get());
        assert_eq!(again(Some(&after), &[], None).get(), r#"{"name":"a","z":1e3,"inputResponses":{}}"#);
        assert!(with_state(&after, "t").get().ends_with(r#""requestState":"t"}"#));
    }

    #[test]
    fn progress_of_a_later_round_has_the_token_of_that_round() {
        let call = text(r#"{"_meta":{"progressToken":2}}"#);
        let note = text(r#"{"progressToken":1,"progress":0.10}"#);
        let told = progress(Some(&note), token(Some(&call)).as_ref()).unwrap();
        assert_eq!(told.get(), r#"{"progressToken":2,"progress":0.10}"#);
        assert!(progress(Some(&note), None).is_none());
    }
}
