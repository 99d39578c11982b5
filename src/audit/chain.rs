//! What a line of the record looks like, and how each names the one before it.
//!
//! A line is `{"seq":N,"prev":"<SHA-256 of the previous line's bytes, hex>",...}`; the first has 64 zeros. The
//! bytes without the line break are what is hashed, so a line is a leaf of a Merkle log as it stands.

use std::io::BufRead;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::Line;

/// `prev` of the first line.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where a record ends: what the next line has to say about the ones before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    next: u64,
    prev: String,
}

#[derive(Serialize)]
struct Entry<'a> {
    seq: u64,
    prev: &'a str,
    #[serde(flatten)]
    line: &'a Line,
}

#[derive(Deserialize)]
struct Link {
    seq: u64,
    prev: String,
}

impl Head {
    pub(super) fn start() -> Self {
        Self { next: 1, prev: GENESIS.to_owned() }
    }

    /// The head after `line`, a whole line without its break; `None` when it is not one of ours.
    pub(super) fn after(line: &[u8]) -> Option<Self> {
        let Link { seq, prev: _ } = serde_json::from_slice(line).ok()?;
        Some(Self { next: seq.checked_add(1)?, prev: hash(line) })
    }

    /// The text of the next line with its break, and the head after it.
    pub(super) fn append(&self, line: &Line) -> Result<(String, Self), serde_json::Error> {
        let mut text = serde_json::to_string(&Entry { seq: self.next, prev: &self.prev, line })?;
        let head = Self { next: self.next + 1, prev: hash(text.as_bytes()) };
        text.push('\n');
        Ok((text, head))
    }
}

fn hash(line: &[u8]) -> String {
    hex::encode(digest(&SHA256, line))
}

/// The first place where a record does not hold together.
#[derive(Debug, thiserror::Error)]
pub enum ChainBreak {
    #[error("line {line} of the audit record cannot be read ({source}): check the disk")]
    Unreadable { line: u64, source: std::io::Error },
    #[error("line {line} is not a line of an audit record: it was changed or cut after it was written")]
    Foreign { line: u64 },
    #[error(
        "line {line} has number {found} where {expected} was due: a line was removed, added or moved before it"
    )]
    Number { line: u64, found: u64, expected: u64 },
    #[error("line {line} does not name the line before it: line {before} was changed after it was written")]
    Hash { line: u64, before: u64 },
}

/// Reads a whole record and returns how many lines it holds.
///
/// # Errors
/// The first line that was changed, removed, added or moved. A cut at the very end cannot be seen from the
/// file alone.
pub fn check(record: impl BufRead) -> Result<u64, ChainBreak> {
    let mut head = Head::start();
    let mut count = 0;
    for text in record.split(b'\n') {
        let line = count + 1;
        let text = text.map_err(|source| ChainBreak::Unreadable { line, source })?;
        let link: Link = serde_json::from_slice(&text).map_err(|_| ChainBreak::Foreign { line })?;
        if link.seq != head.next {
            return Err(ChainBreak::Number { line, found: link.seq, expected: head.next });
        }
        if link.prev != head.prev {
            return Err(ChainBreak::Hash { line, before: count });
        }
        head = Head::after(&text).ok_or(ChainBreak::Foreign { line })?;
        count = line;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::{ChainBreak, Head, check};
    use crate::audit::Line;

    fn record(lines: usize) -> Vec<String> {
        let mut head = Head::start();
        let mut texts = Vec::new();
        for number in 0..lines {
            let (text, next) =
                head.append(&Line::own("tools/call", &format!("tool-{number}"), "allowed")).unwrap();
            assert_eq!(Head::after(text.trim_end().as_bytes()), Some(next.clone()));
            head = next;
            texts.push(text);
        }
        texts
    }

    #[test]
    fn a_whole_record_holds_together() {
        assert_eq!(check(record(5).concat().as_bytes()).unwrap(), 5);
        assert_eq!(check(&b""[..]).unwrap(), 0);
    }

    #[test]
    fn what_was_done_to_it_is_found() {
        let mut changed = record(4);
        changed[1] = changed[1].replace("tool-1", "tool-9");
        assert!(matches!(check(changed.concat().as_bytes()), Err(ChainBreak::Hash { line: 3, before: 2 })));

        let mut removed = record(4);
        removed.remove(1);
        assert!(matches!(
            check(removed.concat().as_bytes()),
            Err(ChainBreak::Number { line: 2, found: 3, expected: 2 })
        ));

        let mut swapped = record(4);
        swapped.swap(1, 2);
        assert!(matches!(check(swapped.concat().as_bytes()), Err(ChainBreak::Number { line: 2, .. })));

        let cut = record(2).concat();
        assert!(matches!(check(&cut.as_bytes()[..cut.len() - 4]), Err(ChainBreak::Foreign { line: 2 })));
    }
}
