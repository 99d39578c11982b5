//! One open call: what comes before its answer is handed on in order, and its end.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Ended, Note, Table, Unanswered};
use crate::gateway::wire::{Raw, RpcError, Up};

/// One call that waits for its answer. Dropping it before the answer cancels it at the server.
#[derive(Debug)]
pub struct OpenCall {
    pub(super) table: Arc<Table>,
    pub(super) token: String,
    pub(super) notes: mpsc::Receiver<Note>,
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) done: oneshot::Receiver<Result<Result<Raw, RpcError>, Unanswered>>,
}

impl OpenCall {
    /// Drives `feed` (which sends the request and passes what comes back to [`Table::take`]) until the answer
    /// is there, and hands what comes before it to `up`, in order. A feed that ends without an answer gives
    /// `silent`.
    ///
    /// # Errors
    /// `F` from the feed or when the connection ended; inside `Ok`, the server's own error.
    pub async fn settle<F: From<Unanswered>>(
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
                Some(note) = self.notes.recv() => {
                    self.waiting.fetch_sub(note.bytes(), Ordering::Relaxed);
                    pass(up, note, &self.table.asking, &mut questions).await;
                }
                outcome = &mut self.done => {
                    while let Ok(note) = self.notes.try_recv() {
                        pass(up, note, &self.table.asking, &mut questions).await;
                    }
                    return match outcome {
                        Ok(outcome) => outcome.map_err(F::from),
                        Err(_) => Err(F::from(Unanswered::Ended(Ended("the call was forgotten".to_owned())))),
                    };
                }
                Some((id, answer)) = questions.next(), if !questions.is_empty() => {
                    self.table.outbox.answer(&id, answer);
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

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.table.busy.fetch_sub(1, Ordering::Relaxed);
        let unanswered = self.table.calls().open.remove(&self.token).is_some();
        if unanswered && self.table.cancels.load(Ordering::Relaxed) {
            self.table.outbox.cancel(&self.token);
        }
    }
}
