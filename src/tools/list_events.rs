//! Events, grouped by what they say about what, warnings first, newest first.

mod family;

pub(super) use family::{is_of, stem};

use std::{
    cmp::{Ordering, Reverse},
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::LazyLock,
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Tool,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, flag, max_tokens, number, text},
    desk::{Desk, What, failed},
    kinds::{Event, age},
    list_resources::cell_text,
    target::is_missing,
};
use crate::{
    answer::{Answer, Rank, Row, Selection},
    caller::Caller,
    cluster::{ListRequest, ReadError},
};

pub(super) struct ListEvents(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    #[serde(default)]
    warnings_only: bool,
    since_minutes: Option<u32>,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

impl Tool for ListEvents {
    fn definition(&self) -> Value {
        Definition {
            name: "list_events",
            title: "List events",
            description: "Use this to learn what the cluster itself reports: failed scheduling, pulls, probes, mounts, kills. For a workload, also of its pods. Equal events of the replicas of one workload are one row with a count; warnings first, newest first. The API server keeps events about an hour.",
            properties: json!({
                "namespace": text("all namespaces if absent"),
                "kind": text("of the object concerned: Pod"),
                "name": text("of the object concerned"),
                "warnings_only": flag("leave out normal events"),
                "since_minutes": number("only newer ones", 1),
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
        Box::pin(async move { self.list(caller, arguments).await.unwrap_or_else(|error| error) })
    }
}

impl ListEvents {
    async fn list(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request } = arguments::parse(&self.definition(), raw)?;
        let Arguments { namespace, kind, name, warnings_only, since_minutes, cursor, max_tokens } = arguments;
        let paging = self.0.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let kind = match kind {
            Some(kind) => Some(self.0.kind(&kind).await?.kind),
            None => None,
        };
        let filter = Filter { namespace: namespace.clone(), kind, name, and_made: true };
        let (groups, version) =
            read(&self.0, &filter, paging.version()).await.map_err(|error| failed(&error))?;
        let oldest = since_minutes.map(|minutes| paging.now().as_second() - i64::from(minutes) * 60);
        let mut rows = Selection::new(paging.place(), paging.budget());
        groups
            .iter()
            .filter(|group| !warnings_only || group.is_warning)
            .filter(|group| {
                oldest.is_none_or(|oldest| group.last.is_some_and(|last| last.as_second() >= oldest))
            })
            .for_each(|group| rows.offer(group.row(paging.now(), namespace.is_none())));
        let mut columns = vec!["TYPE", "LAST", "COUNT", "OBJECT", "REASON", "MESSAGE"];
        if namespace.is_none() {
            columns.insert(3, "NAMESPACE");
        }
        let page = rows.page(columns, paging.budget(), cell_text);
        let place = namespace.map_or_else(String::new, |namespace| format!(" in {namespace}"));
        if groups.is_empty() {
            self.0.known_namespace(filter.namespace.as_deref()).await?;
            self.known_object(&filter).await?;
        }
        let what = What::of("group of events", "groups of events", format!("{place}{}", paging.recorded()));
        Ok(Answer::text(paging.text(page, &what, "normal", &version)))
    }
}

impl ListEvents {
    /// That an object has no events says something only if there is one.
    async fn known_object(&self, filter: &Filter) -> Result<(), Answer> {
        let Filter { namespace, kind: Some(kind), name: Some(name), and_made: _ } = filter else {
            return Ok(());
        };
        let resource = self.0.kind(kind).await?;
        if resource.namespaced && namespace.is_none() {
            return Ok(());
        }
        match self.0.object(&resource, namespace.as_deref(), name).await {
            Err(missing) if is_missing(&missing) => Err(missing),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) namespace: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    /// With the events of what a workload of this kind and name has made: its replica sets, jobs and pods.
    pub(super) and_made: bool,
}

impl Filter {
    /// The workload whose whole family is asked for.
    fn maker(&self) -> Option<(&str, &str)> {
        let Self { namespace: _, kind, name, and_made } = self;
        let (kind, name) = kind.as_deref().zip(name.as_deref())?;
        (*and_made && family::is_maker(kind)).then_some((kind, name))
    }
}

/// Equal events about one object, or about the replicas of one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) is_warning: bool,
    pub(super) last: Option<Timestamp>,
    count: u32,
    namespace: String,
    object: String,
    objects: usize,
    reason: String,
    message: String,
}

/// Groups that the filter lets through, in their order, and the version of the state they are of.
///
/// # Errors
/// See [`ReadError`].
pub(super) async fn read(
    desk: &Desk,
    filter: &Filter,
    at: Option<String>,
) -> Result<(Vec<Group>, String), ReadError> {
    let maker = filter.maker();
    let Filter { namespace, kind, name, and_made: _ } = filter;
    let kinds = desk.reader.kinds().await?;
    let Some(events) = kinds.of_kind("", "Event") else { return Ok((Vec::new(), String::new())) };
    let fields: Vec<String> = [("involvedObject.kind", kind), ("involvedObject.name", name)]
        .iter()
        // The API server cannot ask for a family.
        .filter(|_| maker.is_none())
        .filter_map(|(field, value)| value.as_ref().map(|value| format!("{field}={value}")))
        .collect();
    let request = ListRequest {
        namespace: namespace.clone(),
        labels: None,
        fields: Some(fields.join(",")).filter(|fields| !fields.is_empty()),
        at,
    };
    let mut groups = Groups::default();
    let version = desk
        .reader
        .list(events, &request, |event| {
            let Ok(event) = serde_json::from_str::<Event>(event.get()) else { return };
            let object = &event.involved_object;
            if maker.is_none_or(|(kind, name)| family::is_of(kind, name, &object.kind, &object.name)) {
                groups.add(event);
            }
        })
        .await?;
    let mut groups: Vec<Group> = groups.0.into_values().map(|(group, _)| group).collect();
    groups.sort_by(Group::order);
    Ok((groups, version))
}

/// By what is equal in them; with the names of the objects.
#[derive(Default)]
struct Groups(HashMap<[String; 5], (Group, Vec<String>)>);

impl Groups {
    fn add(&mut self, event: Event) {
        let is_warning = event.is_warning();
        let (last, times) = (event.last_seen(), event.times());
        let object = event.involved_object;
        let namespace = if object.namespace.is_empty() { event.metadata.namespace } else { object.namespace };
        let stem = stem(&object.kind, &object.name);
        let said = said(&event.message, &object.name);
        let key = [
            event.kind.clone(),
            namespace.clone(),
            format!("{}/{stem}", object.kind),
            event.reason.clone(),
            said,
        ];
        let (group, names) = self.0.entry(key).or_insert_with(|| {
            let group = Group {
                is_warning,
                last: None,
                count: 0,
                namespace,
                object: String::new(),
                objects: 0,
                reason: event.reason,
                message: String::new(),
            };
            (group, Vec::new())
        });
        group.count += times;
        if group.message.is_empty() || last > group.last {
            group.last = last;
            group.message = event.message;
            group.object = format!("{}/{}", object.kind, object.name);
        }
        if !names.contains(&object.name) {
            names.push(object.name);
            group.objects = names.len();
        }
    }
}

/// A message without what differs from replica to replica and from time to time: names, ids, numbers.
fn said(message: &str, name: &str) -> String {
    static IDS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{12,}|[0-9]+").ok());
    let message = message.replace(name, "");
    IDS.as_ref().map_or_else(|| message.clone(), |ids| ids.replace_all(&message, "").into_owned())
}

impl Group {
    /// The newest first. Two calls on one state show one order: only equal groups are equal in it.
    fn order(a: &Self, b: &Self) -> Ordering {
        let key = |group: &Self| (Reverse(group.last), !group.is_warning);
        let words = |group: &Self| {
            let Self { reason, object, namespace, message, count, .. } = group;
            (reason.clone(), object.clone(), namespace.clone(), message.clone(), *count)
        };
        key(a).cmp(&key(b)).then_with(|| words(a).cmp(&words(b)))
    }

    fn kind(&self) -> &'static str {
        if self.is_warning { "Warning" } else { "Normal" }
    }

    fn row(&self, now: Timestamp, with_namespace: bool) -> Row {
        let Self { is_warning, last, count, namespace, object, objects, reason, message } = self;
        let others = if *objects > 1 { format!(" and {} more", objects - 1) } else { String::new() };
        let mut cells = vec![
            self.kind().to_owned(),
            age(*last, now),
            count.to_string(),
            format!("{object}{others}"),
            reason.clone(),
            message.clone(),
        ];
        if with_namespace {
            cells.insert(3, namespace.clone());
        }
        let newest_first = i64::MAX - last.map_or(0, Timestamp::as_second);
        Row {
            rank: if *is_warning { Rank::Warning } else { Rank::Healthy },
            key: format!("{newest_first:020} {namespace} {object} {:x}", self.digest()),
            group: namespace.clone(),
            cells,
        }
    }

    /// Tells groups of one object and time apart; a message is too long for a cursor.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.reason, &self.message, self.count).hash(&mut hasher);
        hasher.finish()
    }

    /// One line that says of what.
    pub(super) fn line_with_object(&self, now: Timestamp) -> String {
        let others = if self.objects > 1 { format!(" and {} more", self.objects - 1) } else { String::new() };
        let place = if self.namespace.is_empty() { String::new() } else { format!(" in {}", self.namespace) };
        cell_text(&format!("{}{others}{place}: {}", self.object, self.line(now)))
    }

    /// One line below an object.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let times = if self.count > 1 { format!(" x{}", self.count) } else { String::new() };
        let kind = self.kind();
        cell_text(&format!("{} ago{times} {kind} {}: {}", age(self.last, now), self.reason, self.message))
    }
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn equal_messages_of_replicas_are_equal() {
        let message = |name: &str, id: &str| {
            format!("Back-off 40s restarting failed container in pod {name}_shop({id})")
        };
        let a = message("cart-6c8d9f7b5c-x2x4z", "a4bd776c-2812-4b10-973c-6930e2e23d44");
        let b = message("cart-6c8d9f7b5c-bb24z", "2b4f4495-5f67-456e-86ec-3f430624648a");
        assert_eq!(said(&a, "cart-6c8d9f7b5c-x2x4z"), said(&b, "cart-6c8d9f7b5c-bb24z"));
        assert_ne!(said("Created container", "x"), said("Started container", "x"));
    }
}
