//! A call of a modern client to a legacy server, while it goes from round to round.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::questions::{self, Question};
use crate::gateway::{
    downstream::ServerName,
    link::{Asked, Fault, Link},
    wire::{Era, Raw, RpcError, Up},
};

/// What servers ask at once comes within this time.
const TOGETHER: Duration = Duration::from_millis(30);
/// Messages of the server that wait for the client's next round.
const WAITING: usize = 64;

type Outcome = Result<Result<Raw, RpcError>, Fault>;

/// Dropping it cancels the call at the server.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) link: Arc<Link>,
    up: mpsc::Receiver<Up>,
    done: AbortOnDropHandle<Outcome>,
    asked: BTreeMap<String, Open>,
    /// How many questions it has had.
    count: u32,
    pub(super) round: u32,
}

/// A question that waits for its answer.
#[derive(Debug)]
struct Open {
    question: Question,
    reply: oneshot::Sender<Result<Raw, RpcError>>,
}

/// What a round ends with.
#[derive(Debug)]
pub(super) enum End {
    Answered(Outcome),
    /// These are to be answered.
    Asked(BTreeMap<String, Question>),
}

impl Held {
    /// Sends the call.
    pub(super) fn begin(link: Arc<Link>, method: String, params: Option<Raw>) -> Self {
        let (send, up) = mpsc::channel(WAITING);
        let over = link.clone();
        let call = async move {
            let asked = Asked { method: &method, params: params.as_ref(), era: Era::Modern };
            over.call(asked, &send).await
        };
        let done = AbortOnDropHandle::new(tokio::spawn(call));
        Self { link, up, done, asked: BTreeMap::new(), count: 0, round: 0 }
    }

    pub(super) fn server(&self) -> &ServerName {
        &self.link.place.server
    }

    /// Gives the server the answers that are there; questions without one stay.
    pub(super) fn answer(&mut self, mut responses: BTreeMap<String, Raw>) {
        let open = std::mem::take(&mut self.asked);
        for (key, Open { question, reply }) in open {
            match responses.remove(&key) {
                // A server that does not wait any more needs no answer.
                Some(answer) => drop(reply.send(Ok(answer))),
                None => {
                    self.asked.insert(key, Open { question, reply });
                }
            }
        }
    }

    /// Until the server has answered, or asks. `token` is the progress token of this round.
    pub(super) async fn round(&mut self, up: &mpsc::Sender<Up>, token: Option<&Raw>) -> End {
        self.round += 1;
        let gathered = tokio::time::sleep(TOGETHER);
        tokio::pin!(gathered);
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                said = self.up.recv(), if open => match said {
                    Some(Up::Note { method, params }) => note(up, method, params, token).await,
                    Some(Up::Ask { method, params, reply }) => {
                        if self.asked.is_empty() {
                            gathered.as_mut().reset(tokio::time::Instant::now() + TOGETHER);
                        }
                        self.count += 1;
                        let question = Question { method, params };
                        self.asked.insert(format!("q{}", self.count), Open { question, reply });
                    }
                    None => open = false,
                },
                outcome = &mut self.done => {
                    while let Ok(Up::Note { method, params }) = self.up.try_recv() {
                        note(up, method, params, token).await;
                    }
                    let cut = |error: tokio::task::JoinError| Err(Fault::Ended(error.to_string()));
                    return End::Answered(outcome.unwrap_or_else(cut));
                }
                () = &mut gathered, if !self.asked.is_empty() => {
                    let questions = self.asked.iter();
                    return End::Asked(questions.map(|(key, open)| (key.clone(), open.question.clone())).collect());
                }
            }
        }
    }
}

async fn note(up: &mpsc::Sender<Up>, method: String, params: Option<Raw>, token: Option<&Raw>) {
    let params = if method == "notifications/progress" {
        let Some(params) = questions::progress(params.as_ref(), token) else { return };
        Some(params)
    } else {
        params
    };
    // A client that has left hears nothing.
    let _ = up.send(Up::Note { method, params }).await;
}
