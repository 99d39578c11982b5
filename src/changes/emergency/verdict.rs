//! What is left in the cluster of what was written to an object: nothing, fields that Git should have, or what only a
//! person can bring there. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    captured::{is_of_git, kept, second},
    parts::Leaving,
};
use crate::{
    api::emergency_change::{Captured, CapturedVerb, Revert},
    changes::path::FieldPath,
    redact,
    tools::find_source::mark::writers,
};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The object is as it was before.
    Reverted(Revert),
    /// What Git should have.
    Remaining(Leaving),
    /// A part of a sentence that says why, and what to do.
    NeedsPerson { why: String },
}

/// `live` is the object as it is now; none when it is not there.
pub(super) fn verdict(captured: &Captured, live: Option<&Value>, now: Timestamp) -> Verdict {
    // Another object of the same name has a record of its own.
    let is_another = |live: &Value| {
        captured.verb == CapturedVerb::Created
            && live["metadata"]["uid"].as_str().is_some_and(|uid| uid != captured.uid)
    };
    let Some(live) = live.filter(|live| !is_another(live)) else {
        return match captured.verb {
            CapturedVerb::Deleted => Verdict::Remaining(Leaving::Deleted),
            CapturedVerb::Created | CapturedVerb::Updated => Verdict::Reverted(Revert {
                at: second(now),
                by: "its deletion".to_owned(),
                version: String::new(),
            }),
        };
    };
    match captured.verb {
        CapturedVerb::Created => Verdict::Remaining(Leaving::Made(live.clone())),
        CapturedVerb::Deleted => Verdict::Reverted(revert(live, now)),
        CapturedVerb::Updated => of_fields(captured, live, now),
    }
}

fn person(why: &str) -> Verdict {
    Verdict::NeedsPerson { why: why.to_owned() }
}

fn of_fields(captured: &Captured, live: &Value, now: Timestamp) -> Verdict {
    // As it was captured: without its secrets.
    let mut without_secrets = live.clone();
    redact::value(&mut without_secrets);
    let mut edits = Vec::new();
    for field in captured.fields.iter().filter(|field| is_of_git(&field.path)) {
        let Ok(path) = field.path.parse::<FieldPath>() else {
            return person(&format!(
                "the field {} cannot be found again: bring it to Git by hand",
                field.path
            ));
        };
        let value = |of: &Value| path.locate(of).ok().and_then(|place| place.get(of).cloned());
        let (known, is) = (value(&without_secrets), value(live));
        if known.as_ref().map(kept) == field.before {
            continue;
        }
        if known != is {
            let why = format!("{} holds a secret, which no pull request may carry", field.path);
            return person(&format!("{why}: change it where the secret is kept, or undo it"));
        }
        edits.push((field.path.clone(), is.unwrap_or(Value::Null)));
    }
    if edits.is_empty() {
        Verdict::Reverted(revert(live, now))
    } else {
        Verdict::Remaining(Leaving::Fields(outermost(edits)))
    }
}

/// A change that holds another one says both.
fn outermost(edits: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let paths: Vec<Option<FieldPath>> = edits.iter().map(|(path, _)| path.parse().ok()).collect();
    let is_inside = |at: usize| {
        let inner = paths.get(at).and_then(Option::as_ref);
        inner.is_some_and(|inner| {
            paths.iter().enumerate().any(|(other, outer)| {
                other != at
                    && outer.as_ref().is_some_and(|outer| {
                        outer.overlaps(inner) && outer.steps().len() < inner.steps().len()
                    })
            })
        })
    };
    let kept: Vec<bool> = (0..edits.len()).map(|at| !is_inside(at)).collect();
    edits.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(edit, _)| edit).collect()
}

/// Who wrote the object last, by the object itself.
fn revert(live: &Value, now: Timestamp) -> Revert {
    let last = writers(live).into_iter().next();
    Revert {
        at: second(last.as_ref().and_then(|writer| writer.at).unwrap_or(now)),
        by: last.map_or_else(|| "an unknown writer".to_owned(), |writer| writer.manager),
        version: live["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Leaving, Verdict, verdict};
    use crate::{
        api::emergency_change::{Captured, CapturedVerb, EmergencyChangeStatus},
        changes::{
            capture::{FieldChange, Verb, Write},
            emergency::captured::{
                add,
                tests::{at, write},
            },
        },
    };

    const MEMORY: &str = "spec.template.spec.containers[name=web].resources.limits.memory";

    fn captured(fields: &[(&str, Value, Value)]) -> Captured {
        let some = |value: &Value| (!value.is_null()).then(|| value.clone());
        let fields = fields.iter().map(|(path, before, after)| FieldChange {
            path: (*path).to_owned(),
            before: some(before),
            after: some(after),
        });
        let mut status = EmergencyChangeStatus::default();
        add(&mut status, &Write { fields: fields.collect(), ..write(1, "1", 1, 2) });
        status.captured.remove(0)
    }

    fn live(replicas: i64, memory: &str) -> Value {
        json!({ "metadata": { "resourceVersion": "42", "managedFields": [
                { "manager": "kubectl-edit", "operation": "Update", "time": "2027-01-15T08:00:01Z" },
                { "manager": "sync", "operation": "Apply", "time": "2027-01-15T08:00:09Z" } ] },
            "spec": { "replicas": replicas, "template": { "spec": { "containers": [
                { "name": "web", "resources": { "limits": { "memory": memory } }, "env": [] } ] } } } })
    }

    fn fields(edits: Vec<(String, Value)>) -> Verdict {
        Verdict::Remaining(Leaving::Fields(edits))
    }

    fn judged(captured: &Captured, live: Option<&Value>) -> Verdict {
        verdict(captured, live, at(100))
    }

    #[test]
    fn what_remains_is_what_the_cluster_holds_now() {
        let two = captured(&[("spec.replicas", json!(2), json!(5)), (MEMORY, json!("64Mi"), json!("128Mi"))]);
        let remaining = judged(&two, Some(&live(2, "256Mi")));
        assert_eq!(remaining, fields(vec![(MEMORY.to_owned(), json!("256Mi"))]));
    }

    #[test]
    fn what_is_as_before_is_undone_and_says_by_whom() {
        let one = captured(&[("spec.replicas", json!(2), json!(5))]);
        let Verdict::Reverted(revert) = judged(&one, Some(&live(2, "64Mi"))) else { panic!("undone") };
        assert_eq!((revert.by.as_str(), revert.version.as_str()), ("sync", "42"));
        assert_eq!(revert.at.0.to_string(), "2027-01-15T08:00:09Z");
        let Verdict::Reverted(revert) = judged(&one, None) else { panic!("gone") };
        assert_eq!((revert.by.as_str(), revert.version.as_str()), ("its deletion", ""));
    }

    #[test]
    fn a_removed_field_is_removed_in_git_and_an_added_one_added() {
        let removed = captured(&[("spec.paused", json!(true), Value::Null)]);
        let edits = vec![("spec.paused".to_owned(), Value::Null)];
        assert_eq!(judged(&removed, Some(&live(1, "x"))), fields(edits));
        let added = captured(&[("spec.replicas", Value::Null, json!(3))]);
        let edits = vec![("spec.replicas".to_owned(), json!(3))];
        assert_eq!(judged(&added, Some(&live(3, "x"))), fields(edits));
    }

    #[test]
    fn a_field_inside_another_that_changed_is_said_once() {
        let limits = "spec.template.spec.containers[name=web].resources.limits";
        let both =
            captured(&[(MEMORY, json!("1Mi"), json!("2Mi")), (limits, json!({}), json!({"memory": "2Mi"}))]);
        let edits = vec![(limits.to_owned(), json!({ "memory": "2Mi" }))];
        assert_eq!(judged(&both, Some(&live(1, "2Mi"))), fields(edits));
    }

    #[test]
    fn what_was_made_or_deleted_goes_to_git_as_a_whole() {
        for (verb, live, leaving) in [
            (Verb::Create, Some(live(1, "x")), Leaving::Made(live(1, "x"))),
            (Verb::Delete, None, Leaving::Deleted),
        ] {
            let mut status = EmergencyChangeStatus::default();
            add(&mut status, &Write { verb, ..write(1, "1", 1, 2) });
            assert_eq!(judged(&status.captured[0], live.as_ref()), Verdict::Remaining(leaving));
        }
        let mut back = captured(&[]);
        back.verb = CapturedVerb::Deleted;
        assert!(matches!(judged(&back, Some(&live(1, "x"))), Verdict::Reverted(_)), "it is there again");
        back.verb = CapturedVerb::Created;
        assert!(matches!(judged(&back, None), Verdict::Reverted(_)));
        let mut another = live(1, "x");
        another["metadata"]["uid"] = json!("u-9");
        assert!(matches!(judged(&back, Some(&another)), Verdict::Reverted(_)), "that one has its own record");
    }

    #[test]
    fn a_secret_is_not_proposed() {
        let path = "spec.template.spec.containers[name=web].env";
        let one =
            captured(&[(path, json!([]), json!([{ "name": "DB_PASSWORD", "value": "<redacted:abcdef>" }]))]);
        let mut live = live(1, "x");
        live["kind"] = json!("Deployment");
        live["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{ "name": "DB_PASSWORD", "value": "hunter2-hunter2" }]);
        let Verdict::NeedsPerson { why } = judged(&one, Some(&live)) else { panic!("it holds a secret") };
        assert!(why.contains("secret") && !why.contains("hunter2"), "{why}");
    }
}
