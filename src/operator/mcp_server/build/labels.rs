//! The labels of everything an MCPServer owns.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    api::GROUP,
    operator::mcp_server::validate::{Owner, Workload},
};

pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub(crate) const MANAGER: &str = "pilothouse";
/// Value of `app.kubernetes.io/component`.
pub(crate) const COMPONENT: &str = "mcp-server";

/// Labels by which deployment tools know what is theirs. Passed on they would prune our children.
const NOT_PASSED_ON: [&str; 7] = [
    "app.kubernetes.io/",
    "argocd.argoproj.io/",
    "fluxcd.io/",
    "toolkit.fluxcd.io/",
    "helm.sh/",
    "olm.",
    "applyset.kubernetes.io/",
];

/// Selects the pods of a server. A Deployment's selector cannot change: neither may this.
pub(super) fn matching(name: &str) -> BTreeMap<String, String> {
    let pairs = [("app.kubernetes.io/component", COMPONENT), (INSTANCE, name), (MANAGED_BY, MANAGER)];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// [`matching`] as the API server's query and the scale subresource write it.
pub(crate) fn selector(name: &str) -> String {
    let pairs: Vec<String> =
        matching(name).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// Labels of the pods: those that select them and those of the MCPServer.
pub(super) fn pods(owner: &Owner) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<_, _> = owner
        .labels
        .iter()
        .filter(|(key, _)| is_passed_on(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    labels.extend(matching(&owner.name.name));
    labels.insert("app.kubernetes.io/name".to_owned(), COMPONENT.to_owned());
    labels.insert("app.kubernetes.io/part-of".to_owned(), MANAGER.to_owned());
    labels
}

/// Labels of the children: those of the pods and the version.
pub(super) fn children(owner: &Owner, workload: &Workload) -> BTreeMap<String, String> {
    let mut labels = pods(owner);
    if let Some(version) = version(&workload.image) {
        labels.insert("app.kubernetes.io/version".to_owned(), version);
    }
    labels
}

fn is_passed_on(key: &str) -> bool {
    let domain = key.split('/').next().unwrap_or_default();
    domain != GROUP
        && !NOT_PASSED_ON.iter().any(|theirs| key.starts_with(theirs))
        && !domain.ends_with(".fluxcd.io")
}

/// The tag of an image, when it can be a label.
fn version(image: &str) -> Option<String> {
    let without_digest = image.split('@').next()?;
    let last = without_digest.rsplit('/').next()?;
    let (_, tag) = last.split_once(':')?;
    let edges = tag.starts_with(|c: char| c.is_ascii_alphanumeric())
        && tag.ends_with(|c: char| c.is_ascii_alphanumeric());
    (edges && tag.len() <= 63).then(|| tag.to_owned())
}

/// Metadata of a child: named like its owner, owned by it.
pub(super) fn metadata(owner: &Owner, labels: &BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(owner.name.name.clone()),
        namespace: Some(owner.name.namespace.clone()),
        labels: Some(labels.clone()),
        owner_references: Some(vec![owner.reference.clone()]),
        ..ObjectMeta::default()
    }
}
