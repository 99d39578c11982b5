//! JSON patches (RFC 6902): applied to the object one operation after the other, tests included; what they touched
//! becomes edits. Items of a list with a merge key are named by it, since a manifest may have them in another order.

use json_patch::PatchOperation;
use serde_json::Value;

use super::{Base, Edit, Here, plain};
use crate::changes::{
    path::{FieldPath, Step},
    schema::{ListKind, Node},
};

/// More is no patch that a person reads.
const MOST: usize = 100;

pub(super) fn edits(
    operations: Vec<Value>,
    base: Base<'_>,
    schema: Option<Node<'_>>,
) -> Result<Vec<Edit>, String> {
    if operations.is_empty() || operations.len() > MOST {
        return Err(format!("give between 1 and {MOST} operations of a JSON patch"));
    }
    let mut parsed = Vec::with_capacity(operations.len());
    for (at, operation) in operations.into_iter().enumerate() {
        let operation: PatchOperation = serde_json::from_value(operation)
            .map_err(|error| format!("operation {at} is none of a JSON patch ({error})"))?;
        parsed.push(operation);
    }
    match base {
        Base::There(object) => seen(&parsed, object, schema),
        Base::Missing | Base::Unknown => parsed.iter().map(unseen).collect(),
    }
}

/// Against the object.
fn seen(
    operations: &[PatchOperation],
    object: &Value,
    schema: Option<Node<'_>>,
) -> Result<Vec<Edit>, String> {
    let mut state = object.clone();
    let mut touched: Vec<FieldPath> = Vec::new();
    for (at, operation) in operations.iter().enumerate() {
        for path in named(operation, &state, schema)? {
            if !touched.contains(&path) {
                touched.push(path);
            }
        }
        json_patch::patch(&mut state, std::slice::from_ref(operation)).map_err(|error| {
            let there = state.pointer(operation.path().as_str()).map_or_else(
                || "nothing is there".to_owned(),
                |value| format!("there is {}", shortened(&value.to_string())),
            );
            format!(
                "operation {at} cannot be made on the object as it is: {} at {}, {there}",
                error.kind,
                operation.path()
            )
        })?;
    }
    let inner = |path: &FieldPath| touched.iter().any(|other| other != path && path.starts_with(other));
    let outer: Vec<_> = touched.iter().filter(|path| !inner(path)).cloned().collect();
    Ok(outer
        .into_iter()
        .map(|path| {
            let found = path.locate(&state).ok().and_then(|place| place.get(&state).cloned());
            Edit { path, new: found.unwrap_or(Value::Null) }
        })
        .collect())
}

/// What an operation touches, as it stands before it.
fn named(
    operation: &PatchOperation,
    state: &Value,
    schema: Option<Node<'_>>,
) -> Result<Vec<FieldPath>, String> {
    let inserted =
        |pointer: &str, value: Option<&Value>| place(pointer, state, schema, Last::Inserted(value));
    let there = |pointer: &str| place(pointer, state, schema, Last::There);
    Ok(match operation {
        PatchOperation::Test(_) => Vec::new(),
        PatchOperation::Add(add) => vec![inserted(&add.path.to_string(), Some(&add.value))?],
        PatchOperation::Replace(replace) => vec![there(&replace.path.to_string())?],
        PatchOperation::Remove(remove) => {
            vec![place(&remove.path.to_string(), state, schema, Last::Removed)?]
        }
        PatchOperation::Move(moved) => {
            let from = moved.from.to_string();
            let value = state.pointer(&from);
            vec![place(&from, state, schema, Last::Removed)?, inserted(&moved.path.to_string(), value)?]
        }
        PatchOperation::Copy(copy) => {
            vec![inserted(&copy.path.to_string(), state.pointer(&copy.from.to_string()))?]
        }
    })
}

/// What happens at the end of a pointer, which matters in lists: others move.
#[derive(Clone, Copy)]
enum Last<'v> {
    There,
    Inserted(Option<&'v Value>),
    Removed,
}

fn place(
    pointer: &str,
    state: &Value,
    schema: Option<Node<'_>>,
    last: Last<'_>,
) -> Result<FieldPath, String> {
    let tokens = tokens(pointer);
    let mut here = Here::top(Base::There(state), schema);
    for (depth, token) in tokens.iter().enumerate() {
        let is_last = depth + 1 == tokens.len();
        let items = match here.base {
            Base::There(Value::Array(items)) => items,
            _ => {
                here = here.key(token);
                continue;
            }
        };
        // How the list is keyed stands in the mapping that holds it.
        let key = merge_key(&here, state, schema);
        let schema = here.schema.and_then(Node::items);
        let item = token.parse::<usize>().ok().and_then(|at| items.get(at).map(|item| (at, item)));
        let named = |item: &Value| {
            let key = key.as_ref()?;
            let value = item.get(key).filter(|value| !value.is_null()).map(plain)?;
            Some(Step::Select { key: key.clone(), value })
        };
        let unique = |step: &Step| match step {
            Step::Select { key, value } => {
                items.iter().filter(|item| item.get(key).is_some_and(|there| plain(there) == *value)).count()
                    <= 1
            }
            Step::Key(_) | Step::Index(_) => true,
        };
        let step = match (is_last, last) {
            (true, Last::Inserted(value)) => value.and_then(named).filter(unique),
            (true, Last::Removed) => item.and_then(|(_, item)| named(item)).filter(unique),
            _ => item.map(|(at, item)| named(item).filter(unique).unwrap_or(Step::Index(at))),
        };
        match step {
            Some(step) => here = here.below(step, Base::of(item.map(|(_, item)| item)), schema),
            // Without names of their own the items stand for themselves: the list changes as a whole.
            None => break,
        }
    }
    FieldPath::of(here.steps.clone())
        .ok_or_else(|| format!("the pointer {pointer:?} stands for no field: write it like /spec/replicas"))
}

fn merge_key(list: &Here<'_>, state: &Value, schema: Option<Node<'_>>) -> Option<String> {
    let (Step::Key(key), above) = list.steps.split_last()? else { return None };
    let mut holder = Here::top(Base::There(state), schema);
    for step in above {
        holder = match step {
            Step::Key(key) => holder.key(key),
            step => {
                let items = holder.schema.and_then(Node::items);
                holder.below(step.clone(), Base::Unknown, items)
            }
        };
    }
    match holder.list_at(key) {
        ListKind::Keyed(key) => Some(key),
        ListKind::Set | ListKind::Whole => None,
    }
}

/// Without the object: a number is taken for the position in a list.
fn unseen(operation: &PatchOperation) -> Result<Edit, String> {
    let blind = |why: &str| {
        Err(format!(
            "{why} of a JSON patch needs the object as it is, and there is no cluster to read it from: give `edits`"
        ))
    };
    let (pointer, new) = match operation {
        PatchOperation::Test(_) => return blind("a test"),
        PatchOperation::Move(_) | PatchOperation::Copy(_) => return blind("a move or copy"),
        PatchOperation::Add(add) => (add.path.to_string(), add.value.clone()),
        PatchOperation::Replace(replace) => (replace.path.to_string(), replace.value.clone()),
        PatchOperation::Remove(remove) => (remove.path.to_string(), Value::Null),
    };
    let tokens = tokens(&pointer);
    let in_list = |token: &String| token == "-" || token.parse::<usize>().is_ok();
    if matches!(operation, PatchOperation::Add(_)) && tokens.last().is_some_and(in_list) {
        return blind("an added list item");
    }
    let steps = tokens.into_iter().map(|token| match token.parse() {
        Ok(at) => Step::Index(at),
        Err(_) => Step::Key(token),
    });
    let path = FieldPath::of(steps.collect()).ok_or_else(|| {
        format!("the pointer {pointer:?} stands for no field: write it like /spec/replicas")
    })?;
    Ok(Edit { path, new })
}

fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

fn shortened(text: &str) -> String {
    let text = crate::redact::shown(text);
    if text.chars().count() <= 80 { text } else { text.chars().take(79).chain(['…']).collect() }
}
