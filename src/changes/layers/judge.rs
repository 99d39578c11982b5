//! Whether a rendering differs from the one before in exactly what was asked. Pure.

use serde_json::Value;

use crate::changes::{
    edit::Edit,
    path::FieldPath,
    render::{Key, differing},
    shown,
};

/// What a change did to what is rendered.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is only one at a time")]
pub(super) enum Verdict {
    /// Exactly these of the edits, by their position, and nothing else.
    Done { edits: Vec<usize>, renamed: Option<Renamed> },
    /// Something else; a sentence without its subject: `changes nothing: ...`.
    Other(String),
}

/// A generated name that became another, with what refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Renamed {
    pub(super) from: Key,
    pub(super) to: Key,
    /// Objects that changed only since they name it.
    pub(super) users: Vec<Key>,
}

/// Judges by the objects before and after. `edits` are those not made yet; the one at `wanted` must be among the made.
pub(super) fn judge(
    before: &[Value],
    after: &[Value],
    target: &Key,
    edits: &[Edit],
    wanted: usize,
) -> Verdict {
    let Some(old) = target.find(before) else {
        return Verdict::Other("cannot be judged: the object is not rendered".to_owned());
    };
    let renamed = renamed(before, after, target);
    let names_back;
    let after = match &renamed {
        Some(Renamed { from, to, users: _ }) => {
            names_back =
                after.iter().map(|object| with_name(object, &to.name, &from.name)).collect::<Vec<_>>();
            names_back.as_slice()
        }
        None => after,
    };
    let Some(new) = target.find(after) else {
        return Verdict::Other(format!("makes {target} another object"));
    };
    let others: Vec<_> =
        differing(before, after).into_iter().filter(|(key, ..)| key != target).map(|(key, ..)| key).collect();
    if let Some(also) = named(&others) {
        return Verdict::Other(format!("also changes {also}"));
    }
    let Some(Edit { path, new: value }) = edits.get(wanted) else {
        return Verdict::Other("is not asked".to_owned());
    };
    if !says(new, path, value) {
        return Verdict::Other(if new == old {
            "changes nothing of what is rendered: another layer decides, or nothing uses it".to_owned()
        } else {
            format!("does not make {path} what was asked")
        });
    }
    let done: Vec<_> = (0..edits.len())
        .filter(|at| says(new, &edits[*at].path, &edits[*at].new))
        .filter(|at| !says(old, &edits[*at].path, &edits[*at].new))
        .collect();
    let mut expected = old.clone();
    for Edit { path, new } in done.iter().map(|at| &edits[*at]) {
        if let Ok(place) = path.locate(&expected) {
            place.apply(&mut expected, new);
        }
    }
    if expected == *new {
        Verdict::Done { edits: done, renamed }
    } else {
        let at = first_difference(&expected, new, String::new()).unwrap_or_else(|| "other fields".to_owned());
        Verdict::Other(format!("also changes {at} of {target}"))
    }
}

/// Whether the object says the value there; `null`, whether nothing is there.
pub(super) fn says(object: &Value, path: &FieldPath, value: &Value) -> bool {
    match path.locate(object) {
        Ok(place) => match place.get(object) {
            None => value.is_null(),
            Some(there) => there == value,
        },
        // Where a list item is missing nothing can be removed.
        Err(_) => false,
    }
}

/// A few of them, for a sentence.
fn named(keys: &[Key]) -> Option<String> {
    const SHOWN: usize = 4;
    let shown: Vec<_> = keys.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = keys.len().saturating_sub(SHOWN);
    match (shown.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(shown.join(", ")),
        (false, more) => Some(format!("{} and {more} more", shown.join(", "))),
    }
}

/// Where two values part: `spec.replicas`.
fn first_difference(one: &Value, other: &Value, at: String) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut keys: Vec<_> = one.keys().chain(other.keys()).collect();
            keys.dedup();
            keys.into_iter().find_map(|key| {
                let below = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => first_difference(one, other, below),
                    _ => Some(below),
                }
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => one
            .iter()
            .zip(other)
            .enumerate()
            .find_map(|(index, (one, other))| first_difference(one, other, format!("{at}[{index}]"))),
        (one, other) => (one != other).then_some(at),
    }
}

/// Whether the object's generated name is another one now.
fn renamed(before: &[Value], after: &[Value], target: &Key) -> Option<Renamed> {
    let stem = stem(&target.name)?;
    if target.find(after).is_some() {
        return None;
    }
    let is_it = |key: &Key| {
        key.kind == target.kind && key.namespace == target.namespace && self::stem(&key.name) == Some(stem)
    };
    let mut new = after.iter().map(Key::of).filter(|key| is_it(key) && key.find(before).is_none());
    let (to, None) = (new.next()?, new.next()) else { return None };
    let users = differing(before, after).into_iter().map(|(key, ..)| key);
    let users = users.filter(|key| key != target && *key != to).collect();
    Some(Renamed { from: target.clone(), to, users })
}

/// What stands before the hash that kustomize puts behind a generated name.
fn stem(name: &str) -> Option<&str> {
    let (stem, hash) = name.rsplit_once('-')?;
    let of_hash = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (hash.len() == 10 && hash.chars().all(of_hash)).then_some(stem)
}

/// The object with a name in the place of another, wherever it is a whole text.
fn with_name(object: &Value, from: &str, to: &str) -> Value {
    match object {
        Value::String(text) if text == from => Value::from(to),
        Value::Array(items) => items.iter().map(|item| with_name(item, from, to)).collect(),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(key, value)| (key.clone(), with_name(value, from, to))).collect(),
        ),
        other => other.clone(),
    }
}

/// Notes on fields that the cluster has otherwise than Git.
pub(super) fn drift(rendered: &Value, live: &Value, edits: &[Edit]) -> Vec<String> {
    let (rendered, live) = (shown::document(rendered), shown::document(live));
    let value = |object: &Value, path: &FieldPath| {
        path.locate(object).ok().and_then(|place| place.get(object).cloned())
    };
    edits
        .iter()
        .filter_map(|Edit { path, .. }| {
            let (git, cluster) = (value(&rendered, path)?, value(&live, path)?);
            (git != cluster && !git.is_object() && !git.is_array())
                .then(|| format!("{path} is {cluster} in the cluster and {git} in Git"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Edit, Key, Renamed, Verdict, drift, judge};

    fn web(replicas: u32, image: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": replicas, "image": image}})
    }

    fn edit(path: &str, new: Value) -> Edit {
        Edit { path: path.parse().unwrap(), new }
    }

    #[test]
    fn exactly_what_was_asked_and_nothing_else() {
        let before = [web(2, "a")];
        let target = Key::of(&before[0]);
        let edits = [edit("spec.replicas", json!(3)), edit("spec.image", json!("b"))];
        let verdict = |after: &[Value], wanted| judge(&before, after, &target, &edits, wanted);
        let done = |edits: &[usize]| Verdict::Done { edits: edits.to_vec(), renamed: None };
        assert_eq!(verdict(&[web(3, "a")], 0), done(&[0]));
        assert_eq!(verdict(&[web(3, "b")], 0), done(&[0, 1]));
        let other = |after: &[Value], wanted| match verdict(after, wanted) {
            Verdict::Other(why) => why,
            done => panic!("{done:?}"),
        };
        assert!(other(&[web(3, "c")], 0).contains("also changes spec.image of Deployment shop/web"));
        assert!(other(&[web(2, "a")], 0).contains("changes nothing"));
        assert!(other(&[web(2, "b")], 0).contains("does not make spec.replicas"));
        assert!(other(&[], 0).contains("another object"));
        let service = json!({"kind": "Service", "metadata": {"name": "web", "namespace": "shop"}});
        assert!(other(&[web(3, "a"), service], 0).contains("also changes Service shop/web"));
    }

    #[test]
    fn a_generated_name_is_the_named_exception() {
        let config = |hash: &str, a: &str| json!({"kind": "ConfigMap", "metadata": {"name": format!("web-{hash}")}, "data": {"a": a}});
        let user = |hash: &str| json!({"kind": "Deployment", "metadata": {"name": "web"}, "ref": format!("web-{hash}")});
        let before = [config("aaaaaaaaaa", "1"), user("aaaaaaaaaa")];
        let after = [config("bbbbbbbbbb", "2"), user("bbbbbbbbbb")];
        let target = Key::of(&before[0]);
        let edits = [edit("data.a", json!("2"))];
        let renamed =
            Renamed { from: target.clone(), to: Key::of(&after[0]), users: vec![Key::of(&before[1])] };
        assert_eq!(
            judge(&before, &after, &target, &edits, 0),
            Verdict::Done { edits: vec![0], renamed: Some(renamed) }
        );
        let more = [
            config("bbbbbbbbbb", "2"),
            json!({"kind": "Deployment", "metadata": {"name": "web"}, "ref": "x"}),
        ];
        assert!(matches!(judge(&before, &more, &target, &edits, 0), Verdict::Other(_)));
    }

    #[test]
    fn what_the_cluster_has_otherwise_is_said() {
        let said = drift(&web(2, "a"), &web(5, "a"), &[edit("spec.replicas", json!(3))]);
        assert_eq!(said, ["spec.replicas is 5 in the cluster and 2 in Git"]);
    }
}
