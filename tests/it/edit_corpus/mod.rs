//! Edits of real files: thousands of random ones in manifests, definitions, charts' values and workflows of well known
//! projects. Each is done right or refused; a parser that is not ours judges. `EDITS_SEED` repeats a run.

mod judge;
mod pick;

use std::{
    collections::BTreeMap,
    panic::catch_unwind,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::Value;

use self::pick::{Edit, KINDS, Random};
use crate::parts;

/// Larger ones are few and generated; each edit parses its file several times.
const LARGEST: u64 = 16 << 10;
const LEAST_FILES: usize = 1_500;
const WORKERS: usize = 2;
/// What is said of a file that we cannot read and others can; each counts as this many edits that were refused, which is
/// what the others have on average.
const UNREAD: &str = "file that we cannot read";
const EDITS_OF_A_FILE: usize = 4;

/// What became of one edit.
enum Outcome {
    /// The whole file after it.
    Done(String),
    Refused(String),
    Panicked,
}

/// One file with the edits that were tried on it.
struct Tried {
    path: PathBuf,
    edits: Vec<(Edit, Outcome)>,
}

#[derive(Default)]
struct Count {
    tried: usize,
    done: usize,
    refused: usize,
    wrong: usize,
    /// The other parser cannot read the file as it was.
    unjudged: usize,
}

/// What became of one file.
enum Read {
    Tried(Tried),
    /// Ours cannot read it.
    Not(PathBuf),
}

#[test]
fn edits_of_real_files_are_right_or_refused() {
    let began = Instant::now();
    let files = files(&parts::corpus().join("files"));
    let seed = std::env::var("EDITS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_122);
    let share = files.len().div_ceil(WORKERS);
    let read: Vec<Read> = std::thread::scope(|scope| {
        let workers: Vec<_> = files
            .chunks(share)
            .map(|files| {
                scope.spawn(move || files.iter().filter_map(|path| try_file(path, seed)).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let edited = began.elapsed();
    let (mut tried, mut unread) = (Vec::new(), Vec::new());
    for file in read {
        match file {
            Read::Tried(file) => tried.push(file),
            Read::Not(path) => unread.push(path),
        }
    }
    let verdicts = judge::all(&tried);
    // What the other parser cannot read either is no YAML.
    let unread = judge::readable(&unread);

    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    let refused = unread.len() * EDITS_OF_A_FILE;
    counts.insert(UNREAD, Count { tried: refused, refused, ..Count::default() });
    for path in &unread {
        eprintln!("cannot be read: {}", path.display());
    }
    let (mut reasons, mut wrong): (BTreeMap<String, usize>, Vec<String>) = Default::default();
    let mut verdicts = verdicts.into_iter();
    for Tried { path, edits } in &tried {
        for (edit, outcome) in edits {
            let count = counts.entry(edit.kind).or_default();
            count.tried += 1;
            let place = || format!("{} document {} {}", path.display(), edit.document, edit.path);
            match outcome {
                Outcome::Refused(why) => {
                    count.refused += 1;
                    *reasons.entry(class(why)).or_default() += 1;
                    if std::env::var_os("EDITS_SHOWN").is_some() {
                        eprintln!("refused: {}: {why}", place());
                    }
                }
                Outcome::Panicked => {
                    count.wrong += 1;
                    wrong.push(format!("{}: panicked", place()));
                }
                Outcome::Done(_) => match verdicts.next().as_deref() {
                    Some("same") => count.done += 1,
                    Some(unread) if unread.starts_with("unread") => count.unjudged += 1,
                    other => {
                        count.wrong += 1;
                        wrong.push(format!("{} to {}: {other:?}", place(), edit.new));
                    }
                },
            }
        }
    }
    print(tried.len(), &counts, &reasons);
    eprintln!(
        "edited in {:.0} s, judged in {:.0} s",
        edited.as_secs_f64(),
        (began.elapsed() - edited).as_secs_f64()
    );

    assert!(tried.len() >= LEAST_FILES, "only {} files were edited", tried.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let (mut tried, mut done, mut unjudged) = (0, 0, 0);
    for count in counts.values() {
        tried += count.tried;
        done += count.done;
        unjudged += count.unjudged;
    }
    assert!(unjudged * 50 < tried, "{unjudged} of {tried} could not be judged");
    assert!(done * 1000 >= (tried - unjudged) * 995, "only {done} of {} were done", tried - unjudged);
}

fn print(files: usize, counts: &BTreeMap<&str, Count>, reasons: &BTreeMap<String, usize>) {
    eprintln!(
        "{files} files\n{:22}{:>8}{:>8}{:>8}{:>8}{:>10}",
        "edit", "tried", "done", "refused", "wrong", "unjudged"
    );
    for kind in KINDS.into_iter().chain([UNREAD]) {
        let Some(Count { tried, done, refused, wrong, unjudged }) = counts.get(kind) else { continue };
        eprintln!("{kind:22}{tried:>8}{done:>8}{refused:>8}{wrong:>8}{unjudged:>10}");
    }
    for (reason, count) in reasons {
        eprintln!("refused {count}: {reason}");
    }
}

/// Refusals alike: without the path they begin with and the names they quote.
fn class(why: &str) -> String {
    let reason = why.split_once("edited safely: ").map_or(why, |(_, reason)| reason);
    reason.chars().take(70).collect()
}

/// All YAML files that are not templates, in one order on every machine.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.unwrap().path();
            let data = std::fs::metadata(&path).unwrap();
            let is_yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
            if data.is_dir() {
                folders.push(path);
            } else if is_yaml && data.len() <= LARGEST {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Nothing for a template, and for what holds no mapping.
fn try_file(path: &Path, seed: u64) -> Option<Read> {
    let text = std::fs::read_to_string(path).ok()?;
    if text.contains("{{") {
        return None;
    }
    let documents: Result<Vec<Value>, _> = serde_saphyr::from_multiple(&text);
    let Ok(documents) = documents else { return Some(Read::Not(path.to_owned())) };
    let documents: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
    let mut random = Random::new(seed, path.file_name()?.to_str()?, text.len());
    let edits = pick::edits(&documents, &mut random);
    let edits: Vec<_> = edits
        .into_iter()
        .map(|edit| {
            let asked = [(edit.path.clone(), edit.new.clone())];
            let made = catch_unwind(|| pilothouse::changes::edited(&text, edit.document, &asked));
            let outcome = match made {
                Ok(Ok(after)) => Outcome::Done(after),
                Ok(Err(why)) => Outcome::Refused(why),
                Err(_) => Outcome::Panicked,
            };
            (edit, outcome)
        })
        .collect();
    (!edits.is_empty()).then(|| Read::Tried(Tried { path: path.to_owned(), edits }))
}
