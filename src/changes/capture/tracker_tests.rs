//! What the watch shows, as the API server sends it, and which writes it is.
#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Tracker, Watched};
use crate::changes::capture::{
    joiner_fixture::{at, deployment, hand, object, shelf, snapshot, written_by},
    rules::{Actor, Rules},
    write::{DELETED, Verb},
};

/// Following since ten o'clock, with this object.
fn following(first: &Value) -> Tracker {
    let mut tracker = Tracker::default();
    assert!(
        tracker.relist(&shelf(), vec![snapshot(first)], at("00")).is_empty(),
        "where we begin nothing is a write"
    );
    tracker
}

fn apply(tracker: &mut Tracker, object: &Value, second: &str) -> Vec<Watched> {
    tracker.apply(&shelf(), snapshot(object), at(second))
}

fn one(tracker: &mut Tracker, object: &Value, second: &str) -> Watched {
    let mut found = apply(tracker, object, second);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn paths(watched: &Watched) -> Vec<&str> {
    watched.fields.iter().map(|change| change.path.as_str()).collect()
}

const IMAGE: &str = "spec.template.spec.containers[name=web].image";

/// `managedFields` as Kubernetes 1.34 writes them for each of these, and who it was.
#[test]
fn every_way_to_write_is_told_by_its_manager() {
    let rules = Rules::new(Default::default(), Default::default());
    let restarted = "spec.template.metadata.annotations";
    let restart = json!({"kubectl.kubernetes.io/restartedAt": "2026-11-22T10:00:03Z"});
    let image = json!("a:2");
    for (manager, operation, subresource, pointer, value, path, actor) in [
        (
            "kubectl-edit",
            "Update",
            "",
            "/spec/template/spec/containers/0/image",
            &image,
            IMAGE,
            Actor::Person,
        ),
        (
            "kubectl-client-side-apply",
            "Update",
            "",
            "/spec/template/spec/containers/0/image",
            &image,
            IMAGE,
            Actor::Person,
        ),
        ("kubectl", "Apply", "", "/spec/template/spec/containers/0/image", &image, IMAGE, Actor::Person),
        ("kubectl-patch", "Update", "", "/spec/replicas", &json!(3), "spec.replicas", Actor::Person),
        ("kubectl", "Update", "scale", "/spec/replicas", &json!(3), "spec.replicas", Actor::Person),
        (
            "kubectl-rollout",
            "Update",
            "",
            "/spec/template/metadata/annotations",
            &restart,
            restarted,
            Actor::Person,
        ),
        ("kubectl-set", "Update", "", "/spec/template/spec/containers/0/image", &image, IMAGE, Actor::Person),
        (
            "kubectl-label",
            "Update",
            "",
            "/metadata/labels/team",
            &json!("a"),
            "metadata.labels.team",
            Actor::Person,
        ),
        ("oc", "Update", "", "/spec/replicas", &json!(0), "spec.replicas", Actor::Person),
        ("helm", "Update", "", "/spec/template/spec/containers/0/image", &image, IMAGE, Actor::Person),
        (
            "argocd-controller",
            "Apply",
            "",
            "/spec/template/spec/containers/0/image",
            &image,
            IMAGE,
            Actor::Git,
        ),
        ("kustomize-controller", "Apply", "", "/spec/replicas", &json!(3), "spec.replicas", Actor::Git),
        ("helm-controller", "Update", "", "/spec/replicas", &json!(3), "spec.replicas", Actor::Git),
        (
            "kube-controller-manager",
            "Update",
            "scale",
            "/spec/replicas",
            &json!(3),
            "spec.replicas",
            Actor::System,
        ),
    ] {
        let mut tracker = following(&deployment("5", 1, "a:1"));
        let mut after = deployment("6", 1, "a:1");
        match after.pointer_mut(pointer) {
            Some(field) => *field = value.clone(),
            None => {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                after.pointer_mut(parent).unwrap()[key] = value.clone();
            }
        }
        after["metadata"]["managedFields"].as_array_mut().unwrap().push(hand(
            manager,
            operation,
            subresource,
            "2026-11-22T10:00:03Z",
        ));
        let watched = one(&mut tracker, &after, "04");
        assert_eq!(watched.managers, [manager], "{manager}");
        assert_eq!(
            (paths(&watched), watched.at, watched.verb),
            (vec![path], at("03"), Verb::Update),
            "{manager}"
        );
        assert_eq!(rules.actor(&[], &watched.managers), actor, "{manager}");
    }
}

#[test]
fn the_status_and_what_controllers_note_are_no_writes() {
    let mut tracker = following(&deployment("5", 1, "a:1"));
    let mut after = deployment("6", 1, "a:1");
    after["status"] = json!({"observedGeneration": 2, "readyReplicas": 1});
    after["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("2");
    after["metadata"]["managedFields"].as_array_mut().unwrap().push(hand(
        "kube-controller-manager",
        "Update",
        "status",
        "2026-11-22T10:00:02Z",
    ));
    assert!(apply(&mut tracker, &after, "02").is_empty());
    assert!(apply(&mut tracker, &after, "03").is_empty(), "the same again");
    let edited = written_by(deployment("7", 1, "a:2"), "kubectl-edit", "2026-11-22T10:00:04Z");
    let watched = one(&mut tracker, &edited, "04");
    assert_eq!((watched.before.as_deref(), watched.version.as_str()), (Some("6"), "7"));
}

#[test]
fn the_same_hand_twice_in_a_second_is_told_and_a_removal_names_nobody() {
    let edit = |version: &str, image: &str| {
        written_by(deployment(version, 1, image), "kubectl-edit", "2026-11-22T10:00:03Z")
    };
    let mut tracker = following(&deployment("5", 1, "a:1"));
    one(&mut tracker, &edit("6", "a:2"), "03");
    let again = one(&mut tracker, &edit("7", "a:3"), "03");
    assert_eq!(again.managers, ["kubectl-edit"]);
    let mut removed = edit("8", "a:3");
    removed["metadata"]["labels"] = json!({});
    let removed = one(&mut tracker, &removed, "04");
    assert_eq!((removed.managers.len(), paths(&removed)), (0, vec!["metadata.labels"]));
}

#[test]
fn objects_come_go_and_come_back() {
    let mut tracker = following(&deployment("5", 1, "a:1"));
    let gone = tracker.remove(&object(), at("02")).unwrap();
    assert_eq!(
        (gone.verb, gone.version.as_str(), gone.before.as_deref()),
        (Verb::Delete, DELETED, Some("5"))
    );
    let mut made = deployment("9", 1, "a:1");
    made["metadata"]["uid"] = json!("u-2");
    made["metadata"]["creationTimestamp"] = json!("2026-11-22T10:00:03Z");
    let created = one(&mut tracker, &made, "03");
    assert_eq!((created.verb, created.at, created.uid.as_str()), (Verb::Create, at("03"), "u-2"));
    let mut other = made.clone();
    other["metadata"]["uid"] = json!("u-3");
    other["metadata"]["resourceVersion"] = json!("12");
    let both = apply(&mut tracker, &other, "05");
    assert_eq!(
        both.iter().map(|one| one.verb).collect::<Vec<_>>(),
        [Verb::Delete, Verb::Create],
        "unseen in between"
    );
}

#[test]
fn a_delete_that_waits_for_finalizers_is_told_once_and_at_once() {
    let mut tracker = following(&deployment("5", 1, "a:1"));
    let mut leaving = deployment("6", 1, "a:1");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-11-22T10:00:33Z");
    leaving["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    let told = one(&mut tracker, &leaving, "03");
    assert_eq!((told.verb, told.version.as_str(), told.at), (Verb::Delete, DELETED, at("03")));
    leaving["metadata"]["resourceVersion"] = json!("7");
    leaving["metadata"]["finalizers"] = json!([]);
    assert!(apply(&mut tracker, &leaving, "04").is_empty());
    assert!(tracker.remove(&object(), at("05")).is_none());
}

#[test]
fn what_a_controller_owns_is_not_followed_but_giving_it_away_is_told() {
    let owner = json!([{"kind": "Shop", "name": "s", "uid": "o", "controller": true}]);
    let mut owned = deployment("5", 1, "a:1");
    owned["metadata"]["ownerReferences"] = owner.clone();
    let mut tracker = following(&owned);
    owned["metadata"]["resourceVersion"] = json!("6");
    owned["spec"]["replicas"] = json!(7);
    assert!(apply(&mut tracker, &owned, "01").is_empty());
    // Its owner lets it go: it is new to us, and no new object.
    assert!(apply(&mut tracker, &deployment("7", 7, "a:1"), "02").is_empty());
    let edited = written_by(deployment("8", 8, "a:1"), "kubectl-edit", "2026-11-22T10:00:03Z");
    assert_eq!(paths(&one(&mut tracker, &edited, "03")), ["spec.replicas"]);
    let mut hidden = written_by(deployment("9", 8, "a:1"), "kubectl-patch", "2026-11-22T10:00:04Z");
    hidden["metadata"]["ownerReferences"] = owner;
    assert_eq!(paths(&one(&mut tracker, &hidden, "04")), ["metadata.ownerReferences"]);
    assert_eq!((tracker.objects(), tracker.bytes()), (0, 0));
}

#[test]
fn a_relist_tells_what_was_missed() {
    let mut tracker = following(&deployment("5", 1, "a:1"));
    let edited = written_by(deployment("15", 4, "a:9"), "kubectl-edit", "2026-11-22T10:00:30Z");
    let mut new = deployment("14", 1, "b:1");
    new["metadata"]["name"] = json!("new");
    new["metadata"]["uid"] = json!("u-new");
    new["metadata"]["creationTimestamp"] = json!("2026-11-22T10:00:20Z");
    let found = tracker.relist(&shelf(), vec![snapshot(&edited), snapshot(&new)], at("40"));
    assert_eq!(found.iter().map(|one| one.verb).collect::<Vec<_>>(), [Verb::Update, Verb::Create]);
    assert_eq!((found[0].before.as_deref(), paths(&found[0]).len()), (Some("5"), 2));
    let found = tracker.relist(&shelf(), vec![snapshot(&new)], at("50"));
    assert_eq!((found.len(), found[0].verb), (1, Verb::Delete));
    assert!(tracker.relist(&shelf(), vec![snapshot(&new)], at("55")).is_empty());
}

#[test]
fn after_a_restart_what_differs_from_the_stored_state_was_written_meanwhile() {
    let stored = snapshot(&deployment("5", 1, "a:1")).redacted();
    let since = [(shelf(), at("00"))].into();
    let mut tracker = Tracker::restored(vec![stored], since);
    let now: Timestamp = at("00") + SignedDuration::from_hours(3);
    let edited = written_by(deployment("50", 1, "a:2"), "kubectl-edit", "2026-11-22T11:00:00Z");
    let found = tracker.relist(&shelf(), vec![snapshot(&edited)], now);
    assert_eq!(
        (found.len(), paths(&found[0]), found[0].managers.as_slice()),
        (1, vec![IMAGE], &["kubectl-edit".to_owned()][..])
    );
    assert_eq!(found[0].fields[0].before, Some(json!("a:1")));
    assert_eq!(found[0].at.to_string(), "2026-11-22T11:00:00Z");
}

/// What README.md says of the memory.
#[test]
fn an_object_takes_little_more_than_its_text() {
    let mut object = deployment("123456", 3, "registry.example.com/shop/web:1.2.3");
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1,
        "successThreshold": 1, "failureThreshold": 3});
    let container = &mut object["spec"]["template"]["spec"]["containers"][0];
    container["livenessProbe"] = probe.clone();
    container["readinessProbe"] = probe;
    container["resources"] =
        json!({"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}});
    container["env"] = json!([{"name": "A", "value": "b"}, {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
        json!("x".repeat(1_500));
    let whole = object.to_string().len();
    let tracker = following(&object);
    assert!(tracker.bytes() < 2_000 && tracker.bytes() < whole, "{} of {whole}", tracker.bytes());
}
