//! How a tool begins that shows one object page by page.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    arguments::{self, Parsed},
    definition::{cursor, max_tokens, text},
    desk::{Desk, Paging},
};
use crate::{answer::Answer, caller::Caller, cluster::Resource};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    kind: String,
    name: String,
    namespace: Option<String>,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

/// What such a tool takes; `namespace` tells of that argument.
pub(super) fn properties(namespace: &str) -> Value {
    json!({
        "kind": text("kind, plural or short name"),
        "name": text("name of the object"),
        "namespace": text(namespace),
        "cursor": cursor(),
        "max_tokens": max_tokens(),
    })
}

pub(super) const REQUIRED: &[&str] = &["kind", "name"];

/// The object that a caller means; it is not read yet.
pub(super) struct Asked<'a> {
    pub(super) paging: Paging<'a>,
    pub(super) resource: Resource,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
}

impl Desk {
    /// `definition` is that of a tool with these [`properties`].
    ///
    /// # Errors
    /// An error answer that says what is wrong with the arguments, the cursor or the kind.
    pub(super) async fn asked<'a>(
        &'a self,
        definition: &Value,
        caller: &'a Caller,
        raw: Option<&RawValue>,
    ) -> Result<Asked<'a>, Answer> {
        let Parsed { arguments, request } = arguments::parse(definition, raw)?;
        let Arguments { kind, name, namespace, cursor, max_tokens } = arguments;
        let paging = self.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let resource = self.kind(&kind).await?;
        Ok(Asked { paging, resource, name, namespace })
    }
}
