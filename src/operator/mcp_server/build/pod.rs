//! The pod: one container under restricted pod security, by default with a read-only root and a writable /tmp.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, LocalObjectReference, PodSecurityContext, PodSpec,
    SeccompProfile, SecurityContext,
};

use super::{
    bridge, drain, env, placement, probes, readiness_gate,
    volumes::{Volumes, empty_dir},
};
use crate::{
    api::mcp_server::{Seccomp, Security},
    operator::mcp_server::validate::{Account, Kept, Mount, Owner, Start, Workload, limited},
};

/// Name of the container that is the server.
const CONTAINER: &str = "server";
pub(super) const PORT_NAME: &str = "mcp";
pub(super) const METRICS_PORT_NAME: &str = "metrics";

/// Images that say no numeric user, or root, must run too: everything runs as nobody's user.
const USER: i64 = 65532;

pub(super) fn build(owner: &Owner, workload: &Workload) -> PodSpec {
    let Workload {
        image,
        image_pull_policy,
        image_pull_secrets,
        start,
        port,
        env_from,
        resources,
        gate,
        drain_seconds,
        placement,
        security,
        account,
        storage,
        probes,
        metrics,
        // In `env` and `volumes`.
        env: _,
        tracing: _,
        config: _,
        secrets: _,
        // On the pod's metadata.
        notes: _,
        // Not of the pod.
        path: _,
        replicas: _,
        autoscaling: _,
        disruption_budget: _,
        network_policy: _,
        ingress: _,
        is_asleep: _,
    } = workload;
    let Volumes { mut volumes, mounts } = Volumes::of(owner, workload);
    let metrics_port = metrics.as_ref().and_then(|metrics| metrics.port);
    let ports = [Some((PORT_NAME, *port)), metrics_port.map(|port| (METRICS_PORT_NAME, port))];
    let mut container = Container {
        name: CONTAINER.to_owned(),
        image: Some(image.clone()),
        image_pull_policy: image_pull_policy.map(str::to_owned),
        env: Some(env::build(owner, workload)),
        env_from: (!env_from.is_empty()).then(|| env_from.clone()),
        ports: Some(ports.into_iter().flatten().map(|(name, port)| container_port(name, port)).collect()),
        resources: Some(limited(resources)),
        security_context: Some(SecurityContext {
            read_only_root_filesystem: Some(security.read_only_root_filesystem),
            ..restricted()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    let mut init_containers = None;
    match start {
        Start::Listens { command, args } => {
            container.command = (!command.is_empty()).then(|| command.clone());
            container.args = (!args.is_empty()).then(|| args.clone());
            probes::of_a_listener(&mut container, probes);
        }
        Start::Bridged { bridge_image, command, args, shared } => {
            bridge::start(&mut container, *port, command, args, *shared);
            probes::of_the_bridge(&mut container, probes);
            volumes.push(empty_dir(bridge::VOLUME));
            init_containers = Some(vec![bridge::installer(bridge_image)]);
        }
    }
    let mut pod = PodSpec {
        service_account_name: Some(match account {
            Account::Own { .. } => owner.name.name.clone(),
            Account::Named(name) => name.clone(),
            Account::Default => "default".to_owned(),
        }),
        automount_service_account_token: Some(security.mount_service_account_token),
        enable_service_links: Some(false),
        image_pull_secrets: (!image_pull_secrets.is_empty()).then(|| {
            image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect()
        }),
        security_context: Some(of_pod(security, storage)),
        readiness_gates: readiness_gate::build(*gate),
        init_containers,
        containers: vec![container],
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    placement::place(&mut pod, owner, placement);
    drain::apply(&mut pod, *drain_seconds);
    pod
}

fn of_pod(security: &Security, storage: &[Mount]) -> PodSecurityContext {
    let Security {
        run_as_user,
        run_as_group,
        fs_group,
        supplemental_groups,
        seccomp_profile: Seccomp { type_, localhost_profile },
        read_only_root_filesystem: _,
        mount_service_account_token: _,
    } = security;
    // A new volume belongs to root: without a group the server could not write to it.
    let has_claim = storage.iter().any(|mount| matches!(mount.volume, Kept::Claim(_) | Kept::Own(_)));
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(run_as_user.unwrap_or(USER)),
        run_as_group: Some(run_as_group.unwrap_or(USER)),
        fs_group: fs_group.or(has_claim.then_some(USER)),
        supplemental_groups: (!supplemental_groups.is_empty()).then(|| supplemental_groups.clone()),
        seccomp_profile: Some(SeccompProfile {
            type_: type_.as_str().to_owned(),
            localhost_profile: localhost_profile.clone(),
        }),
        ..PodSecurityContext::default()
    }
}

/// What a container may do: nothing but run.
pub(super) fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

fn container_port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}
