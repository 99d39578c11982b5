//! What a Prometheus can do wrong, from a server that does it; the real one is asked in tests/cluster/metrics.rs.

use std::sync::Arc;

use pilothouse::{
    answer::Answer,
    caller::Caller,
    cluster::Reader,
    metrics::{Backend, MetricsConfig},
    tools::{Metrics, Parts, Toolbox, standard},
};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use crate::recorded_shop::{call, parts, shop};

fn backend(config: Value) -> Result<Option<Backend>, String> {
    let config: MetricsConfig = serde_json::from_value(config).map_err(|error| error.to_string())?;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Backend::new(&config).map_err(|error| error.to_string())
}

fn tools(config: Value, reader: Reader) -> Toolbox {
    let backend = backend(config).unwrap().unwrap();
    standard(Parts { metrics: Some(Arc::new(backend) as Arc<dyn Metrics>), ..parts(reader) })
}

async fn ask(tools: &Toolbox, arguments: Value) -> Answer {
    call(tools, &Caller::process(), "query_metrics", arguments).await
}

async fn answering(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(template).mount(&server).await;
    server
}

#[tokio::test]
async fn each_failure_is_one_sentence_that_says_what_to_do() {
    for (template, told) in [
        (ResponseTemplate::new(401), "does not accept our credentials (401): check `tokenFile`"),
        (
            ResponseTemplate::new(502).set_body_string("<html>"),
            "cannot be reached (it answers 502 Bad Gateway)",
        ),
        (ResponseTemplate::new(200).set_body_string("<html>"), "is not what its API promises"),
        (ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:1/"), "it answers 302 Found"),
        (
            ResponseTemplate::new(200).set_body_bytes(vec![b' '; 17 << 20]),
            "answers more than 16 MB: aggregate",
        ),
        (
            ResponseTemplate::new(422)
                .set_body_json(json!({ "status": "error", "error": "query timed out" })),
            "Prometheus refuses the query: query timed out",
        ),
    ] {
        let server = answering(template).await;
        let tools = tools(json!({ "prometheus": { "url": server.uri() } }), shop());
        let answer = ask(&tools, json!({ "query": "up" })).await;
        assert!(answer.is_error && answer.text.contains(told), "{}", answer.text);
        assert_eq!(answer.text.lines().count(), 1, "{}", answer.text);
    }
    let tools = tools(json!({ "prometheus": { "url": "http://127.0.0.1:1" } }), shop());
    let answer = ask(&tools, json!({ "query": "up" })).await;
    assert!(
        answer.text.contains("http://127.0.0.1:1 cannot be reached (Connection refused"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn the_token_is_read_anew_and_the_path_is_kept() {
    let server = MockServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    for (word, value) in [("first", "1"), ("second", "2")] {
        let body = json!({ "status": "success", "data": { "resultType": "scalar", "result": [1, value] } });
        Mock::given(path("/prom/api/v1/query"))
            .and(header("authorization", format!("Bearer {word}").as_str()))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&server)
            .await;
    }
    let config = json!({ "prometheus": { "url": format!("{}/prom", server.uri()), "tokenFile": token } });
    let tools = tools(config, shop());
    for (word, value) in [("first\n", "VALUE\n1\n"), ("second", "VALUE\n2\n")] {
        std::fs::write(&token, word).unwrap();
        let answer = ask(&tools, json!({ "query": "scalar(up)" })).await;
        assert!(answer.text.contains(value), "{}", answer.text);
    }
    std::fs::remove_file(&token).unwrap();
    let answer = ask(&tools, json!({ "query": "scalar(up)" })).await;
    assert!(
        answer.is_error && answer.text.contains("token file") && !answer.text.contains("second"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn what_is_shown_holds_no_secret_and_no_invisible_text() {
    let labels = json!({ "url": "https://user:hunter22@db.test/", "note": "fine\u{202e}\u{7}\nnew line" });
    let body = json!({ "status": "success", "data": { "resultType": "vector", "result": [{ "metric": labels, "value": [1, "1"] }] } });
    let server = answering(ResponseTemplate::new(200).set_body_json(body)).await;
    let tools = tools(json!({ "prometheus": { "url": server.uri() } }), shop());
    let text = ask(&tools, json!({ "query": "up" })).await.text;
    assert!(!text.contains("hunter22") && !text.contains('\u{202e}') && !text.contains('\u{7}'), "{text}");
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[tokio::test]
async fn wrong_arguments_and_wrong_configurations_are_told() {
    let tools = tools(json!({ "prometheus": { "url": "http://127.0.0.1:1" } }), shop());
    for (arguments, told) in [
        (json!({}), "needs `query`"),
        (json!({ "query": "up", "at": "yesterday" }), "`at` must be a time like"),
        (json!({ "query": "up", "step": "1m" }), "`step` is for a `range`"),
        (json!({ "query": "up", "range": "2d", "step": "1m" }), "more than 120 steps"),
        (json!({ "query": "up", "range": "-1h" }), "write it as 30m"),
        (json!({ "query": "up", "namespace": "shopp" }), "nearest: shop"),
        (json!({ "query": "up", "namespace": "a\"} or up{b=\"" }), "cannot be the name of a namespace"),
    ] {
        let answer = ask(&tools, arguments).await;
        assert!(answer.is_error && answer.text.contains(told), "{}", answer.text);
    }
    for (config, told) in [
        (
            json!({ "alertmanager": { "url": "http://a.test" } }),
            "`metrics.alertmanager` needs `metrics.prometheus`",
        ),
        (json!({ "prometheus": { "url": "ftp://a.test" } }), "must begin with http:// or https://"),
        (json!({ "prometheus": { "url": "http://u:hunter22@a.test" } }), "hold no password"),
        (
            json!({ "prometheus": { "url": "http://a.test", "caFile": "/no/such" } }),
            "it must hold certificates as PEM",
        ),
        (json!({ "prometheus": { "url": "http://a.test", "namespaceLabel": "a b" } }), "is no label"),
        (json!({ "prometheus": { "url": "http://a.test", "token": "x" } }), "unknown field"),
    ] {
        let Err(refused) = backend(config) else { panic!("{told}") };
        assert!(refused.contains(told) && !refused.contains("hunter22"), "{refused}");
    }
    assert!(backend(json!({})).unwrap().is_none());
}
