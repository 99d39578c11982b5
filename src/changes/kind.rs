//! What people call the built-in kinds.

/// Kind, and the short name that kubectl takes for it; empty where there is none.
const KINDS: [(&str, &str); 28] = [
    ("ConfigMap", "cm"),
    ("CronJob", "cj"),
    ("CustomResourceDefinition", "crd"),
    ("DaemonSet", "ds"),
    ("Deployment", "deploy"),
    ("Endpoints", "ep"),
    ("HorizontalPodAutoscaler", "hpa"),
    ("Ingress", "ing"),
    ("Job", ""),
    ("LimitRange", "limits"),
    ("Namespace", "ns"),
    ("NetworkPolicy", "netpol"),
    ("Node", "no"),
    ("PersistentVolume", "pv"),
    ("PersistentVolumeClaim", "pvc"),
    ("Pod", "po"),
    ("PodDisruptionBudget", "pdb"),
    ("PriorityClass", "pc"),
    ("ReplicaSet", "rs"),
    ("ReplicationController", "rc"),
    ("ResourceQuota", "quota"),
    ("Role", ""),
    ("RoleBinding", ""),
    ("Secret", ""),
    ("Service", "svc"),
    ("ServiceAccount", "sa"),
    ("StatefulSet", "sts"),
    ("StorageClass", "sc"),
];

/// The kind as manifests spell it, from a short name, a plural or another case. Other kinds stay as they are.
pub(super) fn canonical(asked: &str) -> String {
    let lower = asked.to_ascii_lowercase();
    let found = KINDS.iter().find(|(kind, short)| {
        let kind = kind.to_ascii_lowercase();
        let plural = match kind.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None if kind.ends_with("ss") => format!("{kind}es"),
            None => format!("{kind}s"),
        };
        lower == kind || lower == plural || (!short.is_empty() && lower == *short)
    });
    found.map_or_else(|| asked.to_owned(), |(kind, _)| (*kind).to_owned())
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
