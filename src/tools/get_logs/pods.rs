//! Whose logs: from a pod, a workload or labels to pods, the unhealthy ones first.

use std::collections::BTreeMap;

use serde_json::{Map, Value, value::RawValue};

use super::super::{
    desk::{Desk, failed},
    kinds::{Facts, Meta, Pod, Shape},
};
use crate::{
    answer::{Answer, Rank},
    cluster::{ListRequest, Resource},
};

/// Who wrote the lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    Pod(String),
    Workload { kind: String, name: String },
    Labels(String),
}

impl Writer {
    /// # Errors
    /// One sentence when nothing or too much is named.
    pub(super) fn named(
        name: Option<String>,
        kind: Option<String>,
        labels: Option<String>,
    ) -> Result<Self, String> {
        match (name, kind, labels) {
            (Some(_), _, Some(_)) => Err("give either `name` or `labels` to get_logs, not both".to_owned()),
            (None, _, None) => {
                Err("get_logs needs `name` (a pod, or a workload with `kind`) or `labels`".to_owned())
            }
            (None, _, Some(labels)) => Ok(Self::Labels(labels)),
            (Some(name), Some(kind), None) => Ok(Self::Workload { kind, name }),
            // As kubectl takes it.
            (Some(name), None, None) => Ok(match name.split_once('/') {
                Some((kind, name)) => Self::Workload { kind: kind.to_owned(), name: name.to_owned() },
                None => Self::Pod(name),
            }),
        }
    }
}

/// Pods of one answer, the unhealthy first; more would leave each too little room.
const MOST: usize = 20;
/// Of one owner: a CronJob keeps its last few Jobs.
const MADE: usize = 10;
/// What makes pods, and what an object without a selector may have made: each by its own selector.
const MAKERS: [&str; 6] = [
    "jobs.batch",
    "statefulsets.apps",
    "deployments.apps",
    "daemonsets.apps",
    "replicasets.apps",
    "replicationcontrollers",
];

/// Some pods of possibly many.
#[derive(Debug, Default)]
pub(super) struct Pods {
    found: BTreeMap<(Rank, String), Pod>,
    /// Pods that are not held.
    pub(super) left_out: usize,
}

impl Pods {
    fn add(&mut self, pod: Pod, facts: &Facts) {
        self.found.insert((pod.health(facts).rank, pod.metadata.name.clone()), pod);
        if self.found.len() > MOST {
            self.found.pop_last();
            self.left_out += 1;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pod> {
        self.found.values()
    }
}

/// The pods that wrote the lines; `wants` says which of many.
///
/// # Errors
/// An error answer when there is none.
pub(super) async fn find(
    desk: &Desk,
    namespace: &str,
    writer: Writer,
    facts: &Facts,
    wants: impl Fn(&Pod) -> bool + Send + Sync,
) -> Result<Pods, Answer> {
    let resource = desk.kind("pods").await?;
    let (kind, name) = match writer {
        Writer::Labels(labels) => {
            let mut pods = Pods::default();
            list(desk, &resource, namespace, Some(&labels), |pod| {
                if wants(&pod) {
                    pods.add(pod, facts);
                }
            })
            .await?;
            return some(desk, namespace, pods, &format!("has the labels {labels}")).await;
        }
        Writer::Workload { kind, name } => (desk.kind(&kind).await?, name),
        Writer::Pod(name) => (resource.clone(), name),
    };
    let object = desk.object(&kind, Some(namespace), &name).await?;
    let mut pods = Pods::default();
    if kind.id() == "pods" {
        let pod = serde_json::from_str(object.get())
            .map_err(|error| Answer::error(format!("pod {name} came garbled: {error}")))?;
        pods.add(pod, facts);
        return Ok(pods);
    }
    let selectors = match selector(&object) {
        Some(selector) => vec![selector],
        None => {
            list(desk, &resource, namespace, None, |pod| {
                if is_owned(&pod.metadata, &kind, &name) && wants(&pod) {
                    pods.add(pod, facts);
                }
            })
            .await?;
            made(desk, namespace, &kind, &name).await?
        }
    };
    for selector in &selectors {
        list(desk, &resource, namespace, Some(selector), |pod| {
            if wants(&pod) {
                pods.add(pod, facts);
            }
        })
        .await?;
    }
    let whose = match selectors.as_slice() {
        [selector] => format!("has the labels {selector} of {} {name}", kind.kind),
        _ => format!("belongs to {} {name}", kind.kind),
    };
    some(desk, namespace, pods, &whose).await
}

async fn some(desk: &Desk, namespace: &str, pods: Pods, whose: &str) -> Result<Pods, Answer> {
    if pods.found.is_empty() {
        desk.known_namespace(Some(namespace)).await?;
        let sentence = format!("no pod in namespace {namespace} {whose}: there is nothing to read");
        return Err(Answer::error(sentence));
    }
    Ok(pods)
}

async fn list(
    desk: &Desk,
    pods: &Resource,
    namespace: &str,
    labels: Option<&str>,
    mut each: impl FnMut(Pod) + Send,
) -> Result<(), Answer> {
    let request = ListRequest {
        namespace: Some(namespace.to_owned()),
        labels: labels.map(str::to_owned),
        ..ListRequest::default()
    };
    let listed = desk.reader.list(pods, &request, |pod| {
        if let Ok(pod) = serde_json::from_str(pod.get()) {
            each(pod);
        }
    });
    listed.await.map(drop).map_err(|error| failed(&error))
}

/// Selectors of what this object has made, the newest first.
async fn made(desk: &Desk, namespace: &str, owner: &Resource, name: &str) -> Result<Vec<String>, Answer> {
    #[derive(serde::Deserialize)]
    struct Made {
        metadata: Meta,
    }
    let kinds = desk.reader.kinds().await.map_err(|error| failed(&error))?;
    let request = ListRequest { namespace: Some(namespace.to_owned()), ..ListRequest::default() };
    let mut found = Vec::new();
    for maker in kinds.iter().filter(|kind| MAKERS.contains(&kind.id().as_str())) {
        let listed = desk.reader.list(maker, &request, |object| {
            let owned = serde_json::from_str::<Made>(object.get()).ok();
            let owned = owned.filter(|Made { metadata }| is_owned(metadata, owner, name));
            if let Some((Made { metadata }, selector)) = owned.zip(selector(object)) {
                found.push((metadata.creation_timestamp, selector));
            }
        });
        // Who may not see the makers may see pods.
        if let Err(error) = listed.await {
            tracing::debug!(%error, kind = maker.id(), "what an owner has made is not fully known");
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    Ok(found.into_iter().take(MADE).map(|(_, selector)| selector).collect())
}

fn is_owned(metadata: &Meta, owner: &Resource, name: &str) -> bool {
    metadata.owner_references.iter().any(|known| known.kind == owner.kind && known.name == name)
}

/// The pods of a workload or Service as a label selector.
pub(in crate::tools) fn selector(object: &RawValue) -> Option<String> {
    let object: Value = serde_json::from_str(object.get()).ok()?;
    let selector = object["spec"].get("selector")?.as_object()?;
    let equal = |labels: &Map<String, Value>| -> Vec<String> {
        labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect()
    };
    let nested = selector.contains_key("matchLabels") || selector.contains_key("matchExpressions");
    let mut terms = match selector.get("matchLabels").and_then(Value::as_object) {
        Some(labels) => equal(labels),
        None if nested => Vec::new(),
        None => equal(selector),
    };
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let key = expression["key"].as_str()?;
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    Some(terms.join(",")).filter(|terms| !terms.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{json, value::to_raw_value};

    use super::{Writer, selector};

    #[test]
    fn selectors_of_workloads_and_services() {
        for (spec, expected) in [
            (json!({ "selector": { "matchLabels": { "app": "web" } } }), Some("app=web")),
            (json!({ "selector": { "app": "web", "tier": "x" } }), Some("app=web,tier=x")),
            (
                json!({ "selector": { "matchExpressions": [
                    { "key": "a", "operator": "In", "values": ["b", "c"] },
                    { "key": "d", "operator": "DoesNotExist" } ] } }),
                Some("a in (b,c),!d"),
            ),
            (json!({ "schedule": "* * * * *" }), None),
        ] {
            let object = to_raw_value(&json!({ "spec": spec })).unwrap();
            assert_eq!(selector(&object).as_deref(), expected);
        }
    }

    #[test]
    fn a_workload_is_named_in_one_word_or_in_two() {
        let named = |name: Option<&str>, kind: Option<&str>, labels: Option<&str>| {
            Writer::named(name.map(Into::into), kind.map(Into::into), labels.map(Into::into))
        };
        let web = Writer::Workload { kind: "deploy".into(), name: "web".into() };
        assert_eq!(named(Some("deploy/web"), None, None), Ok(web.clone()));
        assert_eq!(named(Some("web"), Some("deploy"), None), Ok(web));
        assert_eq!(named(Some("web-1"), None, None), Ok(Writer::Pod("web-1".into())));
        assert!(named(None, Some("deploy"), None).is_err());
        assert!(named(Some("web"), None, Some("app=web")).is_err());
    }
}
