//! Which edits are tried on a file.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

pub(super) const KINDS: [&str; 5] =
    ["set a scalar", "add a nested map", "remove a key", "set in a list item", "append a list item"];

pub(super) struct Edit {
    pub(super) kind: &'static str,
    pub(super) document: usize,
    /// As `propose_change` takes it.
    pub(super) path: String,
    /// The same, with positions in lists.
    pub(super) steps: Vec<Value>,
    pub(super) new: Value,
}

/// The same for the same seed and file.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, name: &str, length: usize) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, name, length).hash(&mut hasher);
        Self(hasher.finish() | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    fn one<'v, T>(&mut self, all: &'v [T]) -> Option<&'v T> {
        if all.is_empty() { None } else { Some(&all[self.below(all.len())]) }
    }
}

/// A place in a document that a path can name.
struct Spot<'v> {
    path: String,
    steps: Vec<Value>,
    value: &'v Value,
    in_item: bool,
}

/// One of each kind in a document that the file has, where it has what the kind needs.
pub(super) fn edits(documents: &[Value], random: &mut Random) -> Vec<Edit> {
    let mappings: Vec<usize> = (0..documents.len()).filter(|at| documents[*at].is_object()).collect();
    let Some(&document) = random.one(&mappings) else { return Vec::new() };
    let mut spots = Vec::new();
    walk(
        Spot { path: String::new(), steps: Vec::new(), value: &documents[document], in_item: false },
        &mut spots,
    );
    let of = |wanted: fn(&Spot<'_>) -> bool| spots.iter().filter(|spot| wanted(spot)).collect::<Vec<_>>();
    let scalars = of(|spot| is_scalar(spot.value) && !spot.in_item);
    let in_items = of(|spot| is_scalar(spot.value) && spot.in_item);
    let keys = of(|spot| spot.steps.last().is_some_and(Value::is_string));
    let maps = of(|spot| spot.value.is_object() && !spot.path.is_empty());
    let lists = of(|spot| named_items(spot.value));
    let edit = |kind, spot: &Spot<'_>, new| Edit {
        kind,
        document,
        path: spot.path.clone(),
        steps: spot.steps.clone(),
        new,
    };
    let mut edits = Vec::new();
    if let Some(spot) = random.one(&scalars) {
        edits.push(edit(KINDS[0], spot, another(spot.value, random)));
    }
    if let Some(spot) = random.one(&maps) {
        let mut made = edit(KINDS[1], spot, json!({ "app": "web", "nested": { "count": 2, "on": "yes" } }));
        made.path.push_str(".pilothouseAdded");
        made.steps.push(json!("pilothouseAdded"));
        edits.push(made);
    }
    if let Some(spot) = random.one(&keys) {
        edits.push(edit(KINDS[2], spot, Value::Null));
    }
    if let Some(spot) = random.one(&in_items) {
        edits.push(edit(KINDS[3], spot, another(spot.value, random)));
    }
    if let Some(spot) = random.one(&lists) {
        let mut made = edit(KINDS[4], spot, json!({ "name": "pilothouse-added", "value": "1.50" }));
        made.path.push_str("[name=pilothouse-added]");
        made.steps.push(json!(spot.value.as_array().unwrap().len()));
        edits.push(made);
    }
    edits
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

/// A list that items are added to by their name.
fn named_items(value: &Value) -> bool {
    let Value::Array(items) = value else { return false };
    !items.is_empty() && items.iter().all(|item| item["name"].is_string())
}

/// Of the same type, as a change request asks for it.
fn another(old: &Value, random: &mut Random) -> Value {
    let texts = [
        "changed",
        "512Mi",
        "yes",
        "1.10",
        "a: b # c",
        "registry.example/web@sha256:0",
        "",
        "0x1F",
        "it's \"so\"",
        "two\nlines\n",
    ];
    match old {
        Value::Bool(old) => json!(!old),
        Value::Number(old) => json!(old.as_i64().unwrap_or(40) + 2),
        _ => json!(random.one(&texts).unwrap()),
    }
}

fn walk<'v>(spot: Spot<'v>, spots: &mut Vec<Spot<'v>>) {
    let Spot { path, steps, value, in_item } = &spot;
    let below = |path: String, step: Value, value: &'v Value, in_item: bool| Spot {
        path,
        steps: steps.iter().cloned().chain([step]).collect(),
        value,
        in_item,
    };
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields.iter().filter(|(key, _)| is_plain(key)) {
                let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
                let path = if path.is_empty() { quoted } else { format!("{path}.{quoted}") };
                walk(below(path, json!(key), inner, *in_item), spots);
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                // By its name where it has one that is its own.
                let same = |other: &&Value| other["name"] == inner["name"];
                let name = inner["name"]
                    .as_str()
                    .filter(|name| is_plain(name) && items.iter().filter(same).count() == 1);
                let selected =
                    name.map_or_else(|| format!("{path}[{at}]"), |name| format!("{path}[name={name}]"));
                walk(below(selected, json!(at), inner, true), spots);
            }
        }
        _ => {}
    }
    spots.push(spot);
}

/// A key that every parser takes for the same text.
fn is_plain(key: &str) -> bool {
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !words.contains(&key.to_ascii_lowercase().as_str())
}
