//! The life of an emergency, moment by moment.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use kube::api::ObjectMeta;

use super::{
    captured::tests::{at, write},
    config::{Terms, tests::terms},
    session::Session,
    step::{Action, Event, escalations, requested, step, unsanctioned},
};
use crate::{
    api::emergency_change::{
        Deadline, EmergencyChange, EmergencyPhase, EmergencyPhase as Phase, GitOpsStand, Outcome, Revert,
    },
    changes::{capture::Write, emergency::captured::second},
};

fn rules() -> Terms {
    terms("{reconcileWithin: 1h, reviewWithin: 24h, settle: 30s}")
}

/// An emergency for what is in namespace shop, and how it goes.
struct Story {
    session: Session,
    terms: Terms,
    told: Vec<Action>,
}

impl Story {
    fn requested(stands: Vec<GitOpsStand>) -> Self {
        let spec = serde_saphyr::from_str(
            "{incident: INC-1, severity: critical, reason: it burns, requestedBy: ann, secondPerson: bob, \
             budget: 30m, scope: {namespaces: [shop]}}",
        )
        .unwrap();
        let meta = ObjectMeta { name: Some("inc-1-abc".into()), ..ObjectMeta::default() };
        let terms = rules();
        let (session, told) = requested(meta, spec, stands, at(0), &terms);
        Self { session, terms, told }
    }

    /// Active from second 10 to 1810.
    fn active() -> Self {
        let mut story = Self::requested(Vec::new());
        story.goes(10, Event::Confirmed { by: "bob".into() });
        story.goes(10, Event::Foreseen { stands: Vec::new() });
        assert_eq!(story.phase(10), Phase::Active);
        story
    }

    /// As it is read again after a restart, so that every test shows what survives one.
    fn goes(&mut self, second: i64, event: Event) {
        let stored = serde_json::to_string(&EmergencyChange::from(self.session.clone())).unwrap();
        let read = Session::from(serde_json::from_str::<EmergencyChange>(&stored).unwrap());
        assert_eq!(read, self.session);
        let (session, told) = step(read, at(second), event, &self.terms);
        self.session = session;
        self.told.extend(told);
        // As a round does: told, and then noted.
        for (deadline, actions) in escalations(&self.session) {
            self.told.extend(actions);
            self.goes(second, Event::Escalated(deadline));
        }
    }

    fn time(&mut self, second: i64) {
        self.goes(second, Event::Time);
    }

    fn phase(&self, second: i64) -> EmergencyPhase {
        self.session.phase(at(second))
    }

    fn reconciled(&mut self, second: i64, outcome: Outcome) {
        let change_request =
            matches!(outcome, Outcome::Proposed | Outcome::Merged).then(|| "abcd".to_owned());
        let uid = "u-1".to_owned();
        self.goes(second, Event::Reconciled { uid, outcome, change_request, message: String::new() });
    }

    fn has_told(&self, wanted: &str) -> usize {
        let is_it = |action: &&Action| matches!(action, Action::Tell { reason, .. } if *reason == wanted);
        self.told.iter().filter(is_it).count()
    }

    fn escalated(&self) -> Vec<Deadline> {
        let of = |action: &Action| match action {
            Action::Escalate(deadline) => Some(*deadline),
            Action::Tell { .. } => None,
        };
        self.told.iter().filter_map(of).collect()
    }

    fn moment(&self, second: i64) -> i64 {
        self.session
            .next_moment(at(second), &self.terms)
            .map_or(0, |next| next.as_second() - at(0).as_second())
    }
}

fn by(time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

#[test]
fn from_being_asked_for_to_the_review() {
    let mut story = Story::requested(Vec::new());
    assert_eq!(story.phase(0), Phase::Requested);
    assert!(
        !story.session.takes(&write(5, "1", 1, 2), at(5), &story.terms),
        "nothing is covered before it is confirmed"
    );
    story.goes(10, Event::Confirmed { by: "bob".into() });
    assert_eq!(story.phase(10), Phase::Validated);
    story.goes(10, Event::Foreseen { stands: Vec::new() });
    assert_eq!(story.phase(10), Phase::Active);
    assert!(story.session.takes(&write(60, "1", 1, 2), at(60), &story.terms));
    story.goes(60, Event::Wrote(write(60, "1", 1, 2)));
    assert_eq!(by(story.session.status.deadlines.reconcile_by.as_ref()), Some(at(3660)));
    assert_eq!(by(story.session.status.deadlines.review_by.as_ref()), Some(at(60 + 86_400)));
    story.goes(100, Event::CloseAsked { by: "ann".into() });
    assert_eq!((story.phase(100), story.moment(100)), (Phase::Capturing, 130));
    story.time(129);
    assert_eq!(story.phase(129), Phase::Capturing);
    story.time(130);
    assert_eq!(story.phase(130), Phase::Closed);
    story.reconciled(140, Outcome::Proposed);
    assert_eq!(story.phase(140), Phase::PullRequestOpened);
    assert_eq!(story.session.status.change_requests, ["abcd"]);
    story.reconciled(500, Outcome::Merged);
    assert_eq!(story.phase(500), Phase::Merged);
    story.goes(600, Event::Reviewed { by: "carl".into(), note: "fine".into() });
    assert_eq!(story.phase(600), Phase::Reviewed);
    story.time(90_000);
    assert!(story.escalated().is_empty() && story.session.status.breaches.is_empty());
    for told in ["Requested", "Active", "Captured", "Closed", "Reviewed"] {
        assert_eq!(story.has_told(told), 1, "{told}");
    }
}

#[test]
fn it_lapses_when_nobody_confirms_it() {
    let mut story = Story::requested(Vec::new());
    story.time(899);
    assert_eq!(story.phase(899), Phase::Requested);
    story.time(900);
    assert_eq!(story.phase(900), Phase::Lapsed);
    story.goes(901, Event::Confirmed { by: "bob".into() });
    assert_eq!(story.phase(901), Phase::Lapsed, "too late");
    let mut story = Story::requested(Vec::new());
    story.goes(5, Event::CloseAsked { by: "ann".into() });
    assert_eq!(story.phase(5), Phase::Lapsed, "given up before it began");
}

#[test]
fn without_a_close_it_is_reconciled_in_time_all_the_same() {
    let mut story = Story::active();
    story.goes(60, Event::Wrote(write(60, "1", 1, 2)));
    story.time(1810);
    assert_eq!(story.phase(1810), Phase::Capturing, "its half hour is over");
    // Five minutes before the deadline it is closed by itself.
    assert_eq!(story.moment(1900), 3360);
    story.time(3359);
    assert_eq!(story.phase(3359), Phase::Capturing);
    story.time(3360);
    assert_eq!(story.phase(3360), Phase::Closed);
    story.reconciled(3370, Outcome::Failed);
    story.time(3659);
    assert!(story.escalated().is_empty());
    story.time(3660);
    assert_eq!((story.phase(3660), story.escalated()), (Phase::Breached, vec![Deadline::Reconcile]));
    story.time(3700);
    assert_eq!(story.escalated().len(), 1, "a broken deadline is told once");
    story.reconciled(3710, Outcome::Proposed);
    assert_eq!(story.phase(3710), Phase::PullRequestOpened, "made good, and still to be seen");
    assert_eq!(story.session.status.breaches.len(), 1);
    let kept = story.session.status.conditions.iter().find(|one| one.type_ == "DeadlinesKept").unwrap();
    assert_eq!(kept.status, "False");
}

#[test]
fn a_broken_deadline_that_was_not_told_is_told_by_the_next_process() {
    let mut story = Story::active();
    story.goes(60, Event::Wrote(write(60, "1", 1, 2)));
    // The process ends once that is kept, and before anybody was told.
    let (broken, told) = step(story.session.clone(), at(3660), Event::Time, &story.terms);
    assert!(!told.iter().any(|action| matches!(action, Action::Escalate(_))), "{told:?}");
    let due = escalations(&broken);
    assert!(matches!(due.as_slice(), [(Deadline::Reconcile, actions)] if actions.len() == 2), "{due:?}");
    let (told, _) = step(broken, at(3661), Event::Escalated(Deadline::Reconcile), &story.terms);
    assert!(escalations(&told).is_empty());
}

#[test]
fn a_review_that_is_late_is_escalated_and_can_still_be_made() {
    let mut story = Story::active();
    story.goes(60, Event::Wrote(write(60, "1", 1, 2)));
    story.goes(70, Event::CloseAsked { by: "ann".into() });
    story.time(100);
    story.reconciled(110, Outcome::Merged);
    story.time(60 + 86_400);
    assert_eq!((story.phase(90_000), story.escalated()), (Phase::Breached, vec![Deadline::Review]));
    story.goes(90_001, Event::Reviewed { by: "carl".into(), note: "late".into() });
    assert_eq!(story.phase(90_001), Phase::Reviewed);
}

#[test]
fn nothing_written_is_closed_by_itself_and_still_reviewed() {
    let mut story = Story::active();
    story.time(1839);
    assert_eq!(story.phase(1839), Phase::Capturing);
    story.time(1840);
    assert_eq!(story.phase(1840), Phase::Closed);
    assert_eq!(by(story.session.status.deadlines.review_by.as_ref()), Some(at(1840 + 86_400)));
    assert!(story.session.status.deadlines.reconcile_by.is_none());
}

#[test]
fn what_is_written_before_after_and_beside_it_is_not_covered() {
    let story = Story::active();
    let takes = |one: &Write| story.session.takes(one, at(1900), &story.terms);
    assert!(!takes(&write(5, "1", 1, 2)), "before");
    assert!(takes(&write(9, "1", 1, 2)), "moments are told in whole seconds, by another clock");
    assert!(takes(&write(1810, "1", 1, 2)), "told late, written in time");
    assert!(!takes(&write(1815, "1", 1, 2)), "after");
    let mut elsewhere = write(20, "1", 1, 2);
    elsewhere.object.namespace = Some("other".into());
    assert!(!takes(&elsewhere));
    let mut denied = write(20, "1", 1, 2);
    (denied.object.group, denied.object.kind) = ("rbac.authorization.k8s.io".into(), "Role".into());
    assert!(!takes(&denied), "the deny list holds inside the scope too");
}

#[test]
fn a_write_that_is_told_after_the_close_is_proposed_anew() {
    let mut story = Story::active();
    story.goes(60, Event::Wrote(write(60, "1", 1, 2)));
    story.goes(70, Event::CloseAsked { by: "ann".into() });
    story.time(100);
    story.reconciled(110, Outcome::Proposed);
    story.goes(120, Event::Wrote(write(69, "2", 2, 3)));
    assert_eq!(story.phase(120), Phase::Closed);
    assert!(story.session.status.captured[0].reconciliation.is_none());
    // The same one from another witness changes nothing.
    story.reconciled(130, Outcome::Proposed);
    story.goes(140, Event::Wrote(write(69, "2", 2, 3)));
    assert_eq!(story.phase(140), Phase::PullRequestOpened);
}

#[test]
fn what_is_undone_needs_no_pull_request() {
    let mut story = Story::active();
    story.goes(60, Event::Wrote(write(60, "1", 1, 2)));
    let revert = Revert { at: second(at(90)), by: "argocd-controller".into(), version: "77".into() };
    story.goes(95, Event::Looked { uid: "u-1".into(), reverted: Some(revert.clone()) });
    story.goes(96, Event::Looked { uid: "u-1".into(), reverted: Some(revert) });
    assert_eq!((story.phase(95), story.has_told("Undone")), (Phase::Active, 1));
    // Written again: then it is not undone any more.
    story.goes(97, Event::Looked { uid: "u-1".into(), reverted: None });
    assert!(story.session.status.captured[0].reverted.is_none());
    let revert = Revert { at: second(at(98)), by: "argocd-controller".into(), version: "78".into() };
    story.goes(99, Event::Looked { uid: "u-1".into(), reverted: Some(revert.clone()) });
    story.goes(100, Event::CloseAsked { by: "ann".into() });
    story.time(130);
    story.goes(131, Event::Looked { uid: "u-1".into(), reverted: Some(revert) });
    assert_eq!(story.phase(131), Phase::Reverted);
    let proof = &story.session.status.captured[0].reconciliation.as_ref().unwrap().message;
    assert!(proof.contains("argocd-controller") && proof.contains("version 78"), "{proof}");
}

#[test]
fn a_pause_is_known_however_it_was_made_and_until_it_is_lifted() {
    let reverting = |reverts, paused| GitOpsStand {
        by: "Argo CD Application argocd/shop".into(),
        reverts,
        paused,
        advice: String::new(),
    };
    let mut story = Story::requested(vec![reverting(true, false)]);
    story.goes(10, Event::Confirmed { by: "bob".into() });
    story.goes(10, Event::Foreseen { stands: vec![reverting(true, false)] });
    assert_eq!(story.has_told("WillBeReverted"), 1);
    story.goes(20, Event::Foreseen { stands: vec![reverting(false, false)] });
    assert!(story.session.is_paused(), "self-heal was taken away");
    let resumed = |story: &Story| {
        story
            .session
            .status
            .conditions
            .iter()
            .find(|one| one.type_ == "GitOpsResumed")
            .unwrap()
            .status
            .clone()
    };
    assert_eq!(resumed(&story), "False");
    story.goes(30, Event::Foreseen { stands: vec![reverting(true, false)] });
    assert!(!story.session.is_paused());
    assert_eq!((resumed(&story).as_str(), story.has_told("GitOpsResumed")), ("True", 1));
}

#[test]
fn writes_without_an_emergency_are_recorded_with_the_same_deadlines() {
    let terms = rules();
    let (session, told) = unsanctioned(Some("pilothouse"), &write(60, "1", 1, 2), at(61), &terms);
    assert!(
        told.iter()
            .any(|action| matches!(action, Action::Tell { reason: "Unsanctioned", is_warning: true, .. }))
    );
    let mut story = Story { session, terms, told };
    assert_eq!(story.phase(61), Phase::Capturing);
    assert_eq!(by(story.session.status.deadlines.reconcile_by.as_ref()), Some(at(3660)));
    assert_eq!(by(story.session.status.deadlines.review_by.as_ref()), Some(at(60 + 86_400)));
    let mut other_object = write(200, "9", 1, 2);
    (other_object.uid, other_object.object.name) = ("u-2".into(), "api".into());
    assert!(story.session.takes(&other_object, at(200), &story.terms), "one person's edits are one record");
    let somebody = Write { users: vec!["eve".into()], ..other_object.clone() };
    assert!(!story.session.takes(&somebody, at(200), &story.terms));
    story.goes(200, Event::Wrote(other_object));
    story.time(959);
    assert_eq!(story.phase(959), Phase::Capturing);
    story.time(960);
    assert_eq!(story.phase(960), Phase::Closed, "after a quarter of an hour the record is full");
    assert!(!story.session.takes(&write(970, "3", 2, 4), at(970), &story.terms), "a new one begins");
    assert!(story.session.took_part("ann") && !story.session.took_part("bob"));
    let again = unsanctioned(None, &write(60, "1", 1, 2), at(400), &story.terms).0;
    assert_eq!(again.name(), story.session.name(), "the same write makes the same record");
}
