//! Which open request a message of the server process belongs to. Pure: `T` is where its messages go.

use serde_json::value::RawValue;

use crate::gateway::wire::text::{Fields, Head, Message};

/// The open requests of one session, oldest first.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    open: Vec<Open<T>>,
}

#[derive(Debug)]
struct Open<T> {
    id: String,
    progress_token: Option<String>,
    /// Whether the client reads a stream of messages as the answer.
    streams: bool,
    to: T,
}

/// Where a message goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recipient<T> {
    /// The answer to this request, which is closed by it.
    Answer(T),
    /// Belongs to this open request.
    Along(T),
    /// Belongs to none: for the session's own stream.
    Stream,
    /// An answer that nobody waits for (any more).
    Nobody,
}

/// Why a request cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IdInUse;

impl<T: Clone> Exchange<T> {
    pub(super) fn new() -> Self {
        Self { open: Vec::new() }
    }

    /// Opens a request; `params` are its own, for the progress token.
    pub(super) fn open(
        &mut self,
        id: &RawValue,
        params: Option<&RawValue>,
        streams: bool,
        to: T,
    ) -> Result<(), IdInUse> {
        let id = plain(id);
        if self.open.iter().any(|open| open.id == id) {
            return Err(IdInUse);
        }
        self.open.push(Open { id, progress_token: request_token(params), streams, to });
        Ok(())
    }

    /// Forgets a request without an answer; `None` when it is not open.
    pub(super) fn close(&mut self, id: &RawValue) -> Option<T> {
        let id = plain(id);
        let at = self.open.iter().position(|open| open.id == id)?;
        Some(self.open.remove(at).to)
    }

    /// Closes all and returns their ids as JSON text.
    pub(super) fn close_all(&mut self) -> Vec<(String, T)> {
        self.open.drain(..).map(|open| (open.id, open.to)).collect()
    }

    /// Where a message of the server process goes. A question (a request of the server) names no request, so it
    /// goes with the youngest open one that can carry it: its client is surely listening there.
    pub(super) fn recipient(&mut self, head: &Head<'_>, kind: Message) -> Recipient<T> {
        match kind {
            Message::Response => match head.id.and_then(|id| self.close(id)) {
                Some(to) => Recipient::Answer(to),
                None => Recipient::Nobody,
            },
            Message::Request => along(self.open.iter().rev().find(|open| open.streams)),
            Message::Notification if head.method.as_deref() == Some("notifications/progress") => {
                let token =
                    Fields::of(head.params).ok().and_then(|fields| fields.get("progressToken").map(plain));
                along(token.and_then(|token| {
                    self.open.iter().find(|open| open.streams && open.progress_token.as_ref() == Some(&token))
                }))
            }
            Message::Notification => Recipient::Stream,
        }
    }
}

fn along<T: Clone>(open: Option<&Open<T>>) -> Recipient<T> {
    open.map_or(Recipient::Stream, |open| Recipient::Along(open.to.clone()))
}

fn request_token(params: Option<&RawValue>) -> Option<String> {
    let params = Fields::of(params).ok()?;
    let meta = Fields::of(Some(params.get("_meta")?)).ok()?;
    meta.get("progressToken").map(plain)
}

/// One spelling for equal ids and tokens: a server may write `"\u0061"` back as `"a"`.
fn plain(value: &RawValue) -> String {
    serde_json::from_str::<serde_json::Value>(value.get())
        .map_or_else(|_| value.get().to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Exchange, IdInUse, Recipient};
    use crate::gateway::wire::text::Head;

    fn open(exchange: &mut Exchange<&'static str>, text: &str, streams: bool, to: &'static str) {
        let head = Head::parse(text).unwrap();
        exchange.open(head.id.unwrap(), head.params, streams, to).unwrap();
    }

    fn recipient(exchange: &mut Exchange<&'static str>, text: &str) -> Recipient<&'static str> {
        let head = Head::parse(text).unwrap();
        exchange.recipient(&head, head.message().unwrap())
    }

    #[test]
    fn an_answer_goes_to_its_request_once() {
        let mut exchange = Exchange::new();
        open(&mut exchange, r#"{"id":1,"method":"a"}"#, true, "number");
        open(&mut exchange, r#"{"id":"1","method":"a"}"#, true, "text");
        assert_eq!(recipient(&mut exchange, r#"{"id":"\u0031","result":{}}"#), Recipient::Answer("text"));
        assert_eq!(recipient(&mut exchange, r#"{"id":"1","result":{}}"#), Recipient::Nobody);
        assert_eq!(recipient(&mut exchange, r#"{"id":1,"error":{}}"#), Recipient::Answer("number"));
    }

    #[test]
    fn progress_goes_with_its_token_a_question_with_the_youngest_the_rest_to_the_stream() {
        let mut exchange = Exchange::new();
        open(&mut exchange, r#"{"id":1,"method":"a","params":{"_meta":{"progressToken":7}}}"#, true, "first");
        open(&mut exchange, r#"{"id":2,"method":"a"}"#, true, "second");
        open(&mut exchange, r#"{"id":3,"method":"a"}"#, false, "plain");
        let progress = r#"{"method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#;
        assert_eq!(recipient(&mut exchange, progress), Recipient::Along("first"));
        let stray = r#"{"method":"notifications/progress","params":{"progressToken":8,"progress":1}}"#;
        assert_eq!(recipient(&mut exchange, stray), Recipient::Stream);
        let question = r#"{"id":1,"method":"elicitation/create"}"#;
        assert_eq!(recipient(&mut exchange, question), Recipient::Along("second"));
        let changed = r#"{"method":"notifications/tools/list_changed"}"#;
        assert_eq!(recipient(&mut exchange, changed), Recipient::Stream);
    }

    #[test]
    fn an_open_id_cannot_be_opened_again() {
        let mut exchange = Exchange::new();
        open(&mut exchange, r#"{"id":1,"method":"a"}"#, true, "first");
        let head = Head::parse(r#"{"id":1,"method":"b"}"#).unwrap();
        assert_eq!(exchange.open(head.id.unwrap(), None, true, "second"), Err(IdInUse));
        assert_eq!(exchange.close(head.id.unwrap()), Some("first"));
        assert_eq!(exchange.close_all(), Vec::new());
    }
}
