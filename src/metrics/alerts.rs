//! Alerts as Prometheus and as Alertmanager tell them. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::prometheus;
use crate::tools::{Alert, AlertState, MetricsError};

/// What both tell alike, and what each tells in its own way.
#[derive(Deserialize)]
struct One<Own> {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    own: Own,
}

impl<Own> One<Own> {
    fn alert(self, state_and_since: impl FnOnce(Own) -> (AlertState, Option<Timestamp>)) -> Alert {
        let Self { labels, annotations, own } = self;
        let (state, since) = state_and_since(own);
        Alert { labels, annotations, state, since }
    }
}

pub(super) fn of_prometheus(body: &[u8], server: &str) -> Result<Vec<Alert>, MetricsError> {
    #[derive(Deserialize)]
    struct Alerts {
        alerts: Vec<One<Own>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Own {
        state: String,
        active_at: Option<Timestamp>,
    }
    let Alerts { alerts } = prometheus::data(body, server)?;
    let own = |Own { state, active_at }| {
        (if state == "firing" { AlertState::Firing } else { AlertState::Pending }, active_at)
    };
    Ok(alerts.into_iter().map(|one| one.alert(own)).collect())
}

pub(super) fn of_alertmanager(body: &[u8], server: &str) -> Result<Vec<Alert>, MetricsError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Own {
        starts_at: Option<Timestamp>,
        status: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        state: String,
    }
    let alerts: Vec<One<Own>> = serde_json::from_slice(body)
        .map_err(|error| MetricsError::Garbled { server: server.to_owned(), reason: error.to_string() })?;
    let own = |Own { starts_at, status }| {
        let is_silenced = status.state == "suppressed";
        (if is_silenced { AlertState::Silenced } else { AlertState::Firing }, starts_at)
    };
    Ok(alerts.into_iter().map(|one| one.alert(own)).collect())
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
