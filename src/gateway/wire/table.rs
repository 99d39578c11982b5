//! The open calls of one connection. A call's token is its JSON-RPC id and, where the client gave one, its
//! progress token. Every incoming message passes [`Table::take`] before rmcp sees it, so that progress,
//! questions and the answer of a call stay in the order in which the server sent them.

mod letters;
mod open_call;
mod unanswered;

pub use self::{
    letters::Outbox,
    open_call::OpenCall,
    unanswered::{Ended, Unanswered},
};

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Raw, RpcError,
    rejected::{Reason, Rejections},
    text::{Fields, Head, Message, string},
};

/// How many notes may wait for a slow client before progress is dropped (answers never are), and how many bytes of
/// them.
const NOTES: usize = 256;
const NOTE_BYTES: usize = 8 * 1024 * 1024;

/// Of a method's name in our own error message, in characters.
const METHOD_SHOWN: usize = 100;

/// Questions that may wait for the first call.
const EARLY: usize = 8;

/// Whose message it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It belonged to a call, or needed nothing else.
    Ours,
    /// For the keeper of the connection (rmcp).
    Rest,
}

/// Shared by the reader of a connection, its calls, and who ends it.
#[derive(Debug)]
pub struct Table {
    calls: Mutex<Calls>,
    next: AtomicU64,
    busy: AtomicUsize,
    outbox: Outbox,
    /// Whether a dropped call is cancelled by a message.
    cancels: AtomicBool,
    /// All calls are of one client: what names no call may go to any of them.
    of_one_client: AtomicBool,
    /// How many questions of the server are with clients now.
    asking: Arc<watch::Sender<usize>>,
    /// Messages of the server that were not taken.
    rejections: Arc<Rejections>,
    /// What the server declared when it was greeted.
    capabilities: Mutex<Option<Raw>>,
}

#[derive(Debug, Default)]
struct Calls {
    open: HashMap<String, Slot>,
    ended: Option<Ended>,
    /// Questions that came before the first call: of one client's connection only, whose next call gets them.
    early: Vec<Note>,
    users: Users,
}

/// Whose calls have gone over the connection, by the mark of the caller.
#[derive(Debug, Default, PartialEq, Eq)]
enum Users {
    #[default]
    Nobody,
    One(String),
    Many,
}

#[derive(Debug)]
struct Slot {
    client_token: Option<Raw>,
    notes: mpsc::Sender<Note>,
    /// Bytes of the notes that wait.
    waiting: Arc<AtomicUsize>,
    done: oneshot::Sender<Result<Result<Raw, RpcError>, Unanswered>>,
}

#[derive(Debug)]
enum Note {
    Notification { method: String, params: Option<Raw> },
    Question { id: Raw, method: String, params: Option<Raw> },
}

impl Note {
    fn bytes(&self) -> usize {
        let (Self::Notification { method, params } | Self::Question { id: _, method, params }) = self;
        method.len() + params.as_ref().map_or(0, |params| params.get().len())
    }
}

impl Table {
    pub fn new(outbox: Outbox) -> Self {
        Self {
            calls: Mutex::default(),
            next: AtomicU64::new(1),
            busy: AtomicUsize::new(0),
            outbox,
            cancels: AtomicBool::new(true),
            of_one_client: AtomicBool::new(false),
            asking: Arc::default(),
            rejections: Arc::default(),
            capabilities: Mutex::default(),
        }
    }

    /// Counts the messages of the server that are not taken.
    #[must_use]
    pub fn counting(self, rejections: Arc<Rejections>) -> Self {
        Self { rejections, ..self }
    }

    /// Counts a message that did not even get here.
    pub fn rejected(&self, reason: Reason) {
        self.rejections.count(reason);
    }

    /// Notes what a server declares in its answer to the greeting; rmcp would lose what it does not know of it.
    pub fn greeted(&self, text: &str) {
        let head = Head::parse(text).ok().filter(|head| head.message() == Some(Message::Response));
        if let Some(result) = head.and_then(|head| head.result) {
            self.greeted_with(result);
        }
    }

    /// The same of the result alone.
    pub fn greeted_with(&self, result: &serde_json::value::RawValue) {
        if !result.get().contains("\"capabilities\"") {
            return;
        }
        let declared = Fields::parse(result.get()).ok();
        if let Some(capabilities) = declared.as_ref().and_then(|declared| declared.get("capabilities")) {
            *self.capabilities.lock().unwrap_or_else(PoisonError::into_inner) = Some(capabilities.to_owned());
        }
    }

    /// The last that was noted.
    pub fn capabilities(&self) -> Option<Raw> {
        self.capabilities.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A modern HTTP server sees its stream close, and needs no message for a call that was dropped.
    pub fn cancel_by_closing(&self) {
        self.cancels.store(false, Ordering::Relaxed);
    }

    /// All its calls are of the same client.
    pub fn serve_one_client(&self) {
        self.of_one_client.store(true, Ordering::Relaxed);
    }

    /// A caller's next call goes over it. Where several have called, a message that names no call may be about what
    /// another one asked, and goes to nobody.
    pub fn serve(&self, caller: &str) {
        let mut calls = self.calls();
        calls.users = match &calls.users {
            Users::Nobody => Users::One(caller.to_owned()),
            Users::One(known) if known == caller => return,
            Users::One(_) | Users::Many => Users::Many,
        };
    }

    /// Cancelled when the server asks without end and does not read the answers.
    pub fn choked(&self) -> CancellationToken {
        self.outbox.choked().clone()
    }

    /// How many questions of the server are with clients, told when it changes.
    pub fn asking(&self) -> watch::Receiver<usize> {
        self.asking.subscribe()
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that no other call of this connection has had.
    pub fn token(&self) -> String {
        format!("p{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Calls that are open now.
    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// # Errors
    /// When the connection has ended.
    pub fn open(self: &Arc<Self>, token: String, client_token: Option<Raw>) -> Result<OpenCall, Ended> {
        let (notes_in, notes) = mpsc::channel(NOTES);
        let (done_in, done) = oneshot::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut calls = self.calls();
        if let Some(ended) = &calls.ended {
            return Err(ended.clone());
        }
        for question in std::mem::take(&mut calls.early) {
            waiting.fetch_add(question.bytes(), Ordering::Relaxed);
            // There is room: fewer may be early than may wait.
            let _ = notes_in.try_send(question);
        }
        let slot = Slot { client_token, notes: notes_in, waiting: waiting.clone(), done: done_in };
        calls.open.insert(token.clone(), slot);
        drop(calls);
        self.busy.fetch_add(1, Ordering::Relaxed);
        Ok(OpenCall { table: self.clone(), token, notes, waiting, done })
    }

    pub fn has_ended(&self) -> bool {
        self.outbox.choked().is_cancelled() || self.calls().ended.is_some()
    }

    /// Fails every open call, and every later one: the connection is gone.
    pub fn end(&self, why: &str) {
        let mut calls = self.calls();
        let ended = calls.ended.get_or_insert_with(|| Ended(why.to_owned())).clone();
        for (_, slot) in calls.open.drain() {
            // The call may have been dropped a moment ago.
            let _ = slot.done.send(Err(ended.clone().into()));
        }
    }

    /// Fails the calls that are open, but not later ones.
    fn fail_open(&self, why: &str) {
        for (_, slot) in self.calls().open.drain() {
            let _ = slot.done.send(Err(Ended(why.to_owned()).into()));
        }
    }

    /// Looks at one incoming message. `stream_of` is the token of the call on whose own stream it came; on a
    /// stream that all calls share, a log message belongs to a call only when exactly one is open, and a question
    /// only when all calls are of one client.
    pub fn take(&self, text: &str, stream_of: Option<&str>) -> Taken {
        let head = match Head::parse(text) {
            Ok(head) => head,
            Err(error) => return self.malformed(text, &format!("no JSON-RPC message: {error}")),
        };
        if head.jsonrpc.as_deref().is_some_and(|version| version != "2.0") {
            return self.malformed(text, "not of JSON-RPC 2.0");
        }
        if head.message().is_none() {
            return self.malformed(text, "neither a result nor an error nor a request");
        }
        let owned = |value: Option<&serde_json::value::RawValue>| value.map(ToOwned::to_owned);
        match (head.message(), head.id, head.method) {
            (Some(Message::Response), Some(id), _) => {
                let outcome = match (head.error.filter(|error| error.get() != "null"), head.result) {
                    (Some(error), None) if error.get().starts_with('{') => Err(RpcError(error.to_owned())),
                    // Some servers write a result of null beside the error.
                    (Some(error), Some(result)) if result.get() == "null" && error.get().starts_with('{') => {
                        Err(RpcError(error.to_owned()))
                    }
                    (None, Some(result)) => Ok(result.to_owned()),
                    (Some(_), Some(_)) => return self.malformed(text, "both a result and an error"),
                    (Some(_), None) => return self.malformed(text, "its error is no object"),
                    (None, None) => return self.malformed(text, "neither a result nor an error"),
                };
                let taken = self.answered(id.get(), outcome);
                if taken == Taken::Rest {
                    self.greeted(text);
                }
                taken
            }
            (Some(Message::Request), Some(id), Some(method)) if method != "ping" => {
                let method = method.into_owned();
                let question = Note::Question { id: id.to_owned(), method, params: owned(head.params) };
                if let Err(Note::Question { id, method, .. }) = self.note(stream_of, question) {
                    let method: String = method.chars().take(METHOD_SHOWN).collect();
                    let error = RpcError::new(
                        RpcError::METHOD_NOT_FOUND,
                        &format!("{method}: no single call is open that this could belong to"),
                    );
                    self.outbox.answer(&id, Err(error));
                }
                Taken::Ours
            }
            (Some(Message::Notification), _, Some(method)) => match method.as_ref() {
                "notifications/progress" => self.progress(head.params),
                "notifications/message" => {
                    let method = method.into_owned();
                    // Without a call it belongs to, nobody here reads a server's log messages.
                    let _ = self.note(stream_of, Note::Notification { method, params: owned(head.params) });
                    Taken::Ours
                }
                other if stream_of.is_some() && !is_of_connection(other) => {
                    let method = method.into_owned();
                    let _ = self.note(stream_of, Note::Notification { method, params: owned(head.params) });
                    Taken::Ours
                }
                _ => Taken::Rest,
            },
            _ => Taken::Rest,
        }
    }

    fn answered(&self, id: &str, outcome: Result<Raw, RpcError>) -> Taken {
        let Ok(token) = serde_json::from_str::<String>(id) else {
            // Numbers are ids of rmcp's own requests; it drops what it did not ask.
            if id.parse::<u64>().is_err() {
                self.rejections.count(Reason::UnknownId);
            }
            return Taken::Rest;
        };
        match self.calls().open.remove(&token) {
            Some(slot) => {
                let _ = slot.done.send(Ok(outcome));
                Taken::Ours
            }
            // The late answer to a call that was cancelled.
            None if self.was_given(&token) => Taken::Ours,
            None => {
                self.rejections.count(Reason::UnknownId);
                Taken::Rest
            }
        }
    }

    /// Whether some call of this connection had that token.
    fn was_given(&self, token: &str) -> bool {
        let number = token.strip_prefix('p').and_then(|number| number.parse::<u64>().ok());
        number.is_some_and(|number| number < self.next.load(Ordering::Relaxed))
    }

    /// Counts a text that is no message. Where it names an open call, that call has its answer: it is none.
    fn malformed(&self, text: &str, why: &str) -> Taken {
        let Ok(fields) = Fields::parse(text) else {
            self.rejections.count(Reason::of_unreadable(text));
            return Taken::Rest;
        };
        self.rejections.count(Reason::WrongShape);
        let slot = fields.get_str("id").and_then(|token| self.calls().open.remove(&token));
        let Some(slot) = slot else { return Taken::Rest };
        let _ = slot.done.send(Err(Unanswered::Malformed(why.to_owned())));
        Taken::Ours
    }

    /// Answers the call `token`: its transport has said so without an answer that names the call.
    pub fn answer(&self, token: &str, outcome: Result<Raw, RpcError>) {
        if let Some(slot) = self.calls().open.remove(token) {
            let _ = slot.done.send(Ok(outcome));
        }
    }

    /// A message that was too long to read was dropped: fails the call whose answer it was; when its `start`
    /// does not say which, all that are open.
    pub fn oversized(&self, start: &str, why: &str) {
        self.rejections.count(Reason::TooLarge);
        let token = start.split_once("\"id\"").and_then(|(_, rest)| rest.split('"').nth(1));
        let slot = token.and_then(|token| self.calls().open.remove(token));
        match slot {
            Some(slot) => {
                let _ = slot.done.send(Err(Ended(why.to_owned()).into()));
            }
            None => self.fail_open(why),
        }
    }

    fn progress(&self, params: Option<&serde_json::value::RawValue>) -> Taken {
        let Ok(mut fields) = Fields::of(params) else { return Taken::Rest };
        let Some(token) = fields.get_str("progressToken") else { return Taken::Rest };
        let calls = self.calls();
        let Some(slot) = calls.open.get(&token) else {
            return if token.starts_with('p') { Taken::Ours } else { Taken::Rest };
        };
        if let Some(client_token) = &slot.client_token {
            fields.set("progressToken", client_token.clone());
            let method = "notifications/progress".to_owned();
            // Full: the client reads more slowly than the server reports, and progress may be skipped.
            let _ = slot.pass(Note::Notification { method, params: Some(fields.to_raw()) });
        }
        Taken::Ours
    }

    /// Hands the note to the call it belongs to, or back when there is none or it cannot take more.
    fn note(&self, stream_of: Option<&str>, note: Note) -> Result<(), Note> {
        let mut calls = self.calls();
        let of_one_client = self.of_one_client.load(Ordering::Relaxed);
        let is_question = matches!(note, Note::Question { .. });
        let is_early = stream_of.is_none() && calls.open.is_empty() && is_question;
        if is_early && of_one_client && calls.early.len() < EARLY {
            calls.early.push(note);
            return Ok(());
        }
        let slot = match stream_of {
            Some(token) => calls.open.get(token),
            // Whoever calls at this moment need not be whom it means.
            None if is_question && !of_one_client => None,
            None if calls.users == Users::Many && !of_one_client => None,
            None if calls.open.len() == 1 => calls.open.values().next(),
            // The newest: tokens are numbers behind a letter.
            None if of_one_client => {
                let newest = calls.open.iter().max_by_key(|(token, _)| (token.len(), *token));
                newest.map(|(_, slot)| slot)
            }
            None => None,
        };
        let Some(slot) = slot else { return Err(note) };
        slot.pass(note)
    }
}

impl Slot {
    /// Back when the call has more waiting than it may. One alone may be as large as it likes.
    fn pass(&self, note: Note) -> Result<(), Note> {
        let (bytes, waiting) = (note.bytes(), self.waiting.load(Ordering::Relaxed));
        if waiting > 0 && waiting + bytes > NOTE_BYTES {
            return Err(note);
        }
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        self.notes.try_send(note).map_err(|refused| {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            refused.into_inner()
        })
    }
}

/// Notifications that are about the connection even when they come on a call's own stream.
fn is_of_connection(method: &str) -> bool {
    method.ends_with("/list_changed")
        || matches!(
            method,
            // A client knows its tasks by other ids.
            "notifications/cancelled" | "notifications/resources/updated" | "notifications/tasks/status"
        )
        || method.starts_with("notifications/subscriptions/")
}

impl Table {
    /// Whether the call still waits.
    pub fn is_open(&self, token: &str) -> bool {
        self.calls().open.contains_key(token)
    }
}

/// A request as text.
pub fn request(token: &str, method: &str, params: Option<&Raw>) -> String {
    let (id, method) = (string(token), string(method));
    match params {
        Some(params) => format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":{},"params":{}}}"#,
            id.get(),
            method.get(),
            params.get()
        ),
        None => format!(r#"{{"jsonrpc":"2.0","id":{},"method":{}}}"#, id.get(), method.get()),
    }
}

#[cfg(test)]
mod tests;
