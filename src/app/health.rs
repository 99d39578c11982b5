//! The second port: is the process alive, may traffic come, and how do the downstreams do.

use std::{fmt, sync::Arc, time::Instant};

use axum::{Router, extract::State as Shared, http::StatusCode, response::IntoResponse, routing::get};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tokio::sync::watch;

use crate::gateway::{Gateway, Kind, State};

/// Serves `/livez`, `/readyz` and `/metrics`. `ready` turns true once the fleet is known.
pub(super) fn router(gateway: Arc<Gateway>, ready: watch::Receiver<bool>) -> Router {
    let mut metrics = Registry::with_prefix("pilothouse");
    metrics.register_collector(Box::new(GatewayMetrics { gateway, started: Instant::now() }));
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(Health { metrics: Arc::new(metrics), ready })
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
        let kind = ConstGauge::new(0_i64).metric_type();
        let mut states = encoder.encode_descriptor(
            "downstream_ready",
            "1 when the downstream answered its last handshake",
            None,
            kind,
        )?;
        for (name, observation) in observations.iter() {
            let labels = [("namespace", name.namespace.as_str()), ("server", name.name.as_str())];
            let ready = ConstGauge::new(i64::from(observation.state == State::Ready));
            ready.encode(states.encode_family(&labels)?)?;
        }
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut calls =
            encoder.encode_descriptor("downstream_calls", "Requests sent to the downstream", None, kind)?;
        for (name, observation) in observations.iter() {
            let labels = [("namespace", name.namespace.as_str()), ("server", name.name.as_str())];
            ConstCounter::new(observation.calls).encode(calls.encode_family(&labels)?)?;
        }
        let mut errors = encoder.encode_descriptor(
            "downstream_errors",
            "Requests that the downstream failed to answer",
            None,
            kind,
        )?;
        for (name, observation) in observations.iter() {
            let labels = [("namespace", name.namespace.as_str()), ("server", name.name.as_str())];
            ConstCounter::new(observation.errors).encode(errors.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
