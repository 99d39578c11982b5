//! Entries joined, put in the order of their use, and written as rows. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    entry::{Entry, Sort, Symptom, Thing},
    events::Scaling,
};
use crate::{
    answer::{Rank, Row},
    tools::kinds::{age, duration},
};

/// A write this long before a new template is the write that brought it; after it, clocks.
const BROUGHT_SECONDS: i64 = 5;
/// An old template is taken up again step by step.
const TAKEN_UP_SECONDS: i64 = 120;
/// A rollout moves its pods for about this long.
const ROLLOUT_SECONDS: i64 = 600;
/// More creations by one manager within this time are told as one.
const TOGETHER_SECONDS: i64 = 10;
const TOGETHER: usize = 3;
/// Objects of a joint creation that are named.
const NAMED: usize = 8;

/// Entries that tell of one act become one.
pub(super) fn joined(mut entries: Vec<Entry>, scalings: &BTreeMap<Thing, Vec<Scaling>>) -> Vec<Entry> {
    name_who_rolled_out(&mut entries);
    tell_how_far_scaled(&mut entries, scalings);
    together(entries)
}

/// A rollout knows the difference, the write knows who: the write is told in the rollout.
fn name_who_rolled_out(entries: &mut Vec<Entry>) {
    let mut told = BTreeSet::new();
    let writes: Vec<(usize, Thing, Timestamp, String)> = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.sort == Sort::Written)
        .map(|(at, entry)| (at, entry.thing.clone(), entry.at, entry.by.clone()))
        .collect();
    for entry in entries.iter_mut().filter(|entry| entry.sort == Sort::RolledOut) {
        let within = if entry.what.starts_with("went back") { TAKEN_UP_SECONDS } else { BROUGHT_SECONDS };
        let write = writes
            .iter()
            .filter(|(_, thing, written, _)| {
                let before = entry.at.as_second() - written.as_second();
                *thing == entry.thing && (-1..=within).contains(&before)
            })
            .max_by_key(|(_, _, written, _)| *written);
        if let Some((write, _, written, by)) = write {
            told.insert(*write);
            entry.at = entry.at.min(*written);
            entry.by.clone_from(by);
        }
    }
    let mut at = 0;
    entries.retain(|_| {
        at += 1;
        !told.contains(&(at - 1))
    });
}

/// A scaling that nobody's write tells of any more is still in the events, among those of rollouts.
fn tell_how_far_scaled(entries: &mut Vec<Entry>, scalings: &BTreeMap<Thing, Vec<Scaling>>) {
    for (thing, scalings) in scalings {
        for Scaling { at, words } in scalings {
            let near = |entry: &&mut Entry, before: i64| {
                let after = at.as_second() - entry.at.as_second();
                entry.thing == *thing && (-2..=before).contains(&after)
            };
            if let Some(scaled) =
                entries.iter_mut().find(|entry| entry.sort == Sort::Scaled && near(entry, BROUGHT_SECONDS))
            {
                if !scaled.what.contains(" from ") {
                    scaled.what = format!("scaled {words}");
                }
                continue;
            }
            // A new revision grows from nothing; what has pods already grows in a rollout that began before.
            let grows_new = words.starts_with("from 0 ");
            let rolls = |entry: &&mut Entry| match entry.sort {
                Sort::Created => grows_new && near(entry, ROLLOUT_SECONDS),
                Sort::RolledOut | Sort::Written if grows_new => near(entry, ROLLOUT_SECONDS),
                Sort::RolledOut | Sort::Written => entry.at <= *at && near(entry, ROLLOUT_SECONDS),
                _ => false,
            };
            if entries.iter_mut().find(rolls).is_none() {
                let what = format!("scaled {words}");
                entries.push(Entry {
                    at: *at,
                    thing: thing.clone(),
                    sort: Sort::Scaled,
                    by: String::new(),
                    what,
                });
            }
        }
    }
}

/// What one manager made at once.
fn together(entries: Vec<Entry>) -> Vec<Entry> {
    let (mut created, mut others): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.sort == Sort::Created);
    created.sort_by(|a, b| {
        (&a.by, &a.thing.namespace, a.at, &a.thing).cmp(&(&b.by, &b.thing.namespace, b.at, &b.thing))
    });
    let mut left = created.into_iter().peekable();
    while let Some(first) = left.next() {
        let mut group = vec![first];
        while let Some(next) = left.next_if(|next| {
            let first = &group[0];
            next.by == first.by
                && next.thing.namespace == first.thing.namespace
                && next.at.as_second() - first.at.as_second() <= TOGETHER_SECONDS
        }) {
            group.push(next);
        }
        if group.len() <= TOGETHER {
            others.extend(group);
            continue;
        }
        let names: Vec<String> = group.iter().take(NAMED).map(|entry| entry.thing.words(false)).collect();
        let more = group.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = format!("created {} objects: {}{more}", group.len(), names.join(", "));
        others.extend(group.into_iter().next().map(|first| Entry { what, ..first }));
    }
    others
}

/// Nearest before a symptom first; then the rest, newest first.
pub(super) fn rows(
    entries: Vec<Entry>,
    symptoms: &[Symptom],
    now: Timestamp,
    with_namespace: bool,
) -> Vec<Row> {
    let row = |entry: Entry| {
        let next = before(&entry, symptoms);
        let Entry { at, thing, sort, by, what } = entry;
        let (rank, order, distance) = match next {
            Some((seconds, symptom)) => {
                let distance =
                    format!("{} before {}", duration(seconds), symptom.thing.words(with_namespace));
                // At the same second, what happened to the thing itself.
                let order = seconds * 2 + i64::from(symptom.thing != thing);
                (Rank::Broken, order, distance)
            }
            None => (Rank::Neutral, i64::MAX / 2 - at.as_second(), String::new()),
        };
        let object = thing.words(with_namespace);
        Row {
            rank,
            key: format!("{order:020} {at} {object} {sort:?} {:.40}", what.escape_default().to_string()),
            group: thing.namespace,
            cells: vec![format!("{at:.0}"), age(Some(at), now), distance, object, by, what],
        }
    };
    entries.into_iter().map(row).collect()
}

/// How long before which symptom: its own, or the next one. What the cluster complained of is no cause.
fn before<'a>(entry: &Entry, symptoms: &'a [Symptom]) -> Option<(i64, &'a Symptom)> {
    if entry.sort == Sort::Warning {
        return None;
    }
    let after = symptoms.iter().filter_map(|symptom| {
        let seconds = symptom.since.as_second() - entry.at.as_second();
        (seconds >= 0).then_some((seconds, symptom))
    });
    after.min_by_key(|(seconds, symptom)| (symptom.thing != entry.thing, *seconds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use jiff::{Timestamp, ToSpan};

    use super::{Entry, Scaling, Sort, Symptom, Thing, joined, rows};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap() + second.seconds()
    }

    fn entry(second: i64, name: &str, sort: Sort, by: &str, what: &str) -> Entry {
        let thing = Thing::new("Deployment", "shop", name);
        Entry { at: at(second), thing, sort, by: by.into(), what: what.into() }
    }

    #[test]
    fn a_rollout_and_the_write_that_brought_it_are_one() {
        let entries = vec![
            entry(100, "web", Sort::Written, "kubectl-set", "changed containers[name=web].image"),
            entry(101, "web", Sort::RolledOut, "", "rolled out revision 2"),
            entry(50, "web", Sort::Written, "kubectl-edit", "changed spec.paused"),
            entry(10, "db", Sort::Created, "helm", "created"),
        ];
        let told: Vec<(i64, String, String)> = joined(entries, &BTreeMap::new())
            .into_iter()
            .map(|entry| (entry.at.as_second() - at(0).as_second(), entry.by, entry.what))
            .collect();
        let of = |second: i64, by: &str, what: &str| (second, by.to_owned(), what.to_owned());
        assert_eq!(
            told,
            [
                of(100, "kubectl-set", "rolled out revision 2"),
                of(50, "kubectl-edit", "changed spec.paused"),
                of(10, "helm", "created")
            ]
        );
    }

    #[test]
    fn a_scaling_says_from_what_to_what() {
        let scaling = |second: i64, words: &str| Scaling { at: at(second), words: words.into() };
        let web = Thing::new("Deployment", "shop", "web");
        let scalings = BTreeMap::from([(
            web,
            vec![scaling(101, "from 1 to 3"), scaling(900, "from 3 to 2"), scaling(2_003, "from 0 to 1")],
        )]);
        let entries = vec![
            entry(100, "web", Sort::Scaled, "kubectl", "scaled, spec.replicas is now 3"),
            entry(2_000, "web", Sort::RolledOut, "", "rolled out revision 2"),
        ];
        let told: Vec<String> = joined(entries, &scalings).into_iter().map(|entry| entry.what).collect();
        assert_eq!(told, ["scaled from 1 to 3", "rolled out revision 2", "scaled from 3 to 2"]);
    }

    #[test]
    fn what_was_made_at_once_is_one_line() {
        let entries = (0..20)
            .map(|at| entry(at / 10, &format!("w{at:02}"), Sort::Created, "helm", "created"))
            .collect();
        let told = joined(entries, &BTreeMap::new());
        assert_eq!(told.len(), 1);
        assert!(told[0].what.starts_with("created 20 objects: Deployment w00, "), "{told:?}");
        assert!(told[0].what.ends_with(" and 12 more"), "{told:?}");
    }

    #[test]
    fn nearest_before_the_symptom_comes_first() {
        let entries = vec![
            entry(10, "web", Sort::Written, "a", "long before"),
            entry(95, "web", Sort::Written, "a", "just before"),
            entry(99, "web", Sort::Warning, "", "warning BackOff"),
            entry(300, "web", Sort::Written, "a", "after"),
            entry(200, "web", Sort::Written, "a", "sooner after"),
        ];
        let symptoms =
            [Symptom { thing: Thing::new("Deployment", "shop", "web"), since: at(100), why: String::new() }];
        let mut rows = rows(entries, &symptoms, at(400), false);
        rows.sort_by_key(|row| (row.rank, row.key.clone()));
        let told: Vec<&str> = rows.iter().map(|row| row.cells[5].as_str()).collect();
        assert_eq!(told, ["just before", "long before", "after", "sooner after", "warning BackOff"]);
        assert_eq!(rows[0].cells[2], "5s before Deployment web");
    }
}
