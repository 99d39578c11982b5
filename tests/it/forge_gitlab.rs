//! What is asked of a forge, at a simulated GitLab whose exchanges are held to the types of a GitLab client.

use pilothouse::changes::forge::{Committed, NewCommit, PullRequestState, Verdict};
use serde_json::json;

use crate::{
    forge_sim_gitlab::{GitLab, wrong_types},
    forge_stage::{commit, is_closed, is_merged, made, merge, request},
};

const WEB: &str = "kind: Deployment\nmetadata:\n  name: web\n";
const BRANCH: &str = "pilothouse/web-1";

#[tokio::test]
async fn all_that_is_asked_is_as_a_client_knows_it() {
    let files = [("apps/web.yaml", WEB), ("logo.png", "none"), ("chart/templates/_x.tpl", "{{ .x }}\n")];
    let gitlab = GitLab::start(&files).await;
    let (forge, _folder) = gitlab.forge();
    let bare = &gitlab.shared.bare;

    let snapshot = forge.snapshot().await.unwrap();
    assert_eq!(snapshot.files.keys().collect::<Vec<_>>(), ["apps/web.yaml", "chart/templates/_x.tpl"]);
    let new = commit(&snapshot, BRANCH, &[("apps/web.yaml", "replicas: 2\n"), ("notes/web.md", "why\n")]);
    let first = made(forge.commit(&new).await);
    assert_eq!(bare.head(BRANCH), Some(first.clone()));
    assert_eq!(bare.text(&first, "notes/web.md").as_deref(), Some("why\n"));
    assert_eq!(made(forge.commit(&new).await), first, "the same again is the same");
    let other = NewCommit { message: "Another".to_owned(), ..new };
    assert_eq!(forge.commit(&other).await, Ok(Committed::Moved));
    let revised = NewCommit {
        parent: first.clone(),
        expected: Some(first.clone()),
        ..commit(&snapshot, BRANCH, &[("apps/web.yaml", "replicas: 3\n")])
    };
    let second = made(forge.commit(&revised).await);
    assert_eq!(bare.commit(&second).unwrap().1, [first.as_str()]);

    assert_eq!(forge.find(BRANCH).await, Ok(None));
    let opened = forge.open(&request(BRANCH)).await.unwrap();
    assert_eq!(
        (opened.branch.as_str(), &opened.head, &opened.state),
        (BRANCH, &second, &PullRequestState::Open)
    );
    assert_eq!(forge.open(&request(BRANCH)).await.unwrap().number, opened.number);
    assert_eq!(forge.open_branches("pilothouse/").await, Ok(vec![BRANCH.to_owned()]));
    assert_eq!(gitlab.pulls()[0].labels, ["pilothouse", "needs-human-mapping"]);
    forge.update(opened.number, "Another title", "Another body").await.unwrap();
    forge.comment(opened.number, "Revised.").await.unwrap();
    assert_eq!((gitlab.pulls()[0].title.as_str(), gitlab.pulls()[0].comments.len()), ("Another title", 1));

    bare.write(&[("other.yaml", "a: b\n")]);
    let now = forge.snapshot().await.unwrap();
    let again = |expected: &str| NewCommit {
        expected: Some(expected.to_owned()),
        ..commit(&now, BRANCH, &[("apps/web.yaml", "replicas: 5\n")])
    };
    assert_eq!(forge.commit(&again(&first)).await, Ok(Committed::Moved));
    let third = made(forge.commit(&again(&second)).await);
    assert_eq!(bare.commit(&third).unwrap().1, [now.commit.as_str()]);

    gitlab.person(opened.number, |_, pull| {
        pull.reviews =
            vec![("ann".to_owned(), true, String::new()), ("bob".to_owned(), false, String::new())];
    });
    let reviews = forge.get(opened.number).await.unwrap().reviews;
    let reviews: Vec<_> = reviews.iter().map(|review| (review.user.as_str(), review.verdict)).collect();
    assert_eq!(reviews, [("ann", Verdict::Approved), ("bob", Verdict::ChangesRequested)]);
    gitlab.person(opened.number, merge);
    is_merged(forge.as_ref(), BRANCH, &third).await;
    is_closed(forge.as_ref(), bare, |number, act| gitlab.person(number, act)).await;

    assert_eq!(gitlab.wrong_types(), "");
}

#[test]
fn what_the_client_does_not_know_is_found() {
    let said = wrong_types(&[
        ("G.CommitSchema", json!({"id": 7})),
        ("G.CommitSchema", json!({"colour": "red"})),
        ("G.MergeRequestSchema", json!({"author": {"username": 1}})),
        ("G.CommitAction", json!({"action": "paint"})),
    ]);
    assert_eq!(said.lines().filter(|line| line.contains("error TS")).count(), 4, "{said}");
}
