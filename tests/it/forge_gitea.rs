//! What is asked of a forge, at a real Gitea.

use std::collections::BTreeMap;

use pilothouse::changes::forge::{
    Committed, Forge, ForgeError, NewCommit, PullRequestState, Snapshot, Verdict,
};
use reqwest::Method;
use serde_json::json;

use crate::{
    forge_gitea_server::{Gitea, Repository},
    forge_stage::{commit, is_merged, made, request},
};

const WEB: &str = "kind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 1\n";
const BRANCH: &str = "pilothouse/web-1";
const OURS: [&str; 3] = ["write:repository", "write:issue", "read:user"];

async fn ready(forge: &dyn Forge) -> (Snapshot, String) {
    let snapshot = forge.snapshot().await.unwrap();
    let commit = made(forge.commit(&commit(&snapshot, BRANCH, &[("web.yaml", "replicas: 2\n")])).await);
    (snapshot, commit)
}

async fn approve(repository: &Repository<'_>, token: &str, number: u64, commit: &str) {
    let body = json!({"event": "APPROVED", "body": "fine", "commit_id": commit});
    let path = format!("pulls/{number}/reviews");
    let (status, said) = repository.api_as(token, Method::POST, &path, body).await;
    assert_eq!(status, 200, "{said}");
}

async fn merge(repository: &Repository<'_>, token: &str, number: u64) -> u16 {
    let path = format!("pulls/{number}/merge");
    repository.api_as(token, Method::POST, &path, json!({"Do": "merge"})).await.0
}

#[tokio::test]
async fn a_change_from_its_commit_to_the_merge() {
    let gitea = Gitea::start().await;
    let ours = gitea.person("pilot", &OURS).await;
    let ann = gitea.person("ann", &OURS).await;
    let files = [
        ("web.yaml", WEB),
        ("chart/templates/_helpers.tpl", "{{ define \"x\" }}{{ end }}\n"),
        ("logo.png", "none"),
    ];
    let repository = gitea.repository("deploy", &files, &["pilot", "ann"]).await;
    let protection =
        json!({"rule_name": "main", "branch_name": "main", "required_approvals": 1, "enable_push": false});
    repository.api(Method::POST, "branch_protections", protection).await;
    let (forge, _folder) = repository.forge(&gitea.address, &ours);

    let snapshot = forge.snapshot().await.unwrap();
    let mut paths: Vec<_> = snapshot.files.keys().map(String::as_str).collect();
    paths.retain(|path| *path != "README.md");
    assert_eq!(paths, ["chart/templates/_helpers.tpl", "web.yaml"]);
    assert_eq!(snapshot.files["web.yaml"], WEB);
    assert_eq!(forge.head("main").await, Ok(Some(snapshot.commit.clone())));
    assert_eq!(forge.head(BRANCH).await, Ok(None));

    let new = commit(&snapshot, BRANCH, &[("web.yaml", "replicas: 2\n"), ("notes/web.md", "why\n")]);
    let first = made(forge.commit(&new).await);
    assert_eq!(forge.head(BRANCH).await, Ok(Some(first.clone())));
    assert_eq!(repository.text(BRANCH, "web.yaml").await, "replicas: 2\n");
    assert_eq!(repository.text(BRANCH, "notes/web.md").await, "why\n");
    assert_eq!(repository.text("main", "web.yaml").await, WEB, "the base is not touched");
    // The same again is the same; another one is not put over it.
    assert_eq!(made(forge.commit(&new).await), first);
    let other = NewCommit { message: "Another".to_owned(), ..new };
    assert_eq!(forge.commit(&other).await, Ok(Committed::Moved));

    let opened = forge.open(&request(BRANCH)).await.unwrap();
    assert_eq!((opened.branch.as_str(), &opened.head, opened.author.as_str()), (BRANCH, &first, "pilot"));
    assert_eq!(opened.state, PullRequestState::Open);
    assert_eq!(forge.open(&request(BRANCH)).await.unwrap().number, opened.number, "not opened twice");
    assert_eq!(forge.open_branches("pilothouse/").await, Ok(vec![BRANCH.to_owned()]));
    assert_eq!(forge.open_branches("other/").await, Ok(Vec::new()));
    let path = format!("issues/{}", opened.number);
    let issue = repository.api(Method::GET, &path, json!({})).await;
    let labels: Vec<_> =
        issue["labels"].as_array().unwrap().iter().map(|label| label["name"].as_str().unwrap()).collect();
    assert_eq!(labels, ["needs-human-mapping", "pilothouse"]);

    // Revised on the branch, with another text for people.
    let revised = NewCommit {
        parent: first.clone(),
        expected: Some(first.clone()),
        ..commit(&snapshot, BRANCH, &[("web.yaml", "replicas: 3\n")])
    };
    let second = made(forge.commit(&revised).await);
    assert_eq!(repository.text(BRANCH, "web.yaml").await, "replicas: 3\n");
    forge.update(opened.number, "Another title", "Another body").await.unwrap();
    forge.comment(opened.number, "Revised.").await.unwrap();
    let issue = repository.api(Method::GET, &path, json!({})).await;
    assert_eq!((issue["title"].as_str(), issue["comments"].as_u64()), (Some("Another title"), Some(1)));

    assert_eq!(merge(&repository, &ann, opened.number).await, 405, "nobody has approved it");
    approve(&repository, &ann, opened.number, &second).await;
    let approved = forge.get(opened.number).await.unwrap();
    let reviews: Vec<_> = approved
        .reviews
        .iter()
        .map(|review| (review.user.as_str(), review.verdict, review.commit.as_deref()))
        .collect();
    assert_eq!(reviews, [("ann", Verdict::Approved, Some(second.as_str()))]);
    assert_eq!(approved.head, second);
    repository.merged(&ann, opened.number).await;

    is_merged(forge.as_ref(), BRANCH, &second).await;
    assert_eq!(forge.snapshot().await.unwrap().files["web.yaml"], "replicas: 3\n");
    assert_eq!(forge.open_branches("pilothouse/").await, Ok(Vec::new()));
}

#[tokio::test]
async fn what_was_read_is_old() {
    let gitea = Gitea::start().await;
    let ours = gitea.person("pilot", &OURS).await;
    let repository = gitea.repository("deploy", &[("web.yaml", WEB)], &["pilot"]).await;
    let (forge, _folder) = repository.forge(&gitea.address, &ours);
    let (old, first) = ready(forge.as_ref()).await;

    repository.write(&[("other.yaml", "a: b\n")]).await;
    let late = commit(&old, "pilothouse/late", &[("web.yaml", "replicas: 4\n")]);
    assert_eq!(forge.commit(&late).await, Ok(Committed::Moved), "the base has moved");
    assert_eq!(forge.head("pilothouse/late").await, Ok(None));

    // The branch is brought to the new base, from where it was and from nowhere else.
    let new = forge.snapshot().await.unwrap();
    let again = |expected: &str| NewCommit {
        expected: Some(expected.to_owned()),
        ..commit(&new, BRANCH, &[("web.yaml", "replicas: 5\n")])
    };
    assert_eq!(forge.commit(&again(&old.commit)).await, Ok(Committed::Moved), "the branch was elsewhere");
    let second = made(forge.commit(&again(&first)).await);
    assert_eq!(forge.head(BRANCH).await, Ok(Some(second.clone())));
    assert_eq!(forge.contains(&second, &new.commit).await, Ok(true));
    assert_eq!(forge.contains(&second, &first).await, Ok(false));
}

#[tokio::test]
async fn a_person_closes_it_and_we_do() {
    let gitea = Gitea::start().await;
    let ours = gitea.person("pilot", &OURS).await;
    let ann = gitea.person("ann", &OURS).await;
    let repository = gitea.repository("deploy", &[("web.yaml", WEB)], &["pilot", "ann"]).await;
    let (forge, _folder) = repository.forge(&gitea.address, &ours);
    ready(forge.as_ref()).await;
    assert_eq!(forge.find(BRANCH).await, Ok(None));

    let first = forge.open(&request(BRANCH)).await.unwrap();
    let path = format!("pulls/{}", first.number);
    let (status, _) = repository.api_as(&ann, Method::PATCH, &path, json!({"state": "closed"})).await;
    assert_eq!(status, 201);
    let closed = PullRequestState::Closed { by: Some("ann".to_owned()) };
    assert_eq!(forge.find(BRANCH).await.unwrap().unwrap().state, closed);

    // Whether another follows is not for the forge to decide.
    let second = forge.open(&request(BRANCH)).await.unwrap();
    assert_ne!(second.number, first.number);
    assert_eq!(forge.find(BRANCH).await.unwrap().unwrap().number, second.number, "the newest");
    assert_eq!(forge.close(second.number, BRANCH, &second.head).await, Ok(true));
    assert_eq!(forge.head(BRANCH).await, Ok(None));
    let by_us = forge.find(BRANCH).await.unwrap().unwrap();
    assert_eq!((by_us.number, by_us.branch.as_str()), (second.number, BRANCH));
    assert_eq!(by_us.state, PullRequestState::Closed { by: Some("pilot".to_owned()) });
    let said = forge.open(&request(BRANCH)).await.unwrap_err();
    assert!(matches!(&said, ForgeError::Missing(said) if said.contains(BRANCH)), "{said}");
}

#[tokio::test]
async fn rights_that_are_missing_are_said_and_the_token_is_not() {
    let gitea = Gitea::start().await;
    let reader = gitea.person("pilot", &["read:repository", "read:issue"]).await;
    let stranger = gitea.person("eve", &OURS).await;
    let repository = gitea.repository("deploy", &[("web.yaml", WEB)], &["pilot"]).await;

    let (forge, _folder) = repository.forge(&gitea.address, &reader);
    let snapshot = forge.snapshot().await.unwrap();
    let refused = forge.commit(&commit(&snapshot, BRANCH, &[("web.yaml", "x: 1\n")])).await.unwrap_err();
    let ForgeError::Refused(said) = &refused else { panic!("{refused:?}") };
    assert!(said.contains("repository deploy") && said.contains("right to read and write"), "{said}");

    for (token, what) in
        [("0123456789abcdef0123456789abcdef01234567", "valid one"), (stranger.as_str(), "does not have")]
    {
        let (forge, _folder) = repository.forge(&gitea.address, token);
        let refused = forge.snapshot().await.unwrap_err().to_string();
        assert!(refused.contains("deploy") && !refused.contains(token), "{refused}");
        assert!(refused.contains(what) || refused.contains("no branch main"), "{refused}");
    }
}

#[tokio::test]
async fn what_an_archive_shows_otherwise_is_not_written_back() {
    let gitea = Gitea::start().await;
    let ours = gitea.person("pilot", &OURS).await;
    let files = [
        (".gitattributes", "stamped.yaml export-subst\nhidden.yaml export-ignore\n"),
        ("stamped.yaml", "version: $Format:%H$\n"),
        ("hidden.yaml", "a: b\n"),
        ("plain.yaml", "a: b\n"),
    ];
    let repository = gitea.repository("deploy", &files, &["pilot"]).await;
    let (forge, _folder) = repository.forge(&gitea.address, &ours);
    let snapshot = forge.snapshot().await.unwrap();
    for path in ["stamped.yaml", "hidden.yaml"] {
        let refused = forge.commit(&commit(&snapshot, BRANCH, &[(path, "a: c\n")])).await.unwrap_err();
        assert!(refused.to_string().contains(".gitattributes"), "{refused}");
        assert_eq!(forge.head(BRANCH).await, Ok(None));
    }
    let fine: BTreeMap<_, _> = [("plain.yaml".to_owned(), "a: c\n".to_owned())].into();
    made(forge.commit(&NewCommit { files: fine, ..commit(&snapshot, BRANCH, &[]) }).await);
}
