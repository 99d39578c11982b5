//! What is refused, chosen, kept back and looked up of change requests.

use std::fs;

use pilothouse::{
    answer::Answer,
    changes::{ChangeRequests, ChangesConfig, RepositoryConfig},
    tools::{Changes, Modification, Proposal},
};
use serde_json::json;

use crate::{
    changes_git_server::GitServer,
    changes_stage::{MEMORY, Stage, WEB, audit_lines, caller, field, proposal, repository},
};

/// The path of the only edit.
fn first(proposal: &mut Proposal, path: String) {
    if let Modification::Edits(edits) = &mut proposal.change {
        edits[0].0 = path;
    }
}

#[tokio::test]
async fn refusals_say_what_and_where() {
    let files = [
        ("apps/web.yaml", WEB),
        ("copies/a.yaml", "kind: Deployment\nmetadata: {name: twin, namespace: shop}\nspec: {replicas: 1}\n"),
        ("copies/b.yaml", "kind: Deployment\nmetadata: {name: twin, namespace: shop}\nspec: {replicas: 1}\n"),
    ];
    let stage = Stage::with(&files).await;
    let ask = |change: fn(&mut Proposal)| {
        let mut proposal = proposal(MEMORY, json!("1Gi"));
        change(&mut proposal);
        let changes = stage.changes.clone();
        async move { changes.propose(&caller(), proposal).await }
    };
    for (answer, says) in [
        (ask(|p| p.name = "gone".into()).await, "is not in the 3 YAML files"),
        (ask(|p| p.name = "twin".into()).await, "copies/a.yaml:1, copies/b.yaml:1"),
        (ask(|p| p.kind = "Secret".into()).await, "no secret value reaches Git"),
        (ask(|p| p.repository = Some("prod".into())).await, "configured are deploy"),
        (
            ask(|p| first(p, "spec.template.spec.containers[name=db].image".into())).await,
            "name is one of web",
        ),
        (ask(|p| first(p, "spec.replicas.x".into())).await, "spec.replicas is a single value"),
        (ask(|p| first(p, "spec.x[0".into())).await, "at character 9"),
        (ask(|p| p.reason = " ".into()).await, "reason is empty"),
    ] {
        assert!(answer.is_error && answer.text.starts_with("Nothing was proposed: "), "{}", answer.text);
        assert!(answer.text.contains(says), "{says} is not in: {}", answer.text);
    }
    assert!(stage.server.branches().is_empty());
    stage.audit.close().await.unwrap();
    assert_eq!(audit_lines(&stage).iter().filter(|line| line["decision"] == "refused").count(), 8);
}

#[tokio::test]
async fn a_repository_that_cannot_be_had_is_said() {
    let stage = Stage::web().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wrong = stage.server.folder.path().join("wrong");
    fs::write(&wrong, "not-the-token").unwrap();
    let plain = |name: &str, url: String| repository(name, url, &stage.server);
    let repositories = vec![
        plain("away", format!("http://{free}/repo.git")),
        RepositoryConfig { token_file: Some(wrong), ..plain("stranger", stage.server.url()) },
        plain("missing", format!("{}/none.git", stage.server.address)),
        RepositoryConfig { branch: "trunk".into(), ..plain("trunk", stage.server.url()) },
        RepositoryConfig {
            token_file: Some("/nowhere/token".into()),
            ..plain("tokenless", stage.server.url())
        },
    ];
    let changes = ChangeRequests::new(
        ChangesConfig { repositories, ..ChangesConfig::default() },
        stage.data.path(),
        stage.audit.clone(),
    )
    .unwrap();
    for (name, says) in [
        ("away", "cannot be reached"),
        ("stranger", "refused us"),
        ("missing", "there is no repository missing"),
        ("trunk", "has no branch trunk"),
        ("tokenless", "/nowhere/token"),
    ] {
        let asked = Proposal { repository: Some(name.into()), ..proposal(MEMORY, json!("1Gi")) };
        let answer = changes.propose(&caller(), asked).await;
        assert!(answer.is_error && answer.text.contains(says), "{name}: {}", answer.text);
        assert!(!answer.text.contains("not-the-token"), "{}", answer.text);
    }
    // With several and none named, one that cannot be searched is not passed over in silence.
    let answer = changes.propose(&caller(), proposal(MEMORY, json!("1Gi"))).await;
    assert!(answer.is_error && answer.text.contains("repository away"), "{}", answer.text);
}

#[tokio::test]
async fn the_only_repository_that_holds_it_is_chosen() {
    let stage = Stage::web().await;
    let other =
        GitServer::start(&[("x.yaml", "kind: Deployment\nmetadata: {name: db, namespace: shop}\n")]).await;
    fs::write(other.folder.path().join("token"), &other.token).unwrap();
    let repositories = vec![
        repository("other", other.url(), &other),
        repository("deploy", stage.server.url(), &stage.server),
    ];
    let changes = ChangeRequests::new(
        ChangesConfig { repositories, ..ChangesConfig::default() },
        stage.data.path(),
        stage.audit.clone(),
    )
    .unwrap();
    let answer = changes.propose(&caller(), proposal(MEMORY, json!("1Gi"))).await;
    assert_eq!(field(&answer, "repository"), "deploy");
    other.commit(&[("y.yaml", WEB)], "The same again");
    let answer = changes.propose(&caller(), proposal(MEMORY, json!("2Gi"))).await;
    assert!(answer.text.contains("several repositories (other, deploy)"), "{}", answer.text);
}

const CACHE: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: web
          env:
            - name: REDIS_PASSWORD
              value: hunter2
            - name: PORT
              value: \"80\"
            - {name: API_TOKEN, value: 'open sesame'}
";

/// What was read of the file with secrets: answers, the record on disk, and the commit's message.
async fn all_that_is_said(stage: &Stage, answer: &Answer) -> String {
    assert!(!answer.is_error, "{}", answer.text);
    let id = field(answer, "id");
    let (kept, listed) = (stage.changes.get(&caller(), &id).await, stage.changes.list(&caller()).await);
    let mut said: String = [answer, &kept, &listed]
        .into_iter()
        .map(|answer| format!("{}\n{}\n", answer.text, answer.structured.as_ref().unwrap()))
        .collect();
    said += &fs::read_to_string(stage.data.path().join(format!("changes/{id}.json"))).unwrap();
    said += &stage.server.git(&["log", "-1", "--format=%B", &field(answer, "branch")]);
    said
}

#[tokio::test]
async fn secrets_beside_and_in_the_field_are_never_shown() {
    let stage = Stage::with(&[("web.yaml", CACHE)]).await;
    let env = "spec.template.spec.containers[name=web].env";
    let port = stage.ask(&format!("{env}[name=PORT].value"), json!("81")).await;
    let said = all_that_is_said(&stage, &port).await;
    assert!(!said.contains("hunter2") && !said.contains("open sesame"), "{said}");
    assert!(said.contains("<redacted:") && said.contains("+              value: \"81\""), "{said}");

    let password = stage.ask(&format!("{env}[name=REDIS_PASSWORD].value"), json!("hunter3")).await;
    let said = all_that_is_said(&stage, &password).await;
    assert!(!said.contains("hunter"), "{said}");
    assert!(said.contains("value: (secret value) -> (secret value)"), "{said}");
    let pushed = stage.server.git(&["show", &format!("{}:web.yaml", field(&password, "branch"))]);
    assert_eq!(pushed, CACHE.replace("hunter2", "hunter3"));

    let whole = json!([{"name": "REDIS_PASSWORD", "value": "hunter4"}]);
    let nested = stage.ask(env, whole).await;
    let said = all_that_is_said(&stage, &nested).await;
    assert!(!said.contains("hunter") && !said.contains("open sesame"), "{said}");

    let lost = stage.ask(&format!("{env}[value=gone].name"), json!("X")).await;
    assert!(lost.is_error && !lost.text.contains("hunter2"), "{}", lost.text);
}

#[tokio::test]
async fn what_people_made_of_a_change_is_looked_up() {
    let stage = Stage::web().await;
    let (open, merged, squashed, gone) = (
        stage.ask(MEMORY, json!("1Gi")).await,
        stage.ask(MEMORY, json!("2Gi")).await,
        stage.ask(MEMORY, json!("3Gi")).await,
        stage.ask(MEMORY, json!("4Gi")).await,
    );
    let [open, merged, squashed, gone] = [open, merged, squashed, gone].map(|answer| field(&answer, "id"));
    let state = async |id: &str| {
        let answer = stage.changes.get(&caller(), id).await;
        assert!(!answer.is_error, "{}", answer.text);
        (field(&answer, "state"), answer.text)
    };
    assert_eq!(state(&merged).await.0, "Proposed");

    let branch = |id: &str| format!("pilothouse/{id}");
    stage.server.git(&["update-ref", "refs/heads/main", &branch(&merged)]);
    stage.server.git(&["branch", "--quiet", "-D", &branch(&merged)]);
    stage.server.git(&["branch", "--quiet", "-D", &branch(&gone)]);
    // Another commit with the same message, as a rebase or a squash leaves it.
    let message = stage.server.git(&["log", "-1", "--format=%B", &branch(&squashed)]);
    stage.server.commit(&[("other.yaml", "kind: Deployment\n")], &message);
    stage.server.git(&["branch", "--quiet", "-D", &branch(&squashed)]);

    for (id, expected) in
        [(&open, "Proposed"), (&merged, "Merged"), (&squashed, "Merged"), (&gone, "Withdrawn")]
    {
        let (state, text) = state(id).await;
        assert_eq!(state, expected, "{text}");
        assert_eq!(text.contains("a person reviews"), expected == "Proposed", "{text}");
    }
    let list = stage.changes.list(&caller()).await.text;
    let heading = list.lines().nth(1).unwrap();
    assert!(heading.starts_with("ID ") && heading.contains("STATE"), "{list}");
    let row = list.lines().find(|line| line.contains(&gone)).unwrap();
    assert_eq!(row.find("Withdrawn"), heading.find("STATE"), "{list}");

    // Where nobody answers, nothing is claimed.
    fs::rename(stage.server.bare(), stage.server.folder.path().join("away")).unwrap();
    let (_, text) = state(&open).await;
    assert!(text.contains("as of the push at") && text.contains("is not known"), "{text}");
    assert!(stage.changes.list(&caller()).await.text.contains("what became of them is not known"));
}
