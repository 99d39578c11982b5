//! What of the catalogue one caller sees. Pure.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{json, value::RawValue};

use super::access::Sight;
use crate::{
    caller::Caller,
    gateway::{
        Catalogue, Entry, Kind, Route,
        wire::{
            Raw,
            text::{raw, string},
        },
    },
    tools::{CALL, SEARCH},
};

/// Entries of one answer to a list request.
const PAGE: usize = 1_000;
/// Opens a cursor, so that a foreign one is seen.
const CURSOR: &str = "after:";

/// The catalogue of one moment as one caller sees it.
#[derive(Clone, Debug)]
pub(super) struct View {
    catalogue: Arc<Catalogue>,
    sight: Sight,
    caller: Caller,
}

/// How long a list of tools may be. A brief one has our own tools, and those by which the others are found and called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Whole,
    /// Whole up to so many tools, otherwise brief.
    UpTo(usize),
    Brief,
}

/// When the entries of servers that do not answer now were listed, by server.
const STALE: &str = "pilothouse.dev/stale";

/// Whether it is one of the tools by which those are found that a brief list leaves out.
fn is_of_search(entry: &Entry) -> bool {
    entry.kind == Kind::Tool && entry.route == Route::Own && matches!(entry.name.as_str(), SEARCH | CALL)
}

/// Changes when the entries of that kind change for this caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) tools: Tools,
    pub(super) prompts: u64,
    pub(super) resources: u64,
}

/// The same for each length that a list of tools may have: how long a client wants its own may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tools {
    whole: u64,
    /// Nothing where no list is ever brief.
    brief: Option<u64>,
    count: usize,
}

impl Tools {
    /// Of a list of that length.
    pub(super) fn listed(&self, length: Length) -> u64 {
        let is_brief = match length {
            Length::Whole => false,
            Length::UpTo(most) => self.count > most,
            Length::Brief => true,
        };
        self.brief.filter(|_| is_brief).unwrap_or(self.whole)
    }
}

/// The cursor is none of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForeignCursor;

impl View {
    pub(super) fn of(catalogue: Arc<Catalogue>, sight: Sight, caller: &Caller) -> Self {
        Self { catalogue, sight, caller: caller.clone() }
    }

    /// By the cluster's access rules and by what the entry's own server says.
    pub(super) fn shows(&self, entry: &Entry) -> bool {
        // What is found and called by way of the search is looked at itself.
        is_of_search(entry) || entry.admits(&self.caller) && self.sight.shows(entry)
    }

    fn is_brief(&self, kind: Kind, length: Length) -> bool {
        kind == Kind::Tool
            && match length {
                Length::Whole => false,
                Length::Brief => {
                    self.catalogue.find(Kind::Tool, SEARCH).is_some_and(|entry| is_of_search(entry))
                }
                Length::UpTo(most) => self.is_brief(kind, Length::Brief) && self.tools().nth(most).is_some(),
            }
    }

    /// All tools but those of the search.
    pub(super) fn tools(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries(Kind::Tool).filter(|entry| !is_of_search(entry))
    }

    /// What stands in a list.
    fn listed(&self, kind: Kind, length: Length) -> impl Iterator<Item = &Arc<Entry>> {
        let is_brief = self.is_brief(kind, length);
        self.entries(kind)
            .filter(move |entry| if is_brief { entry.route == Route::Own } else { !is_of_search(entry) })
    }

    fn entries(&self, kind: Kind) -> impl Iterator<Item = &Arc<Entry>> {
        self.catalogue.of_kind(kind).filter(|entry| self.shows(entry))
    }

    pub(super) fn find(&self, kind: Kind, name: &str) -> Option<&Entry> {
        self.catalogue.find(kind, name).map(AsRef::as_ref).filter(|entry| self.shows(entry))
    }

    /// Up to three names of that kind that look like `name`.
    pub(super) fn nearest(&self, kind: Kind, name: &str) -> Vec<&str> {
        let names: Vec<&str> = self.listed(kind, Length::Whole).map(|entry| entry.name.as_str()).collect();
        similar::get_close_matches(name, &names, 3, 0.6)
    }

    /// One page of a list as the members of its result: the entries, and where the next page begins.
    ///
    /// # Errors
    /// When the cursor is not one that an earlier page gave.
    pub(super) fn page(
        &self,
        kind: Kind,
        cursor: Option<&str>,
        length: Length,
    ) -> Result<Raw, ForeignCursor> {
        let after = match cursor {
            None | Some("") => None,
            Some(cursor) => Some(decoded(cursor)?),
        };
        let rest = |entry: &&Arc<Entry>| after.as_ref().is_none_or(|after| entry.name > *after);
        let mut entries = self.listed(kind, length).filter(rest).peekable();
        let mut stale = BTreeMap::new();
        let mut text = format!(r#"{{"{}":["#, member(kind));
        let mut last = None;
        for entry in entries.by_ref().take(PAGE) {
            if last.replace(&entry.name).is_some() {
                text.push(',');
            }
            text.push_str(entry.raw.get());
            if let Route::Downstream { server, .. } = &entry.route
                && let Some(listed) = self.catalogue.stale(server)
            {
                stale.insert(server, listed);
            }
        }
        text.push(']');
        if let (Some(last), Some(_)) = (last, entries.peek()) {
            text.push_str(r#","nextCursor":"#);
            text.push_str(string(&BASE64_URL_SAFE_NO_PAD.encode(format!("{CURSOR}{last}"))).get());
        }
        if !stale.is_empty() {
            let stale: BTreeMap<String, _> =
                stale.into_iter().map(|(server, listed)| (server.to_string(), listed)).collect();
            text.push_str(r#","_meta":"#);
            text.push_str(raw(&json!({ STALE: stale })).get());
        }
        text.push('}');
        Ok(RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let of = |kinds: &[Kind], length: Length| {
            let mut hasher = DefaultHasher::new();
            for kind in kinds {
                for entry in self.listed(*kind, length) {
                    (&entry.name, &entry.hash).hash(&mut hasher);
                }
            }
            hasher.finish()
        };
        let brief = self.is_brief(Kind::Tool, Length::Brief).then(|| of(&[Kind::Tool], Length::Brief));
        let tools = Tools { whole: of(&[Kind::Tool], Length::Whole), brief, count: self.tools().count() };
        Fingerprint {
            tools,
            prompts: of(&[Kind::Prompt], Length::Whole),
            resources: of(&[Kind::Resource, Kind::ResourceTemplate], Length::Whole),
        }
    }
}

fn member(kind: Kind) -> &'static str {
    match kind {
        Kind::Tool => "tools",
        Kind::Prompt => "prompts",
        Kind::Resource => "resources",
        Kind::ResourceTemplate => "resourceTemplates",
    }
}

fn decoded(cursor: &str) -> Result<String, ForeignCursor> {
    BASE64_URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok()?.strip_prefix(CURSOR).map(str::to_owned))
        .ok_or(ForeignCursor)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{ForeignCursor, Length, Sight, View};
    use crate::{
        caller::{Audience, Caller, Proof},
        gateway::{Catalogue, Entry, Exposure, Kind, Route, ServerName, wire::text::raw},
    };

    /// One of ours.
    pub(crate) fn entry(kind: Kind, name: &str) -> Entry {
        let raw = raw(&json!({ "name": name }));
        Entry {
            kind,
            name: name.to_owned(),
            raw,
            hash: "0".into(),
            route: Route::Own,
            exposure: Arc::default(),
        }
    }

    fn view(entries: Vec<Entry>) -> View {
        let catalogue = Catalogue::new(0, entries.into_iter().map(Arc::new).collect());
        View::of(Arc::new(catalogue), Sight::everything(), &Caller::process())
    }

    #[test]
    fn who_is_not_of_a_servers_audience_does_not_see_its_entries() {
        let audience = Some(Audience { users: vec!["ann".to_owned()], ..Audience::default() });
        let exposure = Arc::new(Exposure { audience, ..Exposure::default() });
        let entries = vec![
            Arc::new(Entry { exposure, ..entry(Kind::Tool, "hers") }),
            Arc::new(entry(Kind::Tool, "everybodys")),
        ];
        let catalogue = Arc::new(Catalogue::new(0, entries));
        let tools = |user: &str| {
            let caller = Caller { user: user.to_owned(), proof: Proof::Oidc, ..Caller::process() };
            let view = View::of(catalogue.clone(), Sight::everything(), &caller);
            view.entries(Kind::Tool).map(|entry| entry.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(tools("ann"), ["everybodys", "hers"]);
        assert_eq!(tools("bob"), ["everybodys"]);
    }

    #[test]
    fn a_list_is_the_raw_entries_joined() {
        let view = view(vec![entry(Kind::Tool, "b"), entry(Kind::Tool, "a"), entry(Kind::Prompt, "p")]);
        assert_eq!(
            view.page(Kind::Tool, Some(""), Length::Whole).unwrap().get(),
            r#"{"tools":[{"name":"a"},{"name":"b"}]}"#
        );
        assert_eq!(view.page(Kind::Resource, None, Length::UpTo(1)).unwrap().get(), r#"{"resources":[]}"#);
    }

    #[test]
    fn pages_hold_every_entry_once() {
        let names: Vec<String> = (0..2_500).map(|n| format!("t{n:05}")).collect();
        let view = view(names.iter().map(|name| entry(Kind::Tool, name)).collect());
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page: Value =
                serde_json::from_str(view.page(Kind::Tool, cursor.as_deref(), Length::Whole).unwrap().get())
                    .unwrap();
            let tools = page["tools"].as_array().unwrap();
            seen.extend(tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(seen, names);
    }

    #[test]
    fn above_its_length_a_list_is_our_own_tools_and_the_search_and_tells_of_nothing_else() {
        let of = |count: usize| {
            let server = ServerName { namespace: "shop".to_owned(), name: "x".to_owned() };
            let theirs = (0..count).map(|number| Entry {
                route: Route::Downstream { server: server.clone().into(), original: "t".to_owned() },
                ..entry(Kind::Tool, &format!("x_{number}"))
            });
            let own = ["call_tool", "search_tools", "top"].map(|name| entry(Kind::Tool, name));
            view(own.into_iter().chain(theirs).collect())
        };
        let names = |view: &View, length| {
            let page: Value =
                serde_json::from_str(view.page(Kind::Tool, None, length).unwrap().get()).unwrap();
            let tools = page["tools"].as_array().unwrap().clone();
            tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&of(2), Length::UpTo(3)), ["top", "x_0", "x_1"]);
        assert_eq!(names(&of(3), Length::UpTo(3)), ["call_tool", "search_tools", "top"]);
        assert_eq!(names(&of(1), Length::Brief), ["call_tool", "search_tools", "top"]);
        assert_eq!(names(&of(1), Length::Whole), ["top", "x_0"]);
        let print = |count, length| of(count).fingerprint().tools.listed(length);
        assert_eq!(print(5, Length::UpTo(3)), print(6, Length::UpTo(3)));
        assert_ne!(print(5, Length::UpTo(3)), print(2, Length::UpTo(3)));
        assert_ne!(print(5, Length::Whole), print(6, Length::Whole));
        assert_eq!(print(1, Length::Brief), print(2, Length::Brief));
        assert_eq!(print(3, Length::Brief), print(3, Length::UpTo(2)), "the same list");
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        let view = view(Vec::new());
        assert_eq!(view.page(Kind::Tool, Some("garbage!"), Length::Whole).unwrap_err(), ForeignCursor);
        assert_eq!(view.page(Kind::Tool, Some("Z2FyYmFnZQ"), Length::Whole).unwrap_err(), ForeignCursor);
    }

    #[test]
    fn a_wrong_name_finds_its_neighbours() {
        let view = view(vec![entry(Kind::Tool, "list_events"), entry(Kind::Tool, "get_logs")]);
        assert_eq!(view.nearest(Kind::Tool, "list_event"), ["list_events"]);
    }

    #[test]
    fn a_fingerprint_changes_only_where_something_changed() {
        let before = view(vec![entry(Kind::Tool, "a")]).fingerprint();
        let after = view(vec![entry(Kind::Tool, "a"), entry(Kind::Prompt, "p")]).fingerprint();
        assert_eq!(before.tools, after.tools);
        assert_ne!(before.prompts, after.prompts);
    }
}
