//! Plain manifests: the document itself decides.

use serde_json::Value;

use super::{Changed, Layer, Planned, Unmapped, Verified};
use crate::changes::{
    documents,
    edit::{self, Edit},
    source::Files,
};

/// One document of a file that is applied as it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manifest {
    pub(super) file: String,
    pub(super) document: usize,
    pub(super) value: Value,
}

/// # Errors
/// When an edit cannot be made without touching something else.
pub(super) fn change(manifest: &Manifest, files: &Files, edits: &[Edit]) -> Result<Planned, Unmapped> {
    let Manifest { file, document, value: before } = manifest;
    let text = files.get(file).map(String::as_str).unwrap_or_default();
    let refused = |why: String| {
        let why = format!("in {file}, {why}");
        Unmapped::asked("edit", why)
    };
    let edited = edit::apply(text, *document, edits).map_err(|error| match error {
        // What stands there, and what was asked of it, do not fit: other words may.
        edit::EditError::Lost(_) => refused(error.to_string()),
        error => Unmapped { way_on: super::WayOn::Person, ..refused(error.to_string()) },
    })?;
    let layer = Layer::Plain { file: file.clone(), document: *document };
    let changed: Vec<_> = edited
        .changed
        .into_iter()
        .map(|edit::Changed { path, old, new, line }| Changed { path, old, new, layer: layer.clone(), line })
        .collect();
    let after = documents::read(&edited.text).ok().and_then(|mut documents| {
        (*document < documents.len()).then(|| documents.swap_remove(*document).value)
    });
    let is_changed = !changed.is_empty();
    Ok(Planned {
        files: if is_changed { Files::from([(file.clone(), edited.text)]) } else { Files::new() },
        changed,
        layer,
        before: if is_changed { vec![before.clone()] } else { Vec::new() },
        after: after.into_iter().filter(|_| is_changed).collect(),
        evidence: vec![format!("{file} is a plain manifest: no kustomization or chart uses it")],
        notes: Vec::new(),
        verified: Verified::ProvenEdit,
    })
}
