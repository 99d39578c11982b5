//! The record as its files show it: what is beside the lines, what a restart makes of it, and every fault found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{Anchor, Audit, Doubt, Fault, Line, Whole, chain::tests::older, examine};

/// The file of a record of `lines` lines, closed.
async fn record(data: &Path, lines: usize) -> PathBuf {
    let audit = Audit::open(data).unwrap();
    for number in 1..=lines {
        audit.queue(Line::own("tools/call", &format!("tool-{number}"), "allowed")).unwrap();
    }
    audit.close().await.unwrap();
    audit.path().to_owned()
}

fn lines_of(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

fn write_lines(file: &Path, lines: &[String]) {
    fs::write(file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

fn fault(file: &Path) -> Fault {
    match examine(file, None, &[]) {
        Err(Doubt::Fault { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

fn whole(file: &Path) -> u64 {
    match examine(file, None, &[]).unwrap() {
        Whole::Signed { lines, .. } => lines,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_record_of_any_size_is_proven_whole() {
    for lines in [1, 255, 256, 257, 600] {
        let data = tempfile::tempdir().unwrap();
        let file = record(data.path(), lines).await;
        assert_eq!(whole(&file), u64::try_from(lines).unwrap());
    }
}

#[tokio::test]
async fn every_fault_is_found_with_its_line() {
    type Spoil = fn(&mut Vec<String>);
    let table: [(&str, Spoil, Fault); 7] = [
        (
            "a bit",
            |lines| lines[299] = lines[299].replacen("tool-300", "tool-301", 1),
            Fault::Changed { line: 300 },
        ),
        ("a line gone", |lines| drop(lines.remove(256)), Fault::Removed { line: 257, count: 1 }),
        ("two swapped", |lines| lines.swap(3, 280), Fault::Moved { line: 4, was: 281 }),
        ("one added", |lines| lines.insert(10, "{\"seq\":11}".to_owned()), Fault::Added { line: 11 }),
        ("the end gone", |lines| lines.truncate(298), Fault::Cut { have: 298, signed: 301 }),
        ("one more", |lines| lines.push(lines[0].clone()), Fault::Unsigned { from: 302 }),
        ("the last changed", |lines| lines[300].push(' '), Fault::Changed { line: 301 }),
    ];
    let data = tempfile::tempdir().unwrap();
    let file = record(data.path(), 301).await;
    let good = lines_of(&file);
    for (name, spoil, expected) in table {
        let mut lines = good.clone();
        spoil(&mut lines);
        write_lines(&file, &lines);
        assert_eq!(fault(&file), expected, "{name}");
    }
    let text = good.join("\n") + "\n";
    fs::write(&file, &text[..text.len() - 9]).unwrap();
    assert_eq!(fault(&file), Fault::Torn { line: 301, signed: 301 });
    fs::write(&file, &text).unwrap();
    assert_eq!(whole(&file), 301);
}

#[tokio::test]
async fn what_was_done_to_the_proofs_is_found_too() {
    let data = tempfile::tempdir().unwrap();
    let file = record(data.path(), 300).await;
    let good = lines_of(&file);
    let tile = data.path().join("audit/audit.tlog/tile/0/000");
    let hashes = fs::read(&tile).unwrap();
    let mut spoilt = hashes.clone();
    spoilt[40] ^= 1;
    fs::write(&tile, &spoilt).unwrap();
    assert_eq!(fault(&file), Fault::Tile { tile: "tile/0/000".to_owned() });

    // Lines and tile changed alike: the tile cannot say where, and the numbers of the lines do not show it.
    let mut lines = good.clone();
    lines[1] = lines[1].replacen("tool-2", "tool-3", 1);
    write_lines(&file, &lines);
    let said = fault(&file).to_string();
    assert!(said.starts_with("the first 300 lines are not those that were signed"), "{said}");
    lines.remove(20);
    write_lines(&file, &lines);
    assert_eq!(fault(&file), Fault::Removed { line: 21, count: 1 });

    write_lines(&file, &good);
    fs::write(&tile, &hashes).unwrap();
    let checkpoint = data.path().join("audit/audit.tlog/checkpoint");
    let note = fs::read_to_string(&checkpoint).unwrap();
    fs::write(&checkpoint, note.replacen("\n300\n", "\n299\n", 1)).unwrap();
    let said = examine(&file, None, &[]).unwrap_err().to_string();
    assert!(said.contains("checkpoint") && said.contains("signature"), "{said}");
    fs::remove_file(&checkpoint).unwrap();
    assert!(matches!(examine(&file, None, &[]), Err(Doubt::NoCheckpoint { .. })));
}

#[tokio::test]
async fn another_key_than_the_one_that_was_kept_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let file = record(data.path(), 3).await;
    let kept = fs::read_to_string(file.with_extension("pub")).unwrap();
    assert!(examine(&file, Some(&kept), &[]).is_ok());
    let other = tempfile::tempdir().unwrap();
    let other = record(other.path(), 3).await;
    assert!(matches!(examine(&other, Some(&kept), &[]), Err(Doubt::Checkpoint { .. })));
}

#[tokio::test]
async fn an_anchor_holds_while_the_log_grows_and_not_when_it_is_written_anew() {
    let data = tempfile::tempdir().unwrap();
    let audit = Audit::open(data.path()).unwrap();
    assert_eq!(audit.checkpoint(), None);
    audit.durable(Line::own("change/push", "first", "allowed")).await.unwrap();
    let trailer = audit.checkpoint().unwrap().trailer();
    assert_eq!(audit.checkpoint().unwrap().size(), 1);
    audit.durable(Line::own("change/push", "second", "allowed")).await.unwrap();
    let second = Anchor::parse(&audit.checkpoint().unwrap().trailer()).unwrap();
    audit.close().await.unwrap();
    let file = record(data.path(), 400).await;
    let anchors = [Anchor::parse(&trailer).unwrap(), second.clone()];
    let origin = anchors[0].origin().to_owned();
    assert_eq!(
        examine(&file, None, &anchors).unwrap(),
        Whole::Signed { lines: 402, files: 1, origin, anchors: 2 }
    );

    // Whoever has the key writes it anew: only the anchor tells.
    let lines = lines_of(&file);
    let key = fs::read(file.with_extension("key")).unwrap();
    fs::remove_dir_all(data.path().join("audit")).unwrap();
    fs::create_dir_all(data.path().join("audit")).unwrap();
    fs::write(file.with_extension("key"), key).unwrap();
    write_lines(&file, &[lines[0].replacen("first", "other", 1), lines[1].clone()]);
    Audit::open(data.path()).unwrap().close().await.unwrap();
    assert_eq!(whole(&file), 3, "two lines and one that says where they came from");
    assert!(matches!(examine(&file, None, &anchors[..1]), Err(Doubt::AnchorRoot { anchor: 1, .. })));

    // And cut back, with the proofs of then.
    let other = tempfile::tempdir().unwrap();
    let other = record(other.path(), 1).await;
    assert!(matches!(examine(&other, None, &[second]), Err(Doubt::AnchorKey)));
}

#[tokio::test]
async fn a_log_that_is_not_what_was_signed_is_kept_as_evidence_and_not_continued() {
    let data = tempfile::tempdir().unwrap();
    let file = record(data.path(), 5).await;
    let mut lines = lines_of(&file);
    lines[2] = lines[2].replacen("allowed", "refused", 1);
    write_lines(&file, &lines);

    assert_eq!(record(data.path(), 1).await, file);
    assert_eq!(whole(&file), 2);
    let first: serde_json::Value = serde_json::from_str(&lines_of(&file)[0]).unwrap();
    assert_eq!(first["action"], "audit/broken");
    let broken = file.with_file_name(first["target"].as_str().unwrap());
    assert_eq!(fault(&broken), Fault::Changed { line: 3 }, "its proofs moved along");
}

#[tokio::test]
async fn lines_that_a_crash_left_unsigned_are_taken_in_and_said() {
    let data = tempfile::tempdir().unwrap();
    let file = record(data.path(), 3).await;
    // As a crash leaves it between the line's fsync and the checkpoint.
    let next = super::chain::text(4, &Line::own("tools/call", "tool-4", "allowed")).unwrap();
    let mut lines = lines_of(&file);
    lines.push(next);
    write_lines(&file, &lines);
    assert_eq!(fault(&file), Fault::Unsigned { from: 4 });

    Audit::open(data.path()).unwrap().close().await.unwrap();
    assert_eq!(whole(&file), 5);
    let last: serde_json::Value = serde_json::from_str(&lines_of(&file)[4]).unwrap();
    assert_eq!((&last["action"], &last["facts"]["from"]), (&"audit/recovered".into(), &"4".into()));
}

#[tokio::test]
async fn tiles_that_a_crash_lost_are_made_again() {
    let data = tempfile::tempdir().unwrap();
    let file = record(data.path(), 300).await;
    fs::remove_dir_all(data.path().join("audit/audit.tlog/tile")).unwrap();
    assert!(matches!(fault(&file), Fault::Tile { .. }));
    Audit::open(data.path()).unwrap().close().await.unwrap();
    assert_eq!(whole(&file), 300, "nothing to say: the lines are those that were signed");
}

#[tokio::test]
async fn a_file_of_the_older_form_goes_on_as_a_signed_one() {
    for (spoil, chain) in [(false, "holds together"), (true, "line 3 does not name the line before it")] {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("audit/audit.jsonl");
        fs::create_dir(data.path().join("audit")).unwrap();
        let mut lines = older(4);
        if spoil {
            lines[1] = lines[1].replace("tool-2", "tool-9");
        }
        fs::write(&file, lines.concat()).unwrap();
        let before = examine(&file, None, &[]);
        assert_eq!(before.ok(), (!spoil).then_some(Whole::Chained { lines: 4 }));

        record(data.path(), 2).await;
        assert_eq!(whole(&file), 7);
        let adopted: serde_json::Value = serde_json::from_str(&lines_of(&file)[4]).unwrap();
        assert_eq!(adopted["action"], "audit/adopted");
        assert!(adopted["facts"]["chain"].as_str().unwrap().starts_with(chain), "{adopted}");
        assert!(fs::read_to_string(&file).unwrap().starts_with(&lines.concat()), "as they stand");
    }
}

#[tokio::test]
async fn proofs_that_cannot_be_written_refuse_calls_until_they_can() {
    let data = tempfile::tempdir().unwrap();
    let audit = Audit::open(data.path()).unwrap();
    audit.durable(Line::own("a", "first", "allowed")).await.unwrap();
    let proofs = data.path().join("audit/audit.tlog");
    fs::remove_dir_all(&proofs).unwrap();
    fs::write(&proofs, "in the way").unwrap();
    let refused = audit.durable(Line::own("a", "second", "allowed")).await.unwrap_err().to_string();
    assert!(refused.contains("its checkpoint"), "{refused}");
    assert!(audit.queue(Line::own("a", "third", "allowed")).is_err());
    audit.outcome(Line::own("a", "first", "answered")).unwrap();
    assert!(audit.figures().failures >= 1);
    fs::remove_file(&proofs).unwrap();
    let begun = Instant::now();
    while audit.queue(Line::own("a", "fourth", "allowed")).is_err() {
        assert!(begun.elapsed().as_secs() < 20, "never again");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    audit.close().await.unwrap();
    // first, second (on disk, its action refused), the outcome, resumed, fourth
    assert_eq!(whole(audit.path()), 5);
    assert_eq!((audit.figures().written, audit.figures().signed), (5, 5));
}

/// Prints what a line costs the thread that queues it, and one durable line; nothing is asserted of it.
#[tokio::test]
async fn what_a_line_costs() {
    let data = tempfile::tempdir().unwrap();
    let audit = Audit::open(data.path()).unwrap();
    let caller = crate::caller::Caller::process();
    let begun = Instant::now();
    for _ in 0..4_000 {
        audit.queue(Line::now(&caller, "tools/call", "get_resource", "allowed")).unwrap();
    }
    let queued = begun.elapsed() / 4_000;
    audit.durable(Line::now(&caller, "change/push", "web", "allowed")).await.unwrap();
    let begun = Instant::now();
    for _ in 0..20 {
        audit.durable(Line::now(&caller, "change/push", "web", "allowed")).await.unwrap();
    }
    let durable = begun.elapsed() / 20;
    let line = Line::now(&caller, "tools/call", "get_resource", "allowed");
    let begun = Instant::now();
    for number in 1..=4_000 {
        super::tree::leaf(super::chain::text(number, &line).unwrap().as_bytes());
    }
    let written = begun.elapsed() / 4_000;
    // The search for secrets was the calling thread's part before it became the writer's.
    let begun = Instant::now();
    for _ in 0..4_000 {
        std::hint::black_box(crate::redact::text(&line.target));
    }
    let searched = begun.elapsed() / 4_000;
    eprintln!(
        "a line costs its caller {queued:?} (a search for secrets, which it is spared: {searched:?}), \
         the writer {written:?}; durable: {durable:?}"
    );
}
