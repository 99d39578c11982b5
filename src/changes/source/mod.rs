//! From a live object to its place in a configured repository.
//!
//! [`place`] reads what the object's appliers say into a [`Place`]; [`plain`] finds the document of a plain manifest,
//! [`kustomizations`] knows which files are built by which kustomization. All of it is pure.

mod address;
mod argo;
mod flux;
pub(in crate::changes) mod kustomizations;
pub(in crate::changes) mod paths;
mod place;
pub(in crate::changes) mod plain;
mod way;

use std::collections::BTreeMap;

pub(in crate::changes) use kustomizations::Kustomizations;
pub(in crate::changes) use place::{NoPlace, Place, place};
pub(in crate::changes) use way::{Chart, Folder, Form, Manifest, Standing, Values, Way};

/// The texts of a repository's files, by path.
pub(in crate::changes) type Files = BTreeMap<String, String>;
