//! What the tools over Prometheus and Alertmanager share: the backend as a trait, and who may see what through it.
//!
//! Prometheus knows no callers: whoever reaches it sees everything. So that nobody sees more through us than through
//! kubectl, a query is confined to one namespace whose pods its caller may read, unless the caller may list the pods of
//! all. See README.md.

mod confine;
mod reach;
mod shown;
mod spark;

pub(super) use confine::{Confined, confined};
pub(super) use reach::Reach;
pub(super) use shown::{instant, range};

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::desk::Desk;
use crate::{answer::Answer, caller::Need, redact};

/// What a tool over Prometheus works with during one call.
pub(super) struct MetricsDesk {
    pub(super) desk: Desk,
    pub(super) metrics: Arc<dyn Metrics>,
}

/// Who may read pods may see what they use and what is wrong with them.
pub(super) const NEEDS: &[Need] = &[Need { verb: "get", group: "", resource: "pods" }];

/// A failed question as the answer to a call; other servers' words may be in it.
pub(super) fn told(error: MetricsError) -> Answer {
    Answer::error(redact::shown(&error.to_string()))
}

/// Metrics and alerts as tools see them; implemented by `metrics`.
pub trait Metrics: Send + Sync {
    /// The label that says of which namespace a series or alert is.
    fn namespace_label(&self) -> &str;

    /// The values of a PromQL expression at one moment.
    fn instant<'a>(
        &'a self,
        query: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<Series>, MetricsError>>;

    /// Its values over time.
    fn range<'a>(
        &'a self,
        query: &'a str,
        from: Timestamp,
        to: Timestamp,
        step_seconds: i64,
    ) -> BoxFuture<'a, Result<Vec<Series>, MetricsError>>;

    /// Reads no data: whether Prometheus takes this for an expression at all; the error is its own sentence.
    fn check<'a>(&'a self, query: &'a str) -> BoxFuture<'a, Result<(), MetricsError>>;

    /// All alerts that are not inactive.
    fn alerts(&self) -> BoxFuture<'_, Result<Vec<Alert>, MetricsError>>;
}

/// Labels and values, oldest first; an instant has one value. A plain number is a series without labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// Unix seconds and value.
    pub points: Vec<(f64, f64)>,
}

/// How an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    Firing,
    Pending,
    /// Silenced by a person, or inhibited by another alert.
    Silenced,
}

/// One alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// With `alertname`.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub state: AlertState,
    pub since: Option<Timestamp>,
}

/// Why there is no answer; each is one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// Prometheus' own sentence on the query.
    #[error("Prometheus refuses the query: {0}")]
    Refused(String),
    #[error("{server} cannot be reached ({reason}): check its address under `metrics` in the configuration")]
    Unreachable { server: String, reason: String },
    #[error(
        "{server} does not accept our credentials ({status}): check `tokenFile` under `metrics` in the configuration"
    )]
    Unauthorized { server: String, status: u16 },
    #[error(
        "{server} answers more than {megabytes} MB: aggregate the query (sum by (...), topk(20, ...)), or take a shorter range"
    )]
    TooLarge { server: String, megabytes: usize },
    #[error("the answer of {server} is not what its API promises ({reason})")]
    Garbled { server: String, reason: String },
}
