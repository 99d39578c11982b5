//! What a user of the record relies on: on disk when `durable` returns, one chain over restarts, nothing lost
//! to a crash without a word, two processes never in one file.

use std::{
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use pilothouse::{
    audit::{Audit, Line, check},
    caller::Caller,
};

fn line(target: &str) -> Line {
    Line::now(&Caller::process(), "tools/call", target, "allowed")
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn holds_together(path: &Path) -> u64 {
    check(fs::read(path).unwrap().as_slice()).unwrap()
}

#[tokio::test]
async fn a_durable_line_is_in_the_file_when_the_call_returns() {
    let data = tempfile::tempdir().unwrap();
    let audit = Audit::open(data.path()).unwrap();
    assert_eq!(audit.path(), data.path().join("audit/audit.jsonl"));

    audit.durable(line("list_kinds").with("branch", "pilothouse/1")).await.unwrap();

    let written = lines(audit.path());
    assert_eq!(written.len(), 1);
    assert_eq!(written[0]["seq"], 1);
    assert_eq!(written[0]["caller"], "process");
    assert_eq!(written[0]["target"], "list_kinds");
    assert_eq!(written[0]["facts"]["branch"], "pilothouse/1");
}

#[tokio::test]
async fn queued_lines_are_there_within_200_ms_and_in_order() {
    let data = tempfile::tempdir().unwrap();
    let audit = Audit::open(data.path()).unwrap();
    let started = Instant::now();
    for number in 0..500 {
        audit.queue(line(&format!("tool-{number}"))).unwrap();
    }
    while fs::read_to_string(audit.path()).unwrap().lines().count() < 500 {
        // The promise is 200 ms; a machine busy with builds gets ten times that before this fails.
        assert!(started.elapsed() < Duration::from_secs(2), "queued lines were not committed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    audit.durable(line("last")).await.unwrap();
    let targets: Vec<_> = lines(audit.path()).iter().map(|line| line["target"].clone()).collect();
    assert_eq!(targets[0], "tool-0");
    assert_eq!(targets[499], "tool-499");
    assert_eq!(targets[500], "last");
    assert_eq!(holds_together(audit.path()), 501);
}

#[tokio::test]
async fn the_chain_goes_on_after_a_restart_and_close_commits_what_waits() {
    let data = tempfile::tempdir().unwrap();
    for run in 0..3 {
        let audit = Audit::open(data.path()).unwrap();
        for number in 0..10 {
            audit.queue(line(&format!("{run}-{number}"))).unwrap();
        }
        audit.close().await.unwrap();
        let refused = audit.queue(line("late")).unwrap_err().to_string();
        assert!(refused.contains("closed"), "{refused}");
        assert!(audit.durable(line("late")).await.is_err());
    }
    assert_eq!(holds_together(&data.path().join("audit/audit.jsonl")), 30);
}

#[tokio::test]
async fn a_half_written_last_line_is_set_aside_and_said() {
    let data = tempfile::tempdir().unwrap();
    let audit = Audit::open(data.path()).unwrap();
    audit.durable(line("before")).await.unwrap();
    let path = audit.path().to_owned();
    audit.close().await.unwrap();
    let half = r#"{"seq":2,"prev":"abc","at":"2026-"#;
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(half.as_bytes()).unwrap();

    let audit = Audit::open(data.path()).unwrap();
    audit.durable(line("after")).await.unwrap();

    let written = lines(&path);
    let actions: Vec<_> = written.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["tools/call", "audit/recovered", "tools/call"]);
    let aside = path.with_file_name(written[1]["target"].as_str().unwrap());
    assert_eq!(fs::read_to_string(aside).unwrap(), half);
    assert_eq!(holds_together(&path), 3);
}

#[tokio::test]
async fn a_file_that_is_not_a_record_is_not_written_over() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("audit");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("audit.jsonl"), "something of somebody else\n").unwrap();
    let refused = Audit::open(data.path()).unwrap_err().to_string();
    assert!(refused.contains("not one of ours"), "{refused}");
    assert_eq!(fs::read_to_string(folder.join("audit.jsonl")).unwrap(), "something of somebody else\n");
}

#[tokio::test]
async fn two_at_once_write_two_files() {
    let data = tempfile::tempdir().unwrap();
    let first = Audit::open(data.path()).unwrap();
    let second = Audit::open(data.path()).unwrap();
    assert_ne!(first.path(), second.path());
    for number in 0..20 {
        first.durable(line(&format!("first-{number}"))).await.unwrap();
        second.durable(line(&format!("second-{number}"))).await.unwrap();
    }
    assert_eq!(holds_together(first.path()), 20);
    assert_eq!(holds_together(second.path()), 20);

    // The first ends: its name is free for the next process, whose lines go on where it stopped.
    first.close().await.unwrap();
    let third = Audit::open(data.path()).unwrap();
    assert_eq!(third.path(), first.path());
    third.durable(line("third")).await.unwrap();
    assert_eq!(holds_together(first.path()), 21);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_said() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("audit"), "a file where the folder should be").unwrap();
    let refused = Audit::open(data.path()).unwrap_err().to_string();
    assert!(refused.contains("--data"), "{refused}");
}
