#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use futures::{future::BoxFuture, stream::BoxStream};
use serde_json::{Value, json, value::to_raw_value};

use super::{Arc, ProposeChange};
use crate::{
    answer::{Answer, Budget, Sealer},
    caller::Caller,
    cluster::{Contexts, Reader},
    tools::{Changes, Modification, Proposal, Revision, Tool, desk::Office},
};

/// Keeps what it is given.
#[derive(Default)]
struct Keeps(Mutex<Vec<Proposal>>);

impl Changes for Keeps {
    fn propose<'a>(&'a self, _: &'a Caller, proposal: Proposal) -> BoxFuture<'a, Answer> {
        self.0.lock().unwrap().push(proposal);
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

async fn called(arguments: Value) -> Result<Proposal, String> {
    let changes = Arc::new(Keeps::default());
    let contexts = Contexts::one(Reader::absent("there is no cluster"));
    let office = Office { contexts, sealer: Sealer::random().unwrap(), budget: Budget::DEFAULT };
    let tool = ProposeChange { office, changes: changes.clone() };
    let answer = tool.call(&Caller::process(), Some(&to_raw_value(&arguments).unwrap())).await;
    let made = changes.0.lock().unwrap().pop();
    made.ok_or(answer.text)
}

#[tokio::test]
async fn edits_keep_their_order_and_null_means_removal() {
    let call = json!({ "kind": "Deployment", "namespace": "shop", "name": "web", "reason": "more memory",
        "edits": { "spec.z": "256Mi", "spec.a": null, "spec.m": 3 } });
    let edits = vec![
        ("spec.z".to_owned(), json!("256Mi")),
        ("spec.a".to_owned(), Value::Null),
        ("spec.m".to_owned(), json!(3)),
    ];
    assert_eq!(called(call).await.unwrap().change, Modification::Edits(edits));
}

#[tokio::test]
async fn a_change_has_one_form() {
    let with = |key: &str, value: Value| {
        let mut call = json!({ "kind": "Deployment", "name": "web", "reason": "x" });
        call[key] = value;
        call
    };
    for (key, value, change) in [
        ("merge_patch", json!({ "a": null }), Modification::MergePatch(json!({ "a": null }))),
        ("strategic_patch", json!({ "a": 1 }), Modification::StrategicPatch(json!({ "a": 1 }))),
        ("json_patch", json!([{ "op": "remove" }]), Modification::JsonPatch(vec![json!({ "op": "remove" })])),
        ("replicas", json!(0), Modification::Replicas(0)),
    ] {
        assert_eq!(called(with(key, value)).await.unwrap().change, change);
    }
    let mut both = with("replicas", json!(1));
    both["edits"] = json!({ "spec.a": 1 });
    for (call, says) in [
        (both, "not edits and replicas"),
        (with("edits", json!({})), "at least one field path"),
        (with("repository", json!("deploy")), "say what is to change with one of edits"),
        (json!({ "name": "web", "reason": "x", "replicas": 1 }), "name one object"),
        (
            json!({ "kind": "Pod", "name": "a", "finding": "ab", "reason": "x", "replicas": 1 }),
            "name one object",
        ),
        (json!({ "alert": { "name": "X" }, "reason": "x", "replicas": 1 }), "name no object"),
        (json!({ "alert": { "nme": "X" }, "reason": "x", "replicas": 1 }), "nme"),
        (with("replicas", json!(-1)), "at least 0"),
        (with("edits", json!("spec.a=1")), "must be of type object"),
    ] {
        let said = called(call).await.unwrap_err();
        assert!(said.contains(says), "{said}");
    }
}
