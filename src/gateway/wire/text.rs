//! JSON objects as text, one level at a time: member order, duplicate keys and the spelling of numbers stay.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::RawValue;

use super::Raw;

/// The envelope of one JSON-RPC message. Unknown members are ignored here and stay in the text.
#[derive(Debug, Deserialize)]
pub struct Head<'a> {
    #[serde(borrow, default)]
    pub jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub params: Option<&'a RawValue>,
    /// `Some` also for an explicit `null`.
    #[serde(borrow, default, deserialize_with = "present")]
    pub result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub error: Option<&'a RawValue>,
}

/// What kind of message a [`Head`] opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Request,
    Notification,
    Response,
}

impl<'a> Head<'a> {
    /// # Errors
    /// When `text` is not a JSON object, or one of the six members has an impossible type or stands twice.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        // serde would take an array for the members in their order.
        if text.trim_start().starts_with('[') {
            return Err(serde::de::Error::custom("a JSON array is not a message"));
        }
        serde_json::from_str(text)
    }

    /// `None`: neither a method nor an id, so no JSON-RPC message.
    pub fn message(&self) -> Option<Message> {
        match (&self.method, self.id) {
            (Some(_), Some(_)) => Some(Message::Request),
            (Some(_), None) => Some(Message::Notification),
            (None, Some(_)) if self.result.is_some() || self.error.is_some() => Some(Message::Response),
            (None, _) => None,
        }
    }
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The members of one object in their order, values as text.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl<'a> Fields<'a> {
    /// # Errors
    /// When `text` is not a JSON object.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Of an absent or `null` value: no members.
    ///
    /// # Errors
    /// When the value is there and neither an object nor `null`.
    pub fn of(value: Option<&'a RawValue>) -> Result<Self, serde_json::Error> {
        match value {
            None => Ok(Self::default()),
            Some(value) if value.get() == "null" => Ok(Self::default()),
            Some(value) => Self::parse(value.get()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// The last member of that name, as JSON readers take it.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// The member as a string; `None` when absent or not a string.
    pub fn get_str(&self, name: &str) -> Option<String> {
        self.get(name).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// Replaces every member of that name in its place, or appends it.
    pub fn set(&mut self, name: &str, value: Raw) {
        let mut found = false;
        for (key, old) in &mut self.0 {
            if key == name {
                *old = Cow::Owned(value.clone());
                found = true;
            }
        }
        if !found {
            self.0.push((Cow::Owned(name.to_owned()), Cow::Owned(value)));
        }
    }

    pub fn set_str(&mut self, name: &str, value: &str) {
        self.set(name, string(value));
    }

    /// Whether there was such a member.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(key, _)| key != name);
        self.0.len() != before
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(key, _)| keep(key));
    }

    /// The object as text again.
    pub fn to_raw(&self) -> Raw {
        raw(self)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value.as_ref())?;
        }
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    members.push((key.0, Cow::Borrowed(map.next_value::<&'de RawValue>()?)));
                }
                Ok(Fields(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Any value as JSON text.
///
/// Serialising our own values cannot fail (no map has a key that is not a string); should it ever, the text
/// is `null`.
pub fn raw<T: Serialize + ?Sized>(value: &T) -> Raw {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A string as JSON text.
pub fn string(text: &str) -> Raw {
    raw(text)
}

#[cfg(test)]
mod tests {
    use super::{Fields, Head, Message, string};

    #[test]
    fn an_object_keeps_order_duplicates_and_number_text() -> Result<(), serde_json::Error> {
        let text = r#"{"b":2.50,"a":1e3,"b":18446744073709551617}"#;
        assert_eq!(Fields::parse(text)?.to_raw().get(), text);
        Ok(())
    }

    #[test]
    fn setting_a_member_leaves_it_in_its_place() -> Result<(), serde_json::Error> {
        let mut fields = Fields::parse(r#"{"a":1,"name":"x","z":[ 1, 2 ]}"#)?;
        fields.set("name", string("p_x"));
        assert_eq!(fields.to_raw().get(), r#"{"a":1,"name":"p_x","z":[ 1, 2 ]}"#);
        Ok(())
    }

    #[test]
    fn a_null_result_is_a_response() -> Result<(), serde_json::Error> {
        let head = Head::parse(r#"{"jsonrpc":"2.0","id":1,"result":null}"#)?;
        assert_eq!(head.message(), Some(Message::Response));
        Ok(())
    }

    #[test]
    fn an_array_is_no_message() {
        assert!(Head::parse(r#"[1, "tools/list"]"#).is_err());
    }

    #[test]
    fn half_a_message_is_an_error() {
        assert!(Head::parse(r#"{"jsonrpc":"2.0","id":1,"#).is_err());
    }
}
