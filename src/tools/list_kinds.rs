//! Which kinds the cluster knows.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, max_tokens, text},
    desk::{Desk, What, failed},
};
use crate::{
    answer::{Answer, Rank, Row, Selection},
    caller::Caller,
    cluster::Resource,
};

pub(super) struct ListKinds(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    search: Option<String>,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

impl Tool for ListKinds {
    fn definition(&self) -> Value {
        Definition {
            name: "list_kinds",
            title: "List kinds",
            description: "Use this to find out which kinds of objects this cluster has, custom resources included, and by which names the other tools know them.",
            properties: json!({
                "search": text("part of a name, group or category: mcp, cert-manager.io"),
                "cursor": cursor(),
                "max_tokens": max_tokens(),
            }),
            required: &[],
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.list(caller, arguments))
    }
}

impl ListKinds {
    async fn list(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request } = arguments::parse(&self.definition(), raw)?;
        let Arguments { search, cursor, max_tokens } = arguments;
        let paging = self.0.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let kinds = self.0.reader.kinds().await.map_err(|error| failed(&error))?;
        let search = search.unwrap_or_default().to_lowercase();
        let mut rows = Selection::new(paging.place(), paging.budget());
        let (left_out, held): (Vec<&Resource>, Vec<&Resource>) = kinds
            .iter()
            .filter(|resource| resource.can("list") || resource.can("get"))
            .filter(|resource| is_found(resource, &search))
            .partition(|resource| self.0.reader.is_left_out(resource));
        held.into_iter().for_each(|resource| rows.offer(row(resource)));
        let with = if search.is_empty() { String::new() } else { format!(" with `{search}`") };
        let what = What::of("kind", "kinds", with);
        let mut text = String::new();
        if !left_out.is_empty() && paging.place().is_none() {
            let ids: Vec<String> = left_out.into_iter().map(Resource::id).collect();
            text = format!("Left out of this recording: {}\n", ids.join(", "));
        }
        let budget = paging.budget().after(&text);
        let page = rows.page(["NAME", "KIND", "SHORT", "NAMESPACED", "VERSION"], budget, str::to_owned);
        text.push_str(&paging.text(page, &what, "", ""));
        Ok(Answer::text(text))
    }
}

fn is_found(resource: &Resource, search: &str) -> bool {
    resource.id().contains(search)
        || resource.kind.to_lowercase().contains(search)
        || resource.short_names.iter().chain(&resource.categories).any(|name| name == search)
}

fn row(resource: &Resource) -> Row {
    let id = resource.id();
    Row {
        rank: Rank::Neutral,
        // The core group first.
        key: format!("{} {} {}", !resource.group.is_empty(), resource.group, resource.plural),
        group: String::new(),
        cells: vec![
            id,
            resource.kind.clone(),
            resource.short_names.join(","),
            if resource.namespaced { "yes" } else { "no" }.to_owned(),
            resource.version.clone(),
        ],
    }
}
