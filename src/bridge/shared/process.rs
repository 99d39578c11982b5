//! The one process, its handshake, and what it says to nobody in particular.

use std::sync::Arc;

use serde_json::{Value, json, value::RawValue};
use tokio::sync::broadcast;

use crate::bridge::{
    exchange::Hears,
    one_each::INITIALIZE_LIMIT,
    reply,
    session::{Refused, Session, envelope},
    sessions::{Sessions, StartError, Starting},
};
use crate::gateway::wire::{
    Raw, RpcError,
    text::{self, Message},
};

/// The newest revision with a handshake.
const REVISION: &str = "2025-11-25";
/// The first without one.
const MODERN_REVISION: &str = "2026-07-28";
const NOBODY_TO_ASK: &str =
    "this server is shared by its clients, so it cannot ask one: set gateway.stateless to false";

/// A process that has answered `initialize`, or `server/discover` where it has no handshake. Dropping the last handle ends it.
#[derive(Clone, Debug)]
pub(super) struct Process {
    starting: Arc<Starting>,
    /// The `result` of its answer to `initialize`; nothing where it knows no handshake.
    pub(super) greeting: Option<Raw>,
}

/// Why there is no process.
#[derive(Debug, thiserror::Error)]
pub(in crate::bridge) enum Cold {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the server refused initialize ({0}): see its log")]
    Refused(String),
    #[error("the server ended before it answered initialize: see its log")]
    Ended,
    #[error("the server did not answer initialize in {} s", INITIALIZE_LIMIT.as_secs())]
    Silent,
    #[error("{0}")]
    AsBefore(String),
}

impl Process {
    /// # Errors
    /// When it cannot be started or does not get through its handshake.
    pub(super) async fn start(sessions: &Arc<Sessions>) -> Result<Self, Cold> {
        let starting = sessions.start()?;
        let greeted = tokio::time::timeout(INITIALIZE_LIMIT, greet(&starting.session)).await;
        let greeting = greeted.map_err(|_| Cold::Silent)??;
        Ok(Self { starting: Arc::new(starting), greeting })
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.starting.session
    }

    pub(super) fn has_ended(&self) -> bool {
        self.session().ended.is_cancelled()
    }

    /// Hands on what it says of its own accord and answers what it asks, until it ends. As its only listener, this
    /// also keeps it from becoming idle.
    pub(super) async fn attend(&self, said: &broadcast::Sender<String>) {
        let mut listening = self.session().listen();
        while let Some(text) = listening.next().await {
            let Ok(head) = envelope(&text) else { continue };
            match (head.message(), head.id) {
                (Some(Message::Request), Some(id)) => {
                    let is_ping = head.method.as_deref() == Some("ping");
                    if self.say(&answer_to_question(id, is_ping)).await.is_err() {
                        return;
                    }
                }
                // Nobody may be there to hear it.
                _ => drop(said.send(text)),
            }
        }
    }

    /// Sends what needs no answer.
    pub(super) async fn say(&self, text: &str) -> Result<(), Refused> {
        let Ok(head) = envelope(text) else { return Ok(()) };
        self.session().tell(&head, text).await
    }
}

async fn greet(session: &Arc<Session>) -> Result<Option<Raw>, Cold> {
    let us = json!({ "name": "pilothouse-bridge", "version": env!("CARGO_PKG_VERSION") });
    let params = json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": us });
    let greeting = match asked(session, "initialize", params).await? {
        Ok(greeting) => greeting,
        Err(refusal) => {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": MODERN_REVISION,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": us,
            });
            let discovered = asked(session, "server/discover", json!({ "_meta": meta })).await?;
            return discovered.map(|_| None).map_err(|_| Cold::Refused(refusal));
        }
    };
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let head = envelope(initialized).map_err(|_| Cold::Ended)?;
    session.tell(&head, initialized).await.map_err(|_| Cold::Ended)?;
    Ok(Some(greeting))
}

/// What it answers to a request of ours, the only one that is open.
///
/// # Errors
/// When it ends; inside `Ok`, what it says in its error.
async fn asked(session: &Arc<Session>, method: &str, params: Value) -> Result<Result<Raw, String>, Cold> {
    let text = json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": params }).to_string();
    let head = envelope(&text).map_err(|_| Cold::Ended)?;
    let Some(id) = head.id else { return Err(Cold::Ended) };
    let mut asked = session.ask(id, &head, &text, Hears::Nothing).await.map_err(|_| Cold::Ended)?;
    let answer = asked.next().await.ok_or(Cold::Ended)?.text;
    drop(asked);
    let head = envelope(&answer).map_err(Cold::Refused)?;
    Ok(head.result.map(ToOwned::to_owned).ok_or_else(|| {
        let error = head.error.map(|error| RpcError(error.to_owned()));
        error.and_then(|error| error.message()).unwrap_or_default()
    }))
}

fn answer_to_question(id: &RawValue, is_ping: bool) -> String {
    if is_ping {
        return reply::result_text(id, text::raw(&json!({})));
    }
    reply::error_text(Some(id), RpcError::METHOD_NOT_FOUND, NOBODY_TO_ASK)
}
