//! The official conformance suite, against a fixture and against the production face, both on our transports.

mod content;
mod fixture;
mod questions;
mod suite;

use std::sync::Arc;

use futures::future::BoxFuture;
use pilothouse::{
    answer::Answer,
    caller::Caller,
    gateway::Gateway,
    mcp::{self, HttpSettings},
    tools::{Tool, Toolbox},
};
use serde_json::{Value, json, value::RawValue};

use crate::stage::{Served, Stage};
use suite::Suite;

async fn fixture() -> Served {
    let (own, catalogues) = fixture::Fixture::new();
    Served::open(Stage::new(Arc::new(own), catalogues), HttpSettings::default()).await
}

/// The face as it is shipped, with one tool that needs no cluster.
async fn production() -> Served {
    let mut toolbox = Toolbox::default();
    toolbox.add(Box::new(Hello));
    let gateway = Gateway::new(mcp::own::entries(&toolbox));
    let catalogues = gateway.catalogues();
    Served::open(Stage::new(Arc::new(toolbox), catalogues), HttpSettings::default()).await
}

struct Hello;

impl Tool for Hello {
    fn definition(&self) -> Value {
        json!({
            "name": "hello", "description": "Says hello.",
            "inputSchema": { "type": "object", "additionalProperties": false }
        })
    }

    fn call<'a>(&'a self, _caller: &'a Caller, _arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        Box::pin(async { Answer::text("hello") })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fixture_passes_the_legacy_requirements() {
    let served = fixture().await;
    let outcome = Suite::requirements("2025-11-25").run(&served.url).await;
    assert_eq!((outcome.passed, outcome.failed), (83, 0), "{outcome}");
    assert!(outcome.exited_well, "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fixture_passes_the_modern_requirements() {
    let served = fixture().await;
    let outcome = Suite::requirements("2026-07-28").run(&served.url).await;
    assert!(outcome.exited_well, "{outcome}");
    assert_eq!(outcome.passed, 164, "{outcome}");
    // Not scored: the tasks extension, which pilothouse does not declare.
    assert!(outcome.failures().all(|failure| failure.starts_with("server-tasks-")), "{outcome}");
}

/// Scenarios that need no fixture, on a server with nothing of its own.
#[tokio::test(flavor = "multi_thread")]
async fn production_passes_what_needs_no_fixture() {
    let served = production().await;
    let legacy = ["server-initialize", "ping", "tools-list", "resources-list", "prompts-list"];
    let legacy = legacy.iter().chain(&["dns-rebinding-protection", "server-session-lifecycle"]);
    let modern = ["tools-list", "resources-list", "prompts-list", "dns-rebinding-protection", "caching"];
    let modern = modern.iter().chain(&["server-sse-multiple-streams", "sep-2164-resource-not-found"]);
    let modern = modern.chain(&["input-required-result-unsupported-methods", "http-header-validation"]);
    let runs = legacy.map(|name| (name, "2025-11-25")).chain(modern.map(|name| (name, "2026-07-28")));
    for (scenario, revision) in runs {
        let outcome = Suite::scenario(scenario, revision).run(&served.url).await;
        assert!(outcome.exited_well && outcome.failed == 0 && outcome.passed > 0, "{scenario}: {outcome}");
    }
}

/// Of `server-stateless` only what needs a diagnostic tool may fail.
#[tokio::test(flavor = "multi_thread")]
async fn production_is_stateless_in_the_modern_era() {
    let served = production().await;
    let outcome = Suite::scenario("server-stateless", "2026-07-28").run(&served.url).await;
    let needs_a_tool = |failure: &str| failure.contains("does not list the diagnostic tool");
    assert!(outcome.passed >= 20 && outcome.failures().all(needs_a_tool), "{outcome}");
}
