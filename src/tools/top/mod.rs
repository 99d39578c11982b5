//! Who uses how much, against what was asked for and what is allowed: those near their limit first.
//!
//! Use is of this moment, and no two moments are alike: there are no pages, only the top and a count of the rest.

mod node;
mod pods;
mod share;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, flag, max_tokens, text},
    desk::{Desk, failed},
    list_resources::cell_text,
};
use crate::{
    answer::{Answer, Budget, Rank, Row, Selection},
    caller::{Caller, Need},
    cluster::{ListRequest, ReadError, Resource},
};

pub(super) struct Top(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    of: Option<Of>,
    namespace: Option<String>,
    labels: Option<String>,
    #[serde(default)]
    containers: bool,
    #[serde(default)]
    sort: Sort,
    max_tokens: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Of {
    Nodes,
    Pods,
}

/// What is at the top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    /// Nearest to a limit, else to twice the request.
    #[default]
    Share,
    Cpu,
    Memory,
}

impl Tool for Top {
    fn definition(&self) -> Value {
        Definition {
            name: "top",
            title: "Top",
            description: "Use this to see what nodes and pods use now against their requests and limits: near their memory limit first, then throttled, then by share. Nodes also show how much is requested on them. Needs metrics-server; for the past use query_metrics.",
            properties: json!({
                "of": { "type": "string", "enum": ["nodes", "pods"], "description": "both if absent and no namespace is given" },
                "namespace": text("of the pods; all if absent"),
                "labels": text("selector of the pods: app=web"),
                "containers": flag("one row a container"),
                "sort": { "type": "string", "enum": ["share", "cpu", "memory"], "description": "share of the limit (default), or the amount" },
                "max_tokens": max_tokens(),
            }),
            required: &[],
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn needs(&self) -> &'static [Need] {
        &[Need { verb: "list", group: "metrics.k8s.io", resource: "pods" }]
    }

    fn call<'a>(&'a self, _caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.top(arguments))
    }
}

const GROUP: &str = "metrics.k8s.io";

impl Top {
    async fn top(&self, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request: _ } = arguments::parse(&self.definition(), raw)?;
        let Arguments { of, namespace, labels, containers, sort, max_tokens } = arguments;
        let mut budget = max_tokens.map_or(self.0.budget, Budget::of);
        let of_pods = namespace.is_some() || labels.is_some() || containers;
        if of == Some(Of::Nodes) && of_pods {
            return Err(Answer::error(
                "`namespace`, `labels` and `containers` say which pods: leave them out, or ask with of=pods",
            ));
        }
        let mut answer = String::new();
        if of.map_or(!of_pods, |of| of == Of::Nodes) {
            let nodes = match self.nodes(sort, budget).await {
                Ok(nodes) => nodes,
                // Who sees pods and no nodes still gets the pods.
                Err(error) if of.is_none() && !missing_api(&error) => format!("Nodes: {}\n", error.text),
                Err(error) => return Err(error),
            };
            budget = budget.after(&nodes);
            answer.push_str(&nodes);
        }
        if of != Some(Of::Nodes) {
            if !answer.is_empty() {
                answer.push('\n');
            }
            answer.push_str(&self.pods(namespace, labels, containers, sort, budget).await?);
        }
        Ok(Answer::text(answer))
    }

    /// The kind of the metrics API.
    async fn metrics(&self, kind: &str) -> Result<Resource, Answer> {
        let kinds = self.0.reader.kinds().await.map_err(|error| failed(&error))?;
        kinds.of_kind(GROUP, kind).cloned().ok_or_else(|| {
            Answer::error(format!(
                "{NO_API}: install metrics-server, or ask query_metrics where it is listed"
            ))
        })
    }

    async fn nodes(&self, sort: Sort, budget: Budget) -> Result<String, Answer> {
        let metrics = self.metrics("NodeMetrics").await?;
        let nodes = self.0.kind("nodes").await?;
        let mut seen = node::Nodes::default();
        let all = ListRequest::default();
        self.0.reader.list(&nodes, &all, |node| seen.add(node)).await.map_err(|error| failed(&error))?;
        self.0.reader.list(&metrics, &all, |used| seen.add_use(used)).await.map_err(unavailable)?;
        let pods = self.0.kind("pods").await?;
        let pods = self.0.reader.list(&pods, &all, |pod| seen.add_pod(pod)).await;
        let note = match pods {
            Ok(_) => String::new(),
            Err(error) => {
                seen.forget_pods();
                format!("Requested and limits are not known: {error}\n")
            }
        };
        let (columns, rows) = seen.rows(sort);
        Ok(format!("{}{note}", table(columns, rows, budget.without(FOOTER_TOKENS), "node")))
    }

    async fn pods(
        &self,
        namespace: Option<String>,
        labels: Option<String>,
        containers: bool,
        sort: Sort,
        budget: Budget,
    ) -> Result<String, Answer> {
        let metrics = self.metrics("PodMetrics").await?;
        let pods = self.0.kind("pods").await?;
        let with_namespace = namespace.is_none();
        let request = ListRequest { namespace: namespace.clone(), labels, ..ListRequest::default() };
        let mut seen = pods::Uses::default();
        self.0.reader.list(&metrics, &request, |used| seen.add_use(used)).await.map_err(unavailable)?;
        self.0
            .reader
            .list(&pods, &request, |pod| seen.add(pod, containers))
            .await
            .map_err(|error| failed(&error))?;
        if seen.is_empty() {
            self.0.known_namespace(namespace.as_deref()).await?;
        }
        let silent = seen.silent();
        let (columns, rows) = seen.rows(sort, containers, with_namespace);
        let noun = if containers { "container" } else { "pod" };
        let mut text = table(columns, rows, budget.without(FOOTER_TOKENS), noun);
        if !silent.is_empty() {
            text.push_str(&format!("Running, but without values yet: {silent}\n"));
        }
        Ok(text)
    }
}

const NO_API: &str = "this cluster has no metrics API (metrics.k8s.io)";
/// Kept for what stands under a table.
const FOOTER_TOKENS: usize = 100;

fn missing_api(error: &Answer) -> bool {
    error.text.starts_with(NO_API)
}

/// The API may be there while nobody answers behind it.
fn unavailable(error: ReadError) -> Answer {
    match error {
        ReadError::Refused { status: 503, message } => Answer::error(format!(
            "the metrics API is registered but does not answer ({}): look at the pods of metrics-server in kube-system, and at its APIService v1beta1.metrics.k8s.io",
            message.trim()
        )),
        error => failed(&error),
    }
}

/// The top rows that fit, and what the others are.
fn table(columns: Vec<&'static str>, rows: Vec<Row>, budget: Budget, noun: &str) -> String {
    if rows.is_empty() {
        return format!("No {noun}s with values.\n");
    }
    let mut selection = Selection::new(None, budget);
    rows.into_iter().for_each(|row| selection.offer(row));
    let near = selection.count(Rank::Broken) + selection.count(Rank::Warning);
    let page = selection.page(columns, budget, cell_text);
    let mut text = page.table.unwrap_or_default();
    let near = if near > 0 { format!(", {near} near a limit") } else { String::new() };
    let count = crate::answer::counted(page.total, noun);
    if page.shown < page.total {
        text.push_str(&format!(
            "{count}{near}, the top {} shown: narrow with namespace or labels, or raise max_tokens\n",
            page.shown
        ));
    } else {
        text.push_str(&format!("{count}{near}\n"));
    }
    text
}

/// Rows by what is asked for, the largest first.
fn key(sort: Sort, worst: f64, cpu: f64, memory: f64, name: &str) -> String {
    let score = match sort {
        Sort::Share => worst * 1e6,
        Sort::Cpu => cpu * 1e6,
        Sort::Memory => memory,
    };
    // Keys sort upwards. Nothing measured is negative or near 2^53.
    let down = (1u64 << 53).saturating_sub(score.max(0.0) as u64);
    format!("{down:016} {name}")
}
