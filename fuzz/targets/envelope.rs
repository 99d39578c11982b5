#![no_main]
//! `requestState` and ids of sessions: forged ones open for nobody, and whatever our seal holds, reading it ends well.

use std::sync::OnceLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use pilothouse_fuzz::{
    answer::{Ring, Sealer},
    caller::Caller,
    gateway::{Request, downstream::ServerName, rounds, wire::Era},
    mcp::sessions,
};
use serde_json::value::RawValue;

fn keys() -> &'static (Ring, Sealer) {
    static KEYS: OnceLock<(Ring, Sealer)> = OnceLock::new();
    KEYS.get_or_init(|| (Ring::with_root(&[7; 32]), Sealer::with_key(&[7; 32]).expect("a key")))
}

fn request(params: Option<Box<RawValue>>) -> Request {
    let server = ServerName { namespace: "shop".to_owned(), name: "one".to_owned() };
    Request { server, method: "tools/call".to_owned(), params, era: Era::Modern, seats: None }
}

fuzz_target!(|data: &[u8]| {
    let (ring, sealer) = keys();
    let now = Timestamp::UNIX_EPOCH;
    let ann = Caller::anonymous();
    let plain = request(None);
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(!rounds::opens(ring, text, &plain, now), "nobody forges a state");
        assert!(!sessions::opens(text, sealer, &ann, now), "nobody forges a session");
        if let Ok(params) = RawValue::from_string(text.to_owned()) {
            bound(ring, params, now);
        }
    }
    let state = ring.seal(rounds::PURPOSE, data, now).expect("random bytes");
    let _ = rounds::opens(ring, &state, &plain, now);
    let id = sealer.seal(sessions::PURPOSE, data).expect("random bytes");
    let _ = sessions::opens(&id, sealer, &ann, now);
});

/// A state belongs to the params it was made for, and to no call with other arguments.
fn bound(ring: &Ring, params: Box<RawValue>, now: Timestamp) {
    let same = request(Some(params.clone()));
    let state = rounds::sealed(ring, "of the server", &same, now).expect("random bytes");
    assert!(rounds::opens(ring, &state, &same, now), "{params}");
    let wrapped = format!(r#"{{"arguments":{{"x":{params}}}}}"#);
    let Ok(wrapped) = RawValue::from_string(wrapped) else { return };
    let other = format!(r#"{{"arguments":{{"x":[{params}]}}}}"#);
    let Ok(other) = RawValue::from_string(other) else { return };
    let state = rounds::sealed(ring, "of the server", &request(Some(wrapped)), now).expect("random bytes");
    assert!(!rounds::opens(ring, &state, &request(Some(other)), now), "{params}");
}
