//! How files of a repository become objects of the cluster.

use crate::changes::{identity::Target, path::FieldPath};

/// One way in which a repository is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Way {
    /// Nobody says which: the configured folder is searched.
    Search,
    Folder(Folder),
    Chart(Chart),
}

/// A folder that an applier applies. Whether it is kustomized is seen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) struct Folder {
    /// With a slash at its end; empty for the root.
    pub(in crate::changes) path: String,
    /// Whether plain manifests in deeper folders are applied too.
    pub(in crate::changes) deep: bool,
    /// The namespace of objects that name none.
    pub(in crate::changes) namespace: Option<String>,
    /// `Kustomization flux-system/apps`.
    pub(in crate::changes) by: String,
    /// What the applier itself changes of the objects: fields of its own specification.
    pub(in crate::changes) overrides: Vec<String>,
}

/// A chart in the repository, and the release that is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) struct Chart {
    pub(in crate::changes) at: Standing,
    pub(in crate::changes) release: String,
    pub(in crate::changes) namespace: String,
    /// After the chart's own values; a later one wins.
    pub(in crate::changes) values: Vec<Values>,
    /// `HelmRelease shop/cart`.
    pub(in crate::changes) by: String,
}

/// Where a chart stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Standing {
    /// A folder with a slash at its end.
    Folder(String),
    /// Somewhere; its Chart.yaml has this name.
    Named(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Values {
    /// A file of the repository.
    File(String),
    /// In the manifest of another object.
    Manifest(Manifest),
}

/// Values in another object's manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) struct Manifest {
    pub(in crate::changes) object: Target,
    pub(in crate::changes) field: FieldPath,
    pub(in crate::changes) form: Form,
    /// How that object comes to the cluster; boxed, since it may be by a chart again.
    pub(in crate::changes) way: Box<Way>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Form {
    /// A mapping of values.
    Mapping,
    /// A text that is YAML.
    Text,
    /// Argo CD's list of `{name: a.b, value: ...}`.
    Parameters,
}
