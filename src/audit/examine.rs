//! Proves the files of a log whole, with what lies beside them: its verifier key, checkpoint and tiles.

use std::{
    fs::{self, File},
    io::{self, BufReader, ErrorKind},
    path::{Path, PathBuf},
};

use signed_note::{StandardVerifier, Verifier};
use tlog_tiles::{HASH_SIZE, Hash, Tile};

use super::{
    Anchor, ChainBreak,
    chain::check,
    checkpoint::{Checkpoint, Unsigned},
    files::{growing, sealed},
    place::Place,
    read::{Lines, Reading},
    tree::{Filled, HEIGHT, Tree, path},
    verify::{Fault, Leaf, compare},
};

/// How a file proved to be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whole {
    /// All lines are signed for.
    Signed { lines: u64, files: usize, origin: String, anchors: usize },
    /// The older form: each line names the one before, and nobody signed.
    Chained { lines: u64 },
}

/// Why a file is not proven whole.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    #[error("{} cannot be read ({reason}): check the path", path.display())]
    Unreadable { path: PathBuf, reason: io::Error },
    #[error("in {}, {fault}", path.display())]
    Fault { path: PathBuf, fault: Fault },
    #[error("in {}, {broken}", path.display())]
    Chain { path: PathBuf, broken: ChainBreak },
    #[error(
        "{} has no checkpoint ({}): nothing says which lines were signed for; bring the folder along with the file",
        path.display(), checkpoint.display()
    )]
    NoCheckpoint { path: PathBuf, checkpoint: PathBuf },
    #[error("the checkpoint {} is damaged: {why}", path.display())]
    Checkpoint { path: PathBuf, why: String },
    #[error("{} is no verifier key: give the text of the log's .pub file with --key, or bring that file along", path.display())]
    Key { path: PathBuf },
    #[error(
        "the anchor is signed by another key than this log's: the log or its key was replaced, or the anchor is not of it"
    )]
    AnchorKey,
    #[error(
        "the anchor was made at {anchor} lines, and {} has only {lines}: the log was cut back or begun anew since",
        path.display()
    )]
    AnchorAhead { path: PathBuf, anchor: u64, lines: u64 },
    #[error(
        "the first {anchor} lines of {} are not those of the anchor: the log was written anew since",
        path.display()
    )]
    AnchorRoot { path: PathBuf, anchor: u64 },
}

/// The file in which the log of `file` grows; `file` may be one of its full ones.
pub fn log(file: &Path) -> PathBuf {
    growing(file)
}

/// The log that the file is of, by `key` or the verifier key beside it; `None` when there is none.
///
/// # Errors
/// When the key cannot be used.
pub fn origin(file: &Path, key: Option<&str>) -> Result<Option<String>, Doubt> {
    Ok(known_key(&Place::of(file), key)?.map(|key| key.name().to_owned()))
}

/// Proves the log of `file` whole, all files of it. `key`: the verifier key, where it was kept elsewhere; otherwise the one beside the file, which
/// whoever can write there could replace. Each of `anchors` must be a point of the log.
///
/// A log that is being written is read up to its last signed line.
///
/// # Errors
/// The first thing that is wrong, and where.
pub fn examine(file: &Path, key: Option<&str>, anchors: &[Anchor]) -> Result<Whole, Doubt> {
    let place = Place::of(file);
    let Some(key) = known_key(&place, key)? else { return unsigned(&place, anchors) };
    let before = checkpoint(&place, &key)?;
    let bare = read_log(&place.lines, 0)?;
    let files = bare.begins.len();
    let signed = checkpoint(&place, &key)?;
    // Another group may have been signed while the files were read: then the earlier checkpoint is the measure.
    let (signed, growing) = if signed.size() > bare.lines.tree.size() && signed != before {
        (before, true)
    } else {
        (signed, false)
    };
    let lines = lines_as_signed(&place, bare, &signed, growing)?;
    for anchor in anchors {
        held(&place.lines, &key, anchor, lines)?;
    }
    Ok(Whole::Signed { lines, files, origin: signed.origin().to_owned(), anchors: anchors.len() })
}

/// A file that no key belongs to: of the older form, or torn from what proves it.
fn unsigned(place: &Place, anchors: &[Anchor]) -> Result<Whole, Doubt> {
    let file = &place.lines;
    let first = first_line(file)?;
    if !anchors.is_empty() || place.proofs.exists() || !first.contains("\"prev\":") {
        return Err(Doubt::Key { path: place.public.clone() });
    }
    let reader = BufReader::new(open(file)?);
    let lines = check(reader).map_err(|broken| Doubt::Chain { path: file.to_owned(), broken })?;
    Ok(Whole::Chained { lines })
}

/// Compares the lines with what was signed; returns how many that are.
fn lines_as_signed(place: &Place, log: Log, signed: &Checkpoint, growing: bool) -> Result<u64, Doubt> {
    let Log { lines, begins } = log;
    let fault = |fault: Fault| fault_in(&place.lines, &begins, fault);
    let (size, root) = (signed.size(), signed.point().root);
    let torn = !lines.torn.is_empty();
    let root_here = if lines.tree.size() == size {
        lines.tree.root().ok()
    } else {
        read_log(&place.lines, size)?.lines.root_at
    };
    let have = leaves(&lines.full, &lines.tree);
    if root_here == Some(root) {
        let surplus = lines.tree.size() > size || torn;
        if surplus && !growing {
            return Err(fault(Fault::Unsigned { from: size + 1 }));
        }
        tiles_are_of(&lines, size, place).map_err(fault)?;
        return Ok(size);
    }
    let written = written(place, size, root).map_err(|why| {
        // Without its tiles, the numbers of the lines may still say it.
        let told = follows(&lines, size, torn);
        fault(told.unwrap_or(Fault::Somewhere { signed: size, why }))
    })?;
    compare(&have, &written, torn).map_err(fault)?;
    Err(fault(Fault::Somewhere { signed: size, why: "they say the same as the lines".to_owned() }))
}

fn follows(lines: &Lines, signed: u64, torn: bool) -> Option<Fault> {
    let have = lines.tree.size();
    match &lines.follows {
        Err(ChainBreak::Foreign { line }) => Some(Fault::Changed { line: *line }),
        Err(ChainBreak::Number { line, found, .. }) if found > line => {
            Some(Fault::Removed { line: *line, count: found - line })
        }
        Err(ChainBreak::Number { line, found, .. }) => Some(Fault::Moved { line: *line, was: *found }),
        Err(ChainBreak::Hash { before, .. }) => Some(Fault::Changed { line: *before }),
        Err(ChainBreak::Unreadable { .. }) => None,
        Ok(()) if have < signed && torn => Some(Fault::Torn { line: have + 1, signed }),
        Ok(()) if have < signed => Some(Fault::Cut { have, signed }),
        Ok(()) => None,
    }
}

/// The hashes of all lines of a file.
fn leaves(full: &[Filled], tree: &Tree) -> Vec<Leaf> {
    let lowest = full.iter().filter(|(tile, _)| tile.level() == 0).map(|(_, hashes)| hashes.clone());
    let edge = tree.partial().into_iter().filter(|(tile, _)| tile.level() == 0).map(|(_, hashes)| hashes);
    lowest.chain(edge).flat_map(split).collect()
}

fn split(hashes: Vec<u8>) -> Vec<Leaf> {
    hashes.as_chunks::<HASH_SIZE>().0.to_vec()
}

/// The hashes of the first `size` lines as they were written, from the tiles; or why these are of no use.
fn written(place: &Place, size: u64, root: Hash) -> Result<Vec<Leaf>, String> {
    let mut leaves = Vec::new();
    for tile in Tile::new_tiles(HEIGHT, 0, size).iter().filter(|tile| tile.level() == 0) {
        let name = path(tile);
        let hashes = place.tile(tile).map_err(|error| format!("{name}: {error}"))?;
        let hashes = hashes.ok_or_else(|| format!("{name} is missing"))?;
        leaves.extend(split(hashes));
    }
    let mut tree = Tree::default();
    for leaf in &leaves {
        tree.push(Hash(*leaf));
    }
    let sound = tree.size() == size && tree.root().is_ok_and(|made| made == root);
    if sound { Ok(leaves) } else { Err("they were changed too".to_owned()) }
}

/// Whether the tiles on disk, as far as a checkpoint of `size` needs them, are made of these lines.
fn tiles_are_of(lines: &Lines, size: u64, place: &Place) -> Result<(), Fault> {
    for tile in Tile::new_tiles(HEIGHT, 0, size) {
        let is_full = tile.width() == 1 << HEIGHT;
        let wrong = || Fault::Tile { tile: path(&tile) };
        let there = place.tile(&tile).map_err(|_| wrong())?;
        let made = lines.full.iter().find(|(full, _)| *full == tile).map(|(_, hashes)| hashes.clone());
        let made = made.or_else(|| {
            let partial = lines.tree.partial();
            let same =
                |(one, _): &Filled| one.level() == tile.level() && one.level_index() == tile.level_index();
            // Of a tile that has grown since, the beginning.
            let of = lines.full.iter().chain(&partial).find(|filled| same(filled));
            of.map(|(_, hashes)| hashes[..HASH_SIZE * tile.width() as usize].to_vec())
        });
        match there {
            // A partial tile goes when its full one comes.
            None if !is_full && lines.tree.size() > size => {}
            Some(there) if made.as_ref() == Some(&there) => {}
            _ => return Err(wrong()),
        }
    }
    Ok(())
}

/// Whether `anchor` is a point of the log whose first `lines` lines are proven.
fn held(file: &Path, key: &StandardVerifier, anchor: &Anchor, lines: u64) -> Result<(), Doubt> {
    let size = anchor.point.size;
    if !anchor.is_of(key) {
        return Err(Doubt::AnchorKey);
    }
    if size > lines {
        return Err(Doubt::AnchorAhead { path: file.to_owned(), anchor: size, lines });
    }
    let root = read_log(file, size)?.lines.root_at;
    if root == Some(anchor.point.root) {
        Ok(())
    } else {
        Err(Doubt::AnchorRoot { path: file.to_owned(), anchor: size })
    }
}

fn checkpoint(place: &Place, key: &StandardVerifier) -> Result<Checkpoint, Doubt> {
    let path = place.proofs.join("checkpoint");
    let note = place.checkpoint().map_err(|reason| Doubt::Unreadable { path: path.clone(), reason })?;
    let none = || Doubt::NoCheckpoint { path: place.lines.clone(), checkpoint: path.clone() };
    let note = note.ok_or_else(none)?;
    Checkpoint::parse(&note, key)
        .map_err(|why: Unsigned| Doubt::Checkpoint { path: path.clone(), why: why.to_string() })
}

/// The key that was given, or the one beside the file.
fn known_key(place: &Place, given: Option<&str>) -> Result<Option<StandardVerifier>, Doubt> {
    let public = &place.public;
    if let Some(text) = given {
        return parse_key(text, public).map(Some);
    }
    match fs::read_to_string(public) {
        Ok(text) => parse_key(&text, public).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(Doubt::Unreadable { path: public.clone(), reason }),
    }
}

fn parse_key(text: &str, public: &Path) -> Result<StandardVerifier, Doubt> {
    StandardVerifier::new(text.trim()).map_err(|_| Doubt::Key { path: public.to_owned() })
}

fn open(file: &Path) -> Result<File, Doubt> {
    File::open(file).map_err(|reason| Doubt::Unreadable { path: file.to_owned(), reason })
}

/// What the files of a log hold, and with which line each of them begins, in their order.
struct Log {
    lines: Lines,
    begins: Vec<(u64, PathBuf)>,
}

/// Once more when the process that writes the log sealed a file meanwhile.
const TRIES: usize = 5;

fn read_log(lines: &Path, size: u64) -> Result<Log, Doubt> {
    let said = |path: &Path| {
        let path = path.to_owned();
        move |reason| Doubt::Unreadable { path, reason }
    };
    let full = || sealed(lines).map_err(said(lines));
    let mut before = full()?;
    let mut grows = open(lines)?;
    for _ in 0..TRIES {
        let now = full()?;
        if now == before {
            break;
        }
        (before, grows) = (now, open(lines)?);
    }
    let mut begins = Vec::new();
    let mut reading = Reading::behind(Tree::default(), size).map_err(said(lines))?;
    for file in before {
        begins.push((reading.count() + 1, file.path.clone()));
        reading.file(BufReader::new(open(&file.path)?)).map_err(said(&file.path))?;
    }
    begins.push((reading.count() + 1, lines.to_owned()));
    reading.file(BufReader::new(grows)).map_err(said(lines))?;
    Ok(Log { lines: reading.end(), begins })
}

/// Names the file in which `fault` is. Lines that are missing just where a file begins were those of a whole file.
fn fault_in(lines: &Path, begins: &[(u64, PathBuf)], fault: Fault) -> Doubt {
    let line = match &fault {
        Fault::Removed { line, count }
            if begins.len() > 1 && begins.iter().any(|(begin, _)| begin == line) =>
        {
            let fault = Fault::Gone { from: *line, to: line + count - 1 };
            return Doubt::Fault { path: lines.to_owned(), fault };
        }
        Fault::Changed { line }
        | Fault::Removed { line, .. }
        | Fault::Added { line }
        | Fault::Moved { line, .. }
        | Fault::Torn { line, .. } => Some(*line),
        Fault::Gone { .. }
        | Fault::Cut { .. }
        | Fault::Unsigned { .. }
        | Fault::Somewhere { .. }
        | Fault::Tile { .. } => None,
    };
    let of = line.and_then(|line| begins.iter().rfind(|(begin, _)| *begin <= line));
    Doubt::Fault { path: of.map_or(lines, |(_, path)| path.as_path()).to_owned(), fault }
}

fn first_line(file: &Path) -> Result<String, Doubt> {
    let mut line = Vec::new();
    io::BufRead::read_until(&mut BufReader::new(open(file)?), b'\n', &mut line)
        .map_err(|reason| Doubt::Unreadable { path: file.to_owned(), reason })?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}
