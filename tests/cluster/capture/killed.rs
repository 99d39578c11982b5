//! A process that dies, at any moment, takes no write with it.

use std::{collections::BTreeSet, time::Duration};

use super::{Capturing, stage::SOON};
use crate::support::{kubectl, namespace::Scratch, wait::until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_written_while_nobody_was_there_is_told_at_the_next_start() {
    let scratch = Scratch::new("capture-killed");
    let namespace = scratch.name();
    let data = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| kubectl::run(&[&["-n", namespace], arguments].concat());
    for name in ["a", "b", "c"] {
        run(&["create", "configmap", name, "--from-literal=n=0"]);
    }
    let patch = |name: &str, value: usize| {
        let body = format!("{{\"data\": {{\"n\": \"{value}\"}}}}");
        run(&["patch", "configmap", name, "--type=merge", "-p", &body]);
    };
    // What each process was told, and the values that it saw being written.
    let mut seen = BTreeSet::new();
    let mut value = 0;
    for round in 0..6 {
        // Every second one has nobody who keeps what it tells.
        let capturing = Capturing::start(namespace, data.path(), "", round % 2 == 0).await;
        if round == 0 {
            capturing.follows(namespace).await;
        }
        value += 1;
        patch("a", value);
        // Now or a little later, it dies.
        tokio::time::sleep(Duration::from_millis(150 * round)).await;
        let told = capturing.kill().await;
        seen.extend(
            told.iter()
                .flat_map(|write| &write.fields)
                .filter_map(|field| field.after.clone())
                .map(|after| after.to_string()),
        );
        value += 1;
        patch("b", value);
    }
    run(&["delete", "configmap", "c"]);
    run(&["create", "configmap", "d", "--from-literal=n=0"]);
    let last = Capturing::start(namespace, data.path(), "", true).await;
    let told = until("everything is told", SOON, || async {
        let writes = last.writes();
        let has =
            |what: &str| writes.iter().any(|write| format!("{:?} {}", write.verb, write.object.name) == what);
        ["Update b", "Delete c", "Create d"].iter().all(|what| has(what)).then_some(writes.clone())
    })
    .await;
    seen.extend(
        told.iter()
            .flat_map(|write| &write.fields)
            .filter_map(|field| field.after.clone())
            .map(|after| after.to_string()),
    );
    // Of each object the state that stays was seen to be written, whatever died in between.
    for name in ["a", "b"] {
        let now = run(&["get", "configmap", name, "-o", "jsonpath={.data.n}"]);
        assert!(seen.contains(&format!("\"{now}\"")), "{name} is {now}, seen: {seen:?}");
    }
}
