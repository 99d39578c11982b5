//! A policy held against an object.

use std::collections::BTreeMap;

use kube::ResourceExt;

use super::{
    image::Image,
    rules::{AnnotationRule, LabelRule, Policy, StoreRule},
};
use crate::{
    api::{DataSource, External, MCPPool, MCPServer, SecretStoreRef},
    operator::{
        field_error::{FieldError, Problem},
        mcp_server::usual_limits,
    },
};

/// One rule that an object breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator) struct Violation {
    /// Path of the field, such as `spec.image`.
    pub field: String,
    /// Where the rule stands in the configuration.
    pub rule: &'static str,
    /// What the field holds; None: nothing, and something is wanted.
    pub value: Option<String>,
    /// What the rule does.
    pub message: String,
    /// What would be accepted, as an order.
    pub accepted: String,
}

impl From<&Violation> for FieldError {
    fn from(violation: &Violation) -> Self {
        let Violation { field, rule, value, message, accepted } = violation;
        let problem = match value {
            Some(value) => Problem::Invalid(value.clone()),
            None => Problem::Required,
        };
        Self::new(field, problem, format!("{rule} {message}: {accepted}"))
    }
}

const REPOSITORIES: &str = "operator.policy.images.repositories";
const TAG: &str = "operator.policy.images.requireTag";
const LIMITS: &str = "operator.policy.resources.requireLimits";
const LABELS: &str = "operator.policy.labels";
const STORES: &str = "operator.policy.secretStores";
const IDENTITIES: &str = "operator.policy.identityAnnotations";

impl Policy {
    /// In the order of the fields; empty when it keeps to everything.
    pub(in crate::operator) fn violations(&self, server: &MCPServer) -> Vec<Violation> {
        let mut all = self.of_labels(server.labels());
        let spec = &server.spec;
        all.extend(spec.image.iter().flat_map(|image| self.of_image(image)));
        if spec.image.is_some() {
            all.extend(self.of_limits(server));
        }
        all.extend(self.of_annotations(&spec.service_account.annotations));
        all.extend(spec.secrets.iter().enumerate().filter_map(|(index, one)| {
            self.of_store(&format!("spec.secrets[{index}].external.store"), one.external.as_ref())
        }));
        all
    }

    pub(in crate::operator) fn violations_of_source(&self, source: &DataSource) -> Vec<Violation> {
        let mut all = self.of_labels(source.labels());
        all.extend(source.spec.credentials.iter().enumerate().filter_map(|(index, one)| {
            self.of_store(&format!("spec.credentials[{index}].external.store"), one.external.as_ref())
        }));
        all
    }

    pub(in crate::operator) fn violations_of_pool(&self, pool: &MCPPool) -> Vec<Violation> {
        self.of_labels(pool.labels())
    }

    fn of_labels(&self, labels: &BTreeMap<String, String>) -> Vec<Violation> {
        let broken = |LabelRule { key, values }: &LabelRule| {
            let value = labels.get(key.as_str());
            let is_kept = match value {
                Some(value) => values.is_empty() || values.iter().any(|one| one.as_str() == value),
                None => false,
            };
            let accepted = match values.as_slice() {
                [] => "set it".to_owned(),
                values => format!("set it to {}", either(values.iter().map(|value| value.as_str()))),
            };
            (!is_kept).then(|| Violation {
                field: format!("metadata.labels[{}]", key.as_str()),
                rule: LABELS,
                value: value.cloned(),
                message: match value {
                    Some(_) => "does not allow this value".to_owned(),
                    None => "requires this label".to_owned(),
                },
                accepted,
            })
        };
        self.labels.iter().filter_map(broken).collect()
    }

    fn of_image(&self, text: &str) -> Vec<Violation> {
        let image = Image::of(text);
        let found = |rule, message: String, accepted| Violation {
            field: "spec.image".to_owned(),
            rule,
            value: Some(text.to_owned()),
            message,
            accepted,
        };
        let mut all = Vec::new();
        if let Some(allowed) = &self.images.repositories
            && !allowed.iter().any(|pattern| pattern.fits(&image.repository))
        {
            let accepted = match allowed.as_slice() {
                [] => "use spec.remote".to_owned(),
                allowed => {
                    format!("use an image from {}", either(allowed.iter().map(|pattern| pattern.as_str())))
                }
            };
            let message = match allowed.is_empty() {
                true => "allows no image".to_owned(),
                false => format!("does not allow the repository {}", image.repository),
            };
            all.push(found(REPOSITORIES, message, accepted));
        }
        if self.images.require_tag && !image.is_fixed() {
            let name = text.split('@').next().unwrap_or_default();
            let name = image.tag.and_then(|tag| name.strip_suffix(&format!(":{tag}"))).unwrap_or(name);
            let message = match image.tag {
                Some(_) => "does not allow the tag latest, which is another image tomorrow",
                None => "requires a tag",
            };
            let accepted = format!("name a version or a digest, such as {name}:1.0.0 or {name}@sha256:...");
            all.push(found(TAG, message.to_owned(), accepted));
        }
        all
    }

    fn of_limits(&self, server: &MCPServer) -> Vec<Violation> {
        let limits = match &server.spec.resources {
            Some(resources) => resources.limits.clone().unwrap_or_default(),
            None => usual_limits(),
        };
        let missing =
            self.resources.require_limits.iter().filter(|limit| !limits.contains_key(limit.as_str()));
        missing
            .map(|limit| Violation {
                field: format!("spec.resources.limits[{}]", limit.as_str()),
                rule: LIMITS,
                value: None,
                message: "requires this limit".to_owned(),
                accepted: format!("set it, for example to {}", limit.example()),
            })
            .collect()
    }

    fn of_annotations(&self, annotations: &BTreeMap<String, String>) -> Vec<Violation> {
        let Some(allowed) = &self.identity_annotations else { return Vec::new() };
        let broken = |(key, value): (&String, &String)| {
            let rule = allowed.iter().find(|rule| rule.key.as_str() == key);
            let (message, accepted) = match rule {
                Some(AnnotationRule { values, .. }) => {
                    if values.is_empty() || values.iter().any(|pattern| pattern.fits(value)) {
                        return None;
                    }
                    let values = either(values.iter().map(|pattern| pattern.as_str()));
                    ("does not allow this value".to_owned(), format!("set it to {values}"))
                }
                None if allowed.is_empty() => ("allows no annotation".to_owned(), "remove it".to_owned()),
                None => {
                    let keys = either(allowed.iter().map(|rule| rule.key.as_str()));
                    ("does not allow this annotation".to_owned(), format!("remove it, or use {keys}"))
                }
            };
            Some(Violation {
                field: format!("spec.serviceAccount.annotations[{key}]"),
                rule: IDENTITIES,
                value: Some(value.clone()),
                message,
                accepted,
            })
        };
        annotations.iter().filter_map(broken).collect()
    }

    fn of_store(&self, field: &str, external: Option<&External>) -> Option<Violation> {
        let SecretStoreRef { name, kind } = &external?.store;
        let allowed = self.secret_stores.as_ref()?;
        let is_allowed = |rule: &StoreRule| rule.kind == *kind && rule.name.fits(name);
        if allowed.iter().any(is_allowed) {
            return None;
        }
        let accepted = match allowed.as_slice() {
            [] => "use secretKeyRef".to_owned(),
            allowed => format!("use {}", either(allowed.iter().map(ToString::to_string))),
        };
        Some(Violation {
            field: field.to_owned(),
            rule: STORES,
            value: Some(format!("{}/{name}", kind.as_str())),
            message: "does not allow this store".to_owned(),
            accepted,
        })
    }
}

fn either(words: impl Iterator<Item = impl Into<String>>) -> String {
    let words: Vec<String> = words.map(Into::into).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::Policy;
    use crate::{
        api::{DataSource, MCPServer},
        operator::field_error::FieldError,
    };

    const ALL: &str = "
images: {repositories: [docker.io/mcp, 'registry.example.com/*/mcp'], requireTag: true}
resources: {requireLimits: [cpu, memory]}
labels: [{key: team, values: [shop, search]}, {key: cost-centre}]
secretStores: [{kind: ClusterSecretStore, name: 'vault-*'}]
identityAnnotations: [{key: eks.amazonaws.com/role-arn, values: ['arn:aws:iam::1:role/mcp-*']}]
";

    fn policy(text: &str) -> Policy {
        serde_saphyr::from_str(text).unwrap()
    }

    fn server(labels: Value, spec: Value) -> MCPServer {
        let metadata = json!({"name": "demo", "namespace": "shop", "labels": labels});
        serde_json::from_value(
            json!({"apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer", "metadata": metadata, "spec": spec}),
        )
        .unwrap()
    }

    fn said(policy: &Policy, server: &MCPServer) -> Vec<String> {
        policy.violations(server).iter().map(|violation| FieldError::from(violation).to_string()).collect()
    }

    #[test]
    fn without_a_policy_everything_is_allowed() {
        assert!(said(&Policy::default(), &server(json!({}), json!({"image": "a"}))).is_empty());
        assert!(said(&policy("{}"), &server(json!({}), json!({"image": "a"}))).is_empty());
    }

    #[test]
    fn what_keeps_to_every_rule_passes() {
        let good = server(
            json!({"team": "shop", "cost-centre": "7"}),
            json!({
                "image": "registry.example.com/shop/mcp/time@sha256:00",
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/mcp-a"}},
                "secrets": [
                    {"env": "A", "external": {"store": {"name": "vault-eu", "kind": "ClusterSecretStore"}, "key": "a"}},
                    {"env": "B", "secretKeyRef": {"name": "b", "key": "b"}}],
            }),
        );
        assert_eq!(said(&policy(ALL), &good), Vec::<String>::new());
        let unlimited = server(json!({"team": "shop", "cost-centre": "7"}), json!({"image": "mcp/time:1"}));
        assert_eq!(said(&policy(ALL), &unlimited), Vec::<String>::new(), "it gets the usual limits");
        let remote = server(
            json!({"team": "search", "cost-centre": "7"}),
            json!({"remote": {"url": "https://mcp.example.com"}}),
        );
        assert_eq!(said(&policy(ALL), &remote), Vec::<String>::new());
    }

    #[test]
    fn every_rule_that_is_broken_is_told_with_what_would_do() {
        let bad = server(
            json!({"team": "none"}),
            json!({
                "image": "evil/time:latest",
                "resources": {"limits": {"memory": "1Gi"}},
                "serviceAccount": {"annotations": {
                    "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/admin",
                    "iam.gke.io/gcp-service-account": "a@b"}},
                "secrets": [{"env": "A", "external": {"store": {"name": "vault-eu"}, "key": "a"}}],
            }),
        );
        let expected = [
            "metadata.labels[team]: Invalid value: \"none\": operator.policy.labels does not allow this value: set it to shop or search",
            "metadata.labels[cost-centre]: Required value: operator.policy.labels requires this label: set it",
            "spec.image: Invalid value: \"evil/time:latest\": operator.policy.images.repositories does not allow the repository docker.io/evil/time: use an image from docker.io/mcp or registry.example.com/*/mcp",
            "spec.image: Invalid value: \"evil/time:latest\": operator.policy.images.requireTag does not allow the tag latest, which is another image tomorrow: name a version or a digest, such as evil/time:1.0.0 or evil/time@sha256:...",
            "spec.resources.limits[cpu]: Required value: operator.policy.resources.requireLimits requires this limit: set it, for example to 500m",
            "spec.serviceAccount.annotations[eks.amazonaws.com/role-arn]: Invalid value: \"arn:aws:iam::1:role/admin\": operator.policy.identityAnnotations does not allow this value: set it to arn:aws:iam::1:role/mcp-*",
            "spec.serviceAccount.annotations[iam.gke.io/gcp-service-account]: Invalid value: \"a@b\": operator.policy.identityAnnotations does not allow this annotation: remove it, or use eks.amazonaws.com/role-arn",
            "spec.secrets[0].external.store: Invalid value: \"SecretStore/vault-eu\": operator.policy.secretStores does not allow this store: use ClusterSecretStore/vault-*",
        ];
        assert_eq!(said(&policy(ALL), &bad), expected);
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        let none = policy("{images: {repositories: []}, secretStores: [], identityAnnotations: []}");
        let bad = server(
            json!({}),
            json!({
                "image": "a:1",
                "serviceAccount": {"annotations": {"a": "b"}},
                "secrets": [{"env": "A", "external": {"store": {"name": "s"}, "key": "a"}}],
            }),
        );
        let said = said(&none, &bad);
        assert!(said[0].ends_with("operator.policy.images.repositories allows no image: use spec.remote"));
        assert!(said[1].ends_with("allows no annotation: remove it"));
        assert!(said[2].ends_with("does not allow this store: use secretKeyRef"), "{said:?}");
    }

    #[test]
    fn a_missing_tag_and_resources_without_limits_are_seen() {
        let bad =
            server(json!({}), json!({"image": "localhost:5000/a", "resources": {"requests": {"cpu": 1}}}));
        let rules = policy("{images: {requireTag: true}, resources: {requireLimits: [memory]}}");
        assert_eq!(
            said(&rules, &bad),
            [
                "spec.image: Invalid value: \"localhost:5000/a\": operator.policy.images.requireTag requires a tag: name a version or a digest, such as localhost:5000/a:1.0.0 or localhost:5000/a@sha256:...",
                "spec.resources.limits[memory]: Required value: operator.policy.resources.requireLimits requires this limit: set it, for example to 256Mi",
            ]
        );
    }

    #[test]
    fn a_data_source_is_held_to_labels_and_stores() {
        let source: DataSource = serde_json::from_value(json!({
            "apiVersion": "pilothouse.dev/v1alpha1", "kind": "DataSource", "metadata": {"name": "orders"},
            "spec": {"type": "database", "endpoint": "postgresql://db:5432/a", "credentials": [
                {"name": "password", "external": {"store": {"name": "mine"}, "key": "a"}}]},
        }))
        .unwrap();
        let fields: Vec<String> =
            policy(ALL).violations_of_source(&source).into_iter().map(|violation| violation.field).collect();
        assert_eq!(
            fields,
            ["metadata.labels[team]", "metadata.labels[cost-centre]", "spec.credentials[0].external.store"]
        );
    }
}
