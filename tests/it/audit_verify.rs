//! The record of the real program: proven whole by it and by somebody else's verifier, and every fault found.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use pilothouse::{
    audit::{Audit, Call, Line, Object, Outcome, Refusal},
    caller::Caller,
};
use serde_json::{Value, json};

use crate::{
    parts::{client, python_parts},
    program::{Served, command},
};

/// A record of `lines` lines, and an anchor from its middle.
async fn record(data: &Path, lines: usize) -> (PathBuf, String) {
    let audit = Audit::open(data).unwrap();
    let mut anchor = None;
    for number in 1..=lines {
        let line = Line::now(&Caller::process(), "tools/call", &format!("tool-{number}"), "allowed")
            .on(Object::new("Pod", Some("shop"), "web"));
        if number == lines / 2 {
            audit.durable(line).await.unwrap();
            anchor = audit.checkpoint();
        } else {
            audit.queue(line).unwrap();
        }
    }
    audit.close().await.unwrap();
    (audit.path().to_owned(), anchor.unwrap().trailer())
}

fn run(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    command(home.path()).arg("audit").args(arguments).output().unwrap()
}

/// What `verify` says of a whole file.
pub(crate) fn proven(arguments: &[&str]) -> String {
    let output = run(&[&["verify"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says of one that is not.
fn refused(arguments: &[&str]) -> String {
    let output = run(&[&["verify"], arguments].concat());
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    said
}

#[tokio::test]
async fn what_was_done_to_a_file_is_said_with_its_line() {
    let data = tempfile::tempdir().unwrap();
    let (file, _) = record(data.path(), 300).await;
    let path = file.to_str().unwrap();
    assert!(proven(&[path]).contains("is whole: 300 lines, all signed for by pilothouse.dev/audit/"));

    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    let at = good.len() / 2;
    flipped[at] ^= 4;
    let line = good[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    fs::write(&file, &flipped).unwrap();
    let said = refused(&[path]);
    assert!(said.contains(&format!("line {line} was changed")), "{said}");

    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    let mut removed = lines.clone();
    removed.remove(100);
    fs::write(&file, removed.concat()).unwrap();
    let said = refused(&[path]);
    assert!(said.contains("1 line was removed before what is now line 101"), "{said}");

    let mut swapped = lines.clone();
    swapped.swap(7, 8);
    fs::write(&file, swapped.concat()).unwrap();
    let said = refused(&[path]);
    assert!(said.contains("line 8 was written as line 9"), "{said}");

    fs::write(&file, lines[..290].concat()).unwrap();
    let said = refused(&[path]);
    assert!(said.contains("ends after line 290, and 300 lines were signed for"), "{said}");

    fs::write(&file, &good[..good.len() - 20]).unwrap();
    let said = refused(&[path]);
    assert!(said.contains("line 300 is cut off"), "{said}");

    fs::write(&file, &good).unwrap();
    proven(&[path]);
}

#[tokio::test]
async fn an_anchor_is_found_again_and_a_foreign_one_is_not() {
    let data = tempfile::tempdir().unwrap();
    let (file, anchor) = record(data.path(), 20).await;
    let path = file.to_str().unwrap();
    assert!(proven(&["--anchor", &anchor, path]).contains("it contains 1 anchor"));
    let key = fs::read_to_string(file.with_extension("pub")).unwrap();
    proven(&["--anchor", &anchor, "--key", key.trim(), path]);

    let other = tempfile::tempdir().unwrap();
    let (other, _) = record(other.path(), 20).await;
    let said = refused(&["--anchor", &anchor, other.to_str().unwrap()]);
    assert!(said.contains("no given file is"), "{said}");
    proven(&["--anchor", &anchor, other.to_str().unwrap(), path]);

    let wrong = anchor.replacen(" 10 ", " 11 ", 1);
    let said = refused(&["--anchor", &wrong, path]);
    assert!(said.contains("anchor is signed by another key"), "{said}");
    let unsigned = wrong.rsplit_once(' ').unwrap().0;
    let said = refused(&["--anchor", unsigned, path]);
    assert!(said.contains("the first 11 lines") && said.contains("not those of the anchor"), "{said}");
    let said = refused(&["--anchor", "Audit-Checkpoint: nonsense", path]);
    assert!(said.contains("as it stands in the commit"), "{said}");
}

/// PyPI's `aics-tlog`, which has nothing of ours, agrees on the good log and on every leaf it is asked for.
#[tokio::test]
async fn somebody_elses_verifier_agrees() {
    let data = tempfile::tempdir().unwrap();
    let (file, anchor) = record(data.path(), 700).await;
    let verify = |file: &Path| {
        let output = Command::new(python_parts().join("bin/python"))
            .arg(client("tlog.py"))
            .args([file.as_os_str(), anchor.as_ref()])
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (agrees, said) = verify(&file);
    assert!(agrees, "{said}");
    let read: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(read, json!({ "size": 700, "lines": 700, "tiles": 4, "anchor": 350 }));

    // It would not agree on anything.
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replacen("tool-600", "tool-601", 1)).unwrap();
    let (agrees, said) = verify(&file);
    assert!(!agrees && said.contains("line 600"), "{said}");
}

#[tokio::test]
async fn a_call_has_a_line_before_and_one_after_and_both_go_to_stderr() {
    let mut served = Served::start("serve", &["--snapshot", "examples/snapshots/broken-shop"]).await;
    let (text, error) =
        served.call("get_resource", json!({"kind": "Deployment", "namespace": "shop", "name": "web"})).await;
    assert!(!error || text.contains("web"), "{text}");
    let file = served.data.path().join("audit/audit.jsonl");
    let begun = std::time::Instant::now();
    let lines: Vec<Value> = loop {
        let read = fs::read_to_string(&file).unwrap();
        let lines: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if lines.iter().any(|line| line["action"] == "tools/result") {
            break lines;
        }
        assert!(begun.elapsed().as_secs() < 20, "{read}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let call = lines.iter().find(|line| line["action"] == "tools/call").unwrap();
    let result = lines.iter().find(|line| line["action"] == "tools/result").unwrap();
    assert_eq!(call["call"], result["call"]);
    assert_eq!(
        (&call["target"], &call["decision"], &call["proof"]),
        (&json!("get_resource"), &json!("allowed"), &json!("anonymous"))
    );
    assert_eq!(call["objects"], json!([{"kind": "Deployment", "name": "web", "namespace": "shop"}]));
    assert!(result["outcome"]["tokens"].as_u64().unwrap() > 0, "{result}");
    assert!(result["verbs"].as_array().unwrap().contains(&json!("get")), "{result}");

    let metrics = reqwest::get(format!("{}/metrics", served.health)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("pilothouse_audit_checkpoint_size 2"), "{metrics}");
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    let copied = fs::read_to_string(&file).unwrap();
    let said = served.said();
    assert!(copied.lines().all(|line| said.lines().any(|said| said == line)), "{said}");
    assert!(proven(&[file.to_str().unwrap()]).contains("2 lines"));
}

const MORE: usize = 4;

/// A line of every other shape: a result, a change with facts, a refusal at a door, one about ourselves.
async fn more_kinds(data: &Path) {
    let audit = Audit::open(data).unwrap();
    let ann = Caller { user: "ann".to_owned(), groups: vec!["dev".to_owned()], ..Caller::process() };
    let call = Line::now(&ann, "tools/call", "get_logs", "allowed").of_call(&Call::next());
    let left = Outcome { tokens: 12, redactions: 1 };
    audit.outcome(call.result("answered", Some(left)).verbs(["get"])).unwrap();
    let change = Line::now(&ann, "change/push", "Deployment shop/web", "allowed").verbs(["push"]);
    audit.durable(change.with("branch", "pilothouse/1").with("commit", "c0ffee")).await.unwrap();
    audit.queue(Line::own("emergency/escalated", "incident-7", "review is late")).unwrap();
    let why = "a bearer token is required".to_owned();
    let (peer, door) = (Some("203.0.113.7".parse().unwrap()), "/mcp".to_owned());
    audit.refused(Refusal { door, reason: "no-token", why, caller: None, peer });
    audit.close().await.unwrap();
}

/// OCSF's published schema and CloudEvents' own SDK take every line.
#[tokio::test]
async fn a_record_is_exported_in_the_words_of_others() {
    let data = tempfile::tempdir().unwrap();
    let (file, _) = record(data.path(), 6).await;
    more_kinds(data.path()).await;
    let path = file.to_str().unwrap();
    let lines = |output: &Output| -> Vec<Value> {
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let exported = run(&["export", "--format", "ocsf", path]);
    let activities = lines(&exported);
    assert_eq!(activities.len(), 6 + MORE);
    let python = |arguments: &[&str]| {
        let output = Command::new(python_parts().join("bin/python")).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said + &String::from_utf8_lossy(&output.stderr))
    };
    let held_to_schema = |events: &[u8]| {
        let file = data.path().join("ocsf");
        fs::write(&file, events).unwrap();
        python(&[client("ocsf.py").to_str().unwrap(), file.to_str().unwrap()])
    };
    let (agrees, said) = held_to_schema(&exported.stdout);
    assert!(agrees, "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said, json!({ "events": 6 + MORE, "kinds": ["6003 of 1.3.0"] }));
    let text = String::from_utf8(exported.stdout).unwrap();
    let (agrees, said) = held_to_schema(text.replacen("svc_name", "service", 1).as_bytes());
    assert!(!agrees && said.contains("line 1: $.src_endpoint"), "it would not agree on anything: {said}");
    assert_eq!(activities[5]["resources"], json!([{"name": "web", "namespace": "shop", "type": "Pod"}]));

    let exported = run(&["export", "--format", "cloudevents", path]);
    assert_eq!(lines(&exported).len(), 6 + MORE);
    let events = data.path().join("events");
    fs::write(&events, &exported.stdout).unwrap();
    let read = "import sys; from cloudevents.core.formats.json import JSONFormat\n\
                for line in open(sys.argv[1]):\n\
                \u{20}   event = JSONFormat().read(None, line)\n\
                \u{20}   print(event.get_id(), event.get_type(), event.get_subject(), event.get_data()['action'])";
    let (reads, said) = python(&["-c", read, events.to_str().unwrap()]);
    assert!(reads, "{said}");
    let said: Vec<_> = said.lines().collect();
    assert_eq!(said[5], "6 dev.pilothouse.audit.tools.call tool-6 tools/call");
    assert_eq!(said.len(), 6 + MORE);

    fs::write(&file, "{\"seq\":1}\n").unwrap();
    let refused = run(&["export", "--format", "ocsf", path]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("line 1 of"), "{said}");
}
