//! What goes round through a modern client as `requestState`: sealed, and good for one call of one caller alone.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use crate::{
    answer::Ring,
    gateway::{
        Request,
        wire::{RpcError, text::Fields},
    },
};

/// For what the seals are.
const PURPOSE: &str = "request-state";
/// How long an answer may take.
const LIFETIME_SECONDS: i64 = 3_600;

/// What a state stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Inner {
    /// The server's own state, as text.
    #[serde(rename = "s")]
    OfServer(String),
    /// A call that a replica holds open, and which of its questions this was.
    #[serde(rename = "h")]
    Held { owner: String, call: u64, round: u32 },
    /// URLs that the user was to open before the call is repeated.
    #[serde(rename = "u")]
    Urls,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(rename = "i")]
    inner: Inner,
    /// Of server, method, what is called, and its arguments.
    #[serde(rename = "d")]
    of: String,
    #[serde(rename = "c")]
    caller: String,
    /// Seconds since 1970.
    #[serde(rename = "e")]
    ends: i64,
}

/// Why a state is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "params.requestState is not one that pilothouse gave, or it was changed: send it as it came, or leave it out to begin anew"
    )]
    NotOurs,
    #[error("params.requestState was given to another caller: leave it out to begin anew")]
    OtherCaller,
    #[error(
        "params.requestState belongs to another request: repeat that one unchanged with its answers, or leave it out to begin anew"
    )]
    OtherRequest,
    #[error("params.requestState is older than an hour: leave it out to begin anew")]
    Expired,
}

impl From<Refusal> for RpcError {
    fn from(refusal: Refusal) -> Self {
        Self::with_data(Self::INVALID_PARAMS, &refusal.to_string(), json!({ "member": "requestState" }))
    }
}

/// Whose request it is: a digest of what must be the same in every round, and one of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    of: String,
    caller: String,
}

impl Bound {
    pub(super) fn to(request: &Request) -> Self {
        let params = Fields::of(request.params.as_deref()).unwrap_or_default();
        let name = params.get_str("name").or_else(|| params.get_str("uri")).unwrap_or_default();
        let server = request.server.to_string();
        let of = match said(params.get("arguments")) {
            Ok(arguments) => json!([server, request.method, name, arguments]),
            // One member more: nothing that could be parsed looks like that.
            Err(text) => json!([server, request.method, name, null, text]),
        };
        let caller = request.client().map(|client| client.caller.fingerprint()).unwrap_or_default();
        Self { of: digest_of(&of.to_string()), caller }
    }
}

/// What these arguments say. Nothing and no arguments are the same; the order of members is nobody's promise.
///
/// # Errors
/// Their text, when they are nested too deeply or have numbers that no type of ours holds: then only the same text says
/// the same.
fn said(arguments: Option<&RawValue>) -> Result<Value, &str> {
    let Some(arguments) = arguments else { return Ok(json!({})) };
    match serde_json::from_str::<Value>(arguments.get()) {
        Ok(Value::Null) => Ok(json!({})),
        Ok(mut value) => {
            value.sort_all_objects();
            Ok(value)
        }
        Err(_) => Err(arguments.get()),
    }
}

fn digest_of(text: &str) -> String {
    hex::encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}

/// # Errors
/// When the system has no random bytes.
pub(super) fn seal(ring: &Ring, inner: Inner, bound: Bound, now: Timestamp) -> Result<String, RpcError> {
    let Bound { of, caller } = bound;
    let envelope = Envelope { inner, of, caller, ends: now.as_second() + LIFETIME_SECONDS };
    let failed = || RpcError::new(RpcError::INTERNAL, "the question cannot be sealed: try again");
    let plain = serde_json::to_vec(&envelope).map_err(|_| failed())?;
    ring.seal(PURPOSE, &plain, now).map_err(|_| failed())
}

fn unsealed(ring: &Ring, sealed: &str, now: Timestamp) -> Result<Envelope, Refusal> {
    let plain = ring.open(PURPOSE, sealed, now).map_err(|_| Refusal::NotOurs)?;
    serde_json::from_slice(&plain).map_err(|_| Refusal::NotOurs)
}

/// # Errors
/// When it is not ours, not this caller's, not this request's, or too old.
pub(super) fn open(ring: &Ring, sealed: &str, bound: &Bound, now: Timestamp) -> Result<Inner, Refusal> {
    let Envelope { inner, of, caller, ends } = unsealed(ring, sealed, now)?;
    if caller != bound.caller {
        return Err(Refusal::OtherCaller);
    }
    if of != bound.of {
        return Err(Refusal::OtherRequest);
    }
    if now.as_second() > ends {
        return Err(Refusal::Expired);
    }
    Ok(inner)
}

/// The replica that holds the call of this state open, if it is one of ours; whose it is is not asked here.
pub(super) fn owner(ring: &Ring, sealed: &str, now: Timestamp) -> Option<String> {
    match unsealed(ring, sealed, now).ok()?.inner {
        Inner::Held { owner, .. } => Some(owner),
        Inner::OfServer(_) | Inner::Urls => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use jiff::{Timestamp, ToSpan};

    use super::{Bound, Inner, Refusal, open, owner, seal};
    use crate::{
        answer::Ring,
        caller::Caller,
        gateway::{Client, Request, Seats, ServerName, wire::Era},
    };

    fn bound(server: &str, params: &str, caller: &Caller) -> Bound {
        let seats = Seats::of(Client::new(caller.clone(), None, None));
        Bound::to(&Request {
            server: ServerName { namespace: "shop".to_owned(), name: server.to_owned() },
            method: "tools/call".to_owned(),
            params: Some(serde_json::value::RawValue::from_string(params.to_owned()).unwrap()),
            era: Era::Modern,
            seats: Some(Arc::new(seats)),
        })
    }

    #[test]
    fn a_state_is_good_for_its_caller_and_request_alone() {
        let (ring, now) = (Ring::random().unwrap(), Timestamp::UNIX_EPOCH);
        let (ann, bob) = (Caller::static_token(), Caller::anonymous());
        let asked = r#"{"name":"buy","arguments":{"a":1,"b":[{"c":2,"d":3}]}}"#;
        let inner = Inner::OfServer("x".to_owned());
        let state = seal(&ring, inner.clone(), bound("one", asked, &ann), now).unwrap();
        let opened = |state: &str, bound: Bound, hours: i64| open(&ring, state, &bound, now + hours.hours());

        let again = r#"{"arguments":{"b":[{"d":3,"c":2}],"a":1},"name":"buy","inputResponses":{}}"#;
        assert_eq!(opened(&state, bound("one", again, &ann), 0), Ok(inner));
        assert_eq!(opened(&state, bound("one", asked, &bob), 0), Err(Refusal::OtherCaller));
        assert_eq!(opened(&state, bound("two", asked, &ann), 0), Err(Refusal::OtherRequest));
        let sells = asked.replace("buy", "sell");
        assert_eq!(opened(&state, bound("one", &sells, &ann), 0), Err(Refusal::OtherRequest));
        let more = asked.replace("\"a\":1", "\"a\":2");
        assert_eq!(opened(&state, bound("one", &more, &ann), 0), Err(Refusal::OtherRequest));
        assert_eq!(opened(&state, bound("one", asked, &ann), 2), Err(Refusal::Expired));
        let changed = format!("{}x", &state[..state.len() - 1]);
        assert_eq!(opened(&changed, bound("one", asked, &ann), 0), Err(Refusal::NotOurs));
        assert_eq!(opened("of another server", bound("one", asked, &ann), 0), Err(Refusal::NotOurs));
    }

    #[test]
    fn arguments_that_cannot_be_parsed_are_told_apart_by_their_text() {
        let ann = Caller::static_token();
        let bound =
            |arguments: &str| bound("one", &format!(r#"{{"name":"buy","arguments":{arguments}}}"#), &ann);
        let deep = |leaf: &str| format!("{}{leaf}{}", r#"{"a":["#.repeat(200), "]}".repeat(200));
        for (one, other) in [
            (r#"{"n":1e999}"#.to_owned(), r#"{"n":2e999}"#.to_owned()),
            (r#"{"s":"\ud800"}"#.to_owned(), r#"{"s":"\udfff"}"#.to_owned()),
            (deep("1"), deep("2")),
        ] {
            assert_eq!(bound(&one), bound(&one), "{one}");
            assert_ne!(bound(&one), bound(&other), "{one}");
            assert_ne!(bound(&one), bound("{}"), "{one}");
            let quoted = serde_json::to_string(&one).unwrap();
            assert_ne!(bound(&one), bound(&quoted), "{one}");
        }
        assert_eq!(bound("null"), bound("{}"));
    }

    #[test]
    fn a_replica_with_the_same_root_sees_who_holds_a_call() {
        let (one, other) = (Ring::with_root(&[7; 32]), Ring::with_root(&[7; 32]));
        let now = Timestamp::UNIX_EPOCH;
        let nobody = || bound("one", "{}", &Caller::anonymous());
        let held = Inner::Held { owner: "pilothouse-1".to_owned(), call: 7, round: 1 };
        let state = seal(&one, held, nobody(), now).unwrap();
        assert_eq!(owner(&other, &state, now).as_deref(), Some("pilothouse-1"));
        let passed = seal(&one, Inner::OfServer("x".to_owned()), nobody(), now).unwrap();
        assert_eq!(owner(&other, &passed, now), None);
    }
}
