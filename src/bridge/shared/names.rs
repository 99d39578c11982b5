//! Ids and progress tokens of several clients in one process: each request gets a number of ours. Pure.

use serde_json::value::RawValue;

use crate::gateway::wire::{
    Raw,
    text::{Fields, Head, raw},
};

const ID: &str = "id";
const PARAMS: &str = "params";
const META: &str = "_meta";
const TOKEN: &str = "progressToken";
const REQUEST: &str = "requestId";

/// What the client of a request calls it.
#[derive(Clone, Debug)]
pub(super) struct Names {
    id: Raw,
    token: Option<Raw>,
}

impl Names {
    /// The request by our number, as text, and what must be put back into what the process says to it.
    ///
    /// # Errors
    /// When its params are no object.
    pub(super) fn exchange(
        id: &RawValue,
        head: &Head<'_>,
        text: &str,
        number: u64,
    ) -> Result<(String, Self), serde_json::Error> {
        let mut message = Fields::parse(text)?;
        message.set(ID, raw(&number));
        let mut token = None;
        let mut params = Fields::of(head.params)?;
        if let Some(meta) = params.get(META) {
            let mut meta = Fields::of(Some(meta))?;
            if let Some(theirs) = meta.get(TOKEN) {
                token = Some(theirs.to_owned());
                meta.set(TOKEN, raw(&number));
                let meta = meta.to_raw();
                params.set(META, meta);
                message.set(PARAMS, params.to_raw());
            }
        }
        Ok((message.to_raw().get().to_owned(), Self { id: id.to_owned(), token }))
    }

    /// What the process says to the request, as its client knows it: the answer, or else progress.
    pub(super) fn restore(&self, text: String, is_answer: bool) -> String {
        let restored = if is_answer { self.answer(&text) } else { self.progress(&text) };
        match restored {
            Ok(restored) => restored.get().to_owned(),
            // It was read as a message before, so this is no more than a guard.
            Err(error) => {
                tracing::warn!(%error, "a message keeps our number");
                text
            }
        }
    }

    fn answer(&self, text: &str) -> Result<Raw, serde_json::Error> {
        let mut message = Fields::parse(text)?;
        message.set(ID, self.id.clone());
        Ok(message.to_raw())
    }

    fn progress(&self, text: &str) -> Result<Raw, serde_json::Error> {
        let mut message = Fields::parse(text)?;
        if let Some(token) = &self.token {
            let mut params = Fields::of(message.get(PARAMS))?;
            params.set(TOKEN, token.clone());
            let params = params.to_raw();
            message.set(PARAMS, params);
        }
        Ok(message.to_raw())
    }
}

/// The id of the request that a cancellation means.
pub(super) fn cancelled(head: &Head<'_>) -> Option<Raw> {
    Fields::of(head.params).ok()?.get(REQUEST).map(ToOwned::to_owned)
}

/// A cancellation by our number.
///
/// # Errors
/// When its params are no object.
pub(super) fn cancellation(head: &Head<'_>, text: &str, number: u64) -> Result<String, serde_json::Error> {
    let (mut message, mut params) = (Fields::parse(text)?, Fields::of(head.params)?);
    params.set(REQUEST, raw(&number));
    message.set(PARAMS, params.to_raw());
    Ok(message.to_raw().get().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Names, cancellation, cancelled};
    use crate::gateway::wire::text::Head;

    fn exchange(text: &str) -> (String, Names) {
        let head = Head::parse(text).unwrap();
        Names::exchange(head.id.unwrap(), &head, text, 7).unwrap()
    }

    #[test]
    fn a_request_gets_our_number_and_nothing_else_changes() {
        let (sent, names) = exchange(
            r#"{"jsonrpc":"2.0","x":1.50,"id":"a","method":"m","params":{"b":1e3,"_meta":{"y":2.0,"progressToken":"t"},"_":[ ]}}"#,
        );
        assert_eq!(
            sent,
            r#"{"jsonrpc":"2.0","x":1.50,"id":7,"method":"m","params":{"b":1e3,"_meta":{"y":2.0,"progressToken":7},"_":[ ]}}"#
        );
        let answer = r#"{"result":{"n":2.50},"id":7,"jsonrpc":"2.0"}"#.to_owned();
        assert_eq!(names.restore(answer, true), r#"{"result":{"n":2.50},"id":"a","jsonrpc":"2.0"}"#);
        let progress = r#"{"method":"notifications/progress","params":{"progress":0.10,"progressToken":7}}"#;
        assert_eq!(
            names.restore(progress.to_owned(), false),
            r#"{"method":"notifications/progress","params":{"progress":0.10,"progressToken":"t"}}"#
        );
    }

    #[test]
    fn what_has_no_params_gets_none() {
        for text in [
            r#"{"id":1,"method":"ping"}"#,
            r#"{"id":1,"method":"ping","params":null}"#,
            r#"{"id":1,"method":"ping","params":{"_meta":null}}"#,
        ] {
            assert_eq!(exchange(text).0, text.replace("\"id\":1", "\"id\":7"));
        }
        let head = Head::parse(r#"{"id":1,"method":"ping","params":[1]}"#).unwrap();
        assert!(Names::exchange(head.id.unwrap(), &head, r#"{"params":[1]}"#, 7).is_err());
    }

    #[test]
    fn a_cancellation_names_our_number() {
        let text = r#"{"method":"notifications/cancelled","params":{"reason":"late","requestId":"a"}}"#;
        let head = Head::parse(text).unwrap();
        assert_eq!(cancelled(&head).unwrap().get(), r#""a""#);
        assert_eq!(
            cancellation(&head, text, 7).unwrap(),
            r#"{"method":"notifications/cancelled","params":{"reason":"late","requestId":7}}"#
        );
    }
}
