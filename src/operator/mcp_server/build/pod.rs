//! The pod: one container under restricted pod security, a read-only root and a writable /tmp.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, LocalObjectReference,
    PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, Volume, VolumeMount,
};

use super::{bridge, drain, probes, readiness_gate};
use crate::operator::mcp_server::validate::{Owner, Start, Workload};

/// Name of the container that is the server.
const CONTAINER: &str = "server";
pub(super) const PORT_NAME: &str = "mcp";
const TMP: &str = "tmp";

/// Images that say no numeric user, or root, must run too: everything runs as nobody's user.
const USER: i64 = 65532;

pub(super) fn build(owner: &Owner, workload: &Workload) -> PodSpec {
    let Workload {
        image,
        image_pull_policy,
        image_pull_secrets,
        start,
        port,
        path: _,
        replicas: _,
        env,
        env_from,
        resources,
        gate,
        drain_seconds,
        is_asleep: _,
    } = workload;
    let mut container = Container {
        name: CONTAINER.to_owned(),
        image: Some(image.clone()),
        image_pull_policy: image_pull_policy.map(str::to_owned),
        env: Some(with_home(env)),
        env_from: (!env_from.is_empty()).then(|| env_from.clone()),
        ports: Some(vec![ContainerPort {
            name: Some(PORT_NAME.to_owned()),
            container_port: i32::from(*port),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        resources: Some(resources.clone()),
        security_context: Some(restricted()),
        volume_mounts: Some(vec![VolumeMount {
            name: TMP.to_owned(),
            mount_path: "/tmp".to_owned(),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    };
    let mut volumes = vec![empty_dir(TMP)];
    let mut init_containers = None;
    match start {
        Start::Listens { command, args } => {
            container.command = (!command.is_empty()).then(|| command.clone());
            container.args = (!args.is_empty()).then(|| args.clone());
            probes::of_a_listener(&mut container);
        }
        Start::Bridged { bridge_image, command, args } => {
            bridge::start(&mut container, *port, command, args);
            probes::of_the_bridge(&mut container);
            volumes.push(empty_dir(bridge::VOLUME));
            init_containers = Some(vec![bridge::installer(bridge_image)]);
        }
    }
    let mut pod = PodSpec {
        service_account_name: Some(owner.name.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: (!image_pull_secrets.is_empty()).then(|| {
            image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect()
        }),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        readiness_gates: readiness_gate::build(*gate),
        init_containers,
        containers: vec![container],
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    drain::apply(&mut pod, *drain_seconds);
    pod
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

/// A user that is in no passwd file has no home; caches go to /tmp.
fn with_home(env: &[EnvVar]) -> Vec<EnvVar> {
    let mut env = env.to_vec();
    if !env.iter().any(|variable| variable.name == "HOME") {
        env.push(EnvVar { name: "HOME".to_owned(), value: Some("/tmp".to_owned()), ..EnvVar::default() });
    }
    env
}

fn empty_dir(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}
