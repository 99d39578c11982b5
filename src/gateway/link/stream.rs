//! The stream that a legacy server keeps open for what belongs to no request: opened, read, opened again.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use reqwest::Response;
use tokio::sync::oneshot;

use super::{
    Fault, LARGEST,
    ear::{News, Teller},
    http::{HttpWay, is_stream, reasons},
};
use crate::gateway::wire::{
    events::{Event, Events},
    table::{Table, Taken},
};

/// Before a stream that broke is opened again, where the server does not say; doubled each time it cannot be opened.
const AGAIN: Duration = Duration::from_secs(1);
/// Most of that, whatever the server says.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);

/// How often a stream that was never open is tried again.
const FIRST_TRIES: u32 = 5;
/// Messages that are read in one go. Whoever sends more of them at once is read after a short rest, so that a flood
/// takes no time from others: what is not read the server must hold back.
const AT_ONCE: usize = 32;
const REST: Duration = Duration::from_millis(2);

/// Counts messages of one stream, and rests after so many.
#[derive(Debug, Default)]
pub(super) struct Pace(usize);

impl Pace {
    pub(super) async fn keep(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(AT_ONCE) {
            tokio::time::sleep(REST).await;
        }
    }
}

/// What is remembered from one opening to the next.
#[derive(Debug, Default)]
struct Bookmark {
    /// The last event that came.
    last: Option<String>,
    /// What the server wants to be waited.
    retry: Option<Duration>,
    failures: u32,
}

impl Bookmark {
    fn pause(&self) -> Duration {
        let doubled = AGAIN.saturating_mul(2_u32.saturating_pow(self.failures));
        self.retry.unwrap_or(doubled).min(AGAIN_WITHIN)
    }

    fn turn(&mut self, id: Option<String>, retry: Option<u64>) {
        self.last = id.or(self.last.take());
        self.retry = retry.map(Duration::from_millis).or(self.retry);
    }
}

/// Why there is no stream.
enum Closed {
    /// The server has none to offer.
    NotOffered,
    Failed(String),
}

/// Keeps the stream open until it is dropped, or the server says that it has none. `settled` is told as soon as the
/// server has answered: what it says on a stream that is not there is lost, questions too.
pub(super) async fn hold(way: HttpWay, table: Arc<Table>, teller: Teller, settled: oneshot::Sender<()>) {
    let mut settled = Some(settled);
    let mut bookmark = Bookmark::default();
    let mut was_open = false;
    loop {
        // Boxed: what opening takes is not kept while the stream is open.
        let opened = Box::pin(open(&way, bookmark.last.as_deref())).await;
        if let Some(settled) = settled.take() {
            // Whoever waited may have waited long enough.
            let _ = settled.send(());
        }
        match opened {
            Ok(response) => {
                if was_open {
                    // Something may have been missed.
                    teller.hint(News::Changed);
                }
                was_open = true;
                bookmark.failures = 0;
                if let Err(why) = read(&way, &table, &teller, response, &mut bookmark).await {
                    tracing::debug!(%why, "the stream of a server broke");
                }
                teller.hint(News::Doubtful);
            }
            Err(Closed::NotOffered) => return,
            Err(Closed::Failed(why)) => {
                tracing::debug!(why, "a server does not open its stream");
                teller.hint(News::Doubtful);
                bookmark.failures = bookmark.failures.saturating_add(1);
                if !was_open && bookmark.failures > FIRST_TRIES {
                    return;
                }
            }
        }
        tokio::time::sleep(bookmark.pause()).await;
    }
}

async fn open(way: &HttpWay, last: Option<&str>) -> Result<Response, Closed> {
    let response = way.listen(last).await.map_err(|fault| Closed::Failed(fault.to_string()))?;
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Err(Closed::NotOffered),
        status if !status.is_success() => {
            Err(Closed::Failed(format!("GET answered HTTP {}", status.as_u16())))
        }
        _ if is_stream(&response) => Ok(response),
        _ => Err(Closed::Failed("GET was not answered by a stream of events".to_owned())),
    }
}

/// Until the stream ends.
async fn read(
    way: &HttpWay,
    table: &Table,
    teller: &Teller,
    mut response: Response,
    bookmark: &mut Bookmark,
) -> Result<(), Fault> {
    let (mut events, mut pace) = (Events::new(LARGEST), Pace::default());
    loop {
        let chunk = response.chunk().await.map_err(|error| Fault::Ended(reasons(&error)))?;
        let Some(chunk) = chunk else { return Ok(()) };
        for Event { name, id, retry, data } in events.push(&chunk)? {
            bookmark.turn(id, retry);
            pace.keep().await;
            if data.is_empty() || name.is_some_and(|name| name != "message") {
                continue;
            }
            if table.take(&data, None) == Taken::Rest
                && let Err(fault) = Box::pin(way.rest(teller, &data)).await
            {
                tracing::debug!(%fault, "a message that is not MCP was skipped");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Bookmark;

    #[test]
    fn the_server_says_how_long_to_wait_and_we_do_otherwise() {
        let mut bookmark = Bookmark::default();
        assert_eq!(bookmark.pause(), Duration::from_secs(1));
        bookmark.failures = 2;
        assert_eq!(bookmark.pause(), Duration::from_secs(4));
        bookmark.failures = 60;
        assert_eq!(bookmark.pause(), Duration::from_secs(10));
        bookmark.turn(None, Some(50));
        assert_eq!(bookmark.pause(), Duration::from_millis(50));
        bookmark.turn(None, Some(u64::MAX));
        assert_eq!(bookmark.pause(), Duration::from_secs(10));
    }

    #[test]
    fn the_last_id_stays_until_another_comes() {
        let mut bookmark = Bookmark::default();
        bookmark.turn(Some("7".to_owned()), None);
        bookmark.turn(None, Some(20));
        assert_eq!((bookmark.last.as_deref(), bookmark.pause()), (Some("7"), Duration::from_millis(20)));
    }
}
