//! The official conformance suite: against a server that is not ours, directly and through the gateway, with the same
//! counts; against the program as it is shipped; and as the server of our own client. No failure is expected anywhere.

mod client;
mod content;
mod fixture;
mod questions;
mod suite;
mod tasks;

use std::{collections::BTreeSet, sync::Arc};

use pilothouse::{
    gateway::{Gateway, Kind, Prefix, wire::Era},
    mcp::HttpSettings,
    tools::Toolbox,
};
use rmcp::model::ProtocolVersion;

use crate::{
    gateway_support::at_url,
    program::Served as Program,
    stage::{Served, Stage, soon},
};
use fixture::Fixture;
use suite::{Outcome, Suite};

async fn fixture() -> Fixture {
    Fixture::serve(ProtocolVersion::V_2026_07_28).await
}

/// Speaks no revision after 2025-11-25.
async fn legacy_fixture() -> Fixture {
    Fixture::serve(ProtocolVersion::V_2025_11_25).await
}

/// The program as it is shipped.
async fn production() -> (Program, String) {
    let program = Program::start("demo", &[]).await;
    let url = format!("{}/mcp", program.origin);
    (program, url)
}

/// The suite has no check of these yet: "pending subscriptions/listen rewrite".
const NOT_WRITTEN: [(&str, &str); 1] = [("server-tasks-status-notifications", "tasks-status-notifications")];

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
    assert_eq!((outcome.passed, outcome.failed), (197, 0), "{outcome}");
    assert_eq!(outcome.of("SKIPPED"), NOT_WRITTEN.into(), "{outcome}");
    assert!(outcome.exited_well, "{outcome}");
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

/// What of `server-stateless` asks for tools that only a fixture has.
const NEEDS_A_TOOL: [(&str, &str); 4] = [
    ("server-server-stateless", "sep-2575-http-server-no-independent-requests-on-stream"),
    ("server-server-stateless", "sep-2575-missing-capability-http-400"),
    ("server-server-stateless", "sep-2575-server-no-log-without-loglevel"),
    ("server-server-stateless", "sep-2575-server-rejects-undeclared-capability"),
];

#[tokio::test(flavor = "multi_thread")]
async fn production_is_stateless_in_the_modern_era() {
    let (_program, url) = production().await;
    let outcome = Suite::scenario("server-stateless", "2026-07-28").run(&url).await;
    assert_eq!(outcome.of("FAILURE"), NEEDS_A_TOOL.into(), "{outcome}");
    assert_eq!((outcome.passed, outcome.failed), (24, NEEDS_A_TOOL.len()), "{outcome}");
    assert!(!outcome.exited_well, "the suite does not say so: {outcome}");
}

/// The fixture as a downstream without a prefix.
async fn through_the_gateway(fixture: &Fixture) -> Served {
    let gateway = Arc::new(Gateway::new(Vec::new()));
    let mut downstream = at_url("fixture", &fixture.url);
    downstream.prefix = Prefix::parse("").unwrap();
    gateway.apply(downstream);
    let mut seen = gateway.catalogues();
    let listed = seen.wait_for(|catalogue| catalogue.of_kind(Kind::ResourceTemplate).next().is_some());
    soon("the fixture's lists", listed).await.unwrap();
    let catalogues = gateway.catalogues();
    let stage = Stage::over(gateway, Arc::new(Toolbox::default()), catalogues);
    Served::open(stage, HttpSettings::default()).await
}

/// The whole set, by way of the gateway: as many checks as the fixture passes by itself, and none failed.
async fn passes_on(revision: &str, fixture: Fixture, checks: usize) -> Outcome {
    let served = through_the_gateway(&fixture).await;
    let outcome = Suite::requirements(revision).run(&served.url).await;
    assert_eq!((outcome.passed, outcome.failed), (checks, 0), "{outcome}");
    assert!(outcome.exited_well, "{outcome}");
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_and_a_modern_server() {
    let outcome = passes_on("2026-07-28", fixture().await, 197).await;
    assert_eq!(outcome.of("SKIPPED"), NOT_WRITTEN.into(), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_and_a_modern_server() {
    passes_on("2025-11-25", fixture().await, 83).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_and_a_legacy_server() {
    passes_on("2025-11-25", legacy_fixture().await, 83).await;
}

/// The suite wants a question under the name that only a modern server can give it.
const UNNAMED: (&str, &str) =
    ("server-input-required-result-basic-elicitation", "sep-2322-elicitation-incomplete");
/// The suite answers a question before it was asked: a legacy server can be told the answer only when it asks.
const UNASKED: (&str, &str) =
    ("server-input-required-result-ignore-extra-params", "sep-2322-ignore-unexpected-params");
/// A legacy server has no tasks that a modern client could follow.
const NO_TASKS: [(&str, &str); 24] = [
    ("server-tasks-capability-negotiation", "sep-2663-tasks-methods-non-declaring"),
    ("server-tasks-capability-negotiation", "tasks-extension-advertised"),
    ("server-tasks-capability-negotiation", "tasks-per-request-meta-opt-in"),
    ("server-tasks-dispatch-and-envelope", "sep-2663-durable-create-strong-consistency"),
    ("server-tasks-dispatch-and-envelope", "sep-2663-tasks-get-invalid-task-id-32602"),
    ("server-tasks-dispatch-and-envelope", "tasks-result-type-complete-on-non-task-responses"),
    ("server-tasks-dispatch-and-envelope", "tasks-server-directed-creation-no-hint"),
    ("server-tasks-lifecycle", "sep-2663-cancel-ack-empty-result"),
    ("server-tasks-lifecycle", "sep-2663-result-type-task-on-create"),
    ("server-tasks-lifecycle", "sep-2663-tasks-get-status-completed"),
    ("server-tasks-lifecycle", "sep-2663-tasks-get-status-failed"),
    ("server-tasks-lifecycle", "sep-2663-tasks-get-status-working"),
    ("server-tasks-lifecycle", "sep-2663-tool-error-uses-completed-status"),
    ("server-tasks-lifecycle", "tasks-cancel-terminal-idempotent-ack"),
    ("server-tasks-mrtr-composition", "sep-2663-mrtr-synchronous-before-task-creation"),
    ("server-tasks-mrtr-input", "sep-2663-tasks-get-status-input-required"),
    ("server-tasks-mrtr-input", "tasks-mrtr-partial-fulfillment"),
    ("server-tasks-mrtr-input", "tasks-mrtr-tasks-update-resumes"),
    ("server-tasks-request-headers", "sep-2663-routing-headers-accepted-on-tasks-get"),
    ("server-tasks-request-headers", "sep-2663-server-rejects-mismatched-mcp-name-on-tasks-get"),
    ("server-tasks-request-state-removal", "tasks-request-state-removal-setup"),
    ("server-tasks-wire-fields", "tasks-no-early-ttl-expiry"),
    ("server-tasks-wire-fields", "tasks-no-related-task-meta-on-inlined-result"),
    ("server-tasks-wire-fields", "tasks-wire-field-renames"),
];

/// All that does not need a modern server.
#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_and_a_legacy_server() {
    let fixture = legacy_fixture().await;
    let served = through_the_gateway(&fixture).await;
    let outcome = Suite::requirements("2026-07-28").run(&served.url).await;
    let cannot_hold: BTreeSet<_> = NO_TASKS.into_iter().chain([UNNAMED]).collect();
    assert_eq!(outcome.of("FAILURE"), cannot_hold, "{outcome}");
    assert_eq!(outcome.of("WARNING"), [UNASKED].into(), "{outcome}");
    assert_eq!((outcome.passed, outcome.failed), (169, cannot_hold.len()), "{outcome}");
    // It scores the scenario of the unnamed question.
    assert!(!outcome.exited_well, "the suite does not say so: {outcome}");
}

/// Every scenario for clients, but for OAuth and skills: a gateway has neither towards its servers.
async fn our_client_passes(revision: &str, era: Era, scenarios: &[&str]) {
    let all = suite::client_scenarios(revision).await;
    let elsewhere = ["auth/", "sep-2640-"];
    let ours = all.iter().filter(|name| !elsewhere.iter().any(|beginning| name.starts_with(beginning)));
    assert_eq!(ours.map(String::as_str).collect::<BTreeSet<_>>(), scenarios.iter().copied().collect());
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
