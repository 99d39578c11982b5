//! `--servers DIR` and the processes it runs: each manifest's own, whole groups, nothing left behind.

use std::{fs, path::Path};

use serde_json::json;

use crate::{
    bridge_process::{alive, descendants, state, until},
    fleet_gateway::{Fleet, processes_in},
    program::Served,
};

/// A server with one tool, `pid`, and a child that does not end by itself.
const SERVER: &str = r#"
sleep 600 &
while IFS= read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}\n' "$id" ;;
    *'"method":"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"pid","inputSchema":{"type":"object"}}]}}\n' "$id" ;;
    *'"method":"tools/call"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}\n' "$id" "$$" ;;
    *'"id":'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}\n' "$id" ;;
  esac
done
"#;

/// `word` makes the manifest another one.
fn write(folder: &Path, name: &str, word: &str) {
    let manifest = json!({
        "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer", "metadata": { "name": name },
        "spec": { "transport": "stdio", "command": ["sh", "server.sh"], "args": [word] },
    });
    fs::write(folder.join(format!("{name}.yaml")), manifest.to_string()).unwrap();
}

#[tokio::test]
async fn a_changed_manifest_restarts_its_own_process_alone_and_a_removed_one_takes_its_group_along() {
    let fleet = Fleet::start();
    let folder = fleet.folder.path();
    fs::write(folder.join("server.sh"), SERVER).unwrap();
    for name in ["one", "two"] {
        write(folder, name, "first");
    }
    let pid = async |tool: &str| fleet.call(tool, json!({})).await.and_then(|text| text.parse::<u64>().ok());
    until("both answer", async || pid("one_pid").await.is_some() && pid("two_pid").await.is_some()).await;
    let (one, two) = (pid("one_pid").await.unwrap(), pid("two_pid").await.unwrap());
    until("each has its child", async || processes_in(folder).len() == 4).await;

    write(folder, "one", "second");
    until("it is another process", async || pid("one_pid").await.is_some_and(|now| now != one)).await;
    until("the old one and its child have ended", async || {
        state(one).is_none() && processes_in(folder).len() == 4
    })
    .await;
    assert_eq!(pid("two_pid").await, Some(two), "the other one was left alone");

    fs::remove_file(folder.join("one.yaml")).unwrap();
    until("it and its child have ended", async || processes_in(folder).len() == 2).await;
    assert_eq!(pid("two_pid").await, Some(two));
    fleet.end().await;
}

/// 50 restarts of a server in the program itself.
#[tokio::test]
async fn restarts_leave_no_file_and_no_process_behind() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("server.sh"), SERVER).unwrap();
    write(folder.path(), "one", "0");
    let served = Served::start("serve", &["--servers", &folder.path().display().to_string()]).await;
    let program = u64::from(served.child.id());
    let another = async |than: u64| {
        let mut pid = than;
        until("another process answers", async || {
            let (text, is_error) = served.call("one_pid", json!({})).await;
            pid = if is_error { than } else { text.parse().unwrap() };
            pid != than
        })
        .await;
        pid
    };
    until("its tool is listed", async || served.tools().await.iter().any(|tool| tool == "one_pid")).await;
    let files = || fs::read_dir(format!("/proc/{program}/fd")).unwrap().count();
    let mut pid = another(0).await;
    let mut start = None;
    for word in 1..=50 {
        write(folder.path(), "one", &word.to_string());
        pid = another(pid).await;
        if word == 5 {
            until("only the new one runs", async || descendants(program).len() == 2).await;
            start = Some(files());
        }
    }
    until("only the last one and its child run", async || descendants(program).len() == 2).await;
    assert!(alive(pid));
    // A connection of ours may be about to close.
    until("its files are as many as before", async || Some(files()) <= start).await;
}
