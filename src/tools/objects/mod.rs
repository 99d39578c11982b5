//! The cluster's objects as MCP resources: one template, read, completed and watched as the caller.

mod address;
mod completion;
mod watch;

use futures::stream::BoxStream;
use serde_json::{Value, json};

use self::address::Address;
use super::{
    desk::{Desk, Office},
    get_resource,
};
use crate::{
    answer::{Answer, window},
    caller::Caller,
    cluster::Resource,
    redact,
};

/// What completes a prompt's or template's argument.
pub use self::completion::{Completion, Wanted};

/// Every object that callers may read, as a resource. Cheap to clone.
#[derive(Clone)]
pub struct Objects(pub(super) Office);

impl Objects {
    /// As MCP's `ResourceTemplate`.
    pub fn template() -> Value {
        json!({
            "uriTemplate": address::TEMPLATE,
            "name": "object",
            "title": "Object of the cluster",
            "description": "One object as YAML without noise, secrets taken out. `_` stands for the current context and \
                            for no namespace: cluster://_/shop/deployments.apps/web. A subscription tells of changes \
                            of its health.",
            "mimeType": "application/yaml",
        })
    }

    /// The template's URI template: its name in the catalogue.
    pub fn template_name() -> &'static str {
        address::TEMPLATE
    }

    /// As MCP's `ReadResourceResult`.
    ///
    /// # Errors
    /// One sentence: no address, no such kind or object, or one that the caller may not read.
    pub async fn read(&self, caller: &Caller, uri: &str) -> Result<Value, String> {
        let (desk, resource, address) = self.find(caller, uri).await?;
        let Address { context: _, namespace, kind: _, name } = &address;
        let raw = desk.object(&resource, namespace.as_deref(), name).await.map_err(sentence)?;
        let object = serde_json::from_str(raw.get()).map_err(|error| {
            format!("{} {name} came as something that is not an object: {error}", resource.kind)
        })?;
        let yaml = get_resource::yaml(object, true)
            .map_err(|error| format!("{} {name} cannot be written as YAML: {error}", resource.kind))?;
        let piece = window(&yaml, 0, desk.budget);
        let rest = match piece.next {
            Some(next) => {
                format!("\n# {} more bytes: get_resource reads on with its cursor\n", yaml.len() - next)
            }
            None => String::new(),
        };
        let text = format!("{}{rest}", piece.text);
        let text = redact::text(&text);
        Ok(json!({ "contents": [{ "uri": uri, "mimeType": "application/yaml", "text": text }] }))
    }

    /// One item for each change of the object's health, those close together as one; it never ends by itself.
    ///
    /// # Errors
    /// One sentence: no address, no such kind or object, or one that the caller may not read.
    pub async fn changes(&self, caller: &Caller, uri: &str) -> Result<BoxStream<'static, ()>, String> {
        let (desk, resource, address) = self.find(caller, uri).await?;
        let Address { context: _, namespace, kind: _, name } = address;
        // What cannot be read now is refused now.
        desk.object(&resource, namespace.as_deref(), &name).await.map_err(sentence)?;
        Ok(watch::of_health(desk, resource, namespace, name))
    }

    /// Whether it looks like a URI of ours.
    pub fn is_address(uri: &str) -> bool {
        Address::parse(uri).is_ok()
    }

    async fn find(&self, caller: &Caller, uri: &str) -> Result<(Desk, Resource, Address), String> {
        let address = Address::parse(uri)?;
        let desk = self.0.desk(caller, address.context.as_deref()).await.map_err(sentence)?;
        let resource = desk.kind(&address.kind).await.map_err(sentence)?;
        Ok((desk, resource, address))
    }
}

fn sentence(answer: Answer) -> String {
    redact::text(&answer.text).into_owned()
}
