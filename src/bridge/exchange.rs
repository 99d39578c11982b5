//! Which open request a message of the server process belongs to. Pure: `T` is where its messages go.

use serde_json::value::RawValue;

use crate::gateway::wire::{
    Raw,
    text::{Fields, Head, Message},
};

/// The open requests of one session, oldest first.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    open: Vec<Open<T>>,
}

#[derive(Debug)]
struct Open<T> {
    /// As [`plain`] has it.
    id: String,
    /// As the client has it.
    spelled: Raw,
    progress_token: Option<String>,
    hears: Hears,
    to: T,
}

/// What the asker of a request hears besides its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hears {
    Nothing,
    Progress,
    /// Questions of the server, too.
    Everything,
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
        hears: Hears,
        to: T,
    ) -> Result<(), IdInUse> {
        let (id, spelled) = (plain(id), id.to_owned());
        if self.open.iter().any(|open| open.id == id) {
            return Err(IdInUse);
        }
        self.open.push(Open { id, spelled, progress_token: request_token(params), hears, to });
        Ok(())
    }

    /// Forgets a request without an answer; `None` when it is not open.
    pub(super) fn close(&mut self, id: &RawValue) -> Option<T> {
        let id = plain(id);
        let at = self.open.iter().position(|open| open.id == id)?;
        Some(self.open.remove(at).to)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Closes all and returns their ids.
    pub(super) fn close_all(&mut self) -> Vec<(Raw, T)> {
        self.open.drain(..).map(|open| (open.spelled, open.to)).collect()
    }

    /// Closes the request whose answer was thrown away, of which only the `start` is known; all when that does not
    /// say which, none when it was no answer.
    pub(super) fn close_asker(&mut self, start: &str) -> Vec<(Raw, T)> {
        match asker(start) {
            Asker::Known(id) => {
                let of = self.open.iter().position(|open| open.id == id);
                of.map(|at| self.open.remove(at)).map(|open| (open.spelled, open.to)).into_iter().collect()
            }
            Asker::Unknown => self.close_all(),
            Asker::Nobody => Vec::new(),
        }
    }

    /// Where a message of the server process goes. A question (a request of the server) names no request, so it
    /// goes with the youngest open one that can carry it: its client is surely listening there.
    pub(super) fn recipient(&mut self, head: &Head<'_>, kind: Message) -> Recipient<T> {
        match kind {
            Message::Response => match head.id.and_then(|id| self.close(id)) {
                Some(to) => Recipient::Answer(to),
                None => Recipient::Nobody,
            },
            Message::Request => along(self.open.iter().rev().find(|open| open.hears == Hears::Everything)),
            Message::Notification if head.method.as_deref() == Some("notifications/progress") => {
                let token =
                    Fields::of(head.params).ok().and_then(|fields| fields.get("progressToken").map(plain));
                along(token.and_then(|token| {
                    self.open.iter().find(|open| {
                        open.hears != Hears::Nothing && open.progress_token.as_ref() == Some(&token)
                    })
                }))
            }
            Message::Notification => Recipient::Stream,
        }
    }
}

fn along<T: Clone>(open: Option<&Open<T>>) -> Recipient<T> {
    open.map_or(Recipient::Stream, |open| Recipient::Along(open.to.clone()))
}

enum Asker {
    Known(String),
    Unknown,
    Nobody,
}

/// Whose answer begins so. An id counts only before the answer's own content, which may hold any.
fn asker(start: &str) -> Asker {
    let content = ["\"result\"", "\"error\"", "\"params\""].iter().filter_map(|name| start.find(name)).min();
    let envelope = &start[..content.unwrap_or(start.len())];
    if envelope.contains("\"method\"") {
        return Asker::Nobody;
    }
    let after = envelope.split_once("\"id\"").and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    let id = after
        .and_then(|after| serde_json::Deserializer::from_str(after).into_iter::<&RawValue>().next()?.ok());
    id.map_or(Asker::Unknown, |id| Asker::Known(plain(id)))
}

fn request_token(params: Option<&RawValue>) -> Option<String> {
    let params = Fields::of(params).ok()?;
    let meta = Fields::of(Some(params.get("_meta")?)).ok()?;
    meta.get("progressToken").map(plain)
}

/// One spelling for equal ids and tokens: a server may write `"\u0061"` back as `"a"`.
pub(super) fn plain(value: &RawValue) -> String {
    serde_json::from_str::<serde_json::Value>(value.get())
        .map_or_else(|_| value.get().to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Exchange, Hears, IdInUse, Recipient};
    use crate::gateway::wire::text::Head;

    fn open(exchange: &mut Exchange<&'static str>, text: &str, hears: Hears, to: &'static str) {
        let head = Head::parse(text).unwrap();
        exchange.open(head.id.unwrap(), head.params, hears, to).unwrap();
    }

    fn recipient(exchange: &mut Exchange<&'static str>, text: &str) -> Recipient<&'static str> {
        let head = Head::parse(text).unwrap();
        exchange.recipient(&head, head.message().unwrap())
    }

    #[test]
    fn an_answer_goes_to_its_request_once() {
        let mut exchange = Exchange::new();
        open(&mut exchange, r#"{"id":1,"method":"a"}"#, Hears::Everything, "number");
        open(&mut exchange, r#"{"id":"1","method":"a"}"#, Hears::Everything, "text");
        assert_eq!(recipient(&mut exchange, r#"{"id":"\u0031","result":{}}"#), Recipient::Answer("text"));
        assert_eq!(recipient(&mut exchange, r#"{"id":"1","result":{}}"#), Recipient::Nobody);
        assert_eq!(recipient(&mut exchange, r#"{"id":1,"error":{}}"#), Recipient::Answer("number"));
    }

    #[test]
    fn progress_goes_with_its_token_a_question_with_the_youngest_the_rest_to_the_stream() {
        let mut exchange = Exchange::new();
        open(
            &mut exchange,
            r#"{"id":1,"method":"a","params":{"_meta":{"progressToken":7}}}"#,
            Hears::Everything,
            "first",
        );
        open(&mut exchange, r#"{"id":2,"method":"a"}"#, Hears::Everything, "second");
        open(&mut exchange, r#"{"id":3,"method":"a"}"#, Hears::Nothing, "plain");
        let progress = r#"{"method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#;
        assert_eq!(recipient(&mut exchange, progress), Recipient::Along("first"));
        let stray = r#"{"method":"notifications/progress","params":{"progressToken":8,"progress":1}}"#;
        assert_eq!(recipient(&mut exchange, stray), Recipient::Stream);
        // Shared by several clients: none of them is asked.
        open(
            &mut exchange,
            r#"{"id":4,"method":"a","params":{"_meta":{"progressToken":9}}}"#,
            Hears::Progress,
            "shared",
        );
        let shared = r#"{"method":"notifications/progress","params":{"progressToken":9,"progress":1}}"#;
        assert_eq!(recipient(&mut exchange, shared), Recipient::Along("shared"));
        let question = r#"{"id":1,"method":"elicitation/create"}"#;
        assert_eq!(recipient(&mut exchange, question), Recipient::Along("second"));
        let changed = r#"{"method":"notifications/tools/list_changed"}"#;
        assert_eq!(recipient(&mut exchange, changed), Recipient::Stream);
    }

    #[test]
    fn an_answer_that_was_thrown_away_fails_its_own_request_where_it_says_so() {
        let failed = |start: &str| {
            let mut exchange = Exchange::new();
            open(&mut exchange, r#"{"id":1,"method":"a"}"#, Hears::Nothing, "one");
            open(&mut exchange, r#"{"id":"b","method":"a"}"#, Hears::Nothing, "two");
            exchange.close_asker(start).into_iter().map(|(_, to)| to).collect::<Vec<_>>()
        };
        assert_eq!(failed(r#"{"jsonrpc":"2.0","id":1,"result":{"id":"b","x":"xxx"#), ["one"]);
        assert_eq!(failed(r#"{ "id" : "b", "error":"xxx"#), ["two"]);
        assert_eq!(failed(r#"{"result":{"id":"b","x":"xxx"#), ["one", "two"]);
        assert_eq!(failed("xxx"), ["one", "two"]);
        assert!(failed(r#"{"id":9,"result":"xxx"#).is_empty(), "nobody waits for it any more");
        assert!(failed(r#"{"method":"notifications/x","params":{"id":1"#).is_empty());
    }

    #[test]
    fn an_open_id_cannot_be_opened_again() {
        let mut exchange = Exchange::new();
        open(&mut exchange, r#"{"id":1,"method":"a"}"#, Hears::Everything, "first");
        let head = Head::parse(r#"{"id":1,"method":"b"}"#).unwrap();
        assert_eq!(exchange.open(head.id.unwrap(), None, Hears::Everything, "second"), Err(IdInUse));
        assert_eq!(exchange.close(head.id.unwrap()), Some("first"));
        assert!(exchange.close_all().is_empty());
    }
}
