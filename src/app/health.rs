//! The second port: is the process alive, may traffic come, how do the downstreams do, and which of them are used.

use std::{fmt, sync::Arc, time::Instant};

use axum::{Json, Router, extract::State as Shared, http::StatusCode, response::IntoResponse, routing::get};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tokio::sync::watch;

use super::{audit_figures::AuditFigures, capture::Captured, emergency::Emergencies};
use crate::{
    audit::Audit,
    fleet::{USE_PATH, Usage},
    gateway::{Gateway, Kind, Observation, Observations, State},
    operator::Operator,
};

/// Serves `/livez`, `/readyz`, `/metrics`, and `/use` for the replica that leads. `ready` turns true once the fleet is known.
pub(super) fn router(
    gateway: Arc<Gateway>,
    ready: watch::Receiver<bool>,
    operator: Option<&Operator>,
    audit: Audit,
    capture: Option<&Captured>,
    emergencies: Option<&Emergencies>,
) -> Router {
    let mut metrics = Registry::with_prefix("pilothouse");
    if let Some(operator) = operator {
        operator.metrics().register(&mut metrics, operator.leadership());
    }
    metrics.register_collector(Box::new(AuditFigures(audit)));
    if let Some(capture) = capture {
        capture.metrics().register(&mut metrics);
    }
    if let Some(emergencies) = emergencies {
        emergencies.meters().register(&mut metrics);
    }
    let shared = capture.map_or_else(Router::new, Captured::router);
    let used = gateway.clone();
    metrics.register_collector(Box::new(GatewayMetrics { gateway, started: Instant::now() }));
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

/// Reads the gateway at scrape time, so nothing has to be counted twice.
struct GatewayMetrics {
    gateway: Arc<Gateway>,
    started: Instant,
}

impl fmt::Debug for GatewayMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayMetrics")
    }
}

impl Collector for GatewayMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let uptime = ConstGauge::new(self.started.elapsed().as_secs_f64());
        uptime.encode(encoder.encode_descriptor(
            "uptime_seconds",
            "Seconds since the process started",
            None,
            uptime.metric_type(),
        )?)?;

        let catalogue = self.gateway.catalogue();
        let tools = ConstGauge::new(i64::try_from(catalogue.of_kind(Kind::Tool).count()).unwrap_or(i64::MAX));
        tools.encode(encoder.encode_descriptor(
            "catalogue_tools",
            "Tools in the catalogue, ours and the downstreams'",
            None,
            tools.metric_type(),
        )?)?;

        let observations = self.gateway.observations().borrow().clone();
        let (gauge, counter) = (MetricType::Gauge, MetricType::Counter);
        let help = "1 when the downstream answered its last handshake";
        family(&mut encoder, ("downstream_ready", help, gauge), &observations, |seen| {
            ConstGauge::new(i64::from(seen.state == State::Ready))
        })?;
        let help = "Requests sent to the downstream";
        family(&mut encoder, ("downstream_calls", help, counter), &observations, |seen| {
            ConstCounter::new(seen.calls)
        })?;
        let help = "Requests that the downstream failed to answer";
        family(&mut encoder, ("downstream_errors", help, counter), &observations, |seen| {
            ConstCounter::new(seen.errors)
        })
    }
}

/// One metric (its name, help and type) of all downstreams.
fn family<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, MetricType),
    observations: &Observations,
    value: impl Fn(&Observation) -> M,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (server, observation) in observations.iter() {
        let labels = [("namespace", server.namespace.as_str()), ("server", server.name.as_str())];
        value(observation).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
