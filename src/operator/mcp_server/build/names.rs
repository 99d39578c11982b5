//! Names of children of which a server may have several: its name, a readable part of what they are for, and four
//! hex digits that keep them apart.

use aws_lc_rs::digest::{SHA256, digest};

use crate::operator::mcp_server::validate::{Owner, Place};

/// The longest readable part: a claim's name may be a label value elsewhere.
const READABLE: usize = 32;

/// Of the claim that is mounted at `path`.
pub(super) fn claim(owner: &Owner, path: &str) -> String {
    distinct(&owner.name.name, path)
}

/// Of the ExternalSecret for `place`, and of the Secret that it makes.
pub(in crate::operator::mcp_server) fn external(owner: &Owner, place: &Place) -> String {
    let what = match place {
        Place::Env(name) => name,
        Place::File(path) => path,
    };
    distinct(&owner.name.name, what)
}

fn distinct(owner: &str, what: &str) -> String {
    let dashed: String =
        what.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = dashed.split('-').filter(|word| !word.is_empty()).collect();
    let readable: String = words.join("-").chars().take(READABLE).collect();
    let sum = hex::encode(&digest(&SHA256, what.as_bytes()).as_ref()[..2]);
    format!("{owner}-{}-{sum}", readable.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::distinct;

    #[test]
    fn names_are_readable_and_distinct() {
        assert_eq!(distinct("demo", "/data/cache"), "demo-data-cache-ba11");
        assert_ne!(distinct("demo", "API_TOKEN"), distinct("demo", "api-token"));
        let long = distinct("demo", &"x".repeat(500));
        assert!(long.len() < 63, "{long}");
    }
}
