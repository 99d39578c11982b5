//! The questions of a modern server, put to a legacy client.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::{questions::Question, urls};
use crate::gateway::wire::{Raw, RpcError, Up};

/// For an answer, which a person may have to give.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);

/// All at once, as the server asked them.
///
/// # Errors
/// The client's own error, or ours when nobody answers.
pub(super) async fn all(
    up: &mpsc::Sender<Up>,
    questions: Vec<(String, Question)>,
) -> Result<Vec<(String, Raw)>, RpcError> {
    let answers =
        questions.into_iter().map(|(key, question)| async move { Ok((key, one(up, question).await?)) });
    join_all(answers).await.into_iter().collect()
}

/// For a question that its server gave none.
pub(super) fn new_id() -> String {
    let mut bytes = [0; 16];
    // Without random bytes it is no secret; it need only differ from the others of this client.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        bytes = Timestamp::now().as_nanosecond().to_be_bytes();
    }
    hex::encode(bytes)
}

async fn one(up: &mpsc::Sender<Up>, question: Question) -> Result<Raw, RpcError> {
    let Question { method, params } = urls::with_id(question, new_id);
    let (reply, answer) = oneshot::channel();
    let unanswered = || {
        let message =
            format!("the server asked {method}, and nobody on the client's side answered: call again");
        RpcError::new(RpcError::INTERNAL, &message)
    };
    up.send(Up::Ask { method: method.clone(), params, reply }).await.map_err(|_| unanswered())?;
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Err(unanswered()),
    }
}
