//! The revisions of a workload, and what differs between two of them.

mod revision;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use self::revision::{Keeper, Revision};
use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, max_tokens, number, text},
    desk::{Desk, Paging, What, failed},
    difference::{Difference, difference},
    kinds::age,
    list_resources::cell_text,
};
use crate::{
    answer::{Answer, Rank, Row, Selection},
    caller::{Caller, Need},
    cluster::ListRequest,
};

pub(super) struct RolloutHistory(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    kind: String,
    name: String,
    namespace: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

impl Tool for RolloutHistory {
    fn definition(&self) -> Value {
        Definition {
            name: "rollout_history",
            title: "Rollout history",
            description: "Use this to see what a rollout changed: the revisions of a Deployment, StatefulSet, DaemonSet or DeploymentConfig with their images and change cause, and the field by field difference of the pod template between two of them (current and previous unless `from` and `to` say otherwise).",
            properties: json!({
                "kind": text("kind of the workload"),
                "name": text("name of the workload"),
                "namespace": text("its namespace"),
                "from": number("revision to compare from", 1),
                "to": number("revision to compare to", 1),
                "cursor": cursor(),
                "max_tokens": max_tokens(),
            }),
            required: &["kind", "name", "namespace"],
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn needs(&self) -> &'static [Need] {
        &[Need { verb: "list", group: "apps", resource: "replicasets" }]
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.tell(caller, arguments))
    }
}

impl RolloutHistory {
    async fn tell(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request } = arguments::parse(&self.definition(), raw)?;
        let Arguments { kind, name, namespace, from, to, cursor, max_tokens } = arguments;
        let paging = self.0.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let resource = self.0.kind(&kind).await?;
        let keeper = Keeper::of(&resource.group, &resource.kind).ok_or_else(|| {
            Answer::error(format!(
                "a {} has no revisions: give a Deployment, StatefulSet, DaemonSet or DeploymentConfig",
                resource.kind
            ))
        })?;
        let workload = self.0.parsed(&resource, namespace.as_deref(), &name).await?;
        let (revisions, version) = self.revisions(keeper, &workload, paging.version()).await?;
        let place = namespace.unwrap_or_default();
        let title = format!("{} {place}/{name}", resource.kind);
        if revisions.is_empty() {
            return Ok(Answer::text(format!("{title} has no revision yet.\n")));
        }
        let mut text = String::new();
        if paging.place().is_none() {
            text = compared(&revisions, from, to, &title, paging.budget().bytes() / 2)?;
        }
        let budget = paging.budget().after(&text);
        let mut rows = Selection::new(paging.place(), budget);
        revisions.iter().for_each(|revision| rows.offer(row(revision, &paging)));
        let page = rows.page(["REVISION", "MADE", "REPLICAS", "IMAGES", "CHANGE-CAUSE"], budget, cell_text);
        let what = What::of("revision", "revisions", format!(" of {title} kept{}", paging.recorded()));
        let table = paging.text(page, &what, "", &version);
        Ok(Answer::text(if text.is_empty() { table } else { format!("{table}\n{text}") }))
    }

    /// The newest first, and the version of the state they are of.
    async fn revisions(
        &self,
        keeper: Keeper,
        workload: &Value,
        at: Option<String>,
    ) -> Result<(Vec<Revision>, String), Answer> {
        let kinds = self.0.reader.kinds().await.map_err(|error| failed(&error))?;
        let (group, kind) = keeper.kind();
        let kept = kinds.of_kind(group, kind).ok_or_else(|| {
            Answer::error(format!("this cluster has no {kind}: it keeps no revisions of this workload"))
        })?;
        let namespace = workload["metadata"]["namespace"].as_str().map(str::to_owned);
        let request = ListRequest { namespace, labels: keeper.labels(workload), fields: None, at };
        let mut revisions = Vec::new();
        let each = |object: &RawValue| {
            let Ok(object) = serde_json::from_str::<Value>(object.get()) else { return };
            revisions.extend(keeper.revision(workload, &object));
        };
        let version = self.0.reader.list(kept, &request, each).await.map_err(|error| failed(&error))?;
        revisions.sort_by_key(|revision| std::cmp::Reverse(revision.number));
        keeper.mark_current(workload, &mut revisions);
        Ok((revisions, version))
    }
}

fn row(revision: &Revision, paging: &Paging<'_>) -> Row {
    let Revision { number, made, replicas, images, cause, is_current, template: _, name: _ } = revision;
    let current = if *is_current { " current" } else { "" };
    Row {
        rank: Rank::Neutral,
        key: format!("{:020}", u64::MAX - number),
        group: String::new(),
        cells: vec![
            format!("{number}{current}"),
            age(*made, paging.now()),
            replicas.clone(),
            images.join(","),
            cause.clone(),
        ],
    }
}

/// The difference between the two revisions that are meant, in about `bytes`.
///
/// # Errors
/// An error answer when one of them is not kept.
fn compared(
    revisions: &[Revision],
    from: Option<u64>,
    to: Option<u64>,
    title: &str,
    bytes: usize,
) -> Result<String, Answer> {
    let find = |wanted: u64| {
        revisions.iter().find(|revision| revision.number == wanted).ok_or_else(|| {
            let kept: Vec<String> = revisions.iter().map(|revision| revision.number.to_string()).collect();
            Answer::error(format!("{title} keeps no revision {wanted}: it has {}", kept.join(", ")))
        })
    };
    let current = revisions.iter().find(|revision| revision.is_current).or(revisions.first());
    let to = match to {
        Some(to) => Some(find(to)?),
        None => current,
    };
    let Some(to) = to else { return Ok(String::new()) };
    let from = match from {
        Some(from) => Some(find(from)?),
        None => revisions.iter().find(|revision| revision.number < to.number),
    };
    let Some(from) = from else {
        return Ok(format!("No revision before {} is kept: nothing to compare with.\n", to.number));
    };
    let changes = difference(&from.template, &to.template);
    let heading = format!("Pod template, revision {} -> {}:", from.number, to.number);
    Ok(listed(&heading, &changes, bytes))
}

/// Differences below a heading, as many as fit.
pub(super) fn listed(heading: &str, changes: &[Difference], bytes: usize) -> String {
    if changes.is_empty() {
        return format!("{heading} no difference\n");
    }
    let mut text = format!("{heading}\n");
    for (at, change) in changes.iter().enumerate() {
        let line = format!("  {}\n", cell_text(&change.words()));
        if text.len() + line.len() > bytes {
            text.push_str(&format!("  and {} more\n", changes.len() - at));
            break;
        }
        text.push_str(&line);
    }
    text
}
