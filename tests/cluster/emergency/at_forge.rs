//! An emergency from its opening to its review, with its pull request at a real forge.

use reqwest::Method;
use serde_json::json;

use super::{
    quick,
    stage::{SOON, Setting, Stage, WEB},
};
use crate::{
    forge_gitea_server::Gitea,
    support::{kubectl, wait::until},
};

const SCOPES: [&str; 3] = ["write:repository", "write:issue", "read:user"];

#[tokio::test]
async fn it_is_merged_by_another_verified_and_reviewed() {
    let gitea = Gitea::start().await;
    let (ours, bob) = (gitea.person("pilot", &SCOPES).await, gitea.person("bob", &SCOPES).await);
    let repository = gitea.repository("deploy", &[("README.md", "deployed")], &["pilot", "bob"]).await;
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), ours).expect("the token");
    let url = format!("{}/{}.git", gitea.address, repository.path);
    let at = json!({ "url": url, "tokenFile": token.path(), "forge": { "type": "gitea" } });
    let setting = Setting { emergency: quick(), repository: Some(at), ..Setting::default() };
    let stage = Stage::with("emergency-forge", setting).await;
    repository.write(&[("web.yaml", &WEB.replace("NAMESPACE", stage.shop.name()))]).await;

    let id = stage.active().await;
    stage.ok("ann", "apply_emergency_change", json!({ "id": id })).await;
    stage.ok("ann", "close_emergency", json!({ "id": id })).await;
    let record = stage.reaches(&id, "PullRequestOpened").await;
    let change = record["status"]["changeRequests"][0].as_str().expect("a change request").to_owned();
    let pulls = repository.api(Method::GET, "pulls?state=open", json!({})).await;
    assert_eq!(pulls.as_array().map(Vec::len), Some(1), "{pulls}");
    let number = pulls[0]["number"].as_u64().expect("a number");
    assert!(pulls[0]["body"].as_str().is_some_and(|body| body.contains("INC-7")), "{pulls}");

    let review = json!({ "event": "APPROVED", "body": "fine" });
    let (status, said) =
        repository.api_as(&bob, Method::POST, &format!("pulls/{number}/reviews"), review).await;
    assert_eq!(status, 200, "{said}");
    repository.merged(&bob, number).await;
    let main = repository.text("main", "web.yaml").await;
    assert!(main.contains("revisionHistoryLimit: 5 # few are enough"), "{main}");
    kubectl::apply_in(stage.shop.name(), &main);

    let of = |path: &str| {
        let path = format!("jsonpath={{{path}}}");
        kubectl::run(&["-n", stage.shop.name(), "get", "changerequest", &change, "-o", &path])
    };
    until("the change is verified", SOON, || async { (of(".status.phase") == "Verified").then_some(()) })
        .await;
    assert_eq!(of(".status.approvedBy"), "[\"bob\"]");
    assert!(of(".status.askedBy").contains("ann"), "{}", of(".status"));
    assert_ne!(of(".status.selfApproved"), "true");
    stage.reaches(&id, "Merged").await;
    let note = json!({ "id": id, "reviewed": "right in the moment; the limit is in Git now" });
    let said = stage.refused("ann", "close_emergency", note.clone()).await;
    assert!(said.contains("took part"), "{said}");
    stage.ok("carl", "close_emergency", note).await;
    stage.reaches(&id, "Reviewed").await;
}
