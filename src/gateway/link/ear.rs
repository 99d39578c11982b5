//! What a link tells its runner, and rmcp's handler that hears it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rmcp::{
    ClientHandler,
    model::{
        ClientCapabilities, ClientConfig, Implementation, ProtocolVersion, ResourceUpdatedNotificationParam,
    },
    service::{NotificationContext, RoleClient, RunningService},
};
use tokio::sync::Notify;

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

/// What was told and not heard yet. A channel would take two kilobytes of every server, also of those that are silent.
#[derive(Debug, Default)]
struct Post {
    waiting: Mutex<Waiting>,
    rung: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    news: VecDeque<Told>,
    missed: bool,
}

impl Post {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The links' end of the line to their runner.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Line(Arc<Post>);

/// The runner's end.
#[derive(Debug)]
pub(in crate::gateway) struct Hearing(Arc<Post>);

pub(in crate::gateway) fn line() -> (Line, Hearing) {
    let post = Arc::new(Post::default());
    (Line(post.clone()), Hearing(post))
}

impl Line {
    /// When the runner has much to read, it hears only that something was missed.
    fn hint(&self, told: Told) {
        let mut waiting = self.0.waiting();
        if waiting.news.len() < NEWS {
            waiting.news.push_back(told);
        } else {
            waiting.missed = true;
        }
        drop(waiting);
        self.0.rung.notify_one();
    }

    fn must_hear(&self, told: Told) {
        self.0.waiting().news.push_back(told);
        self.0.rung.notify_one();
    }
}

impl Hearing {
    /// The next news, and whether others were missed since too many came: anything may have changed then.
    pub(in crate::gateway) async fn next(&mut self) -> (Told, bool) {
        loop {
            {
                let mut waiting = self.0.waiting();
                if let Some(told) = waiting.news.pop_front() {
                    return (told, std::mem::take(&mut waiting.missed));
                }
            }
            // One that rang meanwhile is not lost: it is kept for whoever waits next.
            self.0.rung.notified().await;
        }
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

    pub(super) fn hint(&self, news: News) {
        self.runner.hint(Told { link: self.link, news });
    }

    /// Once for each link, whatever else waits.
    pub(super) fn ended(&self, why: String) {
        self.runner.must_hear(Told { link: self.link, news: News::Ended(why) });
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
    use futures::FutureExt;

    use super::{NEWS, News, Told, declared, line};
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

    #[tokio::test]
    async fn an_end_is_always_heard_and_hints_that_are_too_many_are_told_as_missed() {
        let (line, mut hearing) = line();
        assert!(hearing.next().now_or_never().is_none());
        for _ in 0..NEWS + 3 {
            line.hint(Told { link: 1, news: News::Changed });
        }
        line.must_hear(Told { link: 2, news: News::Ended("it went".to_owned()) });
        let (first, missed) = hearing.next().await;
        assert!(first.link == 1 && first.news == News::Changed && missed);
        for _ in 1..NEWS {
            assert!(!hearing.next().await.1, "said once");
        }
        let (last, missed) = hearing.next().await;
        assert!(last.news == News::Ended("it went".to_owned()) && !missed);
        assert!(hearing.next().now_or_never().is_none());
    }
}
