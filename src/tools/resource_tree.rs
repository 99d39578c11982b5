//! What an object hangs together with: owners and owned, what selects, exposes, uses and governs it.

mod draw;
mod grow;
mod read;
#[cfg(test)]
mod tests;
mod thing;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use self::{draw::draw, grow::grow};
use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, max_tokens, text},
    desk::Desk,
    owners::title,
};
use crate::{
    answer::{Answer, Budget},
    caller::Caller,
};

pub(super) struct ResourceTree(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    kind: String,
    name: String,
    namespace: Option<String>,
    max_tokens: Option<usize>,
}

impl Tool for ResourceTree {
    fn definition(&self) -> Value {
        Definition {
            name: "resource_tree",
            title: "Resource tree",
            description: "Use this to see what an object hangs together with, unhealthy first: owners and owned of any kind, Services with endpoints and what exposes them (Ingress, Route, HTTPRoute), ConfigMaps, Secrets, claims and ServiceAccount it uses (missing ones say so), and the HPA, PodDisruptionBudgets and NetworkPolicies that select it. For a ConfigMap, Secret or claim: who uses it.",
            properties: json!({
                "kind": text("kind, plural or short name"),
                "name": text("name of the object"),
                "namespace": text("its namespace"),
                "max_tokens": max_tokens(),
            }),
            required: &["kind", "name"],
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, _caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.show(arguments))
    }
}

impl ResourceTree {
    async fn show(&self, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request: _ } = arguments::parse(&self.definition(), raw)?;
        let Arguments { kind, name, namespace, max_tokens } = arguments;
        let budget = max_tokens.map_or(self.0.budget, Budget::of);
        let resource = self.0.kind(&kind).await?;
        if !resource.namespaced {
            return Err(Answer::error(format!(
                "resource_tree shows what hangs together inside a namespace, and a {} is in none: try list_resources with `fields` or `labels`",
                resource.kind
            )));
        }
        let object = self.0.parsed(&resource, namespace.as_deref(), &name).await?;
        let (world, unread) = read::world(&self.0, &resource, &object).await?;
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let owners = self.0.owners(&object).await;
        let mut notes: Vec<String> = Vec::new();
        // Owners without a namespace are not in it.
        if let Some(above) = owners.found.iter().rev().find(|owner| owner["metadata"]["namespace"].is_null())
        {
            notes.push(format!("owned by {}, which is in no namespace", title(above)));
        }
        notes.extend(owners.lost.map(|lost| format!("an owner is not to be seen: {lost}")));
        if !unread.is_empty() {
            notes.push(format!("not readable, so nothing of it is shown: {}", unread.join(", ")));
        }
        let place = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let notes: String =
            notes.iter().map(|note| format!("{}\n", super::list_resources::cell_text(note))).collect();
        let recorded =
            self.0.reader.recorded_at().map_or_else(String::new, |at| format!(", as recorded at {at:.0}"));
        let head = format!("In namespace {place}{recorded}:\n");
        let tree = grow(&world, uid).ok_or_else(|| {
            Answer::error(format!("{} has gone while it was looked at: ask again", title(&object)))
        })?;
        let bytes = budget.bytes().saturating_sub(head.len() + notes.len());
        Ok(Answer::text(format!("{head}{}{notes}", draw(&tree, bytes))))
    }
}
