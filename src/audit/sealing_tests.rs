//! A log in several files: started anew without reading the full ones, proven whole, and every missing piece found.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Anchor, Audit, Doubt, Fault, Line, Whole, examine,
    files::{full, growing, sealed},
};

/// Bytes of a full file here: some twenty lines.
const SMALL: u64 = 4_000;

fn open(data: &Path) -> Audit {
    Audit::opened(data, None, SMALL).unwrap()
}

/// Writes `lines` lines, each of them a group; the file in which the log grows.
async fn written(data: &Path, lines: usize) -> PathBuf {
    let audit = open(data);
    for number in 0..lines {
        audit.durable(Line::own("change/push", &format!("web-{number}"), "allowed")).await.unwrap();
    }
    audit.close().await.unwrap();
    audit.path().to_owned()
}

fn whole(file: &Path) -> (u64, usize) {
    match examine(file, None, &[]).unwrap() {
        Whole::Signed { lines, files, .. } => (lines, files),
        other => panic!("{other:?}"),
    }
}

fn fault(file: &Path) -> (String, Fault) {
    match examine(file, None, &[]) {
        Err(Doubt::Fault { path, fault }) => {
            (path.file_name().unwrap().to_string_lossy().into_owned(), fault)
        }
        other => panic!("{other:?}"),
    }
}

fn full_files(lines: &Path) -> Vec<PathBuf> {
    sealed(lines).unwrap().into_iter().map(|file| file.path).collect()
}

fn count(file: &Path) -> u64 {
    u64::try_from(fs::read_to_string(file).unwrap().lines().count()).unwrap()
}

#[tokio::test]
async fn a_log_goes_on_in_the_next_file_and_over_restarts() {
    let data = tempfile::tempdir().unwrap();
    let audit = open(data.path());
    audit.durable(Line::own("change/push", "first", "allowed")).await.unwrap();
    let early = Anchor::parse(&audit.checkpoint().unwrap().trailer()).unwrap();
    audit.close().await.unwrap();
    let mut lines = PathBuf::new();
    for _ in 0..10 {
        lines = written(data.path(), 40).await;
    }
    let files = full_files(&lines);
    assert!(files.len() > 10, "{files:?}");
    assert!(files.iter().chain([&lines]).all(|file| fs::metadata(file).unwrap().len() < 2 * SMALL));
    assert_eq!(whole(&lines), (401, files.len() + 1));
    assert_eq!(whole(&files[3]), (401, files.len() + 1), "a full file leads to its log");
    let late = examine(&lines, None, &[early]).unwrap();
    assert!(matches!(late, Whole::Signed { lines: 401, anchors: 1, .. }));
}

#[tokio::test]
async fn a_start_reads_none_of_the_full_files() {
    let data = tempfile::tempdir().unwrap();
    let lines = written(data.path(), 300).await;
    let files = full_files(&lines);
    let kept = tempfile::tempdir().unwrap();
    for file in &files {
        fs::rename(file, kept.path().join(file.file_name().unwrap())).unwrap();
        // Who would read it would find the log broken.
        fs::write(file, "").unwrap();
    }
    written(data.path(), 5).await;
    for file in &files {
        fs::rename(kept.path().join(file.file_name().unwrap()), file).unwrap();
    }
    assert_eq!(whole(&lines).0, 305);
}

#[tokio::test]
async fn without_its_tiles_all_files_are_read_and_what_they_hold_decides() {
    let data = tempfile::tempdir().unwrap();
    let lines = written(data.path(), 300).await;
    let tiles = data.path().join("audit/audit.tlog/tile");
    fs::remove_dir_all(&tiles).unwrap();
    written(data.path(), 1).await;
    assert_eq!(whole(&lines).0, 301, "made again");

    fs::remove_dir_all(&tiles).unwrap();
    let files = full_files(&lines);
    fs::remove_file(&files[1]).unwrap();
    written(data.path(), 1).await;
    assert_eq!(whole(&lines), (2, 1), "a new log, which says of the old one that it is broken");
    let broken = fs::read_dir(data.path().join("audit")).unwrap().map(|entry| entry.unwrap().path());
    let broken = broken.map(|file| growing(&file)).find(|file| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.starts_with("audit-broken-") && name.ends_with(".jsonl")
    });
    assert_eq!(full_files(&broken.unwrap()).len(), files.len() - 1, "all of it moved");
}

#[tokio::test]
async fn a_missing_file_is_found_wherever_it_stood() {
    let data = tempfile::tempdir().unwrap();
    let lines = written(data.path(), 133).await;
    let files = full_files(&lines);
    let mut before = 0;
    for file in &files {
        let aside = file.with_extension("aside");
        let held = count(file);
        fs::rename(file, &aside).unwrap();
        let gone = Fault::Gone { from: before + 1, to: before + held };
        assert_eq!(fault(&lines), ("audit.jsonl".to_owned(), gone));
        fs::rename(&aside, file).unwrap();
        before += held;
    }
    let (last, aside) = (files.last().unwrap(), lines.with_extension("aside"));
    fs::rename(&lines, &aside).unwrap();
    assert!(matches!(examine(&lines, None, &[]), Err(Doubt::Unreadable { .. })));
    fs::write(&lines, "").unwrap();
    if before < 133 {
        assert_eq!(fault(last).1, Fault::Cut { have: before, signed: 133 });
    }
    fs::rename(&aside, &lines).unwrap();

    // What is done within a file is said of that file, by the number that the line has in the log.
    let text = fs::read_to_string(&files[1]).unwrap();
    let (first, second) = (count(&files[0]), "\"allowed\"");
    let mut cut: Vec<&str> = text.lines().collect();
    cut.remove(2);
    fs::write(&files[1], cut.join("\n") + "\n").unwrap();
    let name = files[1].file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(fault(&lines), (name.clone(), Fault::Removed { line: first + 3, count: 1 }));
    fs::write(&files[1], text.replacen(second, "\"refused\"", 1)).unwrap();
    assert_eq!(fault(&lines), (name, Fault::Changed { line: first + 1 }));
    fs::write(&files[1], &text).unwrap();

    // Two files that changed their names.
    fs::rename(&files[1], &aside).unwrap();
    fs::rename(&files[2], &files[1]).unwrap();
    fs::rename(&aside, &files[2]).unwrap();
    assert!(matches!(fault(&lines).1, Fault::Moved { .. }));
}

/// The steps of sealing are link and rename; a crash may come before, between and behind them.
#[tokio::test]
async fn a_crash_while_a_file_is_sealed_loses_and_doubles_nothing() {
    for renamed in [false, true] {
        let data = tempfile::tempdir().unwrap();
        let lines = written(data.path(), 10).await;
        fs::write(lines.with_extension("jsonl.next"), "").unwrap();
        fs::hard_link(&lines, full(&lines, 1)).unwrap();
        if renamed {
            fs::rename(lines.with_extension("jsonl.next"), &lines).unwrap();
        }
        assert_eq!(whole(&lines).0, 10, "also as it stands");
        written(data.path(), 1).await;
        assert_eq!(whole(&lines), (11, if renamed { 2 } else { 1 }));
        assert!(!lines.with_extension("jsonl.next").exists());
        written(data.path(), 60).await;
        assert_eq!(whole(&lines).0, 71);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_sealed_goes_on_growing() {
    let data = tempfile::tempdir().unwrap();
    let lines = written(data.path(), 1).await;
    fs::create_dir(full(&lines, 1)).unwrap();
    written(data.path(), 30).await;
    fs::remove_dir(full(&lines, 1)).unwrap();
    assert_eq!(whole(&lines), (31, 1));
    written(data.path(), 1).await;
    assert_eq!(whole(&lines).0, 32);
    assert_eq!(full_files(&lines).len(), 1);
}
