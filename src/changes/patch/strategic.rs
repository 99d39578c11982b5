//! Strategic merge patches, as `kubectl patch` takes them: items of lists are found by their merge key.
//!
//! Directives: `$patch` (merge, replace, delete), `$retainKeys`, `$deleteFromPrimitiveList/...`. The order that
//! `$setElementOrder/...` asks for is not kept: new items stand behind the others.

use serde_json::{Map, Value};

use super::{Base, Edit, Here, mapping, plain, without};
use crate::changes::{path::Step, schema::{ListKind, Node}};

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

pub(super) fn edits(patch: &Value, base: Base<'_>, schema: Option<Node<'_>>) -> Result<Vec<Edit>, String> {
    let patch = mapping(patch, "strategic patch")?;
    let mut edits = Vec::new();
    merge(patch, &Here::top(base, schema), &mut edits)?;
    Ok(edits)
}

fn merge(patch: &Map<String, Value>, here: &Here<'_>, edits: &mut Vec<Edit>) -> Result<(), String> {
    match directive(patch, here)? {
        Some(Directive::Delete) => return put(Value::Null, here, edits),
        Some(Directive::Replace) => {
            return put(without(&Value::Object(patch.clone()), is_directive), here, edits);
        }
        Some(Directive::Merge) | None => {}
    }
    if let Some(kept) = patch.get(RETAIN) {
        retain(kept, patch, here, edits)?;
    }
    for (key, new) in patch {
        if let Some(list) = key.strip_prefix(DELETE_FROM) {
            take_out(new, &here.key(list), edits)?;
            continue;
        }
        if key == PATCH || key == RETAIN || key.starts_with(ORDER) {
            continue;
        }
        if key.starts_with('$') {
            return Err(format!("{} of {} is no directive of a strategic patch", key, here.path()));
        }
        let at = here.key(key);
        match new {
            Value::Object(fields) => match at.base {
                Base::Missing => edits.push(at.edit(without(new, is_directive))?),
                Base::Unknown | Base::There(_) => merge(fields, &at, edits)?,
            },
            Value::Array(items) => list(items, here.list_at(key), &at, edits)?,
            new => edits.push(at.edit(new.clone())?),
        }
    }
    Ok(())
}

fn put(new: Value, here: &Here<'_>, edits: &mut Vec<Edit>) -> Result<(), String> {
    edits.push(here.edit(new)?);
    Ok(())
}

enum Directive {
    Delete,
    Replace,
    Merge,
}

fn directive(patch: &Map<String, Value>, here: &Here<'_>) -> Result<Option<Directive>, String> {
    match patch.get(PATCH).map(Value::as_str) {
        None => Ok(None),
        Some(Some("delete")) => Ok(Some(Directive::Delete)),
        Some(Some("replace")) => Ok(Some(Directive::Replace)),
        Some(Some("merge")) => Ok(Some(Directive::Merge)),
        Some(_) => Err(format!("{PATCH} of {} must be merge, replace or delete", here.path())),
    }
}

fn is_directive(key: &str) -> bool {
    key == PATCH || key == RETAIN || key.starts_with(ORDER) || key.starts_with(DELETE_FROM)
}

/// `$retainKeys`: what is not named in it goes.
fn retain(
    kept: &Value,
    patch: &Map<String, Value>,
    here: &Here<'_>,
    edits: &mut Vec<Edit>,
) -> Result<(), String> {
    let kept: Vec<&str> = kept.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let there = match here.base {
        Base::Unknown => return Err(unseen(RETAIN, here)),
        Base::Missing => return Ok(()),
        Base::There(value) => value,
    };
    for key in there.as_object().into_iter().flat_map(Map::keys) {
        if !kept.contains(&key.as_str()) && !patch.contains_key(key) {
            edits.push(here.key(key).edit(Value::Null)?);
        }
    }
    Ok(())
}

/// `$deleteFromPrimitiveList`: the list without these values.
fn take_out(gone: &Value, here: &Here<'_>, edits: &mut Vec<Edit>) -> Result<(), String> {
    let gone = gone.as_array().map(Vec::as_slice).unwrap_or_default();
    let items = match here.base {
        Base::Unknown => return Err(unseen(DELETE_FROM, here)),
        Base::Missing => return Ok(()),
        Base::There(value) => value.as_array().map(Vec::as_slice).unwrap_or_default(),
    };
    let left = items.iter().filter(|item| !gone.contains(item)).cloned().collect();
    edits.push(here.edit(Value::Array(left))?);
    Ok(())
}

fn list(
    items: &[Value],
    kind: ListKind,
    here: &Here<'_>,
    edits: &mut Vec<Edit>,
) -> Result<(), String> {
    let plain_items = || Value::Array(items.iter().map(|item| without(item, is_directive)).collect());
    match kind {
        ListKind::Whole => put(plain_items(), here, edits),
        ListKind::Set => {
            let there = match here.base {
                Base::Unknown => return Err(unseen("a list that is merged", here)),
                Base::Missing => &[],
                Base::There(value) => value.as_array().map(Vec::as_slice).unwrap_or_default(),
            };
            let new = items.iter().filter(|item| !there.contains(item));
            put(there.iter().chain(new).cloned().collect(), here, edits)
        }
        ListKind::Keyed(key) => keyed(items, &key, here, edits),
    }
}

fn keyed(items: &[Value], key: &str, here: &Here<'_>, edits: &mut Vec<Edit>) -> Result<(), String> {
    let replaces = |item: &Value| item.get(PATCH).and_then(Value::as_str) == Some("replace");
    if items.iter().any(replaces) {
        let others = items.iter().map(|item| without(item, is_directive));
        let others = others.filter(|item| item.as_object().is_none_or(|fields| !fields.is_empty()));
        return put(others.collect(), here, edits);
    }
    for item in items {
        let fields = item.as_object().ok_or_else(|| {
            format!("an item of {} is not a mapping: its items are found by {key}", here.path())
        })?;
        let value = fields.get(key).filter(|value| !value.is_null()).map(plain).ok_or_else(|| {
            format!("an item of {} has no {key}: items of this list are found by it", here.path())
        })?;
        let select = Step::Select { key: key.to_owned(), value: value.clone() };
        let schema = here.schema.and_then(Node::items);
        let found = match here.base {
            Base::Unknown => Base::Unknown,
            Base::Missing => Base::Missing,
            Base::There(list) => {
                let same = |item: &&Value| item.get(key).is_some_and(|there| plain(there) == value);
                Base::of(list.as_array().into_iter().flatten().find(same))
            }
        };
        let at = here.below(select, found, schema);
        let is_gone = matches!(directive(fields, &at)?, Some(Directive::Delete));
        match found {
            Base::Missing if is_gone => {}
            Base::Missing => edits.push(at.edit(without(item, is_directive))?),
            Base::Unknown | Base::There(_) => {
                let mut rest = fields.clone();
                rest.shift_remove(key);
                merge(&rest, &at, edits)?;
            }
        }
    }
    Ok(())
}

fn unseen(what: &str, here: &Here<'_>) -> String {
    format!("{what} at {} needs the object as it is, and there is no cluster to read it from: give `edits`", here.path())
}
