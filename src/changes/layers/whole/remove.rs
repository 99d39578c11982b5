//! The document of an object goes, and with it the entry that names its file when nothing is left in there.

use std::sync::Arc;

use serde_json::Value;

use super::{Meant, only, person, planned};
use crate::changes::{
    documents,
    edit::{self, Edit},
    identity::Target,
    layers::{
        Layer, Planned, Unmapped, Verified,
        kustomize::{Overlay, documents_of},
        plain::Manifest,
        seat::{self, Seat},
        settle::Stage,
    },
    path::{FieldPath, Step},
    render::{Key, Renderers},
    source::{Files, Kustomizations, Place, paths::join},
};

/// Removes the document that makes the object.
///
/// # Errors
/// When it is not there (step `find`), or more than the object would go.
pub(in crate::changes) async fn remove(
    files: &Files,
    place: &Place,
    target: &Target,
    renderers: &Renderers,
) -> Result<Planned, Unmapped> {
    let seat = seat::find(files, place, target, renderers).await?;
    let object = seat.object().clone();
    let layer = seat.layer();
    match (&seat, &layer) {
        (Seat::Plain(Manifest { file, document, value: _ }), _) => {
            let text = without(files, file, *document, target).map_err(|why| person("edit", why))?;
            let said = format!("{file} was read again: only the document of {target} is gone");
            let texts = Files::from([(file.clone(), text)]);
            Ok(planned(files, texts, layer, (Some(object), None), said, Verified::ProvenEdit))
        }
        (Seat::Built(_), Layer::Kustomize { overlay, .. }) => {
            from_overlay(files, overlay, target, object, renderers).await
        }
        (Seat::Built(_), _) => Err(person(
            "locate",
            format!(
                "{target} is rendered by a chart: which of its values switches it off is for a person to say"
            ),
        )),
    }
}

async fn from_overlay(
    files: &Files,
    root: &str,
    target: &Target,
    object: Value,
    renderers: &Renderers,
) -> Result<Planned, Unmapped> {
    let bench = renderers.bench().map_err(|error| person("render", error.to_string()))?;
    let overlay = Overlay { root: root.to_owned(), bench: Arc::new(bench) };
    let kustomizations = Kustomizations::read(files);
    let before = overlay.build(files).await.map_err(|why| person("render", why))?;
    let key = Key::of(&object);
    let mut tried = Vec::new();
    for (folder, file, document) in documents_of(files, &kustomizations, root, target) {
        if let Some(other) = kustomizations.other_user(root, &file) {
            tried.push(format!("{file} is also built by {other}"));
            continue;
        }
        let texts = match taken_out(files, &kustomizations, &folder, &file, document, target) {
            Ok(texts) => texts,
            Err(why) => {
                tried.push(why);
                continue;
            }
        };
        let mut all = files.clone();
        all.extend(texts.clone());
        let proven = match overlay.build(&all).await {
            Ok(after) => only(&before, &after, &key, Meant::Goes),
            Err(why) => Err(why),
        };
        match proven {
            Ok(()) => {
                let by = overlay.by().await;
                let said =
                    format!("rendered before and after by {by}: {target} is gone, and nothing else differs");
                let mut layer = overlay.layer();
                if let Layer::Kustomize { file: of_layer, .. } = &mut layer {
                    of_layer.clone_from(&file);
                }
                let verified = Verified::Rendered { by };
                return Ok(planned(files, texts, layer, (Some(object), None), said, verified));
            }
            Err(why) => tried.push(format!("without its document in {file}, the kustomization {why}")),
        }
    }
    let why = if tried.is_empty() {
        format!("no document that the kustomization {root} is built from is {target}: it is made otherwise")
    } else {
        tried.join("; ")
    };
    Err(person("verify", why))
}

/// The file without the document, and the kustomization without the file once that says nothing more.
fn taken_out(
    files: &Files,
    kustomizations: &Kustomizations,
    folder: &str,
    file: &str,
    document: usize,
    target: &Target,
) -> Result<Files, String> {
    let text = without(files, file, document, target)?;
    let is_empty = documents::read(&text).is_ok_and(|left| left.is_empty());
    let mut texts = Files::from([(file.to_owned(), text)]);
    if !is_empty {
        return Ok(texts);
    }
    let one = kustomizations.at(folder).ok_or("its kustomization is not there")?;
    let outer = files.get(&one.file).ok_or("its kustomization is not there")?;
    let names = one.value["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let at = names.iter().position(|name| {
        name.as_str().and_then(|name| join(folder, name)).is_some_and(|named| named == file)
    });
    let at = at.ok_or_else(|| format!("{} does not name {file} under resources", one.file))?;
    let path = FieldPath::from_steps(vec![Step::Key("resources".to_owned()), Step::Index(at)]);
    let edit = Edit { path, new: Value::Null };
    let edited = edit::apply(outer, 0, &[edit]).map_err(|error| format!("in {}, {error}", one.file))?;
    texts.insert(one.file.clone(), edited.text);
    Ok(texts)
}

/// The text of the file without one of its documents; a file is never left without a word on why it is empty.
fn without(files: &Files, file: &str, document: usize, target: &Target) -> Result<String, String> {
    let text = files.get(file).ok_or_else(|| format!("{file} is not there"))?;
    let mut all = documents::read(text).map_err(|error| format!("in {file}, {error}"))?;
    if document >= all.len() {
        return Err(format!("{file} has no document {}", document + 1));
    }
    let gone = all.remove(document).range;
    let start = if text[..gone.start].ends_with("---") { gone.start - 3 } else { gone.start };
    let mut rest = format!("{}{}", &text[..start], &text[gone.end..]);
    if all.is_empty() {
        rest.push_str(&format!("# {target} stood here; it was deleted in the cluster.\n"));
    }
    let left = documents::read(&rest).map_err(|error| format!("in {file}, {error}"))?;
    if left.iter().map(|one| &one.value).eq(all.iter().map(|one| &one.value)) {
        Ok(rest)
    } else {
        Err(format!("without its document, {file} would say something else than meant"))
    }
}
