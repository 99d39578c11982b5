//! The one step out (promise P4): what leaves the process passes here.
//!
//! A secret becomes `<redacted:ab12cd>`, six hex digits of an HMAC with a key of this process: equal values
//! stay recognisable as equal, and nothing can be guessed back. Found are values by their shape (tokens, keys,
//! passwords in addresses), by the name beside them (`password=`, `DB_TOKEN`), and by their place (a Secret's
//! data). What has neither shape, name nor place is not found: no scan can promise more.

mod name;
mod object;
mod pattern;
mod raw;
mod visible;

pub use object::{value, values};
pub use raw::{Redacted, raw, scan};
pub use visible::visible;

use std::{borrow::Cow, sync::OnceLock};

use aws_lc_rs::hmac;

/// `text` without the secrets in it. Doing it twice changes nothing more.
pub fn text(text: &str) -> Cow<'_, str> {
    pattern::replace(text)
}

/// Text from the cluster as it may be shown: no secrets, and no characters that a reader cannot see.
pub fn shown(text: &str) -> String {
    pattern::replace(&visible(text)).into_owned()
}

/// What stands in place of `secret`. Placeholders and values that are none stay as they are.
fn token(secret: &str) -> String {
    if name::is_no_value(secret) {
        return secret.to_owned();
    }
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut bytes = [0; 32];
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            tracing::warn!(
                "no random bytes for the redaction key: equal secrets show equal digests everywhere"
            );
        }
        hmac::Key::new(hmac::HMAC_SHA256, &bytes)
    });
    format!("<redacted:{}>", hex::encode(&hmac::sign(key, secret.as_bytes()).as_ref()[..3]))
}

#[cfg(test)]
mod tests;
