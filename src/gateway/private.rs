//! Connections of one client alone: its own session with a server that keeps something for each, or asks.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{
    Request,
    client::Client,
    downstream::ServerName,
    handshakes::Handshakes,
    link::{self, Dialer, Link, Place},
    seats::Seats,
    sessions::Sessions,
    wire::Era,
};

/// Connections of one client each to one downstream; further clients share one, and cannot be asked.
const MOST: usize = 1_000;
/// The same for the clients of one caller who has a name: nobody uses up what is there for all.
const MOST_OF_ONE: usize = MOST / 4;

/// What opening a connection takes. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Opener {
    pub(super) dialer: Arc<Dialer>,
    pub(super) handshakes: Handshakes,
    /// Of modern clients.
    pub(super) sessions: Sessions,
}

/// Those of one downstream that are open. They belong to the sessions that have their seats on them.
#[derive(Debug, Default)]
pub(super) struct Privates(Mutex<Vec<Private>>);

#[derive(Debug)]
struct Private {
    link: Weak<Link>,
    /// By its mark; absent for one without a name.
    caller: Option<String>,
}

impl Privates {
    fn with<T>(&self, look: impl FnOnce(&mut Vec<Private>) -> T) -> T {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|private| private.link.strong_count() > 0);
        look(&mut links)
    }

    /// Whether no further one is left for this client.
    pub(super) fn is_full(&self, client: &Client) -> bool {
        let caller = client.named();
        self.with(|links| {
            let is_its = |private: &&Private| caller.is_some() && private.caller == caller;
            links.len() >= MOST || links.iter().filter(is_its).count() >= MOST_OF_ONE
        })
    }

    pub(super) fn push(&self, link: &Arc<Link>, client: &Client) {
        let private = Private { link: Arc::downgrade(link), caller: client.named() };
        self.with(|links| links.push(private));
    }

    pub(super) fn all(&self) -> Vec<Arc<Link>> {
        self.with(|links| links.iter().filter_map(|private| private.link.upgrade()).collect())
    }

    /// Those whose place is none of `places` any more, each once.
    pub(super) fn leaving(&self, places: &[Place]) -> Vec<Arc<Link>> {
        let leaves = |link: &Arc<Link>| !places.contains(&link.place) && link.begins_to_leave();
        self.all().into_iter().filter(leaves).collect()
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
        // The shared connection hears of changed lists.
        let (nobody, _) = link::line();
        let opening = link::open(server, place, Some(Era::Legacy), &self.dialer, nobody, Some(client));
        Ok(Arc::new(self.handshakes.in_turn(opening).await?))
    }
}
