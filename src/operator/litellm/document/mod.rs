//! The servers in the text of a ConfigMap, and edits of it that leave every other byte as it is.
//!
//! An edit takes out, exchanges or adds the lines of whole entries. What it made is read again, and is refused unless it
//! says exactly what was asked.

mod json;
mod yaml;

use serde_json::{Map, Value};

use super::{
    config::{ConfigMapSettings, Format},
    entry::Present,
};

/// One change of an entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// It is there, in the place where one of this name was.
    Put {
        name: String,
        fields: Map<String, Value>,
    },
    Remove {
        name: String,
    },
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DocumentError {
    #[error("it is not {format} ({reason})")]
    Unreadable { format: &'static str, reason: String },
    #[error("its `{path}` holds {what}: write it as a mapping of names to servers")]
    NoMapping { path: String, what: &'static str },
    #[error("its `{0}` is not written in block style, one server below the other: write it so")]
    NotABlock(String),
    #[error("the edit would have changed something else")]
    Unsafe,
}

/// How the text is written, and where the servers are in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    format: Format,
    path: &'a [String],
}

impl<'a> Layout<'a> {
    pub(super) fn of(settings: &'a ConfigMapSettings) -> Self {
        Self { format: settings.format, path: &settings.path }
    }

    /// The servers, in their order.
    ///
    /// # Errors
    /// When the text is not of its format, or something else is where the servers should be.
    pub(super) fn entries(self, text: &str) -> Result<Vec<Present>, DocumentError> {
        let document = self.parse(text)?;
        let servers = self.servers(&document)?.cloned().unwrap_or_default();
        // What is no mapping is no server, and not ours.
        Ok(servers
            .into_iter()
            .map(|(name, value)| {
                let fields = value.as_object().cloned().unwrap_or_default();
                Present::new(name.clone(), name, fields)
            })
            .collect())
    }

    /// The text with the changes made, in their order.
    ///
    /// # Errors
    /// As [`Self::entries`], and when a change cannot be made without touching something else.
    pub(super) fn edited(self, text: &str, changes: &[Change]) -> Result<String, DocumentError> {
        let mut expected = self.parse(text)?;
        let mut edited = text.to_owned();
        for change in changes {
            self.make(&mut expected, change)?;
            edited = match self.format {
                Format::Yaml => yaml::edited(&edited, self.path, change),
                Format::Json => json::edited(&edited, self.path, change),
            }?;
        }
        let said = self.parse(&edited).map_err(|_| DocumentError::Unsafe)?;
        if self.without_servers(&said) != self.without_servers(&expected)
            || self.servers(&said)?.cloned().unwrap_or_default()
                != self.servers(&expected)?.cloned().unwrap_or_default()
        {
            return Err(DocumentError::Unsafe);
        }
        Ok(edited)
    }

    /// The change in the value of the document.
    fn make(self, document: &mut Value, change: &Change) -> Result<(), DocumentError> {
        let mut at = document;
        for key in self.path {
            if at.is_null() {
                *at = Value::Object(Map::new());
            }
            let Value::Object(map) = at else { return Err(self.no_mapping(at)) };
            at = map.entry(key.clone()).or_insert(Value::Null);
        }
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(servers) = at else { return Err(self.no_mapping(at)) };
        match change {
            Change::Put { name, fields } => {
                servers.insert(name.clone(), Value::Object(fields.clone()));
            }
            Change::Remove { name } => {
                servers.shift_remove(name);
            }
        }
        Ok(())
    }

    fn servers(self, document: &Value) -> Result<Option<&Map<String, Value>>, DocumentError> {
        let mut at = document;
        for key in self.path {
            match at {
                Value::Null => return Ok(None),
                Value::Object(map) => match map.get(key) {
                    Some(inner) => at = inner,
                    None => return Ok(None),
                },
                other => return Err(self.no_mapping(other)),
            }
        }
        match at {
            Value::Null => Ok(None),
            Value::Object(servers) => Ok(Some(servers)),
            other => Err(self.no_mapping(other)),
        }
    }

    /// Everything else; mappings that lead to the servers and hold nothing else are left out.
    fn without_servers(self, document: &Value) -> Value {
        fn cut(at: &Value, path: &[String]) -> Value {
            let (Some((key, rest)), Value::Object(map)) = (path.split_first(), at) else {
                return if path.is_empty() { Value::Null } else { at.clone() };
            };
            let mut kept = map.clone();
            let inner = map.get(key).map_or(Value::Null, |inner| cut(inner, rest));
            if inner.is_null() {
                kept.shift_remove(key);
            } else {
                kept.insert(key.clone(), inner);
            }
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        cut(document, self.path)
    }

    fn parse(self, text: &str) -> Result<Value, DocumentError> {
        match self.format {
            Format::Yaml if text.lines().all(|line| !yaml::says_something(line)) => Ok(Value::Null),
            Format::Json if text.trim().is_empty() => Ok(Value::Null),
            Format::Yaml => serde_saphyr::from_str(text).map_err(|error: serde_saphyr::Error| {
                // The lines after the first show the text, which may hold a secret.
                let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                DocumentError::Unreadable { format: "YAML", reason }
            }),
            Format::Json => serde_json::from_str(text)
                .map_err(|error| DocumentError::Unreadable { format: "JSON", reason: error.to_string() }),
        }
    }

    fn no_mapping(self, found: &Value) -> DocumentError {
        let what = match found {
            Value::Array(_) => "a list",
            Value::Null => "nothing",
            Value::Object(_) => "a mapping",
            Value::Bool(_) | Value::Number(_) | Value::String(_) => "a single value",
        };
        DocumentError::NoMapping { path: self.path.join("."), what }
    }
}

#[cfg(test)]
mod tests;
