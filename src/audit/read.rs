//! The lines of a log as leaves, read in one go, file after file.

use std::io::{self, BufRead, Read};

use tlog_tiles::Hash;

use super::{
    chain::{ChainBreak, Follower, is_ours},
    tree::{Filled, Tree, leaf},
};

/// Longer lines are not ours.
pub(super) const LONGEST_LINE: u64 = 1 << 20;

/// What the files of a log hold.
#[derive(Debug)]
pub(super) struct Lines {
    /// Over all whole lines.
    pub(super) tree: Tree,
    /// All tiles that the lines which were read fill.
    pub(super) full: Vec<Filled>,
    /// Bytes of the whole lines of the last file.
    pub(super) good: u64,
    /// What stands behind the last line break.
    pub(super) torn: Vec<u8>,
    /// The root over the first lines, as many as were asked for; `None` when there are fewer.
    pub(super) root_at: Option<Hash>,
    /// What the lines say of their own order.
    pub(super) follows: Result<(), ChainBreak>,
    pub(super) last_is_ours: bool,
}

/// Reads one file of a log after the other.
#[derive(Debug)]
pub(super) struct Reading {
    lines: Lines,
    follower: Follower,
    size: u64,
    last: Option<Vec<u8>>,
}

impl Reading {
    /// Goes on behind the lines of `tree`; the root is also taken after `size` lines.
    ///
    /// # Errors
    /// None that can be met.
    pub(super) fn behind(tree: Tree, size: u64) -> io::Result<Self> {
        let follower = Follower::behind(tree.size());
        let lines = Lines {
            tree,
            full: Vec::new(),
            good: 0,
            torn: Vec::new(),
            root_at: None,
            follows: Ok(()),
            last_is_ours: true,
        };
        let mut reading = Self { lines, follower, size, last: None };
        reading.look()?;
        Ok(reading)
    }

    /// How many lines there are so far.
    pub(super) fn count(&self) -> u64 {
        self.lines.tree.size()
    }

    /// Reads the lines of the next file. A piece of a line at the end of the one before is the beginning of its first.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is longer than any of ours.
    pub(super) fn file(&mut self, mut file: impl BufRead) -> io::Result<()> {
        self.lines.good = 0;
        let mut text = std::mem::take(&mut self.lines.torn);
        loop {
            let length = file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text)? as u64;
            if text.pop_if(|end| *end == b'\n').is_none() {
                if length == LONGEST_LINE {
                    let line = self.count() + 1;
                    return Err(io::Error::other(format!(
                        "its line {line} is longer than any of ours; move the file away"
                    )));
                }
                break;
            }
            let Lines { tree, full, good, follows, .. } = &mut self.lines;
            full.extend(tree.push(leaf(&text)));
            if follows.is_ok() {
                *follows = self.follower.follow(&text);
            }
            *good += length;
            self.look()?;
            let mut spare = self.last.replace(text).unwrap_or_default();
            spare.clear();
            text = spare;
        }
        self.lines.torn = text;
        Ok(())
    }

    fn look(&mut self) -> io::Result<()> {
        if self.lines.tree.size() == self.size {
            self.lines.root_at = Some(self.lines.tree.root().map_err(io::Error::other)?);
        }
        Ok(())
    }

    pub(super) fn end(self) -> Lines {
        let Self { lines, follower: _, size: _, last } = self;
        let last_is_ours = last.is_none_or(|last| is_ours(&last));
        Lines { last_is_ours, ..lines }
    }
}
