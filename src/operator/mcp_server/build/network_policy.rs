//! Who reaches the pods, and what they reach. A pilothouse outside the cluster comes by port-forward, that is from
//! the node, which no policy keeps out.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
        util::intstr::IntOrString,
    },
};
use url::{Host, Url};

use super::{Around, labels};
use crate::operator::mcp_server::validate::{Measured, Owner, Workload};

/// Every namespace has it since Kubernetes 1.22.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Where monitoring usually runs; elsewhere it is known by the label of its pods.
const MONITORING: [&str; 5] = [
    "monitoring",
    "observability",
    "openshift-monitoring",
    "openshift-user-workload-monitoring",
    "prometheus",
];
/// OpenShift's DNS pods listen on the second.
const DNS: [i32; 2] = [53, 5353];

pub(super) fn build(
    owner: &Owner,
    workload: &Workload,
    around: &Around<'_>,
    child_labels: &BTreeMap<String, String>,
) -> Option<NetworkPolicy> {
    let listed = workload.network_policy.as_ref()?;
    let port = i32::from(workload.port);
    let callers = if workload.ingress.is_some() {
        // Which pods or addresses an ingress controller comes from is not known, and behind it is everybody.
        None
    } else {
        Some([vec![pilothouse(around.own_namespace)], listed.ingress_from.clone()].concat())
    };
    let mut ingress = vec![NetworkPolicyIngressRule { from: callers, ports: Some(vec![on("TCP", port)]) }];
    ingress.extend(workload.metrics.as_ref().map(|metrics| monitoring(metrics, workload.port)));
    let mut egress = vec![NetworkPolicyEgressRule {
        to: None,
        ports: Some(DNS.iter().flat_map(|port| ["UDP", "TCP"].map(|protocol| on(protocol, *port))).collect()),
    }];
    egress.extend(workload.tracing.as_ref().map(|traced| collector(&traced.endpoint, &owner.name.namespace)));
    egress.extend(listed.egress.iter().cloned());
    Some(NetworkPolicy {
        metadata: labels::metadata(owner, child_labels),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(matching(labels::matching(&owner.name.name))),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some(egress),
        }),
    })
}

fn pilothouse(namespace: &str) -> NetworkPolicyPeer {
    let pods = [("app.kubernetes.io/name", "pilothouse"), ("app.kubernetes.io/component", "server")];
    NetworkPolicyPeer {
        namespace_selector: Some(named([namespace])),
        pod_selector: Some(matching(pods.map(|(key, value)| (key.to_owned(), value.to_owned())).into())),
        ip_block: None,
    }
}

fn monitoring(metrics: &Measured, server_port: u16) -> NetworkPolicyIngressRule {
    let monitor = metrics.monitor.as_ref().and_then(|monitor| monitor.namespace.as_deref());
    let namespaces = NetworkPolicyPeer {
        namespace_selector: Some(named(MONITORING.into_iter().chain(monitor))),
        ..NetworkPolicyPeer::default()
    };
    let prometheus = [("app.kubernetes.io/name".to_owned(), "prometheus".to_owned())];
    let pods = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(matching(prometheus.into())),
        ip_block: None,
    };
    NetworkPolicyIngressRule {
        from: Some(vec![namespaces, pods]),
        ports: Some(vec![on("TCP", i32::from(metrics.port.unwrap_or(server_port)))]),
    }
}

/// A Service's name says a namespace, an address itself; of another name only the port is known. The port of a
/// Service need not be that of its pods.
fn collector(endpoint: &Url, own_namespace: &str) -> NetworkPolicyEgressRule {
    let port = endpoint.port_or_known_default().map(i32::from);
    let ports = port.map(|port| vec![on("TCP", port)]);
    let block = |cidr: String| NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr, except: None }),
        ..NetworkPolicyPeer::default()
    };
    match endpoint.host() {
        Some(Host::Ipv4(address)) => {
            NetworkPolicyEgressRule { to: Some(vec![block(format!("{address}/32"))]), ports }
        }
        Some(Host::Ipv6(address)) => {
            NetworkPolicyEgressRule { to: Some(vec![block(format!("{address}/128"))]), ports }
        }
        Some(Host::Domain(name)) => match service_namespace(name, own_namespace) {
            Some(namespace) => NetworkPolicyEgressRule {
                to: Some(vec![NetworkPolicyPeer {
                    namespace_selector: Some(named([namespace])),
                    ..NetworkPolicyPeer::default()
                }]),
                ports: None,
            },
            None => NetworkPolicyEgressRule { to: None, ports },
        },
        None => NetworkPolicyEgressRule { to: None, ports },
    }
}

/// `svc`, `svc.namespace`, `svc.namespace.svc` and what follows.
fn service_namespace<'a>(host: &'a str, own: &'a str) -> Option<&'a str> {
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    match labels.as_slice() {
        [_] => Some(own),
        [_, namespace] => Some(namespace),
        [_, namespace, "svc", ..] => Some(namespace),
        _ => None,
    }
}

fn matching(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

fn named<'a>(namespaces: impl IntoIterator<Item = &'a str>) -> LabelSelector {
    LabelSelector {
        match_labels: None,
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: NAMESPACE_NAME.to_owned(),
            operator: "In".to_owned(),
            values: Some(namespaces.into_iter().map(str::to_owned).collect()),
        }]),
    }
}

fn on(protocol: &str, port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(port)),
        end_port: None,
    }
}

#[cfg(test)]
mod tests {
    use super::service_namespace;

    #[test]
    fn a_service_name_says_its_namespace() {
        let cases = [
            ("collector", Some("team-a")),
            ("collector.monitoring", Some("monitoring")),
            ("collector.monitoring.svc.cluster.local", Some("monitoring")),
            ("otlp.example.com", None),
        ];
        for (host, namespace) in cases {
            assert_eq!(service_namespace(host, "team-a"), namespace, "{host}");
        }
    }
}
