//! The open calls of one connection. A call's token is its JSON-RPC id and, where the client gave one, its
//! progress token. Every incoming message passes [`Table::take`] before rmcp sees it, so that progress,
//! questions and the answer of a call stay in the order in which the server sent them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Raw, RpcError, Up,
    text::{Fields, Head, Message, raw, string},
};

/// How many notes may wait for a slow client before progress is dropped (answers never are).
const NOTES: usize = 256;

/// Questions that may wait for the first call.
const EARLY: usize = 8;

/// Messages that the connection has to send besides its calls: cancellations and answers to questions.
pub type Outbox = mpsc::UnboundedSender<String>;

/// The connection ended, in one sentence: why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended(pub String);

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
    /// What the server declared when it was greeted.
    capabilities: Mutex<Option<Raw>>,
}

#[derive(Debug, Default)]
struct Calls {
    open: HashMap<String, Slot>,
    ended: Option<Ended>,
    /// Questions that came before the first call: of one client's connection only, whose next call gets them.
    early: Vec<Note>,
}

#[derive(Debug)]
struct Slot {
    client_token: Option<Raw>,
    notes: mpsc::Sender<Note>,
    done: oneshot::Sender<Result<Result<Raw, RpcError>, Ended>>,
}

#[derive(Debug)]
enum Note {
    Notification { method: String, params: Option<Raw> },
    Question { id: Raw, method: String, params: Option<Raw> },
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
            capabilities: Mutex::default(),
        }
    }

    /// Notes what a server declares in its answer to the greeting; rmcp would lose what it does not know of it.
    pub fn greeted(&self, text: &str) {
        let noted = || {
            let head = Head::parse(text).ok().filter(|head| head.message() == Some(Message::Response))?;
            let result = head.result.filter(|result| result.get().contains("\"capabilities\""))?;
            Some(Fields::parse(result.get()).ok()?.get("capabilities")?.to_owned())
        };
        if let Some(capabilities) = noted() {
            *self.capabilities.lock().unwrap_or_else(PoisonError::into_inner) = Some(capabilities);
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
        let mut calls = self.calls();
        if let Some(ended) = &calls.ended {
            return Err(ended.clone());
        }
        for question in std::mem::take(&mut calls.early) {
            // There is room: fewer may be early than may wait.
            let _ = notes_in.try_send(question);
        }
        calls.open.insert(token.clone(), Slot { client_token, notes: notes_in, done: done_in });
        drop(calls);
        self.busy.fetch_add(1, Ordering::Relaxed);
        Ok(OpenCall { table: self.clone(), token, notes, done })
    }

    pub fn has_ended(&self) -> bool {
        self.calls().ended.is_some()
    }

    /// Fails every open call, and every later one: the connection is gone.
    pub fn end(&self, why: &str) {
        let mut calls = self.calls();
        let ended = calls.ended.get_or_insert_with(|| Ended(why.to_owned())).clone();
        for (_, slot) in calls.open.drain() {
            // The call may have been dropped a moment ago.
            let _ = slot.done.send(Err(ended.clone()));
        }
    }

    /// Fails the calls that are open, but not later ones.
    fn fail_open(&self, why: &str) {
        for (_, slot) in self.calls().open.drain() {
            let _ = slot.done.send(Err(Ended(why.to_owned())));
        }
    }

    /// Looks at one incoming message. `stream_of` is the token of the call on whose own stream it came; on a
    /// stream that all calls share, a log message belongs to a call only when exactly one is open, and a question
    /// only when all calls are of one client.
    pub fn take(&self, text: &str, stream_of: Option<&str>) -> Taken {
        let Ok(head) = Head::parse(text) else { return Taken::Rest };
        let owned = |value: Option<&serde_json::value::RawValue>| value.map(ToOwned::to_owned);
        match (head.message(), head.id, head.method) {
            (Some(Message::Response), Some(id), _) => {
                let outcome = match (head.error, head.result) {
                    (Some(error), _) if error.get() != "null" => Err(RpcError(error.to_owned())),
                    (_, Some(result)) => Ok(result.to_owned()),
                    (_, None) => return Taken::Rest,
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
                    let error = RpcError::new(
                        RpcError::METHOD_NOT_FOUND,
                        &format!("{method}: no single call is open that this could belong to"),
                    );
                    self.send(&id, Err(error));
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
        let Ok(token) = serde_json::from_str::<String>(id) else { return Taken::Rest };
        match self.calls().open.remove(&token) {
            Some(slot) => {
                let _ = slot.done.send(Ok(outcome));
                Taken::Ours
            }
            // The late answer to a call that was cancelled.
            None if token.starts_with('p') => Taken::Ours,
            None => Taken::Rest,
        }
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
        let token = start.split_once("\"id\"").and_then(|(_, rest)| rest.split('"').nth(1));
        let slot = token.and_then(|token| self.calls().open.remove(token));
        match slot {
            Some(slot) => {
                let _ = slot.done.send(Err(Ended(why.to_owned())));
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
            let _ = slot.notes.try_send(Note::Notification { method, params: Some(fields.to_raw()) });
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
            None if calls.open.len() == 1 => calls.open.values().next(),
            // The newest: tokens are numbers behind a letter.
            None if of_one_client => {
                let newest = calls.open.iter().max_by_key(|(token, _)| (token.len(), *token));
                newest.map(|(_, slot)| slot)
            }
            None => None,
        };
        match slot {
            Some(slot) => slot.notes.try_send(note).map_err(mpsc::error::TrySendError::into_inner),
            None => Err(note),
        }
    }

    /// Answers a question of the server.
    fn send(&self, id: &Raw, answer: Result<Raw, RpcError>) {
        let text = match answer {
            Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{},"result":{}}}"#, id.get(), result.get()),
            Err(error) => format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, id.get(), error.0.get()),
        };
        // A connection that is gone needs no answer.
        let _ = self.outbox.send(text);
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

/// One call that waits for its answer. Dropping it before the answer cancels it at the server.
#[derive(Debug)]
pub struct OpenCall {
    table: Arc<Table>,
    token: String,
    notes: mpsc::Receiver<Note>,
    done: oneshot::Receiver<Result<Result<Raw, RpcError>, Ended>>,
}

impl OpenCall {
    /// Drives `feed` (which sends the request and passes what comes back to [`Table::take`]) until the answer
    /// is there, and hands what comes before it to `up`, in order. A feed that ends without an answer gives
    /// `silent`.
    ///
    /// # Errors
    /// `F` from the feed or when the connection ended; inside `Ok`, the server's own error.
    pub async fn settle<F: From<Ended>>(
        mut self,
        up: &mpsc::Sender<Up>,
        feed: impl Future<Output = Result<(), F>>,
        silent: impl FnOnce() -> F,
    ) -> Result<Result<Raw, RpcError>, F> {
        let mut questions: FuturesUnordered<BoxFuture<'static, (Raw, Result<Raw, RpcError>)>> =
            FuturesUnordered::new();
        let mut feed = std::pin::pin!(feed.fuse());
        let mut fed = false;
        loop {
            tokio::select! {
                biased;
                Some(note) = self.notes.recv() => pass(up, note, &self.table.asking, &mut questions).await,
                outcome = &mut self.done => {
                    while let Ok(note) = self.notes.try_recv() {
                        pass(up, note, &self.table.asking, &mut questions).await;
                    }
                    return match outcome {
                        Ok(outcome) => outcome.map_err(F::from),
                        Err(_) => Err(F::from(Ended("the call was forgotten".to_owned()))),
                    };
                }
                Some((id, answer)) = questions.next(), if !questions.is_empty() => {
                    self.table.send(&id, answer);
                }
                fed_now = &mut feed, if !fed => {
                    fed_now?;
                    fed = true;
                    // What the feed took last is already in the channels; nothing can come after it.
                    if self.table.is_open(&self.token) {
                        return Err(silent());
                    }
                }
            }
        }
    }
}

/// Counts a question until it is answered or forgotten.
struct Asking(Arc<watch::Sender<usize>>);

impl Asking {
    fn begin(count: Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

async fn pass(
    up: &mpsc::Sender<Up>,
    note: Note,
    asking: &Arc<watch::Sender<usize>>,
    questions: &mut FuturesUnordered<BoxFuture<'static, (Raw, Result<Raw, RpcError>)>>,
) {
    let up_note = match note {
        Note::Notification { method, params } => Up::Note { method, params },
        Note::Question { id, method, params } => {
            let (reply, answer) = oneshot::channel();
            let asking = Asking::begin(asking.clone());
            questions.push(
                async move {
                    let _asking = asking;
                    let nobody = || {
                        Err(RpcError::new(
                            RpcError::METHOD_NOT_FOUND,
                            "nobody on the client's side answers this",
                        ))
                    };
                    (id, answer.await.unwrap_or_else(|_| nobody()))
                }
                .boxed(),
            );
            Up::Ask { method, params, reply }
        }
    };
    // A client that does not listen has dropped its end; then the reply's sender is dropped with the question.
    let _ = up.send(up_note).await;
}

impl Table {
    /// Whether the call still waits.
    pub fn is_open(&self, token: &str) -> bool {
        self.calls().open.contains_key(token)
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.table.busy.fetch_sub(1, Ordering::Relaxed);
        let unanswered = self.table.calls().open.remove(&self.token).is_some();
        if unanswered && self.table.cancels.load(Ordering::Relaxed) {
            let params = json!({ "requestId": self.token, "reason": "the client is no longer waiting" });
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}}"#,
                raw(&params).get()
            );
            let _ = self.table.outbox.send(text);
        }
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
