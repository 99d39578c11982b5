//! The policy as the configuration says it. Parsed once: what cannot be meant is refused with its place in the file.

use std::fmt;

use serde::Deserialize;

use super::pattern::{RepositoryPattern, TextPattern};
use crate::api::SecretStoreKind;

/// Everything that an installation asks for. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    pub images: ImageRules,
    pub resources: ResourceRules,
    /// Labels that every MCPServer, MCPPool and DataSource must have.
    pub labels: Vec<LabelRule>,
    /// Stores that external secrets may come from. None: any.
    pub secret_stores: Option<Vec<StoreRule>>,
    /// Annotations that accounts made for servers may have. None: any.
    pub identity_annotations: Option<Vec<AnnotationRule>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageRules {
    /// Where images may come from. None: anywhere.
    pub repositories: Option<Vec<RepositoryPattern>>,
    /// An image needs a tag that is not `latest`, or a digest.
    pub require_tag: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourceRules {
    pub require_limits: Vec<Limit>,
}

/// What a limit may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    Cpu,
    Memory,
}

impl Limit {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    /// One that would be accepted.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Cpu => "500m",
            Self::Memory => "256Mi",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LabelRule {
    pub key: Word,
    /// Empty: any.
    #[serde(default)]
    pub values: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StoreRule {
    #[serde(default)]
    pub kind: SecretStoreKind,
    pub name: TextPattern,
}

impl fmt::Display for StoreRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AnnotationRule {
    pub key: Word,
    /// Empty: any.
    #[serde(default)]
    pub values: Vec<TextPattern>,
}

/// A text that is not empty.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Word(String);

impl Word {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Word {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("a name or value is empty: write one, or remove it".to_owned());
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Policy;

    fn refusal(text: &str) -> String {
        serde_saphyr::from_str::<Policy>(text).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        let cases = [
            ("images:\n  repository: [a]\n", "repository"),
            ("images:\n  repositories:\n  - docker.io/mcp\n  - mcp/everything\n", "registry"),
            ("resources:\n  requireLimits: [cpu, disk]\n", "disk"),
            ("labels:\n- {key: ''}\n", "empty"),
            ("secretStores:\n- {kind: Vault, name: a}\n", "Vault"),
            ("identityAnnotations:\n- {values: [a]}\n", "key"),
        ];
        for (text, expected) in cases {
            let said = refusal(text);
            assert!(said.contains(expected) && said.contains("line "), "{text}: {said}");
        }
    }
}
