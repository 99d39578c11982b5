//! What an object hangs together with: owners and owned, what selects, exposes, uses and governs it.

mod draw;
mod grow;
mod read;
mod shown;
#[cfg(test)]
mod tests;
mod thing;

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use serde_json::{Value, value::RawValue};

use self::{
    draw::{Drawing, Page, draw},
    grow::grow,
    read::{Read, Wanted},
    shown::Shown,
};
use super::{
    Tool, answered,
    definition::{Definition, Effect},
    desk::{Desk, Paging},
    one_object::{self, Asked},
    owners::{Owners, title},
};
use crate::{
    answer::{Answer, Place},
    caller::Caller,
};

pub(super) struct ResourceTree(pub(super) Desk);

impl Tool for ResourceTree {
    fn definition(&self) -> Value {
        Definition {
            name: "resource_tree",
            title: "Resource tree",
            description: "Use this to see what an object hangs together with, unhealthy first: owners and owned of any kind, Services with endpoints and what exposes them (Ingress, Route, HTTPRoute), ConfigMaps, Secrets, claims and ServiceAccount it uses (missing ones say so), and the HPA, PodDisruptionBudgets and NetworkPolicies that select it. For a ConfigMap, Secret or claim: who uses it.",
            properties: one_object::properties("its namespace"),
            required: one_object::REQUIRED,
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.show(caller, arguments))
    }
}

impl ResourceTree {
    async fn show(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let asked = self.0.asked(&self.definition(), caller, raw).await?;
        let Asked { paging, resource, name, namespace } = asked;
        if !resource.namespaced {
            return Err(Answer::error(format!(
                "resource_tree shows what hangs together inside a namespace, and a {} is in none: try list_resources with `fields` or `labels`",
                resource.kind
            )));
        }
        let (from, before) = continued(&paging)?;
        let object = self.0.parsed(&resource, namespace.as_deref(), &name).await?;
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let namespace = object["metadata"]["namespace"].as_str();
        let owners = self.0.owners(&object).await;
        let made_it =
            owners.found.iter().filter(|owner| owner["metadata"]["namespace"].as_str() == namespace);
        let shown: Vec<&Value> = std::iter::once(&object).chain(made_it).collect();
        let pinned = before.as_ref().map(|before| before.versions.clone()).unwrap_or_default();
        let wanted = Wanted { namespace, shown: &shown, versions: &pinned, now: paging.now() };
        let Read { world, unread, versions } = read::world(&self.0, wanted).await?;
        let versions = if before.is_some() { pinned } else { versions };
        let tree = grow(&world, uid).ok_or_else(|| {
            Answer::error(format!("{} has gone while it was looked at: ask again", title(&object)))
        })?;
        let recorded =
            self.0.reader.recorded_at().map_or_else(String::new, |at| format!(", as recorded at {at:.0}"));
        let head = format!("In namespace {}{recorded}:\n", namespace.unwrap_or_default());
        let notes = match before {
            None => notes(&owners, &unread),
            Some(_) => String::new(),
        };
        let bytes = paging.budget().bytes().saturating_sub(head.len() + notes.len());
        let drawing = draw(&tree, before.as_ref().map(|before| before.named), bytes);
        if before.is_some_and(|before| before.digest != drawing.digest(from)) {
            return Err(Answer::error(format!(
                "what hangs together with {} has changed since the last page: call again without `cursor`",
                title(&object)
            )));
        }
        let page = drawing.page(from, bytes);
        let footer = footer(&page, &drawing, versions, &paging);
        Ok(Answer::text(format!("{head}{}{notes}{footer}", page.text)))
    }
}

/// The line that the page begins with, and what those before it have shown; nothing for the first page.
fn continued(paging: &Paging<'_>) -> Result<(usize, Option<Shown>), Answer> {
    match (paging.place(), paging.version().as_deref().and_then(Shown::parse)) {
        (None, _) => Ok((0, None)),
        (Some(Place::Item(from)), Some(shown)) => Ok((*from, Some(shown))),
        (Some(_), _) => {
            Err(Answer::error("the cursor is not one of resource_tree: call again without `cursor`"))
        }
    }
}

/// What stands under the first page: what could not be shown.
fn notes(owners: &Owners, unread: &[String]) -> String {
    let Owners { found, lost } = owners;
    let mut notes: Vec<String> = Vec::new();
    // Owners without a namespace are not in it.
    if let Some(above) = found.iter().rev().find(|owner| owner["metadata"]["namespace"].is_null()) {
        notes.push(format!("owned by {}, which is in no namespace", title(above)));
    }
    notes.extend(lost.iter().map(|lost| format!("an owner is not to be seen: {lost}")));
    if !unread.is_empty() {
        notes.push(format!("not readable, so nothing of it is shown: {}", unread.join(", ")));
    }
    notes.iter().map(|note| format!("{}\n", super::list_resources::cell_text(note))).collect()
}

/// How much of the tree the page shows; nothing when that is all of it.
fn footer(page: &Page, drawing: &Drawing, versions: BTreeMap<String, String>, paging: &Paging<'_>) -> String {
    let Page { text: _, before, shown, total, next } = page;
    let rows = match shown {
        0 => "none".to_owned(),
        shown => format!("{}-{}", before + 1, before + shown),
    };
    match next {
        Some(next) => {
            let shown = Shown { named: drawing.named, digest: drawing.digest(*next), versions };
            format!("{total} objects, shown {rows}. {}", paging.next(&shown.text(), Place::Item(*next)))
        }
        None if *before > 0 => format!("{total} objects, shown {rows}, the end\n"),
        None => String::new(),
    }
}
