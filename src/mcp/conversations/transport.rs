//! rmcp's end of a session.

use std::{convert::Infallible, future::poll_fn, sync::Arc};

use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::{sync::mpsc, time::Instant};

use super::conversation::{Conversation, Next};

/// Where rmcp hears the client and speaks to it.
pub(in crate::mcp) struct Door {
    conversation: Arc<Conversation>,
    messages: mpsc::Receiver<Box<ClientJsonRpcMessage>>,
}

impl Door {
    pub(super) fn new(
        conversation: Arc<Conversation>,
        messages: mpsc::Receiver<Box<ClientJsonRpcMessage>>,
    ) -> Self {
        Self { conversation, messages }
    }
}

impl Transport<RoleServer> for Door {
    type Error = Infallible;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        // It gets its number now: in the order in which rmcp sends.
        let said = self.conversation.say(item);
        let conversation = self.conversation.clone();
        async move {
            if let Some(stream) = said {
                poll_fn(|cx| conversation.poll_room(stream, cx)).await;
            }
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            let Next::Until(then) = self.conversation.tidy(Instant::now()) else { return None };
            tokio::select! {
                biased;
                message = self.messages.recv() => return message.map(|message| *message),
                () = self.conversation.changed() => {}
                () = tokio::time::sleep_until(then) => {}
            }
        }
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        self.conversation.end();
        Ok(())
    }
}
