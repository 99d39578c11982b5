//! Walking the documented shape of a kind along an object. Pure.
//!
//! The document is what [`crate::tools::ClusterChecks::schema`] gives: OpenAPI v3, `$ref`s inside of itself.

use serde_json::Value;

/// A place in a schema. What nothing documents is [`Node::is_open`]: anything may stand there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'s> {
    document: &'s Value,
    /// Resolved: no `$ref` at its top.
    here: &'s Value,
}

/// What a key is in a mapping.
pub(super) enum Below<'s> {
    Known(Node<'s>),
    /// Nothing is said of it: whatever stands there is right.
    Open,
    /// No field of this mapping; these are.
    Unknown(Vec<&'s str>),
}

/// How a patch meets a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    /// Items are told apart by this field.
    Keyed(String),
    /// Values that stand there once each.
    Set,
    /// One value as a whole.
    Whole,
}

const REFERENCE: &str = "#";

impl<'s> Node<'s> {
    pub(super) fn root(document: &'s Value) -> Self {
        Self { document, here: resolved(document, document) }
    }

    /// The field `key` of a mapping.
    pub(super) fn field(self, key: &str) -> Below<'s> {
        // Every object has these, whether its definition says so or not.
        let is_object = self.here["x-kubernetes-embedded-resource"] == true || self.is_root();
        if let Some(found) = self.here["properties"].get(key) {
            return Below::Known(self.at(found));
        }
        if is_object && ["apiVersion", "kind", "metadata"].contains(&key) {
            return Below::Open;
        }
        match self.here.get("additionalProperties") {
            Some(any) if any.is_object() => return Below::Known(self.at(any)),
            Some(Value::Bool(true)) => return Below::Open,
            _ => {}
        }
        if self.is_open() {
            return Below::Open;
        }
        let known = self.here["properties"].as_object();
        Below::Unknown(known.map(|known| known.keys().map(String::as_str).collect()).unwrap_or_default())
    }

    /// Of a list, its items; `None` when nothing is said of them.
    pub(super) fn items(self) -> Option<Self> {
        self.here.get("items").map(|items| self.at(items))
    }

    /// How a strategic merge patch meets the list that stands at `key` of this mapping. What is not documented is
    /// told from the names that lists of pods and Services have.
    pub(super) fn list_at(self, key: &str) -> ListKind {
        let Some(own) = self.here["properties"].get(key) else { return ListKind::Whole };
        let whole = self.at(own).here;
        let said = |name: &str| own.get(name).or_else(|| whole.get(name));
        if let Some(merge_key) = said("x-kubernetes-patch-merge-key").and_then(Value::as_str) {
            return ListKind::Keyed(merge_key.to_owned());
        }
        let keys = said("x-kubernetes-list-map-keys").and_then(Value::as_array);
        if let Some([only]) = keys.map(Vec::as_slice)
            && let Some(only) = only.as_str()
        {
            return ListKind::Keyed(only.to_owned());
        }
        let strategy = said("x-kubernetes-patch-strategy").and_then(Value::as_str).unwrap_or_default();
        let is_set = said("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
        if is_set || strategy.split(',').any(|one| one == "merge") { ListKind::Set } else { ListKind::Whole }
    }

    /// Adds the fields of a value that are not documented. `at` is where it stands.
    pub(super) fn unknown_in(self, value: &Value, at: &str, unknown: &mut Vec<Unknown>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match self.field(key) {
                        Below::Known(below) => {
                            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                            below.unknown_in(value, &at, unknown);
                        }
                        Below::Open => {}
                        Below::Unknown(known) => unknown.push(Unknown::new(at, key, &known)),
                    }
                }
            }
            Value::Array(items) => {
                let Some(below) = self.items() else { return };
                for (position, item) in items.iter().enumerate() {
                    below.unknown_in(item, &format!("{at}[{position}]"), unknown);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn at(self, value: &'s Value) -> Self {
        Self { here: resolved(self.document, value), ..self }
    }

    fn is_root(self) -> bool {
        std::ptr::eq(self.here, Self::root(self.document).here)
    }

    /// Whether nothing is said of what may stand here.
    fn is_open(self) -> bool {
        self.here["x-kubernetes-preserve-unknown-fields"] == true
            || (self.here.get("properties").is_none() && self.here.get("additionalProperties").is_none())
    }
}

/// A field that the kind does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// Where it stands; empty at the top.
    at: String,
    field: String,
    known: Vec<String>,
}

/// Fields that are named when none is near.
const NAMED: usize = 12;

impl Unknown {
    pub(super) fn new(at: &str, field: &str, known: &[&str]) -> Self {
        let known = known.iter().map(ToString::to_string).collect();
        Self { at: at.to_owned(), field: field.to_owned(), known }
    }

    pub(super) fn told(&self, kind: &str) -> String {
        let Self { at, field, known } = self;
        let place = if at.is_empty() { String::new() } else { format!(" in {at}") };
        let hint = match nearest(field, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => "nothing can stand there".to_owned(),
            None => {
                let first: Vec<&str> = known.iter().take(NAMED).map(String::as_str).collect();
                format!("there are {}{}", first.join(", "), if known.len() > NAMED { ", …" } else { "" })
            }
        };
        format!("{kind} has no field `{field}`{place}: {hint} (explain_kind tells all)")
    }
}

/// What a schema that refers to another stands for.
fn resolved<'s>(document: &'s Value, value: &'s Value) -> &'s Value {
    let mut here = value;
    // References lead to named schemas, which lead nowhere further but in a circle.
    for _ in 0..8 {
        let in_all = here["allOf"].as_array().into_iter().flatten().find_map(|one| one["$ref"].as_str());
        let Some(reference) = here["$ref"].as_str().or(in_all) else { return here };
        match reference.strip_prefix(REFERENCE).and_then(|pointer| document.pointer(pointer)) {
            Some(found) => here = found,
            None => return here,
        }
    }
    here
}

/// The field of `known` that was probably meant.
pub(super) fn nearest<'a>(asked: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (likeness(name, asked), name))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn likeness(name: &str, asked: &str) -> f64 {
    strsim::jaro_winkler(&name.to_lowercase(), &asked.to_lowercase())
}

/// How lists are met where no schema is at hand: as Kubernetes' own kinds have them. `above` is the key of the mapping
/// or list item that holds the list.
pub(super) fn built_in(above: &str, key: &str) -> ListKind {
    let merge_key = match key {
        "containers" | "initContainers" | "ephemeralContainers" | "env" | "volumes" | "imagePullSecrets"
        | "resourceClaims" | "schedulingGates" | "secrets" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "hostAliases" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        "conditions" => "type",
        "ownerReferences" => "uid",
        "ports" if above.ends_with("ontainers") => "containerPort",
        // Of a Service.
        "ports" if above == "spec" => "port",
        "finalizers" => return ListKind::Set,
        _ => return ListKind::Whole,
    };
    ListKind::Keyed(merge_key.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Below, ListKind, Node, built_in, nearest};

    fn document() -> Value {
        json!({ "$ref": "#/components/schemas/Web", "components": { "schemas": {
            "Web": { "type": "object", "properties": {
                "spec": { "allOf": [{ "$ref": "#/components/schemas/Spec" }], "default": {} },
                "data": { "type": "object", "additionalProperties": { "type": "string" } },
                "any": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } },
            "Spec": { "type": "object", "properties": {
                "containers": { "type": "array", "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge",
                    "items": { "type": "object", "properties": { "image": { "type": "string" } } } },
                "args": { "type": "array", "items": { "type": "string" } },
                "sets": { "type": "array", "x-kubernetes-list-type": "set" } } } } } })
    }

    #[test]
    fn walks_references_lists_and_maps() {
        let document = document();
        let root = Node::root(&document);
        let Below::Known(spec) = root.field("spec") else { panic!("spec is known") };
        let Below::Known(containers) = spec.field("containers") else { panic!("containers are known") };
        assert!(matches!(containers.items().unwrap().field("image"), Below::Known(_)));
        assert!(matches!(containers.items().unwrap().field("imgae"), Below::Unknown(known) if known == ["image"]));
        let Below::Known(data) = root.field("data") else { panic!("data is known") };
        assert!(matches!(data.field("whatever"), Below::Known(_)));
        let Below::Known(any) = root.field("any") else { panic!("any is known") };
        assert!(matches!(any.field("whatever"), Below::Open));
        assert!(matches!(root.field("metadata"), Below::Open));
        assert!(matches!(root.field("sepc"), Below::Unknown(_)));
    }

    #[test]
    fn says_how_a_list_is_merged() {
        let document = document();
        let Below::Known(spec) = Node::root(&document).field("spec") else { panic!("spec is known") };
        assert_eq!(spec.list_at("containers"), ListKind::Keyed("name".into()));
        assert_eq!(spec.list_at("args"), ListKind::Whole);
        assert_eq!(spec.list_at("sets"), ListKind::Set);
        assert_eq!(built_in("initContainers", "ports"), ListKind::Keyed("containerPort".into()));
        assert_eq!(built_in("spec", "ports"), ListKind::Keyed("port".into()));
        assert_eq!(built_in("spec", "rules"), ListKind::Whole);
    }

    #[test]
    fn names_what_was_probably_meant() {
        assert_eq!(nearest("imgae", ["name", "image"]), Some("image"));
        assert_eq!(nearest("zzz", ["name", "image"]), None);
    }
}
