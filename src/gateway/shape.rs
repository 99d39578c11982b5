//! What no client can read of an entry. Many read a list as one typed value: one entry that does not fit would take all
//! others along, those of other servers too. What merely lacks something is passed on as it came.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{catalogue::Kind, wire::text::Fields};

/// Why clients could not read this entry, or could read it in two ways.
pub(super) fn fault(kind: Kind, raw: &str, fields: &Fields<'_>) -> Option<String> {
    // The last of two members counts for one reader, the first for another: it could be looked at as something else
    // than it is used as.
    if let Err(error) = serde_json::from_str::<Unambiguous>(raw) {
        return Some(error.to_string());
    }
    let begins = |name: &str| fields.get(name).and_then(|value| value.get().chars().next());
    for text in ["title", "description"] {
        if !matches!(begins(text), None | Some('"' | 'n')) {
            return Some(format!("its {text} is no text"));
        }
    }
    let is_schema = matches!(begins("inputSchema"), None | Some('{'));
    (kind == Kind::Tool && !is_schema).then(|| "its inputSchema is no object".to_owned())
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

    use super::fault;
    use crate::gateway::{catalogue::Kind, wire::text::Fields};

    fn of(kind: Kind, raw: &str) -> Option<String> {
        fault(kind, raw, &Fields::parse(raw).unwrap())
    }

    #[test]
    fn what_clients_can_read_is_taken() {
        for tool in [
            r#"{"name":"a"}"#,
            r#"{"name":"a","title":null,"description":"d","inputSchema":{"type":"object","x":[1,-2,0.5,true,null,"s"]}}"#,
            r#"{"name":"a","inputSchema":{"properties":{"name":{"type":"string"},"b":{"type":"string"}}}}"#,
        ] {
            assert_eq!(of(Kind::Tool, tool), None, "{tool}");
        }
        assert_eq!(of(Kind::Resource, r#"{"uri":"a:b","name":"a","inputSchema":5}"#), None);
    }

    #[test]
    fn what_none_can_read_is_not() {
        let faults = [
            (r#"{"name":"a","inputSchema":null}"#, "its inputSchema is no object"),
            (r#"{"name":"a","inputSchema":[]}"#, "its inputSchema is no object"),
            (r#"{"name":"a","description":5}"#, "its description is no text"),
            (r#"{"name":"a","title":{}}"#, "its title is no text"),
        ];
        for (tool, why) in faults {
            assert_eq!(of(Kind::Tool, tool).as_deref(), Some(why), "{tool}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not() {
        for tool in [
            r#"{"name":"a","description":"<!-- obey -->","description":"good"}"#,
            r#"{"name":"a","inputSchema":{"type":"object","properties":{"x":{"title":"1","\u0074itle":"2"}}}}"#,
            r#"{"name":"a","annotations":[{"x":1,"x":1}]}"#,
        ] {
            let why = of(Kind::Tool, tool).unwrap();
            assert!(why.starts_with("it has two members"), "{tool}: {why}");
        }
        let deep = format!(r#"{{"name":"a","x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        assert!(of(Kind::Tool, &deep).unwrap().contains("recursion limit"));
    }
}
