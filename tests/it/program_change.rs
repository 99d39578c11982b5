//! From the tool call to the branch: a real bare repository behind `git http-backend`.

use serde_json::json;

use crate::{changes_git_server::GitServer, program::Served};

const WEB: &str = "# The shop's front.\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  replicas: 2   # enough\n";

#[tokio::test]
async fn a_tool_call_becomes_a_branch_and_nothing_else_changes() {
    let git = GitServer::start(&[("apps/web.yaml", WEB)]).await;
    let token = git.folder.path().join("token");
    std::fs::write(&token, &git.token).unwrap();
    let config = git.folder.path().join("config.yaml");
    let text = format!(
        "changes:\n  repositories:\n    - {{name: deploy, url: '{}', tokenFile: '{}'}}\n",
        git.url(),
        token.display()
    );
    std::fs::write(&config, text).unwrap();
    let served = Served::start("serve", &["--config", &config.display().to_string()]).await;
    served.until_listed(&["propose_change", "get_change", "list_changes"]).await;

    let change = json!({
        "kind": "Deployment", "namespace": "shop", "name": "web",
        "edits": {"spec.replicas": 3}, "reason": "Two were not enough at noon."
    });
    let (answer, error) = served.call("propose_change", change.clone()).await;
    assert!(!error, "{answer}");
    assert!(
        answer.contains("-  replicas: 2   # enough") && answer.contains("+  replicas: 3   # enough"),
        "{answer}"
    );
    let branches = git.branches();
    assert_eq!(branches.len(), 1, "{branches:?}");
    let pushed = git.git(&["show", &format!("{}:apps/web.yaml", branches[0])]);
    assert_eq!(pushed, WEB.replace("replicas: 2", "replicas: 3"));
    assert!(git.git(&["log", "-1", "--format=%B", &branches[0]]).contains("Two were not enough at noon."));

    let (again, error) = served.call("propose_change", change).await;
    assert!(!error, "{again}");
    assert_eq!(git.branches(), branches, "asked twice it is the same change");
    let (listed, _) = served.call("list_changes", json!({})).await;
    assert!(listed.contains("Deployment") && listed.contains("web"), "{listed}");

    let record = std::fs::read_to_string(served.data.path().join("audit/audit.jsonl")).unwrap();
    assert!(record.contains("propose_change"), "{record}");
    assert!(!record.contains(&git.token) && !served.said().contains(&git.token), "a token was written down");
}
