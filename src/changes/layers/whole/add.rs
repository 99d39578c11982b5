//! A new manifest beside the sources of its namespace, where it is clear which those are.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{Meant, only, person, planned};
use crate::changes::{
    config::Repository,
    documents,
    identity::Target,
    layers::{
        Layer, Part, Planned, Unmapped, Verified, kustomize::Overlay, seat, settle::Stage, splice, written,
    },
    render::{Key, Renderers},
    source::{
        Files, Kustomizations, Place,
        paths::{chart, folder, is_kustomization, is_yaml},
    },
};

/// Where the manifests of a namespace stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::changes) enum Source {
    /// A folder of plain manifests, with a slash at its end.
    Folder(String),
    /// A folder that is built with kustomize.
    Overlay(String),
}

impl Source {
    fn folder(&self) -> &str {
        match self {
            Self::Folder(folder) | Self::Overlay(folder) => folder,
        }
    }
}

/// Where manifests of the namespace stand. Charts are not among them: what they render is not written down.
pub(in crate::changes) fn sources(
    files: &Files,
    repository: &Repository,
    namespace: &str,
) -> BTreeSet<Source> {
    let kustomizations = Kustomizations::read(files);
    let charts: Vec<_> = files.keys().filter_map(|path| chart(path)).collect();
    let default = repository.namespace.as_deref() == Some(namespace);
    let is_manifest = |path: &str| {
        path.starts_with(&repository.prefix)
            && is_yaml(path)
            && !is_kustomization(path)
            && !charts.iter().any(|chart| path.starts_with(chart.as_str()))
    };
    let holds = |path: &str| {
        let text = files.get(path).filter(|text| default || text.contains(namespace));
        let documents = text.and_then(|text| documents::read(text).ok()).unwrap_or_default();
        documents.iter().any(|document| is_of(&document.value, namespace, default))
    };
    let layered = kustomizations.users();
    let is_layered = |path: &str| layered.contains_key(path) || kustomizations.at(folder(path)).is_some();
    let plain = files.keys().filter(|path| is_manifest(path) && !is_layered(path) && holds(path));
    let plain = plain.map(|path| Source::Folder(folder(path).to_owned()));
    let overlays = kustomizations.roots().into_iter().filter(|root| root.starts_with(&repository.prefix));
    let overlays = overlays.filter(|root| {
        let set = kustomizations.at(root).and_then(|one| one.value["namespace"].as_str());
        match set {
            Some(set) => set == namespace,
            None => kustomizations.reach(root).into_iter().any(|path| is_yaml(path) && holds(path)),
        }
    });
    let overlays = overlays.map(|root| Source::Overlay(root.to_owned()));
    plain.chain(overlays).collect()
}

fn is_of(document: &Value, namespace: &str, default: bool) -> bool {
    let is_object = document["apiVersion"].is_string() && document["kind"].is_string();
    is_object
        && match document["metadata"]["namespace"].as_str() {
            Some(own) => own == namespace,
            None => default,
        }
}

/// Adds the manifest, or nothing where the repository says the same already.
///
/// # Errors
/// When it is not clear where it belongs, or more than the object would appear.
pub(in crate::changes) async fn add(
    files: &Files,
    repository: &Repository,
    target: &Target,
    manifest: &Value,
    renderers: &Renderers,
) -> Result<Planned, Unmapped> {
    match seat::find(files, &Place::search(repository), target, renderers).await {
        Ok(seat) if says(seat.object(), manifest) => {
            let said = format!("{target} stands in the repository as it is in the cluster");
            let (layer, verified) = (seat.layer(), Verified::ProvenEdit);
            return Ok(planned(files, Files::new(), layer, (None, None), said, verified));
        }
        Ok(seat) => {
            let why = format!("{target} stands in {} already, and says something else", seat.layer().file());
            return Err(person(seat::THERE, why));
        }
        Err(unmapped) if unmapped.step == seat::NOT_THERE => {}
        Err(unmapped) => return Err(person(unmapped.step, unmapped.why)),
    }
    let Some(namespace) = target.namespace.as_deref() else {
        let why = format!("{target} has no namespace, beside whose sources it could stand");
        return Err(person(seat::NOT_THERE, why));
    };
    let sources = sources(files, repository, namespace);
    let mut found = sources.iter();
    match (found.next(), found.next()) {
        (Some(source), None) => beside(files, source, target, manifest, renderers).await,
        (None, _) => {
            let why = format!("nothing of namespace {namespace} stands in the repository as a manifest");
            Err(person(seat::NOT_THERE, why))
        }
        (Some(_), Some(_)) => {
            let folders: Vec<_> = sources.iter().map(|source| shown(source.folder())).collect();
            let why = format!("manifests of namespace {namespace} stand in {}", folders.join(", "));
            Err(person(seat::NOT_THERE, format!("{why}: which of them is for a person to say")))
        }
    }
}

fn shown(folder: &str) -> &str {
    if folder.is_empty() { "the root" } else { folder }
}

/// Whether one says all that the other does; what Git says besides is no contradiction.
fn says(object: &Value, manifest: &Value) -> bool {
    match (object, manifest) {
        (Value::Object(object), Value::Object(manifest)) => manifest
            .iter()
            .all(|(key, value)| key == "namespace" || object.get(key).is_some_and(|own| says(own, value))),
        (Value::Array(object), Value::Array(manifest)) => {
            object.len() == manifest.len() && object.iter().zip(manifest).all(|(own, value)| says(own, value))
        }
        (object, manifest) => object == manifest,
    }
}

async fn beside(
    files: &Files,
    source: &Source,
    target: &Target,
    manifest: &Value,
    renderers: &Renderers,
) -> Result<Planned, Unmapped> {
    let file = free_name(files, source.folder(), target);
    let text = written::block(manifest);
    if documents::parse(&text).as_ref() != Ok(manifest) {
        return Err(person("edit", format!("{target} cannot be written down so that it reads the same")));
    }
    let mut texts = Files::from([(file.clone(), text)]);
    let objects = (None, Some(manifest.clone()));
    match source {
        Source::Folder(folder) => {
            let said =
                format!("{} holds the manifests of its namespace, and no other folder does", shown(folder));
            let layer = Layer::Plain { file, document: 0 };
            Ok(planned(files, texts, layer, objects, said, Verified::ProvenEdit))
        }
        Source::Overlay(root) => {
            let entry = file.strip_prefix(root.as_str()).unwrap_or(&file);
            let kustomizations = Kustomizations::read(files);
            let outer = kustomizations.at(root).map(|one| one.file.clone()).unwrap_or_default();
            let old = files.get(&outer).map(String::as_str).unwrap_or_default();
            let new = splice::append(old, "resources", &written::scalar(&Value::from(entry)));
            texts.insert(outer, new.map_err(|why| person("edit", why))?);
            let bench = renderers.bench().map_err(|error| person("render", error.to_string()))?;
            let overlay = Overlay { root: root.clone(), bench: Arc::new(bench) };
            let before = overlay.build(files).await.map_err(|why| person("render", why))?;
            let mut all = files.clone();
            all.extend(texts.clone());
            let after = overlay.build(&all).await.map_err(|why| person("render", why))?;
            let key = Key::of(manifest);
            only(&before, &after, &key, Meant::Appears)
                .map_err(|why| person("verify", format!("{file} in the kustomization {root} {why}")))?;
            if key.find(&after) != Some(manifest) {
                let why =
                    format!("the kustomization {root} makes another object of {target} than the cluster has");
                return Err(person("verify", why));
            }
            let by = overlay.by().await;
            let said =
                format!("rendered before and after by {by}: {target} is new, and nothing else differs");
            let layer = Layer::Kustomize { overlay: root.clone(), file, part: Part::Resource };
            Ok(planned(files, texts, layer, objects, said, Verified::Rendered { by }))
        }
    }
}

/// `prod/configmap-web.yaml`, or with a number when there is one of that name.
fn free_name(files: &Files, folder: &str, target: &Target) -> String {
    let plain: String = format!("{}-{}", target.kind, target.name)
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '-' })
        .collect();
    let file = |number: usize| match number {
        1 => format!("{folder}{plain}.yaml"),
        number => format!("{folder}{plain}-{number}.yaml"),
    };
    (1..).map(file).find(|file| !files.contains_key(file)).unwrap_or_default()
}
