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
        Catalogue, Entry, Kind, Route, ServerName, uris,
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

/// The resource of that URI, or the template that makes such URIs; whether the caller may see it is not asked here.
pub(super) fn resource<'a>(catalogue: &'a Catalogue, uri: &str) -> Option<&'a Arc<Entry>> {
    catalogue
        .find(Kind::Resource, uri)
        .or_else(|| catalogue.of_kind(Kind::ResourceTemplate).find(|template| makes(&template.name, uri)))
}

/// A resource that is in no list, as results may link to one: of the server that the URI names, or of the only one
/// whose resources have its scheme.
pub(super) fn unlisted(catalogue: &Catalogue, uri: &str) -> Option<Arc<Entry>> {
    let named = uris::named(uri).and_then(|(server, own)| only(catalogue, uri, own, Some(&server)));
    named.or_else(|| only(catalogue, uri, uri, None))
}

/// As a resource of the only server that has resources with the scheme of `own`; of this one, where one is named.
fn only(catalogue: &Catalogue, uri: &str, own: &str, named: Option<&ServerName>) -> Option<Arc<Entry>> {
    let wanted = Some(uris::scheme(own)).filter(|scheme| !scheme.is_empty())?;
    let mut resources = resources(catalogue)
        .filter(|(_, _, own)| uris::scheme(own) == wanted)
        .filter(|(_, server, _)| named.is_none() || *server == named);
    let (first, server, _) = resources.next()?;
    let server = server?;
    resources.all(|(_, other, _)| other == Some(server)).then(|| {
        Arc::new(Entry {
            kind: Kind::Resource,
            name: uri.to_owned(),
            raw: RawValue::NULL.to_owned(),
            hash: String::new(),
            route: Route::Downstream { server: server.clone(), original: own.to_owned() },
            exposure: first.exposure.clone(),
        })
    })
}

/// All resources and templates, each with its server and that server's own URI; ours are of no server.
fn resources(catalogue: &Catalogue) -> impl Iterator<Item = (&Arc<Entry>, Option<&ServerName>, &str)> {
    let all = catalogue.of_kind(Kind::Resource).chain(catalogue.of_kind(Kind::ResourceTemplate));
    all.map(|entry| match &entry.route {
        Route::Own => (entry, None, entry.name.as_str()),
        Route::Downstream { server, original } => (entry, Some(server), original.as_str()),
    })
}

/// How clients know a URI that a result of this server has: as it came, unless it is the server's own and leads to
/// another one.
pub(super) fn shown_uri(catalogue: &Catalogue, server: &ServerName, uri: &str) -> Option<String> {
    let other = uris::of_server(server, uri)?;
    let is_its = |entry: &Entry| matches!(&entry.route, Route::Downstream { server: of, .. } if of == server);
    let finds = |uri: &str| catalogue.find(Kind::Resource, uri).is_some_and(|entry| is_its(entry));
    if finds(uri) {
        return None;
    }
    if finds(&other) {
        return Some(other);
    }
    let of_another = resource(catalogue, uri).is_some_and(|entry| !is_its(entry));
    let mut own = resources(catalogue).filter(|(_, of, _)| *of == Some(server)).map(|(_, _, own)| own);
    (of_another && own.any(|template| makes(template, uri))).then_some(other)
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

/// Whether a URI template can make that URI: its literal parts in their order, something for each variable.
pub(super) fn makes(template: &str, uri: &str) -> bool {
    let mut literals =
        template.split('{').map(|part| part.split_once('}').map_or(part, |(_, literal)| literal));
    let Some(mut rest) = literals.next().and_then(|first| uri.strip_prefix(first)) else { return false };
    let mut variables = false;
    for literal in literals {
        variables = true;
        if literal.is_empty() {
            if rest.is_empty() {
                return false;
            }
            continue;
        }
        // A variable holds at least one character.
        let after_first = rest.char_indices().nth(1).and_then(|(at, _)| rest.get(at..));
        match after_first.and_then(|rest| rest.split_once(literal)) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    // A variable at the end takes the rest.
    rest.is_empty() || (variables && template.ends_with('}'))
}

/// The downstream's own spelling of a URI that a template made: the literal beginnings are exchanged.
pub(super) fn original_uri(entry: &Entry, original: &str, uri: &str) -> String {
    if entry.kind == Kind::Resource {
        return original.to_owned();
    }
    let literal = |template: &str| template.split('{').next().unwrap_or_default().to_owned();
    match uri.strip_prefix(&literal(&entry.name)) {
        Some(rest) => format!("{}{rest}", literal(original)),
        None => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{ForeignCursor, Length, Sight, View, makes, original_uri, resource, shown_uri, unlisted};
    use crate::{
        caller::{Audience, Caller, Proof},
        gateway::{Catalogue, Entry, Exposure, Kind, Route, ServerName, wire::text::raw},
    };

    fn entry(kind: Kind, name: &str) -> Entry {
        let raw = raw(&json!({ "name": name }));
        Entry {
            kind,
            name: name.to_owned(),
            raw,
            hash: "0".to_owned(),
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
                route: Route::Downstream { server: server.clone(), original: "t".to_owned() },
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
    fn templates_make_their_uris_and_no_others() {
        assert!(makes("test://template/{id}/data", "test://template/7/data"));
        assert!(makes("file:///{path}", "file:///a/b"));
        assert!(!makes("test://template/{id}/data", "test://template//data"));
        assert!(!makes("test://template/{id}/data", "test://template/7/other"));
        assert!(!makes("test://static", "test://static/x"));
        assert!(!makes("file:///{path}", "http://x"));
    }

    #[test]
    fn a_linked_resource_is_of_the_only_server_with_its_scheme() {
        let of = |name: &str, server: &str| {
            let server = ServerName { namespace: "shop".to_owned(), name: server.to_owned() };
            let route = Route::Downstream { server, original: name.to_owned() };
            Arc::new(Entry { route, ..entry(Kind::Resource, name) })
        };
        let mut entries = vec![of("a://1", "one"), of("b://1", "one"), of("b://2", "two")];
        entries.push(Arc::new(entry(Kind::Resource, "c://1")));
        let catalogue = Catalogue::new(0, entries);
        let found = unlisted(&catalogue, "A://2").unwrap();
        assert!(
            matches!(&found.route, Route::Downstream { server, original } if server.name == "one" && original == "A://2")
        );
        for nobody_s in ["b://3", "c://2", "d://1", "a"] {
            assert!(unlisted(&catalogue, nobody_s).is_none(), "{nobody_s}");
        }
    }

    #[test]
    fn a_uri_that_leads_to_another_server_names_its_own() {
        let of = |kind: Kind, name: &str, server: &str, original: &str| {
            let server = ServerName { namespace: "shop".to_owned(), name: server.to_owned() };
            let route = Route::Downstream { server, original: original.to_owned() };
            Arc::new(Entry { route, ..entry(kind, name) })
        };
        let catalogue = Catalogue::new(
            0,
            vec![
                of(Kind::Resource, "a://1", "old", "a://1"),
                of(Kind::Resource, "ph+shop+new+a://1", "new", "a://1"),
                of(Kind::Resource, "a://2", "new", "a://2"),
                of(Kind::ResourceTemplate, "f:///{path}", "old", "f:///{path}"),
                of(Kind::ResourceTemplate, "ph+shop+new+f:///{path}", "new", "f:///{path}"),
                Arc::new(entry(Kind::ResourceTemplate, "cluster://{name}")),
            ],
        );
        let [old, new] =
            ["old", "new"].map(|name| ServerName { namespace: "shop".to_owned(), name: name.to_owned() });
        assert_eq!(shown_uri(&catalogue, &new, "a://1").as_deref(), Some("ph+shop+new+a://1"));
        assert_eq!(shown_uri(&catalogue, &new, "f:///x").as_deref(), Some("ph+shop+new+f:///x"));
        for stays in ["a://2", "a://3", "https://x/y", "cluster://x"] {
            assert_eq!(shown_uri(&catalogue, &new, stays), None, "{stays}");
        }
        for stays in ["a://1", "f:///x", "a://2"] {
            assert_eq!(shown_uri(&catalogue, &old, stays), None, "{stays}");
        }
        assert!(catalogue.shares_uris(&old) && catalogue.shares_uris(&new));

        // Known by that name before the older server left, and not listed at all.
        let alone = Catalogue::new(0, vec![of(Kind::Resource, "a://1", "new", "a://1")]);
        assert!(!alone.shares_uris(&new));
        for uri in ["ph+shop+new+a://1", "ph+shop+new+a://9"] {
            let found = unlisted(&alone, uri).unwrap();
            let own = uri.strip_prefix("ph+shop+new+").unwrap().to_owned();
            assert_eq!(found.route, Route::Downstream { server: new.clone(), original: own });
        }
        assert!(unlisted(&alone, "ph+shop+old+a://1").is_none());
        assert!(unlisted(&alone, "ph+shop+new+b://1").is_none());
        let template = resource(&catalogue, "ph+shop+new+f:///x").unwrap();
        assert_eq!(original_uri(template, "f:///{path}", "ph+shop+new+f:///x"), "f:///x");
    }

    #[test]
    fn a_uri_goes_back_to_the_downstreams_spelling() {
        let template = entry(Kind::ResourceTemplate, "p+file:///{path}");
        assert_eq!(original_uri(&template, "file:///{path}", "p+file:///x"), "file:///x");
    }

    #[test]
    fn a_fingerprint_changes_only_where_something_changed() {
        let before = view(vec![entry(Kind::Tool, "a")]).fingerprint();
        let after = view(vec![entry(Kind::Tool, "a"), entry(Kind::Prompt, "p")]).fingerprint();
        assert_eq!(before.tools, after.tools);
        assert_ne!(before.prompts, after.prompts);
    }
}
