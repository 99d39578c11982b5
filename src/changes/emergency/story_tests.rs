//! Emergencies from their opening to their review, under a clock that stands still until it is moved.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::json;

use super::{captured::tests::write, parts::ChangeStanding, room::Covered, stage::Stage};
use crate::{
    api::emergency_change::EmergencyPhase as Phase,
    changes::capture::Write,
    tools::{EmergencyAsk, Modification},
};

const CONFIG: &str = "{execution: as-caller, settle: 30s}";
const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

fn review(id: &str) -> EmergencyAsk {
    EmergencyAsk::Review {
        id: id.to_owned(),
        note: "right in the moment; the limit is now in Git".to_owned(),
    }
}

#[tokio::test]
async fn a_session_ends_in_a_pull_request_and_a_review() {
    let stage = Stage::new(CONFIG);
    let id = stage.active().await;
    stage.passes(MINUTE).await;
    stage.set(5, "11");
    assert_eq!(stage.room.captured(&write(60, "11", 2, 5)).await, Ok(Covered::Sanctioned));
    assert_eq!(stage.sessions().await.len(), 1, "it is covered");
    let closed = stage.ask("ann", EmergencyAsk::Close { id: id.clone() }).await;
    assert!(closed.text.contains("It ends now"), "{}", closed.text);
    stage.passes(MINUTE).await;
    assert_eq!(stage.phase(&id).await, Phase::PullRequestOpened);
    let proposal = stage.world.proposals.lock().unwrap()[0].clone();
    assert_eq!(proposal.change, Modification::Edits(vec![("spec.replicas".to_owned(), json!(5))]));
    assert!(
        proposal.reason.contains("emergency-reconcile") && proposal.reason.contains("INC-7"),
        "{}",
        proposal.reason
    );
    assert!(stage.ask("carl", review(&id)).await.text.contains("merge or close change change-1"));
    *stage.world.standing.lock().unwrap() = Some(ChangeStanding::Merged);
    stage.passes(MINUTE).await;
    assert_eq!(stage.phase(&id).await, Phase::Merged);
    assert!(stage.ask("ann", review(&id)).await.text.contains("took part"));
    let done = stage.ask("carl", review(&id)).await;
    assert!(!done.is_error && done.text.contains("Reviewed by carl"), "{}", done.text);
    assert_eq!(stage.phase(&id).await, Phase::Reviewed);
    stage.jumps(25 * HOUR).await;
    assert!(stage.world.broken.lock().unwrap().is_empty());
    assert_eq!(
        stage.world.proposals.lock().unwrap().len(),
        1,
        "one pull request, however often it is looked at"
    );
    let audited = stage.audited().await;
    for action in [
        "emergency/open",
        "emergency/confirm",
        "emergency/captured",
        "emergency/close",
        "emergency/reconcile",
        "emergency/review",
    ] {
        assert!(audited.contains(action), "{action}");
    }
}

#[tokio::test]
async fn both_deadlines_survive_restarts_and_are_escalated_once() {
    let stage = Stage::new(CONFIG);
    let id = stage.active().await;
    stage.set(5, "11");
    stage.room.captured(&write(0, "11", 2, 5)).await.unwrap();
    stage.world.refusals.lock().unwrap().extend(vec!["the forge is down".to_owned(); 10_000]);
    stage.jumps(50 * MINUTE).await;
    let stage = stage.restarted(CONFIG);
    stage.passes(9 * MINUTE).await;
    assert!(stage.world.proposals.lock().unwrap().len() > 3, "it is tried before the deadline, and again");
    assert!(stage.world.broken.lock().unwrap().is_empty());
    stage.passes(MINUTE).await;
    assert_eq!(*stage.world.broken.lock().unwrap(), ["reconcile"]);
    assert_eq!(stage.phase(&id).await, Phase::Breached);
    let stage = stage.restarted(CONFIG);
    stage.world.refusals.lock().unwrap().clear();
    stage.passes(2 * MINUTE).await;
    assert_eq!(stage.phase(&id).await, Phase::PullRequestOpened);
    *stage.world.standing.lock().unwrap() = Some(ChangeStanding::Merged);
    stage.jumps(23 * HOUR - 3 * MINUTE).await;
    assert_eq!(stage.phase(&id).await, Phase::Merged);
    let stage = stage.restarted(CONFIG);
    stage.passes(2 * MINUTE).await;
    assert_eq!(*stage.world.broken.lock().unwrap(), ["reconcile", "review"]);
    assert_eq!(stage.phase(&id).await, Phase::Breached);
    assert!(!stage.ask("carl", review(&id)).await.is_error);
    assert_eq!(stage.phase(&id).await, Phase::Reviewed);
}

#[tokio::test]
async fn a_write_without_a_session_is_recorded_and_brought_back_too() {
    let stage = Stage::new(CONFIG);
    stage.set(5, "11");
    let seen = Write { user: None, ..write(0, "11", 2, 5) };
    stage.room.captured(&seen).await.unwrap();
    // The webhook says later who it was; after a restart the same is told again.
    stage.room.captured(&write(0, "11", 2, 5)).await.unwrap();
    let stage = stage.restarted(CONFIG);
    assert_eq!(stage.room.captured(&seen).await, Ok(Covered::Unsanctioned));
    let sessions = stage.sessions().await;
    assert_eq!(sessions.len(), 1);
    assert!(sessions[0].spec.unsanctioned && sessions[0].took_part("ann"));
    let id = sessions[0].name().to_owned();
    stage.jumps(16 * MINUTE).await;
    assert_eq!(stage.phase(&id).await, Phase::PullRequestOpened);
    assert!(stage.world.proposals.lock().unwrap()[0].reason.contains("without an emergency"));
}

#[tokio::test]
async fn what_turns_out_to_be_gitops_is_no_unsanctioned_change() {
    let stage = Stage::new(CONFIG);
    stage.room.captured(&write(0, "11", 2, 5)).await.unwrap();
    stage.room.excused(&write(0, "11", 2, 5)).await.unwrap();
    let session = stage.sessions().await.remove(0);
    assert_eq!(stage.phase(session.name()).await, Phase::Lapsed);
    stage.jumps(25 * HOUR).await;
    assert!(stage.world.broken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_was_undone_is_proven_and_not_proposed() {
    let stage = Stage::new(CONFIG);
    let id = stage.active().await;
    stage.set(5, "11");
    stage.room.captured(&write(0, "11", 2, 5)).await.unwrap();
    stage.passes(MINUTE).await;
    stage.set(2, "12");
    stage.passes(MINUTE).await;
    let shown = stage.ask("ann", EmergencyAsk::Get { id: Some(id.clone()) }).await.text;
    assert!(shown.contains("undone at"), "{shown}");
    stage.ask("ann", EmergencyAsk::Close { id: id.clone() }).await;
    stage.passes(MINUTE).await;
    assert_eq!(stage.phase(&id).await, Phase::Reverted);
    assert!(stage.world.proposals.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_is_their_own_second_person_and_nothing_is_covered_before() {
    let stage = Stage::new(CONFIG);
    let id = stage.open().await;
    assert_eq!(stage.open().await, id, "asked twice it is the same");
    for (who, says) in [("ann", "another person must confirm"), ("carl", "second person is bob")] {
        let answer = stage.ask(who, EmergencyAsk::Confirm { id: id.clone() }).await;
        assert!(answer.is_error && answer.text.contains(says), "{}", answer.text);
    }
    stage.room.captured(&write(0, "11", 2, 5)).await.unwrap();
    assert_eq!(stage.sessions().await.len(), 2, "it was not confirmed: unsanctioned");
    assert!(stage.audited().await.contains("\"decision\":\"refused\""));
}

#[tokio::test]
async fn only_an_expected_change_is_applied_as_the_caller_while_it_is_active() {
    let stage = Stage::new(CONFIG);
    let id = stage.open().await;
    stage.world.may_patch.lock().unwrap().push("ann".to_owned());
    let apply = |number| EmergencyAsk::Apply { id: id.clone(), number };
    assert!(stage.ask("ann", apply(1)).await.text.contains("Requested, not Active"));
    stage.ask("bob", EmergencyAsk::Confirm { id: id.clone() }).await;
    assert!(stage.ask("ann", apply(2)).await.text.contains("no expected change 2"));
    assert!(stage.ask("carl", apply(1)).await.text.contains("Only ann and bob"));
    let refused = stage.ask("bob", apply(1)).await;
    assert!(refused.is_error && refused.text.contains("bob may not patch it"), "{}", refused.text);
    let applied = stage.ask("ann", apply(1)).await;
    assert!(
        !applied.is_error && applied.text.contains("Changed Deployment shop/web: spec.replicas"),
        "{}",
        applied.text
    );
    assert_eq!(*stage.world.patches.lock().unwrap(), [("ann".to_owned(), true), ("ann".to_owned(), false)]);
    assert_eq!(stage.world.objects.lock().unwrap()["shop/web"]["spec"]["replicas"], 5);
    let session = stage.sessions().await.remove(0);
    assert_eq!(
        (session.status.writes, session.status.captured[0].by.as_slice()),
        (1, ["ann".to_owned()].as_slice())
    );
    assert!(
        stage.ask("ann", apply(1)).await.text.contains("captured"),
        "the same again is a write that changes nothing"
    );
    stage.jumps(31 * MINUTE).await;
    assert!(stage.ask("ann", apply(1)).await.text.contains("not Active"));
    assert!(stage.audited().await.contains("emergency/apply"));
}

#[tokio::test]
async fn it_is_not_reviewed_while_gitops_is_paused() {
    let stage = Stage::new(CONFIG);
    let application = |enabled: bool| {
        json!({ "kind": "Application", "metadata": { "namespace": "argocd", "name": "shop" },
            "spec": { "syncPolicy": { "automated": { "selfHeal": true, "enabled": enabled } } },
            "status": { "resources": [{ "kind": "Deployment", "namespace": "shop", "name": "web" }] } })
    };
    *stage.world.appliers.lock().unwrap() = vec![application(true)];
    let id = stage.open().await;
    let shown = stage.ask("ann", EmergencyAsk::Get { id: Some(id.clone()) }).await.text;
    assert!(
        shown.contains("Argo CD Application argocd/shop will undo") && shown.contains("pause it before"),
        "{shown}"
    );
    stage.ask("bob", EmergencyAsk::Confirm { id: id.clone() }).await;
    *stage.world.appliers.lock().unwrap() = vec![application(false)];
    stage.set(5, "11");
    stage.room.captured(&write(1, "11", 2, 5)).await.unwrap();
    stage.ask("ann", EmergencyAsk::Close { id: id.clone() }).await;
    stage.passes(MINUTE).await;
    *stage.world.standing.lock().unwrap() = Some(ChangeStanding::Merged);
    stage.passes(MINUTE).await;
    assert_eq!(stage.phase(&id).await, Phase::Merged);
    let refused = stage.ask("carl", review(&id)).await;
    assert!(refused.is_error && refused.text.contains("still paused"), "{}", refused.text);
    *stage.world.appliers.lock().unwrap() = vec![application(true)];
    stage.passes(MINUTE).await;
    assert!(!stage.ask("carl", review(&id)).await.is_error);
}

#[tokio::test]
async fn records_are_seen_by_who_takes_part_and_who_may() {
    let stage = Stage::new(CONFIG);
    let id = stage.open().await;
    let get = |id: Option<&str>| EmergencyAsk::Get { id: id.map(str::to_owned) };
    assert!(!stage.ask("bob", get(Some(&id))).await.is_error);
    assert!(stage.ask("carl", get(Some(&id))).await.is_error);
    assert!(stage.ask("carl", get(None)).await.text.contains("No emergency is open; 0 are over"));
    let lead = super::config::tests::person("lea", &["leads"]);
    use crate::tools::Emergencies;
    assert!(stage.room.ask(&lead, get(None)).await.text.contains(&id));
}
