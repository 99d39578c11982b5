//! Three witnesses in every order, and those that contradict each other.
#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, Timestamp};

use super::{Joiner, Known, Sighting};
use crate::changes::capture::{
    asked::{Asked, Wanted},
    joiner_fixture::{asked, at, object, recorded},
    recorded::{Deed, Recorded},
    rules::{Actor, Rules},
    tracker::Watched,
    write::{Verb, Witness, Write},
};

const PATIENCE: SignedDuration = SignedDuration::from_secs(2);

fn joiner() -> Joiner {
    Joiner::new(Rules::new(Default::default(), Default::default()), PATIENCE)
}

/// The watch shows content `content-VERSION` after version `before`.
fn watched(before: &str, version: &str, manager: &str) -> Watched {
    Watched {
        at: at("05"),
        between: (at("05"), at("06")),
        object: object(),
        uid: "u-web".to_owned(),
        version: version.to_owned(),
        before: Some(before.to_owned()),
        verb: Verb::Update,
        fingerprint: format!("content-{version}"),
        replicas: None,
        managers: vec![manager.to_owned()],
        fields: Vec::new(),
    }
}

/// What is told, in words: `write ann 6 Watch+Webhook`.
fn said(known: &[Known]) -> Vec<String> {
    let words = |what: &str, write: &Write| {
        let users = write.users.join(", ");
        let user = if users.is_empty() { "?" } else { &users };
        let witnesses: Vec<_> = write.witnesses.iter().map(|witness| format!("{witness:?}")).collect();
        format!("{what} {user} {} {}", write.version, witnesses.join("+"))
    };
    let all = known.iter().map(|known| match known {
        Known::Write(write) => words("write", write),
        Known::Amended(write) => words("amended", write),
        Known::Excused(write, actor) => words(&format!("excused {actor:?}"), write),
        Known::LeftOut(write, actor) => words(&format!("left out {actor:?}"), write),
    });
    all.collect()
}

fn all(joiner: &mut Joiner, sightings: Vec<Sighting>, until: &str) -> Vec<String> {
    let mut known = Vec::new();
    for sighting in sightings {
        known.extend(joiner.apply(sighting, at("06")));
    }
    known.extend(joiner.pass(at(until)));
    said(&known)
}

fn w(before: &str, version: &str) -> Sighting {
    Sighting::Watched(watched(before, version, "kubectl-edit"))
}

fn a(review: &str, user: &str, before: &str, wanted: &str) -> Sighting {
    Sighting::Asked(asked(review, user, before, wanted))
}

fn r(id: &str, user: &str) -> Sighting {
    Sighting::Recorded(recorded(id, user, "kubectl-edit"))
}

#[test]
fn whoever_comes_first_it_is_one_write_with_its_user() {
    for (sightings, expected) in [
        (vec![a("1", "ann", "5", "6"), w("5", "6")], vec!["write ann 6 Watch+Webhook"]),
        (vec![w("5", "6"), a("1", "ann", "5", "6")], vec!["write ann 6 Watch+Webhook"]),
        (vec![w("5", "6"), r("e", "ann")], vec!["write ann 6 Watch+AuditEvent"]),
        (vec![r("e", "ann"), w("5", "6")], vec!["write ann 6 Watch+AuditEvent"]),
        (
            vec![a("1", "ann", "5", "6"), w("5", "6"), r("e", "ann")],
            vec!["write ann 6 Watch+Webhook", "amended ann 6 Watch+Webhook+AuditEvent"],
        ),
        // Nobody else saw it: it is told without a user once that is certain.
        (vec![w("5", "6")], vec!["write ? 6 Watch"]),
        // Shippers and replicas repeat themselves.
        (
            vec![a("1", "ann", "5", "6"), a("1", "ann", "5", "6"), w("5", "6"), a("1", "ann", "5", "6")],
            vec!["write ann 6 Watch+Webhook"],
        ),
        (vec![w("5", "6"), r("e", "ann"), r("e", "ann")], vec!["write ann 6 Watch+AuditEvent"]),
    ] {
        assert_eq!(all(&mut joiner(), sightings.clone(), "09"), expected, "{sightings:?}");
    }
}

#[test]
fn a_user_who_comes_late_amends() {
    let mut joiner = joiner();
    assert_eq!(all(&mut joiner, vec![w("5", "6")], "07"), Vec::<String>::new(), "it waits for its user");
    assert_eq!(said(&joiner.pass(at("08"))), ["write ? 6 Watch"]);
    let late = joiner.apply(r("e", "ann"), at("50"));
    assert_eq!(said(&late), ["amended ann 6 Watch+AuditEvent"]);
    let hours = at("08") + SignedDuration::from_hours(2);
    joiner.settle(&object(), &super::WriteId { uid: "u-web".to_owned(), version: "6".to_owned() });
    joiner.pass(hours);
    assert!(joiner.apply(r("f", "ann"), hours).is_empty(), "nothing is kept for ever");
}

#[test]
fn where_only_the_watch_sees_nothing_waits() {
    let mut joiner = Joiner::new(Rules::new(Default::default(), Default::default()), SignedDuration::ZERO);
    assert_eq!(said(&joiner.apply(w("5", "6"), at("05"))), ["write ? 6 Watch"]);
}

#[test]
fn a_question_whose_answer_was_not_stored_is_no_write() {
    let mut joiner = joiner();
    // Ann is refused by a quota; then Bob writes something else onto the same version.
    let told = all(&mut joiner, vec![a("1", "ann", "5", "7"), a("2", "bob", "5", "6"), w("5", "6")], "09");
    assert_eq!(told, ["write bob 6 Watch+Webhook"]);
    // Ann alone, and nothing is stored.
    let told = all(&mut joiner, vec![a("3", "ann", "6", "9")], "30");
    assert!(told.is_empty(), "{told:?}");
    joiner.pass(at("05") + SignedDuration::from_mins(3));
    assert_eq!(joiner.unconfirmed(), 2, "both of Ann's");
}

#[test]
fn two_at_once_are_told_apart() {
    // Both are asked about on version 5; Bob is too late and asked about again on version 6.
    let told = all(
        &mut joiner(),
        vec![
            a("1", "ann", "5", "6"),
            a("2", "bob", "5", "x"),
            a("3", "bob", "6", "7"),
            w("5", "6"),
            w("6", "7"),
        ],
        "09",
    );
    assert_eq!(told, ["write ann 6 Watch+Webhook", "write bob 7 Watch+Webhook"]);
    // Both wanted the very same: it may have been either.
    let told = all(&mut joiner(), vec![a("1", "ann", "5", "6"), a("2", "bob", "5", "6"), w("5", "6")], "09");
    assert_eq!(told, ["write ? 6 Watch"]);
    // The record says two; each has its own.
    let told = all(&mut joiner(), vec![w("5", "6"), w("6", "7"), r("e", "ann"), r("f", "bob")], "09");
    assert_eq!(told, ["write ann 6 Watch+AuditEvent", "write bob 7 Watch+AuditEvent"]);
}

#[test]
fn an_event_belongs_to_the_write_of_its_manager_version_and_time() {
    let mut joiner = joiner();
    let other = Sighting::Recorded(recorded("e", "bob", "kubectl-scale"));
    let before = Recorded { done: at("01"), received: at("01"), ..recorded("f", "bob", "kubectl-edit") };
    let version = Recorded { version: Some("99".to_owned()), ..recorded("g", "bob", "kubectl-edit") };
    let failed_uid = Recorded { uid: Some("u-other".to_owned()), ..recorded("h", "bob", "kubectl-edit") };
    let sightings = vec![
        w("5", "6"),
        other,
        Sighting::Recorded(before),
        Sighting::Recorded(version),
        Sighting::Recorded(failed_uid),
    ];
    assert_eq!(all(&mut joiner, sightings, "09"), ["write ? 6 Watch"]);
    let exact = Recorded {
        version: Some("6".to_owned()),
        done: at("30"),
        received: at("30"),
        ..recorded("i", "ann", "x")
    };
    assert_eq!(said(&joiner.apply(Sighting::Recorded(exact), at("31"))), ["amended ann 6 Watch+AuditEvent"]);
    joiner.pass(at("31") + SignedDuration::from_mins(6));
    assert_eq!((joiner.audited().captured, joiner.audited().unmatched), (1, 4));
}

#[test]
fn scale_create_and_delete_are_joined_by_what_their_questions_show() {
    let mut joiner = joiner();
    let scale = Asked { wanted: Wanted::Replicas(3), found: None, ..asked("1", "ann", "5", "") };
    let scaled = Watched { replicas: Some(3), ..watched("5", "6", "kubectl") };
    let told = all(&mut joiner, vec![Sighting::Asked(scale), Sighting::Watched(scaled)], "07");
    assert_eq!(told, ["write ann 6 Watch+Webhook"]);
    let delete = Asked { wanted: Wanted::Gone, ..asked("2", "bob", "6", "") };
    let deleted = Watched {
        verb: Verb::Delete,
        version: "deleted".to_owned(),
        managers: vec![],
        ..watched("9", "", "")
    };
    let told = all(&mut joiner, vec![Sighting::Asked(delete), Sighting::Watched(deleted)], "07");
    assert_eq!(told, ["write bob deleted Watch+Webhook"]);
    let create = Asked { before: None, found: None, uid: None, ..asked("3", "eve", "", "10") };
    let created = Watched {
        verb: Verb::Create,
        before: None,
        uid: "u-2".to_owned(),
        ..watched("", "10", "kubectl-create")
    };
    let told = all(&mut joiner, vec![Sighting::Asked(create), Sighting::Watched(created)], "07");
    assert_eq!(told, ["write eve 10 Watch+Webhook"]);
}

#[test]
fn what_a_relist_shows_as_one_names_all_who_wrote() {
    // Versions 6 and 7 were never shown.
    let told = all(
        &mut joiner(),
        vec![a("1", "ann", "5", "6"), a("2", "bob", "6", "7"), a("3", "ann", "7", "8"), w("5", "8")],
        "09",
    );
    assert_eq!(told, ["write ann, bob 8 Watch+Webhook"]);
    // A hole in between: nothing is guessed.
    let told = all(&mut joiner(), vec![a("1", "ann", "5", "6"), a("3", "ann", "7", "8"), w("5", "8")], "09");
    assert_eq!(told, ["write ? 8 Watch"]);
}

#[test]
fn one_event_may_delete_everything() {
    let mut joiner = joiner();
    let of = |name: &str| {
        let mut watched = Watched {
            verb: Verb::Delete,
            version: "deleted".to_owned(),
            managers: vec![],
            ..watched("9", "", "")
        };
        watched.object.name = name.to_owned();
        watched.uid = name.to_owned();
        Sighting::Watched(watched)
    };
    let mut event = recorded("e", "ann", "kubectl");
    event.deed = Deed::DeleteAll;
    event.object.name = String::new();
    let told = all(&mut joiner, vec![of("a"), of("b"), Sighting::Recorded(event), of("c")], "07");
    assert_eq!(told, ["write ann deleted Watch+AuditEvent"; 3]);
}

#[test]
fn git_and_the_system_are_left_out_until_a_person_turns_out_to_have_called_himself_so() {
    let argo = "system:serviceaccount:argocd:argocd-application-controller";
    let by = |manager: &str| Sighting::Watched(watched("5", "6", manager));
    let event = |user: &str, manager: &str| Sighting::Recorded(recorded("e", user, manager));
    for (sightings, expected) in [
        (vec![by("argocd-controller")], vec!["left out Git ? 6 Watch"]),
        (vec![by("kube-controller-manager")], vec!["left out System ? 6 Watch"]),
        (
            vec![by("argocd-controller"), event(argo, "argocd-controller")],
            vec![&*format!("left out Git {argo} 6 Watch+AuditEvent")],
        ),
        (
            vec![by("argocd-controller"), event("ann", "argocd-controller")],
            vec!["write ann 6 Watch+AuditEvent"],
        ),
    ] {
        assert_eq!(all(&mut joiner(), sightings, "09"), expected);
    }
    let mut late = joiner();
    assert_eq!(all(&mut late, vec![by("argocd-controller")], "09"), ["left out Git ? 6 Watch"]);
    assert_eq!(
        said(&late.apply(event("ann", "argocd-controller"), at("20"))),
        ["write ann 6 Watch+AuditEvent"]
    );
    let mut unnamed = joiner();
    assert_eq!(all(&mut unnamed, vec![by("node-fetch")], "09"), ["write ? 6 Watch"]);
    let hpa = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
    let known = unnamed.apply(event(hpa, "node-fetch"), at("20"));
    assert!(matches!(known.as_slice(), [Known::Excused(_, Actor::System)]), "{known:?}");
}

#[test]
fn a_write_is_open_until_somebody_has_it() {
    let mut joiner = joiner();
    assert!(!joiner.is_open(&object()));
    let known = all(&mut joiner, vec![w("5", "6")], "07");
    assert!(known.is_empty() && joiner.is_open(&object()), "it is not told yet");
    let [Known::Write(write)] = &joiner.pass(at("08"))[..] else { panic!("it is told") };
    assert!(joiner.is_open(&object()));
    let days: Timestamp = at("08") + SignedDuration::from_hours(72);
    joiner.pass(days);
    assert!(joiner.is_open(&object()), "however long that takes");
    joiner.settle(&object(), &write.id());
    assert!(!joiner.is_open(&object()));
    assert_eq!(write.witnesses, [Witness::Watch]);
}
