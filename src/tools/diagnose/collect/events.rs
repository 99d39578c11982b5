//! Events of what is in the picture, equal ones as one.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::Source;
use crate::tools::{
    diagnose::{
        finding::ObjectRef,
        picture::{EventFacts, Picture},
    },
    kinds::Event,
    list_events::stem,
};

/// Groups that are kept.
const MOST: usize = 2_000;
/// Each of these says that a pod has come one step further, and nothing else.
const STEPS: [&str; 7] =
    ["Scheduled", "Pulled", "Pulling", "Created", "Started", "SuccessfulCreate", "SuccessfulDelete"];

/// Newest first.
pub(super) async fn read(source: &Source<'_>, picture: &Picture) -> Vec<EventFacts> {
    let pods: HashSet<(&str, &str)> = picture
        .pods
        .iter()
        .filter_map(|pod| Some((pod.metadata.namespace.as_deref()?, pod.metadata.name.as_deref()?)))
        .collect();
    let mut groups: HashMap<[String; 5], EventFacts> = HashMap::new();
    source
        .each("", "Event", |event: Event| {
            if STEPS.contains(&event.reason.as_str()) {
                return;
            }
            let object = &event.involved_object;
            let is_kept = pods.contains(&(object.namespace.as_str(), object.name.as_str()));
            // Pods that are gone or are like those in the picture: one of them is enough.
            let who = if object.kind == "Pod" && !is_kept { stem("Pod", &object.name) } else { &object.name };
            let key = [
                object.kind.clone(),
                object.namespace.clone(),
                who.to_owned(),
                event.reason.clone(),
                event.message.replace(object.name.as_str(), ""),
            ];
            if groups.len() >= MOST && !groups.contains_key(&key) {
                return;
            }
            add(&mut groups, key, event);
        })
        .await;
    let mut events: Vec<EventFacts> = groups.into_values().collect();
    events.sort_by(|a, b| {
        let words = |event: &EventFacts| (event.object.clone(), event.reason.clone(), event.message.clone());
        b.last.cmp(&a.last).then_with(|| words(a).cmp(&words(b)))
    });
    events
}

fn add(groups: &mut HashMap<[String; 5], EventFacts>, key: [String; 5], event: Event) {
    let (is_warning, times) = (event.is_warning(), event.times());
    let last: Option<Timestamp> = event.last_seen();
    let object = event.involved_object;
    let group = groups.entry(key).or_insert_with(|| EventFacts {
        object: ObjectRef::new(&object.kind, &object.namespace, &object.name),
        uid: object.uid.clone(),
        is_warning,
        reason: event.reason,
        message: String::new(),
        count: 0,
        last: None,
    });
    group.count += times;
    if group.message.is_empty() || last > group.last {
        group.last = last;
        group.message = event.message;
        group.uid = object.uid;
        group.object.name = object.name;
    }
}
