//! JSON merge patches (RFC 7386): mappings are merged, `null` removes, everything else is set.

use serde_json::Value;

use super::{Base, Edit, Here, mapping, without};

pub(super) fn edits(patch: &Value, base: Base<'_>) -> Result<Vec<Edit>, String> {
    mapping(patch, "merge patch")?;
    let mut edits = Vec::new();
    merge(patch, &Here::top(base, None), &mut edits)?;
    Ok(edits)
}

fn merge(patch: &Value, here: &Here<'_>, edits: &mut Vec<Edit>) -> Result<(), String> {
    for (key, new) in patch.as_object().into_iter().flatten() {
        let at = here.key(key);
        match (new, at.base) {
            (Value::Object(_), Base::There(there)) if there.is_object() => merge(new, &at, edits)?,
            // What is there is no mapping, or nothing: it becomes this one.
            (Value::Object(_), Base::Missing | Base::There(_)) => edits.push(at.edit(without(new, |_| false))?),
            (Value::Object(_), Base::Unknown) => merge(new, &at, edits)?,
            (new, _) => edits.push(at.edit(new.clone())?),
        }
    }
    Ok(())
}
