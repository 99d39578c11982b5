//! What one server offers: entries as they came, each looked at just enough to be named. One malformed entry
//! is dropped alone.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    canonical,
    catalogue::Kind,
    shape,
    wire::{Raw, headers, text::Fields},
};

/// One entry as a server gave it.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    pub(super) kind: Kind,
    /// The server's own name, URI or URI template.
    pub(super) original: String,
    pub(super) raw: Raw,
    /// Over what `raw` says.
    pub(super) hash: Arc<str>,
}

/// Everything one server offers, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    pub(super) entries: Vec<Offered>,
    /// One sentence for each entry, or whole list, that could not be taken.
    pub(super) dropped: Vec<String>,
    /// When the lists were read.
    pub(super) read_at: Option<Timestamp>,
    /// For how long the server says that its list of tools holds.
    pub(super) ttl: Option<Duration>,
    seen: HashSet<(Kind, String)>,
}

impl Offer {
    pub(super) fn read_at(moment: Timestamp) -> Self {
        Self { read_at: Some(moment), ..Self::default() }
    }

    /// Takes all entries of one kind, in the server's order.
    pub(super) fn take(&mut self, kind: Kind, entries: Vec<Raw>) {
        for (at, raw) in entries.into_iter().enumerate() {
            let place = format!("{} entry {}", kind.method(), at + 1);
            let Ok(fields) = Fields::parse(raw.get()) else {
                self.dropped.push(format!("{place} is not an object: dropped"));
                continue;
            };
            let Some(original) = fields.get_str(kind.key()).filter(|name| !name.is_empty()) else {
                self.dropped.push(format!("{place} has no {}: dropped", kind.key()));
                continue;
            };
            if let Some(fault) = shape::fault(kind, raw.get(), &fields) {
                self.dropped.push(format!("{place}, `{original}`: {fault}: dropped"));
                continue;
            }
            if !self.seen.insert((kind, original.clone())) {
                self.dropped.push(format!("{place} repeats `{original}`: dropped"));
                continue;
            }
            let hash = canonical::hash(raw.get()).into();
            self.entries.push(Offered { kind, original, raw, hash });
        }
    }
}

impl Offer {
    /// The name and definition of each tool.
    pub(super) fn tools(&self) -> impl Iterator<Item = (&str, &str)> {
        let tools = self.entries.iter().filter(|entry| entry.kind == Kind::Tool);
        tools.map(|tool| (tool.original.as_str(), tool.raw.get()))
    }

    /// Drops the tools whose arguments cannot be repeated in headers as they want it: over HTTP they must not be
    /// called.
    pub(super) fn drop_misfits(&mut self) {
        let Self { entries, dropped, read_at: _, ttl: _, seen: _ } = self;
        entries.retain(|entry| {
            let schema = Fields::parse(entry.raw.get()).ok();
            let schema = schema.as_ref().and_then(|fields| fields.get("inputSchema"));
            let why =
                schema.filter(|_| entry.kind == Kind::Tool).and_then(|schema| headers::misfit(schema.get()));
            let Some(why) = why else { return true };
            dropped.push(format!("tool `{}` cannot be called over HTTP ({why}): dropped", entry.original));
            false
        });
    }
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Tool, Self::Prompt, Self::Resource, Self::ResourceTemplate];

    /// The member that names an entry of this kind.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Tool | Self::Prompt => "name",
            Self::Resource => "uri",
            Self::ResourceTemplate => "uriTemplate",
        }
    }

    /// The method that lists entries of this kind.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Tool => "tools/list",
            Self::Prompt => "prompts/list",
            Self::Resource => "resources/list",
            Self::ResourceTemplate => "resources/templates/list",
        }
    }

    /// The member of a list's result that holds the entries.
    pub(super) fn member(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Prompt => "prompts",
            Self::Resource => "resources",
            Self::ResourceTemplate => "resourceTemplates",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Offer;
    use crate::gateway::{Kind, wire::Raw};

    fn page(json: &str) -> Vec<Raw> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_malformed_entry_is_dropped_alone_and_says_why() {
        let mut offer = Offer::default();
        let tools = r#"[{"name":"a"}, 7, {"name":5}, {"title":"x"}, {"name":"a"}, {"name":"b","icons":[{"sizes":"any"}]}]"#;
        offer.take(Kind::Tool, page(tools));
        let names: Vec<_> = offer.entries.iter().map(|entry| entry.original.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(
            offer.dropped,
            [
                "tools/list entry 2 is not an object: dropped",
                "tools/list entry 3 has no name: dropped",
                "tools/list entry 4 has no name: dropped",
                "tools/list entry 5 repeats `a`: dropped",
            ]
        );
    }

    #[test]
    fn a_tool_without_a_schema_passes_as_it_came() {
        let mut offer = Offer::default();
        offer.take(Kind::Tool, page(r#"[{"x":2.50,"name":"bare"}]"#));
        assert_eq!(offer.entries[0].raw.get(), r#"{"x":2.50,"name":"bare"}"#);
        assert_eq!(offer.entries[0].hash.len(), 64);
    }
}
