//! Kinds as the cluster has them. What somebody typed may be a plural, a short name or in another case; what is judged
//! and kept is the kind itself, with its group. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::KnownKind;
use crate::{
    api::emergency_change::{EmergencyScope, EmergencyTarget, ExpectedChange},
    tools::EmergencyOpening,
};

/// By what was asked for: the kind, or why it is none, a sentence without its end.
pub type KindNames = BTreeMap<String, Result<KnownKind, String>>;

/// Every kind that a scope names.
pub(super) fn asked_in(scope: &EmergencyScope) -> BTreeSet<String> {
    let EmergencyScope { namespaces: _, kinds, objects } = scope;
    kinds.iter().chain(objects.iter().map(|target| &target.kind)).cloned().collect()
}

/// Every kind that is named on opening.
pub(super) fn asked(opening: &EmergencyOpening) -> BTreeSet<String> {
    let expected = opening.expected.iter().map(|change| change.target.kind.clone());
    asked_in(&opening.scope).into_iter().chain(expected).collect()
}

/// The same, each kind by its name and group.
///
/// # Errors
/// One sentence that names the first kind that the cluster does not have.
pub(super) fn named(opening: EmergencyOpening, names: &KindNames) -> Result<EmergencyOpening, String> {
    let EmergencyScope { namespaces, kinds, objects } = opening.scope;
    let kinds: Result<Vec<String>, String> = kinds.iter().map(|kind| name(kind, names)).collect();
    let objects: Result<Vec<EmergencyTarget>, String> =
        objects.into_iter().map(|object| target(object, names)).collect();
    let expected = opening.expected.into_iter().map(|change| {
        let ExpectedChange { target: of, edits } = change;
        Ok::<_, String>(ExpectedChange { target: target(of, names)?, edits })
    });
    Ok(EmergencyOpening {
        expected: expected.collect::<Result<_, _>>()?,
        scope: EmergencyScope { namespaces, kinds: kinds?, objects: objects? },
        ..opening
    })
}

/// # Errors
/// As [`named`].
pub(super) fn target(target: EmergencyTarget, names: &KindNames) -> Result<EmergencyTarget, String> {
    Ok(EmergencyTarget { kind: name(&target.kind, names)?, ..target })
}

fn name(asked: &str, names: &KindNames) -> Result<String, String> {
    let known = names.get(asked).ok_or_else(|| format!("the kind {asked:?} was not looked up: ask again"))?;
    let KnownKind { group, kind } = known.clone()?;
    Ok(if group.is_empty() { kind } else { format!("{kind}.{group}") })
}
