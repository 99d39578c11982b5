//! The ends of a session's streams that HTTP answers are made of.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use rmcp::transport::streamable_http_server::session::ServerSseMessage;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::conversation::Conversation;

/// Reads one stream, until it is over or another reader takes its place.
pub(super) struct Reader {
    conversation: Arc<Conversation>,
    stream: Option<u64>,
    number: u64,
}

impl Reader {
    pub(super) fn new(conversation: Arc<Conversation>, stream: Option<u64>, number: u64) -> Self {
        Self { conversation, stream, number }
    }
}

impl Stream for Reader {
    type Item = ServerSseMessage;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServerSseMessage>> {
        self.conversation.poll_next(self.stream, self.number, cx)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.conversation.detach(self.stream, self.number);
    }
}

/// A stream on which nothing comes, until the session ends.
pub(super) struct Shadow {
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Cancelled with it, so that the session forgets it.
    _gone: DropGuard,
}

impl Shadow {
    pub(super) fn new(ended: CancellationToken) -> Self {
        Self { ended: Box::pin(ended.clone().cancelled_owned()), _gone: ended.drop_guard() }
    }
}

impl Stream for Shadow {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServerSseMessage>> {
        self.ended.as_mut().poll(cx).map(|()| None)
    }
}
