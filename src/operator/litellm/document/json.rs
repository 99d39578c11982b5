//! Edits of JSON by the places where its parser found the values.

use std::{fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Change, DocumentError};

pub(super) fn edited(text: &str, path: &[String], change: &Change) -> Result<String, DocumentError> {
    let mut text = if text.trim().is_empty() { "{}\n".to_owned() } else { text.to_owned() };
    let mut at = whole(&text);
    for key in path {
        let object = Object::at(&text, at)?;
        let inner = match object.find(key) {
            Some(inner) if text[inner.clone()].trim() == "null" => {
                text.replace_range(inner.clone(), "{}");
                inner.start..inner.start + 2
            }
            Some(inner) => inner,
            None => {
                object.insert(&mut text, key, "{}")?;
                let object = Object::at(&text, object.range.start..text.len())?;
                object.find(key).ok_or(DocumentError::Unsafe)?
            }
        };
        at = inner;
    }
    let servers = Object::at(&text, at)?;
    match change {
        Change::Put { name, fields } => {
            let value = serde_json::to_string(fields).map_err(|error| unreadable(&error))?;
            match servers.find(name) {
                Some(range) => text.replace_range(range, &value),
                None => servers.insert(&mut text, name, &value)?,
            }
        }
        Change::Remove { name } => servers.remove(&mut text, name),
    }
    Ok(text)
}

fn whole(text: &str) -> Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..text.trim_end().len()
}

fn unreadable(error: &serde_json::Error) -> DocumentError {
    DocumentError::Unreadable { format: "JSON", reason: error.to_string() }
}

/// An object and where its values are in the text.
struct Object {
    range: Range<usize>,
    members: Vec<(String, Range<usize>)>,
}

impl Object {
    /// The object that begins where the range does.
    fn at(text: &str, range: Range<usize>) -> Result<Self, DocumentError> {
        let mut stream = serde_json::Deserializer::from_str(&text[range.clone()]);
        let whole = <&RawValue>::deserialize(&mut stream).map_err(|error| unreadable(&error))?;
        let Members(found) = serde_json::from_str(whole.get()).map_err(|error| unreadable(&error))?;
        let place = |value: &RawValue| {
            let start = (value.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
            start..start + value.get().len()
        };
        let members = found.into_iter().map(|(key, value)| (key, place(value))).collect();
        Ok(Self { range: place(whole), members })
    }

    fn find(&self, key: &str) -> Option<Range<usize>> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, range)| range.clone())
    }

    /// After its last member, set apart as that one is.
    fn insert(&self, text: &mut String, key: &str, value: &str) -> Result<(), DocumentError> {
        let key = serde_json::to_string(key).map_err(|error| unreadable(&error))?;
        let Some((_, last)) = self.members.last() else {
            let inside = self.range.start + 1..self.range.end - 1;
            text.replace_range(inside, &format!("{key}: {value}"));
            return Ok(());
        };
        let begin = self.members.len().checked_sub(2).and_then(|before| self.members.get(before));
        let begin = begin.map_or(self.range.start + 1, |(_, before)| before.end);
        let gap: String = text[begin..last.start]
            .trim_start_matches(',')
            .chars()
            .take_while(|c| c.is_ascii_whitespace())
            .collect();
        text.insert_str(last.end, &format!(",{gap}{key}: {value}"));
        Ok(())
    }

    fn remove(&self, text: &mut String, key: &str) {
        let Some(at) = self.members.iter().position(|(name, _)| name == key) else { return };
        let end = |at: usize| self.members[at].1.end;
        let range = match (at.checked_sub(1), at + 1 < self.members.len()) {
            // From the end of the one before it to its own end.
            (Some(before), _) => end(before)..end(at),
            (None, true) => {
                let after = end(at) + text[end(at)..].find('"').unwrap_or_default();
                let own = self.range.start + 1;
                own + text[own..].find('"').unwrap_or_default()..after
            }
            (None, false) => self.range.start + 1..self.range.end - 1,
        };
        text.replace_range(range, "");
    }
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}
