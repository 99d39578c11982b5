//! Probes that fail, and why: the port that nothing listens on, the path that is not there, the time that is too
//! short.

use std::collections::BTreeSet;

use k8s_openapi::{api::core::v1::Probe, apimachinery::pkg::util::intstr::IntOrString};

use super::subject::{Subject, subjects};
use crate::tools::diagnose::{
    cause::Cause,
    finding::{Finding, Severity},
    look::seconds_old,
    picture::{EventFacts, Picture},
    pods::{RECENT_SECONDS, Unit, patience},
    selecting::has_all,
};

/// A rollout's new pods may take this long while the old ones serve.
const ROLLOUT_SECONDS: i64 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Startup,
    Liveness,
    Readiness,
}

impl Kind {
    /// As events and fields say it.
    fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }

    fn cause(self) -> Cause {
        match self {
            Self::Startup => Cause::StartupProbeFails,
            Self::Liveness => Cause::LivenessProbeFails,
            Self::Readiness => Cause::ReadinessProbeFails,
        }
    }

    fn of<'a>(self, unit: &Unit<'a>) -> Option<&'a Probe> {
        match self {
            Self::Startup => unit.spec.startup_probe.as_ref(),
            Self::Liveness => unit.spec.liveness_probe.as_ref(),
            Self::Readiness => unit.spec.readiness_probe.as_ref(),
        }
    }
}

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        for unit in subject.units().into_iter().filter(|unit| !unit.is_init || unit.is_sidecar()) {
            findings.extend(killed(&subject, &unit).or_else(|| unready(&subject, &unit)));
        }
    }
}

/// The probe by which the kubelet has lately killed this container.
pub(super) fn killed_by_probe(subject: &Subject<'_>, unit: &Unit<'_>) -> Option<Kind> {
    let now = subject.picture.now;
    let is_kill = |event: &&EventFacts| {
        let is_recent = event.last.is_none_or(|last| now.as_second() - last.as_second() < RECENT_SECONDS);
        event.reason == "Killing"
            && is_recent
            && event.message.contains(&format!("ontainer {} failed", unit.name()))
    };
    let kills: Vec<&EventFacts> = subject.events().filter(is_kill).collect();
    let by =
        |kind: &Kind| kills.iter().any(|event| event.message.contains(&format!("{} probe", kind.word())));
    [Kind::Startup, Kind::Liveness].into_iter().find(by)
}

fn killed(subject: &Subject<'_>, unit: &Unit<'_>) -> Option<Finding> {
    let kind = killed_by_probe(subject, unit)?;
    let probe = kind.of(unit)?;
    // One kill long ago, ready since: whatever it was, it is past.
    let is_well = unit.is_ready() && !unit.has_failed(subject.picture.now) && unit.restarts() == 0;
    if is_well {
        return None;
    }
    let effect = "so the kubelet kills it again and again";
    Some(finding(subject, unit, kind, probe, effect, Severity::Critical))
}

fn unready(subject: &Subject<'_>, unit: &Unit<'_>) -> Option<Finding> {
    let now = subject.picture.now;
    if !unit.is_late(now) || unit.has_failed(now) {
        return None;
    }
    let kind = match &unit.spec.startup_probe {
        Some(_) if !unit.has_started() => Kind::Startup,
        _ => Kind::Readiness,
    };
    let probe = kind.of(unit)?;
    if is_rolling_out(subject)
        && seconds_old(&subject.pod.metadata, now) < patience(probe).max(ROLLOUT_SECONDS)
    {
        return None;
    }
    let effect = "so it gets no traffic";
    Some(finding(subject, unit, kind, probe, effect, Severity::Critical))
}

/// Others of the same Deployment serve while this pod starts, and its deadline is not over.
fn is_rolling_out(subject: &Subject<'_>) -> bool {
    let deployments = subject.picture.deployments.iter();
    let mut mine = deployments.filter(|deployment| {
        deployment.metadata.name.as_deref() == Some(&subject.owner.name)
            && deployment.metadata.namespace.as_deref() == Some(&subject.owner.namespace)
            && subject.owner.kind == "Deployment"
    });
    mine.next().and_then(|deployment| deployment.status.as_ref()).is_some_and(|status| {
        let is =
            |kind: &str| status.conditions.iter().flatten().any(|is| is.type_ == kind && is.status == "True");
        is("Available") && is("Progressing")
    })
}

fn finding(
    subject: &Subject<'_>,
    unit: &Unit<'_>,
    kind: Kind,
    probe: &Probe,
    effect: &str,
    severity: Severity,
) -> Finding {
    let container = unit.name();
    let heading = format!("{} probe", capital(kind.word()));
    let event =
        subject.events().find(|event| event.reason == "Unhealthy" && event.message.starts_with(&heading));
    let event = event.or_else(|| subject.events().find(|event| event.reason.starts_with("ProbeError")));
    let message = event.map_or("", |event| event.message.as_str());
    let field = subject.path(&format!("{}.{}Probe", unit.path(), kind.word()));
    let asks = target(probe);
    let (cause, why, change) = match wrong_port(subject, unit, probe, message) {
        Some(wrong) => (Cause::ProbePortWrong, wrong.0, format!("{field}{}: {}", port_field(probe), wrong.1)),
        None => {
            let (why, change) = said(message, probe);
            (kind.cause(), why, format!("{field}: {change}"))
        }
    };
    let mechanism =
        format!("container {container}: its {} probe ({asks}) fails, {effect}: {why}", kind.word());
    let restarts = (unit.restarts() > 0)
        .then(|| subject.field(&format!("{}.restartCount", unit.status_path()), unit.restarts().to_string()));
    subject
        .finding(severity, cause, mechanism, subject.log_call(container, false), change)
        .shown_by([subject.field(&format!("spec.{}.{}Probe", unit.path(), kind.word()), asks)])
        .shown_by(subject.evidence(event))
        .shown_by(restarts)
        .shown_by(subject.last_line(container))
        .following([subject.this.clone()])
        .following(subject.node())
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn port(probe: &Probe) -> Option<&IntOrString> {
    let http = probe.http_get.as_ref().map(|get| &get.port);
    http.or_else(|| probe.tcp_socket.as_ref().map(|socket| &socket.port))
}

fn port_field(probe: &Probe) -> &'static str {
    match (&probe.http_get, &probe.tcp_socket) {
        (Some(_), _) => ".httpGet.port",
        (None, Some(_)) => ".tcpSocket.port",
        (None, None) => "",
    }
}

fn words(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

/// `GET :8080/ready`, `tcp :80`, `exec cat /x`.
fn target(probe: &Probe) -> String {
    if let Some(get) = &probe.http_get {
        return format!("GET :{}{}", words(&get.port), get.path.as_deref().unwrap_or("/"));
    }
    if let Some(socket) = &probe.tcp_socket {
        return format!("tcp :{}", words(&socket.port));
    }
    if let Some(grpc) = &probe.grpc {
        return format!("grpc :{}", grpc.port);
    }
    let command = probe.exec.as_ref().and_then(|exec| exec.command.as_deref()).unwrap_or_default();
    format!("exec {}", command.join(" "))
}

/// The port asks for something that the container is not known to have: why, and what it has.
fn wrong_port(
    subject: &Subject<'_>,
    unit: &Unit<'_>,
    probe: &Probe,
    message: &str,
) -> Option<(String, String)> {
    let asked = port(probe)?;
    let declared = || unit.spec.ports.iter().flatten();
    let known = known_ports(subject, unit);
    let list = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match asked {
        IntOrString::String(name) => {
            let is_there = declared().any(|port| port.name.as_deref() == Some(name));
            (!is_there).then(|| (format!("the container has no port named {name}"), list))
        }
        IntOrString::Int(number) => {
            let is_refused = message.contains("connection refused");
            let other = is_refused && !known.is_empty() && !known.contains(number);
            other.then(|| {
                (format!("nothing listens on {number}, the container's port is {list}"), list.clone())
            })
        }
    }
}

/// Ports that the container declares, or that Services lead to.
fn known_ports(subject: &Subject<'_>, unit: &Unit<'_>) -> BTreeSet<i32> {
    let mut known: BTreeSet<i32> = unit.spec.ports.iter().flatten().map(|port| port.container_port).collect();
    let labels = subject.pod.metadata.labels.as_ref();
    if known.is_empty() && subject.spec().is_some_and(|spec| spec.containers.len() == 1) {
        let services = subject.picture.services.iter().filter(|service| {
            let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            service.metadata.namespace == subject.pod.metadata.namespace
                && selector.is_some_and(|selector| !selector.is_empty() && has_all(selector, labels))
        });
        let ports =
            services.flat_map(|service| service.spec.iter().flat_map(|spec| spec.ports.iter().flatten()));
        known.extend(ports.filter_map(|port| match &port.target_port {
            Some(IntOrString::Int(number)) => Some(*number),
            Some(IntOrString::String(_)) => None,
            None => Some(port.port),
        }));
    }
    known
}

/// What the kubelet's words mean, and what to change.
fn said(message: &str, probe: &Probe) -> (String, String) {
    let message = message.split_once("probe failed: ").map_or(message, |(_, rest)| rest).trim();
    let timeout = probe.timeout_seconds.unwrap_or(1);
    if let Some(code) = message.split("statuscode: ").nth(1).and_then(|rest| rest.split_whitespace().next()) {
        let change = if code == "404" {
            "a path that the application serves"
        } else {
            "what the application answers when it is well"
        };
        return (format!("it answers {code}"), change.to_owned());
    }
    if message.contains("connection refused") {
        return ("nothing listens there".to_owned(), "the port that the application listens on".to_owned());
    }
    if message.contains("deadline exceeded")
        || message.contains("timed out")
        || message.contains("i/o timeout")
    {
        return (
            format!("no answer within {timeout} s"),
            "a longer timeoutSeconds, or a faster answer".to_owned(),
        );
    }
    if message.is_empty() {
        return ("no event says why any more".to_owned(), "what the application can answer".to_owned());
    }
    (message.to_owned(), "what is true when the application is well".to_owned())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    fn pod(probe: &str, message: &str) -> String {
        format!(
            r#"
kind: Pod
metadata: {{ name: p }}
spec:
  containers:
    - {{ name: main, ports: [{{ containerPort: 8080, name: http }}], {probe} }}
status:
  phase: Running
  containerStatuses:
    - {{ name: main, ready: false, started: true, restartCount: 0, image: "", imageID: "",
        state: {{ running: {{ startedAt: "2026-01-01T11:00:00Z" }} }} }}
---
kind: Event
object: {{ kind: Pod, name: p }}
reason: Unhealthy
message: '{message}'
"#
        )
    }

    #[test]
    fn a_wrong_port_is_told_from_a_failing_answer() {
        let refused =
            "Readiness probe failed: Get \"http://10.0.0.1:9090/\": dial tcp: connect: connection refused";
        let wrong = pod("readinessProbe: { httpGet: { port: 9090 } }", refused);
        assert_eq!(found(check, &wrong), ["ProbePortWrong Pod shop/p"]);
        let unnamed = pod("readinessProbe: { httpGet: { port: web } }", "Readiness probe errored");
        assert_eq!(found(check, &unnamed), ["ProbePortWrong Pod shop/p"]);
        let answer = "Readiness probe failed: HTTP probe failed with statuscode: 503";
        let answering = pod("readinessProbe: { httpGet: { port: 8080 } }", answer);
        let all = findings(check, &answering);
        assert_eq!(all.len(), 1);
        assert!(all[0].mechanism.ends_with("so it gets no traffic: it answers 503"), "{}", all[0].mechanism);
        let patient = pod("readinessProbe: { initialDelaySeconds: 7200, httpGet: { port: 8080 } }", answer);
        assert!(found(check, &patient).is_empty());
    }

    #[test]
    fn a_kill_by_liveness_is_no_mere_restart() {
        let killed = pod("livenessProbe: { tcpSocket: { port: 8080 } }", "Liveness probe failed: x")
            .replace("ready: false", "ready: true")
            .replace("restartCount: 0", "restartCount: 3")
            + r#"
---
kind: Event
object: { kind: Pod, name: p }
reason: Killing
message: Container main failed liveness probe, will be restarted
"#;
        assert_eq!(found(check, &killed), ["LivenessProbeFails Pod shop/p"]);
    }
}
