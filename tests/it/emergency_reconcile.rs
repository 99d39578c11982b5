//! What an emergency left behind, at a real forge: one pull request for all objects of a repository, whatever was done
//! to them, followed until it is merged; what comes later gets another one.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use pilothouse::{
    api::emergency_change::EmergencyTarget,
    audit::Audit,
    changes::{
        ChangeRequests, ChangesConfig,
        emergency::{ChangeStanding, Leaving, Left, Origin, Proposed, Reconciling},
    },
    tools::Changes,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    changes_stage::{WEB, caller},
    forge_gitea_server::{Gitea, Repository},
    parts,
};

const ABOUT: &str = "Emergency inc-7-abc of incident INC-7: checkout is down";
const KUSTOMIZATION: &str = "namespace: eu\nresources: # ours\n- web.yaml\n- old.yaml\n";
const EU_WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n";
const EU_OLD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\ndata: {a: b}\n";

fn requests(gitea: &Gitea, repository: &Repository<'_>, token: &str, data: &Path) -> ChangeRequests {
    let token_file = data.join("token");
    fs::write(&token_file, token).unwrap();
    let yaml = format!(
        "repositories: [{{name: deploy, url: '{}/{}.git', tokenFile: '{}', forge: {{type: gitea, timeoutSeconds: 12}}}}]\nlook: 300ms\nrenderers: {{kustomize: ['{}', kubectl, kustomize]}}\n",
        gitea.address,
        repository.path,
        token_file.display(),
        parts::kubernetes()
    );
    let config: ChangesConfig = serde_saphyr::from_str(&yaml).unwrap();
    ChangeRequests::new(config, data, Audit::open(data).unwrap()).unwrap()
}

fn left(uid: &str, kind: &str, namespace: &str, name: &str, what: Leaving) -> Left {
    let object = EmergencyTarget { kind: kind.into(), namespace: Some(namespace.into()), name: name.into() };
    Left { uid: uid.into(), object, reason: format!("ann changed {kind} {namespace}/{name} at noon."), what }
}

fn config_map(namespace: &str, name: &str, data: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": { "name": name, "namespace": namespace, "uid": "u", "resourceVersion": "7",
            "managedFields": [{ "manager": "kubectl-create" }] } })
}

fn replicas(count: u64) -> Leaving {
    Leaving::Fields(vec![("spec.replicas".to_owned(), json!(count))])
}

/// Edited, made and deleted, in plain files and in an overlay; one that Git does not know; one with a secret.
fn first() -> Vec<Left> {
    let secret = config_map("shop", "login", &json!({ "password": "hunter2-hunter2" }));
    vec![
        left("u1", "Deployment.apps", "shop", "web", replicas(5)),
        left(
            "u2",
            "ConfigMap",
            "shop",
            "extra",
            Leaving::Made(config_map("shop", "extra", &json!({"a": "1"}))),
        ),
        left("u3", "Service", "shop", "web", Leaving::Deleted),
        left("u4", "Deployment.apps", "eu", "web", replicas(4)),
        left("u5", "ConfigMap", "eu", "extra", Leaving::Made(config_map("eu", "extra", &json!({"b": "2"})))),
        left("u6", "ConfigMap", "eu", "old", Leaving::Deleted),
        left("u7", "Deployment.apps", "other", "lost", replicas(3)),
        left("u8", "ConfigMap", "shop", "gone", Leaving::Deleted),
        left("u9", "ConfigMap", "shop", "login", Leaving::Made(secret)),
    ]
}

/// Ann opened it and wrote, eve wrote.
fn people() -> BTreeSet<String> {
    ["ann", "eve"].map(str::to_owned).into()
}

async fn propose(changes: &ChangeRequests, left: Vec<Left>) -> Vec<(String, Proposed)> {
    let people = people();
    let origin = Origin { emergency: "inc-7-abc", incident: Some("INC-7"), about: ABOUT, people: &people };
    let mut answers = Reconciling::propose(changes, origin, left).await;
    answers.sort_by(|a, b| a.0.cmp(&b.0));
    answers.into_iter().map(|(uid, said)| (uid, said.unwrap())).collect()
}

/// The change requests, by uid.
fn opened(answers: &[(String, Proposed)]) -> Vec<(String, String, String)> {
    let of = |said: &'_ Proposed| match said {
        Proposed::Opened { change, at } => Some((change.clone(), at.clone())),
        _ => None,
    };
    answers.iter().filter_map(|(uid, said)| of(said).map(|(change, at)| (uid.clone(), change, at))).collect()
}

async fn pulls(repository: &Repository<'_>) -> Vec<Value> {
    let said = repository.api(Method::GET, "pulls?state=all&limit=50", json!({})).await;
    said.as_array().unwrap().clone()
}

#[tokio::test]
async fn one_pull_request_for_all_that_an_emergency_left_behind() {
    let gitea = Gitea::start().await;
    let token = gitea.person("pilot", &["write:repository", "write:issue", "read:user"]).await;
    let files = [
        ("apps/web.yaml", WEB),
        ("eu/kustomization.yaml", KUSTOMIZATION),
        ("eu/web.yaml", EU_WEB),
        ("eu/old.yaml", EU_OLD),
    ];
    let ann = gitea.person("ann", &["write:repository", "write:issue", "read:user"]).await;
    let repository = gitea.repository("deploy", &files, &["pilot", "ann"]).await;
    let data = tempfile::tempdir().unwrap();
    let changes = requests(&gitea, &repository, &token, data.path());

    let answers = propose(&changes, first()).await;
    let proposed = opened(&answers);
    let uids: Vec<&str> = proposed.iter().map(|one| one.0.as_str()).collect();
    assert_eq!(uids, ["u1", "u2", "u3", "u4", "u5", "u6", "u7"], "{answers:?}");
    assert_eq!(answers[7].1, Proposed::InGit, "Git has no such object: nothing to remove");
    assert!(matches!(&answers[8].1, Proposed::NeedsPerson(why) if why.contains("secret")), "{answers:?}");
    let pull = pulls(&repository).await;
    assert_eq!(pull.len(), 1, "one pull request");
    let (branch, number) = (pull[0]["head"]["ref"].as_str().unwrap(), pull[0]["number"].as_u64().unwrap());
    assert!(proposed.iter().all(|one| one.2 == pull[0]["html_url"]), "{proposed:?}");
    let labels: Vec<&str> =
        pull[0]["labels"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(labels, ["emergency-reconcile", "needs-human-mapping"]);
    let body = pull[0]["body"].as_str().unwrap();
    for part in
        ["INC-7", "`Deployment shop/web`", "`Deployment other/lost`", "| `spec.replicas` | `2` | `5` |"]
    {
        assert!(body.contains(part), "{part} is not in:\n{body}");
    }
    assert!(!body.contains("hunter2"), "{body}");

    let web = repository.text(branch, "apps/web.yaml").await;
    assert!(
        web.contains("replicas: 5") && !web.contains("kind: Service") && web.contains("# measured"),
        "{web}"
    );
    let extra = repository.text(branch, "apps/configmap-extra.yaml").await;
    assert!(extra.contains("namespace: shop") && !extra.contains("managedFields"), "{extra}");
    let eu = repository.text(branch, "eu/kustomization.yaml").await;
    assert_eq!(eu, "namespace: eu\nresources: # ours\n- web.yaml\n- configmap-extra.yaml\n");
    assert!(repository.text(branch, "eu/web.yaml").await.contains("replicas: 4"));
    let lost = repository.text(branch, &format!("changes/{}.md", proposed[6].1)).await;
    assert!(lost.contains("Deployment other/lost") && lost.contains("spec.replicas"), "{lost}");

    // Asked again, also by a process that knows nothing: the same. One more write: the same pull request.
    let again = propose(&changes, first()).await;
    assert_eq!(opened(&again), proposed);
    let mut more = first();
    more[0] = left("u1", "Deployment.apps", "shop", "web", replicas(6));
    let updated = propose(&changes, more).await;
    assert_ne!(opened(&updated)[0].1, proposed[0].1, "what is asked is another change");
    assert_eq!(pulls(&repository).await.len(), 1);
    assert!(repository.text(branch, "apps/web.yaml").await.contains("replicas: 6"));
    let former = changes.get(&caller(), &proposed[0].1).await.text;
    assert!(former.contains("Withdrawn"), "{former}");

    // One of them alone is neither withdrawn nor revised.
    let refused = changes.withdraw(&caller(), &proposed[1].1, None).await;
    assert!(refused.is_error && refused.text.contains("together"), "{}", refused.text);

    // Who wrote it approves it, and our own account merges it: nobody else has looked at it.
    let head = pulls(&repository).await[0]["head"]["sha"].clone();
    let approval = json!({ "event": "APPROVED", "commit_id": head, "body": "mine" });
    let (status, said) =
        repository.api_as(&ann, Method::POST, &format!("pulls/{number}/reviews"), approval).await;
    assert_eq!(status, 200, "{said}");

    // Merged is merged for each of them; what comes then is another pull request.
    repository.merged(&token, number).await;
    let cancel = CancellationToken::new();
    let following = tokio::spawn(changes.clone().follow(cancel.clone()));
    for (_, change, _) in opened(&updated) {
        let begin = std::time::Instant::now();
        while changes.standing(&change, &people()).await.unwrap() != ChangeStanding::Merged {
            assert!(begin.elapsed() < Duration::from_secs(60), "{change} is not merged");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let merged = changes.get(&caller(), &change).await;
        assert!(merged.text.contains("Nobody but"), "{}", merged.text);
        let record = merged.structured.unwrap();
        assert_eq!(record["askedBy"], json!(["ann", "eve"]), "{record}");
    }
    cancel.cancel();
    following.await.unwrap();
    let later = propose(&changes, vec![left("u1", "Deployment.apps", "shop", "web", replicas(7))]).await;
    assert_eq!(opened(&later).len(), 1);
    assert_eq!(pulls(&repository).await.len(), 2);
    assert_eq!(
        propose(&changes, vec![left("u4", "Deployment.apps", "eu", "web", replicas(4))]).await[0].1,
        Proposed::InGit
    );
}
