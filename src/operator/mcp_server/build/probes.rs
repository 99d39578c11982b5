//! When a pod counts as ready. A server that listens itself is asked for no more than an open port: what it
//! answers is the gateway's handshake to judge. The bridge answers for itself.

use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, Probe, TCPSocketAction},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::pod::PORT_NAME;

/// Two minutes to open the port.
const START_SECONDS: i32 = 120;
/// Where the bridge answers.
const BRIDGE_HEALTH: &str = "/healthz";

pub(super) fn of_a_listener(container: &mut Container) {
    let open_port =
        Probe { tcp_socket: Some(TCPSocketAction { port: port(), host: None }), ..Probe::default() };
    container.startup_probe = Some(startup(&open_port));
    container.readiness_probe = Some(readiness(&open_port));
}

pub(super) fn of_the_bridge(container: &mut Container) {
    let healthy = Probe {
        http_get: Some(HTTPGetAction {
            path: Some(BRIDGE_HEALTH.to_owned()),
            port: port(),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        ..Probe::default()
    };
    container.startup_probe = Some(startup(&healthy));
    container.readiness_probe = Some(readiness(&healthy));
    container.liveness_probe = Some(Probe {
        period_seconds: Some(10),
        failure_threshold: Some(6),
        timeout_seconds: Some(5),
        ..healthy
    });
}

fn startup(how: &Probe) -> Probe {
    Probe {
        period_seconds: Some(1),
        failure_threshold: Some(START_SECONDS),
        timeout_seconds: Some(2),
        ..how.clone()
    }
}

fn readiness(how: &Probe) -> Probe {
    Probe { period_seconds: Some(5), failure_threshold: Some(3), timeout_seconds: Some(3), ..how.clone() }
}

fn port() -> IntOrString {
    IntOrString::String(PORT_NAME.to_owned())
}
