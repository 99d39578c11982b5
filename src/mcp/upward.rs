//! What reaches the client while its request is open: progress, log messages, questions.

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rmcp::{
    RoleServer,
    model::{ClientResult, CustomRequest, ServerNotification, ServerRequest},
    service::{Peer, RequestContext},
};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::outgoing::WayOut;
use crate::gateway::wire::{Era, Raw, RpcError, Up, carrier, text::Fields};

/// What may be sent up while one request is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) era: Era,
    /// Least severe log message that is sent; `None` sends none.
    pub(super) level: Option<Level>,
}

/// Severity of log messages, least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "notice" => Self::Notice,
            "warning" => Self::Warning,
            "error" => Self::Error,
            "critical" => Self::Critical,
            "alert" => Self::Alert,
            "emergency" => Self::Emergency,
            _ => return None,
        })
    }
}

/// Waits for the answer and sends up what comes before it, in its order. Everything happens in the calling
/// task: rmcp finds the stream of a question by it.
pub(super) async fn drive(
    context: &RequestContext<RoleServer>,
    limits: Limits,
    mut from: mpsc::Receiver<Up>,
    way_out: &WayOut,
    answer: BoxFuture<'_, Result<Raw, RpcError>>,
) -> Result<Raw, RpcError> {
    let mut answer = std::pin::pin!(answer);
    let mut questions = FuturesUnordered::new();
    let mut open = true;
    let answer = loop {
        tokio::select! {
            biased;
            () = context.ct.cancelled() => {
                return Err(RpcError::new(RpcError::INTERNAL, "the request was cancelled"));
            }
            up = from.recv(), if open => match up {
                Some(Up::Note { method, params }) => {
                    note(&context.peer, limits, &method, params.map(|params| way_out.take(params))).await;
                }
                Some(Up::Ask { method, params, reply }) => {
                    questions.push(ask(&context.peer, limits.era, method, params.map(|params| way_out.take(params)), reply));
                }
                None => open = false,
            },
            answer = &mut answer => break answer,
            Some(()) = questions.next() => {}
        }
    };
    // What was sent in the same moment as the answer still comes before it.
    while let Ok(up) = from.try_recv() {
        if let Up::Note { method, params } = up {
            note(&context.peer, limits, &method, params.map(|params| way_out.take(params))).await;
        }
    }
    answer
}

async fn note(peer: &Peer<RoleServer>, limits: Limits, method: &str, params: Option<Raw>) {
    if method == "notifications/message" && !wanted(limits.level, params.as_deref()) {
        return;
    }
    let notification = if method == "notifications/progress" {
        let Some(progress) = params.as_deref().and_then(carrier::progress) else { return };
        ServerNotification::ProgressNotification(rmcp::model::ProgressNotification::new(progress))
    } else {
        ServerNotification::CustomNotification(carrier::note(method, params.as_deref()))
    };
    if let Err(error) = peer.send_notification(notification).await {
        tracing::debug!(%error, method, "a notification did not reach the client");
    }
}

/// Whether a log message is as severe as the client asked for. One without a known level is.
fn wanted(least: Option<Level>, params: Option<&RawValue>) -> bool {
    let Some(least) = least else { return false };
    let level = Fields::of(params).ok().and_then(|params| Level::parse(&params.get_str("level")?));
    level.is_none_or(|level| level >= least)
}

async fn ask(
    peer: &Peer<RoleServer>,
    era: Era,
    method: String,
    params: Option<Raw>,
    reply: oneshot::Sender<Result<Raw, RpcError>>,
) {
    let answer = match era {
        Era::Legacy => asked(peer, carrier::ask(&method, params.as_deref())).await,
        // There are no questions to modern clients; the gateway turns them into results.
        Era::Modern => Err(RpcError::new(
            RpcError::METHOD_NOT_FOUND,
            &format!("modern clients cannot be asked {method}"),
        )),
    };
    if reply.send(answer).is_err() {
        tracing::debug!(method, "nobody waits for the client's answer any more");
    }
}

async fn asked(peer: &Peer<RoleServer>, question: CustomRequest) -> Result<Raw, RpcError> {
    match peer.send_request(ServerRequest::CustomRequest(question)).await {
        Ok(ClientResult::CustomResult(answer)) => carrier::answer(&answer),
        Ok(_) => Err(RpcError::new(RpcError::INTERNAL, "the client's answer did not come as it was sent")),
        Err(error) => Err(RpcError::new(
            RpcError::INTERNAL,
            &format!("the client did not answer the question: {error}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, wanted};
    use crate::gateway::wire::text::raw;

    #[test]
    fn log_messages_below_the_level_are_not_wanted() {
        let message = raw(&serde_json::json!({"level": "info", "data": 1}));
        assert!(wanted(Some(Level::Debug), Some(&message)));
        assert!(wanted(Some(Level::Info), Some(&message)));
        assert!(!wanted(Some(Level::Warning), Some(&message)));
        assert!(!wanted(None, Some(&message)));
        assert!(wanted(Some(Level::Emergency), None));
    }
}
