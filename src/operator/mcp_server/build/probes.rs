//! When a pod counts as ready. A server that listens itself is asked for no more than an open port: what it
//! answers is the gateway's handshake to judge. The bridge answers for itself. What the spec says of a probe wins.

use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, Probe, TCPSocketAction},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::pod::PORT_NAME;
use crate::api::{
    Span,
    mcp_server::{ProbeSpec, Probes},
};

/// Where the bridge answers.
const BRIDGE_HEALTH: &str = "/healthz";

/// Every so many seconds, for how long, how often in a row.
struct Pace {
    period: i32,
    timeout: i32,
    failures: i32,
}

/// Two minutes to open the port.
const STARTUP: Pace = Pace { period: 1, timeout: 2, failures: 120 };
const READINESS: Pace = Pace { period: 5, timeout: 3, failures: 3 };
const LIVENESS: Pace = Pace { period: 10, timeout: 5, failures: 6 };

pub(super) fn of_a_listener(container: &mut Container, declared: &Probes) {
    let Probes { startup, readiness, liveness } = declared;
    let open_port = tcp(None);
    container.startup_probe = probe(startup, &open_port, &STARTUP);
    container.readiness_probe = probe(readiness, &open_port, &READINESS);
    // A busy server still has an open port: its kernel answers for it.
    container.liveness_probe = probe(liveness, &open_port, &LIVENESS);
}

pub(super) fn of_the_bridge(container: &mut Container, declared: &Probes) {
    let Probes { startup, readiness, liveness } = declared;
    let healthy = http(BRIDGE_HEALTH, None);
    container.startup_probe = probe(startup, &healthy, &STARTUP);
    container.readiness_probe = probe(readiness, &healthy, &READINESS);
    container.liveness_probe = probe(liveness, &healthy, &LIVENESS);
}

fn probe(declared: &ProbeSpec, usual: &Probe, pace: &Pace) -> Option<Probe> {
    let ProbeSpec { disabled, path, tcp: by_tcp, port, period, timeout, failure_threshold } = declared;
    if *disabled {
        return None;
    }
    let how = match (path, by_tcp) {
        (Some(path), _) => http(path, *port),
        (None, true) => tcp(*port),
        (None, false) => match port {
            Some(port) => tcp(Some(*port)),
            None => usual.clone(),
        },
    };
    Some(Probe {
        period_seconds: Some(period.map_or(pace.period, seconds)),
        timeout_seconds: Some(timeout.map_or(pace.timeout, seconds)),
        failure_threshold: Some(failure_threshold.unwrap_or(pace.failures)),
        ..how
    })
}

/// At least one: an object from before the rule may say less.
fn seconds(span: Span) -> i32 {
    i32::try_from(span.duration().as_secs()).unwrap_or(i32::MAX).max(1)
}

fn tcp(at: Option<i32>) -> Probe {
    Probe { tcp_socket: Some(TCPSocketAction { port: port(at), host: None }), ..Probe::default() }
}

fn http(path: &str, at: Option<i32>) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: port(at),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        ..Probe::default()
    }
}

fn port(at: Option<i32>) -> IntOrString {
    at.map_or_else(|| IntOrString::String(PORT_NAME.to_owned()), IntOrString::Int)
}
