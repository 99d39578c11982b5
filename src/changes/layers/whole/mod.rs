//! An object that comes into the repository or goes out of it as a whole, proven as field edits are: nothing else of
//! what is rendered may change.

mod add;
mod remove;

use serde_json::Value;

pub(in crate::changes) use add::{add, sources};
pub(in crate::changes) use remove::remove;

use super::{Layer, Planned, Unmapped, Verified};
use crate::changes::{
    render::{Key, differing},
    source::Files,
};

/// What a rendering proves to be the only difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant {
    Appears,
    Goes,
}

/// # Errors
/// A sentence without its subject, when anything else differs.
fn only(before: &[Value], after: &[Value], object: &Key, meant: Meant) -> Result<(), String> {
    let differing = differing(before, after);
    if let Some((other, ..)) = differing.iter().find(|(key, ..)| key != object) {
        return Err(format!("also changes {other}"));
    }
    let is_so = differing.iter().any(|(_, old, new)| match meant {
        Meant::Appears => old.is_empty() && new.len() == 1,
        Meant::Goes => old.len() == 1 && new.is_empty(),
    });
    if is_so { Ok(()) } else { Err("changes nothing of what is rendered".to_owned()) }
}

/// The way on is always a person: nobody can ask in other words for what was done already.
fn person(step: &'static str, why: impl Into<String>) -> Unmapped {
    Unmapped::person(step, why)
}

/// With the files that are another than before.
fn planned(
    files: &Files,
    texts: Files,
    layer: Layer,
    (before, after): (Option<Value>, Option<Value>),
    evidence: String,
    verified: Verified,
) -> Planned {
    Planned {
        files: texts.into_iter().filter(|(path, text)| files.get(path) != Some(text)).collect(),
        changed: Vec::new(),
        layer,
        before: before.into_iter().collect(),
        after: after.into_iter().collect(),
        evidence: vec![evidence],
        notes: Vec::new(),
        verified,
    }
}

#[cfg(test)]
mod tests;
