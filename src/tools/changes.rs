//! Looking at change requests; `changes` does the rest.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Changes, Tool,
    arguments::{self, Parsed},
    definition::{Definition, Effect, text},
};
use crate::{answer::Answer, caller::Caller};

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
            description: "Use this to see what became of a proposed change: looks in its repository whether the branch is still open, merged or withdrawn, and shows the difference.",
            properties: json!({ "id": text("as propose_change or list_changes gave it") }),
            required: &["id"],
            effect: Effect::ReadsOutside,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            match arguments::parse::<Id>(&self.definition(), arguments) {
                Ok(Parsed { arguments: Id { id }, request: _ }) => self.0.get(caller, &id).await,
                Err(error) => error,
            }
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
            description: "Use this to see the proposed changes, newest first, and which of them are open, merged or withdrawn in their repositories now.",
            properties: json!({}),
            required: &[],
            effect: Effect::ReadsOutside,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            match arguments::parse::<Nothing>(&self.definition(), arguments) {
                Ok(Parsed { arguments: Nothing {}, request: _ }) => self.0.list(caller).await,
                Err(error) => error,
            }
        })
    }
}
