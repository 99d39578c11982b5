#![no_main]
//! Cursors: no text opens that we did not seal, and whatever a seal of ours holds, reading it ends well.

use std::sync::OnceLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use pilothouse_fuzz::answer::{Cursor, Sealer};

/// For what the cursors are sealed.
const PURPOSE: &str = "cursor";

fn sealer() -> &'static Sealer {
    static SEALER: OnceLock<Sealer> = OnceLock::new();
    SEALER.get_or_init(|| Sealer::with_key(&[7; 32]).expect("a key"))
}

fuzz_target!(|data: &[u8]| {
    let now = Timestamp::UNIX_EPOCH;
    let open = |sealed: &str| Cursor::open(sealed, sealer(), "list pods", "ann", now);
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(open(text).is_err(), "nobody forges a seal");
    }
    let sealed = sealer().seal(PURPOSE, data).expect("random bytes");
    if let Ok(cursor) = open(&sealed) {
        let again = cursor.seal(sealer(), "list pods", "ann").expect("random bytes");
        assert_eq!(open(&again), Ok(cursor));
    }
    // One character of a seal changed, and it is none.
    let at = usize::from(data.first().copied().unwrap_or_default()) % sealed.len();
    let other = if sealed.as_bytes().get(at) == Some(&b'A') { "B" } else { "A" };
    let mut changed = sealed.clone();
    changed.replace_range(at..=at, other);
    assert!(changed.trim() == sealed || sealer().open(PURPOSE, &changed).is_err(), "{sealed} {changed}");
});
