//! Where one log is: its file, its key, and the folder with tiles and checkpoint that may be published.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use tlog_tiles::{HASH_SIZE, Tile};

use super::{
    files::{self, Sealed},
    tree::{Filled, HEIGHT, path},
};

/// The files of one log, all named after its lines: `audit.jsonl`, `audit.key`, `audit.pub`, `audit.tlog/`. Of its full
/// files [`files`] knows.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) lines: PathBuf,
    /// Private, mode 0600.
    pub(super) key: PathBuf,
    /// The verifier's half of the key.
    pub(super) public: PathBuf,
    /// `checkpoint` and `tile/…` as C2SP tlog-tiles has them.
    pub(super) proofs: PathBuf,
}

impl Place {
    /// Of the log that `file` is of: the file that grows, or a full one.
    pub(super) fn of(file: &Path) -> Self {
        let lines = files::growing(file);
        let beside = |ending| lines.with_extension(ending);
        Self { lines: lines.clone(), key: beside("key"), public: beside("pub"), proofs: beside("tlog") }
    }

    /// Gives all files of the log another name; those that are not there are no loss.
    pub(super) fn rename(&self, to: &Self) -> io::Result<()> {
        let Self { lines, key, public, proofs } = self;
        let sealed = files::sealed(lines)?;
        // The lines first: after a crash in between, the next start finds a checkpoint without its lines and sets that
        // aside too. The other way round it would take in the lines as if nothing had ever been signed.
        for (from, to) in [(lines, &to.lines), (proofs, &to.proofs), (public, &to.public), (key, &to.key)] {
            match fs::rename(from, to) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        for Sealed { first, path } in sealed {
            fs::rename(path, files::full(&to.lines, first))?;
        }
        Ok(())
    }

    /// The bytes of the checkpoint; `None` when there is none, or nothing in it.
    pub(super) fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(absent(fs::read(self.proofs.join("checkpoint")))?.filter(|note| !note.is_empty()))
    }

    /// Replaces the checkpoint in one step. Not forced to disk: it can be made again from the lines.
    pub(super) fn put_checkpoint(&self, note: &str) -> io::Result<()> {
        self.replace("checkpoint", note.as_bytes(), false)
    }

    /// The hashes in a tile; `None` when it is not there.
    pub(super) fn tile(&self, tile: &Tile) -> io::Result<Option<Vec<u8>>> {
        absent(fs::read(self.proofs.join(path(tile))))
    }

    /// Writes a tile. One that is full is on disk when this returns, and its partial ones, which no checkpoint after
    /// this needs, go.
    pub(super) fn put_tile(&self, (tile, hashes): &Filled) -> io::Result<()> {
        let name = path(tile);
        let is_full = hashes.len() == HASH_SIZE << HEIGHT;
        self.replace(&name, hashes, is_full)?;
        if is_full {
            match fs::remove_dir_all(self.proofs.join(format!("{name}.p"))) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Forces the names and what is behind them to disk, at the end.
    pub(super) fn sync(&self) -> io::Result<()> {
        for path in [self.proofs.join("checkpoint"), self.proofs.clone()] {
            if let Some(file) = absent(File::open(path))? {
                file.sync_all()?;
            }
        }
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8], force: bool) -> io::Result<()> {
        let path = self.proofs.join(name);
        let new = self.proofs.join("new");
        let mut file = match File::create(&new) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(&self.proofs)?;
                File::create(&new)?
            }
            opened => opened?,
        };
        file.write_all(bytes)?;
        if force {
            file.sync_all()?;
        }
        match fs::rename(&new, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.proofs))?;
                fs::rename(&new, &path)
            }
            renamed => renamed,
        }
    }
}

fn absent<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
