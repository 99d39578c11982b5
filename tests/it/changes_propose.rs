//! From the proposal to the branch in a real repository over HTTP, read back with git.

use std::fs;

use pilothouse::{
    audit::{Audit, check},
    tools::Changes,
};
use serde_json::json;

use crate::{
    audit_verify::proven,
    changes_git_server::commit,
    changes_stage::{MEMORY, Stage, WEB, audit_lines, caller, field, open, proposal},
};

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
    // The commit is a witness of the record.
    let anchor = stage.server.git(&["log", "-1", "--format=%(trailers:key=Audit-Checkpoint)", &branch]);
    let record = stage.audit.path().to_str().unwrap();
    assert!(proven(&["--anchor", anchor.trim(), record]).contains("it contains 1 anchor"), "{anchor}");

    // The working folders are gone; the records outlive a restart.
    let left: Vec<_> =
        fs::read_dir(stage.data.path().join("changes")).unwrap().map(|e| e.unwrap().file_name()).collect();
    let mut left: Vec<_> = left.into_iter().filter(|name| !name.to_string_lossy().starts_with('.')).collect();
    left.sort();
    assert_eq!(left, [format!("{}.yaml", field(&answer, "id")).as_str()]);
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
    assert!(
        answer.text.starts_with("Kept as") && answer.text.contains("repository deploy"),
        "{}",
        answer.text
    );
    assert!(stage.server.branches().is_empty());

    let line = audit_lines(&stage).remove(0);
    assert_eq!(
        (line["action"].as_str(), line["caller"].as_str()),
        (Some("change/push"), Some("ann@example.com"))
    );
    let id = line["facts"]["change"].as_str().unwrap().to_owned();
    let kept = stage.changes.get(&caller(), &id).await;
    assert_eq!(field(&kept, "state"), "Drafted");
    assert!(kept.text.contains("goes on by itself"), "{}", kept.text);

    // While the record cannot be written nothing is pushed, and what is pushed finds its line there already.
    stage.server.refuse_pushes(false);
    let path = stage.audit.path().to_owned();
    let (seen, then) = std::sync::mpsc::channel();
    stage.server.before_push(move || seen.send(fs::read_to_string(path).unwrap()).unwrap());
    let answer = stage.ask(MEMORY, json!("512Mi")).await;
    assert!(!answer.is_error, "{}", answer.text);
    let lines = then.recv().unwrap();
    let pushes = lines.lines().filter(|line| line.contains("\"change/push\"") && line.contains(&id)).count();
    assert_eq!(pushes, 2, "the push came before its line:\n{lines}");

    stage.audit.close().await.unwrap();
    let decisions: Vec<_> = audit_lines(&stage)
        .iter()
        .map(|l| format!("{} {}", l["action"].as_str().unwrap(), l["decision"].as_str().unwrap()))
        .collect();
    assert_eq!(
        decisions,
        ["change/push allowed", "change/pushed failed", "change/push allowed", "change/pushed done"]
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
