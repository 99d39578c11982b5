//! Rendered objects before and after the change, brought together. Pure.

use serde_json::Value;

/// An object before and after; one of the two may be missing, never both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'v> {
    pub(super) before: Option<&'v Value>,
    pub(super) after: Option<&'v Value>,
}

impl Pair<'_> {
    /// Its `apiVersion` and `kind`, as they are after the change.
    pub(super) fn api(&self) -> (&str, &str) {
        let text = |key: &str| self.any().and_then(|object| object[key].as_str()).unwrap_or_default();
        (text("apiVersion"), text("kind"))
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.any().and_then(|object| object["metadata"]["namespace"].as_str())
    }

    /// `Deployment shop/web`.
    pub(super) fn words(&self) -> String {
        let name = self.any().and_then(|object| object["metadata"]["name"].as_str()).unwrap_or("(no name)");
        let (_, kind) = self.api();
        match self.namespace() {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        }
    }

    fn any(&self) -> Option<&Value> {
        self.after.or(self.before)
    }
}

/// Objects are the same when group, kind, namespace and name are.
pub(super) fn of<'v>(before: &'v [Value], after: &'v [Value]) -> Vec<Pair<'v>> {
    let mut pairs: Vec<Pair<'v>> = after
        .iter()
        .map(|after| {
            let before = before.iter().find(|before| same(before, after));
            Pair { before, after: Some(after) }
        })
        .collect();
    let gone = before.iter().filter(|before| !after.iter().any(|after| same(before, after)));
    pairs.extend(gone.map(|before| Pair { before: Some(before), after: None }));
    pairs
}

fn same(one: &Value, other: &Value) -> bool {
    let group = |object: &Value| {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned())
    };
    one["kind"] == other["kind"]
        && group(one) == group(other)
        && one["metadata"]["namespace"] == other["metadata"]["namespace"]
        && one["metadata"]["name"] == other["metadata"]["name"]
}
