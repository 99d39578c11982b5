#![no_main]
//! Names as servers choose them: always shown short enough, always the same way, never two as one by cutting alone.

use libfuzzer_sys::fuzz_target;
use pilothouse_fuzz::gateway::{LONGEST, downstream::Prefix, shown};

fuzz_target!(|data: &str| {
    let mut parts = data.splitn(3, '\n');
    let (server, one, other) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let prefix = Prefix::from_name(server);
    assert!(prefix.as_str().len() <= 16);
    assert_eq!(Prefix::parse(prefix.as_str()).as_ref(), Ok(&prefix), "{server}");
    let given = Prefix::parse(server);
    for prefix in [Some(prefix), given.ok()].into_iter().flatten() {
        let (first, second) = (shown(&prefix, one), shown(&prefix, other));
        for (name, original) in [(&first, one), (&second, other)] {
            assert!(name.chars().count() <= LONGEST, "{name}");
            assert!(name.starts_with(prefix.as_str()), "{name}");
            assert_eq!(*name, shown(&prefix, original));
        }
        // A short name can look like a cut one; two that are cut have their own ends.
        let is_cut = |original: &str, name: &str| !name.ends_with(original);
        if one != other && is_cut(one, &first) == is_cut(other, &second) {
            assert_ne!(first, second);
        }
    }
});
