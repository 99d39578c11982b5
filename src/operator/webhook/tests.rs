//! Requests as they come over the wire, good and bad; the API server behind never answers.

#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};

use super::{DEADLINE, Desk, LARGEST, References, router};
use crate::operator::{OperatorSettings, mcp_server::Examiner};

fn webhook(policy: &str, deadline: Duration) -> Router {
    let silent = service_fn(|_: Request<kube::client::Body>| async {
        std::future::pending::<Result<Response<kube::client::Body>, Infallible>>().await
    });
    let client = Client::new(silent, "pilothouse");
    let settings = OperatorSettings {
        policy: Arc::new(serde_saphyr::from_str(policy).unwrap()),
        ..OperatorSettings::new("test", "pilothouse")
    };
    let examiner = Examiner::new(client, &settings, None);
    router(Desk { examiner, references: References::Warn }, None, deadline)
}

async fn ask(webhook: Router, method: &str, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    let response = webhook.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn review(image: &str) -> String {
    let kind = json!({"group": "pilothouse.dev", "version": "v1alpha1", "kind": "MCPServer"});
    let object = json!({
        "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer",
        "metadata": {"name": "demo", "uid": "u"}, "spec": {"image": image}});
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "r", "kind": kind, "name": "demo", "namespace": "a", "operation": "CREATE", "object": object},
    })
    .to_string()
}

#[tokio::test]
async fn a_bad_request_is_told_so_and_the_next_one_is_answered() {
    let webhook = webhook("{images: {requireTag: true}}", DEADLINE);
    let cases = [
        ("POST", "/validate", "not JSON".to_owned(), StatusCode::BAD_REQUEST),
        ("POST", "/validate", String::new(), StatusCode::BAD_REQUEST),
        ("POST", "/validate", "[".repeat(200_000), StatusCode::BAD_REQUEST),
        ("POST", "/validate", " ".repeat(LARGEST + 1), StatusCode::PAYLOAD_TOO_LARGE),
        ("GET", "/validate", String::new(), StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "/", review("a:1"), StatusCode::NOT_FOUND),
    ];
    for (method, path, body, expected) in cases {
        let (status, said) = ask(webhook.clone(), method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {said}");
    }
    let (status, said) = ask(
        webhook,
        "POST",
        "/validate",
        Body::from_stream(futures::stream::once(async {
            Err::<Vec<u8>, _>(std::io::Error::other("cut off"))
        })),
    )
    .await;
    assert!(status.is_client_error(), "{said}");
}

/// The API server waits 5 s for us.
#[tokio::test]
async fn the_policy_is_held_even_while_nothing_else_can_be_looked_at() {
    let webhook = webhook("{images: {requireTag: true}}", DEADLINE);
    let begun = Instant::now();
    let good = ask(webhook.clone(), "POST", "/validate", review("a:1"));
    let bad = ask(webhook, "POST", "/validate", review("a:latest"));
    let ((status, said), (_, refused)) = futures::future::join(good, bad).await;
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &answer["response"]), (StatusCode::OK, &json!({"uid": "r", "allowed": true})));
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    let answer: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(answer["response"]["status"]["details"]["causes"][0]["field"], "spec.image");
}

/// A body that never ends.
#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    let still = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let (status, _) = ask(webhook("{}", Duration::from_millis(50)), "POST", "/validate", still).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
}
