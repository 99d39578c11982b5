//! What pods refer to: ConfigMaps and Secrets, with the keys they need of them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume, VolumeProjection};

/// One need of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    pub(super) what: Referred,
    pub(super) name: String,
    /// `None` where the object alone is needed.
    pub(super) key: Option<String>,
    /// Nothing is wrong when it is missing.
    pub(super) is_optional: bool,
    /// Where in the pod's spec.
    pub(super) path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Referred {
    ConfigMap,
    Secret,
    /// A Secret that pulls are authorised with: without it pulls are tried all the same.
    PullSecret,
}

impl Referred {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret | Self::PullSecret => "Secret",
        }
    }
}

/// All references of a pod, each once, in the order of their places.
pub(super) fn references(spec: &PodSpec) -> Vec<Reference> {
    let mut found = Vec::new();
    let init = spec.init_containers.iter().flatten().map(|container| ("initContainers", container));
    let main = spec.containers.iter().map(|container| ("containers", container));
    for (list, container) in init.chain(main) {
        of_container(&format!("{list}[name={}]", container.name), container, &mut found);
    }
    for volume in spec.volumes.iter().flatten() {
        of_volume(volume, &mut found);
    }
    for secret in spec.image_pull_secrets.iter().flatten().filter(|secret| !secret.name.is_empty()) {
        add(&mut found, Referred::PullSecret, &secret.name, None, None, "imagePullSecrets".to_owned());
    }
    let mut seen = BTreeSet::new();
    found.retain(|reference| {
        let Reference { what, name, key, is_optional, path: _ } = reference;
        seen.insert((*what, name.clone(), key.clone(), *is_optional))
    });
    found
}

fn of_container(path: &str, container: &Container, found: &mut Vec<Reference>) {
    for from in container.env_from.iter().flatten() {
        if let Some(map) = &from.config_map_ref {
            let path = format!("{path}.envFrom.configMapRef");
            add(found, Referred::ConfigMap, &map.name, None, map.optional, path);
        }
        if let Some(secret) = &from.secret_ref {
            let path = format!("{path}.envFrom.secretRef");
            add(found, Referred::Secret, &secret.name, None, secret.optional, path);
        }
    }
    for variable in container.env.iter().flatten() {
        let Some(source) = &variable.value_from else { continue };
        if let Some(map) = &source.config_map_key_ref {
            let path = format!("{path}.env[name={}].valueFrom.configMapKeyRef", variable.name);
            add(found, Referred::ConfigMap, &map.name, Some(&map.key), map.optional, path);
        }
        if let Some(secret) = &source.secret_key_ref {
            let path = format!("{path}.env[name={}].valueFrom.secretKeyRef", variable.name);
            add(found, Referred::Secret, &secret.name, Some(&secret.key), secret.optional, path);
        }
    }
}

fn of_volume(volume: &Volume, found: &mut Vec<Reference>) {
    let path = format!("volumes[name={}]", volume.name);
    if let Some(map) = &volume.config_map {
        let items = map.items.iter().flatten().map(|item| item.key.as_str());
        of_items(found, Referred::ConfigMap, &map.name, items, map.optional, &format!("{path}.configMap"));
    }
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        let items = secret.items.iter().flatten().map(|item| item.key.as_str());
        of_items(found, Referred::Secret, name, items, secret.optional, &format!("{path}.secret"));
    }
    let projected = volume.projected.as_ref().and_then(|projected| projected.sources.as_deref());
    for VolumeProjection { config_map, secret, .. } in projected.unwrap_or_default() {
        let path = format!("{path}.projected.sources");
        if let Some(map) = config_map {
            let items = map.items.iter().flatten().map(|item| item.key.as_str());
            of_items(found, Referred::ConfigMap, &map.name, items, map.optional, &path);
        }
        if let Some(secret) = secret {
            let items = secret.items.iter().flatten().map(|item| item.key.as_str());
            of_items(found, Referred::Secret, &secret.name, items, secret.optional, &path);
        }
    }
}

fn of_items<'a>(
    found: &mut Vec<Reference>,
    what: Referred,
    name: &str,
    keys: impl Iterator<Item = &'a str>,
    optional: Option<bool>,
    path: &str,
) {
    let before = found.len();
    for key in keys {
        add(found, what, name, Some(key), optional, path.to_owned());
    }
    if found.len() == before {
        add(found, what, name, None, optional, path.to_owned());
    }
}

fn add(
    found: &mut Vec<Reference>,
    what: Referred,
    name: &str,
    key: Option<&str>,
    optional: Option<bool>,
    path: String,
) {
    found.push(Reference {
        what,
        name: name.to_owned(),
        key: key.map(str::to_owned),
        is_optional: optional == Some(true),
        path,
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use k8s_openapi::api::core::v1::PodSpec;
    use serde_json::json;

    use super::{Referred, references};

    #[test]
    fn every_place_is_looked_at() {
        let spec: PodSpec = serde_json::from_value(json!({
            "containers": [{ "name": "web",
                "envFrom": [{ "configMapRef": { "name": "all" } }, { "secretRef": { "name": "s", "optional": true } }],
                "env": [{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }] }],
            "volumes": [
                { "name": "v", "configMap": { "name": "files", "items": [{ "key": "a.conf", "path": "a" }] } },
                { "name": "p", "projected": { "sources": [{ "secret": { "name": "tls" } }] } }],
            "imagePullSecrets": [{ "name": "pull" }],
        }))
        .unwrap();
        let found: Vec<_> = references(&spec)
            .into_iter()
            .map(|r| (r.what, r.name, r.key.unwrap_or_default(), r.is_optional))
            .collect();
        let row = |what, name: &str, key: &str, optional| (what, name.to_owned(), key.to_owned(), optional);
        assert_eq!(
            found,
            [
                row(Referred::ConfigMap, "all", "", false),
                row(Referred::Secret, "s", "", true),
                row(Referred::Secret, "s", "k", false),
                row(Referred::ConfigMap, "files", "a.conf", false),
                row(Referred::Secret, "tls", "", false),
                row(Referred::PullSecret, "pull", "", false),
            ]
        );
    }
}
