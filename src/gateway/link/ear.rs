//! What a link tells its runner, and rmcp's handler that hears it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rmcp::{
    ClientHandler,
    model::{
        ClientCapabilities, ClientConfig, Implementation, ProtocolVersion, ResourceUpdatedNotificationParam,
    },
    service::{NotificationContext, RoleClient, RunningService},
};
use tokio::sync::mpsc;

use crate::gateway::{client::Client, wire::eras::TASKS};

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
    /// The resource of that URI has changed.
    Updated(String),
    /// A stream broke: the server may be gone.
    Doubtful,
    /// The connection is over: why.
    Ended(String),
}

/// News that may wait.
const NEWS: usize = 64;

/// The links' end of the line to their runner.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Line {
    news: mpsc::Sender<Told>,
    missed: Arc<AtomicBool>,
}

/// The runner's end.
#[derive(Debug)]
pub(in crate::gateway) struct Hearing {
    news: mpsc::Receiver<Told>,
    missed: Arc<AtomicBool>,
}

pub(in crate::gateway) fn line() -> (Line, Hearing) {
    let (told, news) = mpsc::channel(NEWS);
    let missed = Arc::new(AtomicBool::new(false));
    (Line { news: told, missed: missed.clone() }, Hearing { news, missed })
}

impl Hearing {
    /// The next news, and whether others were missed before it since too many came: anything may have changed then.
    /// Nothing when no link is left to tell any.
    pub(in crate::gateway) async fn next(&mut self) -> Option<(Told, bool)> {
        let told = self.news.recv().await?;
        Some((told, self.missed.swap(false, Ordering::AcqRel)))
    }
}

/// One link's end of the line.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    link: u64,
    runner: Line,
}

impl Teller {
    pub(super) fn new(link: u64, runner: Line) -> Self {
        Self { link, runner }
    }

    /// When the runner has much to read, it hears only that something was missed.
    pub(super) fn hint(&self, news: News) {
        let Line { news: told, missed } = &self.runner;
        if let Err(mpsc::error::TrySendError::Full(news)) = told.try_send(Told { link: self.link, news }) {
            missed.store(true, Ordering::Release);
            // The runner may have read all meanwhile: it looks at the mark with the next news.
            let _ = told.try_send(news);
        }
    }

    pub(super) async fn ended(&self, why: String) {
        // A runner that is gone needs no telling.
        let _ = self.runner.news.send(Told { link: self.link, news: News::Ended(why) }).await;
    }
}

const EVERYTHING: &str = r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{},"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}"#;

/// rmcp's side of an open connection.
pub(super) type Running = RunningService<RoleClient, Ear>;

/// Hears what rmcp hears. Declares what its client can be asked. On a connection that clients share it declares
/// everything, since some servers list a tool only to those who can answer it, or give it a view only for those who can
/// show one; questions there are refused.
#[derive(Debug)]
pub(super) struct Ear {
    teller: Teller,
    capabilities: ClientCapabilities,
    us: Implementation,
}

impl Ear {
    pub(super) fn new(teller: Teller, client: Option<&Client>) -> Self {
        let capabilities = declared(client);
        let named = client.and_then(|client| serde_json::from_str(client.info.as_ref()?.get()).ok());
        let us = named.unwrap_or_else(|| Implementation::new("pilothouse", env!("CARGO_PKG_VERSION")));
        Self { teller, capabilities, us }
    }
}

/// What a connection declares when it opens.
fn declared(client: Option<&Client>) -> ClientCapabilities {
    let said = client.map_or(EVERYTHING, |client| client.capabilities.get());
    let mut declared: ClientCapabilities = serde_json::from_str(said).unwrap_or_default();
    // A session's tasks are others than those that a modern client follows, and the face offers none of them. Modern
    // servers are told with each request.
    if let Some(extensions) = &mut declared.extensions {
        extensions.remove(TASKS);
    }
    declared
}

impl ClientHandler for Ear {
    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.teller.hint(News::Changed);
    }

    async fn on_prompt_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.teller.hint(News::Changed);
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.teller.hint(News::Changed);
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.teller.hint(News::Updated(params.uri));
    }

    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(self.capabilities.clone(), self.us.clone())
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }
}

#[cfg(test)]
mod tests {
    use super::declared;
    use crate::{
        caller::Caller,
        gateway::{client::Client, wire::text::raw},
    };

    #[test]
    fn a_session_is_not_told_of_the_tasks_that_modern_clients_follow() {
        let extensions = serde_json::json!({ "io.modelcontextprotocol/tasks": {}, "a/b": { "x": 1 } });
        let capabilities = raw(&serde_json::json!({ "elicitation": {}, "extensions": extensions }));
        let client = Client::new(Caller::anonymous(), Some(capabilities), None);
        let declared = raw(&declared(Some(&client)));
        assert_eq!(declared.get(), r#"{"extensions":{"a/b":{"x":1}},"elicitation":{}}"#);
    }

    #[test]
    fn a_shared_connection_declares_everything_that_can_be_asked() {
        let declared = declared(None);
        assert!(declared.elicitation.is_some() && declared.sampling.is_some() && declared.roots.is_some());
        assert_eq!(declared.extensions.map(|extensions| extensions.len()), Some(1));
    }
}
