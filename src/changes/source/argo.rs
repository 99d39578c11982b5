//! Places that Argo CD names.

use serde_json::Value;

use super::{
    flux::{file, outside},
    paths::join_folder,
    place::{NoPlace, Ways, configured, target_of, way_of_manifest},
    way::{Chart, Folder, Form, Manifest, Standing, Values, Way},
};
use crate::{
    changes::{
        config::Repository,
        path::{FieldPath, Step},
    },
    tools::Applied,
};

/// One entry of `spec.source` or `spec.sources`, with the path to it.
struct Source<'a> {
    value: &'a Value,
    at: Vec<Step>,
}

/// Of an `Application`: its folders and charts in the first configured repository that it names; never the branch
/// that a hydrator writes.
pub(super) fn ways<'r>(
    applied: &Applied,
    application: &Value,
    above: &[Applied],
    repositories: &[&'r Repository],
) -> Result<Ways<'r>, NoPlace> {
    let by = &applied.by;
    let sources = sources(application);
    let made: Vec<_> = sources.iter().filter(|source| source.value["path"].is_string()).collect();
    if made.is_empty() {
        let chart = sources.iter().find_map(|source| source.value["chart"].as_str()).unwrap_or("(none)");
        return Err(NoPlace::Unreachable(format!(
            "{by} installs the chart {chart}, which comes from a chart repository, so its templates are not in Git and no change of its values can be proven: find the value that decides and change it by hand"
        )));
    }
    let mut repository = None;
    let mut problem = None;
    let mut ways = Vec::new();
    for source in made {
        let address = source.value["repoURL"].as_str().unwrap_or_default();
        match configured(by, address, repositories) {
            Ok(found) if repository.is_none_or(|first: &Repository| first.name == found.name) => {
                repository = Some(found);
                let way = way_of_manifest(above, found, repositories);
                ways.extend(of_source(by, application, source, &sources, &way)?);
            }
            Ok(_) => {}
            Err(why) => problem = Some(why),
        }
    }
    match (repository, problem) {
        (Some(repository), _) => Ok(Ways::In(repository, ways)),
        (None, Some(problem)) => Err(problem),
        (None, None) => Err(NoPlace::Unreachable(format!("{by} names no source"))),
    }
}

fn sources(application: &Value) -> Vec<Source<'_>> {
    let spec = &application["spec"];
    let keys = |keys: &[&str]| keys.iter().map(|key| Step::Key((*key).to_owned())).collect::<Vec<_>>();
    let dry = &spec["sourceHydrator"]["drySource"];
    if dry.is_object() {
        return vec![Source { value: dry, at: keys(&["spec", "sourceHydrator", "drySource"]) }];
    }
    match spec["sources"].as_array() {
        Some(sources) => sources
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let at = keys(&["spec", "sources"]).into_iter().chain([Step::Index(index)]).collect();
                Source { value, at }
            })
            .collect(),
        None => vec![Source { value: &spec["source"], at: keys(&["spec", "source"]) }],
    }
}

/// The folder as it may be applied: with Helm when the Application says so, else as what stands in it says.
fn of_source(
    by: &str,
    application: &Value,
    source: &Source<'_>,
    all: &[Source<'_>],
    way: &Way,
) -> Result<Vec<Way>, NoPlace> {
    let named = source.value["path"].as_str().unwrap_or_default();
    let path = join_folder("", named).ok_or_else(|| outside(by, named))?;
    let namespace = application["spec"]["destination"]["namespace"].as_str();
    let options = &source.value["kustomize"];
    let overrides = options.as_object().into_iter().flatten().filter(|(key, _)| *key != "version");
    let overrides = overrides.map(|(key, _)| format!("spec.source.kustomize.{key}")).collect();
    let folder = Way::Folder(Folder {
        path: path.clone(),
        deep: source.value["directory"]["recurse"] == true,
        namespace: namespace.map(str::to_owned),
        by: by.to_owned(),
        overrides,
    });
    let chart = chart(by, application, source, all, way, path)?;
    Ok(vec![folder, Way::Chart(chart)])
}

fn chart(
    by: &str,
    application: &Value,
    source: &Source<'_>,
    all: &[Source<'_>],
    way: &Way,
    path: String,
) -> Result<Chart, NoPlace> {
    let helm = &source.value["helm"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut values = Vec::new();
    for named in helm["valueFiles"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        values.push(Values::File(value_file(by, &path, named, source, all)?));
    }
    let object = target_of(application);
    // In the order of precedence: parameters win over the object, that over the text, that over the files.
    for (field, form) in
        [("values", Form::Text), ("valuesObject", Form::Mapping), ("parameters", Form::Parameters)]
    {
        if !helm[field].is_null() {
            let steps = ["helm", field].map(|key| Step::Key(key.to_owned()));
            let field = FieldPath::from_steps(source.at.iter().cloned().chain(steps).collect());
            let way = Box::new(way.clone());
            values.push(Values::Manifest(Manifest { object: object.clone(), field, form, way }));
        }
    }
    let release = helm["releaseName"].as_str().unwrap_or(&object.name).to_owned();
    Ok(Chart {
        at: Standing::Folder(path),
        release,
        namespace: text(&application["spec"]["destination"]["namespace"]),
        values,
        by: by.to_owned(),
    })
}

/// `values.yaml`, `/from/the/root.yaml`, `$ref/in/another/source.yaml`.
fn value_file(
    by: &str,
    folder: &str,
    named: &str,
    source: &Source<'_>,
    all: &[Source<'_>],
) -> Result<String, NoPlace> {
    let Some((reference, path)) = named.strip_prefix('$').and_then(|rest| rest.split_once('/')) else {
        return file(by, folder, named);
    };
    let same = all
        .iter()
        .find(|other| other.value["ref"] == reference)
        .is_some_and(|other| other.value["repoURL"] == source.value["repoURL"]);
    if same {
        file(by, "", path)
    } else {
        Err(NoPlace::Unreachable(format!(
            "{by} takes {named} from another repository than its chart, which is not followed"
        )))
    }
}
