//! The sessions of legacy clients over Streamable HTTP, as rmcp asks for them.
//!
//! rmcp's own keep a task, five channels and a cache for each session, some 40 KB whether anything is said or not. These
//! are a few hundred bytes: messages of the client wait for rmcp in one small channel, messages to it lie in the
//! [log](log::Log) of the stream they belong to until that stream is read.

mod conversation;
mod log;
mod reader;
mod routes;
mod transport;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::Stream;
use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::streamable_http_server::session::{
        RestoreOutcome, ServerSseMessage, SessionId, SessionManager,
    },
};

use conversation::Conversation;
use reader::{Reader, Shadow};
use transport::Door;

/// Why a message does not get to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    #[error("this session is not open: begin with initialize")]
    NotOpen,
    #[error("there is no such stream, or not that much of it any more")]
    NoSuchEvent,
}

/// All sessions of this process.
pub(super) struct Conversations {
    open: Mutex<HashMap<SessionId, Arc<Conversation>>>,
    idle: Duration,
}

impl Conversations {
    /// A session without a request for `idle` ends.
    pub(super) fn new(idle: Duration) -> Self {
        Self { open: Mutex::default(), idle }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Conversation>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &SessionId) -> Result<Arc<Conversation>, Closed> {
        self.open().get(id).cloned().ok_or(Closed::NotOpen)
    }
}

/// What a request for a stream gets: the stream, or one that only shows that the session lives.
type Standalone = futures::future::Either<Reader, Shadow>;

impl SessionManager for Conversations {
    type Error = Closed;
    type Transport = Door;

    async fn create_session(&self) -> Result<(SessionId, Door), Closed> {
        let id: SessionId = uuid::Uuid::new_v4().to_string().into();
        let (conversation, door) = Conversation::begin(self.idle);
        self.open().insert(id.clone(), conversation);
        Ok((id, door))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Closed> {
        self.get(id)?.greet(message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Closed> {
        Ok(self.open().contains_key(id))
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Closed> {
        let closed = self.open().remove(id);
        if let Some(conversation) = closed {
            conversation.end();
        }
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Closed> {
        self.get(id)?.request(message).await
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Closed> {
        self.get(id)?.accept(message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Closed> {
        Ok::<Standalone, Closed>(self.get(id)?.listen())
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Closed> {
        let event = log::EventId::parse(&last_event_id).ok_or(Closed::NoSuchEvent)?;
        self.get(id)?.resume(event)
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Door>, Closed> {
        let mut open = self.open();
        if open.contains_key(&id) {
            return Ok(RestoreOutcome::AlreadyPresent);
        }
        let (conversation, door) = Conversation::begin(self.idle);
        open.insert(id, conversation);
        Ok(RestoreOutcome::Restored(door))
    }
}

#[cfg(test)]
mod tests;
