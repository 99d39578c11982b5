//! Who reaches the server, what it reaches, and what is measured of it.

use std::collections::BTreeMap;

use serde::Serialize;
use url::Url;

use super::InvalidSpec;
use crate::api::{
    Span,
    mcp_server::{Metrics, ServiceMonitorSpec, Tracing},
};

/// Where its metrics are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::operator::mcp_server) struct Measured {
    /// None: on the port of the server itself.
    pub port: Option<u16>,
    #[serde(skip)]
    pub path: String,
    #[serde(skip)]
    pub monitor: Option<Monitor>,
}

/// The ServiceMonitor that is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::operator::mcp_server) struct Monitor {
    pub path: String,
    pub interval: Span,
    pub labels: BTreeMap<String, String>,
    /// None: that of the server.
    pub namespace: Option<String>,
}

impl Measured {
    pub(super) fn of(metrics: &Metrics, server_port: u16) -> Result<Self, InvalidSpec> {
        let Metrics { port, path, interval, service_monitor } = metrics;
        let port = match port {
            Some(port) => Some(super::port("spec.observability.metrics.port", *port)?),
            None => None,
        };
        let monitor = service_monitor.as_ref().map(|ServiceMonitorSpec { labels, namespace }| Monitor {
            path: path.clone(),
            interval: *interval,
            labels: labels.clone(),
            namespace: namespace.clone(),
        });
        Ok(Self { port: port.filter(|port| *port != server_port), path: path.clone(), monitor })
    }
}

/// Where its traces go.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::operator::mcp_server) struct Traced {
    pub endpoint: Url,
    pub sampling: Option<f64>,
}

impl Traced {
    pub(super) fn of(tracing: &Tracing) -> Result<Self, InvalidSpec> {
        let Tracing { endpoint, sampling } = tracing;
        Ok(Self { endpoint: super::http_url(endpoint)?, sampling: *sampling })
    }
}
