//! What is captured, as the configuration file says it:
//!
//! ```yaml
//! emergency:
//!   scope:
//!     namespaces: [shop]                    # default: all but pilothouse's own
//!     kinds: [deployments.apps, widgets.example.com]   # default: see KINDS
//!   gitops:
//!     managers: [argocd-controller]         # field managers whose writes came through Git
//!     serviceAccounts: [argocd/argocd-application-controller]
//!   system:                                 # further ones that are nobody's doing
//!     managers: [cert-manager-cainjector]
//!     serviceAccounts: [velero/velero]
//!   auditEvents:
//!     tokenFile: /run/secrets/audit-token   # who posts to /audit-events brings it
//! ```

use std::{collections::BTreeSet, path::PathBuf};

use serde::Deserialize;

/// Watched where `emergency.scope.kinds` is not given: what people change in an emergency.
const KINDS: [&str; 12] = [
    "deployments.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "cronjobs.batch",
    "configmaps",
    "services",
    "ingresses.networking.k8s.io",
    "networkpolicies.networking.k8s.io",
    "horizontalpodautoscalers.autoscaling",
    "poddisruptionbudgets.policy",
    "serviceaccounts",
    "roles.rbac.authorization.k8s.io",
];
const BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";

/// Not `helm`: so writes whoever runs it by hand. Flux writes as `helm-controller`.
const GITOPS_MANAGERS: [&str; 4] =
    ["argocd-controller", "argocd-application-controller", "kustomize-controller", "helm-controller"];

/// The capturing part of `emergency` in the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct CaptureConfig {
    pub scope: ScopeConfig,
    pub gitops: GitopsConfig,
    pub system: SystemConfig,
    pub audit_events: Option<AuditEventsConfig>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ScopeConfig {
    /// Empty: all.
    pub namespaces: BTreeSet<String>,
    /// Plurals with their group, as `kubectl get` takes them.
    pub kinds: BTreeSet<String>,
}

impl Default for ScopeConfig {
    fn default() -> Self {
        let kinds = KINDS.into_iter().chain([BINDINGS]).map(str::to_owned).collect();
        Self { namespaces: BTreeSet::new(), kinds }
    }
}

/// Whose writes came through Git.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct GitopsConfig {
    pub managers: BTreeSet<String>,
    /// Empty: any service account that writes under one of these managers.
    pub service_accounts: BTreeSet<Account>,
}

impl Default for GitopsConfig {
    fn default() -> Self {
        let managers = GITOPS_MANAGERS.map(str::to_owned).into();
        Self { managers, service_accounts: BTreeSet::new() }
    }
}

/// Whose writes are nobody's doing, besides those of Kubernetes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SystemConfig {
    pub managers: BTreeSet<String>,
    pub service_accounts: BTreeSet<Account>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AuditEventsConfig {
    /// Holds the bearer token of whoever posts; read again for every post, so it may be rotated.
    pub token_file: PathBuf,
}

/// A service account, written `namespace/name`, kept as the API server names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Account(String);

impl Account {
    /// `system:serviceaccount:argocd:argocd-application-controller`.
    pub(super) fn user(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Account {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let legal = |part: &str| {
            !part.is_empty() && !part.contains([':', '/']) && !part.contains(char::is_whitespace)
        };
        match written.split_once('/') {
            Some((namespace, name)) if legal(namespace) && legal(name) => {
                Ok(Self(format!("system:serviceaccount:{namespace}:{name}")))
            }
            _ => Err(format!(
                "{written:?} is no service account: write it like argocd/argocd-application-controller"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::CaptureConfig;

    fn read(text: &str) -> Result<CaptureConfig, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_one_watches_what_people_change_in_an_emergency() {
        let config = read("{}").unwrap();
        assert_eq!(config, CaptureConfig::default());
        assert!(config.scope.kinds.contains("deployments.apps") && config.scope.namespaces.is_empty());
        assert_eq!(config.scope.kinds.len(), 13);
        assert!(config.gitops.managers.contains("kustomize-controller") && config.audit_events.is_none());
    }

    #[test]
    fn a_service_account_is_named_with_its_namespace() {
        let config = read("gitops: {serviceAccounts: [argocd/controller]}").unwrap();
        let users: Vec<_> =
            config.gitops.service_accounts.iter().map(|account| account.user().to_owned()).collect();
        assert_eq!(users, ["system:serviceaccount:argocd:controller"]);
        let refused = read("gitops: {serviceAccounts: [controller]}").unwrap_err();
        assert!(refused.contains("write it like"), "{refused}");
        assert!(read("scopes: {}").unwrap_err().contains("scopes"));
    }
}
