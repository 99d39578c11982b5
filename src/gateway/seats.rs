//! Where the calls of one client's session go, so that what a server keeps between calls is found again.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::join_all;
use serde_json::value::RawValue;

use super::{activity::Activity, client::Client, downstream::ServerName, link::Link};

/// The seats of one session: for each server the connection that its calls go over; for a pool several, where no
/// member answers everything. They are given back when this is dropped.
#[derive(Default)]
pub struct Seats {
    client: Option<Client>,
    /// Least severe log message that it wants.
    level: Mutex<Option<String>>,
    taken: Mutex<BTreeMap<ServerName, Vec<Seat>>>,
    /// Held while a connection of this session alone is opened, one for each server.
    opening: Mutex<BTreeMap<ServerName, Arc<tokio::sync::Mutex<()>>>>,
}

impl fmt::Debug for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seats")
    }
}

/// Holds its connection open, also while the endpoint leaves.
#[derive(Debug)]
struct Seat {
    link: Arc<Link>,
    activity: Arc<Activity>,
}

impl Seats {
    /// Of a client that servers may know: those that keep something for it get a session of its own.
    pub fn of(client: Client) -> Self {
        Self { client: Some(client), ..Self::default() }
    }

    pub(super) fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// To be held while a connection of this session alone to that server is opened.
    pub(super) fn opening(&self, server: &ServerName) -> Arc<tokio::sync::Mutex<()>> {
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        opening.entry(server.clone()).or_default().clone()
    }

    /// From now on it wants log messages of this level and above.
    pub fn set_level(&self, level: &str) {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = Some(level.to_owned());
    }

    pub(super) fn level(&self) -> Option<String> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connection of this session to that server, while it is of use and will do for what is asked.
    pub(super) fn link(&self, server: &ServerName, will_do: impl Fn(&Link) -> bool) -> Option<Arc<Link>> {
        let mut seats = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let seats = seats.get_mut(server)?;
        seats.retain(|seat| !seat.link.is_dead());
        seats.iter().find(|seat| will_do(&seat.link)).map(|seat| seat.link.clone())
    }

    /// Hands a notification of this client to the servers that have a connection for it alone. On a connection that
    /// clients share it would say something of all of them.
    pub async fn tell(&self, method: &str, params: Option<&RawValue>) {
        let links: Vec<_> = {
            let seats = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let links = seats.values().flatten().map(|seat| &seat.link);
            links.filter(|link| link.is_private() && !link.is_dead()).cloned().collect()
        };
        join_all(links.iter().map(|link| link.tell(method, params))).await;
    }

    pub(super) fn take(&self, server: &ServerName, link: Arc<Link>, activity: &Arc<Activity>) {
        link.sit();
        activity.seated(&link);
        let seat = Seat { link, activity: activity.clone() };
        let mut seats = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        seats.entry(server.clone()).or_default().push(seat);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.link.rise();
        self.activity.touch(&self.link.place.server);
    }
}
