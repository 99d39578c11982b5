//! Whose write it is: a person's, one that came through Git, or nobody's doing.

use super::config::{GitopsConfig, SystemConfig};

/// Controllers of Kubernetes and OpenShift, by the name under which they write. `pilothouse` keeps the children of its
/// MCPServers; what it applies for a person in an emergency has another name.
const SYSTEM_MANAGERS: [&str; 8] = [
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-apiserver",
    "cloud-controller-manager",
    "cluster-policy-controller",
    "openshift-controller-manager",
    "pilothouse",
];

/// Accounts of Kubernetes and OpenShift, by how their names begin. `system:admin` is a person's.
const SYSTEM_ACCOUNTS: [&str; 5] = [
    "system:kube-",
    "system:apiserver",
    "system:node:",
    "system:serviceaccount:kube-system:",
    "system:serviceaccount:openshift-",
];

const ACCOUNT: &str = "system:serviceaccount:";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Actor {
    System,
    Git,
    Person,
}

/// Who counts as whom in this installation.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    gitops: GitopsConfig,
    system: SystemConfig,
}

impl Rules {
    pub(super) fn new(gitops: GitopsConfig, system: SystemConfig) -> Self {
        Self { gitops, system }
    }

    /// Of several writers that were seen as one, a person counts before Git, and Git before the system.
    ///
    /// A known user says more than a field manager, which whoever writes may choose. Without either it was a person.
    pub(super) fn actor(&self, users: &[String], managers: &[String]) -> Actor {
        let by_user = users.iter().map(|user| self.of_user(user, managers)).max();
        let by_manager = || managers.iter().map(|manager| self.of_manager(manager)).max();
        by_user.or_else(by_manager).unwrap_or(Actor::Person)
    }

    /// The manager that a write is told with: the one that made it a person's, if one did.
    pub(super) fn telling<'m>(&self, managers: &'m [String]) -> Option<&'m String> {
        managers.iter().max_by_key(|manager| self.of_manager(manager))
    }

    fn of_manager(&self, manager: &str) -> Actor {
        if self.gitops.managers.contains(manager) {
            Actor::Git
        } else if SYSTEM_MANAGERS.contains(&manager) || self.system.managers.contains(manager) {
            Actor::System
        } else {
            Actor::Person
        }
    }

    fn of_user(&self, user: &str, managers: &[String]) -> Actor {
        let named = &self.gitops.service_accounts;
        let is_gitops = if named.is_empty() {
            // Where nobody said which, it is one that calls itself so. A person who does is none.
            user.starts_with(ACCOUNT) && managers.iter().any(|manager| self.of_manager(manager) == Actor::Git)
        } else {
            named.iter().any(|account| account.user() == user)
        };
        let is_system = || {
            SYSTEM_ACCOUNTS.iter().any(|prefix| user.starts_with(prefix))
                || self.system.service_accounts.iter().any(|account| account.user() == user)
        };
        if is_gitops {
            Actor::Git
        } else if is_system() {
            Actor::System
        } else {
            Actor::Person
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Actor, Rules};
    use crate::changes::capture::config::{GitopsConfig, SystemConfig};

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_user_says_more_than_a_manager() {
        let rules = Rules::new(GitopsConfig::default(), SystemConfig::default());
        let argo = "system:serviceaccount:argocd:argocd-application-controller";
        let hpa = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
        let deployer = "system:serviceaccount:ci:deployer";
        for (users, managers, expected) in [
            ("", "kubectl-edit", Actor::Person),
            ("", "kubectl-client-side-apply", Actor::Person),
            ("", "kubectl-patch", Actor::Person),
            ("", "kubectl-rollout", Actor::Person),
            ("", "kubectl-set", Actor::Person),
            ("", "kubectl", Actor::Person),
            ("", "oc", Actor::Person),
            ("", "Mozilla", Actor::Person),
            ("", "", Actor::Person),
            ("", "argocd-controller", Actor::Git),
            ("", "kustomize-controller", Actor::Git),
            ("", "helm-controller", Actor::Git),
            ("", "helm", Actor::Person),
            ("", "kube-controller-manager", Actor::System),
            ("", "kube-controller-manager argocd-controller", Actor::Git),
            ("", "argocd-controller kubectl-edit", Actor::Person),
            (argo, "argocd-controller", Actor::Git),
            (argo, "node-fetch", Actor::Person),
            ("ann", "argocd-controller", Actor::Person),
            ("ann", "kube-controller-manager", Actor::Person),
            ("ann", "helm", Actor::Person),
            ("system:admin", "kubectl-edit", Actor::Person),
            (hpa, "kube-controller-manager", Actor::System),
            ("system:kube-controller-manager", "kube-controller-manager", Actor::System),
            ("system:node:n1", "kubelet", Actor::System),
            (deployer, "kubectl-client-side-apply", Actor::Person),
            (&format!("{argo} ann"), "argocd-controller kubectl-edit", Actor::Person),
        ] {
            assert_eq!(rules.actor(&words(users), &words(managers)), expected, "{users:?} {managers:?}");
        }
    }

    #[test]
    fn named_accounts_are_the_only_ones() {
        let gitops: GitopsConfig = serde_saphyr::from_str("serviceAccounts: [gitops/deployer]").unwrap();
        let system: SystemConfig =
            serde_saphyr::from_str("{managers: [velero-server], serviceAccounts: [velero/velero]}").unwrap();
        let rules = Rules::new(gitops, system);
        let argo = "system:serviceaccount:argocd:argocd-application-controller";
        for (users, managers, expected) in [
            ("system:serviceaccount:gitops:deployer", "kubectl-client-side-apply", Actor::Git),
            (argo, "argocd-controller", Actor::Person),
            ("system:serviceaccount:velero:velero", "", Actor::System),
            ("", "velero-server", Actor::System),
        ] {
            assert_eq!(rules.actor(&words(users), &words(managers)), expected, "{users:?} {managers:?}");
        }
        let managers = words("argocd-controller kubectl-edit kube-controller-manager");
        assert_eq!(rules.telling(&managers).unwrap(), "kubectl-edit");
    }
}
