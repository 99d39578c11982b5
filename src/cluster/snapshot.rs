//! The folder of a recorded cluster: `pilothouse snapshot` writes it, `--snapshot` reads it.
//!
//! ```text
//! snapshot.json                            what this is, when it was recorded, the API server's version
//! discovery.json                           {"api": ..., "apis": ...}, the aggregated discovery documents
//! resources/deployments.apps.jsonl         one object a line, with apiVersion and kind, redacted
//! logs/NAMESPACE/POD/CONTAINER.log         the last lines, each with its timestamp
//! logs/NAMESPACE/POD/CONTAINER.previous.log
//! ```

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(super) const FORMAT: &str = "pilothouse-snapshot/1";
pub(super) const HEAD: &str = "snapshot.json";
pub(super) const DISCOVERY: &str = "discovery.json";
pub(super) const RESOURCES: &str = "resources";
pub(super) const LOGS: &str = "logs";

/// `snapshot.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Head {
    pub(super) format: String,
    pub(super) recorded: Timestamp,
    pub(super) server_version: String,
}

/// `discovery.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct Discovery {
    pub(super) api: Box<RawValue>,
    pub(super) apis: Box<RawValue>,
}

pub(super) fn log_file(container: &str, previous: bool) -> String {
    format!("{container}{}.log", if previous { ".previous" } else { "" })
}
