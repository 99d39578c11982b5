//! The official conformance suite, against a fixture and against the production face, both on our transports.

mod content;
mod fixture;
mod questions;
mod suite;

use std::sync::Arc;

use pilothouse::{
    audit::Audit,
    gateway::Gateway,
    mcp::{self, Face, HttpSettings, Own},
    tools::Toolbox,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use suite::Suite;

/// A face on a loopback port until it is dropped.
struct Served {
    url: String,
    stop: CancellationToken,
    _audit: tempfile::TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(make: impl FnOnce(Audit) -> Arc<Face>) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let face = make(Audit::open(folder.path()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = mcp::http::router(face, HttpSettings::default());
    let stop = CancellationToken::new();
    tokio::spawn(mcp::listener::serve(listener, router, stop.clone()));
    Served { url, stop, _audit: folder }
}

async fn fixture() -> Served {
    serve(|audit| {
        let (own, catalogues) = fixture::Fixture::new();
        Face::showing(catalogues, Arc::new(Gateway::new(Vec::new())), Arc::new(own), audit)
    })
    .await
}

async fn production() -> Served {
    serve(|audit| {
        let own: Arc<dyn Own> = Arc::new(Toolbox::default());
        Face::new(Arc::new(Gateway::new(Vec::new())), own, audit)
    })
    .await
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
