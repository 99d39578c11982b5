//! What is asked of a forge, at a repository that only speaks git.

use std::{fs, sync::Arc};

use pilothouse::changes::{
    ChangesConfig,
    forge::{self, Committed, Forge, ForgeError, NewCommit, PullRequestState},
};
use tempfile::TempDir;

use crate::{
    changes_git_server::GitServer,
    changes_stage::repository,
    forge_stage::{commit, made, request},
};

const BRANCH: &str = "pilothouse/web-1";

fn connect(server: &GitServer) -> (Arc<dyn Forge>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(server.folder.path().join("token"), &server.token).unwrap();
    let config = ChangesConfig {
        repositories: vec![repository("deploy", server.url(), server)],
        ..ChangesConfig::default()
    };
    let repository = config.checked().unwrap().remove(0);
    (forge::connect(&repository, folder.path()).unwrap(), folder)
}

#[tokio::test]
async fn a_branch_stands_for_a_pull_request() {
    let files =
        [("web.yaml", "replicas: 1\n"), ("chart/templates/_x.tpl", "{{ .x }}\n"), ("logo.png", "none")];
    let server = GitServer::start(&files).await;
    let (forge, folder) = connect(&server);
    assert!(!forge.has_pull_requests());

    let snapshot = forge.snapshot().await.unwrap();
    assert_eq!(snapshot.files.keys().collect::<Vec<_>>(), ["chart/templates/_x.tpl", "web.yaml"]);
    let new = NewCommit {
        message: "Change\n\nChange-Id: web-1".to_owned(),
        ..commit(&snapshot, BRANCH, &[("web.yaml", "replicas: 2\n"), ("notes/web.md", "why\n")])
    };
    assert_eq!(forge.find(BRANCH).await, Ok(None));
    let first = made(forge.commit(&new).await);
    assert_eq!(forge.head(BRANCH).await, Ok(Some(first.clone())));
    assert_eq!(server.git(&["show", &format!("{first}:notes/web.md")]), "why\n");
    assert_eq!(made(forge.commit(&new).await), first, "the same again is the same");
    let other = NewCommit { message: "Another".to_owned(), ..new.clone() };
    assert_eq!(forge.commit(&other).await, Ok(Committed::Moved));

    let opened = forge.open(&request(BRANCH)).await.unwrap();
    assert_eq!((opened.number, &opened.head, &opened.state), (0, &first, &PullRequestState::Open));
    assert_eq!(opened.url, server.url());
    assert_eq!(forge.open_branches("pilothouse/").await, Ok(vec![BRANCH.to_owned()]));
    forge.update(0, "Another title", "Another body").await.unwrap();
    forge.comment(0, "Revised.").await.unwrap();

    // On top, then from a newer base; each only from where the branch is expected.
    let on_top = NewCommit {
        parent: first.clone(),
        expected: Some(first.clone()),
        files: [("web.yaml".to_owned(), "replicas: 3\n".to_owned())].into(),
        ..new.clone()
    };
    let second = made(forge.commit(&on_top).await);
    server.commit(&[("other.yaml", "a: b\n")], "By hand");
    let late = NewCommit { branch: "pilothouse/late".to_owned(), ..new.clone() };
    assert_eq!(forge.commit(&late).await, Ok(Committed::Moved), "the base has moved");
    let now = forge.snapshot().await.unwrap();
    let again = |expected: &str| NewCommit {
        parent: now.commit.clone(),
        expected: Some(expected.to_owned()),
        ..on_top.clone()
    };
    assert_eq!(forge.commit(&again(&first)).await, Ok(Committed::Moved));
    let third = made(forge.commit(&again(&second)).await);
    assert_eq!(forge.contains(&third, &now.commit).await, Ok(true));
    assert_eq!(forge.contains(&third, &first).await, Ok(false));
    let unknown = forge.contains(&"1".repeat(40), &third).await.unwrap_err();
    assert!(matches!(&unknown, ForgeError::Missing(said) if said.contains("deploy")), "{unknown}");

    server.git(&["update-ref", "refs/heads/main", &third]);
    let merged = forge.find(BRANCH).await.unwrap().unwrap();
    let PullRequestState::Merged { commit, at: Some(_), by: None } = merged.state else {
        panic!("{merged:?}")
    };
    assert_eq!(commit, third);
    assert_eq!(forge.open_branches("pilothouse/").await, Ok(Vec::new()));
    assert_eq!(forge.parent(BRANCH, &third).await, Ok(Some(now.commit.clone())));
    assert_eq!(forge.close(0, BRANCH, &first).await, Ok(false), "it is not where it was");
    assert_eq!(forge.head(BRANCH).await, Ok(Some(third.clone())));
    assert_eq!(forge.close(0, BRANCH, &third).await, Ok(true));
    assert_eq!(forge.head(BRANCH).await, Ok(None));
    assert_eq!(forge.close(0, BRANCH, &third).await, Ok(true));
    assert!(forge.get(0).await.is_err());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_the_server_does_not_take_is_said() {
    let server = GitServer::start(&[("web.yaml", "replicas: 1\n")]).await;
    let (forge, _folder) = connect(&server);
    let snapshot = forge.snapshot().await.unwrap();
    server.refuse_pushes(true);
    let refused =
        forge.commit(&commit(&snapshot, BRANCH, &[("web.yaml", "replicas: 2\n")])).await.unwrap_err();
    assert!(matches!(&refused, ForgeError::Unavailable(said) if said.contains("deploy")), "{refused:?}");
    assert!(!refused.to_string().contains(&server.token));
    let missing = forge.open(&request(BRANCH)).await.unwrap_err();
    assert!(matches!(&missing, ForgeError::Missing(said) if said.contains(BRANCH)), "{missing:?}");
}
