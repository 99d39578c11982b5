//! What is declared at this moment, by all sources together.

use std::{
    collections::{BTreeMap, btree_map},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::gateway::{Downstream, Gateway, Refusal, ServerName};

/// What a source found out about one server.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is declared so now.
    Apply(Box<Downstream>),
    /// It is declared, but in a way that cannot be used: why, in one sentence. It is not registered.
    Refuse { name: ServerName, reason: Refusal },
    /// It is not declared any more.
    Delete(ServerName),
}

impl Change {
    pub(super) fn is_delete(&self) -> bool {
        matches!(self, Self::Delete(_))
    }
}

/// Who declared a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Cluster,
    Folder,
}

/// A declared server.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub source: Source,
    /// The reason when it could not be registered.
    pub declared: Result<Box<Downstream>, Refusal>,
}

/// Every declared server. The only one who tells the gateway.
pub struct Roster {
    gateway: Arc<Gateway>,
    known: watch::Sender<BTreeMap<ServerName, Known>>,
    /// Declared by the other source under a name that is taken; the next in line when it becomes free.
    waiting: Mutex<BTreeMap<ServerName, Known>>,
    /// Everything that the cluster declares was seen once.
    listed: watch::Sender<bool>,
}

impl Roster {
    pub fn new(gateway: Arc<Gateway>) -> Arc<Self> {
        let (known, waiting) = (watch::Sender::default(), Mutex::default());
        Arc::new(Self { gateway, known, waiting, listed: watch::Sender::new(false) })
    }

    /// Told of every change. Do not hold the borrowed map for long: sources wait for it.
    pub fn known(&self) -> watch::Receiver<BTreeMap<ServerName, Known>> {
        self.known.subscribe()
    }

    /// Turns true once everything that the cluster declares, and the pods of its servers, were seen.
    pub fn listed(&self) -> watch::Receiver<bool> {
        self.listed.subscribe()
    }

    pub(super) fn note_listed(&self) {
        self.listed.send_if_modified(|listed| !std::mem::replace(listed, true));
    }

    /// Takes a change over. Must be called inside a Tokio runtime, since the gateway connects in the background.
    pub fn record(&self, source: Source, change: Change) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.known.send_if_modified(|known| {
            let Some(step) = decide(known, &mut waiting, source, change) else { return false };
            match step {
                Step::Apply(downstream) => self.gateway.apply(*downstream),
                Step::Delete(name) => self.gateway.delete(&name),
                Step::Withdraw(name) => self.gateway.withdraw(&name),
                Step::Nothing => {}
            }
            true
        });
    }
}

/// What the gateway must be told.
#[derive(Debug, PartialEq)]
enum Step {
    Apply(Box<Downstream>),
    Delete(ServerName),
    /// It is still declared, and cannot be used so.
    Withdraw(ServerName),
    Nothing,
}

/// Takes the change into `known`; `None` when nothing is different afterwards.
fn decide(
    known: &mut BTreeMap<ServerName, Known>,
    waiting: &mut BTreeMap<ServerName, Known>,
    source: Source,
    change: Change,
) -> Option<Step> {
    let (name, declared) = match change {
        Change::Apply(downstream) => (downstream.name.clone(), Some(Ok(downstream))),
        Change::Refuse { name, reason } => (name, Some(Err(reason))),
        Change::Delete(name) => (name, None),
    };
    let entry = known.entry(name);
    if let btree_map::Entry::Occupied(held) = &entry
        && held.get().source != source
    {
        let (name, by) = (held.key(), held.get().source);
        match declared {
            Some(declared) => {
                if waiting.insert(name.clone(), Known { source, declared }).is_none() {
                    tracing::warn!(server = %name, ?source, ?by, "server is already declared elsewhere, it waits: rename one");
                }
            }
            None => drop(waiting.remove(name)),
        }
        return None;
    }
    match (entry, declared) {
        (btree_map::Entry::Vacant(_), None) => None,
        (btree_map::Entry::Vacant(free), Some(declared)) => {
            report(free.key(), &declared);
            let step = declared.clone().map_or(Step::Nothing, Step::Apply);
            free.insert(Known { source, declared });
            Some(step)
        }
        (btree_map::Entry::Occupied(held), None) => {
            let (name, was) = held.remove_entry();
            tracing::info!(server = %name, "server is not declared any more");
            let gone = if was.declared.is_ok() { Step::Delete(name.clone()) } else { Step::Nothing };
            let Some(next) = waiting.remove(&name) else { return Some(gone) };
            report(&name, &next.declared);
            let step = next.declared.clone().map_or(gone, Step::Apply);
            known.insert(name, next);
            Some(step)
        }
        (btree_map::Entry::Occupied(mut held), Some(declared)) => {
            if held.get().declared == declared {
                return None;
            }
            report(held.key(), &declared);
            let step = match &declared {
                Ok(downstream) => Step::Apply(downstream.clone()),
                Err(_) if held.get().declared.is_ok() => Step::Withdraw(held.key().clone()),
                Err(_) => Step::Nothing,
            };
            held.get_mut().declared = declared;
            Some(step)
        }
    }
}

fn report(name: &ServerName, declared: &Result<Box<Downstream>, Refusal>) {
    match declared {
        Ok(_) => tracing::debug!(server = %name, "server declared"),
        Err(reason) => tracing::warn!(server = %name, %reason, "server cannot be used"),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use jiff::Timestamp;

    use super::{Change, Known, Source, Step, decide};
    use crate::gateway::{Downstream, Prefix, Program, ServerName, Target, Terms, ToolPolicy, Transport};

    fn name() -> ServerName {
        ServerName { namespace: "default".to_owned(), name: "time".to_owned() }
    }

    fn time(command: &str) -> Box<Downstream> {
        Box::new(Downstream {
            name: name(),
            prefix: Prefix::from_name("time"),
            created: Timestamp::UNIX_EPOCH,
            transport: Transport::Stdio,
            target: Target::Process(Program {
                command: command.to_owned(),
                args: Vec::new(),
                env: Vec::new(),
                directory: None,
            }),
            tools: ToolPolicy::default(),
            call_timeout: Duration::from_secs(60),
            terms: Terms::default(),
        })
    }

    fn refuse() -> Change {
        Change::Refuse { name: name(), reason: "wrong".to_owned().into() }
    }

    #[test]
    fn the_gateway_hears_of_what_is_different_and_nothing_else() {
        let mut known = BTreeMap::<ServerName, Known>::new();
        let mut waiting = BTreeMap::new();
        let mut folder = |change| decide(&mut known, &mut waiting, Source::Folder, change);
        assert_eq!(folder(Change::Delete(name())), None);
        assert_eq!(folder(Change::Apply(time("a"))), Some(Step::Apply(time("a"))));
        assert_eq!(folder(Change::Apply(time("a"))), None);
        assert_eq!(folder(Change::Apply(time("b"))), Some(Step::Apply(time("b"))));
        assert_eq!(folder(refuse()), Some(Step::Withdraw(name())));
        assert_eq!(folder(refuse()), None);
        assert_eq!(folder(Change::Apply(time("b"))), Some(Step::Apply(time("b"))));
        assert_eq!(folder(Change::Delete(name())), Some(Step::Delete(name())));
        assert!(known.is_empty());
    }

    #[test]
    fn a_name_belongs_to_the_source_that_declared_it_first_and_then_to_the_next() {
        let (mut known, mut waiting) = (BTreeMap::new(), BTreeMap::new());
        let mut decide = |source, change| decide(&mut known, &mut waiting, source, change);
        decide(Source::Cluster, Change::Apply(time("a")));
        assert_eq!(decide(Source::Folder, Change::Apply(time("b"))), None);
        assert_eq!(decide(Source::Cluster, Change::Delete(name())), Some(Step::Apply(time("b"))));
        assert_eq!(decide(Source::Cluster, Change::Apply(time("c"))), None);
        assert_eq!(decide(Source::Cluster, Change::Delete(name())), None);
        assert_eq!(decide(Source::Folder, Change::Delete(name())), Some(Step::Delete(name())));
    }
}
