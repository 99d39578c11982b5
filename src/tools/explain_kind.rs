//! What a kind or one of its fields is: types, what is required, allowed and default, and its documentation.

mod field;
#[cfg(test)]
mod tests;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use self::field::{Field, Walked, about, fields, limits, walk};
use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, max_tokens, text},
    desk::{Desk, What, failed},
    list_resources::shortened,
    target::{nearest, nearest_words},
};
use crate::{
    answer::{Answer, Rank, Row, Selection},
    caller::Caller,
    cluster::{Kinds, ReadError, Resource, Schema},
};

pub(super) struct ExplainKind(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    kind: String,
    field: Option<String>,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

impl Tool for ExplainKind {
    fn definition(&self) -> Value {
        Definition {
            name: "explain_kind",
            title: "Explain kind",
            description: "Use this to learn which fields a kind of this cluster has, custom resources and aggregated APIs included: type, required, allowed values, default and documentation of the kind or of one field.",
            properties: json!({
                "kind": text("kind, plural or short name; a field may follow: deployment.spec.strategy"),
                "field": text("path: spec.template.spec.containers.resources"),
                "cursor": cursor(),
                "max_tokens": max_tokens(),
            }),
            required: &["kind"],
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.explain(caller, arguments))
    }
}

/// Of the field's own documentation, and of that of each field below it.
const ABOUT_CHARS: usize = 900;
const ROW_CHARS: usize = 130;
const LIMIT_CHARS: usize = 120;

impl ExplainKind {
    async fn explain(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request } = arguments::parse(&self.definition(), raw)?;
        let Arguments { kind, field, cursor, max_tokens } = arguments;
        let paging = self.0.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let kinds = self.0.reader.kinds().await.map_err(|error| failed(&error))?;
        let (resource, path) = asked(&kinds, &kind, field.as_deref())?;
        let schema = self.0.reader.schema(resource).await.map_err(|error| match error {
            ReadError::NotFound { message } => Answer::error(message),
            other => failed(&other),
        })?;
        let (node, kind) = match walk(&schema, &path) {
            Walked::Found { node, kind } => (node, kind),
            Walked::Missing { right, wrong, known, elsewhere } => {
                return Err(missing(resource, &right, &wrong, &known, &elsewhere));
            }
        };
        let mut text = String::new();
        if paging.place().is_none() {
            text = heading(resource, &path, &kind, &node);
        }
        let below = if path.is_empty() { of_kind(&schema, &node) } else { fields(&schema, &node) };
        if below.is_empty() {
            return Ok(Answer::text(text));
        }
        let budget = paging.budget().after(&text);
        let mut rows = Selection::new(paging.place(), budget);
        below.iter().enumerate().for_each(|(at, field)| rows.offer(row(at, field)));
        let page = rows.page(["FIELD", "TYPE", "LIMITS", "ABOUT"], budget, str::to_owned);
        text.push_str(&paging.text(page, &What::of("field", "fields", String::new()), "", ""));
        Ok(Answer::text(text))
    }
}

/// The kind and the path in it, which may stand in one word: `deployment.spec.strategy`.
fn asked<'a>(kinds: &'a Kinds, kind: &str, field: Option<&str>) -> Result<(&'a Resource, String), Answer> {
    let unresolved = match kinds.resolve(kind) {
        Ok(resource) => return Ok((resource, field.unwrap_or_default().trim_matches('.').to_owned())),
        Err(unresolved) => unresolved,
    };
    // The longest beginning that is a kind; a group has dots too.
    let dots: Vec<usize> = kind.match_indices('.').map(|(at, _)| at).collect();
    for at in dots.iter().rev() {
        if let Ok(resource) = kinds.resolve(&kind[..*at]) {
            let parts = [&kind[at + 1..], field.unwrap_or_default()];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            return Ok((resource, parts.join(".")));
        }
    }
    // Of what is no kind at all, the first word is most likely meant to be one.
    let first = dots.first().map(|at| kinds.resolve(&kind[..*at]));
    let error = first.and_then(Result::err).unwrap_or(unresolved);
    Err(Answer::error(error.to_string()))
}

fn missing(resource: &Resource, right: &str, wrong: &str, known: &[String], elsewhere: &[String]) -> Answer {
    let place = if right.is_empty() { String::new() } else { format!(" in `{right}`") };
    let near = nearest(wrong, known.iter().map(String::as_str));
    let mut hint = nearest_words(&near);
    if !elsewhere.is_empty() {
        let prefix = if right.is_empty() { String::new() } else { format!("{right}.") };
        let paths: Vec<String> = elsewhere.iter().map(|path| format!("`{prefix}{path}`")).collect();
        hint.push_str(&format!("; there is {}", paths.join(", ")));
    } else if near.is_empty() && known.is_empty() {
        hint = ": it has no documented fields".to_owned();
    } else if near.is_empty() {
        let first: Vec<&str> = known.iter().take(12).map(String::as_str).collect();
        let more = if known.len() > first.len() { "..." } else { "" };
        hint = format!(": it has {}{more}", first.join(", "));
    }
    Answer::error(format!("{} has no field `{wrong}`{place}{hint}", resource.kind))
}

fn heading(resource: &Resource, path: &str, kind: &str, node: &Value) -> String {
    let Resource { short_names, namespaced, .. } = resource;
    let mut text = format!("{} ({})", resource.kind, resource.api_version());
    if path.is_empty() {
        let place = if *namespaced { "namespaced" } else { "without namespace" };
        let short =
            if short_names.is_empty() { String::new() } else { format!(", short {}", short_names.join(",")) };
        text.push_str(&format!(", {place}{short}\n"));
    } else {
        text.push_str(&format!(", {path}: {kind}\n"));
    }
    let words = about(node);
    if !words.is_empty() {
        text.push_str(&format!("{}\n", shortened(&words, ABOUT_CHARS)));
    }
    for limit in limits(node) {
        text.push_str(&format!("  {}\n", shortened(&limit, ABOUT_CHARS)));
    }
    text
}

/// Of a whole kind what matters stands one level down: the fields of its spec.
fn of_kind(schema: &Schema, node: &Value) -> Vec<Field> {
    let mut all = Vec::new();
    for field in fields(schema, node) {
        match field.name.as_str() {
            "apiVersion" | "kind" | "metadata" => {}
            "spec" => {
                let Walked::Found { node, .. } = walk(schema, "spec") else { continue };
                let below = fields(schema, &node);
                if below.is_empty() {
                    all.push(field);
                }
                all.extend(
                    below.into_iter().map(|below| Field { name: format!("spec.{}", below.name), ..below }),
                );
            }
            _ => all.push(field),
        }
    }
    all
}

fn row(at: usize, field: &Field) -> Row {
    let Field { name, kind, required, limits, about } = field;
    let mut limits: Vec<String> = limits.clone();
    if *required {
        limits.insert(0, "required".to_owned());
    }
    Row {
        rank: Rank::Neutral,
        key: format!("{at:06}"),
        group: String::new(),
        cells: vec![
            name.clone(),
            kind.clone(),
            shortened(&limits.join("; "), LIMIT_CHARS),
            shortened(first_sentence(about), ROW_CHARS),
        ],
    }
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first)
}
