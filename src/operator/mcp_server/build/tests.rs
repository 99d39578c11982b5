//! Children as users see them, from minimal specs through the real validation.

#![allow(clippy::unwrap_used)]

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::{Around, Children, DesiredHash, build, made_from};
use crate::{
    api::MCPServer,
    operator::mcp_server::{
        fixture::server,
        validate::{Runs, validate},
    },
};

const AROUND: Around<'static> =
    Around { own_namespace: "pilothouse", rotation: None, sources: None, own_image: None, running: None };

pub(in crate::operator::mcp_server) fn children_of(server: &MCPServer) -> Children {
    let validated = validate(server, Some("pilothouse:1")).unwrap();
    let Runs::Workload(workload) = validated.runs else { panic!("a workload was expected") };
    build(&validated.owner, &workload, &AROUND).unwrap()
}

fn children(spec: &str) -> Children {
    children_of(&server(spec))
}

fn pod(children: &Children) -> &PodSpec {
    children.deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap()
}

fn container(children: &Children) -> &Container {
    &pod(children).containers[0]
}

fn inputs(children: &Children) -> String {
    DesiredHash::of(&children.deployment).unwrap().inputs
}

#[test]
fn every_child_is_named_like_its_server_and_owned_by_it() {
    let children = children("image: a").list().unwrap();
    let kinds: Vec<&str> = children.iter().map(|child| child.kind.as_str()).collect();
    assert_eq!(kinds, ["ServiceAccount", "NetworkPolicy", "Service", "Deployment"]);
    for metadata in children.into_iter().map(|child| child.object.metadata) {
        assert_eq!(metadata.name.as_deref(), Some("demo"));
        assert_eq!(metadata.namespace.as_deref(), Some("team-a"));
        let owner = &metadata.owner_references.unwrap()[0];
        assert_eq!((owner.uid.as_str(), owner.controller), ("uid-of-demo", Some(true)));
        assert_eq!(metadata.labels.unwrap()["app.kubernetes.io/managed-by"], "pilothouse");
    }
}

#[test]
fn pods_are_restricted_and_hold_no_token() {
    for spec in ["image: a", "{image: a, transport: stdio, command: [node]}"] {
        let children = children(spec);
        let pod = pod(&children);
        assert_eq!(pod.automount_service_account_token, Some(false));
        let security = pod.security_context.as_ref().unwrap();
        assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65532)));
        assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
        for container in pod.containers.iter().chain(pod.init_containers.iter().flatten()) {
            let security = container.security_context.as_ref().unwrap();
            assert_eq!(security.allow_privilege_escalation, Some(false));
            assert_eq!(security.read_only_root_filesystem, Some(true));
            let dropped = security.capabilities.as_ref().unwrap().drop.as_ref().unwrap();
            assert_eq!(dropped, &["ALL"]);
        }
    }
}

#[test]
fn home_is_tmp_unless_it_is_said() {
    let said = children("{image: a, env: [{name: HOME, value: /data}]}");
    let homes = |children: &Children| {
        let env = container(children).env.clone().unwrap();
        env.into_iter().filter(|v| v.name == "HOME").map(|v| v.value.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(homes(&said), ["/data"]);
    assert_eq!(homes(&children("image: a")), ["/tmp"]);
}

#[test]
fn a_listener_is_ready_when_its_port_is_open() {
    let children = children("{image: a, port: 3001, command: [node], args: [x]}");
    let container = container(&children);
    assert_eq!(container.command.as_ref().unwrap(), &["node"]);
    assert_eq!(container.ports.as_ref().unwrap()[0].container_port, 3001);
    assert!(container.readiness_probe.as_ref().unwrap().tcp_socket.is_some());
    assert!(container.startup_probe.as_ref().unwrap().tcp_socket.is_some());
    let service = children.service.spec.as_ref().unwrap();
    assert_eq!(service.ports.as_ref().unwrap()[0].port, 3001);
    assert_eq!(
        service.selector,
        children.deployment.spec.as_ref().unwrap().selector.match_labels,
        "the Service finds the Deployment's pods"
    );
}

#[test]
fn a_stdio_server_starts_through_the_bridge_that_an_init_container_brings() {
    let children = children("{image: a, transport: stdio, port: 9000, command: [node, s.js], args: [--x]}");
    let installer = &pod(&children).init_containers.as_ref().unwrap()[0];
    assert_eq!(installer.image.as_deref(), Some("pilothouse:1"));
    assert_eq!(installer.args.as_ref().unwrap(), &["bridge", "--install", "/bridge-bin/pilothouse"]);
    let container = container(&children);
    let expected = ["/bridge-bin/pilothouse", "bridge", "--listen", "0.0.0.0:9000", "--", "node", "s.js"];
    assert_eq!(container.command.as_ref().unwrap(), &expected);
    assert_eq!(container.args.as_ref().unwrap(), &["--x"]);
    let mounts = container.volume_mounts.as_ref().unwrap();
    assert!(mounts.iter().any(|mount| mount.name == "bridge-bin" && mount.read_only == Some(true)));
    let probe = container.readiness_probe.as_ref().unwrap().http_get.as_ref().unwrap();
    assert_eq!(probe.path.as_deref(), Some("/healthz"));
}

#[test]
fn a_stateless_stdio_server_is_one_process_and_people_say_its_limits_in_the_environment() {
    let bridged = |rest: &str| children(&format!("{{image: a, transport: stdio, command: [node]{rest}}}"));
    let shared = |children: &Children| {
        let env = container(children).env.clone().unwrap();
        let said = env.into_iter().filter(|variable| variable.name == "PILOTHOUSE_BRIDGE_SHARED");
        said.map(|variable| variable.value.unwrap()).collect::<Vec<_>>()
    };
    let (plain, stateless) = (bridged(""), bridged(", gateway: {stateless: true}"));
    assert!(shared(&plain).is_empty());
    assert_eq!(shared(&stateless), ["true"]);
    assert_ne!(inputs(&plain), inputs(&stateless), "its pods start otherwise");
    let said = bridged(
        ", gateway: {stateless: true}, env: [{name: PILOTHOUSE_BRIDGE_SHARED, value: 'false'}, {name: PILOTHOUSE_BRIDGE_MAX_SESSIONS, value: '3'}]",
    );
    assert_eq!(shared(&said), ["false"]);
    let listens =
        |stateless| inputs(&children(&format!("{{image: a, gateway: {{stateless: {stateless}}}}}")));
    assert_eq!(listens(true), listens(false), "a server that listens itself knows nothing of it");
}

#[test]
fn labels_of_the_resource_are_passed_on_but_not_those_of_deployment_tools() {
    let mut server = server("image: registry:5000/a/b:1.2");
    let labels = [
        ("team", "payments"),
        ("app.kubernetes.io/instance", "other"),
        ("argocd.argoproj.io/instance", "root"),
        ("kustomize.toolkit.fluxcd.io/name", "root"),
        ("pilothouse.dev/x", "y"),
    ];
    server.metadata.labels = Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let children = children_of(&server);
    let labels = children.service.metadata.labels.unwrap();
    assert_eq!(labels["team"], "payments");
    assert_eq!(labels["app.kubernetes.io/instance"], "demo");
    assert_eq!(labels["app.kubernetes.io/version"], "1.2");
    assert_eq!(labels.len(), 7, "{labels:?}");
    let template = children.deployment.spec.unwrap().template.metadata.unwrap();
    assert_eq!(template.labels.unwrap()["team"], "payments");
}

#[test]
fn only_what_the_pods_are_made_of_changes_the_hash() {
    let before = inputs(&children("image: a"));
    for same in [
        "{image: a, replicas: 5}",
        "{image: a, gateway: {prefix: x, tools: {deny: [y]}, callTimeout: 5s}}",
        "{image: a, path: /other}",
        "{image: a, transport: sse}",
    ] {
        assert_eq!(inputs(&children(same)), before, "{same}");
    }
    for other in
        ["image: b", "{image: a, port: 1}", "{image: a, args: [x]}", "{image: a, env: [{name: A, value: b}]}"]
    {
        assert_ne!(inputs(&children(other)), before, "{other}");
    }
}

#[test]
fn another_image_of_our_own_does_not_change_the_hash() {
    let stdio = server("{image: a, transport: stdio, command: [node]}");
    let built = |bridge_image| {
        let validated = validate(&stdio, Some(bridge_image)).unwrap();
        let Runs::Workload(workload) = validated.runs else { panic!("a workload was expected") };
        inputs(&build(&validated.owner, &workload, &AROUND).unwrap())
    };
    assert_eq!(built("pilothouse:1"), built("pilothouse:2"));
}

#[test]
fn pods_that_are_made_anew_are_brought_up_by_the_image_of_now_and_others_as_before() {
    let built = |spec: &str, running: Option<&str>| {
        let validated = validate(&server(spec), Some("pilothouse:1")).unwrap();
        let Runs::Workload(workload) = validated.runs else { panic!("a workload was expected") };
        build(&validated.owner, &workload, &Around { own_image: Some("pilothouse:2"), running, ..AROUND })
            .unwrap()
    };
    let image =
        |children: &Children| pod(children).init_containers.clone().unwrap()[0].image.clone().unwrap();
    let spec = "{image: a, transport: stdio, command: [node]}";
    let running = built(spec, None);
    let running = made_from(&running.deployment);
    let as_before = built(spec, running);
    assert_eq!(image(&as_before), "pilothouse:1");
    assert_eq!(as_before.deployment, built(spec, None).deployment);
    let changed = built("{image: b, transport: stdio, command: [node]}", running);
    assert_eq!(image(&changed), "pilothouse:2");
    assert_eq!(container(&changed).image.as_deref(), Some("b"));
}

#[test]
fn the_number_of_pods_changes_neither_hash() {
    let hash = |spec| DesiredHash::of(&children(spec).deployment).unwrap();
    assert_eq!(hash("image: a"), hash("{image: a, replicas: 0}"));
}

#[test]
fn a_gated_rollout_and_a_drain_time_reach_the_pods_and_nobody_elses() {
    let plain = children("image: a");
    assert!(pod(&plain).readiness_gates.is_none() && pod(&plain).termination_grace_period_seconds.is_none());
    let gated = children("{image: a, rollout: {gate: contract, allowBreaking: true, drainTimeout: 1500ms}}");
    let gates = pod(&gated).readiness_gates.clone().unwrap();
    assert_eq!(gates[0].condition_type, "pilothouse.dev/verified");
    assert_eq!(pod(&gated).termination_grace_period_seconds, Some(12));
    let pre_stop = container(&gated).lifecycle.clone().unwrap().pre_stop.unwrap();
    assert_eq!(pre_stop.sleep.unwrap().seconds, 2);
    let strategy = gated.deployment.spec.unwrap().strategy.unwrap().rolling_update.unwrap();
    assert_eq!(
        strategy.max_unavailable,
        Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(0))
    );
    assert_eq!(inputs(&children("{image: a, scaleToZero: {idleAfter: 10s}}")), inputs(&plain));
}
