//! Rendered objects before and after the change, brought together. Pure.

use serde_json::Value;

/// An object before and after; one of the two may be missing, never both.
#[derive(Clone, Copy, Debug)]
pub(in crate::changes) struct Pair<'v> {
    pub(in crate::changes) before: Option<&'v Value>,
    pub(in crate::changes) after: Option<&'v Value>,
}

impl Pair<'_> {
    /// Its `apiVersion` and `kind`, as they are after the change.
    pub(in crate::changes) fn api(&self) -> (&str, &str) {
        let text = |key: &str| self.any().and_then(|object| object[key].as_str()).unwrap_or_default();
        (text("apiVersion"), text("kind"))
    }

    pub(in crate::changes) fn namespace(&self) -> Option<&str> {
        self.any().and_then(|object| object["metadata"]["namespace"].as_str())
    }

    pub(in crate::changes) fn name(&self) -> &str {
        self.any().and_then(|object| object["metadata"]["name"].as_str()).unwrap_or("(no name)")
    }

    /// `Deployment shop/web`.
    pub(in crate::changes) fn words(&self) -> String {
        let name = self.name();
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
pub(in crate::changes) fn of<'v>(before: &'v [Value], after: &'v [Value]) -> Vec<Pair<'v>> {
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
