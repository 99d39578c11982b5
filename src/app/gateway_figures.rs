//! The gateway's numbers for /metrics, read at scrape time, so nothing has to be counted twice.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::ConstCounter, exemplar::Exemplar, gauge::ConstGauge},
};

use crate::gateway::{
    Circuit, Figures, Gateway, Kind, Latency, Observation, ServerName, State, figures::BOUNDS,
};

pub(super) struct GatewayFigures {
    gateway: Arc<Gateway>,
    started: Instant,
}

impl GatewayFigures {
    pub(super) fn of(gateway: Arc<Gateway>) -> Self {
        Self { gateway, started: Instant::now() }
    }
}

impl fmt::Debug for GatewayFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayFigures")
    }
}

impl Collector for GatewayFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let uptime = ConstGauge::new(self.started.elapsed().as_secs_f64());
        uptime.encode(encoder.encode_descriptor(
            "uptime_seconds",
            "Seconds since the process started",
            None,
            uptime.metric_type(),
        )?)?;

        let catalogue = self.gateway.catalogue();
        let tools = ConstGauge::new(whole(catalogue.of_kind(Kind::Tool).count()));
        tools.encode(encoder.encode_descriptor(
            "catalogue_tools",
            "Tools in the catalogue, ours and the downstreams'",
            None,
            tools.metric_type(),
        )?)?;

        let observations = self.gateway.observations().borrow().clone();
        let figures = self.gateway.figures();
        observed(&mut encoder, &observations)?;
        counted(&mut encoder, &figures)?;
        states(&mut encoder, &observations, &figures)
    }
}

fn observed(
    encoder: &mut DescriptorEncoder<'_>,
    observations: &BTreeMap<ServerName, Observation>,
) -> Result<(), fmt::Error> {
    let (gauge, counter) = (MetricType::Gauge, MetricType::Counter);
    let help = "1 when the downstream answered its last handshake";
    family(encoder, ("downstream_ready", help, gauge), observations, |seen| {
        Some(ConstGauge::new(i64::from(seen.state == State::Ready)))
    })?;
    let help = "Requests sent to the downstream";
    family(encoder, ("downstream_calls", help, counter), observations, |seen| {
        Some(ConstCounter::new(seen.calls))
    })?;
    let help = "Requests that the downstream failed to answer";
    family(encoder, ("downstream_errors", help, counter), observations, |seen| {
        Some(ConstCounter::new(seen.errors))
    })?;
    let help = "Tools that are not defined as they were when the downstream was registered";
    family(encoder, ("downstream_changed_tools", help, gauge), observations, |seen| {
        Some(ConstGauge::new(whole(seen.changed.len())))
    })?;
    let help = "Tools that are not shown since their definitions are suspicious";
    family(encoder, ("downstream_quarantined_tools", help, gauge), observations, |seen| {
        Some(ConstGauge::new(whole(seen.quarantined.len())))
    })
}

fn counted(
    encoder: &mut DescriptorEncoder<'_>,
    figures: &BTreeMap<ServerName, Figures>,
) -> Result<(), fmt::Error> {
    let gauge = MetricType::Gauge;
    let help = "Connections to the downstream that are open";
    family(encoder, ("downstream_connections", help, gauge), figures, |now| {
        Some(ConstGauge::new(whole(now.connections)))
    })?;
    let help = "Client sessions whose calls go over these connections";
    family(encoder, ("downstream_sessions", help, gauge), figures, |now| {
        Some(ConstGauge::new(whole(now.sessions)))
    })?;
    let help = "Seconds since the lists of the downstream were read";
    let now = Timestamp::now();
    family(encoder, ("downstream_catalogue_age_seconds", help, gauge), figures, |figures| {
        let age = now.duration_since(figures.listed?);
        Some(ConstGauge::new(age.as_secs_f64().max(0.0)))
    })?;
    let help = "Seconds until the downstream had answered, waiting for a turn included";
    family(encoder, ("downstream_call_seconds", help, MetricType::Histogram), figures, |now| {
        Some(Histogram(&now.latency))
    })
}

/// One series for each state, 1 for the one that it is in.
fn states(
    encoder: &mut DescriptorEncoder<'_>,
    observations: &BTreeMap<ServerName, Observation>,
    figures: &BTreeMap<ServerName, Figures>,
) -> Result<(), fmt::Error> {
    let help = "1 for the state that the downstream is in";
    let mut family = encoder.encode_descriptor("downstream_state", help, None, MetricType::Gauge)?;
    for (server, observation) in observations {
        let now = state(&observation.state, figures.get(server).map(|figures| &figures.circuit));
        for state in STATES {
            let labels = [
                ("namespace", server.namespace.as_str()),
                ("server", server.name.as_str()),
                ("state", state),
            ];
            ConstGauge::new(i64::from(state == now)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

const STATES: [&str; 7] =
    ["connecting", "ready", "degraded", "open-circuit", "asleep", "unreachable", "prefix-taken"];

fn state(state: &State, circuit: Option<&Circuit>) -> &'static str {
    match (state, circuit) {
        (State::Ready, Some(Circuit::Open { .. })) => "open-circuit",
        (State::Ready, Some(Circuit::Degraded { .. })) => "degraded",
        (State::Ready, Some(Circuit::Closed) | None) => "ready",
        (State::Connecting, _) => "connecting",
        (State::Asleep, _) => "asleep",
        (State::Unreachable { .. }, _) => "unreachable",
        (State::PrefixTaken { .. }, _) => "prefix-taken",
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// By bucket; ours have none.
type Exemplars = HashMap<usize, Exemplar<[(&'static str, &'static str); 0], f64>>;

struct Histogram<'a>(&'a Latency);

impl EncodeMetric for Histogram<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let Self(latency) = self;
        let ends = BOUNDS.iter().map(|bound| f64::from(*bound) / 1000.0).chain([f64::INFINITY]);
        // The encoder adds them up.
        let buckets: Vec<(f64, u64)> = ends.zip(latency.buckets).collect();
        let exemplars: Option<&Exemplars> = None;
        encoder.encode_histogram(latency.total.as_secs_f64(), latency.count(), &buckets, exemplars)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// One metric (its name, help and type) of all downstreams of which there is something to say.
fn family<'a, T, M: EncodeMetric + 'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, MetricType),
    all: &'a BTreeMap<ServerName, T>,
    value: impl Fn(&'a T) -> Option<M>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (server, one) in all {
        let labels = [("namespace", server.namespace.as_str()), ("server", server.name.as_str())];
        if let Some(value) = value(one) {
            value.encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
