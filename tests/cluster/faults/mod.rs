//! Every fault of `tests/faults` made in the real cluster, then looked at with `diagnose` and scored.
//! `FAULTS=record` writes the table of `tests/faults/README.md` and the recording anew; `FAULTS_ONLY=a,b` takes
//! these cases alone.

#[path = "../../faults/case.rs"]
mod case;
mod condition;
mod recording;
#[path = "../../faults/score.rs"]
mod score;
mod stage;

use std::{
    fs,
    panic::{AssertUnwindSafe, resume_unwind},
    time::{Duration, Instant},
};

use futures::FutureExt;
use pilothouse::{
    answer::{Answer, Budget, Sealer},
    caller::Caller,
    cluster::{ConnectOptions, Contexts, Reader, connect},
    tools::{Parts, Toolbox, standard},
};
use serde_json::{Value, json, value::to_raw_value};

use self::{
    case::Case,
    score::{Score, Verdict},
    stage::Stage,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_diagnosed_and_no_look_alike() {
    let cases = case::all();
    let stage = Stage::new(&cases);
    stage.prepare().await;
    let heart = tokio::spawn(stage::heartbeat());
    let run = AssertUnwindSafe(looked_at(&stage, &cases)).catch_unwind().await;
    heart.abort();
    stage.clear().await;
    run.unwrap_or_else(|panic| resume_unwind(panic));
}

async fn looked_at(stage: &Stage, cases: &[Case]) {
    let started = Instant::now();
    let late = stage.raise(cases).await;
    println!("{} cases are up after {:?}", cases.len(), started.elapsed());

    let reader = reader().await;
    let tools = toolbox(reader.clone());
    let (mut verdicts, mut listings) = (Vec::new(), Vec::new());
    for case in cases {
        let listing = json!({ "kind": "pods", "namespace": case.namespace() });
        listings.push(timed(&tools, "list_resources", &listing).await.1);
        let (answer, took) = timed(&tools, "diagnose", &case.arguments()).await;
        if std::env::var_os("FAULTS_SHOW").is_some() {
            println!("---- {}\n{}", case.name, answer.text);
        }
        verdicts.push(Verdict::of(case, &answer, took));
    }
    let score = Score::new(verdicts, &listings);
    println!("{}", score.table());
    if std::env::var("FAULTS").is_ok_and(|what| what == "record") {
        write_table(&score.table());
        recording::write(&reader, cases).await;
    }
    assert!(late.is_empty(), "these have not happened:\n{}", late.join("\n"));
    assert!(score.holds(), "the bar is not held:\n{}", score.misses().join("\n"));
}

async fn reader() -> Reader {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    connect(&ConnectOptions::default()).await.expect("KUBECONFIG names a cluster").reader
}

fn toolbox(reader: Reader) -> Toolbox {
    let sealer = Sealer::random().expect("random bytes");
    let contexts = Contexts::one(reader);
    standard(Parts {
        contexts,
        fleet: None,
        emergencies: None,
        leader: None,
        changes: None,
        metrics: None,
        gitops: None,
        budget: Budget::DEFAULT,
        sealer,
    })
}

async fn timed(tools: &Toolbox, tool: &str, arguments: &Value) -> (Answer, Duration) {
    let arguments = to_raw_value(arguments).expect("JSON");
    let tool = tools.get(tool).expect("a tool of ours");
    let started = Instant::now();
    let answer = tool.call(&Caller::process(), Some(&arguments)).await;
    (answer, started.elapsed())
}

/// Between the two marks of the README.
fn write_table(table: &str) {
    const MARKS: [&str; 2] = ["<!-- table -->\n", "<!-- end of table -->\n"];
    let path = case::folder().join("README.md");
    let text = fs::read_to_string(&path).expect("the README");
    let (before, rest) = text.split_once(MARKS[0]).expect("the first mark");
    let (_, after) = rest.split_once(MARKS[1]).expect("the second mark");
    fs::write(&path, format!("{before}{}\n{table}\n{}{after}", MARKS[0], MARKS[1])).expect("written");
}
