//! The second port: is the process alive, may traffic come, how do the downstreams do, and which of them are used.

use std::sync::Arc;

use axum::{Json, Router, extract::State as Shared, http::StatusCode, response::IntoResponse, routing::get};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::sync::watch;

use super::{
    audit_figures::AuditFigures, capture::Captured, change_meters::ChangeMeters, emergency::Emergencies,
    gateway_figures::GatewayFigures, rejected_figures::RejectedFigures,
};
use crate::{
    audit::Audit,
    fleet::{USE_PATH, Usage},
    gateway::Gateway,
    mcp::Face,
    operator::Operator,
};

/// What tells of itself in `/metrics`, beside the gateway.
pub(super) struct Counted<'a> {
    pub(super) operator: Option<&'a Operator>,
    pub(super) audit: Audit,
    pub(super) changes: &'a ChangeMeters,
    pub(super) capture: Option<&'a Captured>,
    pub(super) emergencies: Option<&'a Emergencies>,
    pub(super) face: &'a Face,
}

/// Serves `/livez`, `/readyz`, `/metrics`, and `/use` for the replica that leads. `ready` turns true once the fleet is known.
pub(super) fn router(gateway: Arc<Gateway>, ready: watch::Receiver<bool>, counted: Counted<'_>) -> Router {
    let Counted { operator, audit, changes, capture, emergencies, face } = counted;
    let mut metrics = Registry::with_prefix("pilothouse");
    if let Some(operator) = operator {
        operator.metrics().register(&mut metrics, operator.leadership());
    }
    metrics.register_collector(Box::new(AuditFigures(audit)));
    changes.register(&mut metrics);
    if let Some(capture) = capture {
        capture.metrics().register(&mut metrics);
    }
    if let Some(emergencies) = emergencies {
        emergencies.meters().register(&mut metrics);
    }
    let shared = capture.map_or_else(Router::new, Captured::router);
    let used = gateway.clone();
    let rejected =
        RejectedFigures { clients: face.rejections().clone(), servers: gateway.rejections().clone() };
    metrics.register_collector(Box::new(rejected));
    metrics.register_collector(Box::new(GatewayFigures::of(gateway)));
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .route(USE_PATH, get(async move || Json(Usage::of(&used))))
        .with_state(Health { metrics: Arc::new(metrics), ready })
        .merge(shared)
}

#[derive(Clone)]
struct Health {
    metrics: Arc<Registry>,
    ready: watch::Receiver<bool>,
}

async fn readyz(Shared(health): Shared<Health>) -> impl IntoResponse {
    if *health.ready.borrow() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "waiting for the first list of MCPServers\n")
    }
}

async fn scrape(Shared(health): Shared<Health>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &health.metrics) {
        Ok(()) => (
            StatusCode::OK,
            [("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")],
            text,
        ),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [("content-type", "text/plain; charset=utf-8")],
            format!("metrics cannot be written: {error}\n"),
        ),
    }
}
