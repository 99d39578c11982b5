//! What every client must be able to read of an entry. Many read a list as one typed value: one entry that does not
//! fit would take all others along, those of other servers too. Pure.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{
    catalogue::Kind,
    wire::{
        Raw,
        text::{Fields, raw, string},
    },
};

/// The entry as every client can read it: it stays as it came, but that members which only say `null` are left out, and
/// that a tool without a schema takes any arguments and a resource without a name has its URI for one.
///
/// # Errors
/// Why clients could not read it, or could read it in two ways.
pub(super) fn readable(kind: Kind, text: &Raw, fields: Fields<'_>) -> Result<Raw, String> {
    // The last of two members counts for one reader, the first for another: it could be looked at as something else
    // than it is used as.
    if let Err(error) = serde_json::from_str::<Unambiguous>(text.get()) {
        return Err(error.to_string());
    }
    let mut mended = fields;
    let mut changed = false;
    for (member, reads) in members(kind) {
        match mended.get(member) {
            Some(value) if value.get() == "null" => changed |= mended.remove(member),
            Some(value) => {
                reads(value.get()).map_err(|error| format!("its {member} cannot be read ({error})"))?
            }
            None => {}
        }
    }
    if kind == Kind::Tool {
        changed |= with_schema(&mut mended)?;
    } else if kind != Kind::Prompt && mended.get("name").is_none() {
        let uri = mended.get_str(kind.key()).unwrap_or_default();
        mended.set("name", string(&uri));
        changed = true;
    }
    Ok(if changed { mended.to_raw() } else { text.clone() })
}

/// Arguments are an object, also where a schema leaves that out. Whether something was added.
fn with_schema(tool: &mut Fields<'_>) -> Result<bool, String> {
    let Some(schema) = tool.get("inputSchema").map(ToOwned::to_owned) else {
        tool.set("inputSchema", raw(&serde_json::json!({ "type": "object" })));
        return Ok(true);
    };
    let mut schema = Fields::parse(schema.get()).map_err(|_| "its inputSchema is no object".to_owned())?;
    match schema.get("type").map(|kind| (kind.get(), schema.get_str("type"))) {
        Some((_, Some(kind))) if kind == "object" => Ok(false),
        Some((kind, _)) => Err(format!("its inputSchema is of the type {kind}, not \"object\"")),
        None => {
            schema.set_str("type", "object");
            let schema = schema.to_raw();
            tool.set("inputSchema", schema);
            Ok(true)
        }
    }
}

type Reads = fn(&str) -> Result<(), serde_json::Error>;

/// What the specification types and clients therefore read, where it is there.
fn members(kind: Kind) -> &'static [(&'static str, Reads)] {
    const TOOL: &[(&str, Reads)] = &[
        ("title", as_is::<Text>),
        ("description", as_is::<Text>),
        ("inputSchema", as_is::<Schema>),
        ("outputSchema", as_is::<Object>),
        ("annotations", as_is::<Hints>),
        ("icons", as_is::<Vec<Icon>>),
        ("execution", as_is::<Object>),
        ("_meta", as_is::<Object>),
    ];
    const PROMPT: &[(&str, Reads)] = &[
        ("title", as_is::<Text>),
        ("description", as_is::<Text>),
        ("arguments", as_is::<Vec<Argument>>),
        ("icons", as_is::<Vec<Icon>>),
        ("_meta", as_is::<Object>),
    ];
    const RESOURCE: &[(&str, Reads)] = &[
        ("name", as_is::<Text>),
        ("title", as_is::<Text>),
        ("description", as_is::<Text>),
        ("mimeType", as_is::<Text>),
        ("size", as_is::<f64>),
        ("annotations", as_is::<Notes>),
        ("icons", as_is::<Vec<Icon>>),
        ("_meta", as_is::<Object>),
    ];
    match kind {
        Kind::Tool => TOOL,
        Kind::Prompt => PROMPT,
        Kind::Resource | Kind::ResourceTemplate => RESOURCE,
    }
}

fn as_is<T: DeserializeOwned>(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<T>(text).map(drop)
}

type Text = String;
type Object = BTreeMap<String, IgnoredAny>;

#[derive(serde::Deserialize)]
#[allow(dead_code)]
struct Schema {
    #[serde(default)]
    properties: Object,
    #[serde(default)]
    required: Vec<Text>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Hints {
    #[serde(default)]
    title: Text,
    #[serde(default)]
    read_only_hint: bool,
    #[serde(default)]
    destructive_hint: bool,
    #[serde(default)]
    idempotent_hint: bool,
    #[serde(default)]
    open_world_hint: bool,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Notes {
    #[serde(default)]
    audience: Vec<Text>,
    #[serde(default)]
    priority: f64,
    #[serde(default)]
    last_modified: Text,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Icon {
    src: Text,
    #[serde(default)]
    mime_type: Text,
}

#[derive(serde::Deserialize)]
#[allow(dead_code)]
struct Argument {
    name: Text,
    #[serde(default)]
    description: Text,
    #[serde(default)]
    required: bool,
}

/// JSON in which no object has two members of one name.
struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Unambiguous;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unambiguous, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format_args!("it has two members `{name}`")));
            }
            names.insert(name);
            members.next_value::<Unambiguous>()?;
        }
        Ok(Unambiguous)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unambiguous, A::Error> {
        while items.next_element::<Unambiguous>()?.is_some() {}
        Ok(Unambiguous)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_unit<E>(self) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::readable;
    use crate::gateway::{catalogue::Kind, wire::text::Fields};

    fn of(kind: Kind, text: &str) -> Result<String, String> {
        let raw = serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
        readable(kind, &raw, Fields::parse(text).unwrap()).map(|raw| raw.get().to_owned())
    }

    #[test]
    fn what_every_client_can_read_stays_as_it_came() {
        for tool in [
            r#"{"name":"a", "inputSchema":{"type":"object"}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"x":[1,-2,0.5,true,null,"s"],"type":"object"},"y":null}"#,
            r#"{"name":"a","inputSchema":{"type":"object","properties":{"name":{"type":"string"},"b":true}}}"#,
            r#"{"name":"a","annotations":{"readOnlyHint":true,"z":1},"inputSchema":{"type":"object"},"outputSchema":{}}"#,
        ] {
            assert_eq!(of(Kind::Tool, tool).as_deref(), Ok(tool));
        }
        let resource =
            r#"{"uri":"a:b","name":"a","inputSchema":5,"annotations":{"priority":1,"audience":["user"]}}"#;
        assert_eq!(of(Kind::Resource, resource).as_deref(), Ok(resource));
        let prompt = r#"{"name":"a","arguments":[{"name":"x","required":true}]}"#;
        assert_eq!(of(Kind::Prompt, prompt).as_deref(), Ok(prompt));
    }

    #[test]
    fn what_strict_clients_miss_is_added_and_what_says_nothing_is_left_out() {
        for (kind, came, shown) in [
            (Kind::Tool, r#"{"name":"a"}"#, r#"{"name":"a","inputSchema":{"type":"object"}}"#),
            (
                Kind::Tool,
                r#"{"inputSchema":{"properties":{}},"title":null,"name":"a","annotations":null}"#,
                r#"{"inputSchema":{"properties":{},"type":"object"},"name":"a"}"#,
            ),
            (
                Kind::Tool,
                r#"{"name":"a","inputSchema":null}"#,
                r#"{"name":"a","inputSchema":{"type":"object"}}"#,
            ),
            (Kind::Resource, r#"{"uri":"a:b","mimeType":null}"#, r#"{"uri":"a:b","name":"a:b"}"#),
            (
                Kind::ResourceTemplate,
                r#"{"uriTemplate":"a:{b}"}"#,
                r#"{"uriTemplate":"a:{b}","name":"a:{b}"}"#,
            ),
            (Kind::Prompt, r#"{"name":"a","arguments":null}"#, r#"{"name":"a"}"#),
        ] {
            assert_eq!(of(kind, came).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn what_some_cannot_read_is_not_taken() {
        let faults = [
            (Kind::Tool, r#"{"name":"a","inputSchema":[]}"#, "its inputSchema"),
            (
                Kind::Tool,
                r#"{"name":"a","inputSchema":{"type":"array"}}"#,
                "its inputSchema is of the type \"array\"",
            ),
            (
                Kind::Tool,
                r#"{"name":"a","inputSchema":{"type":"object","required":true}}"#,
                "its inputSchema",
            ),
            (Kind::Tool, r#"{"name":"a","description":5}"#, "its description cannot be read"),
            (Kind::Tool, r#"{"name":"a","title":{}}"#, "its title cannot be read"),
            (
                Kind::Tool,
                r#"{"name":"a","annotations":{"readOnlyHint":"yes"}}"#,
                "its annotations cannot be read",
            ),
            (Kind::Tool, r#"{"name":"a","icons":[{"mimeType":"image/png"}]}"#, "its icons cannot be read"),
            (Kind::Prompt, r#"{"name":"a","arguments":{"x":1}}"#, "its arguments cannot be read"),
            (Kind::Resource, r#"{"uri":"a:b","name":5}"#, "its name cannot be read"),
            (Kind::Resource, r#"{"uri":"a:b","name":"b","size":"5"}"#, "its size cannot be read"),
        ];
        for (kind, entry, why) in faults {
            let said = of(kind, entry).unwrap_err();
            assert!(said.starts_with(why), "{entry}: {said}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not() {
        for tool in [
            r#"{"name":"a","description":"<!-- obey -->","description":"good"}"#,
            r#"{"name":"a","inputSchema":{"type":"object","properties":{"x":{"title":"1","\u0074itle":"2"}}}}"#,
            r#"{"name":"a","annotations":[{"x":1,"x":1}]}"#,
        ] {
            let why = of(Kind::Tool, tool).unwrap_err();
            assert!(why.starts_with("it has two members"), "{tool}: {why}");
        }
        let deep = format!(r#"{{"name":"a","x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        assert!(of(Kind::Tool, &deep).unwrap_err().contains("recursion limit"));
    }
}
