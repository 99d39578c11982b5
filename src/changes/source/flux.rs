//! Places that Flux names.

use serde_json::Value;

use super::{
    paths::{join, join_folder},
    place::{NoPlace, Ways, configured, target_of, way_of_manifest},
    way::{Chart, Folder, Form, Manifest, Standing, Values, Way},
};
use crate::{
    changes::{config::Repository, path::FieldPath},
    tools::Applied,
};

/// Fields of a `Kustomization` by which it changes what it applies.
const OVERRIDES: [&str; 7] =
    ["patches", "images", "components", "namePrefix", "nameSuffix", "commonMetadata", "postBuild"];

/// Of a `Kustomization`: a folder, kustomized or plain, with all folders in it.
pub(super) fn folder<'r>(
    applied: &Applied,
    applier: &Value,
    repositories: &[&'r Repository],
) -> Result<Ways<'r>, NoPlace> {
    let by = &applied.by;
    let source = applied.sources.first().cloned().unwrap_or_default();
    let repository = configured(by, &source.repository, repositories)?;
    let path = join_folder("", &source.path).ok_or_else(|| outside(by, &source.path))?;
    let spec = &applier["spec"];
    let overrides = OVERRIDES.iter().filter(|field| is_set(&spec[**field]));
    Ok(Ways::In(
        repository,
        vec![Way::Folder(Folder {
            path,
            deep: true,
            namespace: spec["targetNamespace"].as_str().map(str::to_owned),
            by: by.clone(),
            overrides: overrides.map(|field| format!("spec.{field}")).collect(),
        })],
    ))
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Of a `HelmRelease` whose chart stands in Git: the chart, with the values of the release's own manifest above it.
pub(super) fn chart<'r>(
    applied: &Applied,
    applier: &Value,
    above: &[Applied],
    repositories: &[&'r Repository],
) -> Result<Ways<'r>, NoPlace> {
    let by = &applied.by;
    let spec = &applier["spec"];
    let source = applied.sources.first().cloned().unwrap_or_default();
    if source.path.is_empty() {
        return Err(NoPlace::Unreachable(format!(
            "{by} installs the chart {}, which comes from a chart repository, so its templates are not in Git and no change of its values can be proven: find the value that decides and propose the change of {by}, field spec.values",
            source.chart
        )));
    }
    let repository = configured(by, &source.repository, repositories)?;
    for (field, is_in_the_way) in [
        ("spec.valuesFrom", is_set(&spec["valuesFrom"])),
        ("spec.postRenderers", is_set(&spec["postRenderers"])),
        ("spec.chart.spec.valuesFiles", is_set(&spec["chart"]["spec"]["valuesFiles"])),
    ] {
        if is_in_the_way {
            return Err(NoPlace::Unreachable(format!(
                "{by} has {field}, which is not followed, so what decides is not known"
            )));
        }
    }
    let folder = join_folder("", &source.path).ok_or_else(|| outside(by, &source.path))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, namespace) = (text(&applier["metadata"]["name"]), text(&applier["metadata"]["namespace"]));
    let into = spec["targetNamespace"].as_str();
    let release = match (spec["releaseName"].as_str(), into) {
        (Some(release), _) => release.to_owned(),
        (None, Some(into)) => format!("{into}-{name}"),
        (None, None) => name,
    };
    let manifest = Manifest {
        object: target_of(applier),
        field: FieldPath::of_keys(&["spec", "values"]),
        form: Form::Mapping,
        way: Box::new(way_of_manifest(above, repository, repositories)),
    };
    Ok(Ways::In(
        repository,
        vec![Way::Chart(Chart {
            at: Standing::Folder(folder),
            release,
            namespace: into.map_or(namespace, str::to_owned),
            values: vec![Values::Manifest(manifest)],
            by: by.clone(),
        })],
    ))
}

pub(super) fn outside(by: &str, path: &str) -> NoPlace {
    NoPlace::Unreachable(format!("{by} names the path {path:?}, which leads out of its repository"))
}

/// A file that an applier names from a folder, or from the root with a slash.
pub(super) fn file(by: &str, folder: &str, path: &str) -> Result<String, NoPlace> {
    let from = if path.starts_with('/') { "" } else { folder };
    join(from, path).ok_or_else(|| outside(by, path))
}
