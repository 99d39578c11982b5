//! Who wrote by hand, and whether what is written comes through Git: inside a session and outside.

use serde_json::{Value, json};

use super::{
    captured, quick,
    stage::{SOON, Setting, Stage, WEB},
};
use crate::support::wait::until;

fn outside(stage: &Stage, object: &str) -> Option<Value> {
    let is_it = |record: &Value| {
        record["spec"]["unsanctioned"] == true && captured(record).iter().any(|one| one.0 == object)
    };
    stage.records().into_iter().find(is_it)
}

#[tokio::test]
async fn what_is_edited_by_hand_has_a_name_inside_a_session_and_outside() {
    let setting = Setting { emergency: quick(), is_asked: true, ..Setting::default() };
    let stage = Stage::with("emergency-edit", setting).await;
    let id = stage.active().await;
    stage.edit("ann", "deployment/web", "s/revisionHistoryLimit: 3/revisionHistoryLimit: 7/");
    stage.edit("ann", "configmap/limits", "s/most: \"10\"/most: \"20\"/");
    let inside = until("the edit inside is recorded", SOON, || async {
        let record = stage.record(&id);
        (!captured(&record).is_empty()).then_some(record)
    })
    .await;
    assert_eq!(captured(&inside), [("web".to_owned(), "[\"ann\"]".to_owned(), 1)]);
    let field = &inside["status"]["captured"][0]["fields"][0];
    assert_eq!(
        (&field["path"], &field["before"], &field["after"]),
        (&json!("spec.revisionHistoryLimit"), &json!("3"), &json!("7"))
    );
    let record = until("the edit outside is recorded", SOON, || async { outside(&stage, "limits") }).await;
    assert_eq!(record["spec"]["requestedBy"], "ann", "{record}");
    assert_eq!(captured(&record), [("limits".to_owned(), "[\"ann\"]".to_owned(), 1)]);
}

#[tokio::test]
async fn what_came_through_git_a_session_or_neither_is_one_figure() {
    let stage = Stage::start("emergency-coverage", quick()).await;
    stage.sync_of(&WEB.replace("revisionHistoryLimit: 3", "revisionHistoryLimit: 4"));
    stage.active().await;
    stage.write("ann", "deployment/web", &json!({ "spec": { "revisionHistoryLimit": 5 } }));
    stage.write("ann", "configmap/limits", &json!({ "data": { "most": "20" } }));
    let ways = ["git", "session", "unsanctioned"];
    let counted = ways.map(|way| format!("pilothouse_gitops_writes_total{{way=\"{way}\"}} 1\n"));
    until("each of the three is counted once", SOON, || async {
        let metrics = stage.metrics().await;
        counted.iter().all(|line| metrics.contains(line)).then_some(())
    })
    .await;
    let metrics = stage.metrics().await;
    assert!(metrics.contains("\npilothouse_gitops_coverage_ratio 0.66"), "{metrics}");
    let overview = stage.ok("carl", "cluster_overview", json!({ "namespace": stage.shop.name() })).await;
    let said = overview.lines().find(|line| line.starts_with("GitOps coverage")).unwrap_or_default();
    assert!(
        said.starts_with("GitOps coverage 24 h: 66 % of 3 writes, 1 in emergency sessions"),
        "{overview}"
    );
    assert!(said.contains("1 past Git"), "{overview}");
}
