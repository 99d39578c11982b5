//! Emergencies from their opening to their review, under a clock that stands still until it is moved.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    captured::tests::write,
    parts::{ChangeStanding, Leaving},
    room::Covered,
    session::Session,
    stage::{Stage, edits},
};
use crate::{
    api::emergency_change::EmergencyPhase as Phase,
    changes::capture::{Verb, Write},
    tools::EmergencyAsk,
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
    let (about, left) = stage.world.proposals.lock().unwrap()[0].clone();
    assert_eq!(edits(&left[0]), [("spec.replicas".to_owned(), json!(5))]);
    assert!(about.contains("INC-7") && left[0].reason.contains("ann changed Deployment shop/web"), "{about}");
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
async fn nobody_who_asked_or_wrote_is_the_second_pair_of_eyes() {
    let stage = Stage::new(CONFIG);
    let id = stage.active().await;
    stage.set(5, "11");
    let several = Write { users: vec!["carl".into(), "dora".into()], ..write(0, "11", 2, 5) };
    stage.room.captured(&several).await.unwrap();
    let unnamed = |version: &str, manager: &str| Write {
        users: Vec::new(),
        manager: Some(manager.into()),
        ..write(1, version, 5, 5)
    };
    stage.room.captured(&unnamed("12", "kubectl-edit")).await.unwrap();
    stage.ask("ann", EmergencyAsk::Close { id: id.clone() }).await;
    stage.passes(MINUTE).await;
    let told = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(*stage.world.people.lock().unwrap(), told(&["ann", "carl", "dora", "manager kubectl-edit"]));
    // Who that was is learned once the pull request is open.
    let named = Write { users: vec!["eve".into()], ..unnamed("12", "kubectl-edit") };
    stage.room.captured(&named).await.unwrap();
    stage.passes(MINUTE).await;
    assert_eq!(*stage.world.people.lock().unwrap(), told(&["ann", "carl", "dora", "eve"]));
    *stage.world.standing.lock().unwrap() = Some(ChangeStanding::Merged);
    stage.passes(MINUTE).await;
    for who in ["ann", "carl", "dora", "eve"] {
        assert!(stage.ask(who, review(&id)).await.text.contains("took part"), "{who}");
    }
    assert!(!stage.ask("bob", review(&id)).await.is_error, "who confirmed it and did nothing else");
}

#[tokio::test]
async fn what_one_of_two_had_applied_is_reviewed_by_neither() {
    let stage = Stage::new(CONFIG);
    let id = stage.active().await;
    // Only the watch has seen it.
    let applied =
        Write { users: Vec::new(), manager: Some("pilothouse-emergency".into()), ..write(0, "11", 2, 5) };
    stage.room.captured(&applied).await.unwrap();
    let session = stage.sessions().await.remove(0);
    assert_eq!(session.name(), id);
    assert!(session.took_part("ann") && session.took_part("bob") && !session.took_part("carl"));
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
    let kept = stage.sessions().await.remove(0).status;
    let broken = kept.conditions.iter().find(|one| one.type_ == "DeadlinesKept").unwrap();
    assert_eq!((broken.status.as_str(), broken.reason.as_str()), ("False", "DeadlineBroken"));
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
    let seen = Write { users: Vec::new(), ..write(0, "11", 2, 5) };
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
    assert!(stage.world.proposals.lock().unwrap()[0].0.contains("without an emergency"));
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
async fn what_is_applied_is_in_the_record_first_or_not_made() {
    let stage = Stage::new(CONFIG);
    let id = stage.active().await;
    stage.world.may_patch.lock().unwrap().push("ann".to_owned());
    stage.audit.close().await.unwrap();
    let refused = stage.ask("ann", EmergencyAsk::Apply { id, number: 1 }).await;
    assert!(refused.is_error, "{}", refused.text);
    assert_eq!(*stage.world.patches.lock().unwrap(), [("ann".to_owned(), true)], "rehearsed, never made");
    assert_eq!(stage.world.objects.lock().unwrap()["shop/web"]["spec"]["replicas"], 2);
}

/// What is asked for when an emergency is opened, with this in place of its scope.
fn opening(scope: Value, expected: Value) -> EmergencyAsk {
    let ask = json!({ "open": { "incident": "INC-7", "severity": "critical", "second_person": "bob",
        "reason": "checkout is down, each minute costs orders", "scope": scope, "expected": expected } });
    serde_json::from_value(ask).unwrap()
}

#[tokio::test]
async fn no_other_name_of_a_kind_gets_past_the_deny_list() {
    let stage = Stage::new(CONFIG);
    for kind in [
        "clusterrolebindings",
        "ClusterRoleBinding",
        "vwc",
        "validatingwebhookconfigurations",
        "phec",
        "secrets",
    ] {
        let target = json!({ "kind": kind, "namespace": "shop", "name": "web" });
        let edits = json!([{ "path": "spec.replicas", "value": "5" }]);
        let ask = opening(json!({ "objects": [target] }), json!([{ "target": target, "edits": edits }]));
        let refused = stage.ask("ann", ask).await;
        assert!(refused.is_error && refused.text.contains("deny list"), "{kind}: {}", refused.text);
        let refused =
            stage.ask("ann", opening(json!({ "namespaces": ["shop"], "kinds": [kind] }), json!([]))).await;
        assert!(refused.is_error && refused.text.contains("deny list"), "{kind}: {}", refused.text);
    }
    let unknown =
        stage.ask("ann", opening(json!({ "namespaces": ["shop"], "kinds": ["Wodget"] }), json!([]))).await;
    assert!(unknown.is_error && unknown.text.contains("no kind `Wodget`"), "{}", unknown.text);
}

#[tokio::test]
async fn a_record_in_other_words_does_not_get_a_denied_kind_applied() {
    let stage = Stage::new(CONFIG);
    let id = stage.active().await;
    stage.world.may_patch.lock().unwrap().push("ann".to_owned());
    // As an older process may have kept it.
    let file = stage.data.path().join(format!("emergencies/{id}.yaml"));
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains("kind: Deployment.apps"), "{kept}");
    std::fs::write(&file, kept.replace("kind: Deployment.apps", "kind: phec")).unwrap();
    let refused = stage.ask("ann", EmergencyAsk::Apply { id, number: 1 }).await;
    assert!(refused.is_error && refused.text.contains("deny list"), "{}", refused.text);
    assert!(stage.world.patches.lock().unwrap().is_empty());
}

#[tokio::test]
async fn both_people_are_told_what_is_not_captured() {
    let stage = Stage::new(CONFIG);
    let refused =
        stage.ask("ann", opening(json!({ "namespaces": ["shop"], "kinds": ["pods"] }), json!([]))).await;
    assert!(refused.is_error && refused.text.contains("captured here (Pod)"), "{}", refused.text);
    let both = opening(json!({ "namespaces": ["shop"], "kinds": ["po", "deploy"] }), json!([]));
    let opened = stage.ask("ann", both).await;
    assert!(!opened.is_error && opened.text.contains("Not captured here: Pod."), "{}", opened.text);
    let id = opened.structured.unwrap()["id"].as_str().unwrap().to_owned();
    let confirmed = stage.ask("bob", EmergencyAsk::Confirm { id }).await;
    assert!(confirmed.text.contains("Not captured here: Pod."), "{}", confirmed.text);
}

#[tokio::test]
async fn who_leads_no_longer_counts_none() {
    let stage = Stage::new(CONFIG);
    stage.open().await;
    stage.passes(MINUTE).await;
    assert_eq!(stage.world.phases.lock().unwrap()["Requested"], 1);
    let over = CancellationToken::new();
    over.cancel();
    stage.room.run(over).await;
    assert!(stage.world.phases.lock().unwrap().values().all(|count| *count == 0));
}

/// As people pause it, by hand or with their tools: how it is, how it is paused, and what is said of it before.
fn pauses() -> Vec<(Value, Value, &'static str)> {
    let application = |annotations: Value, automated: Value| {
        json!({ "kind": "Application",
            "metadata": { "namespace": "argocd", "name": "shop", "annotations": annotations },
            "spec": { "syncPolicy": { "automated": automated } },
            "status": { "resources": [{ "kind": "Deployment", "namespace": "shop", "name": "web" }] } })
    };
    let healing = application(json!({}), json!({ "selfHeal": true }));
    let flux = |suspend: bool| {
        json!({ "kind": "Kustomization", "metadata": { "namespace": "flux-system", "name": "shop" },
            "spec": { "suspend": suspend },
            "status": { "inventory": { "entries": [{ "id": "shop_web_apps_Deployment", "v": "v1" }] } } })
    };
    let argo = "Argo CD Application argocd/shop will undo";
    vec![
        (healing.clone(), application(json!({}), json!({ "selfHeal": true, "enabled": false })), argo),
        (
            healing.clone(),
            application(json!({ "argocd.argoproj.io/skip-reconcile": "true" }), json!({ "selfHeal": true })),
            argo,
        ),
        (healing, application(json!({}), json!({ "selfHeal": false })), argo),
        (flux(false), flux(true), "Flux Kustomization flux-system/shop will undo"),
    ]
}

#[tokio::test]
async fn it_is_not_reviewed_until_every_pause_of_gitops_is_lifted() {
    for (as_ever, paused, foreseen) in pauses() {
        let stage = Stage::new(CONFIG);
        *stage.world.appliers.lock().unwrap() = vec![as_ever.clone()];
        let id = stage.open().await;
        let shown = stage.ask("ann", EmergencyAsk::Get { id: Some(id.clone()) }).await.text;
        assert!(shown.contains(foreseen) && shown.contains("pause it"), "{shown}");
        stage.ask("bob", EmergencyAsk::Confirm { id: id.clone() }).await;
        *stage.world.appliers.lock().unwrap() = vec![paused];
        stage.set(5, "11");
        stage.room.captured(&write(1, "11", 2, 5)).await.unwrap();
        stage.ask("ann", EmergencyAsk::Close { id: id.clone() }).await;
        stage.passes(MINUTE).await;
        *stage.world.standing.lock().unwrap() = Some(ChangeStanding::Merged);
        stage.passes(MINUTE).await;
        assert_eq!(stage.phase(&id).await, Phase::Merged);
        let refused = stage.ask("carl", review(&id)).await;
        assert!(refused.is_error && refused.text.contains("still paused"), "{}", refused.text);
        let resumed = |session: &Session| {
            let conditions = &session.status.conditions;
            conditions.iter().any(|one| one.type_ == "GitOpsResumed" && one.status == "True")
        };
        assert!(!resumed(&stage.sessions().await[0]));
        *stage.world.appliers.lock().unwrap() = vec![as_ever];
        stage.passes(MINUTE).await;
        assert!(resumed(&stage.sessions().await[0]));
        assert!(!stage.ask("carl", review(&id)).await.is_error);
    }
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

#[tokio::test]
async fn what_was_done_to_several_objects_is_proposed_at_once_and_a_late_write_joins_it() {
    let stage = Stage::new(CONFIG);
    let id = stage.active().await;
    stage.set(5, "11");
    stage.room.captured(&write(0, "11", 2, 5)).await.unwrap();
    let made = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "extra", "namespace": "shop", "uid": "u-2", "resourceVersion": "12" } });
    stage.world.objects.lock().unwrap().insert("shop/extra".to_owned(), made.clone());
    let other = |second: i64, verb: Verb, uid: &str, name: &str| {
        let mut write = Write { verb, uid: uid.to_owned(), ..write(second, uid, 0, 1) };
        write.object.name = name.to_owned();
        write
    };
    stage.room.captured(&other(1, Verb::Create, "u-2", "extra")).await.unwrap();
    stage.room.captured(&other(2, Verb::Delete, "u-3", "gone")).await.unwrap();
    stage.ask("ann", EmergencyAsk::Close { id: id.clone() }).await;
    stage.passes(MINUTE).await;
    assert_eq!(stage.phase(&id).await, Phase::PullRequestOpened);
    let (_, left) = stage.world.proposals.lock().unwrap()[0].clone();
    assert_eq!(left.len(), 3, "all at once");
    assert_eq!((&left[1].what, &left[2].what), (&Leaving::Made(made), &Leaving::Deleted));
    assert!(left[2].reason.contains("ann deleted Deployment shop/gone"), "{}", left[2].reason);

    // A slower source tells of one more: the pull request gets it, and keeps the others.
    stage.set(6, "13");
    stage.room.captured(&write(1, "13", 5, 6)).await.unwrap();
    stage.passes(MINUTE).await;
    let all = stage.world.proposals.lock().unwrap().clone();
    assert_eq!((all.len(), all[1].1.len()), (2, 3));
    assert_eq!(stage.phase(&id).await, Phase::PullRequestOpened);
}

#[tokio::test]
async fn one_in_which_nothing_happens_closes_by_itself() {
    const LONG: &str = "{execution: as-caller, settle: 30s, budget: 1h, idle: 10m}";
    let stage = Stage::new(LONG);
    let ask = json!({ "open": { "incident": "INC-7", "severity": "critical", "second_person": "bob",
        "reason": "checkout is down, each minute costs orders", "budget": "1h",
        "scope": { "namespaces": ["shop"], "kinds": ["Deployment"] } } });
    let opened = stage.ask("ann", serde_json::from_value(ask).unwrap()).await;
    let id = opened.structured.unwrap()["id"].as_str().unwrap().to_owned();
    let confirmed = stage.ask("bob", EmergencyAsk::Confirm { id: id.clone() }).await.text;
    assert!(confirmed.contains("if nothing more happens in it"), "{confirmed}");
    stage.passes(9 * MINUTE).await;
    stage.set(5, "11");
    stage.room.captured(&write(540, "11", 2, 5)).await.unwrap();
    let stage = stage.restarted(LONG);
    stage.passes(9 * MINUTE).await;
    assert_eq!(stage.phase(&id).await, Phase::Active, "a write keeps it open");
    stage.passes(3 * MINUTE).await;
    assert_eq!(stage.phase(&id).await, Phase::PullRequestOpened, "and without one it is closed and proposed");
    let session = stage.sessions().await.remove(0);
    assert!(session.status.close_asked.unwrap().by.contains("nothing was written"));
}

#[tokio::test]
async fn a_record_that_was_made_past_the_tool_says_how_to_open_one() {
    let stage = Stage::new(CONFIG);
    let yaml = "apiVersion: pilothouse.dev/v1alpha1\nkind: EmergencyChange\nmetadata: {name: mine, resourceVersion: '1'}\n\
        spec: {incident: INC-7, severity: critical, reason: it burns, requestedBy: ann, secondPerson: bob, \
        scope: {namespaces: [shop]}}\n";
    std::fs::write(stage.data.path().join("emergencies/mine.yaml"), yaml).unwrap();
    stage.passes(MINUTE).await;
    let session = stage.sessions().await.remove(0);
    assert_eq!(stage.phase("mine").await, Phase::Lapsed);
    let condition = &session.status.conditions[0];
    assert_eq!((condition.type_.as_str(), condition.status.as_str()), ("Accepted", "False"));
    assert!(condition.message.contains("open_emergency"), "{}", condition.message);
    stage.set(5, "11");
    assert_eq!(
        stage.room.captured(&write(0, "11", 2, 5)).await,
        Ok(Covered::Unsanctioned),
        "it covers nothing"
    );
    let refused = stage.ask("bob", EmergencyAsk::Confirm { id: "mine".to_owned() }).await;
    assert!(refused.is_error && refused.text.contains("not opened with open_emergency"), "{}", refused.text);
}
