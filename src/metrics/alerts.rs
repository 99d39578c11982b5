//! Alerts as Prometheus and as Alertmanager tell them. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::prometheus;
use crate::tools::{Alert, AlertState, MetricsError};

type Words = BTreeMap<String, String>;

pub(super) fn of_prometheus(body: &[u8], server: &str) -> Result<Vec<Alert>, MetricsError> {
    #[derive(Deserialize)]
    struct Alerts {
        alerts: Vec<One>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct One {
        labels: Words,
        #[serde(default)]
        annotations: Words,
        state: String,
        active_at: Option<Timestamp>,
    }
    let Alerts { alerts } = prometheus::data(body, server)?;
    let alert = |one: One| {
        let One { labels, annotations, state, active_at } = one;
        let state = if state == "firing" { AlertState::Firing } else { AlertState::Pending };
        Alert { labels, annotations, state, since: active_at }
    };
    Ok(alerts.into_iter().map(alert).collect())
}

pub(super) fn of_alertmanager(body: &[u8], server: &str) -> Result<Vec<Alert>, MetricsError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct One {
        labels: Words,
        #[serde(default)]
        annotations: Words,
        starts_at: Option<Timestamp>,
        status: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        state: String,
    }
    let alerts: Vec<One> = serde_json::from_slice(body)
        .map_err(|error| MetricsError::Garbled { server: server.to_owned(), reason: error.to_string() })?;
    let alert = |one: One| {
        let One { labels, annotations, starts_at, status } = one;
        let state = if status.state == "suppressed" { AlertState::Silenced } else { AlertState::Firing };
        Alert { labels, annotations, state, since: starts_at }
    };
    Ok(alerts.into_iter().map(alert).collect())
}

#[cfg(test)]
mod tests {
    use super::{AlertState, of_alertmanager, of_prometheus};

    #[test]
    fn both_tellings_are_read() {
        let body = br#"{"status":"success","data":{"alerts":[{"labels":{"alertname":"A"},"annotations":{},
            "state":"pending","activeAt":"2026-01-01T00:00:00.123456789Z","value":"1e+00"}]}}"#;
        let alerts = of_prometheus(body, "Prometheus").unwrap_or_default();
        assert_eq!((alerts[0].state, alerts[0].since.is_some()), (AlertState::Pending, true));
        let body = br#"[{"labels":{"alertname":"A"},"annotations":{"summary":"s"},"startsAt":"2026-01-01T00:00:00.000Z",
            "status":{"state":"suppressed","silencedBy":["x"],"inhibitedBy":[]}}]"#;
        let alerts = of_alertmanager(body, "Alertmanager").unwrap_or_default();
        assert_eq!((alerts[0].state, alerts[0].annotations["summary"].as_str()), (AlertState::Silenced, "s"));
    }
}
