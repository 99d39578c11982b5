//! The life of a change at a real forge, and of fifty at once through two processes while the forge fails at random.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use futures::future::join_all;
use pilothouse::{
    audit::Audit,
    changes::{ChangeRequests, ChangesConfig},
    tools::{Changes, Modification, Proposal, Revision},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    changes_stage::{MEMORY, WEB, caller, field, proposal},
    forge_faults::Spoiler,
    forge_gitea_server::{Gitea, Repository},
};

const OURS: [&str; 3] = ["write:repository", "write:issue", "read:user"];
/// Longest that anything here may take, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);
const MANY: usize = 50;

fn requests(address: &str, repository: &Repository<'_>, token: &str, data: &Path) -> ChangeRequests {
    let token_file = data.join("token");
    fs::write(&token_file, token).unwrap();
    let yaml = format!(
        "repositories: [{{name: deploy, url: '{address}/{}.git', tokenFile: '{}', openLimit: 100, labels: [pilothouse], forge: {{type: gitea, timeoutSeconds: 12}}}}]\npeople: {{anna: ann@example.com}}\nlook: 300ms\n",
        repository.path,
        token_file.display()
    );
    let config: ChangesConfig = serde_saphyr::from_str(&yaml).unwrap();
    ChangeRequests::new(config, data, Audit::open(data).unwrap()).unwrap()
}

async fn until_state(changes: &ChangeRequests, id: &str, state: &str) -> (String, Value) {
    let begin = std::time::Instant::now();
    loop {
        let answer = changes.get(&caller(), id).await;
        assert!(!answer.is_error, "{}", answer.text);
        if field(&answer, "state") == state {
            return (answer.text, answer.structured.unwrap());
        }
        assert!(begin.elapsed() < DEADLINE, "not {state}: {}", answer.text);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// All pages: Gitea gives at most fifty at once.
async fn pulls(repository: &Repository<'_>, state: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for page in 1.. {
        let path = format!("pulls?state={state}&limit=50&page={page}");
        let said = repository.api(Method::GET, &path, json!({})).await;
        let some = said.as_array().unwrap().clone();
        if some.is_empty() {
            break;
        }
        all.extend(some);
    }
    all
}

#[tokio::test]
async fn from_the_proposal_to_the_merge_by_somebody_else() {
    let gitea = Gitea::start().await;
    let ours = gitea.person("pilot", &OURS).await;
    let anna = gitea.person("anna", &OURS).await;
    let bob = gitea.person("bob", &OURS).await;
    let repository = gitea.repository("deploy", &[("apps/web.yaml", WEB)], &["pilot", "anna", "bob"]).await;
    let data = tempfile::tempdir().unwrap();
    let changes = requests(&gitea.address, &repository, &ours, data.path());

    let made = changes.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    assert!(!made.is_error && made.text.contains("Pull request: "), "{}", made.text);
    let (id, record) = (field(&made, "id"), made.structured.clone().unwrap());
    let number = record["pullRequest"]["number"].as_u64().unwrap();
    let opened = repository.api(Method::GET, &format!("pulls/{number}"), json!({})).await;
    let (title, body) = (opened["title"].as_str().unwrap(), opened["body"].as_str().unwrap());
    assert!(title.contains("Deployment shop/web"), "{title}");
    for part in ["OOMKilled three times", "ann@example.com", "512Mi", &id, "Rollback"] {
        assert!(body.contains(part), "{part} is not in:\n{body}");
    }
    let issue = repository.api(Method::GET, &format!("issues/{number}"), json!({})).await;
    assert_eq!(issue["labels"][0]["name"], "pilothouse");
    let again = changes.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    assert!(again.text.starts_with("Already proposed"), "{}", again.text);

    // The requester approves: that is said, and counts for nothing.
    let approve = async |token: &str| {
        let body = json!({"event": "APPROVED", "body": "fine"});
        let (status, said) =
            repository.api_as(token, Method::POST, &format!("pulls/{number}/reviews"), body).await;
        assert_eq!(status, 200, "{said}");
    };
    approve(&anna).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let (text, record) = until_state(&changes, &id, "Proposed").await;
    assert!(text.contains("nobody but the requester") && record["selfApproved"] == true, "{text}");
    approve(&bob).await;
    let (text, record) = until_state(&changes, &id, "Approved").await;
    assert!(text.contains("bob approved it") && record["selfApproved"] == false, "{text}");

    // A revision is another thing than what was approved.
    let revision = Revision {
        change: Some(Modification::Edits(vec![(MEMORY.into(), json!("1Gi"))])),
        reason: Some("900Mi at noon.".into()),
    };
    let revised = changes.revise(&caller(), &id, revision).await;
    assert!(!revised.is_error && revised.text.starts_with("Updated"), "{}", revised.text);
    assert_eq!(revised.structured.as_ref().unwrap()["pullRequest"]["number"].as_u64(), Some(number));
    assert!(repository.text(&field(&revised, "branch"), "apps/web.yaml").await.contains("memory: 1Gi"));
    let opened = repository.api(Method::GET, &format!("pulls/{number}"), json!({})).await;
    assert!(opened["body"].as_str().unwrap().contains("900Mi at noon"), "{opened}");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    until_state(&changes, &id, "Proposed").await;

    approve(&bob).await;
    until_state(&changes, &id, "Approved").await;
    repository.merged(&bob, number).await;
    let (text, record) = until_state(&changes, &id, "Merged").await;
    let main = repository.api(Method::GET, "branches/main", json!({})).await;
    assert_eq!(record["mergedCommit"], main["commit"]["id"], "{text}");
    assert_eq!(record["approvedBy"], json!(["bob"]));
    let there = changes.propose(&caller(), proposal(MEMORY, json!("1Gi"))).await;
    assert!(there.text.starts_with("Nothing to do"), "{}", there.text);
}

#[tokio::test]
async fn what_a_person_closed_stays_closed_until_it_is_revised() {
    let gitea = Gitea::start().await;
    let ours = gitea.person("pilot", &OURS).await;
    let bob = gitea.person("bob", &OURS).await;
    let repository = gitea.repository("deploy", &[("web.yaml", WEB)], &["pilot", "bob"]).await;
    let data = tempfile::tempdir().unwrap();
    let changes = requests(&gitea.address, &repository, &ours, data.path());
    let made = changes.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    assert!(!made.is_error, "{}", made.text);
    let id = field(&made, "id");
    let number = made.structured.as_ref().unwrap()["pullRequest"]["number"].as_u64().unwrap();
    let closed = json!({"state": "closed"});
    repository.api_as(&bob, Method::PATCH, &format!("pulls/{number}"), closed).await;

    let again = changes.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    assert!(again.is_error && again.text.contains("revise_change"), "{}", again.text);
    let (_, record) = until_state(&changes, &id, "Rejected").await;
    assert_eq!(record["pullRequest"]["number"].as_u64(), Some(number));
    // Another process, which knows nothing: the forge itself tells.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = requests(&gitea.address, &repository, &ours, elsewhere.path());
    let again = other.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    assert!(again.is_error && again.text.contains("is not opened again"), "{}", again.text);
    assert_eq!(pulls(&repository, "all").await.len(), 1);

    let reason = Revision { change: None, reason: Some("Bob agrees now: see incident 7.".into()) };
    let taken_up = changes.revise(&caller(), &id, reason).await;
    assert!(!taken_up.is_error && taken_up.text.starts_with("Proposed"), "{}", taken_up.text);
    assert_eq!(taken_up.structured.as_ref().unwrap()["revises"], id.as_str());
    assert_eq!(pulls(&repository, "open").await.len(), 1);

    let taken = changes.withdraw(&caller(), &field(&taken_up, "id"), Some("Settled otherwise.")).await;
    assert!(!taken.is_error, "{}", taken.text);
    assert!(pulls(&repository, "open").await.is_empty());
    let number = taken_up.structured.unwrap()["pullRequest"]["number"].as_u64().unwrap();
    let comments = repository.api(Method::GET, &format!("issues/{number}/comments"), json!({})).await;
    assert!(comments.to_string().contains("Settled otherwise."), "{comments}");
}

#[tokio::test]
async fn a_token_without_rights_is_said_on_the_change() {
    let gitea = Gitea::start().await;
    let reads = gitea.person("pilot", &["read:repository", "read:user", "read:issue"]).await;
    let repository = gitea.repository("deploy", &[("web.yaml", WEB)], &["pilot"]).await;
    let data = tempfile::tempdir().unwrap();
    let changes = requests(&gitea.address, &repository, &reads, data.path());
    let refused = changes.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    assert!(refused.is_error && refused.text.starts_with("Nothing was proposed"), "{}", refused.text);
    let list = changes.list(&caller()).await;
    let row = &list.structured.as_ref().unwrap()["changes"][0];
    assert_eq!(row["state"], "Failed", "{}", list.text);
    let (text, _) = until_state(&changes, row["id"].as_str().unwrap(), "Failed").await;
    assert!(text.contains("propose the same change again"), "{text}");
}

fn of_many(number: usize) -> Proposal {
    Proposal {
        change: Modification::Edits(vec![("spec.replicas".into(), json!(number + 3))]),
        name: format!("web-{}", number % 10),
        ..proposal(MEMORY, json!(1))
    }
}

/// Every change is asked for through two processes that share a folder, as often as it takes.
#[tokio::test]
async fn fifty_at_once_are_fifty_pull_requests() {
    let gitea = Gitea::start().await;
    let ours = gitea.person("pilot", &OURS).await;
    let files: Vec<(String, String)> = (0..10)
        .map(|number| {
            let text = format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web-{number}, namespace: shop}}\nspec:\n  replicas: 2\n");
            (format!("apps/web-{number}.yaml"), text)
        })
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repository = gitea.repository("deploy", &files, &["pilot"]).await;
    let (spoiled, _spoiler) = Spoiler::start(&gitea.address, Duration::from_secs(14)).await;
    let data = tempfile::tempdir().unwrap();
    let processes = [(); 2].map(|()| requests(&spoiled, &repository, &ours, data.path()));
    let stop = CancellationToken::new();
    let following = tokio::spawn(processes[0].clone().follow(stop.clone()));

    let asked = (0..2 * MANY).map(|asked| {
        let (number, changes) = (asked / 2, processes[asked % 2].clone());
        async move {
            let begin = std::time::Instant::now();
            loop {
                let answer = changes.propose(&caller(), of_many(number)).await;
                if !answer.is_error {
                    return field(&answer, "id");
                }
                assert!(begin.elapsed() < DEADLINE, "{}", answer.text);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    });
    let ids: BTreeSet<String> = join_all(asked).await.into_iter().collect();
    assert_eq!(ids.len(), MANY, "each is a change of its own");
    for id in &ids {
        until_state(&processes[0], id, "Proposed").await;
    }
    let open = pulls(&repository, "open").await;
    let branches: BTreeSet<String> =
        open.iter().map(|pull| pull["head"]["ref"].as_str().unwrap().to_owned()).collect();
    let expected: BTreeSet<String> = ids.iter().map(|id| format!("pilothouse/{id}")).collect();
    assert_eq!((open.len(), branches), (MANY, expected), "none twice, none lost");
    // What the forge did long after its answer was given up is there twice; we close it.
    let closed = pulls(&repository, "closed").await.len();
    assert!(closed < MANY / 5, "{closed} were made twice");
    stop.cancel();
    following.await.unwrap();
}
