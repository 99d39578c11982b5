//! What people call the built-in kinds.

/// Kind, the short name that kubectl takes for it, and its group; empty where there is none.
const KINDS: [(&str, &str, &str); 28] = [
    ("ConfigMap", "cm", ""),
    ("CronJob", "cj", "batch"),
    ("CustomResourceDefinition", "crd", "apiextensions.k8s.io"),
    ("DaemonSet", "ds", "apps"),
    ("Deployment", "deploy", "apps"),
    ("Endpoints", "ep", ""),
    ("HorizontalPodAutoscaler", "hpa", "autoscaling"),
    ("Ingress", "ing", "networking.k8s.io"),
    ("Job", "", "batch"),
    ("LimitRange", "limits", ""),
    ("Namespace", "ns", ""),
    ("NetworkPolicy", "netpol", "networking.k8s.io"),
    ("Node", "no", ""),
    ("PersistentVolume", "pv", ""),
    ("PersistentVolumeClaim", "pvc", ""),
    ("Pod", "po", ""),
    ("PodDisruptionBudget", "pdb", "policy"),
    ("PriorityClass", "pc", "scheduling.k8s.io"),
    ("ReplicaSet", "rs", "apps"),
    ("ReplicationController", "rc", ""),
    ("ResourceQuota", "quota", ""),
    ("Role", "", "rbac.authorization.k8s.io"),
    ("RoleBinding", "", "rbac.authorization.k8s.io"),
    ("Secret", "", ""),
    ("Service", "svc", ""),
    ("ServiceAccount", "sa", ""),
    ("StatefulSet", "sts", "apps"),
    ("StorageClass", "sc", "storage.k8s.io"),
];

/// The kind as manifests spell it, from a short name, a plural or another case. Other kinds stay as they are.
pub(super) fn canonical(asked: &str) -> String {
    let lower = asked.to_ascii_lowercase();
    let found = KINDS
        .iter()
        .find(|(kind, short, _)| is_called(kind, &lower) || (!short.is_empty() && lower == *short));
    found.map_or_else(|| asked.to_owned(), |(kind, _, _)| (*kind).to_owned())
}

/// The group of a built-in kind.
pub(super) fn group(kind: &str) -> Option<&'static str> {
    KINDS.iter().find(|(known, _, _)| *known == kind).map(|(_, _, group)| *group)
}

/// Whether a name is the kind or its plural, in any case.
pub(super) fn is_called(kind: &str, name: &str) -> bool {
    let (kind, name) = (kind.to_ascii_lowercase(), name.to_ascii_lowercase());
    let plural = match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with("ss") => format!("{kind}es"),
        None => format!("{kind}s"),
    };
    name == kind || name == plural
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_people_write_becomes_the_kind() {
        for (asked, kind) in [
            ("svc", "Service"),
            ("deploy", "Deployment"),
            ("deployments", "Deployment"),
            ("NetworkPolicies", "NetworkPolicy"),
            ("ingresses", "Ingress"),
            ("secrets", "Secret"),
            ("Widget", "Widget"),
        ] {
            assert_eq!(super::canonical(asked), kind);
        }
    }
}
