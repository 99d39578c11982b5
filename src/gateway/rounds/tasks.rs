//! Tasks: what a server answers later, by way of an id. Clients know it by an id of ours, which says sealed whose task
//! it is: another caller does not find it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    answer::Ring,
    gateway::{
        downstream::ServerName,
        wire::{Era, Raw, RpcError, text::Fields},
    },
};

/// For what the seals are.
const PURPOSE: &str = "task";
/// Where messages of the 2025-11-25 revision say to which task they belong.
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// Whose task an id stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway) struct Task {
    #[serde(rename = "n")]
    pub(in crate::gateway) namespace: String,
    #[serde(rename = "s")]
    pub(in crate::gateway) server: String,
    /// The tool that was called, by the server's own name.
    #[serde(rename = "t")]
    pub(in crate::gateway) tool: String,
    /// The server's own id.
    #[serde(rename = "i")]
    pub(in crate::gateway) id: String,
    /// Where it was called: another pod may not know of it.
    #[serde(rename = "p")]
    pub(in crate::gateway) place: String,
    #[serde(rename = "c")]
    pub(in crate::gateway) caller: String,
    #[serde(rename = "e")]
    pub(in crate::gateway) era: Era,
}

impl Task {
    pub(in crate::gateway) fn server(&self) -> ServerName {
        ServerName { namespace: self.namespace.clone(), name: self.server.clone() }
    }
}

/// A request about a task, and the id by which its client knows it.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct OfTask {
    pub(in crate::gateway) task: Task,
    pub(super) sealed: String,
}

/// The requests about a task that is there already.
pub fn is_about_task(method: &str, era: Era) -> bool {
    match method {
        "tasks/get" | "tasks/cancel" => true,
        "tasks/update" => era == Era::Modern,
        "tasks/result" => era == Era::Legacy,
        _ => false,
    }
}

pub fn unknown(id: &str) -> RpcError {
    let shown: String = id.chars().take(40).collect();
    let message = format!(
        "there is no task `{shown}`: it was started by another caller, or more than a day ago, or its server is gone; call the tool again"
    );
    RpcError::new(RpcError::INVALID_PARAMS, &message)
}

/// # Errors
/// When the system has no random bytes.
pub(super) fn seal(ring: &Ring, task: &Task, now: Timestamp) -> Result<String, RpcError> {
    let failed = || RpcError::new(RpcError::INTERNAL, "the task's id cannot be sealed: try again");
    let plain = serde_json::to_vec(task).map_err(|_| failed())?;
    ring.seal(PURPOSE, &plain, now).map_err(|_| failed())
}

/// Nothing when it is not an id of ours, or of another caller's task, or too old.
pub(super) fn open(ring: &Ring, sealed: &str, caller: &str, now: Timestamp) -> Option<Task> {
    let plain = ring.open(PURPOSE, sealed, now).ok()?;
    let task: Task = serde_json::from_slice(&plain).ok()?;
    (task.caller == caller).then_some(task)
}

/// The id of the task that stands in the place of an answer: beside the other members in the modern era, in one of its
/// own in the legacy one.
pub(super) fn begun(result: &Raw, era: Era) -> Option<String> {
    // Most results do not even have the word in them.
    if !result.get().contains("\"taskId\"") {
        return None;
    }
    let fields = Fields::parse(result.get()).ok()?;
    match era {
        Era::Modern => {
            let is_task = fields.get_str("resultType").as_deref() == Some("task");
            fields.get_str("taskId").filter(|_| is_task)
        }
        Era::Legacy => Fields::parse(fields.get("task")?.get()).ok()?.get_str("taskId"),
    }
}

/// The begun task under this id.
pub(super) fn begun_as(result: &Raw, era: Era, id: &str) -> Raw {
    match era {
        Era::Modern => with_id(result, id),
        Era::Legacy => within(result, "task", |task| Some(with_id(task, id))),
    }
}

/// A request or an answer about a task, with this id in the place of its own.
pub(super) fn with_id(value: &Raw, id: &str) -> Raw {
    let Ok(mut fields) = Fields::parse(value.get()) else { return value.clone() };
    fields.set_str("taskId", id);
    fields.to_raw()
}

impl OfTask {
    /// The answer with the client's own id wherever the server's stands.
    pub(in crate::gateway) fn shown(&self, result: Raw) -> Raw {
        if !result.get().contains("\"taskId\"") {
            return result;
        }
        let is_it = |value: &Raw| {
            let id = Fields::parse(value.get()).ok().and_then(|fields| fields.get_str("taskId"));
            id.is_some_and(|id| id == self.task.id)
        };
        let exchanged = |value: &Raw| is_it(value).then(|| with_id(value, &self.sealed));
        let result = exchanged(&result).unwrap_or(result);
        within(&result, "_meta", |meta| {
            let after = within(meta, RELATED, exchanged);
            (after.get() != meta.get()).then_some(after)
        })
    }
}

/// The object with one member exchanged, if there is one to exchange it for.
fn within(value: &Raw, member: &str, exchange: impl Fn(&Raw) -> Option<Raw>) -> Raw {
    let exchanged = || {
        let mut fields = Fields::parse(value.get()).ok()?;
        let after = exchange(&fields.get(member)?.to_owned())?;
        fields.set(member, after);
        Some(fields.to_raw())
    };
    exchanged().unwrap_or_else(|| value.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::{Timestamp, ToSpan};

    use super::{OfTask, Task, begun, begun_as, is_about_task, open, seal};
    use crate::{
        answer::Ring,
        gateway::wire::{Era, Raw},
    };

    fn raw(json: &str) -> Raw {
        serde_json::value::RawValue::from_string(json.to_owned()).unwrap()
    }

    fn task() -> Task {
        Task {
            namespace: "shop".to_owned(),
            server: "one".to_owned(),
            tool: "dig".to_owned(),
            id: "7".to_owned(),
            place: "shop/one a".to_owned(),
            caller: "ann".to_owned(),
            era: Era::Modern,
        }
    }

    #[test]
    fn an_id_is_good_for_its_caller_alone_and_at_every_replica() {
        let (one, other) = (Ring::with_root(&[7; 32]), Ring::with_root(&[7; 32]));
        let now = Timestamp::UNIX_EPOCH;
        let id = seal(&one, &task(), now).unwrap();
        assert_eq!(open(&other, &id, "ann", now + 20.hours()), Some(task()));
        assert_eq!(open(&one, &id, "bob", now), None);
        assert_eq!(open(&one, &id[1..], "ann", now), None);
        assert_eq!(open(&one, "7", "ann", now), None);
        assert_eq!(open(&one, &id, "ann", now + 80.hours()), None);
        assert_eq!(open(&Ring::random().unwrap(), &id, "ann", now), None);
    }

    #[test]
    fn a_task_in_the_place_of_an_answer_gets_our_id() {
        let modern = raw(r#"{"resultType":"task","taskId":"7","n":2.50}"#);
        assert_eq!(begun(&modern, Era::Modern).as_deref(), Some("7"));
        assert_eq!(
            begun_as(&modern, Era::Modern, "x").get(),
            r#"{"resultType":"task","taskId":"x","n":2.50}"#
        );
        let legacy = raw(r#"{"z":1e3,"task":{"taskId":"7","ttl":null}}"#);
        assert_eq!(begun(&legacy, Era::Legacy).as_deref(), Some("7"));
        assert_eq!(
            begun_as(&legacy, Era::Legacy, "x").get(),
            r#"{"z":1e3,"task":{"taskId":"x","ttl":null}}"#
        );
        for other in [r#"{"taskId":"7","resultType":"complete"}"#, r#"{"task":7,"x":"taskId"}"#, "null"] {
            assert_eq!(begun(&raw(other), Era::Modern), None, "{other}");
            assert_eq!(begun(&raw(other), Era::Legacy), None, "{other}");
        }
    }

    #[test]
    fn an_answer_about_a_task_has_the_id_that_was_asked_for() {
        let of = OfTask { task: task(), sealed: "ours".to_owned() };
        let state = r#"{"taskId":"7","status":"working","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"7","x":1.0}}}"#;
        let expected = r#"{"taskId":"ours","status":"working","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"ours","x":1.0}}}"#;
        assert_eq!(of.shown(raw(state)).get(), expected);
        let others = r#"{"taskId":"8","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"8"}}}"#;
        assert_eq!(of.shown(raw(others)).get(), others);
        let odd = r#"{ "content":[ {"taskId": "7"} ] }"#;
        assert_eq!(of.shown(raw(odd)).get(), odd);
    }

    #[test]
    fn each_era_has_its_own_requests() {
        assert!(is_about_task("tasks/update", Era::Modern) && !is_about_task("tasks/update", Era::Legacy));
        assert!(is_about_task("tasks/result", Era::Legacy) && !is_about_task("tasks/result", Era::Modern));
        assert!(!is_about_task("tasks/list", Era::Legacy));
    }
}
