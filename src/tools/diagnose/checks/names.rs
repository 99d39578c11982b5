//! Names that containers cannot resolve, as their own logs tell; and pods that ask the wrong servers for them.

use std::sync::LazyLock;

use regex::Regex;

use super::subject::{Subject, subjects};
use crate::tools::diagnose::{
    cause::Cause,
    finding::{Finding, ObjectRef, Severity},
    look::reference,
    picture::{LogFacts, Picture},
    pods::is_ready,
    reach::has_all,
};

/// What resolvers say, and where in it the name stands, if it does.
static SAYS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        r"(?i)lookup ([a-z0-9.-]+)(?: on [^:]+:\d+)?: (?:no such host|server misbehaving|i/o timeout)",
        r"(?i)could not resolve host:? '?([a-z0-9.-]+)",
        r"(?i)cannot resolve '?([a-z0-9.-]+)",
        r"(?i)can't resolve '?([a-z0-9.-]+)",
        r"(?i)bad address '?([a-z0-9.-]+)",
        r"(?i)unable to resolve host(?: address)? '?([a-z0-9.-]+)",
        r"(?i)getaddrinfo (?:ENOTFOUND|EAI_AGAIN) ([a-z0-9.-]+)",
        r"(?i)server can't find ([a-z0-9.-]+): NXDOMAIN",
        r#"(?i)could not translate host name "([a-z0-9.-]+)""#,
        r"(?i)UnknownHostException: ([a-z0-9.-]+)",
        r"(?i)(?:host|name|address)[^a-z]+([a-z0-9.-]+)[^a-z]+(?:temporary failure in name resolution|name or service not known)",
        r"(?i)([a-z0-9-]+(?:\.[a-z0-9-]+)+)[: '\x22]+(?:temporary failure in name resolution|name or service not known|nxdomain|no such host)",
        r"(?i)()(?:temporary failure in name resolution|name or service not known|no such host|NXDOMAIN)",
    ]
    .iter()
    .filter_map(|pattern| Regex::new(pattern).ok())
    .collect()
});

/// A name that a container's log says cannot be resolved; the name is empty where the log does not say it.
pub(super) struct Unresolved<'a> {
    pub(super) name: String,
    log: &'a LogFacts,
    line: &'a str,
}

pub(super) fn unresolved<'a>(subject: &Subject<'a>, container: &str) -> Option<Unresolved<'a>> {
    let log = subject.log(container)?;
    log.lines.iter().rev().find_map(|line| {
        let name = name_in(line)?;
        Some(Unresolved { name, log, line })
    })
}

fn name_in(line: &str) -> Option<String> {
    let found = SAYS.iter().find_map(|says| says.captures(line))?;
    let name = found.get(1).map_or("", |name| name.as_str());
    Some(name.trim_matches(['.', '-', ':']).to_owned())
}

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        for unit in subject.units() {
            findings.extend(unresolved(&subject, unit.name()).and_then(|found| judge(&subject, &found)));
        }
    }
}

fn judge(subject: &Subject<'_>, found: &Unresolved<'_>) -> Option<Finding> {
    let Unresolved { name, log, line } = found;
    let is_well = is_ready(subject.pod) && !log.previous;
    let target = Target::of(subject, name);
    // A well container that speaks of some name may know what it does; one of this cluster that is there it does not.
    let severity = if is_well { Severity::Warning } else { Severity::Critical };
    let evidence = subject.line(log, line);
    let confirm = subject.log_call(&log.container, log.previous);
    if let Some(policy) = wrong_policy(subject).filter(|_| target.is_of_cluster()) {
        let mechanism = format!(
            "{policy}, so its containers do not ask the cluster's DNS and cannot resolve {}",
            if name.is_empty() { "the cluster's names" } else { name }
        );
        let change = format!("{}: ClusterFirst", subject.path("dnsPolicy"));
        let finding = subject.finding(severity, Cause::DnsPolicyWrong, mechanism, confirm, change);
        let policy = subject.spec().and_then(|spec| spec.dns_policy.clone()).unwrap_or_default();
        return Some(finding.shown_by([subject.field("spec.dnsPolicy", policy), evidence]));
    }
    let mechanism = format!("container {} cannot resolve {}", log.container, target.words(name));
    let change = match &target {
        Target::MissingService(service) => {
            format!("the name that the container is given, or make {}", service.words())
        }
        _ => "the name that the container is given, or mend DNS for it".to_owned(),
    };
    let finding = subject.finding(severity, Cause::NameResolutionFails, mechanism, confirm, change);
    let follows = match target {
        Target::MissingService(service) | Target::Service(service) => Some(service),
        Target::Outside | Target::Unsaid => None,
    };
    Some(finding.shown_by([evidence]).following(follows))
}

/// What the name is of.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// A Service that is there.
    Service(ObjectRef),
    MissingService(ObjectRef),
    Outside,
    Unsaid,
}

impl Target {
    fn of(subject: &Subject<'_>, name: &str) -> Self {
        if name.is_empty() {
            return Self::Unsaid;
        }
        let own = subject.this.namespace.as_str();
        let (service, namespace, is_of_cluster) = match name.split('.').collect::<Vec<_>>().as_slice() {
            [service] => (*service, own, true),
            [service, namespace] => (*service, *namespace, false),
            [service, namespace, "svc", ..] => (*service, *namespace, true),
            // A pod of a StatefulSet has its name before its Service's.
            [_, service, namespace, "svc", ..] => (*service, *namespace, true),
            _ => return Self::Outside,
        };
        let there = subject.picture.services.iter().map(|known| reference("Service", &known.metadata));
        let wanted = ObjectRef::new("Service", namespace, service);
        if there.into_iter().any(|known| known == wanted) || wanted.words() == "Service default/kubernetes" {
            return Self::Service(wanted);
        }
        let known =
            subject.picture.namespaces.iter().any(|known| known.metadata.name.as_deref() == Some(namespace));
        let all = has_all(subject.picture, "Service", namespace);
        match (is_of_cluster || known, all) {
            (true, true) => Self::MissingService(wanted),
            (true, false) => Self::Service(wanted),
            (false, _) => Self::Outside,
        }
    }

    fn is_of_cluster(&self) -> bool {
        match self {
            Self::Service(_) | Self::Unsaid => true,
            Self::MissingService(_) | Self::Outside => false,
        }
    }

    fn words(&self, name: &str) -> String {
        match self {
            Self::Service(_) => name.to_owned(),
            Self::MissingService(service) => format!("{name}: there is no {}", service.words()),
            Self::Outside => format!("{name}, a name from outside the cluster"),
            Self::Unsaid => "a name".to_owned(),
        }
    }
}

/// A policy by which a pod does not ask the cluster's DNS.
fn wrong_policy(subject: &Subject<'_>) -> Option<String> {
    let spec = subject.spec()?;
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let on_host = spec.host_network == Some(true);
    match policy {
        "Default" => Some("dnsPolicy is Default (the node's resolver)".to_owned()),
        "None" => Some("dnsPolicy is None with nameservers of its own".to_owned()),
        "ClusterFirst" if on_host => {
            Some("hostNetwork with dnsPolicy ClusterFirst means the node's resolver".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{check, name_in};
    use crate::tools::diagnose::checks::example::found;

    #[test]
    fn resolvers_of_many_languages_are_understood() {
        for (line, name) in [
            ("dial tcp: lookup redis on 10.96.0.10:53: no such host", "redis"),
            ("curl: (6) Could not resolve host: api.shop", "api.shop"),
            ("wget: bad address 'db.shop.svc.cluster.local:80'", "db.shop.svc.cluster.local"),
            ("Error: getaddrinfo ENOTFOUND mongo", "mongo"),
            ("nslookup: can't resolve 'web'", "web"),
            ("** server can't find web.shop.svc.cluster.local: NXDOMAIN", "web.shop.svc.cluster.local"),
            ("psql: could not translate host name \"pg\" to address: Name or service not known", "pg"),
            ("java.net.UnknownHostException: kafka", "kafka"),
            ("FATAL cannot resolve redis.shop: no such host", "redis.shop"),
            ("socket.gaierror: [Errno -3] Temporary failure in name resolution", ""),
        ] {
            assert_eq!(name_in(line).as_deref(), Some(name), "{line}");
        }
        assert_eq!(name_in("resolved all hosts"), None);
    }

    #[test]
    fn a_service_that_is_not_there_is_told_from_a_wrong_policy() {
        let pod = |policy: &str| {
            format!(
                r#"
kind: Pod
metadata: {{ name: p }}
spec: {{ dnsPolicy: {policy}, containers: [{{ name: main }}] }}
status: {{ phase: Running }}
---
kind: Service
metadata: {{ name: web }}
---
kind: Log
pod: p
lines: ["lookup web.shop.svc: no such host"]
"#
            )
        };
        assert_eq!(found(check, &pod("Default")), ["DnsPolicyWrong Pod shop/p"]);
        let missing = pod("ClusterFirst").replace("lookup web", "lookup wbe");
        assert_eq!(found(check, &missing), ["NameResolutionFails Pod shop/p"]);
    }
}
