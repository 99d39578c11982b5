//! What of the catalogue one caller sees. Pure.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::value::RawValue;

use super::access::Sight;
use crate::{
    caller::Caller,
    gateway::{
        Catalogue, Entry, Kind,
        wire::{Raw, text::string},
    },
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

/// Changes when the entries of that kind change for this caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) tools: u64,
    pub(super) prompts: u64,
    pub(super) resources: u64,
}

/// The cursor is none of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForeignCursor;

impl View {
    pub(super) fn of(catalogue: Arc<Catalogue>, sight: Sight, caller: &Caller) -> Self {
        Self { catalogue, sight, caller: caller.clone() }
    }

    /// By the cluster's access rules and by what the entry's own server says.
    fn shows(&self, entry: &Entry) -> bool {
        entry.admits(&self.caller) && self.sight.shows(entry)
    }

    fn entries(&self, kind: Kind) -> impl Iterator<Item = &Arc<Entry>> {
        self.catalogue.of_kind(kind).filter(|entry| self.shows(entry))
    }

    pub(super) fn find(&self, kind: Kind, name: &str) -> Option<&Entry> {
        self.catalogue.find(kind, name).map(AsRef::as_ref).filter(|entry| self.shows(entry))
    }

    /// Up to three names of that kind that look like `name`.
    pub(super) fn nearest(&self, kind: Kind, name: &str) -> Vec<&str> {
        let names: Vec<&str> = self.entries(kind).map(|entry| entry.name.as_str()).collect();
        similar::get_close_matches(name, &names, 3, 0.6)
    }

    /// One page of a list as the members of its result: the entries, and where the next page begins.
    ///
    /// # Errors
    /// When the cursor is not one that an earlier page gave.
    pub(super) fn page(&self, kind: Kind, cursor: Option<&str>) -> Result<Raw, ForeignCursor> {
        let after = match cursor {
            None | Some("") => None,
            Some(cursor) => Some(decoded(cursor)?),
        };
        let rest = |entry: &&Arc<Entry>| after.as_ref().is_none_or(|after| entry.name > *after);
        let mut entries = self.entries(kind).filter(rest).peekable();
        let mut text = format!(r#"{{"{}":["#, member(kind));
        let mut last = None;
        for entry in entries.by_ref().take(PAGE) {
            if last.replace(&entry.name).is_some() {
                text.push(',');
            }
            text.push_str(entry.raw.get());
        }
        text.push(']');
        if let (Some(last), Some(_)) = (last, entries.peek()) {
            text.push_str(r#","nextCursor":"#);
            text.push_str(string(&BASE64_URL_SAFE_NO_PAD.encode(format!("{CURSOR}{last}"))).get());
        }
        text.push('}');
        Ok(RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let of = |kinds: &[Kind]| {
            let mut hasher = DefaultHasher::new();
            for kind in kinds {
                for entry in self.entries(*kind) {
                    (&entry.name, &entry.hash).hash(&mut hasher);
                }
            }
            hasher.finish()
        };
        Fingerprint {
            tools: of(&[Kind::Tool]),
            prompts: of(&[Kind::Prompt]),
            resources: of(&[Kind::Resource, Kind::ResourceTemplate]),
        }
    }
}

/// The resource of that URI, or the template that makes such URIs; whether the caller may see it is not asked here.
pub(super) fn resource<'a>(catalogue: &'a Catalogue, uri: &str) -> Option<&'a Arc<Entry>> {
    catalogue
        .find(Kind::Resource, uri)
        .or_else(|| catalogue.of_kind(Kind::ResourceTemplate).find(|template| makes(&template.name, uri)))
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

    use super::{ForeignCursor, Sight, View, makes, original_uri};
    use crate::{
        caller::{Audience, Caller, Proof},
        gateway::{Catalogue, Entry, Exposure, Kind, Route, wire::text::raw},
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
            view.page(Kind::Tool, Some("")).unwrap().get(),
            r#"{"tools":[{"name":"a"},{"name":"b"}]}"#
        );
        assert_eq!(view.page(Kind::Resource, None).unwrap().get(), r#"{"resources":[]}"#);
    }

    #[test]
    fn pages_hold_every_entry_once() {
        let names: Vec<String> = (0..2_500).map(|n| format!("t{n:05}")).collect();
        let view = view(names.iter().map(|name| entry(Kind::Tool, name)).collect());
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page: Value =
                serde_json::from_str(view.page(Kind::Tool, cursor.as_deref()).unwrap().get()).unwrap();
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
    fn a_foreign_cursor_is_refused() {
        let view = view(Vec::new());
        assert_eq!(view.page(Kind::Tool, Some("garbage!")).unwrap_err(), ForeignCursor);
        assert_eq!(view.page(Kind::Tool, Some("Z2FyYmFnZQ")).unwrap_err(), ForeignCursor);
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
