//! From what comes in to what is told, over restarts.
#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Core, Judged, Shared};
use crate::changes::capture::{
    doors::Brought,
    joiner::Joiner,
    joiner_fixture::{at, deployment, kind, object, shelf, snapshot, written_by},
    metrics::Metrics,
    rules::Rules,
    scope::Scope,
    sharing::Heard,
    stream::{Queue, Writes},
    watching::Glimpse,
    write::{Seen, Way},
};

struct Process {
    core: Core,
    writes: Writes,
}

impl Process {
    fn start(folder: &Path) -> Self {
        let queue = Arc::<Queue>::default();
        let coverage = Arc::default();
        let shared = Shared {
            coverage: Arc::clone(&coverage),
            heard: Heard::default(),
            queue: queue.clone(),
            metrics: Metrics::of(coverage),
        };
        let rules = Rules::new(Default::default(), Default::default());
        let scope = Scope::new(Default::default(), Some("pilothouse".to_owned()));
        let core = Core::open(folder, scope, Joiner::new(rules, SignedDuration::ZERO), shared).unwrap();
        let mut process = Self { core, writes: Writes::new(queue, tokio::sync::mpsc::unbounded_channel().0) };
        process.core.glimpse(Glimpse::Kind(kind()), at("00"));
        process
    }

    fn lists(&mut self, objects: &[Value], now: Timestamp) {
        let snapshots = objects.iter().map(snapshot).collect();
        self.core.glimpse(Glimpse::All(shelf(), snapshots), now);
        self.core.store_all(now);
    }

    fn sees(&mut self, object: &Value, now: Timestamp) {
        self.core.glimpse(Glimpse::Now(shelf(), Box::new(snapshot(object))), now);
        self.core.store_all(now);
    }

    /// Everything that is told now.
    fn told(&mut self) -> Vec<Seen> {
        let mut told = Vec::new();
        while let Some(seen) = futures::FutureExt::now_or_never(self.writes.next()) {
            told.push(seen);
        }
        told
    }

    fn judge(&mut self, seen: &Seen, way: Way) {
        self.core.judged(&Judged { write: seen.write().clone(), way: Some(way) });
    }
}

fn edited(version: &str, image: &str) -> Value {
    written_by(deployment(version, 1, image), "kubectl-edit", "2026-11-22T10:00:03Z")
}

/// A process that is killed takes nothing with it: whatever nobody had yet is told again, and what was written while it
/// was away is told, too.
#[test]
fn nothing_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Process::start(folder.path());
    first.lists(&[deployment("5", 1, "a:1")], at("00"));
    first.sees(&edited("6", "a:2"), at("03"));
    let told = first.told();
    assert_eq!(told.len(), 1);
    drop(first);

    let mut second = Process::start(folder.path());
    second.lists(&[edited("6", "a:2")], at("10"));
    let again = second.told();
    assert_eq!(again, told, "nobody said that it is kept");
    second.judge(&again[0], Way::Unsanctioned);
    drop(second);

    let mut third = Process::start(folder.path());
    third.lists(&[edited("6", "a:2")], at("20"));
    assert!(third.told().is_empty());
    assert_eq!(
        third.core.coverage.lock().unwrap().figure(None, at("20")).unsanctioned,
        0,
        "it ended before it was counted"
    );
    drop(third);

    let mut fourth = Process::start(folder.path());
    let new = json!({"name": "new", "namespace": "shop", "uid": "u-new", "resourceVersion": "31", "creationTimestamp": "2026-11-22T10:00:25Z"});
    fourth.lists(&[edited("30", "a:3"), json!({"metadata": new, "spec": {}})], at("30"));
    let mut told: Vec<String> = fourth
        .told()
        .iter()
        .map(|seen| {
            let write = seen.write();
            format!("{:?} {} {}", write.verb, write.object.name, write.fields.len())
        })
        .collect();
    told.sort();
    assert_eq!(told, ["Create new 0", "Update web 1"]);
    drop(fourth);

    let mut fifth = Process::start(folder.path());
    fifth.lists(&[], at("40"));
    let told: Vec<_> = fifth
        .told()
        .iter()
        .map(|seen| format!("{:?} {}", seen.write().verb, seen.write().object.name))
        .collect();
    assert_eq!(told, ["Delete web"], "the other was never told to anybody who kept it, and is gone");
}

/// The state before a write is kept while somebody may still ask for it, and no longer.
#[test]
fn one_that_does_not_lead_keeps_what_it_saw_for_ten_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let mut follower = Process::start(folder.path());
    follower.lists(&[deployment("5", 1, "a:1")], at("00"));
    follower.sees(&edited("6", "a:2"), at("03"));
    follower.core.pass(false, at("50"));
    assert!(follower.core.joiner.is_open(&object()));
    let later = at("03") + SignedDuration::from_mins(11);
    follower.core.pass(false, later);
    assert!(follower.told().is_empty() && !follower.core.joiner.is_open(&object()));
    let mut leader = Process::start(tempfile::tempdir().unwrap().path());
    leader.lists(&[deployment("5", 1, "a:1")], at("00"));
    leader.sees(&edited("6", "a:2"), at("03"));
    leader.core.pass(true, later);
    assert_eq!(leader.told().len(), 1, "one that leads keeps it until somebody has it");
}

#[test]
fn git_counts_and_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    process.lists(&[deployment("5", 1, "a:1")], at("00"));
    process
        .sees(&written_by(deployment("6", 1, "a:2"), "argocd-controller", "2026-11-22T10:00:03Z"), at("03"));
    process.sees(
        &written_by(deployment("7", 9, "a:2"), "kube-controller-manager", "2026-11-22T10:00:04Z"),
        at("04"),
    );
    assert!(process.told().is_empty());
    process.sees(&edited("8", "a:3"), at("05"));
    let told = process.told();
    assert_eq!(told.len(), 1);
    process.judge(&told[0], Way::Session);
    process.judge(&told[0], Way::Session);
    let figure = process.core.coverage.lock().unwrap().figure(Some("shop"), at("06"));
    assert_eq!((figure.git, figure.session, figure.unsanctioned), (1, 1, 0));
    process.core.store_all(at("06"));
    let process = Process::start(folder.path());
    assert_eq!(
        process.core.coverage.lock().unwrap().figure(None, at("06")),
        figure,
        "it outlives the process"
    );
}

/// As they come over the wire.
#[test]
fn a_question_and_an_event_name_the_user() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    process.lists(&[deployment("5", 1, "a:1")], at("00"));
    let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "r1", "resource": {"group": "apps", "version": "v1", "resource": "deployments"}, "name": "web", "namespace": "shop",
        "operation": "UPDATE", "userInfo": {"username": "ann"}, "object": deployment("5", 1, "a:2"), "oldObject": deployment("5", 1, "a:1") } });
    process.core.brought(&Brought::Question(Bytes::from(review.to_string())), at("03"));
    process.sees(&edited("6", "a:2"), at("03"));
    let told = process.told();
    assert_eq!(told[0].write().users, ["ann"]);
    process.core.brought(&Brought::Question(Bytes::from_static(b"{")), at("04"));
    process.core.brought(&Brought::Events(Bytes::from_static(b"{")), at("04"));
    process.core.brought(&Brought::Events(events_of_ann()), at("05"));
    let told = process.told();
    assert!(matches!(told.as_slice(), [Seen::Amended(write)] if write.witnesses.len() == 3), "{told:?}");
}

/// As the API server posts them.
fn events_of_ann() -> Bytes {
    let event = json!({"apiVersion": "audit.k8s.io/v1", "auditID": "x", "stage": "ResponseComplete", "verb": "patch",
        "requestURI": "/x?fieldManager=kubectl-edit", "user": {"username": "ann"},
        "objectRef": {"resource": "deployments", "apiGroup": "apps", "namespace": "shop", "name": "web"}, "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-11-22T10:00:03.1Z", "stageTimestamp": "2026-11-22T10:00:03.2Z"});
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event]});
    Bytes::from(list.to_string())
}

#[test]
fn audit_events_that_another_replica_was_sent_reach_the_one_that_leads() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [mut leader, mut follower] = [&folders[0], &folders[1]].map(|folder| Process::start(folder.path()));
    for process in [&mut leader, &mut follower] {
        process.lists(&[deployment("5", 1, "a:1")], at("00"));
        process.sees(&edited("6", "a:2"), at("03"));
    }
    assert!(leader.told()[0].write().users.is_empty());
    follower.core.brought(&Brought::Events(events_of_ann()), at("04"));
    for hearsay in follower.core.heard.all() {
        leader.core.overheard(hearsay, at("05"));
    }
    let told = leader.told();
    assert!(matches!(told.as_slice(), [Seen::Amended(write)] if write.users == ["ann"]), "{told:?}");
}
