#![allow(clippy::unwrap_used)]
use std::path::Path;

use serde_json::{Value, json};

use super::{add, remove};
use crate::changes::{
    config::{Repository, RepositoryConfig, check},
    identity::Target,
    layers::{Planned, Unmapped},
    render::{Renderers, RenderersConfig},
    source::{Files, Place},
};

fn files(all: &[(&str, &str)]) -> Files {
    all.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn repository() -> Repository {
    let yaml = "[{name: deploy, url: 'https://git.example.com/team/deploy.git'}]";
    let config: Vec<RepositoryConfig> = serde_saphyr::from_str(yaml).unwrap();
    check(config, Vec::new()).unwrap().remove(0)
}

fn config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "shop" },
        "data": { "mode": "calm" } })
}

fn target(kind: &str, name: &str) -> Target {
    Target { kind: kind.into(), group: None, namespace: Some("shop".into()), name: name.into() }
}

fn renderers(work: &Path) -> Renderers {
    Renderers::new(RenderersConfig::default(), work.to_owned())
}

async fn added(files: &Files, name: &str) -> Result<Planned, Unmapped> {
    let work = tempfile::tempdir().unwrap();
    let home = repository();
    add(files, &home, &target("ConfigMap", name), &config_map(name), &renderers(work.path())).await
}

async fn removed(files: &Files, kind: &str, name: &str) -> Result<Planned, Unmapped> {
    let work = tempfile::tempdir().unwrap();
    let place = Place::search(&repository());
    remove(files, &place, &target(kind, name), &renderers(work.path())).await
}

const WEB: &str =
    "# ours\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n";
const OTHER: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\n";

#[tokio::test]
async fn a_new_manifest_stands_beside_the_sources_of_its_namespace() {
    let repository = files(&[
        ("apps/web.yaml", WEB),
        ("infra/dns.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: dns, namespace: net}\n"),
        ("README.md", "namespace: shop"),
    ]);
    let planned = added(&repository, "web").await.unwrap();
    let (path, text) = planned.files.iter().next().unwrap();
    assert_eq!((path.as_str(), planned.files.len()), ("apps/configmap-web.yaml", 1));
    assert_eq!(crate::changes::documents::parse(text).unwrap(), config_map("web"));
    assert_eq!((planned.before.len(), planned.after.len()), (0, 1));
    let mut with_it = repository;
    with_it.extend(planned.files);
    assert!(added(&with_it, "web").await.unwrap().files.is_empty(), "Git says the same already");
    assert!(added(&with_it, "other").await.unwrap().files.contains_key("apps/configmap-other.yaml"));
}

#[tokio::test]
async fn where_it_belongs_is_never_guessed() {
    let two = files(&[("a/web.yaml", WEB), ("b/service.yaml", OTHER)]);
    let refused = added(&two, "web").await.unwrap_err();
    assert!(refused.why.contains("a/, b/") && refused.why.contains("for a person"), "{refused}");
    let none = files(&[("a/x.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: net}\n")]);
    assert!(added(&none, "web").await.unwrap_err().why.contains("nothing of namespace shop"));
    let says_otherwise = files(&[(
        "a/c.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: shop}\ndata: {mode: wild}\n",
    )]);
    assert!(added(&says_otherwise, "web").await.unwrap_err().why.contains("says something else"));
    let chart =
        files(&[("c/Chart.yaml", "name: c\n"), ("c/templates/x.yaml", OTHER), ("c/crds/x.yaml", OTHER)]);
    assert!(added(&chart, "web").await.unwrap_err().is_absent());
}

#[tokio::test]
async fn only_the_document_goes() {
    let many = format!("# licence\n---\n{WEB}--- # two\n{OTHER}");
    let repository = files(&[("a.yaml", &many)]);
    let planned = removed(&repository, "Deployment", "web").await.unwrap();
    assert_eq!(planned.files["a.yaml"], format!("# licence\n--- # two\n{OTHER}"));
    assert_eq!((planned.before.len(), planned.after.len()), (1, 0));
    let planned = removed(&repository, "Service", "web").await.unwrap();
    assert_eq!(planned.files["a.yaml"], format!("# licence\n---\n{WEB}"));
    let alone = files(&[("a.yaml", WEB)]);
    let planned = removed(&alone, "Deployment", "web").await.unwrap();
    assert_eq!(planned.files["a.yaml"], "# Deployment shop/web stood here; it was deleted in the cluster.\n");
    assert!(removed(&alone, "Service", "web").await.unwrap_err().is_absent());
}
