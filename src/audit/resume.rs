//! The start: takes a file of the record under its lock, looks whether it still is what was signed, and says in a line
//! of the record what was found otherwise. README.md has the cases.

use std::{
    fs::{File, OpenOptions, TryLockError, create_dir_all},
    io::{self, BufRead, BufReader, Read, Seek, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    Line,
    chain::number,
    checkpoint::{Checkpoint, Unsigned},
    files::{self, Sealed},
    journal::{Journal, Standing},
    key::Key,
    place::Place,
    read::{LONGEST_LINE, Lines, Reading},
    tree::Tree,
};

/// More processes than this never share one data folder by intent.
const MOST_FILES: u32 = 64;

/// What the last line of a file says when it is not of a record.
const FOREIGN: &str = "its last line is not one of ours; move the file away";

/// Opens the first file of `folder` that no other process holds.
/// Bytes at which a file is full are `full`.
pub(super) fn open(folder: &Path, full: u64) -> io::Result<Journal> {
    create_dir_all(folder)?;
    if let Some(data) = folder.parent() {
        File::open(data)?.sync_all()?;
    }
    let mut news = Vec::new();
    let begun = Instant::now();
    let mut number = 1;
    while number <= MOST_FILES {
        let place = Place::of(&folder.join(name(number)));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&place.lines)?;
        match lock(&file, begun) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                number += 1;
                continue;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if !files::still_grows(&place.lines, &file)? {
            continue;
        }
        files::settle(&place.lines)?;
        match look(&place, &file)? {
            Ok(sound) => {
                // The folder's entry must survive a crash too, else the first fsynced line could vanish with it.
                File::open(folder)?.sync_all()?;
                return begin(place, file, sound, news, full);
            }
            // Kept as evidence under another name; the same name then begins a new log.
            Err(why) => news.push(aside(folder, &place, &why)?),
        }
    }
    Err(io::Error::other(format!("all {MOST_FILES} files are in use by other processes")))
}

/// A program that this process starts holds the lock too, from its fork until it runs: an instant, in which a file that
/// was just closed must not look like another process's.
const INSTANT: Duration = Duration::from_millis(200);

/// Waits for no longer than that since `begun`, however many files others hold.
fn lock(file: &File, begun: Instant) -> Result<(), TryLockError> {
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < INSTANT => {
                std::thread::sleep(Duration::from_millis(10));
            }
            outcome => return outcome,
        }
    }
}

fn name(number: u32) -> String {
    if number == 1 { "audit.jsonl".to_owned() } else { format!("audit-{number}.jsonl") }
}

/// A log that goes on, and what the record says about its start.
struct Sound {
    key: Key,
    standing: Standing,
    lines: Vec<Line>,
    /// A half-written last line.
    torn: Vec<u8>,
}

/// What a file and what lies beside it turned out to be; or, inside, why this log must not be continued.
fn look(place: &Place, file: &File) -> io::Result<Result<Sound, String>> {
    let key = Key::read(&place.key)?;
    let note = place.checkpoint()?;
    let signed = match (&key, note) {
        (Some(key), Some(note)) => match Checkpoint::parse(&note, key.verifier()) {
            Ok(signed) => Some(signed),
            Err(why @ Unsigned::Signature) => return Ok(Err(format!("its checkpoint: {why}"))),
            // Cut short by the loss of power: as good as none.
            Err(Unsigned::Malformed) => None,
        },
        (None, Some(_)) => return Ok(Err("the key of its checkpoint is gone".to_owned())),
        (_, None) => None,
    };
    let sealed = files::sealed(&place.lines)?;
    let begins = first_number(file)?;
    let lines = match recent(place, file, begins, signed.as_ref().filter(|_| !sealed.is_empty()))? {
        Some(lines) => lines,
        None => whole(&sealed, file, signed.as_ref().map_or(0, Checkpoint::size))?,
    };
    let first = match begins {
        _ if sealed.is_empty() => 1,
        Some(number) => number,
        None => lines.tree.size() + 1,
    };
    if signed.is_none() && !lines.last_is_ours {
        return Err(io::Error::other(FOREIGN));
    }
    let said = match judge(signed.as_ref(), key.is_some(), &lines) {
        Ok(said) => said,
        Err(why) => return Ok(Err(why)),
    };
    let Lines { tree, full, good, torn, root_at: _, follows: _, last_is_ours: _ } = lines;
    let mut again = Vec::new();
    for tile in full {
        if place.tile(&tile.0)?.as_ref() != Some(&tile.1) {
            again.push(tile);
        }
    }
    let key = match key {
        Some(key) => {
            key.show(&place.public)?;
            key
        }
        None => Key::create(&place.key, &place.public)?,
    };
    let file = file_name(place);
    let lines = said.into_iter().map(|line| Line { target: file.clone(), ..line }).collect();
    Ok(Ok(Sound { key, standing: Standing { tree, full: again, good, first }, lines, torn }))
}

/// Reads only the file that grows, on top of what the tiles say of the full ones; `None` when that does not lead to
/// what was signed, and then all must be read. That the full files are still what they were is for `audit verify`.
fn recent(
    place: &Place,
    file: &File,
    begins: Option<u64>,
    signed: Option<&Checkpoint>,
) -> io::Result<Option<Lines>> {
    let Some(signed) = signed else { return Ok(None) };
    // An empty file is begun when all lines before it are signed for.
    let before = begins.map_or(Some(signed.size()), |number| number.checked_sub(1));
    let Some(before) = before.filter(|before| *before <= signed.size()) else { return Ok(None) };
    let Some(tree) = Tree::of_tiles(before, signed.size(), |tile| place.tile(tile))? else { return Ok(None) };
    let mut reading = Reading::behind(tree, signed.size())?;
    reading.file(BufReader::new(file))?;
    let lines = reading.end();
    Ok(Some(lines).filter(|lines| lines.root_at.as_ref() == Some(&signed.point().root)))
}

fn whole(sealed: &[Sealed], mut file: &File, size: u64) -> io::Result<Lines> {
    let mut reading = Reading::behind(Tree::default(), size)?;
    for Sealed { first: _, path } in sealed {
        reading.file(BufReader::new(File::open(path)?))?;
    }
    file.rewind()?;
    reading.file(BufReader::new(file))?;
    Ok(reading.end())
}

/// The number of the first line, when there is one; the file is then read from its beginning again.
fn first_number(mut file: &File) -> io::Result<Option<u64>> {
    let mut text = Vec::new();
    BufReader::new(file).take(LONGEST_LINE).read_until(b'\n', &mut text)?;
    file.rewind()?;
    Ok(if text.pop_if(|end| *end == b'\n').is_some() { number(&text) } else { None })
}

/// Whether the lines are those that were signed, and what the record has to say of them. Pure.
///
/// # Errors
/// Why this log must not be continued.
fn judge(signed: Option<&Checkpoint>, has_key: bool, lines: &Lines) -> Result<Option<Line>, String> {
    let count = lines.tree.size();
    let say = |action, decision| Line::own(action, "", decision).with("to", count.to_string());
    let order = |whole: &str| lines.follows.as_ref().err().map_or(whole.to_owned(), ToString::to_string);
    match signed {
        Some(signed) if count < signed.size() => {
            Err(format!("it has {count} whole lines, and {} were signed for", signed.size()))
        }
        Some(signed) if lines.root_at.as_ref() != Some(&signed.point().root) => {
            Err(format!("its first {} lines are not those that were signed", signed.size()))
        }
        Some(_) if !lines.last_is_ours => Err("its last line is not one of a record".to_owned()),
        Some(signed) if count > signed.size() => {
            let line = say("audit/recovered", "lines behind the last checkpoint were taken in");
            Ok(Some(line.with("from", (signed.size() + 1).to_string())))
        }
        None if count > 0 && has_key => {
            let line = say("audit/recovered", "there was no checkpoint: lines were taken in as they stood");
            Ok(Some(line.with("numbers", order("follow"))))
        }
        None if count > 0 => {
            let line = say("audit/adopted", "lines of before this log was signed were taken in");
            Ok(Some(line.with("chain", order("holds together"))))
        }
        _ => Ok(None),
    }
}

fn begin(place: Place, file: File, sound: Sound, mut news: Vec<Line>, full: u64) -> io::Result<Journal> {
    let Sound { key, standing, lines, torn } = sound;
    news.extend(lines);
    if !torn.is_empty() {
        let kept = keep_torn(&place, &torn)?;
        news.push(Line::own("audit/recovered", &kept, "a half-written last line was set aside"));
    }
    let mut journal = Journal::new(place, file, key, standing, full);
    if !news.is_empty() {
        for line in &news {
            tracing::warn!(file = %journal.path().display(), action = line.action, target = line.target, "{}", line.decision);
        }
        journal.append(&news)?;
    }
    Ok(journal)
}

fn file_name(place: &Place) -> String {
    place.lines.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Keeps the half-written line in a file of its own; returns that file's name.
fn keep_torn(place: &Place, torn: &[u8]) -> io::Result<String> {
    let name = format!("{}.torn-{}", file_name(place), Timestamp::now().as_millisecond());
    let mut file = OpenOptions::new().write(true).create_new(true).open(place.lines.with_file_name(&name))?;
    file.write_all(torn)?;
    file.sync_all()?;
    Ok(name)
}

/// Gives a log that is not what was signed another name; returns what the next one says of it.
fn aside(folder: &Path, place: &Place, why: &str) -> io::Result<Line> {
    let stem = place.lines.file_stem().unwrap_or_default().to_string_lossy();
    let name = format!("{stem}-broken-{}.jsonl", Timestamp::now().as_millisecond());
    let to: PathBuf = folder.join(&name);
    place.rename(&Place::of(&to))?;
    tracing::error!(file = %to.display(), why, "the audit record is not what was signed; it was set aside and a new one begun");
    Ok(Line::own("audit/broken", &name, why))
}
