//! Bad input: one clear sentence that names what and where and what to do; nothing else stops working.

use std::{net::TcpListener, process::Stdio};

use serde_json::json;

use crate::program::{Piped, Served, command};

/// What the program writes to stderr when it is started so, which must fail without a word on stdout.
fn refused(arguments: &[&str]) -> String {
    let data = tempfile::tempdir().unwrap();
    let ended = command(data.path()).args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success(), "{arguments:?} was accepted: {said}");
    assert!(ended.stdout.is_empty(), "stdout belongs to the protocol");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(&["serve", "--http", &address]);
    assert!(said.contains(&address) && said.contains("--http"), "{said}");
}

#[test]
fn a_kubeconfig_that_points_nowhere_is_named() {
    let said = refused(&["serve", "--kubeconfig", "/no/such/kubeconfig"]);
    assert!(said.contains("/no/such/kubeconfig") && said.contains("--kubeconfig"), "{said}");
}

#[test]
fn an_open_address_needs_a_token_or_a_word() {
    let said = refused(&["serve", "--http", "0.0.0.0:0"]);
    assert!(said.contains("--token-file") && said.contains("--allow-anonymous"), "{said}");
}

#[test]
fn a_mistake_in_the_configuration_is_shown_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "answers:\n  budget: 8000\n  bugdet: 1\n").unwrap();
    let said = refused(&["serve", "--config", &file.display().to_string()]);
    assert!(said.contains("config.yaml") && said.contains("bugdet") && said.contains("line 3"), "{said}");
}

#[test]
fn a_folder_that_is_no_recording_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let said = refused(&["serve", "--snapshot", &path]);
    assert!(said.contains(&path) && said.contains("pilothouse snapshot"), "{said}");
}

#[test]
fn without_a_cluster_tools_say_how_to_give_one() {
    let mut program = Piped::start(&[]);
    let answer = program.ask("tools/call", json!({"name": "cluster_overview", "arguments": {}}));
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("KUBECONFIG") && text.contains("--snapshot"), "{text}");
}

#[test]
fn a_cluster_that_refuses_is_said_by_the_tool_and_serving_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    // Nobody listens on port 1.
    std::fs::write(
        &file,
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
         contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]\n",
    )
    .unwrap();
    let mut program = Piped::start(&["--kubeconfig", &file.display().to_string()]);
    let answer = program.ask("tools/call", json!({"name": "list_kinds", "arguments": {}}));
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("127.0.0.1:1"), "{answer}");
    assert!(program.ask("tools/list", json!({}))["result"]["tools"].is_array());
}

#[test]
fn unknown_tools_and_arguments_are_told_what_there_is() {
    let mut program = Piped::start(&[]);
    let answer = program.ask("tools/call", json!({"name": "cluster_overveiw"}));
    assert!(answer["error"]["message"].as_str().unwrap().contains("cluster_overview"), "{answer}");
    let wrong = json!({"name": "get_logs", "arguments": {"namespce": "web"}});
    let answer = program.ask("tools/call", wrong);
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("`namespce`") && text.contains("namespace,"), "{text}");
}

#[test]
fn a_name_of_megabytes_is_refused_and_the_record_can_be_opened_again() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().display().to_string();
    for _ in 0..2 {
        let mut program = Piped::start(&["--data", &folder]);
        for name in ["x".repeat(5_000_000), "x".repeat(4_000)] {
            let answer = program.ask("tools/call", json!({"name": name}));
            assert!(answer["error"]["message"].is_string(), "{answer}");
        }
        let arguments = json!({"kind": "x".repeat(5_000_000)});
        let answer = program.ask("tools/call", json!({"name": "list_resources", "arguments": arguments}));
        assert_eq!(answer["result"]["isError"], true);
    }
}

#[tokio::test]
async fn a_malformed_manifest_is_reported_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.yaml"), "kind: MCPServer\nspec: {imagee: x\n").unwrap();
    for file in ["notes.yaml", "notes.sh", "mcp.sh"] {
        let from = format!("{}/examples/servers/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(from, folder.path().join(file)).unwrap();
    }
    let served = Served::start("serve", &["--servers", &folder.path().display().to_string()]).await;
    served.until_listed(&["notes_list"]).await;
    assert!(served.said().contains("bad.yaml"), "{}", served.said());
}
