//! The configuration file: one YAML document, unknown fields refused.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::{access::AccessConfig, gateway::GatewayConfig, traces::TracesConfig};
use crate::{
    answer::Budget,
    changes::{ChangesConfig, emergency::EmergencyConfig},
    mcp::authentication::config::IdentityConfig,
    metrics::MetricsConfig,
    operator::OperatorConfig,
};

/// What does not fit a flag. Every field has a default, so an empty file is legal.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Configuration {
    pub answers: Answers,
    pub changes: ChangesConfig,
    /// Emergencies, and what is captured of what people write past Git; neither without it.
    pub emergency: Option<EmergencyConfig>,
    /// How callers over HTTP prove who they are. Over stdio it is not used: there the kubeconfig says who one is.
    pub identity: IdentityConfig,
    pub access: AccessConfig,
    /// What holds for all MCP servers behind it.
    pub gateway: GatewayConfig,
    pub metrics: MetricsConfig,
    pub traces: TracesConfig,
    /// What the operator allows and tells others, and whether the API server may ask it.
    pub operator: OperatorConfig,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Answers {
    /// Tokens an answer of our own tools may cost, 400 to 50,000; a call's `max_tokens` overrides it.
    pub budget: usize,
}

impl Default for Answers {
    fn default() -> Self {
        Self { budget: Budget::DEFAULT.tokens() }
    }
}

impl Configuration {
    /// Reads `path`; without one, the defaults.
    ///
    /// # Errors
    /// When the file cannot be read or parsed (with line and column), or a value is out of its range.
    pub fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration file {} (--config)", path.display()))?;
        Self::parse(&text).with_context(|| format!("the configuration file {} is not valid", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let configuration: Self = serde_saphyr::from_str(text)?;
        let budget = configuration.answers.budget;
        if !(Budget::LEAST..=Budget::MOST).contains(&budget) {
            let (least, most) = (Budget::LEAST, Budget::MOST);
            bail!("answers.budget is {budget}: use a number of tokens from {least} to {most}");
        }
        Ok(configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::Configuration;

    #[test]
    fn an_unknown_field_is_refused_with_its_place() {
        let error = Configuration::parse("answers:\n  budgte: 100\n").map_err(|error| format!("{error:#}"));
        let Err(message) = error else { panic!("must be refused") };
        assert!(message.contains("budgte") && message.contains("line 2"), "{message}");
    }

    #[test]
    fn a_policy_that_cannot_be_meant_is_refused_with_its_place() {
        let text = "operator:\n  policy:\n    images:\n      repositories: [mcp/time]\n";
        let error = Configuration::parse(text).map_err(|error| format!("{error:#}"));
        let Err(message) = error else { panic!("must be refused") };
        assert!(
            message.contains("does not begin with a registry") && message.contains("line 4"),
            "{message}"
        );
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let budget = Configuration::parse("# nothing yet\n").map(|read| read.answers.budget).ok();
        assert_eq!(budget, Some(8_000));
    }

    #[test]
    fn a_budget_out_of_range_says_the_range() {
        let error = Configuration::parse("answers:\n  budget: 5\n").map_err(|error| format!("{error:#}"));
        assert!(matches!(error, Err(message) if message.contains("400 to 50000")));
    }
}
