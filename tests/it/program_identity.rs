//! `identity` in the configuration file of the program itself; and that tokens leave no trace.

use std::fs;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    identity_issuer::{AUDIENCE, SigningKey, TestIssuer},
    program::{Served, command},
    stage::modern,
};

const MAPPED: &str = "mapped-7f3c9a51e2d84b60";

async fn call(served: &Served, token: &str) -> StatusCode {
    answer(served, token).await.0
}

/// Asks a tool that no cluster answers, so that whoever comes in gets the same. Status and body.
pub(crate) async fn answer(served: &Served, token: &str) -> (StatusCode, String) {
    let name = "cluster_overview";
    let request = reqwest::Client::new()
        .post(format!("{}/mcp", served.origin))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", name)
        .body(modern(1, "tools/call", json!({"name": name, "arguments": {"note": "none"}})));
    let answer = request.bearer_auth(token).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(!text.contains(token), "the answer repeats the token: {text}");
    (status, text)
}

#[tokio::test]
async fn tokens_let_in_and_are_written_down_nowhere() {
    let key = SigningKey::es256("key");
    let issuer = TestIssuer::start(&[&key]).await;
    let folder = tempfile::tempdir().unwrap();
    let (config, file) = (folder.path().join("config.yaml"), folder.path().join("token"));
    fs::write(&file, MAPPED).unwrap();
    let text = format!(
        "identity:\n  resource: https://pilothouse.example/mcp\n  oidc:\n    - {{issuer: '{}', audience: '{AUDIENCE}'}}\n  \
         tokens:\n    - {{user: build, groups: [team-a], tokenFile: '{}'}}\n",
        issuer.url,
        file.display()
    );
    fs::write(&config, text).unwrap();
    let served = Served::start("serve", &["--log", "trace", "--config", &config.display().to_string()]).await;

    let good = key.sign(&issuer.claims("ann"));
    let expired = key.sign(&issuer.claims_but("ann", json!({"exp": 1_700_000_000})));
    let wrong = "wrong-0c1d2e3f4a5b6c7d".to_owned();
    for (token, status) in [
        (MAPPED, StatusCode::OK),
        (&good, StatusCode::OK),
        (&expired, StatusCode::UNAUTHORIZED),
        (&wrong, StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(call(&served, token).await, status);
    }
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", served.origin);
    let document: Value = reqwest::get(metadata).await.unwrap().json().await.unwrap();
    assert_eq!(document["resource"], "https://pilothouse.example/mcp");

    // Calls are committed in groups a moment later.
    let begun = std::time::Instant::now();
    let audit = loop {
        let audit = fs::read_to_string(served.data.path().join("audit/audit.jsonl")).unwrap();
        if audit.contains(r#""build""#) && audit.contains("#ann") {
            break audit;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "callers are on record: {audit}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let metrics = reqwest::get(format!("{}/metrics", served.health)).await.unwrap().text().await.unwrap();
    let said = served.said();
    assert!(said.contains("a request was refused"), "{said}");
    for (place, text) in [("the log", &said), ("the audit record", &audit), ("the metrics", &metrics)] {
        for token in [MAPPED, &good, &expired, &wrong] {
            // A signature alone is as good as the token to whoever has the rest.
            let secret = token.rsplit('.').next().unwrap();
            assert!(!text.contains(secret), "a token is in {place}");
        }
    }
}

#[test]
fn a_mistake_in_identity_is_one_sentence_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    for (text, says) in [
        ("identity:\n  oidc:\n    - issuer: http://login.example\n      audience: a\n", "line 3"),
        ("identity:\n  serviceAccounts: {audiences: [a]}\n", "audiences"),
        ("identity:\n  serviceAccounts: {}\n", "identity.serviceAccounts needs a cluster"),
    ] {
        fs::write(&file, text).unwrap();
        let mut command = command(folder.path());
        command.args(["serve", "--http", "127.0.0.1:0", "--health", "127.0.0.1:0", "--config"]).arg(&file);
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(says), "{text}: {said}");
        assert!(said.lines().any(|line| line.starts_with("pilothouse: ")), "{said}");
    }
}
