//! How much of what is written came through Git, over the last 24 hours: counts by the hour and namespace, and how each
//! of the latest writes was judged, so that none counts twice.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::write::{Way, Write, WriteId};

const HOUR: i64 = 3_600;
const HOURS: i64 = 24;
/// Writes whose judgement is remembered one by one.
const REMEMBERED: usize = 4_096;
/// Writes past Git that are told by name.
const NAMED: usize = 5;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Counts {
    git: u64,
    session: u64,
    unsanctioned: u64,
}

impl Counts {
    fn of(&mut self, way: Way) -> &mut u64 {
        match way {
            Way::Git => &mut self.git,
            Way::Session => &mut self.session,
            Way::Unsanctioned => &mut self.unsanctioned,
        }
    }
}

/// A write in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Past {
    id: WriteId,
    at: Timestamp,
    namespace: String,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Judged {
    id: WriteId,
    hour: i64,
    namespace: String,
    way: Way,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Coverage {
    hours: BTreeMap<i64, BTreeMap<String, Counts>>,
    judged: VecDeque<Judged>,
    past: VecDeque<Past>,
}

/// Of one window of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Figure {
    pub(super) git: u64,
    pub(super) session: u64,
    pub(super) unsanctioned: u64,
    /// The latest unsanctioned ones, newest first.
    pub(super) past: Vec<String>,
}

impl Figure {
    pub(super) fn writes(&self) -> u64 {
        self.git + self.session + self.unsanctioned
    }

    /// `None` where nothing was written.
    pub(super) fn ratio(&self) -> Option<f64> {
        let good = self.git + self.session;
        (self.writes() > 0).then(|| good as f64 / self.writes() as f64)
    }
}

impl Coverage {
    /// How this write came about; `None`: it was nobody's doing. The last word counts. True when it is news.
    pub(super) fn judge(&mut self, write: &Write, way: Option<Way>) -> bool {
        let id = write.id();
        let before = self.judged.iter().rposition(|judged| judged.id == id);
        if let Some(at) = before {
            if way == Some(self.judged[at].way) {
                return false;
            }
            if let Some(Judged { id: _, hour, namespace, way }) = self.judged.remove(at) {
                let count = self.hours.entry(hour).or_default().entry(namespace).or_default().of(way);
                *count = count.saturating_sub(1);
            }
        }
        self.past.retain(|past| past.id != id);
        let Some(way) = way else { return before.is_some() };
        let hour = write.at.as_second().div_euclid(HOUR);
        let namespace = write.object.namespace.clone().unwrap_or_default();
        *self.hours.entry(hour).or_default().entry(namespace.clone()).or_default().of(way) += 1;
        if way == Way::Unsanctioned {
            self.past.push_front(Past {
                id: id.clone(),
                at: write.at,
                namespace: namespace.clone(),
                text: said(write),
            });
            // As many for each namespace: who may see one only is told of that one.
            let of_namespace = self.past.iter().filter(|past| past.namespace == namespace).count();
            if of_namespace > NAMED
                && let Some(oldest) = self.past.iter().rposition(|past| past.namespace == namespace)
            {
                self.past.remove(oldest);
            }
        }
        self.judged.push_back(Judged { id, hour, namespace, way });
        if self.judged.len() > REMEMBERED {
            self.judged.pop_front();
        }
        true
    }

    /// Forgets what is older than the window.
    pub(super) fn pass(&mut self, now: Timestamp) {
        let oldest = oldest(now);
        self.hours.retain(|hour, _| *hour >= oldest);
        self.past.retain(|past| past.at.as_second().div_euclid(HOUR) >= oldest);
    }

    /// Of one namespace, or of all.
    pub(super) fn figure(&self, namespace: Option<&str>, now: Timestamp) -> Figure {
        let oldest = oldest(now);
        let is_asked = |of: &str| namespace.is_none_or(|namespace| namespace == of);
        let mut figure = Figure::default();
        for (of, counts) in self.hours.range(oldest..).flat_map(|(_, namespaces)| namespaces) {
            if is_asked(of) {
                let Counts { git, session, unsanctioned } = counts;
                figure.git += git;
                figure.session += session;
                figure.unsanctioned += unsanctioned;
            }
        }
        let past = self.past.iter().filter(|past| is_asked(&past.namespace));
        figure.past = past.take(NAMED).map(|past| past.text.clone()).collect();
        figure
    }
}

fn oldest(now: Timestamp) -> i64 {
    now.as_second().div_euclid(HOUR) - HOURS + 1
}

/// `Deployment shop/web by ann (kubectl-edit), 2026-11-22T10:02:00Z`.
fn said(write: &Write) -> String {
    let Write { at, object, users, manager, verb: _, uid: _, version: _, fields: _, witnesses: _ } = write;
    let users = users.join(", ");
    let who = match (users.is_empty(), manager) {
        (false, Some(manager)) => format!(" by {users} ({manager})"),
        (false, None) => format!(" by {users}"),
        (true, Some(manager)) => format!(" with {manager}"),
        (true, None) => String::new(),
    };
    format!("{object}{who}, {at:.0}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::{SignedDuration, Timestamp};

    use super::Coverage;
    use crate::changes::capture::{
        joiner_fixture::write,
        write::{Way, Write},
    };

    fn of(version: &str, namespace: &str, at: Timestamp) -> Write {
        let mut write = write(version, at);
        write.object.namespace = Some(namespace.to_owned());
        write
    }

    #[test]
    fn a_write_counts_once_by_its_last_judgement_for_24_hours() {
        let now: Timestamp = "2026-11-22T10:30:00Z".parse().unwrap();
        let hours = |count: i64| SignedDuration::from_hours(count);
        let mut coverage = Coverage::default();
        for version in 0..96 {
            assert!(
                coverage.judge(&of(&version.to_string(), "shop", now - hours(version % 20)), Some(Way::Git))
            );
        }
        let edit = of("100", "shop", now);
        assert!(coverage.judge(&edit, Some(Way::Unsanctioned)));
        assert!(!coverage.judge(&edit, Some(Way::Unsanctioned)), "the same again");
        coverage.judge(&of("101", "bank", now), Some(Way::Unsanctioned));
        coverage.judge(&of("102", "bank", now), Some(Way::Session));
        coverage.judge(&of("103", "bank", now - hours(25)), Some(Way::Unsanctioned));
        let figure = coverage.figure(None, now);
        assert_eq!((figure.git, figure.session, figure.unsanctioned), (96, 1, 2));
        assert!((figure.ratio().unwrap() - 97.0 / 99.0).abs() < 1e-9);
        assert_eq!(coverage.figure(Some("bank"), now).writes(), 2);
        coverage.judge(&edit, Some(Way::Git));
        coverage.judge(&of("101", "bank", now), None);
        let figure = coverage.figure(None, now);
        assert_eq!((figure.git, figure.unsanctioned), (97, 0));
        coverage.pass(now);
        assert!(coverage.figure(None, now).past.is_empty());
        assert_eq!(coverage.figure(None, now + hours(30)).ratio(), None);
        let stored = serde_json::to_string(&coverage).unwrap();
        assert_eq!(serde_json::from_str::<Coverage>(&stored).unwrap(), coverage);
    }

    #[test]
    fn the_latest_past_git_are_told_by_name() {
        let now: Timestamp = "2026-11-22T10:30:00Z".parse().unwrap();
        let mut coverage = Coverage::default();
        for version in 0..9 {
            coverage.judge(&of(&version.to_string(), "shop", now), Some(Way::Unsanctioned));
        }
        let past = coverage.figure(Some("shop"), now).past;
        assert_eq!(past.len(), 5);
        assert_eq!(past[0], "Deployment shop/web by ann (kubectl-edit), 2026-11-22T10:30:00Z");
        assert!(coverage.figure(Some("bank"), now).past.is_empty());
    }
}
