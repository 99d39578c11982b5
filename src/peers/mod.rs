//! The other replicas: requests go to the one that has their session, over one internal port (that of health).
//!
//! README.md says how replicas find and trust each other, and what happens when one is gone.

mod desk;
mod frames;
mod letters;
mod others;

pub use desk::{Desk, Lists};
pub use letters::{Letters, Opened};
pub use others::{Neighbours, Replica};

use aws_lc_rs::hmac;

/// What replicas derive from the token that they share: for `purpose` alone.
pub fn key(shared: &[u8; 32], purpose: &str) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, shared);
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&key, purpose.as_bytes()).as_ref());
    out
}
