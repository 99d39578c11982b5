//! Prometheus and Alertmanager over HTTP. Only GET is ever sent.

mod alerts;
mod config;
mod http;
mod prometheus;

pub use config::{MetricsConfig, MetricsConfigError};

use futures::future::BoxFuture;
use jiff::Timestamp;
use url::form_urlencoded::Serializer;

use self::http::Server;
use crate::tools::{Alert, AlertState, Metrics, MetricsError, Series};

/// The configured Prometheus, and its Alertmanager if there is one.
pub struct Backend {
    prometheus: Server,
    alertmanager: Option<Server>,
    namespace_label: String,
}

impl Backend {
    /// `None` when no Prometheus is configured. Reads the authority's file; the network is not touched.
    ///
    /// # Errors
    /// When an address cannot be used or a file cannot be read.
    pub fn new(config: &MetricsConfig) -> Result<Option<Self>, MetricsConfigError> {
        let MetricsConfig { prometheus, alertmanager } = config;
        let Some(prometheus) = prometheus else {
            return match alertmanager {
                Some(_) => Err(MetricsConfigError::AlertmanagerAlone),
                None => Ok(None),
            };
        };
        Ok(Some(Self {
            namespace_label: prometheus.label()?,
            prometheus: Server::new("Prometheus", &prometheus.server())?,
            alertmanager: alertmanager
                .as_ref()
                .map(|alertmanager| Server::new("Alertmanager", alertmanager))
                .transpose()?,
        }))
    }
}

fn query(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl Metrics for Backend {
    fn namespace_label(&self) -> &str {
        &self.namespace_label
    }

    fn instant<'a>(
        &'a self,
        expression: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<Series>, MetricsError>> {
        Box::pin(async move {
            let query = query(&[("query", expression), ("time", &at.to_string())]);
            let body = self.prometheus.get("api/v1/query", &query).await?;
            prometheus::series(&body, self.prometheus.name())
        })
    }

    fn range<'a>(
        &'a self,
        expression: &'a str,
        from: Timestamp,
        to: Timestamp,
        step_seconds: i64,
    ) -> BoxFuture<'a, Result<Vec<Series>, MetricsError>> {
        Box::pin(async move {
            let (from, to, step) = (from.to_string(), to.to_string(), step_seconds.to_string());
            let query = query(&[("query", expression), ("start", &from), ("end", &to), ("step", &step)]);
            let body = self.prometheus.get("api/v1/query_range", &query).await?;
            prometheus::series(&body, self.prometheus.name())
        })
    }

    fn check<'a>(&'a self, expression: &'a str) -> BoxFuture<'a, Result<(), MetricsError>> {
        Box::pin(async move {
            let body = self.prometheus.get("api/v1/format_query", &query(&[("query", expression)])).await?;
            prometheus::checked(&body, self.prometheus.name())
        })
    }

    /// Prometheus knows what is pending; Alertmanager, where there is one, what is silenced.
    fn alerts(&self) -> BoxFuture<'_, Result<Vec<Alert>, MetricsError>> {
        Box::pin(async move {
            let body = self.prometheus.get("api/v1/alerts", "").await?;
            let mut alerts = alerts::of_prometheus(&body, self.prometheus.name())?;
            if let Some(alertmanager) = &self.alertmanager {
                let body = alertmanager.get("api/v2/alerts", "").await?;
                let known = alerts::of_alertmanager(&body, alertmanager.name())?;
                alerts.retain(|alert| alert.state == AlertState::Pending);
                alerts.extend(known);
            }
            Ok(alerts)
        })
    }
}
