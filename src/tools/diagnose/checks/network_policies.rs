//! Network policies that keep traffic from a Service's pods, or names from those who ask for them.
//!
//! Policies are judged as they are written; whether the cluster's network enforces them cannot be seen from here. A
//! default deny is as it should be as long as another policy lets in what is meant to come.

mod rules;

use k8s_openapi::{
    api::{core::v1::PodSpec, networking::v1::NetworkPolicy},
    apimachinery::pkg::util::intstr::IntOrString,
};

use self::rules::{Direction, End, Isolation};
use crate::tools::diagnose::{
    cause::Cause,
    finding::{Evidence, Finding, ObjectRef, Severity},
    look::reference,
    owning::workloads,
    picture::Picture,
    ports::port_named,
    routing::{Way, ways},
    selecting::{Labels, has_all, labels_words, nearest, words},
    users::{User, users},
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    if picture.network_policies.is_empty() || picture.unread.contains_key("NetworkPolicy") {
        return;
    }
    let ends = ends(picture);
    let case = Case { picture, ends: &ends, ways: ways(picture) };
    for (object, selector, ports) in case.services() {
        findings.extend(case.towards(&object, selector, &ports));
    }
    findings.extend(ends.iter().filter_map(|end| case.names(end)));
}

/// Everything that has or makes pods.
fn ends(picture: &Picture) -> Vec<End<'_>> {
    let makers = workloads(picture).into_iter().filter(|workload| workload.replicas != Some(0));
    let makers = makers.map(|workload| End {
        object: workload.object,
        labels: workload.labels,
        spec: Some(workload.spec),
    });
    // Pods of makers that are not known: of custom ones, or of none.
    let others = picture.pods.iter().filter_map(|pod| {
        let owner = picture.owner_of(pod);
        let is_known = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"]
            .contains(&owner.kind.as_str());
        let labels = pod.metadata.labels.as_ref();
        (!is_known).then(|| End { object: reference("Pod", &pod.metadata), labels, spec: pod.spec.as_ref() })
    });
    makers.chain(others).collect()
}

struct Case<'a> {
    picture: &'a Picture,
    ends: &'a [End<'a>],
    ways: Vec<Way>,
}

/// A port of the pods of a Service.
struct Target {
    port: IntOrString,
    protocol: String,
}

impl<'a> Case<'a> {
    fn services(&self) -> Vec<(ObjectRef, &'a Labels, Vec<Target>)> {
        let services = self.picture.services.iter().filter_map(|service| {
            let spec = service.spec.as_ref()?;
            let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
            let ports = spec.ports.iter().flatten().map(|port| Target {
                port: port.target_port.clone().unwrap_or(IntOrString::Int(port.port)),
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            });
            Some((reference("Service", &service.metadata), selector, ports.collect()))
        });
        services.collect()
    }

    fn towards(&self, service: &ObjectRef, selector: &Labels, ports: &[Target]) -> Option<Finding> {
        let back = self
            .ends
            .iter()
            .find(|end| end.object.namespace == service.namespace && has_all(selector, end.labels))?;
        let users = users(self.picture, &self.ways, service);
        let into = Isolation::of(self.picture, back, Direction::In);
        if let Some(into) = &into {
            let open: Vec<&Target> = ports
                .iter()
                .filter(|target| {
                    into.allows_somebody(self.picture, self.ends, number(back.spec, target), &target.protocol)
                })
                .collect();
            if open.is_empty() && !ports.is_empty() {
                return Some(self.closed(service, back, ports, into, users));
            }
        }
        users.iter().find_map(|user| self.refused(service, back, ports, into.as_ref(), user))
    }

    /// Nobody comes in on any of the ports.
    fn closed(
        &self,
        service: &ObjectRef,
        back: &End<'_>,
        ports: &[Target],
        into: &Isolation<'_>,
        users: Vec<User>,
    ) -> Finding {
        let shown = ports.iter().map(|target| shown(&target.port)).collect::<Vec<_>>().join(", ");
        let (policy, why, change) = self.why_closed(back, ports, into, &shown);
        let object = reference("NetworkPolicy", &policy.metadata);
        let mechanism = format!(
            "NetworkPolicy {} {why}: nothing may reach port {shown} of {}, which Service {} leads to (as the policies are written)",
            object.name,
            back.object.words(),
            service.name
        );
        let severity = if users.is_empty() { Severity::Warning } else { Severity::Critical };
        let confirm = format!(
            "list_resources networkpolicies in {}; try the Service from a pod that should reach it",
            object.namespace
        );
        let finding = Finding::new(severity, Cause::NetworkPolicyBlocks, &object, mechanism, confirm, change);
        let (objects, evidence): (Vec<ObjectRef>, Vec<Evidence>) =
            users.into_iter().map(|user| (user.object, user.evidence)).unzip();
        finding
            .shown_by([
                Evidence::field(&object, "spec.podSelector", words(&selector(policy))),
                Evidence::field(&object, "spec.ingress", into.rules_words(policy)),
            ])
            .shown_by(evidence)
            .affecting([service.clone(), back.object.clone()])
            .affecting(objects)
    }

    /// Of the policies that select the pods the one to change: that which nearly lets it in.
    fn why_closed<'p>(
        &self,
        back: &End<'_>,
        ports: &[Target],
        into: &Isolation<'p>,
        shown: &str,
    ) -> (&'p NetworkPolicy, String, String) {
        for target in ports {
            let rules = into.rules_on(number(back.spec, target), &target.protocol);
            // A rule of the right port whose peers are nobody.
            if let Some((policy, rule)) = rules.first() {
                let peers = rules::peers_words(rule.peers);
                let wanted = rule
                    .peers
                    .iter()
                    .flat_map(|peers| peers.iter())
                    .find_map(|peer| peer.pod_selector.as_ref());
                let wanted = wanted.and_then(|selector| selector.match_labels.as_ref());
                let others = self.ends.iter().filter(|end| end.object.namespace == back.object.namespace);
                let others =
                    others.filter(|end| end.object != back.object).map(|end| (&end.object, end.labels));
                let near = wanted.and_then(|wanted| nearest(wanted, others));
                let near_words = near.map(|near| {
                    let words: Vec<String> =
                        near.differences.iter().map(|difference| difference.words()).collect();
                    format!("; nearest is {}: {}", near.what.words(), words.join("; "))
                });
                let why = format!("lets in only {peers}, which no pod is{}", near_words.unwrap_or_default());
                return (
                    policy,
                    why,
                    "spec.ingress[].from: the labels of those who shall come in".to_owned(),
                );
            }
        }
        // Rules for other ports than the pods have.
        if let Some((policy, other)) = into.other_ports() {
            let why = format!("lets in only on port {other}");
            return (policy, why, format!("spec.ingress[].ports: {shown}"));
        }
        let why = "lets nothing in and no other policy does".to_owned();
        let labels = back.labels.map(labels_words).unwrap_or_default();
        let change = format!("a NetworkPolicy that lets in to {labels} on port {shown} those who shall come");
        (into.nearest_policy(), why, change)
    }

    /// One workload that is told to use the Service, and is not among those who may.
    fn refused(
        &self,
        service: &ObjectRef,
        back: &End<'_>,
        ports: &[Target],
        into: Option<&Isolation<'_>>,
        user: &User,
    ) -> Option<Finding> {
        let client = self.ends.iter().find(|end| end.object == user.object && end.object != back.object)?;
        let out = Isolation::of(self.picture, client, Direction::Out);
        let stops = |isolation: &&Isolation<'_>, peer: &End<'_>| {
            !ports.iter().any(|target| {
                isolation.allows(self.picture, peer, number(back.spec, target), &target.protocol)
            })
        };
        if ports.is_empty() {
            return None;
        }
        let shown = ports.iter().map(|target| shown(&target.port)).collect::<Vec<_>>().join(", ");
        let (policy, who, why, field, labels) =
            match (into.filter(|into| stops(into, client)), out.as_ref().filter(|out| stops(out, back))) {
                (Some(into), _) => {
                    let policy = into.nearest_policy();
                    let who = into.rules_words(policy);
                    let why = format!("lets in to {} only {who}", back.object.words());
                    (policy, who, why, "spec.ingress", client.labels)
                }
                (None, Some(out)) => {
                    let policy = out.nearest_policy();
                    let who = out.rules_words(policy);
                    let why = format!("lets {} out only to {who}", client.object.words());
                    (policy, who, why, "spec.egress", back.labels)
                }
                (None, None) => return None,
            };
        let object = reference("NetworkPolicy", &policy.metadata);
        let labels = labels.map(labels_words).unwrap_or_default();
        let mechanism = format!(
            "NetworkPolicy {} {why}: {} is set to use Service {} and may not reach port {shown} (as the policies are written)",
            object.name,
            client.object.words(),
            service.name
        );
        let confirm =
            format!("get_logs of {}: connections to {} that time out", client.object.words(), service.name);
        let change = format!("{field}: also {labels}, on port {shown}");
        let finding =
            Finding::new(Severity::Critical, Cause::NetworkPolicyBlocks, &object, mechanism, confirm, change);
        let rules = Evidence::field(&object, field, who);
        Some(finding.shown_by([rules, user.evidence.clone()]).affecting([client.object.clone()]))
    }

    /// Something may leave to certain peers, but not ask for their names, and its logs or settings show that it must.
    fn names(&self, end: &End<'_>) -> Option<Finding> {
        let out = Isolation::of(self.picture, end, Direction::Out)?;
        if ["UDP", "TCP"].iter().any(|protocol| out.has_rule_on(53, protocol)) {
            return None;
        }
        let cannot_resolve = self.picture.logs.iter().find_map(|log| {
            let mine = self.picture.pods.iter().any(|pod| {
                pod.metadata.name.as_ref() == Some(&log.pod)
                    && pod.metadata.namespace.as_ref() == Some(&log.namespace)
                    && (self.picture.owner_of(pod) == end.object
                        || reference("Pod", &pod.metadata) == end.object)
            });
            let line = log.lines.iter().rev().find(|line| speaks_of_names(line))?;
            mine.then(|| Evidence::Log {
                object: ObjectRef::new("Pod", &log.namespace, &log.pod),
                container: log.container.clone(),
                previous: log.previous,
                line: line.clone(),
            })
        });
        let policy = out.nearest_policy();
        let named = self.picture.services.iter().find_map(|service| {
            let service = reference("Service", &service.metadata);
            users(self.picture, &[], &service).into_iter().find(|user| user.object == end.object)
        });
        // Letting nothing out at all may be meant; letting something out without its name hardly is.
        let meant = named.filter(|_| out.has_rules());
        let severity = if cannot_resolve.is_some() { Severity::Critical } else { Severity::Warning };
        let shown = cannot_resolve.or(meant.map(|user| user.evidence))?;
        let object = reference("NetworkPolicy", &policy.metadata);
        let mechanism = format!(
            "NetworkPolicy {} lets {} out only to {}, not to DNS (port 53): it cannot resolve any name (as the policies are written)",
            object.name,
            end.object.words(),
            out.rules_words(policy)
        );
        let confirm = format!("get_logs of {}: names that do not resolve", end.object.words());
        let change = "spec.egress: also ports 53 UDP and TCP, to kube-system";
        let finding = Finding::new(severity, Cause::NetworkPolicyBlocks, &object, mechanism, confirm, change);
        let rules = Evidence::field(&object, "spec.egress", out.rules_words(policy));
        Some(finding.shown_by([rules, shown]).affecting([end.object.clone()]))
    }
}

fn selector(policy: &NetworkPolicy) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector {
    policy.spec.as_ref().and_then(|spec| spec.pod_selector.clone()).unwrap_or_default()
}

/// Of the pods: a name is looked up in their containers.
fn number(spec: Option<&PodSpec>, target: &Target) -> Option<i32> {
    match &target.port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => Some(port_named(spec?, name, &target.protocol)?.container_port),
    }
}

fn shown(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

fn speaks_of_names(line: &str) -> bool {
    let line = line.to_lowercase();
    [
        "no such host",
        "name resolution",
        "name or service not known",
        "could not resolve",
        "can't resolve",
        "cannot resolve",
        "bad address",
        "getaddrinfo",
        "eai_again",
        "server misbehaving",
        "unknownhostexception",
    ]
    .iter()
    .any(|words| line.contains(words))
        || (line.contains("lookup ") && line.contains("timeout"))
}

#[cfg(test)]
mod tests;
