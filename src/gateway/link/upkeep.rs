//! What goes on beside the calls while a connection is open: messages that need no answer, the subscription to
//! changes, and its end.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use rmcp::model::{ServerCapabilities, SubscriptionFilter};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{
    Way,
    ear::{News, Running, Teller},
    http::HttpWay,
    listener::{Heard, Listener, Over},
    process::Process,
};
use crate::gateway::wire::table::Table;

/// For the acknowledgement of `subscriptions/listen`; the lists are read anyway.
const LISTEN_WITHIN: Duration = Duration::from_secs(1);
/// Before a broken subscription is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);
/// Notifications on their way to one server at once.
const LETTERS: usize = 8;
const CHOKED: &str = "it asks without end and does not read the answers";
/// For saying goodbye to a server.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Sends cancellations and answers to questions; ends with the table.
pub(super) async fn write_letters(way: Way, letters: mpsc::Receiver<String>) {
    let letters = ReceiverStream::new(letters);
    match way {
        Way::Lines(pen) => {
            let mut letters = letters;
            while let Some(text) = letters.next().await {
                if pen.write(text).await.is_err() {
                    return;
                }
            }
        }
        Way::Http(way) => letters.for_each_concurrent(LETTERS, |text| way.tell(text)).await,
        Way::Sse(way) => {
            let way = &way;
            let tell = |text| async move {
                if let Err(fault) = way.post(text).await {
                    tracing::debug!(%fault, "a notification did not get through");
                }
            };
            letters.for_each_concurrent(LETTERS, tell).await;
        }
    }
}

/// Subscribes to a modern server's changes; returns when it has agreed, or has had long enough.
pub(super) async fn subscribe(
    listener: Listener,
    capabilities: &ServerCapabilities,
    teller: Teller,
    closing: CancellationToken,
) {
    let of = |change: Option<bool>| change == Some(true);
    let mut filter = SubscriptionFilter::builder();
    let tools = capabilities.tools.as_ref().is_some_and(|tools| of(tools.list_changed));
    let prompts = capabilities.prompts.as_ref().is_some_and(|prompts| of(prompts.list_changed));
    let resources = capabilities.resources.as_ref().is_some_and(|resources| of(resources.list_changed));
    if tools {
        filter = filter.tools_list_changed();
    }
    if prompts {
        filter = filter.prompts_list_changed();
    }
    if resources {
        filter = filter.resources_list_changed();
    }
    if !(tools || prompts || resources) {
        return;
    }
    let (agreed, agreement) = oneshot::channel();
    tokio::spawn(closing.run_until_cancelled_owned(listen(listener, filter.build(), teller, agreed)));
    // Late or never: the lists are read all the same.
    let _ = tokio::time::timeout(LISTEN_WITHIN, agreement).await;
}

async fn listen(listener: Listener, filter: SubscriptionFilter, teller: Teller, agreed: oneshot::Sender<()>) {
    let mut agreed = Some(agreed);
    loop {
        let mut heard = |heard: Heard| match (heard, agreed.take()) {
            // The one who opens the link may have stopped waiting.
            (Heard::Agreed, Some(agreed)) => drop(agreed.send(())),
            (Heard::Agreed | Heard::Changed | Heard::Updated(_), _) => teller.hint(News::Changed),
        };
        match listener.listen(filter.clone(), &mut heard).await {
            Over::Gone => return,
            Over::Refused(why) => {
                tracing::debug!(why, "a server does not tell its changes");
                return;
            }
            Over::Broken(why) => {
                tracing::debug!(why, "a subscription ended");
                teller.hint(News::Doubtful);
            }
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// Ends the session of a connection over Streamable HTTP that nobody needs any more.
pub(super) async fn keep_session(way: HttpWay, closing: CancellationToken) {
    closing.cancelled().await;
    // A server that does not take the goodbye goes without.
    let _ = tokio::time::timeout(CLOSE_WITHIN, Box::pin(way.leave())).await;
}

/// Tells when the server asks without end and does not read the answers; the calls that run may still end.
pub(super) async fn watch(choked: CancellationToken, teller: Teller) {
    choked.cancelled().await;
    teller.ended(CHOKED.to_owned());
}

/// Holds a connection until it ends or nobody needs it any more, then ends what belongs to it: also the calls
/// that share its stream.
pub(super) async fn keep(
    running: Running,
    (shared, choked): (Option<Arc<Table>>, CancellationToken),
    closing: CancellationToken,
    teller: Teller,
    mut process: Option<Process>,
) {
    let rmcp = running.cancellation_token();
    let mut ended = std::pin::pin!(running.waiting());
    let exited = async {
        match &mut process {
            Some(process) => process.exited().await,
            None => std::future::pending().await,
        }
    };
    let (why, over) = tokio::select! {
        biased;
        () = closing.cancelled() => (None, false),
        why = exited => (Some(why), false),
        () = choked.cancelled() => (Some(CHOKED.to_owned()), false),
        _ = &mut ended => (Some("it closed the connection".to_owned()), true),
    };
    if let Some(table) = shared {
        table.end(why.as_deref().unwrap_or("pilothouse closed the connection"));
    }
    if !over {
        rmcp.cancel();
        // A server that does not take the goodbye goes without.
        let _ = tokio::time::timeout(CLOSE_WITHIN, ended).await;
    }
    if let Some(process) = process {
        process.end().await;
    }
    if let Some(why) = why {
        teller.ended(why);
    }
}
