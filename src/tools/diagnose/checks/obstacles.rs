//! What the scheduler says of the nodes, and which of it matters for a pod.

use std::cmp::Reverse;

use k8s_openapi::api::core::v1::{Node, PodSpec};

use super::placement::{is_selected, untolerated};

/// Why some nodes do not take a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    // In the order in which one explains more than the other.
    NodeSelector,
    VolumeAffinity,
    VolumeInUse,
    HostPort,
    AntiAffinity,
    Spread,
    Taint,
    Unschedulable,
    Resources,
    /// Told by the check of storage, which knows the claim.
    Claim,
}

/// Why, of how many nodes, and in the scheduler's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub(super) nodes: u32,
    pub(super) why: Why,
    pub(super) words: String,
}

/// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}. preemption: ...`
pub(super) fn obstacles(message: &str) -> Vec<Obstacle> {
    let message = message.split(" preemption:").next().unwrap_or(message);
    let reasons = message.split_once(": ").map_or(message, |(_, reasons)| reasons);
    let mut found = Vec::new();
    for part in reasons.split(", ") {
        let part = part.trim().trim_end_matches('.');
        let (nodes, words) = match part.split_once(' ') {
            Some((count, words)) if count.parse::<u32>().is_ok() => (count.parse().unwrap_or(0), words),
            _ => (1, part),
        };
        if let Some(why) = why(words) {
            found.push(Obstacle { nodes, why, words: words.to_owned() });
        }
    }
    found
}

fn why(words: &str) -> Option<Why> {
    let has = |part: &str| words.contains(part);
    Some(if has("ReadWriteOncePod") {
        Why::VolumeInUse
    } else if has("persistentvolumeclaim")
        || has("PersistentVolumeClaims")
        || has("persistent volumes to bind")
    {
        Why::Claim
    } else if has("Insufficient") || has("Too many pods") || has("max volume count") {
        Why::Resources
    } else if has("node affinity/selector") || has("node selector") {
        Why::NodeSelector
    } else if has("volume node affinity") || has("PersistentVolume's node affinity") {
        Why::VolumeAffinity
    } else if has("topology spread") {
        Why::Spread
    } else if has("affinity") {
        Why::AntiAffinity
    } else if has("free ports") {
        Why::HostPort
    } else if has("taint") {
        Why::Taint
    } else if has("unschedulable") {
        Why::Unschedulable
    } else {
        return None;
    })
}

/// The one that keeps most nodes away; of equals the one that explains more.
fn worst<'a>(obstacles: &[&'a Obstacle]) -> Option<&'a Obstacle> {
    obstacles.iter().copied().min_by_key(|obstacle| (Reverse(obstacle.nodes), obstacle.why))
}

/// The obstacle on the nodes that could be meant: those that the pod does not select are no loss where it selects
/// others, and of these the tainted ones are none where others are not.
pub(super) fn deciding<'a>(
    obstacles: &'a [Obstacle],
    spec: &PodSpec,
    nodes: &[Node],
) -> Option<&'a Obstacle> {
    let is_open = nodes.iter().any(|node| is_selected(spec, node) && untolerated(spec, node).is_none());
    let is_selecting = nodes.iter().any(|node| is_selected(spec, node));
    let passed = |why: Why| match why {
        Why::NodeSelector => is_selecting,
        Why::Taint => is_open,
        _ => false,
    };
    let left: Vec<&Obstacle> = obstacles.iter().filter(|obstacle| !passed(obstacle.why)).collect();
    let first = |why: Why| left.iter().copied().find(|obstacle| obstacle.why == why);
    let by_labels = first(Why::NodeSelector).filter(|_| !nodes.is_empty());
    let by_taint = first(Why::Taint).filter(|_| is_selecting);
    by_labels.or(by_taint).or_else(|| worst(&left)).or_else(|| obstacles.first())
}

#[cfg(test)]
mod tests {
    use super::{PodSpec, Why, deciding, obstacles};

    #[test]
    fn the_schedulers_words_are_understood() {
        for (message, why, nodes) in [
            (
                "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 x.",
                Why::Resources,
                1,
            ),
            (
                "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient cpu.",
                Why::Resources,
                2,
            ),
            (
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
                Why::NodeSelector,
                1,
            ),
            (
                "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
                Why::AntiAffinity,
                1,
            ),
            (
                "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
                Why::HostPort,
                1,
            ),
            ("0/1 nodes are available: persistentvolumeclaim \"x\" not found.", Why::Claim, 1),
            ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", Why::Claim, 1),
            (
                "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label).",
                Why::Spread,
                1,
            ),
            ("0/1 nodes are available: 1 node(s) had volume node affinity conflict.", Why::VolumeAffinity, 1),
            (
                "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity.",
                Why::VolumeAffinity,
                1,
            ),
            (
                "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode.",
                Why::VolumeInUse,
                1,
            ),
            ("0/1 nodes are available: 1 node(s) were unschedulable.", Why::Unschedulable, 1),
        ] {
            let obstacles = obstacles(message);
            let worst = deciding(&obstacles, &PodSpec::default(), &[]);
            assert_eq!(worst.map(|worst| (worst.why, worst.nodes)), Some((why, nodes)), "{message}");
        }
    }
}
