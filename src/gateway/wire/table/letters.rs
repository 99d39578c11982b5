//! What a connection has to send besides its calls, within limits: answers to questions and cancellations.

use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::gateway::wire::{Raw, RpcError, text::raw};

/// Letters that wait for a server which reads slowly. Whoever asks more is left.
const WAITING: usize = 1_024;
/// The longest id of a question, in bytes: it is repeated in the answer.
const LONGEST_ID: usize = 1_024;

/// Takes letters for one connection; the other end sends them.
#[derive(Debug)]
pub struct Outbox {
    letters: mpsc::Sender<String>,
    choked: CancellationToken,
}

impl Outbox {
    pub fn new() -> (Self, mpsc::Receiver<String>) {
        let (letters, sent) = mpsc::channel(WAITING);
        (Self { letters, choked: CancellationToken::new() }, sent)
    }

    /// Cancelled when the server has asked more than it reads answers: the connection is to be ended.
    pub(super) fn choked(&self) -> &CancellationToken {
        &self.choked
    }

    /// Answers a question of the server.
    pub(super) fn answer(&self, id: &Raw, answer: Result<Raw, RpcError>) {
        let id = id.get();
        if id.len() > LONGEST_ID {
            tracing::debug!(bytes = id.len(), "a question whose id is that long is not answered");
            return;
        }
        let text = match answer {
            Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, result.get()),
            Err(error) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{}}}"#, error.0.get()),
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.letters.try_send(text) {
            self.choked.cancel();
        }
        // A connection that is gone needs no answer.
    }

    /// The client of this call no longer waits.
    pub(super) fn cancel(&self, token: &str) {
        let params = json!({ "requestId": token, "reason": "the client is no longer waiting" });
        let params = raw(&params);
        let text =
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}}"#, params.get());
        // Only a courtesy: a server that has so much to read gets one letter less.
        let _ = self.letters.try_send(text);
    }
}
