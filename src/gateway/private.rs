//! Connections of one client alone: its own session with a server that keeps something for each, or asks.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Semaphore, mpsc};

use super::{
    Request,
    client::Client,
    downstream::ServerName,
    link::{self, Dialer, Link, Place},
    seats::Seats,
    sessions::Sessions,
    wire::Era,
};

/// Connections of one client each to one downstream; further clients share one, and cannot be asked.
const MOST: usize = 1_000;

/// What opening a connection takes. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Opener {
    pub(super) dialer: Arc<Dialer>,
    /// Handshakes at once, of all downstreams together.
    pub(super) handshakes: Arc<Semaphore>,
    /// Of modern clients.
    pub(super) sessions: Sessions,
}

/// Those of one downstream that are open. They belong to the sessions that have their seats on them.
#[derive(Debug, Default)]
pub(super) struct Privates(Mutex<Vec<Weak<Link>>>);

impl Privates {
    fn with<T>(&self, look: impl FnOnce(&mut Vec<Weak<Link>>) -> T) -> T {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        look(&mut links)
    }

    pub(super) fn is_full(&self) -> bool {
        self.with(|links| links.len() >= MOST)
    }

    pub(super) fn push(&self, link: &Arc<Link>) {
        self.with(|links| links.push(Arc::downgrade(link)));
    }

    /// Those whose place is none of `places` any more, each once.
    pub(super) fn leaving(&self, places: &[Place]) -> Vec<Arc<Link>> {
        let leaves = |link: &Arc<Link>| !places.contains(&link.place) && link.begins_to_leave();
        self.with(|links| links.iter().filter_map(Weak::upgrade).filter(leaves).collect())
    }
}

impl Opener {
    /// The seats on which a connection of the asking client alone is kept.
    pub(super) fn seats(&self, request: &Request) -> Option<Arc<Seats>> {
        let seats = request.seats.as_ref()?;
        let client = seats.client()?;
        Some(match request.era {
            Era::Legacy => seats.clone(),
            Era::Modern => self.sessions.of(&request.server, client),
        })
    }

    /// # Errors
    /// One sentence: why it cannot be opened.
    pub(super) async fn open(
        &self,
        server: &ServerName,
        place: &Place,
        client: &Client,
    ) -> Result<Arc<Link>, String> {
        let _turn = self.handshakes.acquire().await.map_err(|_| "pilothouse ends".to_owned())?;
        // The shared connection hears of changed lists.
        let (teller, _) = mpsc::channel(1);
        let opening = link::open(server, place, Some(Era::Legacy), &self.dialer, teller, Some(client));
        Ok(Arc::new(opening.await?))
    }
}
