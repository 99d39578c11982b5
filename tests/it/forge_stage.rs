//! What the tests of all forges share: what it commits and opens, and how that ends.

use pilothouse::changes::forge::{
    Committed, Forge, ForgeError, NewCommit, NewPullRequest, PullRequestState, Snapshot,
};

use crate::forge_bare::{Bare, Pull, State};

pub(crate) fn commit(on: &Snapshot, branch: &str, files: &[(&str, &str)]) -> NewCommit {
    NewCommit {
        branch: branch.to_owned(),
        parent: on.commit.clone(),
        expected: None,
        files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect(),
        message: format!("Change {branch}\n\nChange-Id: {branch}"),
    }
}

pub(crate) fn request(branch: &str) -> NewPullRequest {
    NewPullRequest {
        branch: branch.to_owned(),
        title: format!("Change {branch}"),
        body: "Because of **OOMKilled**.".to_owned(),
        labels: vec!["pilothouse".to_owned(), "needs-human-mapping".to_owned()],
    }
}

pub(crate) fn made(committed: Result<Committed, ForgeError>) -> String {
    match committed.unwrap() {
        Committed::Done { commit } => commit,
        Committed::Moved => panic!("the branch moved"),
    }
}

/// A person, `ann`, has merged the change of this branch, whose newest commit is `last`.
pub(crate) async fn is_merged(forge: &dyn Forge, branch: &str, last: &str) {
    let merged = forge.find(branch).await.unwrap().unwrap();
    let PullRequestState::Merged { commit: merge, at: Some(_), by } = &merged.state else {
        panic!("{merged:?}");
    };
    assert_eq!((merged.branch.as_str(), by.as_deref()), (branch, Some("ann")));
    let head = forge.head("main").await.unwrap().unwrap();
    for commit in [merge.as_str(), last, &head] {
        assert_eq!(forge.contains(&head, commit).await, Ok(true), "{commit}");
    }
    assert_eq!(forge.contains(last, merge).await, Ok(false), "the branch has not what came later");
    assert_eq!(forge.contains(&head, &"1".repeat(40)).await, Ok(false), "nobody knows it");
}

/// At a simulated forge: a person closes one, and the next is closed by us.
pub(crate) async fn is_closed(forge: &dyn Forge, bare: &Bare, person: impl Fn(u64, fn(&Bare, &mut Pull))) {
    const BRANCH: &str = "pilothouse/closed";
    let snapshot = forge.snapshot().await.unwrap();
    made(forge.commit(&commit(&snapshot, BRANCH, &[("web.yaml", "replicas: 6\n")])).await);
    let first = forge.open(&request(BRANCH)).await.unwrap();
    person(first.number, |_, pull| pull.state = State::Closed { by: "ann".to_owned() });
    let closed = PullRequestState::Closed { by: Some("ann".to_owned()) };
    assert_eq!(forge.get(first.number).await.unwrap().state, closed);
    let second = forge.open(&request(BRANCH)).await.unwrap();
    assert_ne!(second.number, first.number);
    // Somebody else has committed to it since: theirs stays.
    let theirs = bare.commit_to(BRANCH, "web.yaml", "replicas: 7\n");
    assert_eq!(forge.parent(BRANCH, &theirs).await, Ok(Some(second.head.clone())));
    assert_eq!(forge.close(second.number, BRANCH, &second.head).await, Ok(false));
    assert_eq!(bare.head(BRANCH), Some(theirs.clone()));
    assert_eq!(forge.close(second.number, BRANCH, &theirs).await, Ok(true));
    assert_eq!(bare.head(BRANCH), None);
    assert_eq!(forge.close(second.number, BRANCH, &theirs).await, Ok(true));
}

/// What a person does who merges it.
pub(crate) fn merge(bare: &Bare, pull: &mut Pull) {
    pull.head = bare.head(&pull.branch).unwrap();
    pull.state = State::Merged { commit: bare.merge(&pull.branch), by: "ann".to_owned() };
}
