//! Sessions with legacy servers that are held for modern clients, which have none themselves: one for each server,
//! caller and set of capabilities, until nobody has used it for a while or it is old.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{client::Client, downstream::ServerName, seats::Seats};

/// How long such a session is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// Since its last call.
    pub idle: Duration,
    /// In all. Calls under way still end in it.
    pub most: Duration,
}

impl Default for Lives {
    fn default() -> Self {
        Self { idle: Duration::from_secs(5 * 60), most: Duration::from_secs(60 * 60) }
    }
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    lives: Lives,
    held: Arc<Mutex<Held<Seats>>>,
}

impl Sessions {
    pub(super) fn new(lives: Lives) -> Self {
        Self { lives, held: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held<Seats>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of this client with that server. Must be called inside a Tokio runtime.
    pub(super) fn of(&self, server: &ServerName, client: &Client) -> Arc<Seats> {
        let key = (server.clone(), client.mark());
        let mut held = self.held();
        let is_first = held.0.is_empty();
        let seats = held.take(key, self.lives, Instant::now(), || Seats::of(client.clone()));
        drop(held);
        if is_first {
            tokio::spawn(self.clone().sweep());
        }
        seats
    }

    /// All that were held with that server.
    pub(super) fn end(&self, server: &ServerName) {
        let over: Vec<_> = self.held().0.extract_if(|(of, _), _| of == server).collect();
        drop(over);
    }

    /// Until none is left.
    async fn sweep(self) {
        let every = (self.lives.idle / 4).max(Duration::from_millis(10));
        loop {
            tokio::time::sleep(every).await;
            let mut held = self.held();
            let over = held.over(self.lives, Instant::now());
            let is_last = held.0.is_empty();
            drop(held);
            // Closing a connection is not done under the lock.
            drop(over);
            if is_last {
                return;
            }
        }
    }
}

type Key = (ServerName, String);

#[derive(Debug)]
struct Held<T>(HashMap<Key, Session<T>>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[derive(Debug)]
struct Session<T> {
    seats: Arc<T>,
    since: Instant,
    last: Instant,
}

impl<T> Held<T> {
    /// One that is too old is left to the calls that it still has.
    fn take(&mut self, key: Key, lives: Lives, now: Instant, make: impl Fn() -> T) -> Arc<T> {
        let fresh = || Session { seats: Arc::new(make()), since: now, last: now };
        let session = self.0.entry(key).or_insert_with(fresh);
        if now.duration_since(session.since) >= lives.most {
            *session = fresh();
        }
        session.last = now;
        session.seats.clone()
    }

    /// Takes out those whose time is over; one that is in use stays until it is not.
    fn over(&mut self, lives: Lives, now: Instant) -> Vec<Arc<T>> {
        let is_over = |_: &Key, session: &mut Session<T>| {
            let Session { seats, since, last } = session;
            if Arc::strong_count(seats) > 1 {
                *last = now;
                return false;
            }
            now.duration_since(*last) >= lives.idle || now.duration_since(*since) >= lives.most
        };
        self.0.extract_if(is_over).map(|(_, session)| session.seats).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use super::{Held, Key, Lives};
    use crate::gateway::ServerName;

    const LIVES: Lives = Lives { idle: Duration::from_secs(60), most: Duration::from_secs(600) };

    fn key(caller: &str) -> Key {
        (ServerName { namespace: "shop".to_owned(), name: "one".to_owned() }, caller.to_owned())
    }

    #[test]
    fn a_caller_finds_its_session_again_and_nobody_else_does() {
        let (mut held, now) = (Held::default(), Instant::now());
        let mut take = |caller: &str| held.take(key(caller), LIVES, now, || caller.to_owned());
        let first = take("ann");
        assert!(Arc::ptr_eq(&first, &take("ann")));
        assert_eq!(*take("bob"), "bob");
    }

    #[test]
    fn a_session_ends_when_nobody_uses_it_and_when_it_is_old() {
        let (mut held, now) = (Held::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let used = held.take(key("ann"), LIVES, now, || 1);
        assert!(held.over(LIVES, at(100)).is_empty(), "a call is under way");
        drop(used);
        assert!(held.over(LIVES, at(130)).is_empty());
        assert_eq!(held.over(LIVES, at(161)).len(), 1);

        let mut at_hand = held.take(key("ann"), LIVES, now, || 1);
        for minute in 1..10 {
            at_hand = held.take(key("ann"), LIVES, at(minute * 60), || 2);
            assert_eq!(*at_hand, 1);
        }
        let next = held.take(key("ann"), LIVES, at(600), || 2);
        assert_eq!((*at_hand, *next), (1, 2), "calls under way keep the old one");
    }
}
