//! Somebody commits to our branch while we are about to: theirs is never lost, and ours is not said to be done.

use std::sync::{Arc, Mutex};

use axum::response::IntoResponse;
use futures::FutureExt;
use http::{Method, StatusCode};
use pilothouse::changes::forge::{Committed, Forge, NewCommit};
use reqwest::Client;
use serde_json::{Value, json};

use crate::{
    forge_between::{At, Between, Happens},
    forge_gitea_server::{Gitea, Repository},
    forge_sim_gitlab::GitLab,
    forge_stage::{commit, made},
};

const BRANCH: &str = "pilothouse/web-1";
const WEB: &str = "replicas: 1\n";

/// A branch with one commit of ours, and the commits that shall replace it: one on top of it, one on the new base.
async fn branched(forge: &dyn Forge, moves_base: impl AsyncFnOnce()) -> [NewCommit; 2] {
    let snapshot = forge.snapshot().await.unwrap();
    let first = made(forge.commit(&commit(&snapshot, BRANCH, &[("web.yaml", "replicas: 2\n")])).await);
    let revised = NewCommit {
        parent: first.clone(),
        expected: Some(first.clone()),
        ..commit(&snapshot, BRANCH, &[("web.yaml", "replicas: 3\n")])
    };
    moves_base().await;
    let now = forge.snapshot().await.unwrap();
    let anew = NewCommit { expected: Some(first), ..commit(&now, BRANCH, &[("web.yaml", "replicas: 4\n")]) };
    [revised, anew]
}

/// A person's commit to our branch at Gitea. The last one's id is kept.
fn person(repository: &Repository<'_>, token: &str, kept: &Arc<Mutex<String>>) -> Happens {
    let url = format!("{}/api/v1/repos/{}/contents", repository.gitea.address, repository.path);
    let (token, kept) = (format!("token {token}"), kept.clone());
    Box::new(move || {
        let (url, token, kept) = (url.clone(), token.clone(), kept.clone());
        async move {
            let name = format!("theirs-{}.yaml", uuid::Uuid::new_v4());
            let files = json!([{"operation": "create", "path": name, "content": "YTogYgo="}]);
            let body = json!({"message": "Mine", "branch": BRANCH, "files": files});
            let client = Client::builder().no_proxy().build().unwrap();
            let answer = client.post(url).header("authorization", token).json(&body).send().await.unwrap();
            let said: Value = answer.json().await.unwrap();
            *kept.lock().unwrap() = said["commit"]["sha"].as_str().unwrap().to_owned();
            None
        }
        .boxed()
    })
}

#[tokio::test]
async fn at_gitea_the_branch_is_moved_only_from_where_it_must_be() {
    let gitea = Gitea::start().await;
    let scopes = ["write:repository", "write:issue", "read:user"];
    let (ours, ann) = (gitea.person("pilot", &scopes).await, gitea.person("ann", &scopes).await);
    let is_written: At =
        |method: &Method, path: &str, _: &str| *method == Method::POST && path.ends_with("/contents");
    let is_moved: At =
        |method: &Method, path: &str, _: &str| *method == Method::PUT && path.contains("/branches/");
    for (number, at) in [is_written, is_moved].into_iter().enumerate() {
        for which in 0..2 {
            let name = format!("deploy-{number}-{which}");
            let repository = gitea.repository(&name, &[("web.yaml", WEB)], &["pilot", "ann"]).await;
            let (forge, _folder) = repository.forge(&gitea.address, &ours);
            let revised =
                branched(forge.as_ref(), async || repository.write(&[("b.yaml", "a: b\n")]).await).await;
            let theirs = Arc::<Mutex<String>>::default();
            let meddles = person(&repository, &ann, &theirs);
            let (address, between) = Between::start(&gitea.address, at, true, meddles).await;
            let (meddled, _folder) = repository.forge(&address, &ours);

            assert_eq!(meddled.commit(&revised[which]).await, Ok(Committed::Moved), "{name}");
            assert!(between.happened());
            let theirs = theirs.lock().unwrap().clone();
            assert_eq!(forge.head(BRANCH).await, Ok(Some(theirs.clone())), "{name}: theirs is what is there");
            assert_eq!(forge.head(&format!("{BRANCH}.next")).await, Ok(None), "{name}");

            // Who has seen it goes on from there.
            let seen = NewCommit { expected: Some(theirs.clone()), parent: theirs, ..revised[0].clone() };
            let done = made(forge.commit(&seen).await);
            assert_eq!(forge.head(BRANCH).await, Ok(Some(done)));
        }
    }
}

/// Gitea before 1.26, and Forgejo.
#[tokio::test]
async fn at_a_forge_that_cannot_move_branches_theirs_stays_below_ours() {
    let gitea = Gitea::start().await;
    let scopes = ["write:repository", "write:issue", "read:user"];
    let (ours, ann) = (gitea.person("pilot", &scopes).await, gitea.person("ann", &scopes).await);
    let repository = gitea.repository("deploy", &[("web.yaml", WEB)], &["pilot", "ann"]).await;
    let unknown: At =
        |method: &Method, path: &str, _: &str| *method == Method::PUT && path.contains("/branches/");
    let says: Happens = Box::new(|| async { Some(StatusCode::METHOD_NOT_ALLOWED.into_response()) }.boxed());
    let (older, _) = Between::start(&gitea.address, unknown, false, says).await;
    let (forge, _folder) = repository.forge(&older, &ours);
    let [revised, _] = branched(forge.as_ref(), async || ()).await;

    let on_top: At = |method: &Method, path: &str, body: &str| {
        *method == Method::POST && path.ends_with("/contents") && !body.contains("new_branch")
    };
    let theirs = Arc::<Mutex<String>>::default();
    let (address, between) = Between::start(&older, on_top, true, person(&repository, &ann, &theirs)).await;
    let (meddled, _folder) = repository.forge(&address, &ours);
    assert_eq!(meddled.commit(&revised).await, Ok(Committed::Moved));
    assert!(between.happened());
    let (head, theirs) = (forge.head(BRANCH).await.unwrap().unwrap(), theirs.lock().unwrap().clone());
    assert_eq!(forge.contains(&head, &theirs).await, Ok(true), "theirs is in the branch");

    // Without somebody in between both ways are done.
    repository.write(&[("b.yaml", "a: b\n")]).await;
    let now = forge.snapshot().await.unwrap();
    let top = NewCommit { parent: head.clone(), expected: Some(head), ..revised };
    let top = made(forge.commit(&top).await);
    let anew = NewCommit { expected: Some(top), ..commit(&now, BRANCH, &[("web.yaml", "replicas: 6\n")]) };
    let moved = made(forge.commit(&anew).await);
    assert_eq!(forge.head(BRANCH).await, Ok(Some(moved.clone())));

    // Forgejo does not know `force_push` either.
    let forced: At = |method: &Method, _: &str, body: &str| {
        *method == Method::POST && body.contains(&format!("\"new_branch\":\"{BRANCH}\""))
    };
    let exists =
        || async { Some((StatusCode::UNPROCESSABLE_ENTITY, r#"{"message":"it exists"}"#).into_response()) };
    let (forgejo, _) = Between::start(&older, forced, false, Box::new(move || exists().boxed())).await;
    let (forge, _folder) = repository.forge(&forgejo, &ours);
    let again = NewCommit { expected: Some(moved.clone()), message: "Again".to_owned(), ..anew };
    let said = forge.commit(&again).await.unwrap_err().to_string();
    assert!(said.contains("it exists") && said.contains("withdraw the change"), "{said}");
    assert_eq!(forge.head(BRANCH).await, Ok(Some(moved)));
}

#[tokio::test]
async fn at_gitlab_what_somebody_commits_in_between_is_kept() {
    let is_written: At = |method: &Method, path: &str, _: &str| {
        *method == Method::POST && path.ends_with("/repository/commits")
    };
    let is_read: At = |_: &Method, path: &str, _: &str| path.contains("/repository/files/");
    // GitLab cannot be told where a branch that is made anew must be: that is looked at right before.
    for (which, at, path) in [
        (0, is_written, "web.yaml"),
        (0, is_written, "theirs.yaml"),
        (0, is_read, "theirs.yaml"),
        (1, is_read, "theirs.yaml"),
    ] {
        let gitlab = GitLab::start(&[("web.yaml", WEB)]).await;
        let (forge, _folder) = gitlab.forge();
        let base = async || gitlab.shared.bare.write(&[("b.yaml", "a: b\n")]);
        let revised = branched(forge.as_ref(), base).await;
        let theirs = Arc::<Mutex<String>>::default();
        let (shared, kept) = (gitlab.shared.clone(), theirs.clone());
        let meddles: Happens = Box::new(move || {
            *kept.lock().unwrap() = shared.bare.commit_to(BRANCH, path, "mine: true\n");
            async { None }.boxed()
        });
        let (address, between) = Between::start(&gitlab.address, at, true, meddles).await;
        let (meddled, _folder) = gitlab.forge_at(&address);
        assert_eq!(meddled.commit(&revised[which]).await, Ok(Committed::Moved), "{which} {path}");
        assert!(between.happened());
        let (head, theirs) = (gitlab.shared.bare.head(BRANCH).unwrap(), theirs.lock().unwrap().clone());
        assert_eq!(gitlab.shared.bare.merge_base(&head, &theirs), Some(theirs), "theirs is in the branch");
    }
}
