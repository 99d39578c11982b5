//! From the proposal to the branch in a real repository over HTTP, read back with git.

use std::{fs, path::Path};

use pilothouse::{
    answer::Answer,
    audit::{Audit, check},
    caller::Caller,
    changes::{ChangeRequests, ChangesConfig, RepositoryConfig},
    tools::{Changes, Proposal},
};
use serde_json::{Value, json};

use crate::changes_git_server::{GitServer, commit};

const WEB: &str = "\
# The shop's front.
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web   # do not rename
  namespace: shop
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: web
          image: 'web:1.0'
          resources:
            limits: { cpu: 500m, memory: 256Mi } # measured
---
# last
kind: ConfigMap
apiVersion: v1
metadata: {name: web, namespace: shop}
data: {a: \"1\"}";

const MEMORY: &str = "spec.template.spec.containers[name=web].resources.limits.memory";

struct Stage {
    server: GitServer,
    data: tempfile::TempDir,
    audit: Audit,
    changes: ChangeRequests,
}

impl Stage {
    async fn with(files: &[(&str, &str)]) -> Self {
        let server = GitServer::start(files).await;
        let data = tempfile::tempdir().unwrap();
        let token_file = server.folder.path().join("token");
        fs::write(&token_file, format!("{}\n", server.token)).unwrap();
        let audit = Audit::open(data.path()).unwrap();
        let changes = open(&server, data.path(), &audit);
        Self { server, data, audit, changes }
    }

    async fn web() -> Self {
        Self::with(&[("apps/web.yaml", WEB), ("other.yaml", "kind: Deployment\nmetadata: {name: db}\n")])
            .await
    }

    async fn ask(&self, path: &str, new: Value) -> Answer {
        self.changes.propose(&caller(), proposal(path, new)).await
    }
}

fn repository(name: &str, url: String, server: &GitServer) -> RepositoryConfig {
    RepositoryConfig {
        name: name.into(),
        url,
        branch: "main".into(),
        path: ".".into(),
        namespace: None,
        token_file: Some(server.folder.path().join("token")),
        username: "x-access-token".into(),
        insecure_http: false,
    }
}

fn open(server: &GitServer, data: &Path, audit: &Audit) -> ChangeRequests {
    let config = ChangesConfig { repositories: vec![repository("deploy", server.url(), server)] };
    ChangeRequests::new(config, data, audit.clone()).unwrap()
}

fn caller() -> Caller {
    Caller { user: "ann@example.com".into(), ..Caller::static_token() }
}

fn proposal(path: &str, new: Value) -> Proposal {
    Proposal {
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: "web".into(),
        edits: vec![(path.into(), new)],
        reason: "OOMKilled three times since 10:00.".into(),
        repository: None,
    }
}

fn field(answer: &Answer, name: &str) -> String {
    answer.structured.as_ref().unwrap()[name].as_str().unwrap().to_owned()
}

fn audit_lines(stage: &Stage) -> Vec<Value> {
    let text = fs::read_to_string(stage.audit.path()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_proposal_becomes_a_branch_where_one_line_differs() {
    let stage = Stage::web().await;
    let main = stage.server.git(&["rev-parse", "main"]);

    let answer = stage.ask(MEMORY, json!("512Mi")).await;

    assert!(!answer.is_error, "{}", answer.text);
    let branch = field(&answer, "branch");
    assert_eq!(branch, format!("pilothouse/{}", field(&answer, "id")));
    assert_eq!(stage.server.branches(), [branch.as_str()]);
    for part in [
        "Deployment shop/web",
        "apps/web.yaml:19",
        &branch,
        "Nothing in the cluster",
        "Next:",
        "+            limits: { cpu: 500m, memory: 512Mi } # measured",
    ] {
        assert!(answer.text.contains(part), "{part} is not in:\n{}", answer.text);
    }

    // Read back with git: only the one line is another, byte by byte; main is where it was.
    let file = stage.server.git(&["show", &format!("{branch}:apps/web.yaml")]);
    assert_eq!(file, WEB.replace("memory: 256Mi", "memory: 512Mi"));
    assert_eq!(stage.server.git(&["diff", "--name-only", "main", &branch]), "apps/web.yaml\n");
    assert_eq!(stage.server.git(&["rev-parse", "main"]), main);
    assert_eq!(stage.server.git(&["rev-parse", &format!("{branch}^")]), main);
    assert_eq!(stage.server.git(&["rev-parse", &branch]).trim(), field(&answer, "commit"));
    let message = stage.server.git(&["log", "-1", "--format=%an <%ae>%n%B%n[%(trailers:key=Change-Id,valueonly,separator=%x2C)] [%(trailers:key=Requested-By,valueonly,separator=%x2C)]", &branch]);
    for part in [
        "pilothouse <",
        "Deployment shop/web: set memory",
        "OOMKilled three times",
        "\"256Mi\" -> \"512Mi\"",
        &format!("[{}] [ann@example.com]", field(&answer, "id")),
    ] {
        assert!(message.contains(part), "{part} is not in:\n{message}");
    }
    // The working folders are gone; the records outlive a restart.
    let left: Vec<_> =
        fs::read_dir(stage.data.path().join("changes")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [format!("{}.json", field(&answer, "id")).as_str()]);
    let again = open(&stage.server, stage.data.path(), &stage.audit);
    let id = field(&answer, "id");
    let kept = again.get(&caller(), &id).await;
    assert_eq!(field(&kept, "state"), "Proposed");
    assert_eq!(field(&kept, "diff"), field(&answer, "diff"));
    assert!(again.list(&caller()).await.text.contains(&id));
    assert!(again.get(&caller(), "../../x").await.is_error);
}

#[tokio::test]
async fn asked_twice_it_is_the_same_change() {
    let stage = Stage::web().await;
    let first = stage.ask(MEMORY, json!("512Mi")).await;
    let second = stage.ask(MEMORY, json!("512Mi")).await;
    assert!(!second.is_error && second.text.starts_with("Already proposed"), "{}", second.text);
    assert_eq!(field(&first, "commit"), field(&second, "commit"));
    assert_eq!(stage.server.pushes(), 1);

    // Another replica, with other data: the repository itself tells.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = open(&stage.server, elsewhere.path(), &Audit::open(elsewhere.path()).unwrap());
    let third = other.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    assert!(third.text.starts_with("Already proposed"), "{}", third.text);
    assert_eq!(field(&third, "commit"), field(&first, "commit"));
    assert_eq!(stage.server.branches().len(), 1);
}

#[tokio::test]
async fn at_once_by_many_it_is_one_branch() {
    let stage = Stage::web().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let replica = open(&stage.server, elsewhere.path(), &Audit::open(elsewhere.path()).unwrap());
    let mut running = tokio::task::JoinSet::new();
    for number in 0..6 {
        let changes = if number % 2 == 0 { stage.changes.clone() } else { replica.clone() };
        running.spawn(async move { changes.propose(&caller(), proposal(MEMORY, json!("1Gi"))).await });
    }
    let mut commits = std::collections::BTreeSet::new();
    while let Some(answer) = running.join_next().await {
        let answer = answer.unwrap();
        assert!(!answer.is_error, "{}", answer.text);
        commits.insert(field(&answer, "commit"));
    }
    assert_eq!(commits.len(), 1, "{commits:?}");
    assert_eq!(stage.server.branches().len(), 1);
}

#[tokio::test]
async fn what_is_there_already_is_nothing_to_do() {
    let stage = Stage::web().await;
    let answer = stage.ask(MEMORY, json!("256Mi")).await;
    assert!(!answer.is_error && answer.text.starts_with("Nothing to do"), "{}", answer.text);
    assert_eq!(field(&answer, "state"), "NothingToDo");
    assert!(stage.server.branches().is_empty());
}

#[tokio::test]
async fn the_audit_line_is_on_disk_before_the_push() {
    let stage = Stage::web().await;
    stage.server.refuse_pushes(true);
    let answer = stage.ask(MEMORY, json!("512Mi")).await;
    assert!(answer.is_error && answer.text.contains("repository deploy"), "{}", answer.text);
    assert!(stage.server.branches().is_empty());

    let line = audit_lines(&stage).remove(0);
    assert_eq!(
        (line["action"].as_str(), line["caller"].as_str()),
        (Some("change/push"), Some("ann@example.com"))
    );
    let id = line["facts"]["change"].as_str().unwrap().to_owned();
    let failed = stage.changes.get(&caller(), &id).await;
    assert_eq!(field(&failed, "state"), "Failed");
    assert!(failed.text.contains("propose the same change again"), "{}", failed.text);

    // While the record cannot be written nothing is pushed, and what is pushed finds its line there already.
    stage.server.refuse_pushes(false);
    let path = stage.audit.path().to_owned();
    let (seen, then) = std::sync::mpsc::channel();
    stage.server.before_push(move || seen.send(fs::read_to_string(path).unwrap()).unwrap());
    let answer = stage.ask(MEMORY, json!("512Mi")).await;
    assert!(!answer.is_error, "{}", answer.text);
    let commit = field(&answer, "commit");
    assert!(then.recv().unwrap().contains(&commit), "the push came before its line");

    stage.audit.close().await.unwrap();
    let decisions: Vec<_> = audit_lines(&stage)
        .iter()
        .map(|l| format!("{} {}", l["action"].as_str().unwrap(), l["decision"].as_str().unwrap()))
        .collect();
    assert_eq!(
        decisions,
        [
            "change/push allowed",
            "change/pushed failed",
            "change/propose refused",
            "change/push allowed",
            "change/pushed done"
        ]
    );
    check(fs::read(stage.audit.path()).unwrap().as_slice()).unwrap();
    let refused = stage.ask(MEMORY, json!("2Gi")).await;
    assert!(refused.is_error && refused.text.contains("audit record"), "{}", refused.text);
    assert_eq!(stage.server.branches().len(), 1);
}

#[tokio::test]
async fn the_base_that_moves_meanwhile_is_read_again() {
    let stage = Stage::web().await;
    let bare = stage.server.bare();
    // Somebody takes the branch's name between our look and our push: we look again and find it.
    let id = field(&stage.ask(MEMORY, json!("512Mi")).await, "id");
    let branch = format!("pilothouse/{id}");
    let commit_id = stage.server.git(&["rev-parse", &branch]).trim().to_owned();
    stage.server.git(&["branch", "--quiet", "-D", &branch]);
    let name = format!("refs/heads/{branch}");
    let id = commit_id.clone();
    let at = bare.clone();
    stage.server.before_push(move || {
        crate::changes_git_server::git(&at, &["update-ref", &name, &id]);
    });
    let answer = stage.ask(MEMORY, json!("512Mi")).await;
    assert!(answer.text.starts_with("Already proposed"), "{}", answer.text);
    assert_eq!(stage.server.git(&["rev-parse", &branch]).trim(), commit_id);

    // A later change starts from what a person has put on main since.
    commit(&bare, &[("apps/web.yaml", &WEB.replace("replicas: 2", "replicas: 3"))], "More of them");
    let answer = stage.ask(MEMORY, json!("1Gi")).await;
    let file = stage.server.git(&["show", &format!("{}:apps/web.yaml", field(&answer, "branch"))]);
    assert!(file.contains("replicas: 3") && file.contains("memory: 1Gi"), "{file}");
}

#[tokio::test]
async fn a_base_that_moves_under_us_is_read_once_more_and_then_said() {
    let stage = Stage::web().await;
    let bare = stage.server.bare();
    let at = bare.clone();
    // The second look is the one just before the push: somebody has merged since the first.
    stage.server.before_look(move |look| {
        if look == 2 {
            commit(&at, &[("apps/web.yaml", &WEB.replace("replicas: 2", "replicas: 3"))], "More of them");
        }
    });
    let answer = stage.ask(MEMORY, json!("512Mi")).await;
    assert!(!answer.is_error, "{}", answer.text);
    let branch = field(&answer, "branch");
    let file = stage.server.git(&["show", &format!("{branch}:apps/web.yaml")]);
    assert!(file.contains("replicas: 3") && file.contains("memory: 512Mi"), "{file}");
    assert_eq!(
        stage.server.git(&["rev-parse", &format!("{branch}^")]),
        stage.server.git(&["rev-parse", "main"])
    );

    stage.server.before_look(move |look| {
        commit(&bare, &[("note.txt", &format!("{look}"))], "Busy day");
    });
    let answer = stage.ask(MEMORY, json!("1Gi")).await;
    assert!(answer.is_error && answer.text.contains("moved twice"), "{}", answer.text);
    assert_eq!(stage.server.branches(), [branch.as_str()]);
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
            ask(|p| p.edits[0].0 = "spec.template.spec.containers[name=db].image".into()).await,
            "name is one of web",
        ),
        (ask(|p| p.edits[0].0 = "spec.replicas.x".into()).await, "spec.replicas is a single value"),
        (ask(|p| p.edits[0].0 = "spec.x[0".into()).await, "at character 9"),
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
    let changes =
        ChangeRequests::new(ChangesConfig { repositories }, stage.data.path(), stage.audit.clone()).unwrap();
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
    let changes =
        ChangeRequests::new(ChangesConfig { repositories }, stage.data.path(), stage.audit.clone()).unwrap();
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
