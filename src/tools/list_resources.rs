//! Lists objects of any kind, unhealthy first.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, max_tokens, text},
    desk::{Desk, What, failed, in_namespace},
    kinds::{Endpoints, Facts, Health, Line, Pods, View},
};
use crate::{
    answer::{Answer, Rank, Row, Selection},
    caller::Caller,
    cluster::{ListRequest, ReadError, Resource},
    redact,
};

pub(super) struct ListResources(pub(super) Desk);

/// Of the record beside the text: counts, and the cursor once more.
const RECORD_TOKENS: usize = 130;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    kind: String,
    namespace: Option<String>,
    labels: Option<String>,
    fields: Option<String>,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

impl Tool for ListResources {
    fn definition(&self) -> Value {
        Definition {
            name: "list_resources",
            title: "List resources",
            description: "Use this to see which objects of a kind exist and which of them are unhealthy. Works for every kind the cluster knows, custom resources included. Unhealthy objects come first with the reason; many healthy ones are folded into counts, and the cursor lists them.",
            properties: json!({
                "kind": text("kind, plural or short name, with its group if ambiguous: pods, deploy, mcpservers.pilothouse.dev"),
                "namespace": text("all namespaces if absent"),
                "labels": text("label selector: app=web,tier!=db"),
                "fields": text("field selector: spec.nodeName=n1"),
                "cursor": cursor(),
                "max_tokens": max_tokens(),
            }),
            required: &["kind"],
            effect: Effect::Reads,
            output: Some(json!({
                "total": { "type": "integer" }, "broken": { "type": "integer" }, "warning": { "type": "integer" },
                "healthy": { "type": "integer" }, "cursor": { "type": "string" },
            })),
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.list(caller, arguments))
    }
}

impl ListResources {
    async fn list(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request } = arguments::parse(&self.definition(), raw)?;
        let Arguments { kind, namespace, labels, fields, cursor, max_tokens } = arguments;
        let desk = &self.0;
        let paging = desk.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let resource = desk.kind(&kind).await?;
        if !resource.can("list") {
            return Err(Answer::error(format!("objects of kind {} cannot be listed", resource.kind)));
        }
        let view = desk.view(&resource).await;
        let list = ListRequest { namespace: namespace.clone(), labels, fields, at: paging.version() };
        let facts = Facts::at(paging.now());
        let with_namespace = resource.namespaced && namespace.is_none();
        let budget = paging.budget().without(RECORD_TOKENS);
        let (rows, version) = rows(desk, &resource, &view, list, facts, paging.place(), budget)
            .await
            .map_err(|e| failed(&e))?;
        let mut columns = vec!["NAME".to_owned()];
        if with_namespace {
            columns.insert(0, "NAMESPACE".to_owned());
        }
        columns.extend(view.columns());
        columns.extend(["AGE".to_owned(), "WHY".to_owned()]);
        let total = rows.total();
        let mut record = json!({ "total": total });
        for (name, rank) in [("broken", Rank::Broken), ("warning", Rank::Warning), ("healthy", Rank::Healthy)]
        {
            record[name] = rows.count(rank).into();
        }
        let page = rows.page(columns.iter().map(String::as_str), budget, cell_text);
        let place = in_namespace(namespace.as_deref());
        if total == 0 {
            if resource.namespaced {
                desk.known_namespace(namespace.as_deref()).await?;
            }
            let text = format!("No {}{place}{}.", resource.id(), paging.recorded());
            return Ok(Answer::structured(text, record));
        }
        let what = What::objects(&resource, format!("{place}{}", paging.recorded()));
        let (text, cursor) = paging.text_and_cursor(page, &what, "healthy", &version);
        if let Some(cursor) = cursor {
            record["cursor"] = cursor.into();
        }
        Ok(Answer::structured(text, record))
    }
}

/// All objects as rows, and the version of the state they show.
async fn rows(
    desk: &Desk,
    resource: &Resource,
    view: &View,
    mut list: ListRequest,
    mut facts: Facts,
    after: Option<&crate::answer::Place>,
    budget: crate::answer::Budget,
) -> Result<(Selection, String), ReadError> {
    let with_namespace = resource.namespaced && list.namespace.is_none();
    if resource.id() == "services" {
        let (endpoints, version) = endpoints(desk, &list).await;
        facts.endpoints = endpoints;
        list.at = list.at.or(version);
    }
    let read = async |list: &ListRequest, facts: &Facts| {
        let mut rows = Selection::new(after, budget);
        let version = desk
            .reader
            .list(resource, list, |object| {
                let line = line(view, resource, object, facts);
                let line = line.unwrap_or_else(|error| unreadable(object, &error));
                rows.offer(row(line, with_namespace));
            })
            .await?;
        Ok((rows, version))
    };
    let (rows, version) = read(&list, &facts).await?;
    let is_well = rows.count(Rank::Broken) + rows.count(Rank::Warning) == 0;
    if is_well || !pods_explain(resource) {
        return Ok((rows, version));
    }
    // What is unhealthy is read again beside its pods, at one version: nothing is held that is not shown.
    list.at = Some(version);
    let request = ListRequest { labels: None, fields: None, ..list.clone() };
    facts.pods = pods(desk, &request, &facts).await;
    match facts.pods {
        Some(_) => read(&list, &facts).await,
        None => Ok((rows, list.at.unwrap_or_default())),
    }
}

/// One object as a row, with what its pods say.
///
/// # Errors
/// When the object is not what its kind promises.
pub(super) fn line(
    view: &View,
    resource: &Resource,
    object: &RawValue,
    facts: &Facts,
) -> Result<Line, serde_json::Error> {
    let mut line = view.line(object, facts)?;
    if let Some(pods) = &facts.pods {
        pods.explain(&resource.kind, &mut line);
    }
    Ok(line)
}

/// Whether the pods of an unhealthy object say why it is unhealthy.
pub(super) fn pods_explain(resource: &Resource) -> bool {
    const EXPLAINED: [&str; 8] = [
        "services",
        "deployments.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "replicasets.apps",
        "replicationcontrollers",
        "deploymentconfigs.apps.openshift.io",
        "jobs.batch",
    ];
    EXPLAINED.contains(&resource.id().as_str())
}

/// The pods of a list; `None` when they may not be read.
pub(super) async fn pods(desk: &Desk, request: &ListRequest, facts: &Facts) -> Option<Pods> {
    let resource = desk.kind("pods").await.ok()?;
    let mut pods = Pods::default();
    desk.reader.list(&resource, request, |pod| pods.add(pod, facts)).await.ok()?;
    Some(pods)
}

/// The endpoints behind Services, and the version of the state they are of, so that the Services are read at
/// the same. Without the right to read them Services are shown without.
pub(super) async fn endpoints(desk: &Desk, services: &ListRequest) -> (Option<Endpoints>, Option<String>) {
    let Ok(slices) = desk.kind("endpointslices.discovery.k8s.io").await else { return (None, None) };
    let request = ListRequest {
        namespace: services.namespace.clone(),
        at: services.at.clone(),
        ..ListRequest::default()
    };
    let mut endpoints = Endpoints::default();
    match desk.reader.list(&slices, &request, |slice| endpoints.add(slice)).await {
        Ok(version) => (Some(endpoints), Some(version)),
        Err(_) => (None, None),
    }
}

fn row(line: Line, with_namespace: bool) -> Row {
    let Line { namespace, name, health, cells, age } = line;
    let Health { rank, why } = health;
    let key = format!("{namespace}/{name}");
    let mut all = Vec::with_capacity(cells.len() + 4);
    if with_namespace {
        all.push(namespace.clone());
    }
    all.push(name);
    all.extend(cells);
    all.push(age);
    all.push(why);
    Row { rank, key, group: namespace, cells: all }
}

/// Longer cells cost much; of nested errors the outermost words and the innermost cause say most.
pub(super) const CELL_CHARS: usize = 260;

/// Text from the cluster as a cell: redacted, and cut in its middle when it is long.
pub(super) fn cell_text(cell: &str) -> String {
    shortened(cell, CELL_CHARS)
}

/// As [`cell_text`], in about `most` characters.
pub(super) fn shortened(cell: &str, most: usize) -> String {
    let shown = redact::shown(cell);
    let chars = shown.chars().count();
    if chars <= most {
        return shown;
    }
    // In little room the first words are worth more.
    let tail = if most < CELL_CHARS { most / 4 } else { most / 2 };
    let head: String = shown.chars().take(most - tail).collect();
    let tail: String = shown.chars().skip(chars - tail).collect();
    format!("{head} … {tail}")
}

/// An object that is not what its kind promises is shown as such, not dropped.
fn unreadable(object: &RawValue, error: &serde_json::Error) -> Line {
    let value: Value = serde_json::from_str(object.get()).unwrap_or_default();
    let meta = |key: &str| value["metadata"][key].as_str().unwrap_or_default().to_owned();
    Line {
        namespace: meta("namespace"),
        name: meta("name"),
        health: Health { rank: Rank::Neutral, why: format!("cannot be read as its kind: {error}") },
        cells: Vec::new(),
        age: String::new(),
    }
}
