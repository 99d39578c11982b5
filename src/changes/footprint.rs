//! What an edit may touch: everything outside the lines it is about stays byte by byte, and no comment is lost.

use std::ops::Range;

use yaml_edit::{SyntaxKind, lex};

/// The lines, counted from 0, that an edit may rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Footprint {
    /// Lines are added, none is changed or removed.
    Insert,
    /// Only these lines change; every comment on them stays.
    Rewrite(Range<usize>),
    /// Only these lines change or go, with the comments on them.
    Replace(Range<usize>),
    /// Only these lines change, and of the comments on them only those on `gone` go.
    Join { lines: Range<usize>, gone: Range<usize> },
}

impl Footprint {
    /// Why `after` is more than such an edit of `before`; `None` when it is not.
    pub(super) fn exceeded(&self, before: &str, after: &str) -> Option<&'static str> {
        let (old, new): (Vec<_>, Vec<_>) = (before.split('\n').collect(), after.split('\n').collect());
        let kept = match self {
            Self::Insert => only_inserted(&old, &new),
            Self::Rewrite(lines) | Self::Replace(lines) | Self::Join { lines, gone: _ } => {
                same_outside(&old, &new, lines)
            }
        };
        if !kept {
            return Some("it would have changed lines that have nothing to do with the field");
        }
        let may_go = match self {
            Self::Insert | Self::Rewrite(_) => 0..0,
            Self::Replace(gone) | Self::Join { lines: _, gone } => gone.clone(),
        };
        let kept = comments(before).filter(|(line, _)| !may_go.contains(line)).map(|(_, comment)| comment);
        let mut there = comments(after).map(|(_, comment)| comment);
        for comment in kept {
            if !there.any(|other| other == comment) {
                return Some("it would have lost a comment");
            }
        }
        None
    }
}

fn same_outside(old: &[&str], new: &[&str], lines: &Range<usize>) -> bool {
    let after = old.len().saturating_sub(lines.end);
    new.len() >= lines.start + after
        && old[..lines.start.min(old.len())] == new[..lines.start.min(new.len())]
        && old[old.len() - after..] == new[new.len() - after..]
}

fn only_inserted(old: &[&str], new: &[&str]) -> bool {
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    new.len() >= old.len() && head + tail >= old.len()
}

/// Comments with the line they stand on, counted from 0.
fn comments(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut line = 0;
    lex(text).into_iter().filter_map(move |(kind, token)| {
        let at = line;
        line += token.matches('\n').count();
        (kind == SyntaxKind::COMMENT).then(|| (at, token.trim_end()))
    })
}

#[cfg(test)]
mod tests {
    use super::Footprint;

    const BEFORE: &str = "a: 1 # one\nb: 2\nb2: 2\nc: 3\n";

    #[test]
    fn what_stays_inside_passes() {
        assert_eq!(Footprint::Rewrite(1..2).exceeded(BEFORE, "a: 1 # one\nb: 9\nb2: 2\nc: 3\n"), None);
        assert_eq!(Footprint::Insert.exceeded(BEFORE, "a: 1 # one\nb: 2\nb2: 2\nnew: 1\nc: 3\n"), None);
        assert_eq!(Footprint::Insert.exceeded("a: 1", "a: 1\nb: 2"), None);
        assert_eq!(Footprint::Replace(0..1).exceeded(BEFORE, "b: 2\nb2: 2\nc: 3\n"), None);
        assert_eq!(Footprint::Replace(3..4).exceeded(BEFORE, "a: 1 # one\nb: 2\nb2: 2\n"), None);
    }

    #[test]
    fn what_goes_further_does_not() {
        assert!(Footprint::Rewrite(1..2).exceeded(BEFORE, "a: 1  # one\nb: 9\nb2: 2\nc: 3\n").is_some());
        assert!(Footprint::Rewrite(0..1).exceeded(BEFORE, "a: 9\nb: 2\nb2: 2\nc: 3\n").is_some());
        assert!(Footprint::Insert.exceeded(BEFORE, "a: 1 # one\nb: 9\nb2: 2\nc: 3\n").is_some());
        assert!(Footprint::Replace(0..1).exceeded(BEFORE, "b: 2\nb2: 2\n").is_some());
    }
}
