//! One process for all clients, kept warm: `--shared`.
//!
//! Each `initialize` gets the answer that the process gave to ours, and a session id that nothing is kept under: any
//! pod takes the next request. Requests go under numbers of ours, so that clients may use the same ids.

mod http;
mod names;
mod process;

pub(super) use self::{
    http::{answer, router},
    process::Cold,
};

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, Stream, StreamExt};
use serde_json::value::RawValue;
use tokio::{
    sync::{Notify, broadcast},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::{names::Names, process::Process};
use super::{
    exchange::{Hears, plain},
    session::{Refused, Said, envelope},
    sessions::Sessions,
};
use crate::gateway::wire::text::Head;

/// What whoever asked is told when the process has ended.
pub(super) const ADVICE: &str = "another is started, see whether it was done before you ask again";

/// Notifications that wait for a client that does not read; the oldest are dropped for new ones.
const UNREAD: usize = 64;
/// Before a process that ended is started again, doubled each time up to the second.
const REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// One that lived so long was well: the next is started at once.
const WELL_AFTER: Duration = Duration::from_secs(10);
/// Whoever asks so soon after a failure hears of that one.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Shared {
    sessions: Arc<Sessions>,
    /// Held while one is started, so that there is one.
    slot: tokio::sync::Mutex<Slot>,
    started: Notify,
    numbers: AtomicU64,
    open: Mutex<HashMap<Known, u64>>,
    said: broadcast::Sender<String>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Slot {
    process: Option<Process>,
    failed: Option<(Instant, String)>,
}

/// A client's session and what it calls a request.
type Known = (String, String);

/// Why a request is not asked.
enum NotAsked {
    Cold(Cold),
    IdInUse,
    Params(serde_json::Error),
}

impl Shared {
    /// `sessions` is used for nothing else.
    pub(super) fn new(sessions: Arc<Sessions>, stop: CancellationToken) -> Self {
        Self {
            sessions,
            slot: tokio::sync::Mutex::default(),
            started: Notify::new(),
            // 0 is our own initialize.
            numbers: AtomicU64::new(1),
            open: Mutex::default(),
            said: broadcast::Sender::new(UNREAD),
            stop,
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Known, u64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process and attends to it; starts the next when it ends. Returns after `stop`.
    pub(super) async fn keep_warm(self: Arc<Self>) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.keep_on()).await;
    }

    async fn keep_on(&self) {
        let mut rest = REST;
        loop {
            let begun = Instant::now();
            match self.process().await {
                Ok(process) => {
                    // That this one was started is known.
                    let _ = self.started.notified().now_or_never();
                    process.attend(&self.said).await;
                }
                Err(error) => tracing::warn!(%error, "the server is not running; it is tried again"),
            }
            rest = if begun.elapsed() > WELL_AFTER { REST } else { LONGEST_REST.min(rest * 2) };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                // Somebody could not wait for it.
                () = self.started.notified() => {}
            }
        }
    }

    /// The process; it is started when there is none.
    async fn process(&self) -> Result<Process, Cold> {
        let mut slot = self.slot.lock().await;
        if let Some(process) = slot.process.as_ref().filter(|process| !process.has_ended()) {
            return Ok(process.clone());
        }
        if let Some((at, why)) = &slot.failed
            && at.elapsed() < FAILURE_HOLDS
        {
            return Err(Cold::AsBefore(why.clone()));
        }
        slot.process = None;
        match Process::start(&self.sessions).await {
            Ok(process) => {
                slot.process = Some(process.clone());
                slot.failed = None;
                self.started.notify_one();
                Ok(process)
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.to_string()));
                Err(error)
            }
        }
    }

    /// Whether the server knows no handshake: it speaks nothing before 2026-07-28.
    pub(super) async fn is_modern(&self) -> Result<bool, Cold> {
        Ok(self.process().await?.greeting.is_none())
    }

    /// Asks for `client`, whose ids are its own; a client without a session has no name, and cannot cancel.
    async fn ask(
        self: &Arc<Self>,
        client: Option<&str>,
        id: &RawValue,
        head: &Head<'_>,
        text: &str,
        streams: bool,
    ) -> Result<impl Stream<Item = Said> + Send + use<>, NotAsked> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (text, names) = Names::exchange(id, head, text, number).map_err(NotAsked::Params)?;
        let noted = client.map(|client| self.note((client.to_owned(), plain(id)), number)).transpose()?;
        let hears = if streams { Hears::Progress } else { Hears::Nothing };
        // The first may have ended without anybody having noticed; it was not given the request then.
        for _ in 0..2 {
            let process = self.process().await.map_err(NotAsked::Cold)?;
            let Ok(head) = envelope(&text) else { break };
            let Some(id) = head.id else { break };
            match process.session().ask(id, &head, &text, hears).await {
                Ok(asked) => {
                    return Ok(asked.into_stream().map(move |Said { text, last }| {
                        let _held = (&process, &noted);
                        Said { text: names.restore(text, last), last }
                    }));
                }
                Err(Refused::IdInUse) => return Err(NotAsked::IdInUse),
                Err(Refused::Ended) => {}
            }
        }
        Err(NotAsked::Cold(Cold::Ended))
    }

    fn note(self: &Arc<Self>, known: Known, number: u64) -> Result<Noted, NotAsked> {
        let mut open = self.open();
        if open.contains_key(&known) {
            return Err(NotAsked::IdInUse);
        }
        open.insert(known.clone(), number);
        drop(open);
        Ok(Noted { shared: Arc::clone(self), known })
    }

    /// Hands on what needs no answer, unless it is about what clients do not have here.
    async fn tell(&self, client: Option<&str>, head: &Head<'_>, text: &str) {
        let told = match head.method.as_deref() {
            // Ours was said when the process was started, and it cannot ask for roots.
            Some("notifications/initialized" | "notifications/roots/list_changed") | None => return,
            Some("notifications/cancelled") => {
                let known = client.zip(names::cancelled(head));
                let known = known.map(|(client, id)| (client.to_owned(), plain(&id)));
                let Some(number) = known.and_then(|known| self.open().get(&known).copied()) else { return };
                names::cancellation(head, text, number)
            }
            Some(_) => Ok(text.to_owned()),
        };
        let process = self.slot.lock().await.process.clone();
        if let (Ok(text), Some(process)) = (told, process)
            && process.say(&text).await.is_err()
        {
            tracing::debug!("a notification came too late for its process");
        }
    }
}

/// That a client's request is open.
struct Noted {
    shared: Arc<Shared>,
    known: Known,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.shared.open().remove(&self.known);
    }
}
