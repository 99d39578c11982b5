//! What is asked of a forge, at a simulated GitHub whose exchanges are held to GitHub's own descriptions.

use pilothouse::changes::forge::{Committed, NewCommit, PullRequestState, Verdict};

use crate::{
    forge_contract::{violations, wrong_queries},
    forge_sim_github::GitHub,
    forge_stage::{commit, is_closed, is_merged, made, merge, request},
};

const WEB: &str = "kind: Deployment\nmetadata:\n  name: web\n";
const BRANCH: &str = "pilothouse/web-1";

#[tokio::test]
async fn all_that_is_asked_is_as_github_describes_it() {
    let many: Vec<_> =
        (0..150).map(|number| (format!("many/{number}.yaml"), format!("number: {number}\n"))).collect();
    let mut files: Vec<_> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    files.extend([("web.yaml", WEB), ("logo.png", "none"), ("chart/templates/_x.tpl", "{{ .x }}\n")]);
    let github = GitHub::start(&files).await;
    let (forge, _folder) = github.forge(&github.address, 30);

    let snapshot = forge.snapshot().await.unwrap();
    assert_eq!(snapshot.files.len(), 152);
    assert_eq!(
        (snapshot.files["web.yaml"].as_str(), snapshot.files["many/149.yaml"].as_str()),
        (WEB, "number: 149\n")
    );
    assert_eq!(github.exchanges().1.len(), 2, "a hundred texts at one time");
    let new = commit(&snapshot, BRANCH, &[("web.yaml", "replicas: 2\n"), ("notes/web.md", "why\n")]);
    let first = made(forge.commit(&new).await);
    assert_eq!(github.shared.bare.head(BRANCH), Some(first.clone()));
    assert_eq!(github.shared.bare.text(&first, "notes/web.md").as_deref(), Some("why\n"));
    assert_eq!(github.shared.bare.text(&first, "many/1.yaml").as_deref(), Some("number: 1\n"));
    assert_eq!(made(forge.commit(&new).await), first, "the same again is the same");
    let other = NewCommit { message: "Another".to_owned(), ..new };
    assert_eq!(forge.commit(&other).await, Ok(Committed::Moved));

    assert_eq!(forge.find(BRANCH).await, Ok(None));
    let opened = forge.open(&request(BRANCH)).await.unwrap();
    assert_eq!(
        (opened.branch.as_str(), &opened.head, &opened.state),
        (BRANCH, &first, &PullRequestState::Open)
    );
    assert_eq!(forge.open(&request(BRANCH)).await.unwrap().number, opened.number);
    assert_eq!(forge.open_branches("pilothouse/").await, Ok(vec![BRANCH.to_owned()]));
    assert_eq!(github.pulls()[0].labels, ["pilothouse", "needs-human-mapping"]);
    forge.update(opened.number, "Another title", "Another body").await.unwrap();
    forge.comment(opened.number, "Revised.").await.unwrap();
    assert_eq!((github.pulls()[0].title.as_str(), github.pulls()[0].comments.len()), ("Another title", 1));

    // Somebody commits to the base; the branch is brought there, from where it was and from nowhere else.
    github.shared.bare.write(&[("other.yaml", "a: b\n")]);
    let late = commit(&snapshot, "pilothouse/late", &[("web.yaml", "replicas: 4\n")]);
    assert_eq!(forge.commit(&late).await, Ok(Committed::Moved));
    let now = forge.snapshot().await.unwrap();
    assert_eq!(now.files.len(), 153);
    assert_eq!(github.exchanges().1.len(), 3, "only what changed is read again");
    let again = |expected: &str| NewCommit {
        expected: Some(expected.to_owned()),
        ..commit(&now, BRANCH, &[("web.yaml", "replicas: 5\n")])
    };
    assert_eq!(forge.commit(&again(&snapshot.commit)).await, Ok(Committed::Moved));
    let second = made(forge.commit(&again(&first)).await);
    assert_eq!(github.shared.bare.head(BRANCH), Some(second.clone()));

    github.person(opened.number, |_, pull| pull.reviews.push(("ann".to_owned(), true, second.clone())));
    let reviews = forge.get(opened.number).await.unwrap().reviews;
    let reviews: Vec<_> = reviews
        .iter()
        .map(|review| (review.user.as_str(), review.verdict, review.commit.as_deref()))
        .collect();
    assert_eq!(reviews, [("ann", Verdict::Approved, Some(second.as_str()))]);
    github.person(opened.number, merge);
    is_merged(forge.as_ref(), BRANCH, &second).await;
    is_closed(forge.as_ref(), &github.shared.bare, |number, act| github.person(number, act)).await;

    let (exchanges, queries) = github.exchanges();
    assert_eq!(violations(&exchanges), Vec::<String>::new());
    assert_eq!(wrong_queries(&queries), Vec::<String>::new());
}
