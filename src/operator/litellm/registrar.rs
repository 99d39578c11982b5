//! What the servers want of the proxy and how they stand in it: between the reconciles, which want, and the one task
//! that tells the proxy.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, StreamExt, stream};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    config::LitellmSettings,
    entry::Entry,
    plan::{Standing, Wish},
};
use crate::fleet::ServerName;

/// What a reconcile says of its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator) enum Declaration {
    Ready(Entry),
    /// It starts or is in trouble: what is there stays for the grace time.
    Troubled,
    /// It is to have no entry.
    Gone,
}

#[derive(Clone, Debug)]
struct Declared {
    what: Declaration,
    since: Instant,
    /// Another one with each change: what was done for an earlier one says nothing of this one.
    edition: u64,
}

pub(super) type Standings = Arc<BTreeMap<ServerName, Standing>>;

/// What was wanted at one moment.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) wishes: BTreeMap<ServerName, Wish>,
    editions: BTreeMap<ServerName, u64>,
    /// When the first of them wants something else by itself.
    pub(super) until: Option<Instant>,
}

/// For one term as leader.
pub(in crate::operator) struct Registrar {
    settings: LitellmSettings,
    declared: Mutex<BTreeMap<ServerName, Declared>>,
    changed: Notify,
    standings: watch::Sender<Standings>,
}

impl Registrar {
    pub(in crate::operator) fn new(settings: LitellmSettings) -> Self {
        let standings = watch::Sender::new(Standings::default());
        Self { settings, declared: Mutex::default(), changed: Notify::new(), standings }
    }

    pub(in crate::operator) fn settings(&self) -> &LitellmSettings {
        &self.settings
    }

    /// Answers how it stands; None until the proxy was told of this declaration.
    pub(in crate::operator) fn declare(&self, server: &ServerName, what: Declaration) -> Option<Standing> {
        let mut declared = self.declared();
        if let Some(before) = declared.get(server)
            && before.what == what
        {
            return self.standings.borrow().get(server).cloned();
        }
        let edition = declared.get(server).map_or(0, |before| before.edition + 1);
        declared.insert(server.clone(), Declared { what, since: Instant::now(), edition });
        self.standings.send_if_modified(|standings| {
            if standings.contains_key(server) {
                Arc::make_mut(standings).remove(server);
            }
            // Who declares needs no waking.
            false
        });
        drop(declared);
        self.changed.notify_one();
        None
    }

    /// Nothing is wanted or known of it any more.
    pub(in crate::operator) fn forget(&self, server: &ServerName) {
        self.declared().remove(server);
        self.standings.send_if_modified(|standings| {
            if standings.contains_key(server) {
                Arc::make_mut(standings).remove(server);
            }
            false
        });
    }

    /// The servers that stand otherwise than before.
    pub(in crate::operator) fn wakes(&self) -> impl Stream<Item = ServerName> + Send + 'static {
        let standings = self.standings.subscribe();
        let before = standings.borrow().clone();
        stream::unfold((standings, before), |(mut standings, before)| async move {
            standings.changed().await.ok()?;
            let now = standings.borrow_and_update().clone();
            let other: Vec<ServerName> = now
                .iter()
                .filter(|(server, standing)| before.get(*server) != Some(standing))
                .map(|(server, _)| server.clone())
                .collect();
            Some((stream::iter(other), (standings, now)))
        })
        .flatten()
    }

    /// Waits until somebody declares something else.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn wanted(&self, now: Instant) -> Wanted {
        let grace = self.settings.grace;
        let declared = self.declared();
        let mut until: Option<Instant> = None;
        let mut wishes = BTreeMap::new();
        for (server, Declared { what, since, edition: _ }) in declared.iter() {
            let wish = match what {
                Declaration::Ready(entry) => Wish::There(entry.clone()),
                Declaration::Gone => Wish::Gone,
                Declaration::Troubled if now >= *since + grace => Wish::Gone,
                Declaration::Troubled => {
                    until = until.into_iter().chain([*since + grace]).min();
                    Wish::AsItIs
                }
            };
            wishes.insert(server.clone(), wish);
        }
        let editions = declared.iter().map(|(server, declared)| (server.clone(), declared.edition)).collect();
        Wanted { wishes, editions, until }
    }

    /// How servers stand after what was wanted then was done.
    pub(super) fn publish(&self, wanted: &Wanted, found: BTreeMap<ServerName, Standing>) {
        let declared = self.declared();
        self.standings.send_if_modified(|standings| {
            let mut has_changed = false;
            for (server, standing) in found {
                let is_of_now = declared.get(&server).map(|declared| declared.edition)
                    == wanted.editions.get(&server).copied()
                    && declared.contains_key(&server);
                if is_of_now && standings.get(&server) != Some(&standing) {
                    Arc::make_mut(standings).insert(server, standing);
                    has_changed = true;
                }
            }
            has_changed
        });
    }

    fn declared(&self) -> MutexGuard<'_, BTreeMap<ServerName, Declared>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::BTreeMap, time::Duration};

    use futures::{FutureExt, StreamExt};
    use tokio::time::Instant;

    use super::{Declaration, Registrar};
    use crate::{
        fleet::ServerName,
        operator::litellm::{
            config::LitellmConfig,
            entry::{Entry, Transport},
            plan::{Standing, Wish},
        },
    };

    fn registrar() -> Registrar {
        let config: LitellmConfig =
            serde_saphyr::from_str("configMap: {namespace: a, name: b}\ngraceSeconds: 60").unwrap();
        Registrar::new(config.settings().unwrap())
    }

    fn demo() -> ServerName {
        ServerName { namespace: "team-a".to_owned(), name: "demo".to_owned() }
    }

    fn ready() -> Declaration {
        Declaration::Ready(Entry {
            name: "demo".to_owned(),
            url: "http://demo".to_owned(),
            transport: Transport::Http,
            description: String::new(),
            groups: Vec::new(),
        })
    }

    fn there() -> Standing {
        Standing::There { name: "demo".to_owned() }
    }

    fn found(standing: Standing) -> BTreeMap<ServerName, Standing> {
        BTreeMap::from([(demo(), standing)])
    }

    #[test]
    fn trouble_keeps_the_entry_for_the_grace_time() {
        let registrar = registrar();
        registrar.declare(&demo(), Declaration::Troubled);
        let wanted = registrar.wanted(Instant::now());
        assert_eq!(wanted.wishes[&demo()], Wish::AsItIs);
        let until = wanted.until.unwrap();
        assert!(until <= Instant::now() + Duration::from_secs(60));
        registrar.declare(&demo(), Declaration::Troubled);
        assert_eq!(
            registrar.wanted(Instant::now()).until,
            Some(until),
            "being looked at does not lengthen it"
        );
        let late = registrar.wanted(until);
        assert_eq!((&late.wishes[&demo()], late.until), (&Wish::Gone, None));
    }

    #[tokio::test]
    async fn what_was_done_for_an_earlier_wish_says_nothing_of_this_one() {
        let registrar = registrar();
        let mut wakes = Box::pin(registrar.wakes());
        assert_eq!(registrar.declare(&demo(), ready()), None);
        let wanted = registrar.wanted(Instant::now());
        registrar.publish(&wanted, found(there()));
        assert_eq!(wakes.next().await, Some(demo()));
        assert_eq!(registrar.declare(&demo(), ready()), Some(there()));
        let slow = registrar.wanted(Instant::now());
        assert_eq!(registrar.declare(&demo(), Declaration::Gone), None);
        registrar.publish(&slow, found(there()));
        assert_eq!(registrar.declare(&demo(), Declaration::Gone), None, "that was for the wish before");
        registrar.publish(&registrar.wanted(Instant::now()), found(Standing::Gone));
        assert_eq!(registrar.declare(&demo(), Declaration::Gone), Some(Standing::Gone));
        assert_eq!(wakes.next().await, Some(demo()));
        registrar.publish(&registrar.wanted(Instant::now()), found(Standing::Gone));
        assert_eq!(wakes.next().now_or_never(), None, "nothing changed");
        registrar.forget(&demo());
        assert!(registrar.wanted(Instant::now()).wishes.is_empty());
    }
}
