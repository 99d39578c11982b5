//! `scaleToZero` with real pods: a server that nobody uses has none, and the first call is answered by a new one.

use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::{apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler, core::v1::Pod};
use kube::{Api, api::ListParams};
use pilothouse::gateway::{Kind, ServerName};
use serde_json::json;

use crate::support::{
    own_operator::solo,
    wait::until,
    whole::{NAME, STARTED, Whole, spec, tool},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_calls_and_it_sleeps_and_the_first_call_is_answered() {
    let scratch = solo("sleep");
    let whole = Whole::start(scratch.name()).await;
    let deployments: Api<Deployment> = Api::namespaced(whole.client.clone(), scratch.name());
    let pods: Api<Pod> = Api::namespaced(whole.client.clone(), scratch.name());
    let replicas = async || deployments.get(NAME).await.ok()?.spec?.replicas;
    let mut sleepy = spec("awake", &json!([tool("look", json!({ "type": "object" }))]));
    sleepy["scaleToZero"] = json!({ "idleAfter": "10s", "wakeTimeout": "60s" });
    whole.create(sleepy).await;
    whole.is_listed("demo_look").await;
    assert_eq!(whole.call("demo_look").await, "awake look");
    let called = Instant::now();

    until("it has no pods", STARTED, || async {
        let none = pods.list(&ListParams::default()).await.ok()?.items.is_empty();
        (none && replicas().await == Some(0)).then_some(())
    })
    .await;
    assert!(called.elapsed() >= Duration::from_secs(10), "too soon: {:?}", called.elapsed());
    assert!(whole.gateway.catalogue().find(Kind::Tool, "demo_look").is_some(), "it stays listed");
    let said = whole.condition_becomes("Available", "Asleep", STARTED).await;
    assert!(said.contains("the first call"), "{said}");
    assert!(whole.condition("Registered").await.starts_with("True"));

    // Several at once: all wait for the same pod.
    let since = Instant::now();
    let answers = join_all((0..3).map(|_| whole.call("demo_look"))).await;
    assert_eq!(answers, ["awake look"; 3], "after {:?}", since.elapsed());
    eprintln!("woken and answered within {:?}", since.elapsed());
    assert_eq!(replicas().await, Some(1));
    whole.condition_becomes("Available", "True", STARTED).await;

    until("it sleeps again", STARTED, || async { (replicas().await == Some(0)).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_wake_says_so_in_time() {
    let scratch = solo("sleep-broken");
    let whole = Whole::start(scratch.name()).await;
    let mut sleepy = spec("awake", &json!([tool("look", json!({ "type": "object" }))]));
    sleepy["scaleToZero"] = json!({ "idleAfter": "10s", "wakeTimeout": "5s" });
    whole.create(sleepy).await;
    whole.is_listed("demo_look").await;
    whole.condition_becomes("Available", "Asleep", STARTED).await;
    let image = "registry.invalid/none:1";
    whole.change(json!({ "image": image })).await;
    let deployments: Api<Deployment> = Api::namespaced(whole.client.clone(), scratch.name());
    until("its pods would be made of another image", STARTED, || async {
        let pod = deployments.get(NAME).await.ok()?.spec?.template.spec?;
        (pod.containers[0].image.as_deref() == Some(image)).then_some(())
    })
    .await;
    let since = Instant::now();
    let said = whole.call("demo_look").await;
    assert!(said.contains("was asleep") && said.contains("within 5s"), "{said}");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    let name = ServerName { namespace: scratch.name().to_owned(), name: NAME.to_owned() };
    assert!(whole.gateway.idle_for(&name).is_some(), "nobody waits any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_with_an_autoscaler_sleeps_and_wakes_and_the_autoscaler_is_left_alone() {
    let scratch = solo("sleep-scaled");
    let whole = Whole::start(scratch.name()).await;
    let deployments: Api<Deployment> = Api::namespaced(whole.client.clone(), scratch.name());
    let scalers: Api<HorizontalPodAutoscaler> = Api::namespaced(whole.client.clone(), scratch.name());
    let replicas = async || deployments.get(NAME).await.ok()?.spec?.replicas;
    let scaler = async || {
        let scaler = scalers.get(NAME).await.expect("the autoscaler is there");
        (scaler.metadata.uid, scaler.metadata.generation, scaler.spec)
    };
    let mut sleepy = spec("awake", &json!([tool("look", json!({ "type": "object" }))]));
    sleepy["scaleToZero"] = json!({ "idleAfter": "10s", "wakeTimeout": "60s" });
    sleepy["autoscaling"] = json!({ "min": 1, "max": 3, "cpu": 80 });
    whole.create(sleepy).await;
    whole.is_listed("demo_look").await;
    let before = scaler().await;
    until("it has no pods", STARTED, || async { (replicas().await == Some(0)).then_some(()) }).await;
    whole.condition_becomes("Available", "Asleep", STARTED).await;
    assert_eq!(scaler().await, before);
    assert_eq!(whole.call("demo_look").await, "awake look");
    assert!(replicas().await.is_some_and(|replicas| (1..=3).contains(&replicas)));
    assert_eq!(scaler().await, before);
    until("it sleeps again", STARTED, || async { (replicas().await == Some(0)).then_some(()) }).await;
}
