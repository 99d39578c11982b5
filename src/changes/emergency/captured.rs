//! Captured writes, taken together by object: a field is what it was before the first and after the last of them.
//! Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::{
    digest::short,
    scope::{shown, target_of},
};
use crate::{
    api::emergency_change::{Captured, CapturedField, CapturedVerb, EmergencyChangeStatus},
    changes::capture::{FieldChange, Verb, Write},
};

const MOST_OBJECTS: usize = 100;
const MOST_FIELDS: usize = 100;
const MOST_VERSIONS: usize = 50;
const MOST_WRITERS: usize = 20;
/// Bytes of a value's JSON text that are kept; of longer ones only the digest.
const LONGEST_VALUE: usize = 2048;

/// As a status holds moments: whole seconds.
pub(super) fn second(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// How a writer whose user name is not known is named.
pub(super) fn unnamed(manager: &str) -> String {
    format!("manager {manager}")
}

/// Everybody who wrote, as far as it is known; never empty.
pub(super) fn writers(write: &Write) -> Vec<String> {
    match (write.users.as_slice(), &write.manager) {
        ([], Some(manager)) => vec![unnamed(manager)],
        ([], None) => vec!["unknown".to_owned()],
        (users, _) => users.to_vec(),
    }
}

/// As [`writers`], for people.
pub(super) fn who(write: &Write) -> String {
    writers(write).join(", ")
}

/// Whether Git has anything to do with a field: the cluster writes the others.
pub(super) fn is_of_git(path: &str) -> bool {
    let written_by_cluster = [
        "status",
        "metadata.managedFields",
        "metadata.resourceVersion",
        "metadata.generation",
        "metadata.uid",
        "metadata.creationTimestamp",
        "metadata.selfLink",
        "metadata.annotations.\"kubectl.kubernetes.io/last-applied-configuration\"",
        "metadata.annotations.\"deployment.kubernetes.io/revision\"",
    ];
    !written_by_cluster.iter().any(|field| {
        path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// Whether a write is one that Git should know of.
pub(super) fn counts(write: &Write) -> bool {
    write.verb != Verb::Update || write.fields.iter().any(|field| is_of_git(&field.path))
}

/// A value as it is kept and compared.
pub(super) fn kept(value: &Value) -> String {
    let text = value.to_string();
    if text.len() > LONGEST_VALUE {
        format!("\"<{} bytes, digest {}>\"", text.len(), short(&[&text]))
    } else {
        text
    }
}

/// Whether this very write is there already, from another witness or an earlier run.
pub(super) fn knows(status: &EmergencyChangeStatus, write: &Write) -> bool {
    status.captured.iter().any(|captured| captured.uid == write.uid && holds(captured, write))
}

/// Of many writes only the latest are remembered one by one: one before those counts as known. The API server's
/// versions grow; where they are no numbers, only those that are remembered are known.
fn holds(captured: &Captured, write: &Write) -> bool {
    let number = |version: &str| version.parse::<u64>().ok();
    let oldest = || captured.versions.iter().filter_map(|version| number(version)).min();
    captured.versions.contains(&write.version)
        || (captured.older > 0
            && number(&write.version).zip(oldest()).is_some_and(|(version, oldest)| version < oldest))
}

/// Adds a write, or what another witness adds to one that is there. Returns whether it is a new one.
pub(super) fn add(status: &mut EmergencyChangeStatus, write: &Write) -> bool {
    let is_new = !knows(status, write);
    if is_new {
        status.writes = status.writes.saturating_add(1);
    }
    let found = status.captured.iter().position(|captured| captured.uid == write.uid);
    let at = match found {
        Some(at) => at,
        None if status.captured.len() >= MOST_OBJECTS => {
            status.left_out = status.left_out.saturating_add(1);
            return is_new;
        }
        None => {
            status.captured.push(Captured {
                object: target_of(&write.object),
                uid: write.uid.clone(),
                verb: verb(write.verb),
                first_at: second(write.at),
                last_at: second(write.at),
                by: Vec::new(),
                versions: Vec::new(),
                older: 0,
                fields: Vec::new(),
                reverted: None,
                reconciliation: None,
            });
            status.captured.len() - 1
        }
    };
    let Some(captured) = status.captured.get_mut(at) else { return is_new };
    let left_out = extend(captured, write, is_new);
    status.left_out = status.left_out.saturating_add(left_out);
    is_new
}

/// Takes a write back that was somebody's whose writes do not count. What other writes did to the object stays, with
/// the fields that this one may have changed too: what they are now, the live object says.
pub(super) fn excuse(status: &mut EmergencyChangeStatus, write: &Write) {
    if !knows(status, write) {
        return;
    }
    status.writes = status.writes.saturating_sub(1);
    for captured in status.captured.iter_mut().filter(|captured| captured.uid == write.uid) {
        let before = captured.versions.len();
        captured.versions.retain(|version| *version != write.version);
        if captured.versions.len() == before {
            captured.older = captured.older.saturating_sub(1);
        }
    }
    status.captured.retain(|captured| !captured.versions.is_empty() || captured.older > 0);
}

/// Returns how many fields found no place.
fn extend(captured: &mut Captured, write: &Write, is_new: bool) -> i32 {
    let is_named = !write.users.is_empty();
    if is_named && let Some(manager) = &write.manager {
        // The watch tells first; the webhook or the audit event then says who that was.
        captured.by.retain(|known| *known != unnamed(manager));
    }
    for by in writers(write) {
        if !captured.by.contains(&by) && captured.by.len() < MOST_WRITERS && (is_new || is_named) {
            captured.by.push(by);
        }
    }
    let is_newest = is_new && second(write.at).0 >= captured.last_at.0;
    let is_first = is_new && second(write.at).0 < captured.first_at.0;
    if is_new {
        captured.versions.push(write.version.clone());
        if captured.versions.len() > MOST_VERSIONS {
            captured.versions.remove(0);
            captured.older = captured.older.saturating_add(1);
        }
        captured.first_at = second(write.at.min(captured.first_at.0));
        captured.last_at = second(write.at.max(captured.last_at.0));
        captured.verb = match (captured.verb, write.verb) {
            (CapturedVerb::Updated, Verb::Delete) => CapturedVerb::Deleted,
            (known, _) => known,
        };
        // What was found out is about the object as it was before this write.
        captured.reverted = None;
        captured.reconciliation = None;
    }
    let mut left_out = 0;
    for FieldChange { path, before, after } in write.fields.iter().filter(|field| is_of_git(&field.path)) {
        let (before, after) = (before.as_ref().map(kept), after.as_ref().map(kept));
        let is_full = captured.fields.len() >= MOST_FIELDS;
        match captured.fields.iter_mut().find(|field| field.path == *path) {
            Some(known) if is_newest => known.after = after,
            Some(known) if is_first => known.before = before,
            Some(_) => {}
            None if is_full => left_out += 1,
            None => captured.fields.push(CapturedField { path: path.clone(), before, after }),
        }
    }
    left_out
}

fn verb(verb: Verb) -> CapturedVerb {
    match verb {
        Verb::Create => CapturedVerb::Created,
        Verb::Update => CapturedVerb::Updated,
        Verb::Delete => CapturedVerb::Deleted,
    }
}

/// `ann changed Deployment shop/web: spec.replicas`; nothing of the values.
pub(super) fn said(write: &Write) -> String {
    let did = match write.verb {
        Verb::Create => "made",
        Verb::Update => "changed",
        Verb::Delete => "deleted",
    };
    let paths: Vec<&str> =
        write.fields.iter().map(|field| field.path.as_str()).filter(|path| is_of_git(path)).collect();
    let fields = match (write.verb, paths.as_slice()) {
        (Verb::Create | Verb::Delete, _) | (_, []) => String::new(),
        (_, [one]) => format!(": {one}"),
        (_, [first, rest @ ..]) => format!(": {first} and {} more", rest.len()),
    };
    format!("{} {did} {}{fields}", who(write), shown(&target_of(&write.object)))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::{add, counts, excuse, is_of_git, said};
    use crate::{
        api::emergency_change::{CapturedVerb, EmergencyChangeStatus},
        changes::capture::{FieldChange, ObjectRef, Verb, Witness, Write},
    };

    pub(in crate::changes::emergency) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A change of `spec.replicas` of Deployment shop/web.
    pub(in crate::changes::emergency) fn write(second: i64, version: &str, before: i64, after: i64) -> Write {
        Write {
            at: at(second),
            object: ObjectRef {
                group: "apps".into(),
                kind: "Deployment".into(),
                namespace: Some("shop".into()),
                name: "web".into(),
            },
            uid: "u-1".into(),
            version: version.into(),
            verb: Verb::Update,
            users: vec!["ann".into()],
            manager: Some("kubectl-edit".into()),
            fields: vec![FieldChange {
                path: "spec.replicas".into(),
                before: Some(json!(before)),
                after: Some(json!(after)),
            }],
            witnesses: vec![Witness::Watch],
        }
    }

    #[test]
    fn writes_of_one_object_are_taken_together() {
        let mut status = EmergencyChangeStatus::default();
        assert!(add(&mut status, &write(1, "10", 2, 3)));
        assert!(add(&mut status, &write(5, "12", 3, 5)));
        assert_eq!(status.captured.len(), 1);
        let captured = &status.captured[0];
        assert_eq!(captured.versions, ["10", "12"]);
        assert_eq!(
            (captured.fields[0].before.as_deref(), captured.fields[0].after.as_deref()),
            (Some("2"), Some("5"))
        );
        assert_eq!((captured.first_at.0, captured.last_at.0), (at(1), at(5)));
        assert_eq!(status.writes, 2);
    }

    #[test]
    fn a_write_that_comes_late_does_not_undo_a_newer_one() {
        let mut status = EmergencyChangeStatus::default();
        add(&mut status, &write(5, "12", 3, 5));
        add(&mut status, &write(1, "10", 2, 3));
        add(&mut status, &write(3, "11", 3, 4));
        let field = &status.captured[0].fields[0];
        assert_eq!((field.before.as_deref(), field.after.as_deref()), (Some("2"), Some("5")));
    }

    #[test]
    fn another_witness_of_the_same_write_only_says_who() {
        let mut status = EmergencyChangeStatus::default();
        let seen = Write { users: Vec::new(), ..write(1, "10", 2, 3) };
        assert!(add(&mut status, &seen));
        assert_eq!(status.captured[0].by, ["manager kubectl-edit"]);
        assert!(!add(&mut status, &write(1, "10", 2, 3)));
        assert_eq!(status.captured[0].by, ["ann"]);
        assert!(!add(&mut status, &seen));
        assert_eq!((status.captured[0].by.as_slice(), status.writes), (["ann".to_owned()].as_slice(), 1));
    }

    #[test]
    fn of_several_who_were_seen_as_one_each_has_a_name() {
        let mut status = EmergencyChangeStatus::default();
        add(&mut status, &Write { users: vec!["ann".into(), "bob".into()], ..write(1, "10", 2, 3) });
        assert_eq!(status.captured[0].by, ["ann", "bob"]);
    }

    #[test]
    fn what_was_made_and_deleted_again_is_as_if_it_was_never_there() {
        let mut status = EmergencyChangeStatus::default();
        add(&mut status, &Write { verb: Verb::Create, ..write(1, "10", 0, 1) });
        add(&mut status, &Write { verb: Verb::Delete, ..write(2, "11", 0, 1) });
        assert_eq!(status.captured[0].verb, CapturedVerb::Created);
        add(&mut status, &Write { uid: "u-2".into(), ..write(3, "12", 1, 2) });
        add(&mut status, &Write { uid: "u-2".into(), verb: Verb::Delete, ..write(4, "13", 1, 2) });
        assert_eq!(status.captured[1].verb, CapturedVerb::Deleted);
    }

    #[test]
    fn an_excused_write_is_taken_back_and_others_stay() {
        let mut status = EmergencyChangeStatus::default();
        add(&mut status, &write(1, "10", 2, 3));
        add(&mut status, &write(2, "11", 3, 4));
        excuse(&mut status, &write(1, "10", 2, 3));
        excuse(&mut status, &write(1, "10", 2, 3));
        assert_eq!(
            (status.captured[0].versions.as_slice(), status.writes),
            (["11".to_owned()].as_slice(), 1)
        );
        excuse(&mut status, &write(2, "11", 3, 4));
        assert!(status.captured.is_empty());
    }

    #[test]
    fn of_many_writes_the_older_ones_are_still_known_and_still_there() {
        let mut status = EmergencyChangeStatus::default();
        let one = |number: i64| write(number, &(100 + number).to_string(), number, number + 1);
        for number in 0..60 {
            assert!(add(&mut status, &one(number)));
        }
        // After a restart all of them may be told again.
        for number in 0..60 {
            assert!(!add(&mut status, &one(number)), "{number}");
        }
        let captured = &status.captured[0];
        assert_eq!((status.writes, captured.versions.len(), captured.older), (60, 50, 10));
        assert_eq!(captured.fields[0].before.as_deref(), Some("0"));
        for number in 10..60 {
            excuse(&mut status, &one(number));
        }
        assert_eq!((status.writes, status.captured.len()), (10, 1), "ten writes are somebody's");
    }

    #[test]
    fn what_the_cluster_writes_does_not_count() {
        for (path, is) in [
            ("status.replicas", false),
            ("statusPage.url", true),
            ("metadata.annotations.\"deployment.kubernetes.io/revision\"", false),
            ("metadata.annotations.\"example.com/x\"", true),
            ("metadata.generation", false),
            ("spec.replicas", true),
        ] {
            assert_eq!(is_of_git(path), is, "{path}");
        }
        let mut noise = write(1, "10", 1, 2);
        noise.fields[0].path = "status.observedGeneration".into();
        assert!(!counts(&noise) && counts(&write(1, "10", 1, 2)));
    }

    #[test]
    fn there_is_an_end_to_what_a_record_holds_and_it_is_counted() {
        let mut status = EmergencyChangeStatus::default();
        for number in 0..130 {
            let mut one = write(number, "1", 1, 2);
            one.uid = format!("u-{number}");
            add(&mut status, &one);
        }
        let mut wide = write(200, "2", 1, 2);
        wide.fields = (0..120)
            .map(|number| FieldChange {
                path: format!("data.k{number}"),
                before: None,
                after: Some(Value::from("x".repeat(3000))),
            })
            .collect();
        wide.uid = "u-0".into();
        add(&mut status, &wide);
        assert_eq!((status.captured.len(), status.captured[0].fields.len()), (100, 100));
        assert_eq!((status.writes, status.left_out), (131, 30 + 21));
        assert!(status.captured[0].fields[99].after.as_ref().unwrap().contains("digest"));
    }

    #[test]
    fn a_write_is_said_without_its_values() {
        assert_eq!(said(&write(1, "10", 2, 3)), "ann changed Deployment shop/web: spec.replicas");
    }
}
