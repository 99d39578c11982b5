//! The other parser: PyYAML, which reads YAML 1.1 as Kubernetes does.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
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

/// Those of the files that hold a mapping as Kubernetes reads it: each key once, and values that JSON has.
pub(super) fn readable(files: &[PathBuf]) -> Vec<PathBuf> {
    const SCRIPT: &str = r#"
import sys, yaml

class Strict(yaml.SafeLoader):
    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(keys) != len({(type(key), key) for key in keys}):
            raise yaml.YAMLError("a key stands twice")
        return super().construct_mapping(node, deep)

    def bytes(self, node):
        raise yaml.YAMLError("no value of JSON")

Strict.add_constructor("tag:yaml.org,2002:binary", Strict.bytes)
for path in sys.argv[1:]:
    try:
        with open(path, encoding="utf-8") as file:
            print(any(isinstance(one, dict) for one in list(yaml.load_all(file, Strict))))
    except Exception:
        print(False)
"#;
    let python = parts::corpus().join("python/bin/python");
    let out = Command::new(python).args(["-c", SCRIPT]).args(files).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said = String::from_utf8(out.stdout).unwrap();
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), files.len());
    files.iter().zip(said).filter(|(_, said)| *said == "True").map(|(file, _)| file.clone()).collect()
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
