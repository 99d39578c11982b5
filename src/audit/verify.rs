//! Whether the lines of a file are those that were signed, and where not. Pure.

use std::collections::HashMap;

use tlog_tiles::HASH_SIZE;

/// The hash of one line.
pub(super) type Leaf = [u8; HASH_SIZE];

/// The first place where a file is not what was signed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("line {line} was changed after it was written")]
    Changed { line: u64 },
    #[error("{} removed before what is now line {line}", lines(*.count))]
    Removed { line: u64, count: u64 },
    #[error(
        "the lines {from} to {to} are gone: a file of the log is missing or was cut short; bring all its files along"
    )]
    Gone { from: u64, to: u64 },
    #[error("line {line} was added: nothing was written there")]
    Added { line: u64 },
    #[error("line {line} was written as line {was}: lines were put into another order")]
    Moved { line: u64, was: u64 },
    #[error("line {line} is cut off in its middle, and {signed} lines were signed for")]
    Torn { line: u64, signed: u64 },
    #[error("the file ends after line {have}, and {signed} lines were signed for: the rest was cut off")]
    Cut { have: u64, signed: u64 },
    #[error(
        "the lines from {from} on are not signed for: they were added, or pilothouse ended before it signed them"
    )]
    Unsigned { from: u64 },
    #[error(
        "the first {signed} lines are not those that were signed, and its tiles cannot say which of them: {why}"
    )]
    Somewhere { signed: u64, why: String },
    #[error("the lines are those that were signed, but its tile {tile} is not of them")]
    Tile { tile: String },
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line was".to_owned() } else { format!("{count} lines were") }
}

/// Finds the first difference between what stands in a file and what was written, which both begin at line 1.
/// `torn`: behind the last of the lines stands a piece of another.
pub(super) fn compare(have: &[Leaf], written: &[Leaf], torn: bool) -> Result<(), Fault> {
    let differs = have.iter().zip(written).position(|(have, written)| have != written);
    let Some(at) = differs else { return ends(number(have.len()), number(written.len()), torn) };
    let line = number(at) + 1;
    let places: HashMap<&Leaf, usize> = written.iter().enumerate().map(|(at, leaf)| (leaf, at)).collect();
    let Some(was) = places.get(&have[at]).copied() else {
        // What follows tells an added line from a changed one.
        let added = have.get(at + 1) == Some(&written[at]);
        return Err(if added { Fault::Added { line } } else { Fault::Changed { line } });
    };
    if was > at && !have.contains(&written[at]) {
        return Err(Fault::Removed { line, count: number(was - at) });
    }
    Err(Fault::Moved { line, was: number(was) + 1 })
}

fn ends(have: u64, signed: u64, torn: bool) -> Result<(), Fault> {
    match have.cmp(&signed) {
        std::cmp::Ordering::Less if torn => Err(Fault::Torn { line: have + 1, signed }),
        std::cmp::Ordering::Less => Err(Fault::Cut { have, signed }),
        std::cmp::Ordering::Greater => Err(Fault::Unsigned { from: signed + 1 }),
        std::cmp::Ordering::Equal if torn => Err(Fault::Unsigned { from: signed + 1 }),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Fault, Leaf, compare};
    use crate::audit::tree::leaf;

    fn leaves(names: &str) -> Vec<Leaf> {
        names.chars().map(|name| leaf(name.to_string().as_bytes()).0).collect()
    }

    /// What is said of `have` where `written` stood.
    fn said(have: &str, written: &str) -> Result<(), Fault> {
        compare(&leaves(have), &leaves(written), false)
    }

    #[test]
    fn what_was_written_is_whole() {
        assert_eq!(said("abcdef", "abcdef"), Ok(()));
        assert_eq!(said("", ""), Ok(()));
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        let table = [
            ("abXdef", Fault::Changed { line: 3 }),
            ("abcdeX", Fault::Changed { line: 6 }),
            ("abdef", Fault::Removed { line: 3, count: 1 }),
            ("aef", Fault::Removed { line: 2, count: 3 }),
            ("bcdef", Fault::Removed { line: 1, count: 1 }),
            ("abXcdef", Fault::Added { line: 3 }),
            ("abdcef", Fault::Moved { line: 3, was: 4 }),
            ("afcdeb", Fault::Moved { line: 2, was: 6 }),
            ("abccdef", Fault::Moved { line: 4, was: 3 }),
            ("abcd", Fault::Cut { have: 4, signed: 6 }),
            ("", Fault::Cut { have: 0, signed: 6 }),
            ("abcdefX", Fault::Unsigned { from: 7 }),
        ];
        for (have, fault) in table {
            assert_eq!(said(have, "abcdef"), Err(fault), "{have}");
        }
    }

    #[test]
    fn a_piece_of_a_line_is_told_from_a_missing_one() {
        let (have, written) = (leaves("abc"), leaves("abcdef"));
        assert_eq!(compare(&have, &written, true), Err(Fault::Torn { line: 4, signed: 6 }));
        assert_eq!(compare(&written, &written, true), Err(Fault::Unsigned { from: 7 }));
    }

    #[test]
    fn a_sentence_reads_aloud() {
        let removed = |count| Fault::Removed { line: 3, count }.to_string();
        assert_eq!(removed(1), "1 line was removed before what is now line 3");
        assert_eq!(removed(2), "2 lines were removed before what is now line 3");
    }
}
