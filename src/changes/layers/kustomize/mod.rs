//! Kustomizations: the overlay before the base, and each candidate proven by building the overlay.
//!
//! [`candidates`] walks the levels; [`transformers`], [`patches`] and [`generators`] know one kind of entry each, and
//! [`additions`] make a new patch where no layer says anything yet.

mod additions;
mod candidates;
mod generators;
mod patches;
mod transformers;

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{
    Layer, Part, Unmapped,
    attempt::{Attempt, Made},
    settle::Stage,
};
use crate::changes::{
    edit::Edit,
    identity::Target,
    render::Bench,
    source::{
        Files, Kustomizations,
        plain::{Match, matches},
    },
};

/// A folder that is built with kustomize.
#[derive(Clone, Debug)]
pub(super) struct Overlay {
    /// With a slash at its end; empty for the root.
    pub(super) root: String,
    pub(super) bench: Arc<Bench>,
}

impl Overlay {
    /// All objects that it builds.
    ///
    /// # Errors
    /// One sentence, also when it would need what is not in the repository: nothing is fetched.
    pub(super) async fn build(&self, files: &Files) -> Result<Vec<Value>, String> {
        let kustomizations = Kustomizations::read(files);
        if let Some((file, strange)) = kustomizations.strange(&self.root) {
            return Err(format!(
                "{file} names {strange}, which is not in the repository and is not fetched: copy it into the repository, or make the change by hand"
            ));
        }
        self.bench.kustomize(files, &self.root).await.map_err(|error| error.to_string())
    }
}

impl Stage for Overlay {
    fn render<'a>(&'a self, files: &'a Files) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        Box::pin(self.build(files))
    }

    fn attempts<'a>(
        &'a self,
        files: &'a Files,
        object: &'a Value,
        edit: &'a Edit,
    ) -> BoxFuture<'a, Vec<Attempt>> {
        Box::pin(async move { candidates::of(files, &self.root, object, edit) })
    }

    fn elsewhere<'a>(
        &'a self,
        _files: &'a Files,
        _manifest: usize,
        _edits: &'a [Edit],
    ) -> BoxFuture<'a, Result<Made, String>> {
        Box::pin(async { Err("a kustomization has no values".to_owned()) })
    }

    fn by(&self) -> BoxFuture<'_, String> {
        Box::pin(self.bench.kustomize_version())
    }

    fn layer(&self) -> Layer {
        let file = format!("{}kustomization.yaml", self.root);
        Layer::Kustomize { overlay: self.root.clone(), file, part: Part::Resource }
    }
}

/// Whether building the folder may make the object: names are only lengthened there.
pub(super) fn may_make(files: &Files, kustomizations: &Kustomizations, root: &str, target: &Target) -> bool {
    kustomizations.levels(root).iter().any(|folder| {
        let Some(one) = kustomizations.at(folder) else { return false };
        generators::names(&one.value).any(|name| target.name.contains(name))
            || candidates::resources(files, kustomizations, folder).any(|document| {
                let same = |value: &Value, wanted: &str| {
                    value.as_str().is_some_and(|said| said.eq_ignore_ascii_case(wanted))
                };
                let name = document.value["metadata"]["name"].as_str().unwrap_or_default();
                same(&document.value["kind"], &target.kind) && target.name.contains(name)
            })
    })
}

/// The documents of resources that may be the object: the folder whose kustomization names the file, the file, and
/// the document in it.
pub(super) fn documents_of(
    files: &Files,
    kustomizations: &Kustomizations,
    root: &str,
    target: &Target,
) -> Vec<(String, String, usize)> {
    let mut found = Vec::new();
    for folder in kustomizations.levels(root) {
        for candidates::Resource { file, document, value } in
            candidates::resources(files, kustomizations, folder)
        {
            let kind = value["kind"].as_str().unwrap_or_default();
            let name = value["metadata"]["name"].as_str().unwrap_or_default();
            if kind.eq_ignore_ascii_case(&target.kind) && !name.is_empty() && target.name.contains(name) {
                found.push((folder.to_owned(), file, document));
            }
        }
    }
    found
}

/// The object among those that were built.
///
/// # Errors
/// When several are meant.
pub(super) fn pick<'v>(
    objects: &'v [Value],
    target: &Target,
    namespace: Option<&str>,
) -> Result<Option<&'v Value>, Unmapped> {
    let mut found = objects.iter().filter(|object| matches!(matches(object, target, namespace), Match::Yes));
    match (found.next(), found.next()) {
        (one, None) => Ok(one),
        (_, Some(_)) => Err(Unmapped::asked(
            "find",
            format!("{target} is rendered more than once: name its group, as in Deployment.apps"),
        )),
    }
}
