//! A disk that takes no more: the record refuses, and works again by itself once there is room.
//!
//! The fault is the kernel's own: a child process (this test binary again) runs under a file size limit, and
//! the parent lifts it while the child goes on.

use std::{
    env, fs,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use pilothouse::{
    audit::{Audit, Line, check},
    caller::Caller,
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use crate::program::{DEADLINE, Piped};

const DATA: &str = "PILOTHOUSE_TEST_FULL_DISK_DATA";
const LIMIT: u64 = 8192;

fn line(target: &str) -> Line {
    Line::now(&Caller::process(), "change/push", target, "allowed")
}

/// The child's half; does nothing when it is run as a test of its own.
#[tokio::test]
async fn under_a_limit() {
    let Some(data) = env::var_os(DATA).map(PathBuf::from) else { return };
    let audit = Audit::open(&data).unwrap();

    let mut accepted: u64 = 0;
    let refused = loop {
        match audit.durable(line(&format!("accepted-{accepted}"))).await {
            Ok(()) => accepted += 1,
            Err(refused) => break refused.to_string(),
        }
        assert!(accepted < 1000, "the limit was never reached");
    };
    assert!(refused.contains("cannot be written") && refused.contains("free the disk"), "{refused}");
    assert!(audit.durable(line("refused")).await.is_err(), "still full");
    assert!(audit.queue(line("refused")).is_err(), "reads are refused too");
    assert_eq!(
        check(fs::read(audit.path()).unwrap().as_slice()).unwrap(),
        accepted,
        "nothing half-written stays"
    );

    eprintln!("FULL {accepted}");
    let deadline = Instant::now() + Duration::from_secs(20);
    // Only queue is asked: the writer must find out by itself that there is room.
    while audit.queue(line("queued-again")).is_err() {
        assert!(Instant::now() < deadline, "the record never came back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    audit.close().await.unwrap();

    let record = fs::read_to_string(audit.path()).unwrap();
    assert_eq!(check(record.as_bytes()).unwrap(), accepted + 2);
    assert!(record.contains("audit/resumed") && record.contains("queued-again"));
    assert!(!record.contains("refused"), "what was refused is not in the record as allowed");
    eprintln!("AGAIN");
}

#[tokio::test]
async fn refuses_until_there_is_room_again() {
    let data = tempfile::tempdir().unwrap();
    let mut child = Command::new("bash")
        // An ignored SIGXFSZ is inherited, so that a write past the limit fails as on a full disk.
        .args([
            "-c",
            "trap '' XFSZ; ulimit -S -f $(($1 / 1024)); shift; exec \"$@\"",
            "-",
            &LIMIT.to_string(),
        ])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "audit_full_disk::under_a_limit", "--nocapture"])
        .env(DATA, data.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut heard = String::new();
    let finished = tokio::time::timeout(Duration::from_secs(40), async {
        while let Some(text) = said.next_line().await.unwrap() {
            heard.push_str(&text);
            heard.push('\n');
            if text.starts_with("FULL") {
                let room = Command::new("prlimit")
                    .args(["--pid", &child.id().unwrap().to_string(), "--fsize=unlimited:"])
                    .status()
                    .await
                    .unwrap();
                assert!(room.success());
            }
        }
        child.wait().await.unwrap()
    })
    .await;
    tokio::io::stderr().write_all(heard.as_bytes()).await.unwrap();
    assert!(finished.unwrap().success(), "{heard}");
    assert!(heard.contains("AGAIN"), "{heard}");
}

/// What a person sees: the tools stop, every answer says why and what to do, and they come back by themselves.
#[test]
fn the_program_refuses_calls_and_says_so() {
    let mut program = Piped::with_a_small_disk(8, &["--snapshot", "examples/snapshots/broken-shop"]);
    let begun = Instant::now();
    let mut call = |refused: bool| loop {
        let answer = program.ask("tools/call", json!({"name": "list_kinds", "arguments": {}}));
        if answer["error"].is_object() == refused {
            return (answer, program.child.id());
        }
        assert!(begun.elapsed() < 2 * DEADLINE, "{answer}");
    };
    let (answer, id) = call(true);
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.starts_with("refused: the audit record in ") && said.contains("free the disk"), "{said}");
    let room = std::process::Command::new("prlimit")
        .args(["--pid", &id.to_string(), "--fsize=unlimited:"])
        .status()
        .unwrap();
    assert!(room.success());
    call(false);
}
