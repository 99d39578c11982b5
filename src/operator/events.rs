//! Kubernetes Events about our objects, as values: what is told, and what is told again. The writer sends them.
//!
//! Events are made of changes only, so an object that stays as it is has none. The same one again within
//! [`WINDOW`] counts up the Event that is there.

use std::{collections::HashMap, time::Duration};

use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::settings::FIELD_MANAGER;
use crate::redact;

/// What happens again within this time after the last is the same Event.
const WINDOW: Duration = Duration::from_secs(600);
/// An Event that is counted up is written no more often than this: something that flaps is no flood.
const SPACING: Duration = Duration::from_secs(20);
/// The API server takes 1024 bytes.
const NOTE_BYTES: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Weight {
    Normal,
    Warning,
}

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Happening {
    pub(super) weight: Weight,
    /// One CamelCase word that stays the same.
    pub(super) reason: String,
    /// A sentence for people.
    pub(super) note: String,
}

impl Happening {
    pub(super) fn normal(reason: &str, note: String) -> Self {
        Self { weight: Weight::Normal, reason: reason.to_owned(), note }
    }

    pub(super) fn warning(reason: &str, note: String) -> Self {
        Self { weight: Weight::Warning, reason: reason.to_owned(), note }
    }
}

/// What is to be written for a happening.
#[derive(Debug)]
pub(super) enum Telling {
    New(Box<Event>),
    /// A merge patch of the Event that is there. When that has expired, [`Ledger::forget`] and tell it anew.
    Again {
        name: String,
        patch: Value,
    },
    /// Counted only: it was written a moment ago.
    Counted,
}

/// The Events of the last while, by whom they are about.
#[derive(Debug, Default)]
pub(super) struct Ledger(HashMap<(String, Happening), Told>);

#[derive(Debug)]
struct Told {
    name: String,
    count: i32,
    last: Timestamp,
    written: Timestamp,
}

impl Ledger {
    /// `instance` is who tells it: this process.
    pub(super) fn apply(
        &mut self,
        about: &ObjectReference,
        happening: &Happening,
        instance: &str,
        now: Timestamp,
    ) -> Telling {
        self.0.retain(|_, told| since(told.last, now) < WINDOW);
        let uid = about.uid.clone().unwrap_or_default();
        if let Some(told) = self.0.get_mut(&(uid.clone(), happening.clone())) {
            told.count = told.count.saturating_add(1);
            told.last = now;
            if since(told.written, now) < SPACING {
                return Telling::Counted;
            }
            told.written = now;
            let series = EventSeries { count: told.count, last_observed_time: MicroTime(now) };
            return Telling::Again { name: told.name.clone(), patch: json!({ "series": series }) };
        }
        let event = event(about, happening, instance, now);
        let name = event.metadata.name.clone().unwrap_or_default();
        self.0.insert((uid, happening.clone()), Told { name, count: 1, last: now, written: now });
        Telling::New(Box::new(event))
    }

    /// The Event is not there.
    pub(super) fn forget(&mut self, about: &ObjectReference, happening: &Happening) {
        self.0.remove(&(about.uid.clone().unwrap_or_default(), happening.clone()));
    }
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

fn event(about: &ObjectReference, happening: &Happening, instance: &str, now: Timestamp) -> Event {
    let Happening { weight, reason, note } = happening;
    let name = about.name.as_deref().unwrap_or_default();
    Event {
        metadata: ObjectMeta {
            // As Kubernetes' own recorders name them.
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            namespace: about.namespace.clone(),
            ..ObjectMeta::default()
        },
        action: Some("Reconcile".to_owned()),
        event_time: Some(MicroTime(now)),
        // Part of it may be what a container or a downstream said.
        note: Some(shortened(&redact::shown(note))),
        reason: Some(reason.clone()),
        regarding: Some(about.clone()),
        reporting_controller: Some(FIELD_MANAGER.to_owned()),
        reporting_instance: Some(instance.chars().take(128).collect()),
        type_: Some(match weight {
            Weight::Normal => "Normal".to_owned(),
            Weight::Warning => "Warning".to_owned(),
        }),
        ..Event::default()
    }
}

fn shortened(note: &str) -> String {
    note.char_indices().take_while(|(at, c)| at + c.len_utf8() <= NOTE_BYTES).map(|(_, c)| c).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use k8s_openapi::{api::core::v1::ObjectReference, jiff::Timestamp};

    use super::{Happening, Ledger, Telling};

    fn about(uid: &str) -> ObjectReference {
        ObjectReference {
            name: Some("demo".to_owned()),
            namespace: Some("team-a".to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn pull_failed() -> Happening {
        Happening::warning("ImagePullFailed", "no such image".to_owned())
    }

    #[test]
    fn the_same_again_counts_up_the_event_that_is_there() {
        let mut ledger = Ledger::default();
        let Telling::New(event) = ledger.apply(&about("1"), &pull_failed(), "pod-0", at(0)) else {
            panic!("a new event was expected");
        };
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert_eq!(event.note.as_deref(), Some("no such image"));
        assert_eq!(event.metadata.namespace.as_deref(), Some("team-a"));
        let within = ledger.apply(&about("1"), &pull_failed(), "pod-0", at(5));
        assert!(matches!(within, Telling::Counted), "{within:?}");
        let Telling::Again { name, patch } = ledger.apply(&about("1"), &pull_failed(), "pod-0", at(60))
        else {
            panic!("a count was expected");
        };
        assert_eq!(Some(name), event.metadata.name);
        assert_eq!(patch["series"]["count"], 3);
    }

    #[test]
    fn another_object_note_or_time_is_another_event() {
        let mut ledger = Ledger::default();
        let other = Happening::warning("ImagePullFailed", "another image".to_owned());
        let is_new = |telling: Telling| matches!(telling, Telling::New(_));
        assert!(is_new(ledger.apply(&about("1"), &pull_failed(), "pod-0", at(0))));
        assert!(is_new(ledger.apply(&about("2"), &pull_failed(), "pod-0", at(1))));
        assert!(is_new(ledger.apply(&about("1"), &other, "pod-0", at(2))));
        assert!(is_new(ledger.apply(&about("1"), &pull_failed(), "pod-0", at(700))));
        ledger.forget(&about("1"), &pull_failed());
        assert!(is_new(ledger.apply(&about("1"), &pull_failed(), "pod-0", at(701))));
    }

    #[test]
    fn a_note_fits_and_holds_no_secret() {
        let long = Happening::warning("ContainerExits", format!("password=hunter22 {}", "ä".repeat(900)));
        let Telling::New(event) = Ledger::default().apply(&about("1"), &long, "pod-0", at(0)) else {
            panic!("a new event was expected");
        };
        let note = event.note.unwrap();
        assert!(note.len() <= 1000 && !note.contains("hunter22"), "{note}");
    }
}
