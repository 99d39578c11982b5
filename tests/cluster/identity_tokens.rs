//! Who comes with a service account's token: the API server says who that is, and for whom the token is.

use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{client, installation, kubectl, namespace::Scratch, served::Served, wait::until};

const SOON: Duration = Duration::from_secs(20);
const OURS: &str = "identity: {serviceAccounts: {audience: [pilothouse]}}\n";

fn token(namespace: &str, account: &str, audience: Option<&str>) -> String {
    let audience = audience.map(|audience| format!("--audience={audience}"));
    let mut arguments = vec!["-n", namespace, "create", "token", account];
    arguments.extend(audience.as_deref());
    kubectl::run(&arguments).trim().to_owned()
}

fn account(namespace: &str, name: &str) {
    kubectl::run(&["-n", namespace, "create", "serviceaccount", name]);
}

fn post(served: &Served, body: &Value, token: &str) -> RequestBuilder {
    reqwest::Client::new()
        .post(served.mcp())
        .timeout(SOON)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .bearer_auth(token)
        .body(body.to_string())
}

fn initialize() -> Value {
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
}

/// Status, challenge and body of the answer to a first request.
async fn knock(served: &Served, token: &str) -> (StatusCode, String, String) {
    let answer = post(served, &initialize(), token).send().await.expect("an answer");
    let challenge = answer.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
    let challenge = challenge.unwrap_or_default().to_owned();
    (answer.status(), challenge, answer.text().await.expect("a body"))
}

#[tokio::test]
async fn an_account_comes_in_with_a_token_for_us_and_with_no_other() {
    let space = Scratch::new("door-tokens");
    let namespace = space.name();
    account(namespace, "bot");
    account(namespace, "gone");
    let served = Served::start(OURS, &[]).await;

    let ours = token(namespace, "bot", Some("pilothouse"));
    let (status, _, body) = knock(&served, &ours).await;
    assert_eq!(status, StatusCode::OK, "{body}");

    let of_gone = token(namespace, "gone", Some("pilothouse"));
    kubectl::run(&["-n", namespace, "delete", "serviceaccount", "gone"]);
    let (head, signature) = ours.rsplit_once('.').expect("a JWT");
    let tampered = format!("{head}.{}", signature.chars().rev().collect::<String>());
    for (what, token, says) in [
        ("for the API server", token(namespace, "bot", None), "--audience pilothouse"),
        ("for others", token(namespace, "bot", Some("other")), "not for the audience `pilothouse`"),
        ("of an account that is gone", of_gone, "does not accept the token"),
        ("tampered with", tampered, "does not accept the token"),
    ] {
        let (status, challenge, body) = knock(&served, &token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}: {body}");
        assert!(
            challenge.contains(r#"error="invalid_token""#) && challenge.contains(says),
            "{what}: {challenge}"
        );
        assert!(!served.said().contains(&token), "{what}: a token is in the log");
    }
    assert!(
        !served.said().contains(signature) && !served.kept().contains(signature),
        "a token was written down"
    );
}

#[tokio::test]
async fn the_cluster_is_read_as_the_account_and_a_newer_token_keeps_its_session() {
    installation::permissions();
    let space = Scratch::new("door-caller");
    let namespace = space.name();
    account(namespace, "bot");
    kubectl::run(&["-n", namespace, "create", "configmap", "there", "--from-literal=a=b"]);
    let bot = format!("--serviceaccount={namespace}:bot");
    for (role, everywhere) in [("view", false), ("pilothouse-observer", true)] {
        let role_flag = format!("--clusterrole={role}");
        let name = format!("{namespace}-{role}");
        let kind = if everywhere { "clusterrolebinding" } else { "rolebinding" };
        kubectl::run(&["-n", namespace, "create", kind, &name, &role_flag, &bot]);
    }
    let served = Served::start(OURS, &[]).await;
    let first = token(namespace, "bot", Some("pilothouse"));
    let arguments = json!({"kind": "configmaps", "namespace": namespace});
    let text = until("the account reads its namespace", SOON, || async {
        let call = json!({"name": "list_resources", "arguments": arguments});
        let answer = served.ask(Some(&first), "tools/call", call).await;
        let text = answer["result"]["content"][0]["text"].as_str()?.to_owned();
        text.contains("there").then_some(text)
    })
    .await;
    assert!(text.contains("there"));
    let elsewhere =
        json!({"name": "list_resources", "arguments": {"kind": "configmaps", "namespace": "kube-system"}});
    let answer = served.ask(Some(&first), "tools/call", elsewhere).await.to_string();
    assert!(!answer.contains("extension-apiserver-authentication"), "{answer}");
    // A read is on record within 200 ms of its call, or a little later on a busy machine.
    until("the caller is on record", SOON, || async {
        served.kept().contains(&format!("system:serviceaccount:{namespace}:bot")).then_some(())
    })
    .await;

    let opened = post(&served, &initialize(), &first).send().await.expect("an answer");
    let session = opened.headers()["mcp-session-id"].clone();
    let second = token(namespace, "bot", Some("pilothouse"));
    assert_ne!(first, second);
    let noted = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    for (message, token, status) in [
        (&noted, &first, StatusCode::ACCEPTED),
        (&list, &first, StatusCode::OK),
        (&list, &second, StatusCode::OK),
    ] {
        let request = post(&served, message, token).header("mcp-session-id", session.clone());
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status);
        let text = answer.text().await.expect("a body");
        assert!(!text.contains("another caller"), "{text}");
    }
    kubectl::run(&["delete", "clusterrolebinding", &format!("{namespace}-pilothouse-observer")]);
}

/// As in the cluster: pilothouse's own account, acting as the viewer.
#[tokio::test]
async fn the_installed_viewer_may_ask_for_a_review_and_the_operator_may_not() {
    installation::permissions();
    let space = Scratch::new("door-review");
    account(space.name(), "bot");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token(space.name(), "bot", Some("pilothouse")), "audiences": ["pilothouse"]}});
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let own = token("pilothouse", "pilothouse", None);
    let ask = async |headers: &[(&'static str, &'static str)]| {
        let mut config = client::config().await;
        config.auth_info = serde_json::from_value(json!({ "token": own })).expect("a token");
        for (name, value) in headers {
            let name = http::HeaderName::from_static(name);
            config.headers.push((name, http::HeaderValue::from_static(value)));
        }
        let client = kube::Client::try_from(config).expect("a client");
        let request = http::Request::builder().method(Method::POST).uri(path);
        let request =
            request.header("content-type", "application/json").body(review.to_string().into_bytes());
        client.request::<Value>(request.expect("a request")).await
    };
    let as_viewer = [
        ("impersonate-user", "system:serviceaccount:pilothouse:pilothouse-viewer"),
        ("impersonate-extra-pilothouse.dev%2fvia", "reader"),
    ];
    // The API server learns of a new role binding a moment later.
    let answer = until("the viewer may review tokens", SOON, || async { ask(&as_viewer).await.ok() }).await;
    assert_eq!(answer["status"]["authenticated"], true, "{answer}");
    assert_eq!(answer["status"]["audiences"], json!(["pilothouse"]), "{answer}");
    let refused = ask(&[]).await.expect_err("the operator reviews no tokens").to_string();
    assert!(refused.contains("tokenreviews"), "{refused}");
}
