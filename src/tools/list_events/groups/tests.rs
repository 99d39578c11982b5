#![allow(clippy::unwrap_used)]
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::{Event, Groups, Id, Numbers, WORDS_BYTES, Words, said};
use crate::{answer::Budget, tools::list_events::View};

const NOW: i64 = 1_800_000_000;

fn event(kind: &str, name: &str, reason: &str, message: &str, ago: i64) -> Event {
    serde_json::from_value(json!({
        "metadata": { "namespace": "shop" }, "type": kind, "reason": reason, "message": message, "count": 2,
        "involvedObject": { "kind": "Service", "namespace": "shop", "name": name },
        "lastTimestamp": Timestamp::from_second(NOW - ago).unwrap().to_string(),
    }))
    .unwrap()
}

fn view(tokens: usize) -> View {
    let now = Timestamp::from_second(NOW).unwrap();
    View { oldest: None, now, with_namespace: false, budget: Budget::of(tokens) }
}

/// What the maps hold, their empty places included: they fill up to seven eighths.
fn held(groups: &Groups) -> usize {
    let table = |capacity: usize, entry: usize| capacity / 7 * 8 * (entry + 1);
    table(groups.numbers.capacity(), size_of::<(Id, Numbers)>())
        + table(groups.objects.capacity(), size_of::<u64>())
        + table(groups.words.capacity(), size_of::<(Id, Words)>())
        + groups.words_bytes
}

#[test]
fn a_hundred_thousand_groups_take_little_room_and_the_first_are_right() {
    let mut groups = Groups::new(false);
    let message = "no endpoints are ready behind this one, ".repeat(6);
    // In an order that brings better ones all the time, and worse ones too.
    for at in 0..100_000_i64 {
        let ago = (at * 7_919) % 100_003;
        let kind = if at % 4 == 0 { "Warning" } else { "Normal" };
        groups.add(event(kind, &format!("s{at}"), "NotReady", &format!("{message}s{at} in {ago}"), ago));
    }
    assert_eq!((groups.len(), groups.further()), (100_000, 0));
    let held = held(&groups);
    // While a map grows, it is there one and a half times.
    assert!(held + held / 2 < 16 << 20, "{held}");
    assert!(groups.words_bytes <= WORDS_BYTES);
    let (view, budget) = (view(8_000), Budget::of(8_000));
    let mut rows = view.rows(&groups, None);
    assert!(view.lacking(&mut rows, &groups).is_empty());
    let page = rows.page(["T", "L", "C", "O", "R", "M"], budget, str::to_owned);
    let table = page.table.unwrap();
    let newest: BTreeSet<i64> =
        (0..100_000).filter(|at| at % 4 == 0).map(|at| (at * 7_919) % 100_003).collect();
    let wanted: Vec<String> = newest.iter().take(page.shown).map(|ago| format!(" in {ago}")).collect();
    for (line, wanted) in table.lines().skip(1).zip(&wanted) {
        assert!(line.starts_with("Warning") && line.trim_end().ends_with(wanted), "{wanted}: {line}");
    }
    assert!(page.shown > 20 && page.total == 100_000, "{}", page.shown);
}

#[test]
fn every_page_has_the_words_of_its_rows_however_few_are_held() {
    // The newest of a group comes at any time, and twice in one second.
    let events = || {
        (0..4_000_i64).map(|at| {
            let (name, ago) = (format!("s{}", at % 900), (at * 37) % 1_000 / 4);
            let kind = if at % 900 % 3 == 0 { "Warning" } else { "Normal" };
            event(kind, &name, "NotReady", &format!("seen {at}"), ago)
        })
    };
    let mut wanted: BTreeMap<String, (i64, u32, String)> = BTreeMap::new();
    for event in events() {
        let last = event.last_seen().unwrap().as_second();
        let group = wanted.entry(event.involved_object.name).or_insert((0, 0, String::new()));
        group.1 += 2;
        if last > group.0 {
            (group.0, group.2) = (last, event.message);
        }
    }
    let (view, budget) = (view(1_000), Budget::of(1_000));
    let (mut after, mut seen, mut second_readings) = (None, BTreeMap::new(), 0);
    loop {
        let mut groups = Groups::within(false, 10_000);
        events().for_each(|event| groups.add(event));
        let mut rows = view.rows(&groups, after.as_ref());
        let lacking = view.lacking(&mut rows, &groups);
        if !lacking.is_empty() {
            second_readings += 1;
            events().for_each(|event| groups.add_words(event, &lacking));
            rows = view.rows(&groups, after.as_ref());
        }
        let page = rows.page(["T", "L", "C", "O", "R", "M"], budget, str::to_owned);
        for line in page.table.unwrap_or_default().lines().skip(1) {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let [_, _, count, object, _, "seen", at] = cells[..] else { panic!("{line}") };
            let name = object.strip_prefix("Service/").unwrap().to_owned();
            let row = (count.parse::<u32>().unwrap(), format!("seen {at}"));
            assert!(seen.insert(name, row).is_none(), "{line}");
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(second_readings > 1, "{second_readings}");
    let wanted: BTreeMap<_, _> =
        wanted.into_iter().map(|(name, (_, count, message))| (name, (count, message))).collect();
    assert_eq!(seen, wanted);
}

#[test]
fn a_flood_is_counted_and_leaves_room_for_warnings() {
    let mut groups = Groups::new(false);
    for at in 0..super::MOST_GROUPS + 5 {
        groups.add(event("Normal", &format!("s{at}"), "Synced", "done", 0));
    }
    groups.add(event("Warning", "web", "NotReady", "no endpoints", 9));
    assert_eq!((groups.len(), groups.further()), (super::MOST_GROUPS + 1, 5));
    assert!(groups.newest(usize::MAX).iter().any(|group| group.is_warning));
}

#[test]
fn only_warnings_are_kept_when_they_are_asked_for() {
    let mut groups = Groups::new(true);
    assert!(groups.are_of_nothing());
    groups.add(event("Normal", "web", "Synced", "done", 0));
    assert_eq!((groups.len(), groups.are_of_nothing()), (0, false));
}

#[test]
fn equal_messages_of_replicas_are_equal() {
    let message =
        |name: &str, id: &str| format!("Back-off 40s restarting failed container in pod {name}_shop({id})");
    let a = message("cart-6c8d9f7b5c-x2x4z", "a4bd776c-2812-4b10-973c-6930e2e23d44");
    let b = message("cart-6c8d9f7b5c-bb24z", "2b4f4495-5f67-456e-86ec-3f430624648a");
    assert_eq!(said(&a, "cart-6c8d9f7b5c-x2x4z"), said(&b, "cart-6c8d9f7b5c-bb24z"));
    assert_ne!(said("Created container", "x"), said("Started container", "x"));
}
