//! Fleets that are too large to list: `search_tools` finds tools in this caller's view, `call_tool` calls one as if it
//! had been listed.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, value::RawValue};

use super::view::{Length, View};
use crate::{
    answer::{Answer, Budget},
    gateway::{
        Entry, Kind,
        wire::{
            Raw,
            text::{Fields, raw, string},
        },
    },
    tools::{CALL, InnerCall, SEARCH, parse_call, parse_search, search_definitions},
};

/// Where a client says in the `_meta` of tools/list, or in the query of its URL as `tools`, how it wants its tools:
/// `search` or `all`.
const WISH: &str = "pilothouse.dev/tools";

/// How one client wants its list of tools, as it said last. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish(Arc<Mutex<Option<Length>>>);

impl Wish {
    /// Nothing while it has not said.
    pub(super) fn length(&self) -> Option<Length> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request says of it; one that says nothing changes nothing.
    pub(super) fn set(&self, said: Option<Length>) {
        if said.is_some() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = said;
        }
    }
}

/// The catalogue's entries for both; they are listed where the others are not.
pub fn entries() -> Vec<Entry> {
    let definitions = search_definitions();
    [SEARCH, CALL]
        .into_iter()
        .zip(&definitions)
        .map(|(name, definition)| Entry::own(Kind::Tool, name, raw(definition)))
        .collect()
}

/// How the client wants its list of tools; nothing when it does not say.
pub(super) fn wish(params: &Fields<'_>) -> Option<Length> {
    let meta = Fields::parse(params.get("_meta")?.get()).ok()?;
    named(&meta.get_str(WISH)?)
}

/// The same from a `_meta` that was read already.
pub(super) fn wish_of_meta(meta: &Map<String, Value>) -> Option<Length> {
    named(meta.get(WISH)?.as_str()?)
}

/// The same from the query of a URL.
pub(super) fn wish_of_query(query: Option<&str>) -> Option<Length> {
    url::form_urlencoded::parse(query?.as_bytes())
        .find_map(|(key, value)| named(&value).filter(|_| key == "tools"))
}

fn named(wish: &str) -> Option<Length> {
    match wish {
        "search" => Some(Length::Brief),
        "all" => Some(Length::Whole),
        _ => None,
    }
}

/// What a call of `search_tools` answers.
pub(super) fn search(view: &View, arguments: Option<&RawValue>) -> Raw {
    let answer = match parse_search(arguments) {
        Ok(search) => {
            let tools = view.tools().map(|entry| (entry.name.as_str(), &*entry.raw));
            search.answer(tools, Budget::DEFAULT)
        }
        Err(wrong) => wrong,
    };
    answer.into_result()
}

/// The call inside the params of a `call_tool`, as params of its own.
///
/// # Errors
/// What is answered when the arguments are wrong.
pub(super) fn inner(params: &Fields<'_>) -> Result<(String, Raw), Raw> {
    let InnerCall { name, arguments } = parse_call(params.get("arguments")).map_err(Answer::into_result)?;
    let mut inner = params.clone();
    inner.set("name", string(&name));
    // The text of the arguments goes on as it came.
    let given = params.get("arguments").and_then(|given| Fields::parse(given.get()).ok());
    let given = given.and_then(|given| given.get("arguments").map(ToOwned::to_owned));
    match given.filter(|_| arguments.is_some()) {
        Some(given) => inner.set("arguments", given),
        None => {
            inner.remove("arguments");
        }
    }
    Ok((name, inner.to_raw()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{inner, wish_of_query};
    use crate::{gateway::wire::text::Fields, mcp::view::Length};

    #[test]
    fn the_inner_call_keeps_what_the_outer_one_says_besides() {
        let params = r#"{"name":"call_tool","arguments":{"name":"git_log","arguments":{"n":2.50}},"_meta":{"progressToken":1}}"#;
        let (name, params) = inner(&Fields::parse(params).unwrap()).unwrap();
        assert_eq!(name, "git_log");
        assert_eq!(params.get(), r#"{"name":"git_log","arguments":{"n":2.50},"_meta":{"progressToken":1}}"#);
        let (_, params) =
            inner(&Fields::parse(r#"{"name":"call_tool","arguments":{"name":"x"}}"#).unwrap()).unwrap();
        assert_eq!(params.get(), r#"{"name":"x"}"#);
        let wrong = inner(&Fields::parse(r#"{"name":"call_tool"}"#).unwrap()).unwrap_err();
        assert!(wrong.get().contains("isError"));
    }

    #[test]
    fn a_client_says_in_its_url_how_it_wants_its_tools() {
        assert_eq!(wish_of_query(Some("a=b&tools=search")), Some(Length::Brief));
        assert_eq!(wish_of_query(Some("tools=all")), Some(Length::Whole));
        assert_eq!(wish_of_query(Some("tools=x")), None);
        assert_eq!(wish_of_query(None), None);
    }
}
