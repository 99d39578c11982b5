//! Tells clients that their lists changed: only those whose view changed, many changes at once as one.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use rmcp::{
    RoleServer,
    model::ServerNotification,
    service::{Peer, SubscriptionSink},
};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    access::{Access, Look},
    large::Wish,
    view::{Fingerprint, Length, View},
};
use crate::{
    caller::Caller,
    gateway::{
        Catalogue,
        wire::{carrier, text::raw},
    },
};

/// The catalogues as they come, and what each caller may see of them.
#[derive(Clone)]
pub(super) struct Outlook {
    pub(super) catalogues: watch::Receiver<Arc<Catalogue>>,
    pub(super) access: Arc<dyn Access>,
    /// How long a list of tools is for those who do not say.
    pub(super) length: Length,
}

/// The lists as they were at one moment: whatever changes from there on is told.
pub(super) struct Since {
    outlook: Outlook,
    first: Arc<Catalogue>,
}

impl Outlook {
    pub(super) fn since_now(mut self) -> Since {
        let first = self.catalogues.borrow_and_update().clone();
        Since { outlook: self, first }
    }

    /// What the caller sees of the catalogue of this moment; nothing when that cannot be found out.
    async fn look(&mut self, caller: &Caller) -> Option<Fingerprint> {
        let catalogue = self.catalogues.borrow_and_update().clone();
        self.look_at(catalogue, caller).await
    }

    async fn look_at(&self, catalogue: Arc<Catalogue>, caller: &Caller) -> Option<Fingerprint> {
        match self.access.sight(caller, &catalogue, Look::Listening).await {
            Ok(sight) => Some(View::of(catalogue, sight, caller).fingerprint()),
            Err(why) => {
                tracing::warn!(caller = caller.user, why, "a listener is not told of changes for now");
                None
            }
        }
    }

    /// Returns when there may be something new: the catalogue changed, or it is time to look at the caller's rights
    /// again. `false` when no catalogue will follow.
    async fn news(&mut self, caller: &Caller) -> bool {
        let again = async {
            if !caller.is_impersonated() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.access.renewal()).await;
        };
        tokio::select! {
            changed = self.catalogues.changed() => {
                if changed.is_err() {
                    return false;
                }
                tokio::time::sleep(TOGETHER).await;
            }
            () = again => {}
        }
        true
    }
}

/// Changes this close together are told once.
const TOGETHER: Duration = Duration::from_millis(50);

/// A list that clients are told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Tools,
    Prompts,
    Resources,
}

/// Where the news goes.
trait Listener: Send + Sync {
    /// Whether it could be told; `false` ends the telling.
    fn tell(&self, list: List) -> BoxFuture<'_, bool>;
}

/// `length` is that of the client's own list of tools.
fn changed(before: Fingerprint, now: Fingerprint, length: Length) -> impl Iterator<Item = List> {
    [
        (before.tools.listed(length) != now.tools.listed(length), List::Tools),
        (before.prompts != now.prompts, List::Prompts),
        (before.resources != now.resources, List::Resources),
    ]
    .into_iter()
    .filter_map(|(changed, list)| changed.then_some(list))
}

/// The client knows what it could see then; where that cannot be found out, the first look is only remembered.
async fn watch(
    Since { mut outlook, first }: Since,
    (caller, wish): (&Caller, &Wish),
    listener: &impl Listener,
    end: impl Future<Output = ()>,
) {
    let telling = async {
        let mut told = outlook.look_at(first, caller).await;
        while outlook.news(caller).await {
            let Some(now) = outlook.look(caller).await else { continue };
            let length = wish.length().unwrap_or(outlook.length);
            for list in told.into_iter().flat_map(|told| changed(told, now, length)) {
                if !listener.tell(list).await {
                    return;
                }
            }
            told = Some(now);
        }
        // No catalogue will follow; the subscription stays open all the same.
        std::future::pending().await
    };
    tokio::select! { () = telling => {}, () = end => {} }
}

struct Session(Peer<RoleServer>);

impl Listener for Session {
    fn tell(&self, list: List) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let told = match list {
                List::Tools => self.0.notify_tool_list_changed().await,
                List::Prompts => self.0.notify_prompt_list_changed().await,
                List::Resources => self.0.notify_resource_list_changed().await,
            };
            told.is_ok()
        })
    }
}

/// Tells a legacy session until it ends.
pub(super) async fn to_session(
    since: Since,
    (caller, wish): (Caller, Wish),
    peer: Peer<RoleServer>,
    ended: CancellationToken,
) {
    watch(since, (&caller, &wish), &Session(peer), ended.cancelled()).await;
}

/// Tells a client whose session was made again what it could not know: lists may be others, and subscriptions and
/// the log level it set are gone.
pub(super) async fn made_again(peer: Peer<RoleServer>, logs: bool) {
    let listener = Session(peer);
    for list in [List::Tools, List::Prompts, List::Resources] {
        if !listener.tell(list).await {
            return;
        }
    }
    if logs {
        let words = "this session goes on at another replica of pilothouse: subscribe to resources again";
        let params = json!({ "level": "notice", "logger": "pilothouse", "data": words });
        let note = carrier::note("notifications/message", Some(&raw(&params)));
        if let Err(error) = listener.0.send_notification(ServerNotification::CustomNotification(note)).await {
            tracing::debug!(%error, "a client was not told that its session was made again");
        }
    }
}

impl Listener for SubscriptionSink {
    fn tell(&self, list: List) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let accepted = self.accepted();
            let wanted = match list {
                List::Tools => accepted.tools_list_changed,
                List::Prompts => accepted.prompts_list_changed,
                List::Resources => accepted.resources_list_changed,
            };
            if wanted != Some(true) {
                return true;
            }
            let told = match list {
                List::Tools => self.notify_tool_list_changed().await,
                List::Prompts => self.notify_prompt_list_changed().await,
                List::Resources => self.notify_resource_list_changed().await,
            };
            told.is_ok()
        })
    }
}

/// Tells a modern subscription until `end`.
pub(super) async fn to_subscription(
    since: Since,
    (caller, wish): (Caller, Wish),
    sink: &SubscriptionSink,
    end: impl Future<Output = ()>,
) {
    watch(since, (&caller, &wish), sink, end).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use futures::future::BoxFuture;
    use serde_json::json;
    use tokio::sync::{mpsc, watch as channel};

    use super::{Length, List, Listener, Outlook, Wish, watch};
    use crate::{
        caller::Caller,
        gateway::{Catalogue, Entry, Kind, Route, ServerName, wire::text::raw},
        mcp::access::Open,
    };

    struct Told(mpsc::UnboundedSender<List>);

    impl Listener for Told {
        fn tell(&self, list: List) -> BoxFuture<'_, bool> {
            let sent = self.0.send(list).is_ok();
            Box::pin(std::future::ready(sent))
        }
    }

    fn catalogue(names: &[(Kind, &str)]) -> Arc<Catalogue> {
        let entry = |(kind, name): &(Kind, &str)| {
            let raw = raw(&json!({ "name": name }));
            Arc::new(Entry {
                kind: *kind,
                name: (*name).into(),
                raw,
                hash: "0".into(),
                route: Route::Own,
                exposure: Arc::default(),
            })
        };
        Arc::new(Catalogue::new(0, names.iter().map(entry).collect()))
    }

    #[tokio::test]
    async fn each_change_of_the_view_is_told_once_and_an_equal_view_never() {
        let (catalogues, receiver) = channel::channel(catalogue(&[(Kind::Tool, "a")]));
        let outlook = Outlook { catalogues: receiver, access: Arc::new(Open), length: Length::Whole };
        let since = outlook.since_now();
        let (sender, mut told) = mpsc::unbounded_channel();
        let telling = tokio::spawn(async move {
            let client = (&Caller::process(), &Wish::default());
            watch(since, client, &Told(sender), std::future::pending()).await;
        });
        // The task has not run yet: what changes before it does is told all the same.
        catalogues.send_replace(catalogue(&[(Kind::Tool, "a")]));
        catalogues.send_replace(catalogue(&[(Kind::Tool, "b")]));
        catalogues.send_replace(catalogue(&[(Kind::Tool, "c"), (Kind::Prompt, "p")]));
        assert_eq!(told.recv().await, Some(List::Tools));
        assert_eq!(told.recv().await, Some(List::Prompts));

        let more = [(Kind::Tool, "c"), (Kind::Prompt, "p"), (Kind::Resource, "r")];
        catalogues.send_replace(catalogue(&more));
        assert_eq!(told.recv().await, Some(List::Resources));
        catalogues.send_replace(catalogue(&more[..2]));
        assert_eq!(told.recv().await, Some(List::Resources));
        telling.abort();
    }

    #[tokio::test]
    async fn a_client_that_chose_how_long_its_list_is_hears_when_that_list_changes() {
        // What finds and calls tools, and so many of a server.
        let fleet = |count: usize, more: &[(Kind, &str)]| {
            let server = ServerName { namespace: "shop".to_owned(), name: "x".to_owned() };
            let found = [(Kind::Tool, "call_tool"), (Kind::Tool, "search_tools")];
            let own = catalogue(&[&found[..], more].concat());
            let mut entries: Vec<_> =
                own.of_kind(Kind::Tool).chain(own.of_kind(Kind::Prompt)).cloned().collect();
            entries.extend((0..count).map(|number| {
                let name = format!("x_{number}");
                let route = Route::Downstream { server: server.clone().into(), original: name.clone() };
                let raw = raw(&json!({ "name": name }));
                let (kind, hash) = (Kind::Tool, "0".into());
                Arc::new(Entry { kind, name, raw, hash, route, exposure: Arc::default() })
            }));
            Arc::new(Catalogue::new(0, entries))
        };
        let (catalogues, receiver) = channel::channel(fleet(5, &[]));
        let since =
            Outlook { catalogues: receiver, access: Arc::new(Open), length: Length::UpTo(3) }.since_now();
        let (sender, mut told) = mpsc::unbounded_channel();
        let wish = Wish::default();
        let of_client = wish.clone();
        let telling = tokio::spawn(async move {
            let client = (&Caller::process(), &of_client);
            watch(since, client, &Told(sender), std::future::pending()).await;
        });

        // Each prompt comes after what the tools have to say, and shows that they said nothing.
        catalogues.send_replace(fleet(6, &[(Kind::Prompt, "a")]));
        assert_eq!(told.recv().await, Some(List::Prompts), "its list is brief");
        wish.set(Some(Length::Whole));
        catalogues.send_replace(fleet(7, &[(Kind::Prompt, "a")]));
        assert_eq!(told.recv().await, Some(List::Tools));
        wish.set(Some(Length::Brief));
        catalogues.send_replace(fleet(2, &[]));
        assert_eq!(told.recv().await, Some(List::Prompts), "its list is as it was");
        telling.abort();
    }
}
