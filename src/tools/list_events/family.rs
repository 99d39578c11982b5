//! Which objects a workload has made, told by the names that controllers give. Events outlive their objects, so
//! owner references cannot be asked.

/// The name that replicas of one workload share: without the parts that controllers add.
pub(in crate::tools) fn stem<'a>(kind: &str, name: &'a str) -> &'a str {
    if kind != "Pod" {
        return name;
    }
    let Some((rest, last)) = name.rsplit_once('-') else { return name };
    if !is_suffix(last) {
        return name;
    }
    match rest.rsplit_once('-') {
        Some((workload, hash)) if is_hash(hash) => workload,
        _ => rest,
    }
}

/// Whether objects of this kind make others.
pub(super) fn is_maker(kind: &str) -> bool {
    ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"].contains(&kind)
}

/// Whether an object is the workload itself, or has a name as for an object that the workload makes.
pub(in crate::tools) fn is_of(kind: &str, name: &str, other_kind: &str, other: &str) -> bool {
    if other_kind == kind {
        return other == name;
    }
    let Some(added) = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let parts: Vec<&str> = added.split('-').collect();
    match (kind, other_kind, parts.as_slice()) {
        ("Deployment", "ReplicaSet", [hash]) => is_hash(hash),
        ("Deployment", "Pod", [hash, pod]) => is_hash(hash) && is_suffix(pod),
        ("ReplicaSet" | "DaemonSet" | "Job", "Pod", [pod]) => is_suffix(pod),
        ("StatefulSet", "Pod", [number]) | ("CronJob", "Job", [number]) => is_number(number),
        // Of an indexed Job, the index.
        ("CronJob" | "Job", "Pod", [number, pod]) => is_number(number) && is_suffix(pod),
        _ => false,
    }
}

fn is_number(part: &str) -> bool {
    part.parse::<u64>().is_ok()
}

/// Of a pod template.
fn is_hash(part: &str) -> bool {
    (6..=10).contains(&part.len()) && is_random(part)
}

/// Of one pod.
fn is_suffix(part: &str) -> bool {
    part.len() == 5 && is_random(part)
}

/// Kubernetes makes names of these alone.
fn is_random(part: &str) -> bool {
    part.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c))
}

#[cfg(test)]
mod tests {
    use super::{is_of, stem};

    #[test]
    fn replicas_of_a_workload_share_a_stem() {
        assert_eq!(stem("Pod", "cart-6c8d9f7b5c-x2x4z"), "cart");
        assert_eq!(stem("Pod", "agent-x2x4z"), "agent");
        assert_eq!(stem("Pod", "db-0"), "db-0");
        assert_eq!(stem("Pod", "my-api"), "my-api");
        assert_eq!(stem("Service", "cart-6c8d9f7b5c-x2x4z"), "cart-6c8d9f7b5c-x2x4z");
    }

    #[test]
    fn what_a_workload_made_is_known_by_its_name() {
        for (kind, other_kind, other, expected) in [
            ("Deployment", "Deployment", "cart", true),
            ("Deployment", "ReplicaSet", "cart-6c8d9f7b5c", true),
            ("Deployment", "Pod", "cart-6c8d9f7b5c-x2x4z", true),
            ("Deployment", "Pod", "cart-db-6c8d9f7b5c-x2x4z", false),
            ("Deployment", "Service", "cart", false),
            ("Deployment", "Deployment", "cart-db", false),
            ("StatefulSet", "Pod", "cart-0", true),
            ("DaemonSet", "Pod", "cart-x2x4z", true),
            ("DaemonSet", "Pod", "cart-6c8d9f7b5c-x2x4z", false),
            ("CronJob", "Job", "cart-29384750", true),
            ("CronJob", "Pod", "cart-29384750-x2x4z", true),
        ] {
            assert_eq!(is_of(kind, "cart", other_kind, other), expected, "{kind} {other_kind} {other}");
        }
    }
}
