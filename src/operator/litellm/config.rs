//! Which LiteLLM proxy is told of servers: `operator.litellm` of the configuration file.

use std::{fs, path::PathBuf, time::Duration};

use reqwest::{Certificate, Client, redirect};
use serde::Deserialize;
use url::Url;

use crate::redact;

/// Of one request, connecting included.
const DEADLINE: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);

/// One of `api` and `configMap` must be set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LitellmConfig {
    /// The proxy keeps its servers in a database, and is told by HTTP.
    pub api: Option<ApiConfig>,
    /// The proxy reads its servers from a file, which is a key of a ConfigMap.
    pub config_map: Option<ConfigMapConfig>,
    /// The word by which our entries are marked; `pilothouse` for a ConfigMap if absent. Installations that share a
    /// proxy need different ones, so over the API it must be set.
    pub owner: Option<String>,
    /// Which URL of a server the proxy is given.
    #[serde(default)]
    pub address: Address,
    /// How long a server that starts or is in trouble keeps its entry, in seconds, 0 to 3600. One that is stopped or has
    /// failed loses it at once.
    #[serde(default = "default_grace")]
    pub grace_seconds: u64,
    /// How often it is looked whether the entries are still there, in seconds, 5 to 86400.
    #[serde(default = "default_look")]
    pub look_every_seconds: u64,
}

fn default_grace() -> u64 {
    60
}

fn default_look() -> u64 {
    300
}

/// See [`LitellmConfig::address`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Address {
    /// The one inside the cluster.
    #[default]
    Service,
    /// That of its Ingress, for a proxy outside of the cluster.
    External,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApiConfig {
    /// `http://litellm.litellm.svc:4000`; a path before `/v1` is kept.
    pub url: Url,
    /// The Secret with a key of a proxy admin; read anew for each look.
    pub key_secret_ref: Option<KeySecretRef>,
    /// The same as a file.
    pub key_file: Option<PathBuf>,
    /// A file with the authorities (PEM) that its certificate is trusted by, beside the usual ones.
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct KeySecretRef {
    pub namespace: String,
    pub name: String,
    pub key: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConfigMapConfig {
    pub namespace: String,
    pub name: String,
    #[serde(default = "default_key")]
    pub key: String,
    #[serde(default)]
    pub format: Format,
    /// The keys that lead to the servers in it, parted by dots.
    #[serde(default = "default_path")]
    pub path: String,
    /// Present when the proxy is to be restarted after each change: it reads the file only when it starts.
    pub restart: Option<RestartConfig>,
}

fn default_key() -> String {
    "config.yaml".to_owned()
}

fn default_path() -> String {
    "mcp_servers".to_owned()
}

/// How the ConfigMap's text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Yaml,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RestartConfig {
    /// The proxy's Deployment, in the namespace of the ConfigMap.
    pub deployment: String,
}

/// Why `operator.litellm` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LitellmConfigError {
    #[error("operator.litellm names no proxy: set one of `api` and `configMap`")]
    NoProxy,
    #[error("operator.litellm names two ways to tell the proxy: remove one of `api` and `configMap`")]
    TwoProxies,
    #[error(
        "operator.litellm.owner is missing: with `api`, name this installation, such as by its cluster; another one that tells the same proxy must have another name"
    )]
    Owner,
    #[error("operator.litellm.api needs the key of a proxy admin: set one of `keySecretRef` and `keyFile`")]
    Key,
    #[error(
        "operator.litellm.api.url is `{0}`: it must begin with http:// or https:// and hold no user, password or query"
    )]
    Url(String),
    #[error(
        "operator.litellm.api.caFile, {path}, cannot be used ({reason}): it must hold certificates as PEM"
    )]
    Authority { path: String, reason: String },
    #[error("operator.litellm.{field} is `{value}`: {rule}")]
    Value { field: &'static str, value: String, rule: &'static str },
}

/// What is told of servers, and how; checked.
#[derive(Clone, Debug)]
pub struct LitellmSettings {
    pub(super) proxy: ProxySettings,
    pub(super) owner: String,
    pub(in crate::operator) address: Address,
    pub(super) grace: Duration,
    pub(super) look_every: Duration,
}

#[derive(Clone, Debug)]
pub(super) enum ProxySettings {
    Api { base: Url, key: KeySource, http: Client },
    ConfigMap(ConfigMapSettings),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeySource {
    Secret(KeySecretRef),
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigMapSettings {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) format: Format,
    pub(super) path: Vec<String>,
    pub(super) restart: Option<String>,
}

impl LitellmSettings {
    /// What holds the entries, to begin a sentence with.
    pub(in crate::operator) fn place(&self) -> String {
        match &self.proxy {
            ProxySettings::Api { base, key: _, http: _ } => {
                format!("The LiteLLM proxy at {}", base.as_str().trim_end_matches('/'))
            }
            ProxySettings::ConfigMap(ConfigMapSettings { namespace, name, .. }) => {
                format!("ConfigMap {namespace}/{name} of the LiteLLM proxy")
            }
        }
    }
}

impl LitellmConfig {
    /// Reads the authority's file; the network is not touched.
    ///
    /// # Errors
    /// When a value cannot be used: which one, and what fits.
    pub fn settings(self) -> Result<LitellmSettings, LitellmConfigError> {
        let Self { api, config_map, owner, address, grace_seconds, look_every_seconds } = self;
        let proxy = match (api, config_map) {
            (None, None) => return Err(LitellmConfigError::NoProxy),
            (Some(_), Some(_)) => return Err(LitellmConfigError::TwoProxies),
            (Some(api), None) => of_api(api)?,
            (None, Some(config_map)) => ProxySettings::ConfigMap(of_config_map(config_map)?),
        };
        let owner = match (owner, &proxy) {
            (Some(owner), _) => owner,
            (None, ProxySettings::ConfigMap(_)) => "pilothouse".to_owned(),
            (None, ProxySettings::Api { .. }) => return Err(LitellmConfigError::Owner),
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if owner.is_empty() || owner.len() > 63 || !owner.chars().all(is_word) {
            let rule = "use 1 to 63 letters, digits, dots and dashes, such as the cluster's name";
            return Err(LitellmConfigError::Value { field: "owner", value: redact::shown(&owner), rule });
        }
        let within = |field, value: u64, range: std::ops::RangeInclusive<u64>, rule| {
            if range.contains(&value) {
                Ok(Duration::from_secs(value))
            } else {
                Err(LitellmConfigError::Value { field, value: value.to_string(), rule })
            }
        };
        let rule = "use seconds from 0 to 3600";
        let grace = within("graceSeconds", grace_seconds, 0..=3_600, rule)?;
        let rule = "use seconds from 5 to 86400";
        let look_every = within("lookEverySeconds", look_every_seconds, 5..=86_400, rule)?;
        Ok(LitellmSettings { proxy, owner, address, grace, look_every })
    }
}

fn of_api(api: ApiConfig) -> Result<ProxySettings, LitellmConfigError> {
    let ApiConfig { url, key_secret_ref, key_file, ca_file } = api;
    let key = match (key_secret_ref, key_file) {
        (Some(secret), None) => KeySource::Secret(secret),
        (None, Some(file)) => KeySource::File(file),
        (None, None) | (Some(_), Some(_)) => return Err(LitellmConfigError::Key),
    };
    let usable = ["http", "https"].contains(&url.scheme())
        && url.has_host()
        && url.password().is_none()
        && url.username().is_empty()
        && url.query().is_none();
    if !usable {
        return Err(LitellmConfigError::Url(redact::shown(url.as_str())));
    }
    let mut base = url;
    // A path without a slash at its end would be replaced by what is joined to it.
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    // The key is for the proxy that is configured, and for no other that it might name.
    let mut builder =
        Client::builder().timeout(DEADLINE).connect_timeout(CONNECT).redirect(redirect::Policy::none());
    if let Some(path) = ca_file {
        let unusable =
            |reason: String| LitellmConfigError::Authority { path: path.display().to_string(), reason };
        let pem = fs::read(&path).map_err(|error| unusable(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(unusable("it holds none".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    let http = builder.build().map_err(|error| LitellmConfigError::Authority {
        path: "of the system".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(ProxySettings::Api { base, key, http })
}

fn of_config_map(config: ConfigMapConfig) -> Result<ConfigMapSettings, LitellmConfigError> {
    let ConfigMapConfig { namespace, name, key, format, path, restart } = config;
    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if path.iter().any(|step| step.is_empty() || !step.chars().all(is_word)) {
        let rule = "use the names of keys parted by dots, such as mcp_servers";
        return Err(LitellmConfigError::Value { field: "configMap.path", value: path.join("."), rule });
    }
    let deployment = restart.map(|RestartConfig { deployment }| deployment);
    for (field, value) in [
        ("configMap.namespace", Some(&namespace)),
        ("configMap.name", Some(&name)),
        ("configMap.key", Some(&key)),
        ("configMap.restart.deployment", deployment.as_ref()),
    ] {
        if value.is_some_and(String::is_empty) {
            return Err(LitellmConfigError::Value { field, value: String::new(), rule: "give its name" });
        }
    }
    Ok(ConfigMapSettings { namespace, name, key, format, path, restart: deployment })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Format, LitellmConfig, ProxySettings};

    fn refused(yaml: &str) -> String {
        let read: Result<LitellmConfig, _> = serde_saphyr::from_str(yaml);
        match read {
            Err(error) => error.to_string(),
            Ok(config) => config.settings().err().map(|error| error.to_string()).unwrap_or_default(),
        }
    }

    #[test]
    fn a_config_map_needs_only_its_name() {
        let yaml = "configMap: {namespace: llm, name: litellm-config}";
        let settings = serde_saphyr::from_str::<LitellmConfig>(yaml).unwrap().settings().unwrap();
        let ProxySettings::ConfigMap(config_map) = settings.proxy else { panic!("a ConfigMap") };
        assert_eq!(
            (config_map.key.as_str(), config_map.format, config_map.path.join(".").as_str()),
            ("config.yaml", Format::Yaml, "mcp_servers")
        );
        assert_eq!((settings.owner.as_str(), settings.grace.as_secs()), ("pilothouse", 60));
    }

    #[test]
    fn what_cannot_be_used_is_named_with_what_fits() {
        let map = "configMap: {namespace: a, name: b";
        for (yaml, says) in [
            ("owner: x".to_owned(), "one of `api` and `configMap`"),
            (format!("{map}}}\napi: {{url: 'http://a', keyFile: k}}"), "remove one"),
            ("api: {url: 'http://a'}".to_owned(), "keySecretRef"),
            ("api: {url: 'http://a', keyFile: k}".to_owned(), "litellm.owner"),
            ("api: {url: 'http://u:hunter2@a', keyFile: k}".to_owned(), "no user"),
            ("api: {url: 'ftp://a', keyFile: k}".to_owned(), "http://"),
            ("api: {url: 'http://a', keyFile: k, caFile: /does/not/exist}".to_owned(), "caFile"),
            (format!("{map}, path: 'a..b'}}"), "parted by dots"),
            (format!("{map}, format: toml}}"), "toml"),
            (format!("{map}, restart: {{deployment: ''}}}}"), "restart.deployment"),
            (format!("{map}, kye: x}}"), "kye"),
            (format!("{map}}}\nowner: 'a b'"), "owner"),
            (format!("{map}}}\ngraceSeconds: 9999"), "0 to 3600"),
            (format!("{map}}}\nlookEverySeconds: 1"), "5 to 86400"),
        ] {
            let said = refused(&yaml);
            assert!(said.contains(says), "{yaml}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
