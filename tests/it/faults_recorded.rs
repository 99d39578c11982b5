//! The faults of `tests/faults` as they were recorded: the same judgement as on the cluster, without one.

// What only the cluster test reads of a case.
#[allow(dead_code)]
#[path = "../faults/case.rs"]
mod case;
#[path = "../faults/score.rs"]
mod score;

use std::time::Instant;

use pilothouse::caller::Caller;
use serde_json::value::to_raw_value;

use crate::recorded_shop::tools_on;
use score::{Score, Verdict};

#[tokio::test]
async fn recorded_faults_are_diagnosed_and_no_look_alike() {
    let tools = tools_on(&case::folder().join("recording"));
    let diagnose = tools.get("diagnose").unwrap();
    let mut verdicts = Vec::new();
    for case in case::all().iter().filter(|case| case.head.unrecorded.is_none()) {
        let arguments = to_raw_value(&case.arguments()).unwrap();
        let started = Instant::now();
        let answer = diagnose.call(&Caller::process(), Some(&arguments)).await;
        if std::env::var_os("FAULTS_SHOW").is_some() {
            eprintln!("---- {}\n{}", case.name, answer.text);
        }
        verdicts.push(Verdict::of(case, &answer, started.elapsed()));
    }
    let score = Score::new(verdicts, &[]);
    eprintln!("{}", score.table());
    assert!(score.holds(), "the bar is not held:\n{}", score.misses().join("\n"));
}
