//! Parses a spec once. What follows sees only [`ValidatedServer`]. Needs no client.
//!
//! CEL refuses most of this in the API server already; here it holds for objects stored before a rule was.

mod invalid;
mod network;
mod pods;
mod scaling;
mod secrets;
mod storage;

pub(super) use invalid::InvalidSpec;
pub(super) use network::{Measured, Monitor, Traced};
pub(super) use pods::{Account, Notes, Placement};
pub(super) use scaling::{Budget, Range, Replicas, Targets};
pub(super) use secrets::{Place, SecretUse, Source, set_twice};
pub(super) use storage::{Kept, Mount, OwnClaim};

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::core::v1::{EnvFromSource, EnvVar, ResourceRequirements},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::OwnerReference},
};
use kube::Resource;
use serde::Serialize;
use url::Url;

use crate::{
    api::{
        MCPServer,
        mcp_server::{
            Config, Gate, ImagePullPolicy, IngressSpec, NetworkPolicySpec, Observability, Probes, Security,
            Transport,
        },
    },
    fleet::{Prefix, ServerName},
};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ValidatedServer {
    pub owner: Owner,
    pub runs: Runs,
}

/// Who the children belong to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Owner {
    pub name: ServerName,
    pub reference: OwnerReference,
    /// Labels of the MCPServer, passed on to everything it owns; ours win.
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Runs {
    Workload(Box<Workload>),
    Remote(Url),
}

/// A server that runs here. What is serialized makes the config hash: a field that is added later must leave the
/// hash of those who do not use it as it was, so what says nothing is left out. What is not serialized changes no
/// pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Workload {
    pub image: String,
    pub image_pull_policy: Option<&'static str>,
    pub image_pull_secrets: Vec<String>,
    pub start: Start,
    pub port: u16,
    /// Where clients find it; its pods do not change with it.
    #[serde(skip)]
    pub path: String,
    /// Set at creation and by scale, never by an update.
    #[serde(skip)]
    pub replicas: Replicas,
    pub env: Vec<EnvVar>,
    pub env_from: Vec<EnvFromSource>,
    pub resources: ResourceRequirements,
    pub placement: Placement,
    pub notes: Notes,
    #[serde(skip_serializing_if = "pods::is_restricted")]
    pub security: Security,
    #[serde(skip_serializing_if = "Account::is_own")]
    pub account: Account,
    pub config: Option<Config>,
    pub secrets: Vec<SecretUse>,
    pub storage: Vec<Mount>,
    #[serde(skip_serializing_if = "pods::are_usual")]
    pub probes: Probes,
    pub metrics: Option<Measured>,
    pub tracing: Option<Traced>,
    #[serde(skip)]
    pub autoscaling: Option<Targets>,
    #[serde(skip)]
    pub disruption_budget: Option<Budget>,
    /// None: no NetworkPolicy is made.
    #[serde(skip)]
    pub network_policy: Option<NetworkPolicySpec>,
    #[serde(skip)]
    pub ingress: Option<IngressSpec>,
    /// What holds a new revision back.
    pub gate: Option<Gate>,
    /// How long its sessions go on in a pod that is replaced.
    pub drain_seconds: Option<i64>,
    /// It has no pods, since nobody uses it.
    #[serde(skip)]
    pub is_asleep: bool,
}

impl Workload {
    pub(super) fn sleep(&mut self) {
        self.replicas.declared = 0;
        self.is_asleep = true;
    }
}

/// How the container starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Start {
    /// It listens itself.
    Listens { command: Vec<String>, args: Vec<String> },
    /// The bridge starts it and listens for it.
    Bridged {
        /// Brings the bridge. Not in the hash: a new pilothouse rolls nobody's pods.
        #[serde(skip)]
        bridge_image: String,
        command: Vec<String>,
        args: Vec<String>,
        /// One process serves all clients.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        shared: bool,
    },
}

/// `bridge_image` brings the bridge: that of the pods that exist, or else our own.
///
/// # Errors
/// The first thing in the spec that cannot be acted on.
pub(super) fn validate(
    server: &MCPServer,
    bridge_image: Option<&str>,
) -> Result<ValidatedServer, InvalidSpec> {
    let owner = owner(server).ok_or(InvalidSpec::NotStored)?;
    let spec = &server.spec;
    if let Some(prefix) = &spec.gateway.prefix {
        Prefix::parse(prefix).map_err(InvalidSpec::Prefix)?;
    }
    if !spec.endpoint_path().starts_with('/') {
        return Err(InvalidSpec::Path(spec.endpoint_path().to_owned()));
    }
    let runs = match (&spec.image, &spec.remote) {
        (Some(_), Some(_)) => return Err(InvalidSpec::ImageAndRemote),
        (None, None) => return Err(InvalidSpec::NeitherImageNorRemote),
        (None, Some(_)) if spec.transport == Transport::Stdio => return Err(InvalidSpec::StdioRemote),
        (None, Some(remote)) => Runs::Remote(http_url(&remote.url)?),
        (Some(image), None) => Runs::Workload(Box::new(workload(server, image, bridge_image)?)),
    };
    Ok(ValidatedServer { owner, runs })
}

fn owner(server: &MCPServer) -> Option<Owner> {
    Some(Owner {
        name: ServerName {
            namespace: server.metadata.namespace.clone()?,
            name: server.metadata.name.clone()?,
        },
        reference: server.controller_owner_ref(&())?,
        labels: server.metadata.labels.clone().unwrap_or_default(),
    })
}

fn http_url(text: &str) -> Result<Url, InvalidSpec> {
    let wrong = || InvalidSpec::Url(text.to_owned());
    let url = Url::parse(text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    Ok(url)
}

fn workload(server: &MCPServer, image: &str, bridge_image: Option<&str>) -> Result<Workload, InvalidSpec> {
    let spec = &server.spec;
    let listens_on = port("spec.port", spec.port).map_err(|_| InvalidSpec::Port(spec.port))?;
    let Observability { metrics, tracing } = &spec.observability;
    Ok(Workload {
        image: image.to_owned(),
        image_pull_policy: spec.image_pull_policy.map(ImagePullPolicy::as_str),
        image_pull_secrets: spec.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
        start: start(server, bridge_image)?,
        port: listens_on,
        path: spec.endpoint_path().to_owned(),
        replicas: Replicas::of(spec.replicas, spec.autoscaling.as_ref())?,
        env: spec.env.clone(),
        env_from: spec.env_from.clone(),
        resources: spec.resources.clone().unwrap_or_else(small_resources),
        placement: Placement::of(spec),
        notes: Notes { labels: spec.pod_labels.clone(), annotations: spec.pod_annotations.clone() },
        security: spec.security.clone(),
        account: Account::of(&spec.service_account)?,
        config: storage::config(spec.config.as_ref()),
        secrets: secrets::secrets(&spec.secrets, &spec.env)?,
        storage: storage::mounts(&spec.storage)?,
        probes: pods::checked(&spec.probes)?,
        metrics: metrics.as_ref().map(|metrics| Measured::of(metrics, listens_on)).transpose()?,
        tracing: tracing.as_ref().map(Traced::of).transpose()?,
        autoscaling: spec.autoscaling.as_ref().map(Targets::of),
        disruption_budget: spec.disruption_budget.as_ref().map(Budget::of).transpose()?,
        network_policy: spec.network_policy.enabled.then(|| spec.network_policy.clone()),
        ingress: spec.ingress.clone(),
        gate: spec.rollout.gate,
        drain_seconds: spec.rollout.drain_timeout.map(|drain| whole_seconds(drain.duration())),
        is_asleep: false,
    })
}

fn port(field: &'static str, port: i32) -> Result<u16, InvalidSpec> {
    u16::try_from(port).ok().filter(|port| *port > 0).ok_or(InvalidSpec::OtherPort { field, port })
}

fn start(server: &MCPServer, bridge_image: Option<&str>) -> Result<Start, InvalidSpec> {
    let (command, args) = (server.spec.command.clone(), server.spec.args.clone());
    match server.spec.transport {
        Transport::StreamableHttp | Transport::Sse => Ok(Start::Listens { command, args }),
        Transport::Stdio if command.is_empty() => Err(InvalidSpec::StdioWithoutCommand),
        Transport::Stdio => {
            let bridge_image = bridge_image.ok_or(InvalidSpec::NoBridgeImage)?.to_owned();
            let shared = server.spec.gateway.stateless;
            Ok(Start::Bridged { bridge_image, command, args, shared })
        }
    }
}

/// At least 1.
fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX)
}

/// What a server gets that does not say what it needs, as it is in the hash.
fn small_resources() -> ResourceRequirements {
    let amounts = |pairs: &[(&str, &str)]| {
        Some(
            pairs.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect(),
        )
    };
    ResourceRequirements {
        requests: amounts(&[("cpu", "10m"), ("memory", "64Mi")]),
        limits: amounts(&[("memory", "512Mi")]),
        claims: None,
    }
}

/// As it is in the pod: who does not say what it needs has a limit of CPU too, since common policies ask for one. It
/// is far above what a start takes. Not in the hash, so that nobody's pods roll for it.
pub(in crate::operator::mcp_server) fn limited(resources: &ResourceRequirements) -> ResourceRequirements {
    let mut limited = resources.clone();
    if limited == small_resources() {
        limited.limits.get_or_insert_default().insert("cpu".to_owned(), Quantity("2".to_owned()));
    }
    limited
}

/// The limits of a server that does not say what it needs.
pub(in crate::operator) fn usual_limits() -> BTreeMap<String, Quantity> {
    limited(&small_resources()).limits.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{InvalidSpec, Runs, Start, validate};
    use crate::operator::mcp_server::fixture::server;

    fn refusal(spec: &str) -> InvalidSpec {
        validate(&server(spec), Some("pilothouse:1")).unwrap_err()
    }

    #[test]
    fn the_smallest_spec_is_an_image() {
        let validated = validate(&server("image: everything:1"), None).unwrap();
        let Runs::Workload(workload) = validated.runs else { panic!("a workload was expected") };
        assert_eq!((workload.port, workload.path.as_str(), workload.replicas.first()), (8080, "/mcp", 1));
        assert_eq!(workload.start, Start::Listens { command: vec![], args: vec![] });
        assert_eq!(workload.resources.requests.unwrap()["memory"].0, "64Mi");
    }

    #[test]
    fn sse_listens_on_its_own_path() {
        let validated = validate(&server("{image: a, transport: sse}"), None).unwrap();
        let Runs::Workload(workload) = validated.runs else { panic!("a workload was expected") };
        assert_eq!(workload.path, "/sse");
    }

    #[test]
    fn a_url_runs_nothing() {
        let validated = validate(&server("remote: {url: 'https://mcp.example.com/mcp'}"), None).unwrap();
        assert_eq!(validated.runs, Runs::Remote("https://mcp.example.com/mcp".parse().unwrap()));
    }

    #[test]
    fn a_stdio_server_is_started_by_the_bridge() {
        let stdio = server("{image: a, transport: stdio, command: [node, s.js]}");
        let validated = validate(&stdio, Some("pilothouse:1")).unwrap();
        let Runs::Workload(workload) = validated.runs else { panic!("a workload was expected") };
        let expected = Start::Bridged {
            bridge_image: "pilothouse:1".to_owned(),
            command: vec!["node".to_owned(), "s.js".to_owned()],
            args: vec![],
            shared: false,
        };
        assert_eq!(workload.start, expected);
    }

    #[test]
    fn a_stdio_server_needs_our_own_image() {
        let stdio = server("{image: a, transport: stdio, command: [node]}");
        let refusal = validate(&stdio, None).unwrap_err();
        assert!(refusal.to_string().contains("PILOTHOUSE_IMAGE"), "{refusal}");
        assert_eq!(refusal.reason(), "BridgeImageUnknown");
    }

    #[test]
    fn what_cannot_be_acted_on_names_the_field() {
        let cases = [
            ("{image: a, remote: {url: 'http://b/'}}", "spec.image and spec.remote"),
            ("{}", "spec.image is missing"),
            ("{image: a, transport: stdio}", "spec.command"),
            ("{remote: {url: 'http://b/'}, transport: stdio}", "spec.transport"),
            ("{image: a, port: 0}", "spec.port"),
            ("{image: a, port: 65536}", "spec.port"),
            ("{image: a, path: mcp}", "spec.path"),
            ("{image: a, replicas: -1}", "spec.replicas"),
            ("{remote: {url: 'ftp://b/'}}", "spec.remote.url"),
            ("{remote: {url: 'b'}}", "spec.remote.url"),
            ("{image: a, storage: [{mountPath: /data}]}", "spec.storage of /data"),
            (
                "{image: a, storage: [{mountPath: /a, size: 1Gi}, {mountPath: /a, emptyDir: {}}]}",
                "spec.storage has two volumes at /a",
            ),
            ("{image: a, secrets: [{secretKeyRef: {name: s, key: k}}]}", "spec.secrets[0]"),
            ("{image: a, secrets: [{env: A}]}", "spec.secrets[0]"),
            (
                "{image: a, env: [{name: A, value: b}], secrets: [{env: A, secretKeyRef: {name: s, key: k}}]}",
                "A is set by spec.env and by spec.secrets",
            ),
            ("{image: a, probes: {readiness: {port: 0}}}", "spec.probes.readiness.port"),
            ("{image: a, observability: {metrics: {port: 70000}}}", "spec.observability.metrics.port"),
            ("{image: a, autoscaling: {min: 3, max: 2}}", "spec.autoscaling"),
            ("{image: a, disruptionBudget: {}}", "spec.disruptionBudget"),
            ("{image: a, serviceAccount: {name: x, create: true}}", "spec.serviceAccount.name"),
            ("{image: a, gateway: {prefix: A-b}}", "spec.gateway.prefix"),
            ("{image: a, gateway: {prefix: get}}", "spec.gateway.prefix"),
        ];
        for (spec, field) in cases {
            let text = refusal(spec).to_string();
            assert!(text.contains(field) && text.contains(':'), "{spec}: {text}");
        }
    }
}
