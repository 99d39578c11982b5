//! The text of a line, and what the lines of a file say about their own order.
//!
//! A line is `{…,"schema":"pilothouse.dev/audit/v1","seq":N,…}` in canonical JSON, `seq` being its number in the file,
//! from 1. Its bytes without the line break are a leaf of the log. Lines of the older form also carry `prev`, the
//! SHA-256 of the line before, hex; README.md says how their files go on.

use std::io::BufRead;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{Line, canonical::canonical};

/// `prev` of the first line of the older form.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// By this a line is known wherever it is collected.
pub const SCHEMA: &str = "pilothouse.dev/audit/v1";

#[derive(Serialize)]
struct Entry<'a> {
    schema: &'static str,
    seq: u64,
    #[serde(flatten)]
    line: &'a Line,
}

#[derive(Deserialize)]
struct Link {
    seq: u64,
    #[serde(default)]
    prev: Option<String>,
}

/// The text of line number `seq`, without its break.
pub(super) fn text(seq: u64, line: &Line) -> Result<String, serde_json::Error> {
    canonical(&serde_json::to_value(Entry { schema: SCHEMA, seq, line: &line.clean() })?)
}

/// Whether `line` is one of a record, whatever its number.
pub(super) fn is_ours(line: &[u8]) -> bool {
    serde_json::from_slice::<Link>(line).is_ok()
}

/// The number that `line` has by what it says of itself.
pub(super) fn number(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Link>(line).ok().map(|link| link.seq)
}

/// The first place where the lines of a record do not follow each other.
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

/// Follows the lines of one file by what they say of themselves.
#[derive(Debug)]
pub(super) struct Follower {
    count: u64,
    /// The digest that a line of the older form must name.
    prev: Option<String>,
}

impl Follower {
    pub(super) fn start() -> Self {
        Self { count: 0, prev: Some(GENESIS.to_owned()) }
    }

    /// Behind lines of a signed log that were not read here.
    pub(super) fn behind(count: u64) -> Self {
        if count == 0 { Self::start() } else { Self { count, prev: None } }
    }

    /// Takes the next line, without its break.
    pub(super) fn follow(&mut self, text: &[u8]) -> Result<(), ChainBreak> {
        let line = self.count + 1;
        let Link { seq, prev } = serde_json::from_slice(text).map_err(|_| ChainBreak::Foreign { line })?;
        if seq != line {
            return Err(ChainBreak::Number { line, found: seq, expected: line });
        }
        // Once a log was signed no older line follows, and no newer one names its predecessor.
        if prev.is_some() && prev != self.prev {
            return Err(ChainBreak::Hash { line, before: self.count });
        }
        self.prev = prev.map(|_| hex::encode(digest(&SHA256, text)));
        self.count = line;
        Ok(())
    }
}

/// Reads a whole record and returns how many lines it holds, going by what they say of themselves: their numbers, and
/// in the older form their digests. What [`Checkpoint`](super::Checkpoint)s say is [`examine`](super::examine)'s part.
///
/// # Errors
/// The first line that was removed, added or moved, or changed so that it shows. A cut at the very end cannot be seen
/// from the file alone.
pub fn check(record: impl BufRead) -> Result<u64, ChainBreak> {
    let mut follower = Follower::start();
    for text in record.split(b'\n') {
        let line = follower.count + 1;
        let text = text.map_err(|source| ChainBreak::Unreadable { line, source })?;
        follower.follow(&text)?;
    }
    Ok(follower.count)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use aws_lc_rs::digest::{SHA256, digest};

    use super::{ChainBreak, GENESIS, check, text};
    use crate::audit::Line;

    /// Lines as the older form had them.
    pub(in crate::audit) fn older(lines: u64) -> Vec<String> {
        let mut prev = GENESIS.to_owned();
        let one = |number: u64| {
            let text = format!(
                "{{\"seq\":{number},\"prev\":\"{prev}\",\"at\":\"2026-11-21T10:00:00Z\",\"caller\":\"process\",\
                 \"action\":\"tools/call\",\"target\":\"tool-{number}\",\"argumentsDigest\":null,\"decision\":\"allowed\"}}"
            );
            prev = hex::encode(digest(&SHA256, text.as_bytes()));
            text + "\n"
        };
        (1..=lines).map(one).collect()
    }

    fn newer(lines: u64) -> Vec<String> {
        let one = |number: u64| {
            let line = Line::own("tools/call", &format!("tool-{number}"), "allowed");
            text(number, &line).unwrap() + "\n"
        };
        (1..=lines).map(one).collect()
    }

    #[test]
    fn a_line_is_canonical_and_says_what_it_is() {
        let text =
            text(7, &Line::own("tools/call", "get_logs", "allowed").with("b", "1").with("a", "2")).unwrap();
        let at = text.find(r#""at":""#).unwrap();
        let rest = text[at..].split_once(',').unwrap().1;
        assert_eq!(
            rest,
            r#""caller":"pilothouse","decision":"allowed","facts":{"a":"2","b":"1"},"schema":"pilothouse.dev/audit/v1","seq":7,"target":"get_logs"}"#
        );
    }

    #[test]
    fn a_whole_record_holds_together() {
        assert_eq!(check(newer(5).concat().as_bytes()).unwrap(), 5);
        assert_eq!(check(older(5).concat().as_bytes()).unwrap(), 5);
        assert_eq!(check(&b""[..]).unwrap(), 0);
        let mut grown = older(2);
        grown.extend(newer(4).split_off(2));
        assert_eq!(check(grown.concat().as_bytes()).unwrap(), 4);
    }

    #[test]
    fn what_was_done_to_it_is_found() {
        let mut changed = older(4);
        changed[1] = changed[1].replace("tool-2", "tool-9");
        assert!(matches!(check(changed.concat().as_bytes()), Err(ChainBreak::Hash { line: 3, before: 2 })));

        for form in [older, newer] {
            let mut removed = form(4);
            removed.remove(1);
            assert!(matches!(
                check(removed.concat().as_bytes()),
                Err(ChainBreak::Number { line: 2, found: 3, expected: 2 })
            ));

            let mut swapped = form(4);
            swapped.swap(1, 2);
            assert!(matches!(check(swapped.concat().as_bytes()), Err(ChainBreak::Number { line: 2, .. })));

            let cut = form(2).concat();
            assert!(matches!(check(&cut.as_bytes()[..cut.len() - 4]), Err(ChainBreak::Foreign { line: 2 })));
        }
    }
}
