//! `change://ID`: a change request as a resource, for whoever may see it; a subscription tells how it goes on.

use std::sync::Arc;

use futures::stream::BoxStream;
use serde_json::{Value, json};

use super::Changes;
use crate::{answer::Answer, caller::Caller, redact};

const SCHEME: &str = "change://";
const TEMPLATE: &str = "change://{id}";

/// The change requests of this installation as resources. Cheap to clone.
#[derive(Clone)]
pub struct ChangeResources(pub(super) Arc<dyn Changes>);

impl ChangeResources {
    /// As MCP's `ResourceTemplate`.
    pub fn template() -> Value {
        json!({
            "uriTemplate": TEMPLATE,
            "name": "change",
            "title": "Change request",
            "description": "What became of a proposed change, as get_change says it: change://0123456789abcdef. A \
                            subscription tells when its phase or its pull request is another.",
            "mimeType": "text/plain",
        })
    }

    /// The template's URI template: its name in the catalogue.
    pub fn template_name() -> &'static str {
        TEMPLATE
    }

    /// The id in a URI of ours.
    pub fn id(uri: &str) -> Option<&str> {
        uri.strip_prefix(SCHEME)
    }

    /// As MCP's `ReadResourceResult`: what `get_change` answers.
    ///
    /// # Errors
    /// One sentence: there is none of that id that this caller may see.
    pub async fn read(&self, caller: &Caller, uri: &str, id: &str) -> Result<Value, String> {
        let Answer { text, is_error, structured: _ } = self.0.get(caller, id).await;
        let text = redact::text(&text).into_owned();
        if is_error {
            return Err(text);
        }
        Ok(json!({ "contents": [{ "uri": uri, "mimeType": "text/plain", "text": text }] }))
    }

    /// One item whenever its phase or its pull request is another; it ends when this caller may not see it any more.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn updates(&self, caller: &Caller, id: &str) -> Result<BoxStream<'static, ()>, String> {
        self.0.updates(caller, id).await.map_err(|why| redact::text(&why).into_owned())
    }
}
