//! Short names from what something is.

use aws_lc_rs::digest::{SHA256, digest};

/// Twelve hex digits of the SHA-256 of these parts.
pub(super) fn short(parts: &[&str]) -> String {
    let mut text = hex::encode(digest(&SHA256, parts.join("\u{0}").as_bytes()));
    text.truncate(12);
    text
}
