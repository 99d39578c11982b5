//! The official conformance suite, against a fixture and against the production face, both on our transports.

mod client;
mod content;
mod fixture;
mod questions;
mod suite;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use pilothouse::{
    gateway::{
        Downstream, Gateway, Kind, Prefix, ServerName, Target, Terms, ToolPolicy, Transport, wire::Era,
    },
    mcp::{HttpSettings, Own},
    tools::Toolbox,
};

use crate::{
    program::Served as Program,
    stage::{Served, Stage, soon},
};
use suite::Suite;

async fn fixture() -> Served {
    let (own, catalogues) = fixture::Fixture::new();
    Served::open(Stage::new(Arc::new(own), catalogues), HttpSettings::default()).await
}

/// Speaks no revision after 2025-11-25.
async fn legacy_fixture() -> Served {
    let (own, catalogues) = fixture::Fixture::new();
    Served::legacy(Stage::new(Arc::new(own), catalogues), HttpSettings::default()).await
}

/// The program as it is shipped.
async fn production() -> (Program, String) {
    let program = Program::start("demo", &[]).await;
    let url = format!("{}/mcp", program.origin);
    (program, url)
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

/// Scenarios that need no fixture.
#[tokio::test(flavor = "multi_thread")]
async fn production_passes_what_needs_no_fixture() {
    let (_program, url) = production().await;
    let legacy = ["server-initialize", "ping", "tools-list", "resources-list", "prompts-list"];
    let legacy = legacy.iter().chain(&["dns-rebinding-protection", "server-session-lifecycle"]);
    let modern = ["tools-list", "resources-list", "prompts-list", "dns-rebinding-protection", "caching"];
    let modern = modern.iter().chain(&["server-sse-multiple-streams", "sep-2164-resource-not-found"]);
    let modern = modern.chain(&["input-required-result-unsupported-methods", "http-header-validation"]);
    let runs = legacy.map(|name| (name, "2025-11-25")).chain(modern.map(|name| (name, "2026-07-28")));
    for (scenario, revision) in runs {
        let outcome = Suite::scenario(scenario, revision).run(&url).await;
        assert!(outcome.exited_well && outcome.failed == 0 && outcome.passed > 0, "{scenario}: {outcome}");
    }
}

/// Of `server-stateless` only what needs a diagnostic tool may fail.
#[tokio::test(flavor = "multi_thread")]
async fn production_is_stateless_in_the_modern_era() {
    let (_program, url) = production().await;
    let outcome = Suite::scenario("server-stateless", "2026-07-28").run(&url).await;
    let needs_a_tool = |failure: &str| failure.contains("does not list the diagnostic tool");
    assert!(outcome.passed >= 20 && outcome.failures().all(needs_a_tool), "{outcome}");
}

/// The fixture as a downstream without a prefix.
async fn through_the_gateway(fixture: &Served) -> Served {
    let gateway = Arc::new(Gateway::new(Vec::new()));
    let catalogues = gateway.catalogues();
    gateway.apply(Downstream {
        name: ServerName { namespace: "default".to_owned(), name: "fixture".to_owned() },
        prefix: Prefix::parse("").unwrap(),
        created: Timestamp::UNIX_EPOCH,
        transport: Transport::StreamableHttp,
        target: Target::Url {
            url: fixture.url.parse().unwrap(),
            host_header: None,
            headers: Vec::new(),
            authorities: None,
        },
        tools: ToolPolicy::default(),
        terms: Terms::default(),
        call_timeout: Duration::from_secs(30),
    });
    let mut seen = catalogues.clone();
    let listed = seen.wait_for(|catalogue| catalogue.of_kind(Kind::ResourceTemplate).next().is_some());
    soon("the fixture's lists", listed).await.unwrap();
    let own: Arc<dyn Own> = Arc::new(Toolbox::default());
    Served::open(Stage::over(gateway, own, catalogues), HttpSettings::default()).await
}

/// The whole set, by way of the gateway: as many checks as the fixture passes by itself, and none failed that is scored.
async fn passes_on(revision: &str, fixture: Served, checks: usize) {
    let served = through_the_gateway(&fixture).await;
    let outcome = Suite::requirements(revision).run(&served.url).await;
    assert!(outcome.exited_well, "{outcome}");
    assert_eq!(outcome.passed, checks, "{outcome}");
    assert!(outcome.failures().all(|failure| failure.starts_with("server-tasks-")), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_and_a_modern_server() {
    passes_on("2026-07-28", fixture().await, 164).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_and_a_modern_server() {
    passes_on("2025-11-25", fixture().await, 83).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_and_a_legacy_server() {
    passes_on("2025-11-25", legacy_fixture().await, 83).await;
}

/// Two scenarios cannot hold here: the suite wants a question under the name that only a modern server can give it, and
/// one that looks at the capabilities in each request, which a legacy server does not see.
#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_and_a_legacy_server() {
    let fixture = legacy_fixture().await;
    let served = through_the_gateway(&fixture).await;
    let outcome = Suite::requirements("2026-07-28").run(&served.url).await;
    let not_there = [
        "server-tasks-",
        "server-input-required-result-basic-elicitation",
        "server-input-required-result-capability-check",
    ];
    let expected = |failure: &str| not_there.iter().any(|scenario| failure.starts_with(scenario));
    assert!(outcome.passed >= 160 && outcome.failures().all(expected), "{outcome}");
}

/// What of the client scenarios concerns a gateway's client.
async fn our_client_passes(revision: &str, era: Era, scenarios: &[&str]) {
    for scenario in scenarios {
        let outcome = client::scenario(scenario, revision, era).await;
        assert!(outcome.exited_well && outcome.failed == 0 && outcome.passed > 0, "{scenario}: {outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_passes_the_legacy_scenarios() {
    let scenarios = [
        "initialize",
        "tools_call",
        "elicitation-sep1034-client-defaults",
        "sse-retry",
        "json-schema-2020-12-preservation",
    ];
    our_client_passes("2025-11-25", Era::Legacy, &scenarios).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_passes_the_modern_scenarios() {
    let scenarios = [
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ];
    our_client_passes("2026-07-28", Era::Modern, &scenarios).await;
}
