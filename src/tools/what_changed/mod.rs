//! What changed, when and by whom: put together from all that the cluster still knows of its past.

mod delivery;
mod entry;
mod events;
mod fields;
mod look;
mod object;
mod related;
mod revisions;
mod symptom;
mod timeline;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use self::{
    entry::{Span, Symptom, Thing},
    look::Looked,
    related::Related,
};
use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, max_tokens, text},
    desk::{Desk, What, in_namespace},
    kinds::age,
    list_resources::{cell_text, shortened},
    window::Window,
};
use crate::{
    answer::{Answer, Selection},
    caller::{Caller, Need},
};

pub(super) struct WhatChanged(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    window: Option<Window>,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

const DEFAULT_SECONDS: i64 = 3_600;
/// Symptoms that are told; the rest is counted.
const SYMPTOMS: usize = 5;
/// A difference is worth its length.
const CELL_CHARS: usize = 700;

impl Tool for WhatChanged {
    fn definition(&self) -> Value {
        Definition {
            name: "what_changed",
            title: "What changed",
            description: "Use this to learn what changed before something broke: a timeline of rollouts with the difference between their templates, config, scaling, creations, Helm releases, Argo CD and Flux syncs, node conditions and first warnings, with who wrote it. If something is unhealthy now, the changes nearest before it come first. With kind and name, only what bears on that object.",
            properties: json!({
                "namespace": text("all namespaces if absent"),
                "kind": text("of the object in question: Deployment"),
                "name": text("of the object in question"),
                "window": text("how far back: 30m, 6h, 2d; 1h if absent"),
                "cursor": cursor(),
                "max_tokens": max_tokens(),
            }),
            required: &[],
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn needs(&self) -> &'static [Need] {
        &[Need { verb: "list", group: "", resource: "pods" }]
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.tell(caller, arguments))
    }
}

impl WhatChanged {
    async fn tell(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request } = arguments::parse(&self.definition(), raw)?;
        let Arguments { namespace, kind, name, window, cursor, max_tokens } = arguments;
        let paging = self.0.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let now = paging.now();
        let seconds = window.as_ref().map_or(DEFAULT_SECONDS, |window| window.seconds);
        let from = now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::UNIX_EPOCH);
        let span = Span { from, to: now };
        let object = arguments::kind_and_name(kind, name)?;
        let related = match &object {
            None => None,
            Some((kind, name)) => Some(self.related(kind, namespace.as_deref(), name).await?),
        };
        self.0.known_namespace(namespace.as_deref()).await?;
        let Looked { entries, symptoms, notes } =
            look::look(&self.0, namespace.as_deref(), related, span).await?;
        let with_namespace = namespace.is_none();
        let head =
            if paging.place().is_some() { String::new() } else { head(&symptoms, span, with_namespace) };
        let foot = not_known(notes, span);
        let room = paging.budget().after(&head).after(&foot);
        let mut rows = Selection::new(paging.place(), room);
        timeline::rows(entries, &symptoms, now, with_namespace).into_iter().for_each(|row| rows.offer(row));
        let columns = ["TIME", "AGO", "BEFORE IT BECAME UNHEALTHY", "OBJECT", "BY", "WHAT"];
        let page = rows.page(columns, room, |cell| shortened(cell, CELL_CHARS));
        let of = object.map_or_else(String::new, |(kind, name)| format!(" that bear on {kind} {name}"));
        let place = in_namespace(namespace.as_deref());
        let since = window.as_ref().map_or("1h", Window::text);
        let where_ = format!("{of}{place} in the last {since}{}", paging.recorded());
        let body = paging.text(page, &What::of("change", "changes", where_), "routine", "");
        Ok(Answer::text(format!("{head}{body}{foot}")))
    }

    async fn related(&self, kind: &str, namespace: Option<&str>, name: &str) -> Result<Related, Answer> {
        let resource = self.0.kind(kind).await?;
        let raw = self.0.object(&resource, namespace, name).await?;
        let object: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        let namespace = namespace.filter(|_| resource.namespaced).unwrap_or_default();
        Ok(Related::of(Thing::new(&resource.kind, namespace, name), &object))
    }
}

fn head(symptoms: &[Symptom], span: Span, with_namespace: bool) -> String {
    if symptoms.is_empty() {
        return "Nothing is unhealthy now; newest changes first.\n".to_owned();
    }
    let mut head = "Unhealthy now:\n".to_owned();
    for Symptom { thing, since, why } in symptoms.iter().take(SYMPTOMS) {
        let ago = age(Some(*since), span.to);
        let thing = thing.words(with_namespace);
        head.push_str(&format!("  {thing} since {since:.0} ({ago} ago): {}\n", cell_text(why)));
    }
    let more = symptoms.len().saturating_sub(SYMPTOMS);
    if more > 0 {
        head.push_str(&format!("  and {more} more: cluster_overview\n"));
    }
    // What came before is then not in the window.
    if let Some(old) =
        symptoms.iter().filter(|symptom| symptom.since < span.from).min_by_key(|symptom| symptom.since)
    {
        let hours = (span.to.as_second() - old.since.as_second()) / 3_600 + 1;
        head.push_str(&format!(
            "{} was unhealthy before this window began: window={hours}h shows what came before it\n",
            old.thing.words(with_namespace)
        ));
    }
    head
}

/// What nobody can say, so that silence is not taken for peace.
fn not_known(mut notes: Vec<String>, span: Span) -> String {
    notes.push(
        "values before a change, except of pod templates; which of several fields a manager wrote last; what was deleted"
            .to_owned(),
    );
    if span.to.as_second() - span.from.as_second() > DEFAULT_SECONDS {
        notes.push("events and scalings older than about an hour".to_owned());
    }
    format!("Not known: {}\n", notes.join("; "))
}
