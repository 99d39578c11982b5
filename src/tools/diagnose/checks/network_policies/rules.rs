//! What the policies that select a pod let in or out, taken together.

use k8s_openapi::{
    api::{
        core::v1::PodSpec,
        networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::tools::diagnose::{
    customs,
    finding::ObjectRef,
    look::reference,
    picture::{Picture, Scope},
    ports::port_named,
    selecting::{Labels, selects, words},
};

/// One side of a connection: a workload or a pod.
pub(super) struct End<'a> {
    pub(super) object: ObjectRef,
    pub(super) labels: Option<&'a Labels>,
    pub(super) spec: Option<&'a PodSpec>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// One rule; no peers means everybody, no ports every port.
#[derive(Clone, Copy)]
pub(super) struct Rule<'a> {
    pub(super) peers: Option<&'a [NetworkPolicyPeer]>,
    ports: Option<&'a [NetworkPolicyPort]>,
}

/// The policies that hold one end to their rules in one direction.
pub(super) struct Isolation<'a> {
    direction: Direction,
    /// In the order of their names, as the API server lists them.
    first: &'a NetworkPolicy,
    others: Vec<&'a NetworkPolicy>,
    namespace: String,
    spec: Option<&'a PodSpec>,
}

impl<'a> Isolation<'a> {
    /// None where no policy does: everything is allowed.
    pub(super) fn of(picture: &'a Picture, end: &End<'a>, direction: Direction) -> Option<Self> {
        let mut policies = picture.network_policies.iter().filter(|policy| {
            policy.metadata.namespace.as_ref() == Some(&end.object.namespace)
                && policy.spec.as_ref().is_some_and(|spec| {
                    let chosen =
                        spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, end.labels));
                    let kinds = spec.policy_types.as_deref().unwrap_or_default();
                    let word = match direction {
                        Direction::In => "Ingress",
                        Direction::Out => "Egress",
                    };
                    // Without types: ingress always, egress where it has rules for it.
                    let by_default = direction == Direction::In || spec.egress.is_some();
                    chosen
                        && if kinds.is_empty() { by_default } else { kinds.iter().any(|kind| kind == word) }
                })
        });
        let first = policies.next()?;
        let others = policies.collect();
        Some(Self { direction, first, others, namespace: end.object.namespace.clone(), spec: end.spec })
    }

    fn of_policy(&self, policy: &'a NetworkPolicy) -> Vec<Rule<'a>> {
        fn rule<'a>(
            peers: Option<&'a Vec<NetworkPolicyPeer>>,
            ports: Option<&'a Vec<NetworkPolicyPort>>,
        ) -> Rule<'a> {
            // An empty list means the same as none.
            Rule {
                peers: peers.map(Vec::as_slice).filter(|peers| !peers.is_empty()),
                ports: ports.map(Vec::as_slice).filter(|ports| !ports.is_empty()),
            }
        }
        let Some(spec) = &policy.spec else { return Vec::new() };
        match self.direction {
            Direction::In => spec
                .ingress
                .iter()
                .flatten()
                .map(|into| rule(into.from.as_ref(), into.ports.as_ref()))
                .collect(),
            Direction::Out => {
                spec.egress.iter().flatten().map(|out| rule(out.to.as_ref(), out.ports.as_ref())).collect()
            }
        }
    }

    fn rules(&self) -> impl Iterator<Item = (&'a NetworkPolicy, Rule<'a>)> {
        let policies = std::iter::once(self.first).chain(self.others.iter().copied());
        policies.flat_map(|policy| self.of_policy(policy).into_iter().map(move |rule| (policy, rule)))
    }

    pub(super) fn has_rules(&self) -> bool {
        self.rules().next().is_some()
    }

    /// The rules that speak of this port of the pods. A port whose number is not known fits every rule.
    pub(super) fn rules_on(&self, port: Option<i32>, protocol: &str) -> Vec<(&'a NetworkPolicy, Rule<'a>)> {
        self.rules().filter(|(_, rule)| self.fits(rule, port, protocol)).collect()
    }

    pub(super) fn has_rule_on(&self, port: i32, protocol: &str) -> bool {
        self.rules().any(|(_, rule)| self.fits(&rule, Some(port), protocol))
    }

    fn fits(&self, rule: &Rule<'_>, port: Option<i32>, protocol: &str) -> bool {
        let (Some(ports), Some(number)) = (rule.ports, port) else { return true };
        ports.iter().any(|allowed| {
            let NetworkPolicyPort { end_port, port, protocol: kind } = allowed;
            if kind.as_deref().unwrap_or("TCP") != protocol {
                return false;
            }
            match (port, end_port) {
                (None, _) => true,
                (Some(IntOrString::Int(first)), Some(last)) => (*first..=*last).contains(&number),
                (Some(IntOrString::Int(only)), None) => *only == number,
                // A name is one of the pods that are reached; outwards those are others, whose names are not known here.
                (Some(IntOrString::String(name)), _) => {
                    let named = self.spec.and_then(|spec| port_named(spec, name, protocol));
                    self.direction == Direction::Out
                        || named.is_some_and(|named| named.container_port == number)
                }
            }
        })
    }

    pub(super) fn allows(
        &self,
        picture: &Picture,
        peer: &End<'_>,
        port: Option<i32>,
        protocol: &str,
    ) -> bool {
        self.rules_on(port, protocol).into_iter().any(|(_, rule)| {
            rule.peers.is_none_or(|peers| peers.iter().any(|allowed| self.is_peer(picture, allowed, peer)))
        })
    }

    /// Whether anybody at all may come in on this port, as far as can be known.
    pub(super) fn allows_somebody(
        &self,
        picture: &Picture,
        ends: &[End<'_>],
        port: Option<i32>,
        protocol: &str,
    ) -> bool {
        self.rules_on(port, protocol).into_iter().any(|(_, rule)| {
            rule.peers.is_none_or(|peers| peers.iter().any(|peer| self.is_somebody(picture, ends, peer)))
        })
    }

    fn is_peer(&self, picture: &Picture, allowed: &NetworkPolicyPeer, peer: &End<'_>) -> bool {
        let NetworkPolicyPeer { ip_block, namespace_selector, pod_selector } = allowed;
        if ip_block.is_some() {
            // Which addresses pods have is not known.
            return true;
        }
        let pods = pod_selector.as_ref().is_none_or(|selector| selects(selector, peer.labels));
        let Some(selector) = namespace_selector else {
            return pods && peer.object.namespace == self.namespace;
        };
        let namespace = picture
            .namespaces
            .iter()
            .find(|known| known.metadata.name.as_ref() == Some(&peer.object.namespace));
        // A namespace that was not read may have any labels.
        pods && namespace.is_none_or(|namespace| selects(selector, namespace.metadata.labels.as_ref()))
    }

    fn is_somebody(&self, picture: &Picture, ends: &[End<'_>], allowed: &NetworkPolicyPeer) -> bool {
        let NetworkPolicyPeer { ip_block, namespace_selector, pod_selector } = allowed;
        if ip_block.is_some() {
            return true;
        }
        let all_seen = matches!(picture.scope, Scope::Cluster) && !picture.unread.contains_key("Namespace");
        let namespaces: Vec<&str> = match namespace_selector {
            None => vec![self.namespace.as_str()],
            Some(_) if !all_seen => return true,
            Some(selector) => picture
                .namespaces
                .iter()
                .filter(|known| selects(selector, known.metadata.labels.as_ref()))
                .filter_map(|known| known.metadata.name.as_deref())
                .collect(),
        };
        let Some(selector) = pod_selector else { return !namespaces.is_empty() };
        let pods = ends
            .iter()
            .any(|end| namespaces.contains(&end.object.namespace.as_str()) && selects(selector, end.labels));
        let made_otherwise = picture.custom.iter().any(|value| {
            let labels = customs::template_labels(value);
            namespaces.contains(&customs::text(value, "/metadata/namespace"))
                && labels.is_some_and(|labels| selects(selector, Some(&labels)))
        });
        pods || made_otherwise
    }

    /// A policy that lets something in on another port, and that port.
    pub(super) fn other_ports(&self) -> Option<(&'a NetworkPolicy, String)> {
        self.rules().find_map(|(policy, rule)| Some((policy, ports_words(rule.ports?))))
    }

    /// The policy with rules, which a further rule would go to; else the first.
    pub(super) fn nearest_policy(&self) -> &'a NetworkPolicy {
        self.rules().map(|(policy, _)| policy).next().unwrap_or(self.first)
    }

    /// `app=front on 8080; everybody on 9090`, `nobody`.
    pub(super) fn rules_words(&self, policy: &NetworkPolicy) -> String {
        let mine =
            self.rules().filter(|(of, _)| reference("", &of.metadata) == reference("", &policy.metadata));
        let all: Vec<String> = mine
            .map(|(_, rule)| match rule.ports {
                Some(ports) => format!("{} on {}", peers_words(rule.peers), ports_words(ports)),
                None => peers_words(rule.peers),
            })
            .collect();
        if all.is_empty() { "nobody".to_owned() } else { all.join("; ") }
    }
}

/// `pods app=front or namespaces team=a`.
pub(super) fn peers_words(peers: Option<&[NetworkPolicyPeer]>) -> String {
    let Some(peers) = peers else { return "everybody".to_owned() };
    let one = |peer: &NetworkPolicyPeer| {
        let NetworkPolicyPeer { ip_block, namespace_selector, pod_selector } = peer;
        if let Some(block) = ip_block {
            return block.cidr.clone();
        }
        match (pod_selector, namespace_selector) {
            (Some(pods), None) => format!("pods {}", words(pods)),
            (Some(pods), Some(namespaces)) => {
                format!("pods {} in namespaces {}", words(pods), words(namespaces))
            }
            (None, Some(namespaces)) => format!("namespaces {}", words(namespaces)),
            (None, None) => "nobody".to_owned(),
        }
    };
    peers.iter().map(one).collect::<Vec<_>>().join(" or ")
}

fn ports_words(ports: &[NetworkPolicyPort]) -> String {
    let one = |port: &NetworkPolicyPort| {
        let NetworkPolicyPort { end_port, port, protocol } = port;
        let protocol = protocol.as_deref().filter(|protocol| *protocol != "TCP");
        let protocol = protocol.map_or_else(String::new, |protocol| format!("/{protocol}"));
        let number = match port {
            Some(IntOrString::Int(number)) => number.to_string(),
            Some(IntOrString::String(name)) => name.clone(),
            None => "any".to_owned(),
        };
        match end_port {
            Some(last) => format!("{number}-{last}{protocol}"),
            None => format!("{number}{protocol}"),
        }
    };
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}
