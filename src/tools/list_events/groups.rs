//! Events put together into groups, in little room.
//!
//! Counts need all events, and nothing bounds how many there are. So of each group only numbers are held, under a
//! digest of what is equal in its events. The words of a group are those of its newest event; they are held for the
//! groups that come first, in [`WORDS_BYTES`]. A group only moves to the front while events arrive, so what stands
//! on a first page has its words. What a later page lacks is taken from a second reading of the same state
//! ([`Groups::add_words`]). A hundred thousand groups take less than 16 MB in all, see the test.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, LazyLock},
};

use jiff::Timestamp;
use regex::Regex;

use super::family::stem;
use crate::{
    answer::{Rank, Row},
    tools::{
        kinds::{Event, age},
        list_resources::{CELL_CHARS, cell_text, shortened},
    },
};

/// Groups of warnings, and again of normal events; events of further groups are only counted.
const MOST_GROUPS: usize = 100_000;
/// Objects that are told apart, of all groups together; past them a group may have more than it says.
const MOST_OBJECTS: usize = 200_000;
/// Words that are held; when there are more, half of them go, from the end of the order.
const WORDS_BYTES: usize = 2 << 20;
/// A longer message is held as it would be shown.
const MESSAGE_BYTES: usize = 4_096;

/// Names a group on all pages: a digest of what is equal in its events.
pub(super) type Id = u64;

/// Groups of events, as far as they have been read.
#[derive(Debug)]
pub(in crate::tools) struct Groups {
    warnings_only: bool,
    has_seen: bool,
    numbers: HashMap<Id, Numbers>,
    warnings: usize,
    objects: HashSet<u64>,
    namespaces: HashMap<Arc<str>, u32>,
    words: HashMap<Id, Words>,
    words_bytes: usize,
    most_words_bytes: usize,
    /// Events of groups that there was no room for.
    further: usize,
}

/// What every group costs: kept small.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    /// In Unix seconds; 0 if no event says when.
    last: i64,
    count: u32,
    objects: u32,
    namespace: u32,
    is_warning: bool,
    name: Beginning,
}

/// Of the name that the objects share, padded: groups of one time stand together by it.
type Beginning = [u8; 16];

/// Of the first event among the newest.
#[derive(Clone, Debug)]
struct Words {
    object: String,
    reason: String,
    message: String,
}

impl Words {
    fn bytes(&self) -> usize {
        let Self { object, reason, message } = self;
        size_of::<Self>() + object.len() + reason.len() + message.len()
    }
}

impl Groups {
    /// Of warnings alone, or of all events.
    pub(super) fn new(warnings_only: bool) -> Self {
        Self::within(warnings_only, WORDS_BYTES)
    }

    fn within(warnings_only: bool, most_words_bytes: usize) -> Self {
        Self {
            warnings_only,
            has_seen: false,
            numbers: HashMap::new(),
            warnings: 0,
            objects: HashSet::new(),
            namespaces: HashMap::new(),
            words: HashMap::new(),
            words_bytes: 0,
            most_words_bytes,
            further: 0,
        }
    }

    pub(super) fn add(&mut self, event: Event) {
        self.has_seen = true;
        let is_warning = event.is_warning();
        if self.warnings_only && !is_warning {
            return;
        }
        let id = id(&event);
        let known = self.numbers.get(&id).copied();
        let mut numbers = match known {
            Some(numbers) => numbers,
            None => {
                let normal = self.numbers.len() - self.warnings;
                if (if is_warning { self.warnings } else { normal }) >= MOST_GROUPS {
                    self.further += 1;
                    return;
                }
                self.warnings += usize::from(is_warning);
                let namespace = self.namespace(namespace(&event));
                let object = &event.involved_object;
                let name = beginning(stem(&object.kind, &object.name));
                Numbers { last: 0, count: 0, objects: 0, namespace, is_warning, name }
            }
        };
        numbers.count = numbers.count.saturating_add(event.times());
        let object = digest(&(id, &event.involved_object.name));
        if self.objects.len() < MOST_OBJECTS && self.objects.insert(object) {
            numbers.objects += 1;
        }
        let last = seconds(&event);
        let is_newest = known.is_none() || last > numbers.last;
        numbers.last = numbers.last.max(last);
        self.numbers.insert(id, numbers);
        if is_newest {
            self.hold(id, event);
            if self.words_bytes > self.most_words_bytes {
                self.let_words_go();
            }
        }
    }

    /// Takes the words of those of `wanted` that lack them, when this is the event that they are of. For a second
    /// reading of the same state.
    pub(super) fn add_words(&mut self, event: Event, wanted: &HashSet<Id>) {
        let id = id(&event);
        let is_newest = self.numbers.get(&id).is_some_and(|numbers| numbers.last == seconds(&event));
        if is_newest && wanted.contains(&id) && !self.words.contains_key(&id) {
            self.hold(id, event);
        }
    }

    fn hold(&mut self, id: Id, event: Event) {
        let object = format!("{}/{}", event.involved_object.kind, event.involved_object.name);
        let message = event.message;
        // Short enough not to be cut once more.
        let message =
            if message.len() > MESSAGE_BYTES { shortened(&message, CELL_CHARS - 3) } else { message };
        let words = Words { object, reason: event.reason, message };
        self.words_bytes += words.bytes();
        if let Some(old) = self.words.insert(id, words) {
            self.words_bytes -= old.bytes();
        }
    }

    fn let_words_go(&mut self) {
        let mut ids: Vec<Id> = self.words.keys().copied().collect();
        ids.sort_by_cached_key(|id| self.place(*id));
        while self.words_bytes > self.most_words_bytes / 2
            && let Some(last) = ids.pop()
        {
            self.words_bytes -= self.words.remove(&last).map_or(0, |words| words.bytes());
        }
        self.words.shrink_to_fit();
    }

    /// Warnings first, then the newest. Total, and as [`Groups::row`] has it.
    fn place(&self, id: Id) -> Option<(bool, Reverse<i64>, Beginning, Id)> {
        let Numbers { last, is_warning, name, .. } = self.numbers.get(&id)?;
        Some((!is_warning, Reverse(*last), *name, id))
    }

    fn namespace(&mut self, name: &str) -> u32 {
        if let Some(known) = self.namespaces.get(name) {
            return *known;
        }
        let next = u32::try_from(self.namespaces.len()).unwrap_or(u32::MAX);
        self.namespaces.insert(name.into(), next);
        next
    }

    /// The names of the namespaces, each at its number.
    pub(super) fn namespaces(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.namespaces.iter().map(|(name, at)| (*at, name.clone())).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    pub(in crate::tools) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there was no event at all, not even one that was left out.
    pub(super) fn are_of_nothing(&self) -> bool {
        !self.has_seen
    }

    /// Events that are in none of the groups, as there were too many.
    pub(super) fn further(&self) -> usize {
        self.further
    }

    /// All groups of which an event is not older than `oldest`, in Unix seconds.
    pub(super) fn since(&self, oldest: Option<i64>) -> impl Iterator<Item = Id> {
        self.numbers
            .iter()
            .filter(move |(_, numbers)| {
                oldest.is_none_or(|oldest| numbers.last > 0 && numbers.last >= oldest)
            })
            .map(|(id, _)| *id)
    }

    /// The newest groups, as far as their words are held.
    pub(in crate::tools) fn newest(&self, most: usize) -> Vec<Group> {
        let mut ids: Vec<Id> = self.words.keys().copied().collect();
        ids.sort_by_cached_key(|id| {
            self.place(*id).map(|(is_normal, last, name, id)| (last, is_normal, name, id))
        });
        let namespaces = self.namespaces();
        ids.into_iter().take(most).filter_map(|id| self.group(id, &namespaces)).collect()
    }

    fn group(&self, id: Id, namespaces: &[Arc<str>]) -> Option<Group> {
        let Numbers { last, count, objects, namespace, is_warning, name } = *self.numbers.get(&id)?;
        let Words { object, reason, message } = self.words.get(&id).cloned().unwrap_or_else(|| Words {
            object: format!("{}…", String::from_utf8_lossy(&name).trim_end()),
            reason: String::new(),
            message: String::new(),
        });
        let namespace = usize::try_from(namespace).ok().and_then(|at| namespaces.get(at));
        Some(Group {
            is_warning,
            last: Some(last).filter(|last| *last > 0).and_then(|last| Timestamp::from_second(last).ok()),
            count,
            namespace: namespace.map(|name| name.to_string()).unwrap_or_default(),
            object,
            objects,
            reason,
            message,
        })
    }

    /// The group as a row; without words it shows what is known.
    pub(super) fn row(
        &self,
        id: Id,
        namespaces: &[Arc<str>],
        now: Timestamp,
        with_namespace: bool,
    ) -> Option<Row> {
        let Numbers { last, name, .. } = self.numbers.get(&id)?;
        let group = self.group(id, namespaces)?;
        let (newest_first, name) = (i64::MAX - last, String::from_utf8_lossy(name));
        Some(Row {
            rank: if group.is_warning { Rank::Warning } else { Rank::Healthy },
            key: format!("{newest_first:020} {name} {id:016x}"),
            group: group.namespace.clone(),
            cells: group.cells(now, with_namespace),
        })
    }

    pub(super) fn has_words(&self, id: Id) -> bool {
        self.words.contains_key(&id)
    }
}

/// The group of a row, by the row's key.
pub(super) fn id_of(row: &Row) -> Option<Id> {
    Id::from_str_radix(row.key.rsplit(' ').next()?, 16).ok()
}

fn id(event: &Event) -> Id {
    let object = &event.involved_object;
    let said = said(&event.message, &object.name);
    digest(&(
        &event.kind,
        namespace(event),
        &object.kind,
        stem(&object.kind, &object.name),
        &event.reason,
        said,
    ))
}

/// Equal in every process, so that a page may be another one's next.
fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn namespace(event: &Event) -> &str {
    let of_object = &event.involved_object.namespace;
    if of_object.is_empty() { &event.metadata.namespace } else { of_object }
}

fn seconds(event: &Event) -> i64 {
    event.last_seen().map_or(0, Timestamp::as_second).max(0)
}

fn beginning(name: &str) -> Beginning {
    let mut beginning = [b' '; size_of::<Beginning>()];
    for (to, from) in beginning.iter_mut().zip(name.bytes()) {
        *to = if from.is_ascii_graphic() { from } else { b'?' };
    }
    beginning
}

/// A message without what differs from replica to replica and from time to time: names, ids, numbers.
fn said(message: &str, name: &str) -> String {
    static IDS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{12,}|[0-9]+").ok());
    let message = message.replace(name, "");
    IDS.as_ref().map_or_else(|| message.clone(), |ids| ids.replace_all(&message, "").into_owned())
}

/// Equal events about one object, or about the replicas of one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tools) struct Group {
    is_warning: bool,
    last: Option<Timestamp>,
    count: u32,
    namespace: String,
    object: String,
    objects: u32,
    reason: String,
    message: String,
}

impl Group {
    fn kind(&self) -> &'static str {
        if self.is_warning { "Warning" } else { "Normal" }
    }

    fn cells(self, now: Timestamp, with_namespace: bool) -> Vec<String> {
        let (kind, others) = (self.kind(), self.others());
        let Self { is_warning: _, last, count, namespace, object, objects: _, reason, message } = self;
        let mut cells = vec![
            kind.to_owned(),
            age(last, now),
            count.to_string(),
            format!("{object}{others}"),
            reason,
            message,
        ];
        if with_namespace {
            cells.insert(3, namespace);
        }
        cells
    }

    fn others(&self) -> String {
        if self.objects > 1 { format!(" and {} more", self.objects - 1) } else { String::new() }
    }

    /// One line that says of what.
    pub(in crate::tools) fn line_with_object(&self, now: Timestamp) -> String {
        let place = if self.namespace.is_empty() { String::new() } else { format!(" in {}", self.namespace) };
        cell_text(&format!("{}{}{place}: {}", self.object, self.others(), self.line(now)))
    }

    /// One line below an object.
    pub(in crate::tools) fn line(&self, now: Timestamp) -> String {
        let times = if self.count > 1 { format!(" x{}", self.count) } else { String::new() };
        let kind = self.kind();
        cell_text(&format!("{} ago{times} {kind} {}: {}", age(self.last, now), self.reason, self.message))
    }
}

#[cfg(test)]
mod tests;
