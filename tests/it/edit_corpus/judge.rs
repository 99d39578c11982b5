//! The other parser: PyYAML, which reads YAML 1.1 as Kubernetes does.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use serde_json::json;

use super::{Outcome, Tried, WORKERS};
use crate::parts;

/// One verdict for each edit that was done, in their order.
pub(super) fn all(tried: &[Tried]) -> Vec<String> {
    let share = tried.len().div_ceil(WORKERS).max(1);
    std::thread::scope(|scope| {
        let judges: Vec<_> = tried.chunks(share).map(|tried| scope.spawn(|| some(tried))).collect();
        judges.into_iter().flat_map(|judge| judge.join().unwrap()).collect()
    })
}

fn some(tried: &[Tried]) -> Vec<String> {
    let corpus = parts::corpus();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parts/corpus/compare.py");
    let mut judge = Command::new(corpus.join("python/bin/python"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut asked, told) = (judge.stdin.take().unwrap(), judge.stdout.take().unwrap());
    let (verdicts, wanted) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| BufReader::new(told).lines().map(Result::unwrap).collect::<Vec<_>>());
        let mut wanted = 0;
        for Tried { path, edits } in tried {
            for (edit, outcome) in edits {
                let Outcome::Done(after) = outcome else { continue };
                let line = json!({ "file": path, "document": edit.document, "steps": edit.steps,
                    "new": edit.new, "after": after });
                writeln!(asked, "{line}").unwrap();
                wanted += 1;
            }
        }
        drop(asked);
        (reading.join().unwrap(), wanted)
    });
    assert!(judge.wait().unwrap().success(), "the other parser ended early");
    assert_eq!(verdicts.len(), wanted);
    verdicts
}
