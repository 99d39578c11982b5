//! The bridge in somebody else's image: an init container of our own image copies our binary into a volume, and
//! the server's container starts from there.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, EnvVar, ResourceRequirements, VolumeMount},
    apimachinery::pkg::api::resource::Quantity,
};

use super::pod::restricted;

/// Name of the init container.
pub(crate) const BRIDGE_CONTAINER: &str = "bridge";
pub(super) const VOLUME: &str = "bridge-bin";
const FOLDER: &str = "/bridge-bin";
const BINARY: &str = "/bridge-bin/pilothouse";
/// One process for all clients.
const SHARED: &str = "PILOTHOUSE_BRIDGE_SHARED";

/// Copies the binary; a scratch image has no `cp`.
pub(super) fn installer(image: &str) -> Container {
    let amounts = |cpu: &str, memory: &str| {
        let pairs = [("cpu", cpu), ("memory", memory)];
        BTreeMap::from(pairs.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))))
    };
    Container {
        name: BRIDGE_CONTAINER.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(["bridge", "--install", BINARY].map(str::to_owned).to_vec()),
        resources: Some(ResourceRequirements {
            requests: Some(amounts("10m", "32Mi")),
            limits: Some(amounts("1", "128Mi")),
            claims: None,
        }),
        security_context: Some(restricted()),
        volume_mounts: Some(vec![mount(false)]),
        ..Container::default()
    }
}

/// `command:` replaces the image's ENTRYPOINT, so the server's own command follows the bridge's.
///
/// What it is told besides comes in the environment: the bridge of a pod that exists may be an older one, which would
/// not start with an argument that it does not know. People set its limits there, too.
pub(super) fn start(container: &mut Container, port: u16, command: &[String], args: &[String], shared: bool) {
    let listen = format!("0.0.0.0:{port}");
    let bridge = [BINARY, "bridge", "--listen", &listen, "--"].map(str::to_owned);
    container.command = Some(bridge.into_iter().chain(command.iter().cloned()).collect());
    container.args = (!args.is_empty()).then(|| args.to_vec());
    container.volume_mounts.get_or_insert_default().push(mount(true));
    let env = container.env.get_or_insert_default();
    if shared && env.iter().all(|variable| variable.name != SHARED) {
        env.push(EnvVar { name: SHARED.to_owned(), value: Some("true".to_owned()), ..EnvVar::default() });
    }
}

fn mount(read_only: bool) -> VolumeMount {
    VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: FOLDER.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
