//! What an MCPServer's pod needs for the DataSources that it is connected to, as one value. Needs no client.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    ByteString,
    api::core::v1::{
        ConfigMap, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource,
        ResourceRequirements, Secret, SecretKeySelector, Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use serde::Serialize;

use super::{
    fill::{Variable, url_name, variables},
    render::{RenderError, render},
    secrets, select,
};
use crate::{
    api::{
        DataSource,
        mcp_server::{ConnectedSource, DataSources, DataTemplate},
        variables::PREFIX,
    },
    fleet::ServerName,
};

/// Name of the init container that fills the template.
pub(crate) const FILL_CONTAINER: &str = "data-sources";
const TEMPLATE_VOLUME: &str = "data-sources-template";
const TEMPLATE_FOLDER: &str = "/sources-template";
const FILLED_VOLUME: &str = "data-sources";
const FILLED_FOLDER: &str = "/sources";
/// Key of the ConfigMap, and name of the file.
const FILE: &str = "sources";

/// A status lists so many.
const LISTED: usize = 200;

/// A source that may be used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Usable {
    pub source: DataSource,
    /// Its credentials, where they have to be copied: it is of another namespace.
    pub copied: BTreeMap<String, ByteString>,
    /// Of the Secrets they are copied from: a change rolls the pods. Never of the values, which a hash would let
    /// somebody guess.
    pub versions: Vec<String>,
}

/// What a pod needs. Names and owners of the objects are set; labels are for whoever applies them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ConnectedSources {
    /// The rendered template, without credentials.
    pub config_map: Option<ConfigMap>,
    /// Credentials of sources of other namespaces.
    pub secret: Option<Secret>,
    /// Fills the template.
    pub init_container: Option<Container>,
    pub volumes: Vec<Volume>,
    /// The filled file in the server's container.
    pub mount: Option<VolumeMount>,
    /// For the server's container, where there is no template.
    pub env: Vec<EnvVar>,
    /// Secrets in the server's namespace that ExternalSecrets of the sources fill.
    pub brought: BTreeSet<String>,
    /// How many sources there are, those that are not listed included.
    pub count: usize,
    /// For `status.connectedSources`.
    pub listed: Vec<ConnectedSource>,
    /// Changes with everything above but the phases and the image: belongs into the config hash.
    pub hash: String,
}

impl ConnectedSources {
    /// Variables that the kubelet fills from Secrets that are not ours: their change rolls the pods.
    pub(crate) fn read_by_kubelet(&self, server: &ServerName) -> Vec<EnvVar> {
        let copy = object_name(&server.name);
        let is_theirs = |variable: &EnvVar| {
            let from = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
            from.is_some_and(|from| from.name != copy)
        };
        env_of(self).into_iter().filter(is_theirs).collect()
    }
}

/// Name of the ConfigMap and of the Secret.
pub(crate) fn object_name(server: &str) -> String {
    format!("{server}-sources")
}

/// `image` brings the program that fills: that of the pods that exist, or else our own.
///
/// # Errors
/// When the template gives no file.
pub(crate) fn connect(
    server: &ServerName,
    spec: &DataSources,
    usable: &[Usable],
    image: &str,
) -> Result<ConnectedSources, ConnectError> {
    let sources: Vec<DataSource> = usable.iter().map(|usable| usable.source.clone()).collect();
    let known = variables(&sources, &server.namespace);
    let secret = aggregated(server, usable, &known);
    let env: Vec<EnvVar> = known.iter().map(|variable| from_secret(server, variable)).collect();
    let mut connected = match &spec.template {
        Some(template) => {
            let text = render(template, &spec.policy, server, &sources, &known)?;
            filled(server, template, text, &env, image)
        }
        None => ConnectedSources { env: plain_env(server, &sources, env), ..ConnectedSources::default() },
    };
    connected.secret = secret;
    connected.brought = sources.iter().filter_map(|source| brought(source, &server.namespace)).collect();
    connected.count = sources.len();
    connected.listed = sources.iter().map(listed).collect();
    connected.listed.truncate(LISTED);
    let versions: Vec<&Vec<String>> = usable.iter().map(|usable| &usable.versions).collect();
    connected.hash = hash(&(
        connected.config_map.as_ref().and_then(|map| map.data.as_ref()),
        spec.template.as_ref().map(|template| &template.mount_path),
        &env_of(&connected),
        versions,
    ))?;
    Ok(connected)
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("what belongs into the pod cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

fn env_of(connected: &ConnectedSources) -> Vec<EnvVar> {
    let init = connected.init_container.iter().flat_map(|container| container.env.iter().flatten());
    init.chain(&connected.env).cloned().collect()
}

fn filled(
    server: &ServerName,
    template: &DataTemplate,
    text: String,
    env: &[EnvVar],
    image: &str,
) -> ConnectedSources {
    let prefixed =
        env.iter().map(|variable| EnvVar { name: format!("{PREFIX}{}", variable.name), ..variable.clone() });
    ConnectedSources {
        config_map: Some(ConfigMap {
            metadata: metadata(server),
            data: Some(BTreeMap::from([(FILE.to_owned(), text)])),
            ..ConfigMap::default()
        }),
        init_container: Some(filler(image, prefixed.collect())),
        volumes: vec![
            Volume {
                name: TEMPLATE_VOLUME.to_owned(),
                config_map: Some(ConfigMapVolumeSource {
                    name: object_name(&server.name),
                    ..ConfigMapVolumeSource::default()
                }),
                ..Volume::default()
            },
            // In memory: what is in it is on no disk.
            Volume {
                name: FILLED_VOLUME.to_owned(),
                empty_dir: Some(EmptyDirVolumeSource {
                    medium: Some("Memory".to_owned()),
                    size_limit: Some(Quantity("2Mi".to_owned())),
                }),
                ..Volume::default()
            },
        ],
        mount: Some(VolumeMount {
            name: FILLED_VOLUME.to_owned(),
            mount_path: template.mount_path.clone(),
            sub_path: Some(FILE.to_owned()),
            read_only: Some(true),
            ..VolumeMount::default()
        }),
        ..ConnectedSources::default()
    }
}

fn filler(image: &str, env: Vec<EnvVar>) -> Container {
    let amounts = |cpu: &str, memory: &str| {
        let pairs = [("cpu", cpu), ("memory", memory)];
        BTreeMap::from(pairs.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))))
    };
    let (from, into) = (format!("{TEMPLATE_FOLDER}/{FILE}"), format!("{FILLED_FOLDER}/{FILE}"));
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    Container {
        name: FILL_CONTAINER.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(["bridge", "--fill", &from, "--into", &into].map(str::to_owned).to_vec()),
        env: (!env.is_empty()).then_some(env),
        resources: Some(ResourceRequirements {
            requests: Some(amounts("10m", "32Mi")),
            limits: Some(amounts("1", "64Mi")),
            claims: None,
        }),
        volume_mounts: Some(vec![
            mount(TEMPLATE_VOLUME, TEMPLATE_FOLDER, true),
            mount(FILLED_VOLUME, FILLED_FOLDER, false),
        ]),
        ..Container::default()
    }
}

/// Addresses as they are, credentials from their Secrets.
fn plain_env(server: &ServerName, sources: &[DataSource], credentials: Vec<EnvVar>) -> Vec<EnvVar> {
    let addresses = sources.iter().map(|source| EnvVar {
        name: url_name(source, &server.namespace),
        // The kubelet would replace `$(NAME)`.
        value: Some(source.spec.endpoint.replace('$', "$$")),
        value_from: None,
    });
    addresses.chain(credentials).collect()
}

/// The kubelet reads the source's own Secret; that of another namespace only as our copy.
fn from_secret(server: &ServerName, variable: &Variable) -> EnvVar {
    let (name, key) = if variable.namespace == server.namespace {
        (variable.kept.name.clone(), variable.kept.key.clone())
    } else {
        (object_name(&server.name), variable.name.clone())
    };
    EnvVar {
        name: variable.name.clone(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector { name, key, optional: None }),
            ..EnvVarSource::default()
        }),
    }
}

fn aggregated(server: &ServerName, usable: &[Usable], known: &[Variable]) -> Option<Secret> {
    let mut data = BTreeMap::new();
    for variable in known.iter().filter(|variable| variable.namespace != server.namespace) {
        let of = usable.iter().find(|usable| {
            select::place(&usable.source) == (variable.namespace.as_str(), variable.source.as_str())
        });
        if let Some(value) = of.and_then(|usable| usable.copied.get(&variable.credential)) {
            data.insert(variable.name.clone(), value.clone());
        }
    }
    (!data.is_empty()).then(|| Secret {
        metadata: metadata(server),
        type_: Some("Opaque".to_owned()),
        data: Some(data),
        ..Secret::default()
    })
}

fn metadata(server: &ServerName) -> ObjectMeta {
    ObjectMeta {
        name: Some(object_name(&server.name)),
        namespace: Some(server.namespace.clone()),
        ..ObjectMeta::default()
    }
}

fn brought(source: &DataSource, own_namespace: &str) -> Option<String> {
    let (namespace, name) = select::place(source);
    let is_external = source.spec.credentials.iter().any(|credential| credential.external.is_some());
    (is_external && namespace == own_namespace).then(|| secrets::brought(name))
}

fn listed(source: &DataSource) -> ConnectedSource {
    let (namespace, name) = select::place(source);
    ConnectedSource {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        phase: source.status.as_ref().and_then(|status| status.phase),
    }
}

fn hash(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    Ok(hex::encode(&sum.as_ref()[..8]))
}

#[cfg(test)]
mod tests;
