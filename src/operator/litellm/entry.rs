//! What a proxy is told of one server, as a value.

use serde_json::{Map, Value, json};

use crate::fleet::ServerName;

/// Under which key of an entry's `mcp_info` our mark is. The proxy keeps what it does not know there.
const MARK: &str = "pilothouse";
/// Of a description.
const DESCRIPTION: usize = 300;

/// One server as it is to stand in the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator) struct Entry {
    /// The proxy begins the names of its tools with it, and takes no dash in it.
    pub(in crate::operator) name: String,
    pub(in crate::operator) url: String,
    pub(in crate::operator) transport: Transport,
    pub(in crate::operator) description: String,
    /// The access groups whose keys and teams may use it; empty: as the proxy decides.
    pub(in crate::operator) groups: Vec<String>,
}

/// Those that the proxy knows for servers that are reached by HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operator) enum Transport {
    Http,
    Sse,
}

impl Transport {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sse => "sse",
        }
    }
}

/// Whose an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// See [`super::config::LitellmConfig::owner`].
    pub(super) owner: String,
    pub(super) server: ServerName,
}

impl Mark {
    fn value(&self) -> Value {
        json!({ "owner": self.owner, "server": self.server.to_string() })
    }

    /// That of an entry's `mcp_info`, if it has one.
    fn of(info: Option<&Value>) -> Option<Self> {
        let mark = info?.get(MARK)?;
        let owner = mark.get("owner")?.as_str()?.to_owned();
        let (namespace, name) = mark.get("server")?.as_str()?.split_once('/')?;
        Some(Self { owner, server: ServerName { namespace: namespace.to_owned(), name: name.to_owned() } })
    }
}

/// An entry that is in the proxy, ours or not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Present {
    /// By which the proxy knows it: in a file its name, over the API an id of the proxy's.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) mark: Option<Mark>,
    /// All of it, as the proxy says it.
    pub(super) fields: Map<String, Value>,
}

/// What an entry's access groups are called in this way of telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    File,
    Api,
}

impl Dialect {
    fn groups(self) -> &'static str {
        match self {
            Self::File => "access_groups",
            Self::Api => "mcp_access_groups",
        }
    }
}

impl Present {
    pub(super) fn new(id: String, name: String, fields: Map<String, Value>) -> Self {
        let mark = Mark::of(fields.get("mcp_info"));
        Self { id, name, mark, fields }
    }

    /// Whether it says what `entry` does; what others added to it is not looked at.
    pub(super) fn says(&self, entry: &Entry, dialect: Dialect) -> bool {
        let Entry { name, url, transport, description, groups } = entry;
        let text = |key: &str| self.fields.get(key).and_then(Value::as_str).unwrap_or_default();
        let own: Vec<&str> = self
            .fields
            .get(dialect.groups())
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        self.name == *name
            && text("url") == url
            && text("transport") == transport.as_str()
            && text("description") == description
            && own == *groups
            && ["auth_type", "authentication_token", "auth_value"]
                .iter()
                .all(|key| matches!(self.fields.get(*key), None | Some(Value::Null)) || text(key) == "none")
    }
}

impl Entry {
    /// Its fields, over those that others added to the entry that is there.
    pub(super) fn fields(
        &self,
        mark: &Mark,
        dialect: Dialect,
        before: Option<&Present>,
    ) -> Map<String, Value> {
        let Self { name: _, url, transport, description, groups } = self;
        let mut fields = match (dialect, before) {
            (Dialect::File, Some(before)) => before.fields.clone(),
            // What is left out of an update stays.
            (Dialect::Api, _) | (Dialect::File, None) => Map::new(),
        };
        for secret in ["auth_type", "authentication_token", "auth_value"] {
            fields.remove(secret);
        }
        if dialect == Dialect::Api {
            fields.insert("auth_type".to_owned(), json!("none"));
        }
        fields.insert("url".to_owned(), json!(url));
        fields.insert("transport".to_owned(), json!(transport.as_str()));
        fields.insert("description".to_owned(), json!(description));
        if groups.is_empty() && dialect == Dialect::File {
            fields.remove(dialect.groups());
        } else {
            fields.insert(dialect.groups().to_owned(), json!(groups));
        }
        let info = before.and_then(|before| before.fields.get("mcp_info")?.as_object().cloned());
        let mut info = info.unwrap_or_default();
        // The proxy works these out itself.
        for derived in ["server_name", "description", "is_public", "is_public_explicit"] {
            info.remove(derived);
        }
        info.insert(MARK.to_owned(), mark.value());
        fields.insert("mcp_info".to_owned(), Value::Object(info));
        fields
    }
}

/// On one line, without characters that readers of YAML disagree on.
pub(in crate::operator) fn description(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|c| if odd(c) { ' ' } else { c }).take(DESCRIPTION).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::{Dialect, Entry, Mark, Present, Transport, description};
    use crate::fleet::ServerName;

    fn entry() -> Entry {
        Entry {
            name: "demo".to_owned(),
            url: "http://demo.team-a.svc:8080/mcp".to_owned(),
            transport: Transport::Http,
            description: "MCPServer team-a/demo".to_owned(),
            groups: vec!["ops".to_owned()],
        }
    }

    fn mark() -> Mark {
        let server = ServerName { namespace: "team-a".to_owned(), name: "demo".to_owned() };
        Mark { owner: "pilothouse".to_owned(), server }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_and_as_ours() {
        for dialect in [Dialect::File, Dialect::Api] {
            let fields = entry().fields(&mark(), dialect, None);
            let present = Present::new("1".to_owned(), "demo".to_owned(), fields);
            assert_eq!(present.mark, Some(mark()));
            assert!(present.says(&entry(), dialect), "{present:?}");
            let other = Entry { url: "http://other".to_owned(), ..entry() };
            assert!(!present.says(&other, dialect));
            let nobody = Entry { groups: Vec::new(), ..entry() };
            assert!(!present.says(&nobody, dialect));
        }
    }

    #[test]
    fn what_others_added_stays_and_a_credential_does_not() {
        let mut fields = entry().fields(&mark(), Dialect::File, None);
        fields.insert("allowed_tools".to_owned(), json!(["look"]));
        fields.insert("auth_value".to_owned(), json!("a-secret"));
        fields
            .get_mut("mcp_info")
            .and_then(Value::as_object_mut)
            .unwrap()
            .insert("logo".to_owned(), json!("x"));
        let present = Present::new("demo".to_owned(), "demo".to_owned(), fields);
        assert!(!present.says(&entry(), Dialect::File), "it sends a credential that nobody declared");
        let again = entry().fields(&mark(), Dialect::File, Some(&present));
        assert_eq!(again["allowed_tools"], json!(["look"]));
        assert_eq!(again["mcp_info"]["logo"], json!("x"));
        assert!(!again.contains_key("auth_value"));
    }

    #[test]
    fn a_description_is_one_plain_line() {
        assert_eq!(description("a\nb\u{2028}c\u{85}d é"), "a b c d é");
        assert_eq!(description(&"x".repeat(1000)).len(), 300);
    }
}
