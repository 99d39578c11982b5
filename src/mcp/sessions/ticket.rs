//! What the id of a session holds. It is sealed: a client can only hand it back.

use jiff::{SignedDuration, Timestamp};
use rmcp::model::InitializeRequestParams;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    answer::{SealError, Sealer},
    caller::Caller,
};

const PURPOSE: &str = "pilothouse session";

/// Most of what a client said of itself that is kept, in bytes of JSON: an id travels with every request.
const LARGEST_HELLO: usize = 1_500;

/// Longest name or version of a client that is kept, in characters.
const LONGEST_WORD: usize = 100;

/// A session older than this is not made again.
const LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whose session it is, where, and what is needed to make it again elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::mcp) struct Ticket {
    /// The name that the session has at its owner.
    #[serde(rename = "s")]
    pub(in crate::mcp) session: String,
    /// The replica that opened it.
    #[serde(rename = "o")]
    pub(in crate::mcp) owner: String,
    #[serde(rename = "t")]
    pub(in crate::mcp) opened: Timestamp,
    #[serde(rename = "c")]
    caller: String,
    /// The params of `initialize`, where the session can be made again from them.
    #[serde(rename = "h", default, skip_serializing_if = "Value::is_null")]
    hello: Value,
}

impl Ticket {
    pub(super) fn new(
        session: &str,
        owner: &str,
        caller: &Caller,
        hello: Option<&InitializeRequestParams>,
    ) -> Self {
        let hello = hello.and_then(|hello| serde_json::to_value(hello).ok()).map_or(Value::Null, bounded);
        Self {
            session: session.to_owned(),
            owner: owner.to_owned(),
            opened: Timestamp::now(),
            caller: caller.fingerprint(),
            hello,
        }
    }

    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn seal(&self, sealer: &Sealer) -> Result<String, SealError> {
        let plain = serde_json::to_vec(self).map_err(|_| SealError::NoRandom)?;
        sealer.seal(PURPOSE, &plain)
    }

    /// Nothing when it is not one of ours, or another caller's.
    pub(super) fn open(sealed: &str, sealer: &Sealer, caller: &Caller) -> Option<Self> {
        let plain = sealer.open(PURPOSE, sealed).ok()?;
        let ticket: Self = serde_json::from_slice(&plain).ok()?;
        if ticket.caller != caller.fingerprint() {
            tracing::warn!(caller = caller.user, "a session was used by another caller");
            return None;
        }
        Some(ticket)
    }

    /// With what the session is made again; nothing when it cannot be, or is too old.
    pub(super) fn hello(&self, now: Timestamp) -> Option<InitializeRequestParams> {
        if self.hello.is_null() || self.opened.duration_until(now) > LIFETIME {
            return None;
        }
        serde_json::from_value(self.hello.clone()).ok()
    }
}

/// What a client said of itself, cut down to what the session needs where it is long.
fn bounded(mut hello: Value) -> Value {
    if let Some(hello) = hello.as_object_mut() {
        hello.remove("_meta");
    }
    if hello.to_string().len() <= LARGEST_HELLO {
        return hello;
    }
    let word = |name: &str| -> String {
        hello["clientInfo"][name].as_str().unwrap_or_default().chars().take(LONGEST_WORD).collect()
    };
    let client = json!({ "name": word("name"), "version": word("version") });
    let mut capabilities = hello["capabilities"].as_object().cloned().unwrap_or_default();
    if Value::from(capabilities.clone()).to_string().len() > LARGEST_HELLO / 2 {
        // Whether it can be asked at all is what matters.
        let known = ["roots", "sampling", "elicitation"].into_iter();
        let kept = known.filter(|name| capabilities.contains_key(*name));
        capabilities = kept.map(|name| (name.to_owned(), json!({}))).collect::<Map<_, _>>();
    }
    json!({ "protocolVersion": hello["protocolVersion"], "capabilities": capabilities, "clientInfo": client })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::{SignedDuration, Timestamp};
    use rmcp::model::InitializeRequestParams;
    use serde_json::{Value, json};

    use super::Ticket;
    use crate::{
        answer::Sealer,
        caller::{Caller, Proof},
    };

    fn hello(experimental: &Value, name: &str) -> InitializeRequestParams {
        let capabilities = json!({ "elicitation": {}, "experimental": experimental });
        let client = json!({ "name": name, "version": "1" });
        let hello =
            json!({ "protocolVersion": "2025-06-18", "capabilities": capabilities, "clientInfo": client });
        serde_json::from_value(hello).unwrap()
    }

    #[test]
    fn an_id_opens_for_its_caller_alone_and_makes_the_session_again() {
        let sealer = Sealer::random().unwrap();
        let ann = Caller { user: "ann".to_owned(), proof: Proof::Oidc, ..Caller::process() };
        let hello = hello(&json!({}), "it");
        let ticket = Ticket::new("s-1", "replica-1", &ann, Some(&hello));
        let sealed = ticket.seal(&sealer).unwrap();
        assert!(sealed.chars().all(|c| c.is_ascii_graphic()), "{sealed}");

        let opened = Ticket::open(&sealed, &sealer, &ann).unwrap();
        assert_eq!(opened, ticket);
        assert_eq!(opened.hello(Timestamp::now()), Some(hello));
        assert_eq!(opened.hello(Timestamp::now() + SignedDuration::from_hours(200)), None, "too old");

        let eve = Caller { user: "eve".to_owned(), ..ann.clone() };
        assert_eq!(Ticket::open(&sealed, &sealer, &eve), None);
        assert_eq!(Ticket::open(&sealed, &Sealer::random().unwrap(), &ann), None);
        assert_eq!(Ticket::open("no-such-session", &sealer, &ann), None);
    }

    #[test]
    fn a_session_without_a_handshake_is_not_made_again() {
        let ticket = Ticket::new("s-1", "replica-1", &Caller::anonymous(), None);
        assert_eq!(ticket.hello(Timestamp::now()), None);
    }

    #[test]
    fn an_id_stays_short_whatever_the_client_says_of_itself() {
        let sealer = Sealer::random().unwrap();
        let long = hello(&json!({ "x": { "y": "z".repeat(10_000) } }), &"n".repeat(10_000));
        let ticket = Ticket::new("s-1", "replica-1", &Caller::anonymous(), Some(&long));
        assert!(ticket.seal(&sealer).unwrap().len() < 3_000);
        let again = ticket.hello(Timestamp::now()).unwrap();
        assert_eq!(again.protocol_version, long.protocol_version);
        assert!(again.capabilities.elicitation.is_some());
        assert_eq!(again.client_info.name.len(), 100);
    }
}
