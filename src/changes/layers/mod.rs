//! Which file and field decides what an object says, and the change of it, proven by rendering.
//!
//! [`seat`] finds by which way of a place the object comes to the cluster: as a plain manifest, through [`kustomize`]
//! or through [`helm`]. Those make candidates, purely and in order; [`settle`] edits and renders each, and [`judge`]
//! says whether the difference is exactly what was asked. README.md says which decisions were hard.

mod attempt;
mod helm;
mod judge;
mod kustomize;
mod plain;
mod proposal;
mod seat;
mod settle;
mod splice;
mod whole;
mod written;

use std::fmt;

use serde_json::Value;

pub(in crate::changes) use proposal::proposal_file;
pub(in crate::changes) use whole::{add, remove, sources};

use super::{
    fit,
    identity::{Intent, Target},
    path::FieldPath,
    render::Renderers,
    source::{Files, Place},
};

/// A change that is ready to be committed.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::changes) struct Planned {
    /// The new texts of the files that change, by path; empty when all that was asked is there already.
    pub(in crate::changes) files: Files,
    /// In the order asked; edits that were there already are not among them.
    pub(in crate::changes) changed: Vec<Changed>,
    /// Where the first of them is made; where the object is when nothing is to be done.
    pub(in crate::changes) layer: Layer,
    /// The objects that differ, as they are rendered now and as they will be. They may hold secrets.
    pub(in crate::changes) before: Vec<Value>,
    pub(in crate::changes) after: Vec<Value>,
    /// By what the layer is known to decide, one sentence each.
    pub(in crate::changes) evidence: Vec<String>,
    /// What the caller should know besides, one sentence each.
    pub(in crate::changes) notes: Vec<String>,
    pub(in crate::changes) verified: Verified,
}

/// One field of the object that changes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::changes) struct Changed {
    /// In the object, as it was asked.
    pub(in crate::changes) path: FieldPath,
    /// Both without secrets, as they stand in the object.
    pub(in crate::changes) old: Option<Value>,
    pub(in crate::changes) new: Value,
    pub(in crate::changes) layer: Layer,
    /// The line of the layer's file, as it will be, counted from 1.
    pub(in crate::changes) line: usize,
}

/// What decides a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Layer {
    Plain {
        file: String,
        /// Counted from 0.
        document: usize,
    },
    Kustomize {
        /// The folder that is built, with a slash at its end; empty for the root.
        overlay: String,
        file: String,
        part: Part,
    },
    HelmValues {
        /// The chart's folder.
        chart: String,
        file: String,
        /// Of the value in that file: `image.tag`.
        path: String,
    },
}

/// Which part of a kustomization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Part {
    Resource,
    Patch,
    JsonPatch,
    Images,
    Replicas,
    Generator,
    NewPatch,
}

impl Layer {
    /// The file that changes.
    pub(in crate::changes) fn file(&self) -> &str {
        match self {
            Self::Plain { file, .. } | Self::Kustomize { file, .. } | Self::HelmValues { file, .. } => file,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain { file, document: _ } => write!(f, "the manifest in {file}"),
            Self::Kustomize { overlay, file, part } => {
                let what = match part {
                    Part::Resource => "the resource",
                    Part::Patch => "the patch",
                    Part::JsonPatch => "the JSON patch",
                    Part::Images => "images",
                    Part::Replicas => "replicas",
                    Part::Generator => "the generator",
                    Part::NewPatch => "a new patch",
                };
                let overlay = if overlay.is_empty() { "the root" } else { overlay.as_str() };
                write!(f, "{what} in {file} (kustomization {overlay})")
            }
            Self::HelmValues { chart, file, path } => {
                write!(f, "the value {path} in {file} (chart {chart})")
            }
        }
    }
}

/// What proves that the change does what was asked and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Verified {
    /// Rendered before and after; `by` names program and version.
    Rendered { by: String },
    /// A plain manifest: the edited file was read again and differs in the asked fields alone.
    ProvenEdit,
}

/// Why there is no change that is certain to do what was asked. Never guessed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(in crate::changes) struct Unmapped {
    /// `find` (it is nowhere), `locate` (it is there, and cannot be changed), `fit`, `edit`, `render` or `verify`.
    pub(in crate::changes) step: &'static str,
    /// A sentence without its end.
    pub(in crate::changes) why: String,
    pub(in crate::changes) way_on: WayOn,
}

/// Who can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::changes) enum WayOn {
    /// The caller, with other words; a proposal file would help nobody.
    AskOtherwise,
    /// A person who maps the change by hand.
    Person,
}

impl Unmapped {
    fn asked(step: &'static str, why: impl Into<String>) -> Self {
        Self { step, why: why.into(), way_on: WayOn::AskOtherwise }
    }

    pub(in crate::changes) fn person(step: &'static str, why: impl Into<String>) -> Self {
        Self { step, why: why.into(), way_on: WayOn::Person }
    }
}

impl Unmapped {
    /// The object is nowhere in the repository.
    pub(in crate::changes) fn is_absent(&self) -> bool {
        self.step == seat::NOT_THERE
    }
}

/// The object as Git says it, for patches where no cluster is read. It may hold secrets.
///
/// # Errors
/// When it is not there, there more than once, or what makes it cannot be rendered.
pub(in crate::changes) async fn manifest(
    files: &Files,
    place: &Place,
    target: &Target,
    renderers: &Renderers,
) -> Result<Value, Unmapped> {
    Ok(seat::find(files, place, target, renderers).await?.object().clone())
}

/// Finds the layer that decides and changes it there.
///
/// `live` is the object as the cluster has it, where it could be read: what Git says otherwise is noted.
///
/// # Errors
/// When the object is not there, there more than once, or no change was found that renders exactly what was asked.
pub(in crate::changes) async fn plan(
    files: &Files,
    place: &Place,
    intent: &Intent,
    live: Option<&Value>,
    renderers: &Renderers,
) -> Result<Planned, Unmapped> {
    let Intent { target, edits, .. } = intent;
    let seat = seat::find(files, place, target, renderers).await?;
    let notes = fit::check(seat.object(), edits).map_err(|why| Unmapped::asked("fit", why))?;
    let drift = live.map(|live| judge::drift(seat.object(), live, edits)).unwrap_or_default();
    let planned = seat.change(files, edits).await?;
    let Planned { evidence, notes: own, .. } = &planned;
    let evidence = place.evidence.iter().chain(evidence).cloned().collect();
    let notes = notes.into_iter().chain(own.iter().cloned()).chain(drift).collect();
    Ok(Planned { evidence, notes, ..planned })
}

/// Whether the object is in the repository, in whatever way; for choosing among several.
///
/// # Errors
/// When that cannot be told, since rendering failed.
pub(in crate::changes) async fn holds(
    files: &Files,
    place: &Place,
    target: &Target,
    renderers: &Renderers,
) -> Result<bool, Unmapped> {
    match seat::find(files, place, target, renderers).await {
        Ok(_) => Ok(true),
        Err(Unmapped { step: seat::NOT_THERE, .. }) => Ok(false),
        // It is there in some way; the attempt that follows says in which.
        Err(Unmapped { step: seat::THERE, .. }) => Ok(true),
        Err(unmapped) => Err(unmapped),
    }
}
