//! OpenShift's BuildConfigs and Builds.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, object::duration};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BuildConfig {
    metadata: Meta,
    spec: Spec,
    status: ConfigStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigStatus {
    last_version: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Build {
    metadata: Meta,
    spec: Spec,
    status: BuildStatus,
}

/// What both have.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    source: Source,
    strategy: Strategy,
    output: Output,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
    git: Option<Git>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Git {
    uri: String,
    #[serde(rename = "ref")]
    reference: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Strategy {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Output {
    to: Option<Target>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    kind: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BuildStatus {
    phase: String,
    reason: String,
    message: String,
    /// The last lines of a failed build.
    log_snippet: String,
    start_timestamp: Option<Timestamp>,
    completion_timestamp: Option<Timestamp>,
}

impl Spec {
    fn from(&self) -> String {
        match &self.source.git {
            Some(Git { uri, reference }) if reference.is_empty() => uri.clone(),
            Some(Git { uri, reference }) => format!("{uri}#{reference}"),
            None => self.source.kind.clone(),
        }
    }

    fn to(&self) -> String {
        let to = self.output.to.as_ref();
        to.map(|Target { kind, name }| format!("{kind}/{name}")).unwrap_or_default()
    }
}

impl Shape for BuildConfig {
    const COLUMNS: &'static [&'static str] = &["TYPE", "FROM", "TO", "LATEST"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    /// Its Builds tell it.
    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let latest = self.status.last_version;
        let latest =
            if latest == 0 { "never built".to_owned() } else { format!("{}-{latest}", self.metadata.name) };
        vec![self.spec.strategy.kind.clone(), self.spec.from(), self.spec.to(), latest]
    }
}

impl Shape for Build {
    const COLUMNS: &'static [&'static str] = &["TYPE", "FROM", "STATUS", "DURATION"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let BuildStatus { phase, reason, message, log_snippet, .. } = &self.status;
        let words = [reason, message].into_iter().filter(|words| !words.is_empty());
        let words = words.map(String::as_str).collect::<Vec<_>>().join(": ");
        let last = log_snippet.lines().rfind(|line| !line.trim().is_empty());
        let last = last.map_or_else(String::new, |line| format!(", last line: {line}"));
        match phase.as_str() {
            "Failed" | "Error" => Health::broken(format!("{words}{last}")),
            // It says why it cannot start.
            "New" | "Pending" if !words.is_empty() => Health::warning(format!("not started: {words}")),
            "Complete" | "Running" | "New" | "Pending" => Health::healthy(),
            _ => Health { why: words, ..Health::unknown() },
        }
    }

    fn cells(&self, facts: &Facts) -> Vec<String> {
        let BuildStatus { phase, start_timestamp, completion_timestamp, .. } = &self.status;
        let end = completion_timestamp.unwrap_or(facts.now);
        let lasted = start_timestamp.map(|start| duration(end.as_second() - start.as_second()));
        let Spec { strategy, .. } = &self.spec;
        vec![strategy.kind.clone(), self.spec.from(), phase.clone(), lasted.unwrap_or_default()]
    }
}
