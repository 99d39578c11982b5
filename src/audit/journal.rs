//! The file of the record: its tree continued, lines appended and fsynced, what proves them published.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use super::{
    Line,
    chain::text,
    checkpoint::{Checkpoint, Point},
    files,
    key::Key,
    place::Place,
    tree::{Filled, Tree, leaf},
};

/// Holds the file's lock as long as it lives.
#[derive(Debug)]
pub(super) struct Journal {
    place: Place,
    file: File,
    key: Key,
    /// Over the lines that are whole on disk.
    tree: Tree,
    /// Full tiles that are not on disk yet.
    full: Vec<Filled>,
    /// The widths of the partial tiles that were written last, a level each.
    partial: Vec<usize>,
    /// What is known to be whole on disk; after a failure everything past it is cut before the next write.
    good: u64,
    torn: bool,
    /// The number of the first line of this file.
    first: u64,
    /// Bytes of a file that is full.
    limit: u64,
    /// Bytes at which this one is sealed.
    seal_at: u64,
}

/// What stands on disk when a journal begins its work.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) tree: Tree,
    pub(super) full: Vec<Filled>,
    /// Bytes of whole lines in the file that grows.
    pub(super) good: u64,
    /// The number that the first line of that file has, or will have.
    pub(super) first: u64,
}

impl Journal {
    /// Goes on behind what stands in `file`, which must be locked; what stands behind the whole lines is cut off by
    /// the next write.
    /// A file of `limit` bytes is full.
    pub(super) fn new(place: Place, file: File, key: Key, standing: Standing, limit: u64) -> Self {
        let Standing { tree, full, good, first } = standing;
        let (partial, torn, seal_at) = (Vec::new(), true, limit);
        Self { place, file, key, tree, full, partial, good, torn, first, limit, seal_at }
    }

    pub(super) fn path(&self) -> &Path {
        &self.place.lines
    }

    /// Appends the lines and fsyncs once: all of them are on disk, or none counts. Returns their texts.
    pub(super) fn append(&mut self, lines: &[Line]) -> io::Result<Vec<String>> {
        let (mut tree, mut full) = (self.tree.clone(), Vec::new());
        let mut texts = Vec::with_capacity(lines.len());
        for line in lines {
            let text = text(tree.size() + 1, line)?;
            full.extend(tree.push(leaf(text.as_bytes())));
            texts.push(text + "\n");
        }
        let bytes = texts.concat();
        if self.torn {
            self.file.set_len(self.good)?;
        }
        self.torn = true;
        self.file.seek(SeekFrom::Start(self.good))?;
        let written = self.file.write_all(bytes.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What stands there now must not be taken for a record of something that was refused.
            self.torn = self.file.set_len(self.good).is_err();
            return Err(error);
        }
        self.torn = false;
        self.good += bytes.len() as u64;
        self.tree = tree;
        self.full.extend(full);
        Ok(texts)
    }

    /// Signs for all lines so far; nothing is written. `None` while there is no line.
    pub(super) fn sign(&self) -> io::Result<Option<Checkpoint>> {
        let size = self.tree.size();
        if size == 0 {
            return Ok(None);
        }
        let root = self.tree.root().map_err(io::Error::other)?;
        self.key.sign(Point { origin: self.key.origin().to_owned(), size, root }).map(Some)
    }

    /// Puts what proves the lines beside them: the tiles first, then the checkpoint that relies on them.
    pub(super) fn publish(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        while let Some(tile) = self.full.first() {
            self.place.put_tile(tile)?;
            self.full.remove(0);
        }
        let partial = self.tree.partial();
        let levels = partial.iter().map(|(tile, _)| usize::from(tile.level()) + 1).max().unwrap_or(0);
        let mut widths = vec![0; levels];
        for tile in &partial {
            let level = usize::from(tile.0.level());
            widths[level] = tile.1.len();
            // Upper levels stand still for hundreds of lines; the lowest changes with each.
            if level == 0 || self.partial.get(level) != Some(&tile.1.len()) {
                self.place.put_tile(tile)?;
            }
        }
        self.partial = widths;
        self.place.put_checkpoint(checkpoint.note())
    }

    /// Goes on in a new file when this one is full; for when what was signed is published. What proves the lines is on
    /// disk before, so that the next start need not read the full file.
    ///
    /// # Errors
    /// When that cannot be done: this file then goes on growing, and the next try is one file's length later.
    pub(super) fn seal_when_full(&mut self) -> io::Result<()> {
        if self.good < self.seal_at || self.tree.size() < self.first {
            return Ok(());
        }
        self.seal_at = self.good + self.limit;
        self.place.sync()?;
        self.file = files::seal(&self.place.lines, self.first)?;
        (self.good, self.torn) = (0, false);
        (self.first, self.seal_at) = (self.tree.size() + 1, self.limit);
        Ok(())
    }

    /// Forces what proves the lines to disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.place.sync()
    }
}
