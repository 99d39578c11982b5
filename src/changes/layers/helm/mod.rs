//! Releases of charts: the values leaf before the template, the later values before the earlier ones, and each
//! candidate proven by rendering the release.
//!
//! [`values`] knows which layer says what, [`guesses`] which values may decide a field, [`candidates`] where they
//! are changed.

mod candidates;
mod guesses;
mod values;

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use self::values::{At, Source, of_parameters};
use super::{
    Layer,
    attempt::{Attempt, Made},
    seat,
    settle::Stage,
};
use crate::changes::{
    documents,
    edit::Edit,
    render::{Bench, HelmCall, Renderers},
    source::{
        Files, Form, Manifest, Place, Values,
        paths::{base, folder, join_folder},
    },
};

/// A release of a chart in the repository.
#[derive(Clone, Debug)]
pub(super) struct Release {
    /// With a slash at its end.
    pub(super) chart: String,
    pub(super) release: String,
    pub(super) namespace: String,
    pub(super) values: Vec<Values>,
    /// For the manifests that hold values.
    pub(super) place: Place,
    pub(super) bench: Arc<Bench>,
    pub(super) renderers: Renderers,
}

/// What the release's own manifests say, kept beside the files while they are rendered.
const BESIDE: &str = ".pilothouse-values/";

impl Release {
    /// The layers of values, the weakest first.
    ///
    /// # Errors
    /// When one of them is not there or cannot be read.
    async fn sources(&self, files: &Files) -> Result<Vec<Source>, String> {
        let mut sources = subcharts(files, &self.chart);
        let file = format!("{}values.yaml", self.chart);
        if let Some(text) = files.get(&file) {
            sources.push(Source { value: parsed(&file, text)?, at: At::Defaults { file } });
        }
        for (index, values) in self.values.iter().enumerate() {
            sources.push(match values {
                Values::File(file) => {
                    let text = files.get(file).ok_or_else(|| {
                        format!("the values file {file} is not in the repository, so the release cannot be rendered")
                    })?;
                    Source { value: parsed(file, text)?, at: At::File { file: file.clone() } }
                }
                Values::Manifest(manifest) => {
                    Source { value: self.held(files, manifest).await?, at: At::Manifest { index } }
                }
            });
        }
        Ok(sources)
    }

    /// The values that a manifest holds.
    async fn held(&self, files: &Files, manifest: &Manifest) -> Result<Value, String> {
        let object = self.seat(files, manifest).await?;
        let Manifest { field, form, object: target, .. } = manifest;
        let value = field.locate(object.object()).ok().and_then(|place| place.get(object.object()).cloned());
        let value = value.unwrap_or_default();
        match form {
            Form::Mapping => Ok(value),
            Form::Text => parsed(&target.to_string(), value.as_str().unwrap_or_default()),
            Form::Parameters => of_parameters(&value),
        }
    }

    /// Where a manifest with values is.
    async fn seat(&self, files: &Files, manifest: &Manifest) -> Result<seat::Seat, String> {
        let place = Place { ways: vec![(*manifest.way).clone()], ..self.place.clone() };
        let found = seat::find(files, &place, &manifest.object, &self.renderers).await;
        found.map_err(|unmapped| format!("its values are in {}: {}", manifest.object, unmapped.why))
    }

    async fn template(&self, files: &Files) -> Result<Vec<Value>, String> {
        let sources = self.sources(files).await?;
        let mut files = files.clone();
        let mut paths = Vec::new();
        for (number, Source { at, value }) in sources.iter().enumerate() {
            match at {
                At::Subchart | At::Defaults { .. } => {}
                At::File { file } => paths.push(file.clone()),
                At::Manifest { .. } => {
                    let path = format!("{BESIDE}{number}.yaml");
                    // JSON is YAML.
                    let value = if value.is_null() { "{}".to_owned() } else { value.to_string() };
                    files.insert(path.clone(), value);
                    paths.push(path);
                }
            }
        }
        let Self { chart, release, namespace, .. } = self;
        let call = HelmCall {
            chart: chart.clone(),
            release: release.clone(),
            namespace: namespace.clone(),
            values: paths,
        };
        self.bench.helm(&files, &call).await.map_err(|error| error.to_string())
    }
}

impl Stage for Release {
    fn render<'a>(&'a self, files: &'a Files) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        Box::pin(self.template(files))
    }

    fn attempts<'a>(
        &'a self,
        files: &'a Files,
        object: &'a Value,
        edit: &'a Edit,
    ) -> BoxFuture<'a, Vec<Attempt>> {
        Box::pin(async move {
            // They were read when the release was rendered.
            let sources = self.sources(files).await.unwrap_or_default();
            candidates::of(self, files, &sources, object, edit)
        })
    }

    fn elsewhere<'a>(
        &'a self,
        files: &'a Files,
        manifest: usize,
        edits: &'a [Edit],
    ) -> BoxFuture<'a, Result<Made, String>> {
        Box::pin(async move {
            let Some(Values::Manifest(manifest)) = self.values.get(manifest) else {
                return Err("there is no such manifest".to_owned());
            };
            let seat = self.seat(files, manifest).await?;
            let edits = candidates::in_form(manifest.form, &manifest.field, seat.object(), edits)?;
            let planned = seat.change(files, &edits).await.map_err(|unmapped| unmapped.why)?;
            let line = planned.changed.first().map(|changed| changed.line).ok_or("it says so already")?;
            Ok(Made { texts: planned.files, line })
        })
    }

    fn by(&self) -> BoxFuture<'_, String> {
        Box::pin(self.bench.helm_version())
    }

    fn layer(&self) -> Layer {
        let file = format!("{}values.yaml", self.chart);
        Layer::HelmValues { chart: self.chart.clone(), file, path: String::new() }
    }
}

fn parsed(name: &str, text: &str) -> Result<Value, String> {
    if documents::read(text).is_ok_and(|documents| documents.is_empty()) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    documents::parse(text).map_err(|reason| format!("{name} is not YAML that we read: {reason}"))
}

/// The defaults of the charts in a chart, below the names by which their parent sets them.
fn subcharts(files: &Files, chart: &str) -> Vec<Source> {
    let Some(inside) = join_folder(chart, "charts") else { return Vec::new() };
    let own = files.get(&format!("{chart}Chart.yaml")).and_then(|text| documents::parse(text).ok());
    let dependencies = own.as_ref().and_then(|own| own["dependencies"].as_array());
    let mut sources = Vec::new();
    for (path, text) in files.range(inside.clone()..).take_while(|(path, _)| path.starts_with(&inside)) {
        let at = folder(path);
        let depth = at[inside.len()..].matches('/').count();
        if base(path) != "values.yaml" || depth != 1 {
            continue;
        }
        let name = at[inside.len()..].trim_end_matches('/');
        let Ok(value) = parsed(path, text) else { continue };
        let aliases: Vec<&str> = dependencies
            .into_iter()
            .flatten()
            .filter(|dependency| dependency["name"] == name)
            .map(|dependency| dependency["alias"].as_str().unwrap_or(name))
            .collect();
        let names = if aliases.is_empty() { vec![name] } else { aliases };
        for name in names {
            let value = Value::Object([(name.to_owned(), value.clone())].into_iter().collect());
            sources.push(Source { at: At::Subchart, value });
        }
    }
    sources
}
