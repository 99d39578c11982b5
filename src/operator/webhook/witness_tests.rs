//! Both doors as they are over the wire.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Posted, Witness, router};
use crate::operator::webhook::LARGEST;

/// Admits `Bearer t` and remembers what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<Bytes>>);

impl Witness for Told {
    fn question(&self, body: Bytes) {
        self.0.lock().unwrap().push(body);
    }

    fn admits(&self, authorization: Option<&str>) -> Posted {
        if authorization == Some("Bearer t") { Posted::Taken } else { Posted::Refused }
    }

    fn events(&self, body: Bytes) -> Posted {
        if body.is_empty() {
            return Posted::Full;
        }
        self.0.lock().unwrap().push(body);
        Posted::Taken
    }
}

async fn send(router: &Router, path: &str, token: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let request = Request::post(path).header("authorization", token).body(body.into()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn whatever_the_api_server_asks_is_allowed_and_told() {
    let told = Arc::new(Told::default());
    let router = router(told.clone());
    let review = json!({"kind": "AdmissionReview", "request": {"uid": "r1", "operation": "DELETE", "userInfo": {"username": "ann"}}});
    let (status, said) = send(&router, "/witness", "", review.to_string()).await;
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &answer["response"]), (StatusCode::OK, &json!({"uid": "r1", "allowed": true})));
    assert_eq!(told.0.lock().unwrap().as_slice(), [Bytes::from(review.to_string())]);
    assert_eq!(send(&router, "/witness", "", "hello").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(send(&router, "/witness", "", " ".repeat(LARGEST + 1)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(told.0.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn audit_events_are_taken_from_whoever_has_the_token() {
    let told = Arc::new(Told::default());
    let router = router(told.clone());
    for (token, body, expected) in [
        ("", "x", StatusCode::UNAUTHORIZED),
        ("Bearer u", "x", StatusCode::UNAUTHORIZED),
        ("Bearer t", "x", StatusCode::OK),
        ("Bearer t", "", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let (status, said) = send(&router, "/audit-events", token, body).await;
        assert_eq!(status, expected, "{token}: {said}");
    }
    let (status, _) = send(&router, "/audit-events", "Bearer t", " ".repeat(super::LARGEST_POST + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(told.0.lock().unwrap().len(), 1);
}
