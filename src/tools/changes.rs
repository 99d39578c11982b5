//! What was proposed: seen, revised and taken back. `propose_change` has a folder of its own.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Changes, Revision, Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, text},
    modification::{self, FORMS, Forms, together},
};
use crate::{answer::Answer, caller::Caller};

/// `revise_change`.
pub(super) struct ReviseChange(pub(super) Arc<dyn Changes>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revise {
    id: String,
    edits: Option<Map<String, Value>>,
    merge_patch: Option<Value>,
    strategic_patch: Option<Value>,
    json_patch: Option<Vec<Value>>,
    replicas: Option<u32>,
    reason: Option<String>,
}

impl Tool for ReviseChange {
    fn definition(&self) -> Value {
        Definition {
            name: "revise_change",
            title: "Revise change",
            description: "Use this to correct a change you proposed, or to take up one that was rejected: an open one keeps its pull request, which gets the new change or reason; a closed one gets a new pull request. At most one of edits, merge_patch, strategic_patch, json_patch, replicas says all that is to change, in the place of what was asked before; without one that stays. Nothing in the cluster is touched.",
            properties: together([
                Map::from_iter([("id".to_owned(), text("as propose_change gave it"))]),
                modification::schema(),
                Map::from_iter([("reason".to_owned(), text("absent: it stays"))]),
            ]),
            required: &["id"],
            effect: Effect::Proposes,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(async move {
            let (id, revision) = revision(&self.definition(), arguments)?;
            Ok(self.0.revise(caller, &id, revision).await)
        })
    }
}

fn revision(definition: &Value, raw: Option<&RawValue>) -> Result<(String, Revision), Answer> {
    let Parsed { arguments, request: _ } = arguments::parse::<Revise>(definition, raw)?;
    let Revise { id, edits, merge_patch, strategic_patch, json_patch, replicas, reason } = arguments;
    let forms = Forms { edits, merge_patch, strategic_patch, json_patch, replicas };
    let change = forms.one().map_err(Answer::error)?;
    if change.is_none() && reason.is_none() {
        return Err(Answer::error(format!(
            "revise_change changes nothing without one of {} or a `reason`: give at least one of them",
            FORMS.join(", ")
        )));
    }
    Ok((id, Revision { change, reason }))
}

/// `withdraw_change`.
pub(super) struct WithdrawChange(pub(super) Arc<dyn Changes>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Withdraw {
    id: String,
    reason: Option<String>,
}

impl Tool for WithdrawChange {
    fn definition(&self) -> Value {
        Definition {
            name: "withdraw_change",
            title: "Withdraw change",
            description: "Use this to take back a change you proposed that is not merged yet: closes its pull request with a comment and removes its branch. It may be proposed again.",
            properties: json!({
                "id": text("as propose_change gave it"),
                "reason": text("why, for the people who looked at it"),
            }),
            required: &["id"],
            effect: Effect::Withdraws,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(async move {
            let Withdraw { id, reason } = arguments::parse(&self.definition(), arguments)?.arguments;
            Ok(self.0.withdraw(caller, &id, reason.as_deref()).await)
        })
    }
}

/// `get_change`.
pub(super) struct GetChange(pub(super) Arc<dyn Changes>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Id {
    id: String,
}

impl Tool for GetChange {
    fn definition(&self) -> Value {
        Definition {
            name: "get_change",
            title: "Get change",
            description: "Use this to see what became of a proposed change: whether it is reviewed, approved, merged, applied in the cluster and healthy there, rejected or withdrawn, with its pull request and difference.",
            properties: json!({ "id": text("as propose_change or list_changes gave it") }),
            required: &["id"],
            effect: Effect::ReadsOutside,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(async move {
            let Id { id } = arguments::parse(&self.definition(), arguments)?.arguments;
            Ok(self.0.get(caller, &id).await)
        })
    }
}

/// `list_changes`.
pub(super) struct ListChanges(pub(super) Arc<dyn Changes>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Tool for ListChanges {
    fn definition(&self) -> Value {
        Definition {
            name: "list_changes",
            title: "List changes",
            description: "Use this to see the proposed changes, newest first, and how far each is: Drafted, Proposed, Approved, Merged, Applied, Verified, Rejected, Withdrawn or Failed.",
            properties: json!({}),
            required: &[],
            effect: Effect::ReadsOutside,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(async move {
            let Nothing {} = arguments::parse(&self.definition(), arguments)?.arguments;
            Ok(self.0.list(caller).await)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use futures::{future::BoxFuture, stream::BoxStream};
    use serde_json::{Value, json, value::to_raw_value};

    use super::{ReviseChange, revision};
    use crate::{
        answer::Answer,
        caller::Caller,
        tools::{Changes, Modification, Proposal, Revision, Tool},
    };

    struct Nobody;

    impl Changes for Nobody {
        fn propose<'a>(&'a self, _: &'a Caller, _: Proposal) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer::text("") })
        }
        fn get<'a>(&'a self, _: &'a Caller, _: &'a str) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer::text("") })
        }
        fn list<'a>(&'a self, _: &'a Caller) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer::text("") })
        }
        fn updates<'a>(
            &'a self,
            _: &'a Caller,
            _: &'a str,
        ) -> BoxFuture<'a, Result<BoxStream<'static, ()>, String>> {
            Box::pin(async { Err(String::new()) })
        }
        fn revise<'a>(&'a self, _: &'a Caller, _: &'a str, _: Revision) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer::text("") })
        }
        fn withdraw<'a>(&'a self, _: &'a Caller, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer::text("") })
        }
    }

    #[test]
    fn a_revision_says_what_is_to_be_different() {
        let definition = ReviseChange(Arc::new(Nobody)).definition();
        let of = |call: Value| revision(&definition, Some(&to_raw_value(&call).unwrap()));
        let (id, revised) = of(json!({ "id": "00ff", "edits": { "spec.a": null } })).unwrap();
        assert_eq!(
            (id.as_str(), revised.change),
            ("00ff", Some(Modification::Edits(vec![("spec.a".to_owned(), Value::Null)])))
        );
        assert_eq!(of(json!({ "id": "00ff", "reason": "x" })).unwrap().1.change, None);
        let patched = of(json!({ "id": "00ff", "json_patch": [{ "op": "remove", "path": "/spec/a" }] }));
        let operations = vec![json!({ "op": "remove", "path": "/spec/a" })];
        assert_eq!(patched.unwrap().1.change, Some(Modification::JsonPatch(operations)));
        assert_eq!(
            of(json!({ "id": "00ff", "replicas": 3 })).unwrap().1.change,
            Some(Modification::Replicas(3))
        );
        for (call, says) in [
            (json!({ "id": "00ff" }), "at least one"),
            (json!({ "id": "00ff", "edits": {} }), "at least one field path"),
            (
                json!({ "id": "00ff", "replicas": 3, "merge_patch": { "a": 1 } }),
                "not merge_patch and replicas",
            ),
        ] {
            let said = of(call).unwrap_err().text;
            assert!(said.contains(says), "{said}");
        }
    }
}
