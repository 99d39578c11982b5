//! By which way of a place an object comes to the cluster.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Layer, Planned, Unmapped,
    helm::Release,
    kustomize::{Overlay, may_make, pick},
    plain,
    settle::{Stage, settle},
};
use crate::changes::{
    documents,
    edit::Edit,
    identity::Target,
    render::{Bench, Key, Renderers},
    source::{
        Chart, Files, Folder, Kustomizations, Place, Standing, Values, Way,
        paths::{base, chart as chart_folder, folder},
        plain::{Ground, Hit, SourceError, find as find_plain},
    },
};

/// The step of an object that is nowhere.
pub(super) const NOT_THERE: &str = "find";
/// The step of an object that is there, and not to be changed.
pub(super) const THERE: &str = "locate";

/// Where an object is maintained.
pub(super) enum Seat {
    Plain(plain::Manifest),
    Built(Built),
}

/// An object that is rendered.
pub(super) struct Built {
    stage: Box<dyn Stage>,
    /// All that is rendered with it.
    objects: Vec<Value>,
    object: Value,
}

impl Seat {
    /// As Git says it.
    pub(super) fn object(&self) -> &Value {
        match self {
            Self::Plain(manifest) => &manifest.value,
            Self::Built(built) => &built.object,
        }
    }

    /// Where it is.
    pub(super) fn layer(&self) -> Layer {
        match self {
            Self::Plain(plain::Manifest { file, document, .. }) => {
                Layer::Plain { file: file.clone(), document: *document }
            }
            Self::Built(built) => built.stage.layer(),
        }
    }

    /// # Errors
    /// When no change is proven.
    pub(super) async fn change(&self, files: &Files, edits: &[Edit]) -> Result<Planned, Unmapped> {
        match self {
            Self::Plain(manifest) => plain::change(manifest, files, edits),
            Self::Built(Built { stage, objects, object }) => {
                settle(stage.as_ref(), files, objects.clone(), &Key::of(object), edits).await
            }
        }
    }
}

/// What a search needs everywhere.
struct Search<'a> {
    files: &'a Files,
    place: &'a Place,
    target: &'a Target,
    kustomizations: &'a Kustomizations,
    renderers: &'a Renderers,
    bench: Arc<Bench>,
}

/// # Errors
/// When the object is not there, there more than once, or what makes it cannot be rendered.
pub(super) async fn find(
    files: &Files,
    place: &Place,
    target: &Target,
    renderers: &Renderers,
) -> Result<Seat, Unmapped> {
    let bench = renderers.bench().map_err(|error| Unmapped::person("render", error.to_string()))?;
    let kustomizations = Kustomizations::read(files);
    let search =
        Search { files, place, target, kustomizations: &kustomizations, renderers, bench: Arc::new(bench) };
    let mut absent = None;
    for way in &place.ways {
        match search.by(way).await {
            Ok(seat) => return Ok(seat),
            // Of several ways the one that has it is the right one.
            Err(unmapped) if unmapped.step == NOT_THERE => {
                absent.get_or_insert(unmapped);
            }
            Err(unmapped) => return Err(unmapped),
        }
    }
    Err(absent.unwrap_or_else(|| Unmapped::person(NOT_THERE, format!("nothing says where {target} is"))))
}

impl Search<'_> {
    async fn by(&self, way: &Way) -> Result<Seat, Unmapped> {
        match way {
            Way::Search => self.anywhere().await,
            Way::Folder(folder) => self.in_folder(folder).await,
            Way::Chart(chart) => self.in_chart(chart).await,
        }
    }

    fn absent(&self, where_: &str) -> Unmapped {
        Unmapped::asked(NOT_THERE, format!("{} is not in {where_}", self.target))
    }

    /// Plain manifests first, then what kustomizations and the configured charts make.
    async fn anywhere(&self) -> Result<Seat, Unmapped> {
        let repository = &self.place.repository;
        let namespace = repository.namespace.as_deref();
        let ground = self.ground(&repository.prefix, true, namespace);
        let absent = match self.searched(&ground).await {
            Err(unmapped) if unmapped.step == NOT_THERE => unmapped,
            found => return found,
        };
        let mut found = Vec::new();
        for chart in &repository.charts {
            match self.in_chart(chart).await {
                Ok(seat) => found.push((seat, chart)),
                Err(unmapped) if unmapped.step == NOT_THERE => {}
                Err(unmapped) => return Err(unmapped),
            }
        }
        match (found.pop(), found.pop()) {
            (None, _) => Err(absent),
            (Some((seat, _)), None) => Ok(seat),
            (Some((_, one)), Some((_, other))) => Err(Unmapped::asked(
                THERE,
                format!(
                    "{} is rendered by several releases ({}, {}): their names must differ",
                    self.target, other.release, one.release
                ),
            )),
        }
    }

    fn ground<'a>(&'a self, prefix: &'a str, deep: bool, namespace: Option<&'a str>) -> Ground<'a> {
        Ground { files: self.files, kustomizations: self.kustomizations, prefix, deep, namespace }
    }

    async fn searched(&self, ground: &Ground<'_>) -> Result<Seat, Unmapped> {
        let absent = match find_plain(ground, self.target) {
            Ok(hit) => return self.plain(hit),
            Err(SourceError::None { .. }) if !ground.deep => {
                return Err(self.absent(&format!("the manifests of {}", ground.prefix)));
            }
            Err(error @ SourceError::None { .. }) => Unmapped::asked(NOT_THERE, error.to_string()),
            Err(error @ SourceError::Several { .. }) => {
                return Err(Unmapped::asked(THERE, error.to_string()));
            }
            Err(error @ SourceError::NotPlain { .. }) => {
                return Err(Unmapped::person(THERE, error.to_string()));
            }
        };
        let mut found = Vec::new();
        let mut problem = None;
        for root in self.kustomizations.roots() {
            if !root.starts_with(ground.prefix)
                || !may_make(self.files, self.kustomizations, root, self.target)
            {
                continue;
            }
            match self.overlay(root, ground.namespace).await {
                Ok(seat) => found.push((seat, root)),
                Err(unmapped) if unmapped.step == NOT_THERE => {}
                Err(unmapped) => problem = Some(unmapped),
            }
        }
        match (found.pop(), found.pop(), problem) {
            (Some((seat, _)), None, _) => Ok(seat),
            (Some((_, one)), Some((_, other)), _) => Err(Unmapped::asked(
                THERE,
                format!(
                    "{} is built by several kustomizations ({other}, {one}): say which with a narrower path in the configuration",
                    self.target
                ),
            )),
            (None, _, Some(problem)) => Err(problem),
            (None, _, None) => Err(absent),
        }
    }

    fn plain(&self, hit: Hit) -> Result<Seat, Unmapped> {
        let Hit { file, document } = hit;
        let text = self.files.get(&file).map(String::as_str).unwrap_or_default();
        let documents = documents::read(text).unwrap_or_default();
        let value = documents.into_iter().nth(document).map(|found| found.value);
        let value = value.ok_or_else(|| self.absent(&file))?;
        Ok(Seat::Plain(plain::Manifest { file, document, value }))
    }

    async fn overlay(&self, root: &str, namespace: Option<&str>) -> Result<Seat, Unmapped> {
        let stage = Overlay { root: root.to_owned(), bench: self.bench.clone() };
        let objects = stage.build(self.files).await;
        let objects = objects.map_err(|why| Unmapped::person("render", why))?;
        self.built(Box::new(stage), objects, namespace, &format!("what the kustomization {root} builds"))
    }

    fn built(
        &self,
        stage: Box<dyn Stage>,
        objects: Vec<Value>,
        namespace: Option<&str>,
        where_: &str,
    ) -> Result<Seat, Unmapped> {
        let object = pick(&objects, self.target, namespace)?.cloned();
        let object = object.ok_or_else(|| self.absent(where_))?;
        Ok(Seat::Built(Built { stage, objects, object }))
    }

    /// What an applier applies from a folder.
    async fn in_folder(&self, folder: &Folder) -> Result<Seat, Unmapped> {
        let Folder { path, deep, namespace, by, overrides } = folder;
        if self.files.contains_key(&format!("{path}Chart.yaml")) {
            return Err(self.absent(&format!("the manifests of {path}")));
        }
        let namespace = namespace.as_deref().or(self.place.repository.namespace.as_deref());
        let seat = match self.kustomizations.at(path) {
            Some(_) => self.overlay(path, namespace).await?,
            None => self.searched(&self.ground(path, *deep, namespace)).await?,
        };
        match in_the_way(overrides, seat.object()) {
            Some(field) => Err(Unmapped::person(
                THERE,
                format!(
                    "{by} changes what it applies by its own {field}, which is not followed, so what decides is not known"
                ),
            )),
            None => Ok(seat),
        }
    }

    async fn in_chart(&self, chart: &Chart) -> Result<Seat, Unmapped> {
        let Chart { at, release, namespace, values, by } = chart;
        let (folder, values) = match at {
            Standing::Folder(folder) => (folder.clone(), values.clone()),
            Standing::Named(name) => self.named_chart(name, release, by)?,
        };
        if !self.files.contains_key(&format!("{folder}Chart.yaml")) {
            return Err(self.absent(&format!("a chart at {folder}")));
        }
        let stage = Release {
            chart: folder.clone(),
            release: release.clone(),
            namespace: namespace.clone(),
            values,
            place: self.place.clone(),
            bench: self.bench.clone(),
            renderers: self.renderers.clone(),
        };
        let objects = stage.render(self.files).await;
        let objects = objects.map_err(|why| Unmapped::person("render", why))?;
        let namespace = Some(namespace.as_str()).filter(|namespace| !namespace.is_empty());
        self.built(Box::new(stage), objects, namespace, &format!("what the chart {folder} renders"))
    }

    /// The folder of a chart that only its name is known of, and the release's values: as configured, or none where
    /// there is no choice.
    fn named_chart(&self, name: &str, release: &str, by: &str) -> Result<(String, Vec<Values>), Unmapped> {
        let charts = self.files.iter().filter_map(|(path, text)| Some((chart_folder(path)?, text)));
        let is_it = |text: &str| documents::parse(text).is_ok_and(|value| value["name"] == name);
        let mut found = charts.filter(|(_, text)| is_it(text)).map(|(folder, _)| folder);
        let folder = match (found.next(), found.next()) {
            (Some(folder), None) => folder,
            (Some(one), Some(other)) => {
                let why = format!(
                    "{by} is of the chart {name}, which stands at {one} and at {other}: say which under changes.charts in the configuration"
                );
                return Err(Unmapped::person(THERE, why));
            }
            (None, _) => return Err(self.absent(&format!("a chart {name}"))),
        };
        let configured = self
            .place
            .repository
            .charts
            .iter()
            .find(|chart| chart.release == release && chart.at == Standing::Folder(folder.clone()));
        if let Some(configured) = configured {
            return Ok((folder, configured.values.clone()));
        }
        let other = self.files.keys().find(|path| is_other_values(path, &folder));
        match other {
            Some(other) => Err(Unmapped::person(
                THERE,
                format!(
                    "{by} does not say with which values files it is installed, and {other} may be one: say so under changes.charts in the configuration"
                ),
            )),
            None => Ok((folder, Vec::new())),
        }
    }
}

/// A values file in the chart's folder that is not its defaults.
fn is_other_values(path: &str, chart: &str) -> bool {
    let name = base(path);
    folder(path) == chart
        && name.starts_with("values")
        && crate::changes::source::paths::is_yaml(name)
        && name != "values.yaml"
}

/// A field of the applier that may decide over Git.
fn in_the_way<'a>(overrides: &'a [String], object: &Value) -> Option<&'a String> {
    overrides.iter().find(|field| match field.as_str() {
        "spec.commonMetadata" => false,
        // Nothing is put in where no variable stands.
        "spec.postBuild" => object.to_string().contains("${"),
        _ => true,
    })
}
