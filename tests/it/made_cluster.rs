//! A recorded cluster made of a test's own objects, and our tools on it.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use pilothouse::{
    answer::Answer,
    caller::Caller,
    tools::{ClusterOutcomes, SourceFinder, Toolbox},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::recorded_shop;

/// Kinds that Kubernetes itself has not, as `(group, version, kind, plural, namespaced)`.
const FOREIGN: [(&str, &str, &str, &str, bool); 11] = [
    ("argoproj.io", "v1alpha1", "Application", "applications", true),
    ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations", true),
    ("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases", true),
    ("source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories", true),
    ("route.openshift.io", "v1", "Route", "routes", true),
    ("apps.openshift.io", "v1", "DeploymentConfig", "deploymentconfigs", true),
    ("build.openshift.io", "v1", "Build", "builds", true),
    ("config.openshift.io", "v1", "ClusterOperator", "clusteroperators", false),
    ("shop.example.com", "v1", "Widget", "widgets", true),
    // One name in two groups.
    ("one.example.com", "v1", "Gadget", "gadgets", true),
    ("two.example.com", "v1", "Gadget", "gadgets", true),
];
/// What a recording leaves out unless a test puts it in.
const LEFT_OUT: [&str; 2] = ["secrets", "apiservices.apiregistration.k8s.io"];

/// The moment of the recording.
pub(crate) const NOW: &str = "2026-01-01T12:00:00Z";

pub(crate) struct MadeCluster {
    dir: TempDir,
}

impl MadeCluster {
    /// With these objects; of all other kinds it has none.
    pub(crate) fn of(objects: &[Value]) -> Self {
        let made = Self { dir: tempfile::tempdir().unwrap() };
        let shop = recorded_shop::folder();
        let mut discovery: Value =
            serde_json::from_str(&fs::read_to_string(shop.join("discovery.json")).unwrap()).unwrap();
        discovery["apis"]["items"].as_array_mut().unwrap().extend(FOREIGN.iter().map(group));
        made.write("discovery.json", &discovery.to_string());
        let head = json!({ "format": "pilothouse-snapshot/1", "recorded": NOW, "serverVersion": "v1.34.4" });
        made.write("snapshot.json", &head.to_string());
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        for (id, api_version, kind) in kinds(&discovery) {
            let own: Vec<&Value> = objects
                .iter()
                .filter(|object| {
                    object["apiVersion"] == api_version.as_str() && object["kind"] == kind.as_str()
                })
                .collect();
            if own.is_empty() && LEFT_OUT.contains(&id.as_str()) {
                continue;
            }
            lines.entry(id).or_default().extend(own.iter().map(|object| format!("{object}\n")));
        }
        for (id, lines) in lines {
            made.write(&format!("resources/{id}.jsonl"), &lines);
        }
        made
    }

    /// As if whoever recorded it might not list the kind.
    pub(crate) fn without(self, id: &str) -> Self {
        fs::remove_file(self.dir.path().join(format!("resources/{id}.jsonl"))).unwrap();
        self
    }

    pub(crate) fn outcomes(&self) -> ClusterOutcomes {
        recorded_shop::outcomes_on(self.dir.path())
    }

    fn write(&self, file: &str, text: &str) {
        let path: PathBuf = self.dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn tools(&self) -> Toolbox {
        recorded_shop::tools_on(self.dir.path())
    }

    pub(crate) fn finder(&self) -> Arc<dyn SourceFinder> {
        recorded_shop::finder_on(self.dir.path())
    }

    pub(crate) async fn ask(&self, tool: &str, arguments: Value) -> Answer {
        call(&self.tools(), tool, arguments).await
    }
}

/// As the process itself.
pub(crate) async fn call(tools: &Toolbox, tool: &str, arguments: Value) -> Answer {
    recorded_shop::call(tools, &Caller::process(), tool, arguments).await
}

fn group((group, version, kind, plural, namespaced): &(&str, &str, &str, &str, bool)) -> Value {
    let scope = if *namespaced { "Namespaced" } else { "Cluster" };
    let short: &[&str] = if *kind == "Gadget" { &["gdg"] } else { &[] };
    json!({ "metadata": { "name": group }, "versions": [{ "version": version, "resources": [{
        "resource": plural, "responseKind": { "group": group, "version": version, "kind": kind }, "scope": scope,
        "singularResource": kind.to_lowercase(), "shortNames": short, "verbs": ["get", "list", "watch"] }] }] })
}

/// Id, apiVersion and kind of all that can be listed.
fn kinds(discovery: &Value) -> Vec<(String, String, String)> {
    let mut kinds = Vec::new();
    for list in ["api", "apis"] {
        for group in discovery[list]["items"].as_array().unwrap() {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            for version in group["versions"].as_array().unwrap() {
                let number = version["version"].as_str().unwrap();
                for resource in version["resources"].as_array().unwrap() {
                    let verbs = resource["verbs"].as_array().unwrap();
                    if !verbs.contains(&json!("list")) {
                        continue;
                    }
                    let plural = resource["resource"].as_str().unwrap();
                    let kind = resource["responseKind"]["kind"].as_str().unwrap().to_owned();
                    let (id, api_version) = match name {
                        "" => (plural.to_owned(), number.to_owned()),
                        _ => (format!("{plural}.{name}"), format!("{name}/{number}")),
                    };
                    kinds.push((id, api_version, kind));
                }
            }
        }
    }
    kinds
}
