//! What the question of the webhook costs the writes of others, and that nobody waits when nobody answers.
//!
//! `tests/run cluster -- capture::cost --nocapture` prints the figures.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::Stage;
use crate::support::{client, kubectl, namespace::Scratch, witness::Registered};

const WRITES: u32 = 150;

/// One write, and how long it took.
async fn write(of: &Api<ConfigMap>, value: u32) -> Duration {
    let patch = json!({ "data": { "n": value.to_string() } });
    let begun = Instant::now();
    of.patch("counted", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("the write is taken");
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn counted(namespace: &str) -> Api<ConfigMap> {
    kubectl::run(&["-n", namespace, "create", "configmap", "counted", "--from-literal=n=-1"]);
    Api::namespaced(client::admin().await, namespace)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_that_is_asked_about_takes_little_longer() {
    let stage = Stage::new("capture-cost").await;
    let bare = Scratch::new("capture-cost-bare");
    let (asked, bare) = (counted(stage.namespace()).await, counted(bare.name()).await);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    // In turns: what else the machine does is the same for both.
    for value in 0..WRITES {
        with.push(write(&asked, value).await);
        without.push(write(&bare, value).await);
    }
    let (with, without) = (median(with), median(without));
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!(
        "a write: {with:?} with the webhook, {without:?} without, ratio {ratio:.2} (medians of {WRITES})"
    );
    assert!(ratio < 4.0, "{with:?} with the webhook, {without:?} without");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_long_when_nobody_answers() {
    let scratch = Scratch::new("capture-down");
    let namespace = scratch.name();
    let map = counted(namespace).await;
    // Takes calls and says nothing, as a process that hangs; and, once dropped, one that is gone.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://{}", silent.local_addr().expect("an address"));
    let _registered = Registered::new(namespace, &format!("webhook-{namespace}-witness"), &url);
    let mut hung = Duration::ZERO;
    for value in 0..60 {
        hung = hung.max(write(&map, value).await);
        if hung >= Duration::from_millis(900) {
            break;
        }
        // The API server learns of the webhook a moment later.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(hung >= Duration::from_millis(900), "it was never asked: {hung:?}");
    drop(silent);
    let mut gone = Vec::new();
    for value in 100..120 {
        gone.push(write(&map, value).await);
    }
    let gone = median(gone);
    println!("a write: {hung:?} at most while the webhook hangs, {gone:?} while nobody listens");
    assert!(hung < Duration::from_secs(4) && gone < Duration::from_secs(1), "{hung:?} and {gone:?}");
}
