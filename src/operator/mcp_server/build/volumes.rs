//! What is mounted into the container: /tmp, the files of `config`, secret files, `storage`.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource,
    ProjectedVolumeSource, SecretProjection, Volume, VolumeMount, VolumeProjection,
};

use super::{env::kept, names};
use crate::operator::mcp_server::validate::{Kept, Mount, Owner, Place, SecretUse, Workload};

const TMP: &str = "tmp";
const TMP_PATH: &str = "/tmp";
const CONFIG: &str = "config";
const SECRETS: &str = "secrets";

/// Volumes of the pod and their mounts in the server's container.
#[derive(Default)]
pub(super) struct Volumes {
    pub(super) volumes: Vec<Volume>,
    pub(super) mounts: Vec<VolumeMount>,
}

impl Volumes {
    pub(super) fn of(owner: &Owner, workload: &Workload) -> Self {
        let mut all = Self::default();
        if !workload.storage.iter().any(|mount| mount.path == TMP_PATH) {
            all.add(empty_dir(TMP), mount(TMP, TMP_PATH));
        }
        if let Some(config) = &workload.config {
            let volume = Volume {
                name: CONFIG.to_owned(),
                config_map: Some(ConfigMapVolumeSource {
                    name: owner.name.name.clone(),
                    ..ConfigMapVolumeSource::default()
                }),
                ..Volume::default()
            };
            all.add(volume, VolumeMount { read_only: Some(true), ..mount(CONFIG, &config.mount_path) });
        }
        all.secret_files(owner, &workload.secrets);
        for (index, one) in workload.storage.iter().enumerate() {
            all.storage(owner, index, one);
        }
        all
    }

    fn add(&mut self, volume: Volume, mount: VolumeMount) {
        self.volumes.push(volume);
        self.mounts.push(mount);
    }

    /// Each file is mounted by itself, so that it hides nothing of the folder it is in. The kubelet does not
    /// renew such a file: a change rolls the pods.
    fn secret_files(&mut self, owner: &Owner, secrets: &[SecretUse]) {
        let mut sources = Vec::new();
        for (index, one) in secrets.iter().enumerate() {
            let Place::File(path) = &one.place else { continue };
            let (name, key) = kept(owner, one);
            let inside = index.to_string();
            sources.push(VolumeProjection {
                secret: Some(SecretProjection {
                    name,
                    items: Some(vec![KeyToPath { key, path: inside.clone(), mode: None }]),
                    optional: one.optional.then_some(true),
                }),
                ..VolumeProjection::default()
            });
            self.mounts.push(VolumeMount {
                read_only: Some(true),
                sub_path: Some(inside),
                ..mount(SECRETS, path)
            });
        }
        if !sources.is_empty() {
            self.volumes.push(Volume {
                name: SECRETS.to_owned(),
                projected: Some(ProjectedVolumeSource { sources: Some(sources), default_mode: None }),
                ..Volume::default()
            });
        }
    }

    fn storage(&mut self, owner: &Owner, index: usize, one: &Mount) {
        let Mount { path, sub_path, read_only, volume } = one;
        let name = format!("storage-{index}");
        let claim = |claim_name: String| Volume {
            name: name.clone(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None }),
            ..Volume::default()
        };
        let volume = match volume {
            Kept::Claim(existing) => claim(existing.clone()),
            Kept::Own(_) => claim(names::claim(owner, path)),
            Kept::WithPod { size_limit, medium } => Volume {
                name: name.clone(),
                empty_dir: Some(EmptyDirVolumeSource {
                    medium: medium.map(str::to_owned),
                    size_limit: size_limit.clone(),
                }),
                ..Volume::default()
            },
        };
        let mount = VolumeMount {
            sub_path: sub_path.clone(),
            read_only: read_only.then_some(true),
            ..mount(&name, path)
        };
        self.add(volume, mount);
    }
}

pub(super) fn empty_dir(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}
