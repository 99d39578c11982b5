//! What a link tells its runner, and rmcp's handler that hears it.

use rmcp::{
    ClientHandler,
    model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion},
    service::{NotificationContext, RoleClient, RunningService},
};
use tokio::sync::mpsc;

/// From which link.
#[derive(Debug)]
pub(in crate::gateway) struct Told {
    pub(in crate::gateway) link: u64,
    pub(in crate::gateway) news: News,
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::gateway) enum News {
    /// A list may have changed.
    Changed,
    /// A stream broke: the server may be gone.
    Doubtful,
    /// The connection is over: why.
    Ended(String),
}

/// The link's end of the line to its runner.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    link: u64,
    runner: mpsc::Sender<Told>,
}

impl Teller {
    pub(super) fn new(link: u64, runner: mpsc::Sender<Told>) -> Self {
        Self { link, runner }
    }

    /// May be lost when the runner has much to read; then a list is read again anyway.
    pub(super) fn hint(&self, news: News) {
        let _ = self.runner.try_send(Told { link: self.link, news });
    }

    pub(super) async fn ended(&self, why: String) {
        // A runner that is gone needs no telling.
        let _ = self.runner.send(Told { link: self.link, news: News::Ended(why) }).await;
    }
}

/// rmcp's side of an open connection.
pub(super) type Running = RunningService<RoleClient, Ear>;

/// Hears what rmcp hears. Declares no capabilities: the connection is shared by all clients.
#[derive(Debug)]
pub(super) struct Ear(pub(super) Teller);

impl ClientHandler for Ear {
    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.hint(News::Changed);
    }

    async fn on_prompt_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.hint(News::Changed);
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.hint(News::Changed);
    }

    fn get_info(&self) -> ClientConfig {
        let us = Implementation::new("pilothouse", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), us)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }
}
