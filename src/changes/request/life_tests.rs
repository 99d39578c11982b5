#![allow(clippy::unwrap_used, clippy::expect_used)]

use jiff::Timestamp;

use super::{Act, Duty, Next, Seen, Start, duty, next, start};
use crate::{
    api::{
        ChangeRequestSpec, ChangeRequestStatus,
        change_request::{ChangeCondition, ChangePhase, ChangeTarget},
    },
    changes::{
        forge::{ForgeError, PullRequestState, Verdict},
        request::{
            approval::{People, tests::pull_request},
            conditions::reason,
            delivery::Delivered,
            health::Health,
        },
    },
};

fn spec() -> ChangeRequestSpec {
    ChangeRequestSpec {
        target: ChangeTarget {
            kind: "Deployment".into(),
            group: None,
            namespace: Some("shop".into()),
            name: "web".into(),
        },
        edits: Vec::new(),
        whole: None,
        reason: "Too few.".into(),
        evidence: Vec::new(),
        requested_by: "ann".into(),
        repository: None,
        emergency: None,
        revises: None,
    }
}

fn status(phase: ChangePhase) -> ChangeRequestStatus {
    ChangeRequestStatus {
        phase: Some(phase),
        base_branch: "main".into(),
        branch: "pilothouse/00".into(),
        merged_commit: "m1".into(),
        base_commit: "b0".into(),
        ..ChangeRequestStatus::default()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn step(before: &ChangeRequestStatus, seen: Seen<'_>) -> Next {
    next(&spec(), before, seen, &People::default(), at(0))
}

fn phases(next: &Next) -> Vec<ChangePhase> {
    let noted = next.acts.iter().filter_map(|act| match act {
        Act::Note(phase) => Some(*phase),
        Act::Comment(_) => None,
    });
    noted.collect()
}

#[test]
fn from_the_proposal_to_the_healthy_object() {
    let open = pull_request(PullRequestState::Open, &[]);
    let now = step(&status(ChangePhase::Proposed), Seen::PullRequest(&open));
    assert_eq!(now.status.phase, Some(ChangePhase::Proposed));
    assert!(now.status.message.contains("merges it into main"), "{}", now.status.message);

    let approved = pull_request(PullRequestState::Open, &[("bob", Verdict::Approved, "c1")]);
    let now = step(&now.status, Seen::PullRequest(&approved));
    assert_eq!((now.status.phase, phases(&now)), (Some(ChangePhase::Approved), vec![ChangePhase::Approved]));
    assert_eq!(now.status.approved_by, ["bob"]);
    assert!(!now.status.self_approved);

    let state = PullRequestState::Merged { commit: "m2".into(), at: Some(at(-60)), by: Some("bob".into()) };
    let merged = pull_request(state, &[("bob", Verdict::Approved, "c1")]);
    let now = step(&now.status, Seen::PullRequest(&merged));
    assert_eq!((now.status.phase, duty(&now.status)), (Some(ChangePhase::Merged), Duty::Cluster));
    assert_eq!(now.status.merged_commit, "m2");
    assert_eq!(now.status.times.merged.as_ref().unwrap().0, at(-60));

    let not_yet = Delivered { by: None, missing: "It lacks a.".into(), health: Health::Good };
    let now = step(&now.status, Seen::Cluster(&not_yet));
    assert_eq!(now.status.phase, Some(ChangePhase::Merged));

    let rolling = Delivered {
        by: Some("It is there.".into()),
        missing: String::new(),
        health: Health::Not { why: "1/2 ready".into() },
    };
    let now = step(&now.status, Seen::Cluster(&rolling));
    assert_eq!((now.status.phase, phases(&now)), (Some(ChangePhase::Applied), vec![ChangePhase::Applied]));
    assert!(now.status.message.contains("1/2 ready"), "{}", now.status.message);

    let healthy = Delivered { health: Health::Good, ..rolling };
    let now = step(&now.status, Seen::Cluster(&healthy));
    assert_eq!((now.status.phase, phases(&now)), (Some(ChangePhase::Verified), vec![ChangePhase::Verified]));
    assert_eq!(duty(&now.status), Duty::None);
}

#[test]
fn looking_again_changes_nothing() {
    let reviews = [("bob", Verdict::Approved, "c1")];
    let approved = pull_request(PullRequestState::Open, &reviews);
    let first = step(&status(ChangePhase::Proposed), Seen::PullRequest(&approved)).status;
    let again = next(&spec(), &first, Seen::PullRequest(&approved), &People::default(), at(300));
    assert_eq!(again, Next { status: first.clone(), acts: Vec::new() });
    let down = ForgeError::Unavailable("it is down since 10:00".into());
    let first = step(&first, Seen::Trouble(&down)).status;
    assert_eq!(reason(&first, ChangeCondition::Reachable), Some("Unavailable"));
    let down = ForgeError::Unavailable("it is down since 10:01".into());
    let again = next(&spec(), &first, Seen::Trouble(&down), &People::default(), at(300));
    assert_eq!(again.status, first);
    let back = step(&first, Seen::PullRequest(&approved)).status;
    assert_eq!(reason(&back, ChangeCondition::Reachable), Some("Answers"));
}

#[test]
fn the_requesters_own_approval_is_flagged_and_does_not_count() {
    let own = pull_request(PullRequestState::Open, &[("ann", Verdict::Approved, "c1")]);
    let now = step(&status(ChangePhase::Proposed), Seen::PullRequest(&own)).status;
    assert_eq!((now.phase, now.self_approved), (Some(ChangePhase::Proposed), true));
    assert_eq!(reason(&now, ChangeCondition::Approved), Some("SelfApproval"));
    let state = PullRequestState::Merged { commit: "m2".into(), at: None, by: Some("ann".into()) };
    let now = step(&now, Seen::PullRequest(&pull_request(state, &[]))).status;
    assert_eq!((now.phase, now.self_approved), (Some(ChangePhase::Merged), true));
    assert!(now.message.contains("Nobody but those who asked"), "{}", now.message);
}

#[test]
fn nobody_who_had_a_hand_in_it_and_not_our_own_account_is_the_second_pair_of_eyes() {
    let asked = ChangeRequestStatus { asked_by: vec!["oidc:eve".into()], ..status(ChangePhase::Proposed) };
    let merged = |by: &str| PullRequestState::Merged { commit: "m2".into(), at: None, by: Some(by.into()) };
    for own in ["ann", "eve", "pilothouse-bot"] {
        let approved = pull_request(PullRequestState::Open, &[(own, Verdict::Approved, "c1")]);
        let now = step(&asked, Seen::PullRequest(&approved)).status;
        assert_eq!((now.phase, now.self_approved), (Some(ChangePhase::Proposed), true), "{own}");
        let now = step(&asked, Seen::PullRequest(&pull_request(merged(own), &[]))).status;
        assert_eq!(reason(&now, ChangeCondition::Approved), Some("SelfApproval"), "{own}");
    }
    let now = step(&asked, Seen::PullRequest(&pull_request(merged("bob"), &[]))).status;
    assert_eq!(reason(&now, ChangeCondition::Approved), Some("ApprovedByOther"));
}

#[test]
fn what_is_past_its_review_stays_so() {
    let state = PullRequestState::Merged { commit: "m2".into(), at: None, by: None };
    let merged = pull_request(state, &[]);
    let closed = pull_request(PullRequestState::Closed { by: None }, &[]);
    for phase in [ChangePhase::Merged, ChangePhase::Verified, ChangePhase::Withdrawn, ChangePhase::Failed] {
        for seen in [&merged, &closed] {
            let now = step(&status(phase), Seen::PullRequest(seen));
            assert_eq!((now.status.phase, now.acts), (Some(phase), Vec::new()));
        }
    }
}

#[test]
fn an_approval_that_is_taken_back_is_none() {
    let approved = pull_request(PullRequestState::Open, &[("bob", Verdict::Approved, "c1")]);
    let now = step(&status(ChangePhase::Proposed), Seen::PullRequest(&approved)).status;
    let objected = pull_request(PullRequestState::Open, &[("bob", Verdict::ChangesRequested, "c1")]);
    let now = step(&now, Seen::PullRequest(&objected)).status;
    assert_eq!(now.phase, Some(ChangePhase::Proposed));
    assert!(now.times.approved.is_none() && now.message.contains("bob asks for changes"));
}

#[test]
fn closed_by_a_person_it_stays_closed_until_a_person_opens_it() {
    let closed = pull_request(PullRequestState::Closed { by: Some("bob".into()) }, &[]);
    let now = step(&status(ChangePhase::Approved), Seen::PullRequest(&closed));
    assert_eq!(now.status.phase, Some(ChangePhase::Rejected));
    assert!(now.status.message.contains("bob closed") && now.status.message.contains("revise_change"));
    assert_eq!(start(Some(&now.status)), Start::Closed);
    let again = step(&now.status, Seen::PullRequest(&closed));
    assert_eq!(again.status, now.status);
    let open = pull_request(PullRequestState::Open, &[]);
    assert_eq!(step(&now.status, Seen::PullRequest(&open)).status.phase, Some(ChangePhase::Proposed));
}

#[test]
fn closed_by_our_own_account_it_was_withdrawn() {
    let closed = pull_request(PullRequestState::Closed { by: Some("Pilothouse-Bot".into()) }, &[]);
    let now = step(&status(ChangePhase::Proposed), Seen::PullRequest(&closed)).status;
    assert_eq!((now.phase, start(Some(&now))), (Some(ChangePhase::Withdrawn), Start::Anew));
    assert!(now.message.contains("may be proposed again"), "{}", now.message);
    assert_eq!(step(&status(ChangePhase::Rejected), Seen::PullRequest(&closed)).acts, Vec::new());
}

#[test]
fn a_branch_that_is_gone_was_withdrawn_and_may_be_asked_for_again() {
    let now = step(&status(ChangePhase::Proposed), Seen::Gone).status;
    assert_eq!(now.phase, Some(ChangePhase::Withdrawn));
    assert_eq!(start(Some(&now)), Start::Anew);
    assert_eq!(step(&status(ChangePhase::Merged), Seen::Gone).status.phase, Some(ChangePhase::Merged));
}

#[test]
fn a_rewritten_base_is_said_and_ends_what_was_merged() {
    let merged = step(&status(ChangePhase::Merged), Seen::BaseRewritten).status;
    assert_eq!(merged.phase, Some(ChangePhase::Failed));
    assert!(merged.message.contains("force-pushed"), "{}", merged.message);
    let open = step(&status(ChangePhase::Proposed), Seen::BaseRewritten).status;
    assert_eq!(open.phase, Some(ChangePhase::Proposed));
    assert_eq!(reason(&open, ChangeCondition::Merged), Some("BaseRewritten"));
}

#[test]
fn asking_again_goes_by_the_phase() {
    assert_eq!(start(None), Start::Anew);
    for (phase, expected) in [
        (ChangePhase::Drafted, Start::Anew),
        (ChangePhase::Proposed, Start::Refresh),
        (ChangePhase::Approved, Start::Refresh),
        (ChangePhase::Rejected, Start::Closed),
        (ChangePhase::Verified, Start::Anew),
        (ChangePhase::Failed, Start::Anew),
    ] {
        assert_eq!(start(Some(&status(phase))), expected, "{phase}");
    }
    assert_eq!(duty(&ChangeRequestStatus::default()), Duty::Finish);
}
