//! Events, grouped by what they say about what, warnings first, newest first.

mod family;
mod groups;

pub(super) use family::{is_of, stem};

use std::collections::HashSet;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, flag, max_tokens, number, text},
    desk::{Desk, What, failed, in_namespace},
    kinds::Event,
    list_resources::cell_text,
    target::is_missing,
};
use crate::{
    answer::{Answer, Budget, Place, Selection, counted},
    caller::Caller,
    cluster::{ListRequest, ReadError},
};
use groups::{Groups, Id, id_of};

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
        answered(self.list(caller, arguments))
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
        let with_namespace = namespace.is_none();
        let filter = Filter { namespace, kind, name, and_made: true, warnings_only };
        let (mut groups, version) =
            read(&self.0, &filter, paging.version()).await.map_err(|error| failed(&error))?;
        if groups.are_of_nothing() {
            self.0.known_namespace(filter.namespace.as_deref()).await?;
            self.known_object(&filter).await?;
        }
        let now = paging.now();
        let oldest = since_minutes.map(|minutes| now.as_second() - i64::from(minutes) * 60);
        let view = View { oldest, now, with_namespace, budget: paging.budget() };
        let mut rows = view.rows(&groups, paging.place());
        let lacking = view.lacking(&mut rows, &groups);
        if !lacking.is_empty() {
            let again = Some(version.clone()).filter(|version| !version.is_empty());
            each(&self.0, &filter, again, |event| groups.add_words(event, &lacking))
                .await
                .map_err(|error| failed(&error))?;
            rows = view.rows(&groups, paging.place());
        }
        let mut columns = vec!["TYPE", "LAST", "COUNT", "OBJECT", "REASON", "MESSAGE"];
        if with_namespace {
            columns.insert(3, "NAMESPACE");
        }
        let page = rows.page(columns, paging.budget(), cell_text);
        let place = in_namespace(filter.namespace.as_deref());
        let what = What::of("group of events", "groups of events", format!("{place}{}", paging.recorded()));
        let text = paging.text(page, &what, "normal", &version);
        Ok(Answer::text(format!("{text}{}", further(groups.further()))))
    }
}

/// What there was no room for, even as a number.
fn further(events: usize) -> String {
    match events {
        0 => String::new(),
        events => format!(
            "{} more in further groups are left out, there are too many: narrow with namespace, kind and name\n",
            counted(events, "event")
        ),
    }
}

/// Which groups a page is of, and how their rows look.
struct View {
    /// In Unix seconds.
    oldest: Option<i64>,
    now: Timestamp,
    with_namespace: bool,
    budget: Budget,
}

impl View {
    fn rows(&self, groups: &Groups, place: Option<&Place>) -> Selection {
        let Self { oldest, now, with_namespace, budget } = *self;
        let namespaces = groups.namespaces();
        let mut rows = Selection::new(place, budget);
        groups
            .since(oldest)
            .filter_map(|id| groups.row(id, &namespaces, now, with_namespace))
            .for_each(|row| rows.offer(row));
        rows
    }

    /// The groups that may be shown and have no words.
    fn lacking(&self, rows: &mut Selection, groups: &Groups) -> HashSet<Id> {
        rows.showable(self.budget).filter_map(|row| id_of(row)).filter(|id| !groups.has_words(*id)).collect()
    }
}

impl ListEvents {
    /// That an object has no events says something only if there is one.
    async fn known_object(&self, filter: &Filter) -> Result<(), Answer> {
        let Filter { namespace, kind: Some(kind), name: Some(name), and_made: _, warnings_only: _ } = filter
        else {
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
    /// Without normal events.
    pub(super) warnings_only: bool,
}

impl Filter {
    /// The workload whose whole family is asked for.
    fn maker(&self) -> Option<(&str, &str)> {
        let Self { namespace: _, kind, name, and_made, warnings_only: _ } = self;
        let (kind, name) = kind.as_deref().zip(name.as_deref())?;
        (*and_made && family::is_maker(kind)).then_some((kind, name))
    }
}

/// Groups of what the filter lets through, and the version of the state they are of.
///
/// # Errors
/// See [`ReadError`].
pub(super) async fn read(
    desk: &Desk,
    filter: &Filter,
    at: Option<String>,
) -> Result<(Groups, String), ReadError> {
    let mut groups = Groups::new(filter.warnings_only);
    let version = each(desk, filter, at, |event| groups.add(event)).await?;
    Ok((groups, version))
}

/// Calls `one` with each event of what the filter names, warnings or not; the version of the state they are of.
async fn each(
    desk: &Desk,
    filter: &Filter,
    at: Option<String>,
    mut one: impl FnMut(Event) + Send,
) -> Result<String, ReadError> {
    let maker = filter.maker();
    let Filter { namespace, kind, name, and_made: _, warnings_only: _ } = filter;
    let kinds = desk.reader.kinds().await?;
    let Some(events) = kinds.of_kind("", "Event") else { return Ok(String::new()) };
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
    desk.reader
        .list(events, &request, |event| {
            let Ok(event) = serde_json::from_str::<Event>(event.get()) else { return };
            let object = &event.involved_object;
            if maker.is_none_or(|(kind, name)| family::is_of(kind, name, &object.kind, &object.name)) {
                one(event);
            }
        })
        .await
}
