//! The lines of a file as leaves, read in one go.

use std::io::{self, BufRead, Read};

use tlog_tiles::Hash;

use super::{
    chain::{ChainBreak, Follower, is_ours},
    tree::{Filled, Tree, leaf},
};

/// Longer lines are not ours.
const LONGEST_LINE: u64 = 1 << 20;

/// What a file holds.
#[derive(Debug)]
pub(super) struct Lines {
    /// Over all whole lines.
    pub(super) tree: Tree,
    /// All tiles that these lines fill.
    pub(super) full: Vec<Filled>,
    /// Bytes of the whole lines.
    pub(super) good: u64,
    /// What stands behind the last line break.
    pub(super) torn: Vec<u8>,
    /// The root over the first lines, as many as were asked for; `None` when there are fewer.
    pub(super) root_at: Option<Hash>,
    /// What the lines say of their own order.
    pub(super) follows: Result<(), ChainBreak>,
    pub(super) last_is_ours: bool,
}

/// Reads all lines; the root is also taken after `size` of them.
///
/// # Errors
/// When the file cannot be read, or a line is longer than any of ours.
pub(super) fn read(mut file: impl BufRead, size: u64) -> io::Result<Lines> {
    let (mut tree, mut full, mut good) = (Tree::default(), Vec::new(), 0);
    let (mut follower, mut follows) = (Follower::start(), Ok(()));
    let mut root_at = None;
    let (mut text, mut last) = (Vec::new(), Vec::new());
    loop {
        if tree.size() == size {
            root_at = Some(tree.root().map_err(io::Error::other)?);
        }
        text.clear();
        let length = file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text)? as u64;
        if text.pop_if(|end| *end == b'\n').is_none() {
            if length == LONGEST_LINE {
                let line = tree.size() + 1;
                return Err(io::Error::other(format!(
                    "its line {line} is longer than any of ours; move the file away"
                )));
            }
            break;
        }
        full.extend(tree.push(leaf(&text)));
        if follows.is_ok() {
            follows = follower.follow(&text);
        }
        good += length;
        std::mem::swap(&mut text, &mut last);
    }
    let last_is_ours = tree.size() == 0 || is_ours(&last);
    Ok(Lines { tree, full, good, torn: text, root_at, follows, last_is_ours })
}
