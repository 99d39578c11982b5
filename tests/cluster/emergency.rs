//! Emergencies on a real API server: people with kubectl, a sync loop, a program that is killed, a repository.

mod at_forge;
mod killed;
mod people;
mod stage;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{kubectl, wait::until};
use stage::{SOON, Stage};

fn quick() -> Value {
    json!({ "execution": "as-caller", "settle": "2s", "coalesce": "5s", "reconcileWithin": "60s", "reviewWithin": "10m" })
}

/// `Deployment web`, who wrote it, and how often.
fn captured(record: &Value) -> Vec<(String, String, usize)> {
    let of = |one: &Value| {
        let name = one["object"]["name"].as_str().unwrap_or_default().to_owned();
        (name, one["by"].to_string(), one["versions"].as_array().map_or(0, Vec::len))
    };
    record["status"]["captured"].as_array().into_iter().flatten().map(of).collect()
}

#[tokio::test]
async fn what_is_applied_is_the_callers_own_and_ends_in_git() {
    let stage = Stage::start("emergency", quick()).await;

    // The criteria.
    for (change, says) in [
        (json!({ "second_person": "ann" }), "your own second person"),
        (json!({ "namespaces": ["kube-system"] }), "deny list"),
        (json!({ "kinds": ["Secret"] }), "deny list"),
        (json!({ "severity": "low" }), "use propose_change"),
    ] {
        let said = stage.refused("ann", "open_emergency", stage.opening(change)).await;
        assert!(said.contains(says), "{said}");
    }
    let id = stage.open().await;
    let said = stage.refused("ann", "open_emergency", json!({ "second": id })).await;
    assert!(said.contains("nother person must confirm"), "{said}");
    let apply = json!({ "id": id });
    assert!(stage.refused("ann", "apply_emergency_change", apply.clone()).await.contains("not Active"));
    stage.ok("bob", "open_emergency", json!({ "second": id })).await;

    // Who has no rights is refused by the API server itself.
    let said = stage.refused("bob", "apply_emergency_change", apply.clone()).await;
    assert!(said.contains("cannot patch") && said.contains("bob"), "{said}");
    assert!(
        stage.refused("carl", "apply_emergency_change", apply.clone()).await.contains("Only ann and bob")
    );
    stage.ok("ann", "apply_emergency_change", apply).await;
    let path =
        ["-n", stage.shop.name(), "get", "deployment/web", "-o", "jsonpath={.spec.revisionHistoryLimit}"];
    assert_eq!(kubectl::run(&path), "5");

    // Outside of the session: another kind.
    stage.write("ann", "configmap/limits", &json!({ "data": { "most": "20" } }));
    let record = until("the write outside is recorded", SOON, || async {
        // Its status follows the record itself.
        let recorded =
            |record: &Value| record["spec"]["unsanctioned"] == true && !captured(record).is_empty();
        stage.records().into_iter().find(recorded)
    })
    .await;
    assert_eq!(captured(&record)[0].0, "limits");

    stage.ok("ann", "close_emergency", json!({ "id": id })).await;
    let record = stage.reaches(&id, "PullRequestOpened").await;
    assert_eq!(captured(&record), [("web".to_owned(), "[\"ann\"]".to_owned(), 1)]);
    let proposed = stage.proposed();
    assert!(proposed.contains("+  revisionHistoryLimit: 5 # few are enough"), "{proposed}");
    assert!(proposed.contains("INC-7"), "{proposed}");
    whose_writes(&stage).await;
}

/// By the API server's record: in the shop only people and the cluster write, and the program writes its own kinds.
async fn whose_writes(stage: &Stage) {
    if stage.audited().is_none() {
        return;
    }
    let applied = |events: &[Value]| -> Vec<Value> {
        let is_it = |event: &&Value| {
            event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("pilothouse-emergency/"))
        };
        events.iter().filter(is_it).cloned().collect()
    };
    let events = until("both requests are in the API server's record", SOON, || async {
        let events = stage.audited()?;
        (applied(&events).len() >= 2).then_some(events)
    })
    .await;
    let applied = applied(&events);
    assert_eq!(applied.len(), 2, "{applied:?}");
    assert!(
        applied[0]["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun=All")),
        "rehearsed first"
    );
    for event in &applied {
        assert_eq!(event["impersonatedUser"]["username"], "ann", "{event}");
        assert!(event["impersonatedUser"]["groups"].to_string().find("system:masters").is_none(), "{event}");
    }
    let by_program =
        events.iter().filter(|event| event["impersonatedUser"]["username"] == stage.account.as_str());
    for event in by_program {
        let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
        let is_review = resource.ends_with("reviews");
        let own = ["emergencychanges", "changerequests", "leases", "events"].contains(&resource);
        assert!(own || is_review, "the program wrote what is not its own: {event}");
    }
}

#[tokio::test]
async fn every_write_is_recorded_though_the_program_is_killed_and_a_sync_loop_reverts() {
    let mut stage = Stage::start("emergency-killed", quick()).await;
    let id = stage.active().await;
    for limit in 4..7 {
        stage.write("ann", "deployment/web", &json!({ "spec": { "revisionHistoryLimit": limit } }));
    }
    stage.write("ann", "configmap/limits", &json!({ "data": { "most": "20" } }));
    let writes = |record: &Value| record["status"]["writes"].as_u64().unwrap_or_default();
    until("each single write is recorded", SOON, || async {
        (stage.records().iter().map(writes).sum::<u64>() == 4).then_some(())
    })
    .await;
    stage.kill();
    stage.write("ann", "deployment/web", &json!({ "spec": { "revisionHistoryLimit": 9 } }));
    stage.write("ann", "configmap/limits", &json!({ "data": { "least": "2" } }));
    stage.run().await;
    // While it was gone it saw no single writes, but what they left behind: 4 inside, 2 outside.
    let fields = |record: &Value, field: &str| -> String {
        let all = record["status"]["captured"][0]["fields"].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|one| one["path"] == field);
        found.map_or_else(String::new, |one| format!("{} {}", one["before"], one["after"]))
    };
    until("all writes inside are recorded", SOON, || async {
        let record = stage.record(&id);
        (fields(&record, "spec.revisionHistoryLimit") == "\"3\" \"9\"").then_some(())
    })
    .await;
    until("all writes outside are recorded", SOON, || async {
        let outside: Vec<Value> =
            stage.records().into_iter().filter(|record| record["spec"]["unsanctioned"] == true).collect();
        let has = |field: &str| outside.iter().any(|record| !fields(record, field).is_empty());
        (has("data.most") && has("data.least")).then_some(())
    })
    .await;
    let records = stage.records();
    let (inside, outside): (Vec<&Value>, Vec<&Value>) =
        records.iter().partition(|record| record["spec"]["unsanctioned"] != true);
    assert_eq!(inside.into_iter().map(writes).sum::<u64>(), 4, "{records:?}");
    assert_eq!(outside.into_iter().map(writes).sum::<u64>(), 2, "{records:?}");

    // The loop puts Git's state back: that is seen, by whom, and needs no pull request.
    stage.sync();
    until("it is seen that the change was undone", SOON, || async {
        let record = stage.record(&id);
        (record["status"]["captured"][0]["reverted"]["by"] == "sync-loop").then_some(())
    })
    .await;
    stage.ok("ann", "close_emergency", json!({ "id": id })).await;
    stage.reaches(&id, "Reverted").await;
    let said = stage
        .refused("ann", "close_emergency", json!({ "id": id, "reviewed": "all is well again now" }))
        .await;
    assert!(said.contains("took part"), "{said}");
    stage
        .ok("carl", "close_emergency", json!({ "id": id, "reviewed": "the loop undid it; nothing is left" }))
        .await;
    stage.reaches(&id, "Reviewed").await;
    assert!(!stage.proposed().contains("revisionHistoryLimit"), "{}", stage.proposed());
}

#[tokio::test]
async fn a_broken_deadline_is_told_in_every_way() {
    let short = json!({ "settle": "1s", "coalesce": "1s", "reconcileWithin": "8s", "reviewWithin": "16s" });
    let stage = Stage::start("emergency-late", short).await;
    assert!(
        stage
            .refused("ann", "apply_emergency_change", json!({ "id": "x" }))
            .await
            .contains("apply_emergency_change")
    );
    // Nothing can be proposed any more.
    std::fs::rename(stage.path("deploy.git"), stage.path("gone.git")).expect("the repository goes away");
    let begun = std::time::Instant::now();
    stage.write("ann", "configmap/limits", &json!({ "data": { "most": "20" } }));
    let breached = until("the deadline is broken", SOON, || async {
        let found = stage.records().into_iter().find(|record| record["status"]["phase"] == "Breached");
        found.filter(|record| record["status"]["breaches"].as_array().is_some_and(|all| all.len() == 2))
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_secs(14), "not before its time: {:?}", begun.elapsed());
    let condition = |name: &str| {
        let all = breached["status"]["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["type"] == name).map(|one| one["status"].clone())
    };
    assert_eq!(condition("DeadlinesKept"), Some(json!("False")));
    let name = breached["metadata"]["name"].as_str().expect("a name");
    until("there is an event", SOON, || async {
        let events = kubectl::run(&["-n", stage.own.name(), "get", "events", "-o", "json"]);
        (events.contains("DeadlineBroken") && events.contains(name)).then_some(())
    })
    .await;
    let metrics = stage.metrics().await;
    for deadline in ["reconcile", "review"] {
        let line = format!("pilothouse_emergency_deadlines_broken_total{{deadline=\"{deadline}\"}} 1");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}
