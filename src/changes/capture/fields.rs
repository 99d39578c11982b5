//! What differs between two states of an object, as field paths and values that hold no secrets.

use serde_json::{Map, Value};

use super::write::FieldChange;
use crate::{changes::path::Step, redact};

/// More are told together, by what they have in common.
const MOST: usize = 100;
/// Items of lists that are merged are told apart by one of these; a path then survives a new neighbour.
const KEYS: [&str; 9] =
    ["name", "mountPath", "containerPort", "port", "host", "path", "key", "topologyKey", "ip"];

/// Between two contents of an object of this kind. `was_stored`: the state before comes from an earlier process, whose
/// stand-ins for secrets cannot be compared with ours.
pub(super) fn changes(kind: &str, before: &Value, after: &Value, was_stored: bool) -> Vec<FieldChange> {
    let (before, after) = (shown(kind, before), shown(kind, after));
    // Keys at every level, then three, then one.
    for deepest in [usize::MAX, 3] {
        let found = Differ::between(&before, &after, deepest, was_stored);
        if found.len() <= MOST {
            return found;
        }
    }
    Differ::between(&before, &after, 1, was_stored)
}

/// Redacted as an object of its kind: a Secret's data is found by where it stands.
pub(super) fn shown(kind: &str, content: &Value) -> Value {
    let mut object = content.clone();
    if let Value::Object(fields) = &mut object {
        fields.insert("kind".to_owned(), Value::String(kind.to_owned()));
    }
    redact::value(&mut object);
    if let Value::Object(fields) = &mut object {
        fields.shift_remove("kind");
    }
    object
}

struct Differ {
    deepest: usize,
    was_stored: bool,
    path: Vec<Step>,
    found: Vec<FieldChange>,
}

impl Differ {
    fn between(before: &Value, after: &Value, deepest: usize, was_stored: bool) -> Vec<FieldChange> {
        let mut differ = Self { deepest, was_stored, path: Vec::new(), found: Vec::new() };
        differ.walk(before, after);
        differ.found
    }

    fn walk(&mut self, before: &Value, after: &Value) {
        let is_deep = self.path.len() >= self.deepest;
        match (before, after) {
            _ if self.same(before, after) => {}
            (Value::Object(before), Value::Object(after)) if !is_deep => self.fields(before, after),
            (Value::Array(before), Value::Array(after)) if !is_deep => self.items(before, after),
            _ => self.tell(Some(before), Some(after)),
        }
    }

    fn fields(&mut self, before: &Map<String, Value>, after: &Map<String, Value>) {
        for (key, was) in before {
            self.enter(Step::Key(key.clone()), |differ| match after.get(key) {
                Some(is) => differ.walk(was, is),
                None => differ.tell(Some(was), None),
            });
        }
        for (key, is) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
            self.enter(Step::Key(key.clone()), |differ| differ.tell(None, Some(is)));
        }
    }

    /// An item that is new, or an order that is, changes the list: no path leads to what is not there yet.
    fn items(&mut self, before: &[Value], after: &[Value]) {
        let Some(key) = KEYS.into_iter().find(|key| tells_apart(key, before) && tells_apart(key, after))
        else {
            let is_flat = |items: &[Value]| items.iter().any(|item| !item.is_object());
            if before.len() != after.len() || is_flat(before) || is_flat(after) {
                return self.tell(Some(&Value::Array(before.to_vec())), Some(&Value::Array(after.to_vec())));
            }
            for (index, (was, is)) in before.iter().zip(after).enumerate() {
                self.enter(Step::Index(index), |differ| differ.walk(was, is));
            }
            return;
        };
        let called = |item: &Value| word(&item[key]);
        let left: Vec<&Value> =
            before.iter().filter(|was| after.iter().any(|is| called(is) == called(was))).collect();
        let is_same_order =
            left.len() == after.len() && left.iter().zip(after).all(|(was, is)| called(was) == called(is));
        if !is_same_order {
            return self.tell(Some(&Value::Array(before.to_vec())), Some(&Value::Array(after.to_vec())));
        }
        for was in before {
            let name = called(was).unwrap_or_default();
            let step = Step::Select { key: key.to_owned(), value: name.clone() };
            self.enter(step, |differ| match after.iter().find(|is| called(is).as_ref() == Some(&name)) {
                Some(is) => differ.walk(was, is),
                None => differ.tell(Some(was), None),
            });
        }
    }

    fn enter(&mut self, step: Step, inside: impl FnOnce(&mut Self)) {
        self.path.push(step);
        inside(self);
        self.path.pop();
    }

    fn tell(&mut self, before: Option<&Value>, after: Option<&Value>) {
        let mut path = String::new();
        for step in &self.path {
            if !path.is_empty() && matches!(step, Step::Key(_)) {
                path.push('.');
            }
            path.push_str(&step.to_string());
        }
        self.found.push(FieldChange { path, before: before.cloned(), after: after.cloned() });
    }

    fn same(&self, before: &Value, after: &Value) -> bool {
        match (before, after) {
            (Value::String(before), Value::String(after)) if self.was_stored && before != after => {
                before.contains(STAND_IN) && unkeyed(before) == unkeyed(after)
            }
            _ => before == after,
        }
    }
}

const STAND_IN: &str = "<redacted:";

/// Without what only the process that redacted it can compare.
fn unkeyed(text: &str) -> String {
    let mut parts = text.split(STAND_IN);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + STAND_IN + part.split_once('>').map_or(part, |(_, rest)| rest))
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn tells_apart(key: &str, items: &[Value]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    items.iter().all(|item| word(&item[key]).is_some_and(|name| seen.insert(name)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::changes;
    use crate::changes::path::FieldPath;

    fn told(before: &Value, after: &Value) -> Vec<String> {
        let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
        let found = changes("Deployment", before, after, false);
        for change in &found {
            assert!(change.path.parse::<FieldPath>().is_ok(), "{} is no path", change.path);
        }
        found
            .iter()
            .map(|one| format!("{}: {} > {}", one.path, text(&one.before), text(&one.after)))
            .collect()
    }

    #[test]
    fn a_field_is_told_by_the_path_that_propose_change_takes() {
        let web = |image: &str| json!({ "name": "web", "image": image, "args": ["-v"] });
        let pod =
            |containers: Value| json!({ "spec": { "template": { "spec": { "containers": containers } } } });
        let before = pod(json!([web("a:1"), { "name": "log", "image": "l" }]));
        let at = "spec.template.spec.containers";
        assert_eq!(
            told(&before, &pod(json!([web("a:2"), { "name": "log", "image": "l" }]))),
            [format!("{at}[name=web].image: \"a:1\" > \"a:2\"")]
        );
        assert_eq!(
            told(&before, &pod(json!([web("a:1")]))),
            [format!("{at}[name=log]: {{\"name\":\"log\",\"image\":\"l\"}} > -")]
        );
        let added = told(&pod(json!([web("a:1")])), &before);
        assert!(added.len() == 1 && added[0].starts_with(&format!("{at}: [{{")), "{added:?}");
    }

    #[test]
    fn keys_with_dots_are_quoted_and_what_is_not_there_is_absent() {
        let before = json!({ "metadata": { "labels": { "a": "1" } }, "data": { "x.y": "1" } });
        let after = json!({ "metadata": { "annotations": { "a.b/c": "d" } }, "data": { "x.y": "2" } });
        assert_eq!(
            told(&before, &after),
            [
                "metadata.labels: {\"a\":\"1\"} > -",
                "metadata.annotations: - > {\"a.b/c\":\"d\"}",
                "data.\"x.y\": \"1\" > \"2\"",
            ]
        );
    }

    #[test]
    fn lists_without_a_key_go_by_position_or_as_a_whole() {
        let rules = |verbs: Value| json!({ "rules": [{ "verbs": ["get"] }, { "verbs": verbs }] });
        assert_eq!(
            told(&rules(json!(["get"])), &rules(json!(["get", "list"]))),
            ["rules[1].verbs: [\"get\"] > [\"get\",\"list\"]"]
        );
        let ports = |port: u32| json!({ "spec": { "ports": [{ "port": port, "targetPort": 80 }] } });
        assert_eq!(told(&ports(1), &ports(2)).len(), 1);
    }

    #[test]
    fn values_hold_no_secrets_and_a_changed_one_is_still_a_change() {
        let of = |password: &str| json!({ "data": { "DB_PASSWORD": password, "plain": "x" } });
        let found = changes("ConfigMap", &of("hunter2hunter2"), &of("correcthorse99"), false);
        let said = serde_json::to_string(&found).unwrap();
        assert_eq!(found.len(), 1, "{said}");
        assert!(!said.contains("hunter2") && !said.contains("correcthorse"), "{said}");
        let secret = |value: &str| json!({ "data": { "any": value } });
        let said = serde_json::to_string(&changes("Secret", &secret("aGFsbG8="), &secret("d2VsdA=="), false))
            .unwrap();
        assert!(said.contains("data.any") && !said.contains("aGFsbG8"), "{said}");
    }

    #[test]
    fn stand_ins_of_an_earlier_process_are_not_taken_for_changes() {
        let of = |stand_in: &str, plain: &str| json!({ "data": { "DB_PASSWORD": stand_in, "plain": plain } });
        let (before, after) = (of("<redacted:aaaaaa>", "1"), of("<redacted:bbbbbb>", "2"));
        let found = changes("ConfigMap", &before, &after, true);
        assert_eq!(found.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["data.plain"]);
        assert_eq!(changes("ConfigMap", &before, &after, false).len(), 2);
    }

    #[test]
    fn many_are_told_together() {
        let of = |value: &str| {
            let data: serde_json::Map<String, Value> =
                (0..200).map(|at| (format!("k{at}"), json!(value))).collect();
            json!({ "data": data })
        };
        assert_eq!(changes("ConfigMap", &of("1"), &of("2"), false).len(), 1);
    }
}
