//! One of all replicas writes.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use pilothouse::operator::{LEASE, Leadership};
use tokio::time::{Instant, timeout};

use crate::support::own_operator::{OwnOperator, TIMING, solo};

const SOON: Duration = Duration::from_secs(10);

async fn leads(operator: &OwnOperator, within: Duration) {
    let mut leadership = operator.leadership.clone();

    let led = timeout(within, leadership.wait_for(|now| *now != Leadership::Following)).await.is_ok();
    assert!(led, "does not lead within {within:?}");
}

fn holds(operator: &OwnOperator) -> bool {
    operator.leadership.borrow().holds_at(Instant::now())
}

async fn lease(client: &Client, namespace: &str) -> Lease {
    let api = Api::<Lease>::namespaced(client.clone(), namespace);
    api.get(LEASE).await.expect("the lease exists")
}

async fn holder(client: &Client, namespace: &str) -> String {
    let spec = lease(client, namespace).await.spec.expect("the lease has a spec");
    spec.holder_identity.unwrap_or_default()
}

#[tokio::test]
async fn a_lease_that_is_given_back_is_taken_at_once() {
    let scratch = solo("lease-back");
    let first = OwnOperator::start(scratch.name(), "first").await;
    leads(&first, SOON).await;
    let second = OwnOperator::start(scratch.name(), "second").await;
    // Longer than the lease lasts: its holder renews it all the time.
    let watched = Instant::now() + TIMING.duration + Duration::from_secs(2);
    while Instant::now() < watched {
        assert!(holds(&first), "the holder lost its lease");
        assert!(!holds(&second), "two replicas lead");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let client = first.client.clone();
    first.stop().await;
    leads(&second, TIMING.renew_every * 4).await;
    assert_eq!(holder(&client, scratch.name()).await, "second");
    let transitions = lease(&client, scratch.name()).await.spec.and_then(|spec| spec.lease_transitions);
    assert_eq!(transitions, Some(2));
    second.stop().await;
    assert_eq!(holder(&client, scratch.name()).await, "", "nobody holds a lease that was given back");
}

#[tokio::test]
async fn the_lease_of_a_dead_replica_is_taken_after_it_expired() {
    let scratch = solo("lease-dead");
    let first = OwnOperator::start(scratch.name(), "first").await;
    leads(&first, SOON).await;
    let second = OwnOperator::start(scratch.name(), "second").await;
    let died = Instant::now();
    first.kill();
    leads(&second, SOON).await;
    let waited = died.elapsed();
    assert!(waited >= TIMING.deadline, "it led after {waited:?}: the dead one might still have been writing");
    second.stop().await;
}

#[tokio::test]
async fn a_replica_whose_lease_is_taken_stops_leading() {
    let scratch = solo("lease-lost");
    let operator = OwnOperator::start(scratch.name(), "first").await;
    leads(&operator, SOON).await;
    let api = Api::<Lease>::namespaced(operator.client.clone(), scratch.name());
    let patch = serde_json::json!({"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 60}});
    let params = kube::api::PatchParams::default();
    api.patch(LEASE, &params, &kube::api::Patch::Merge(&patch)).await.expect("the lease can be taken");
    let mut leadership = operator.leadership.clone();
    // Only whether it came is kept: a borrowed value would hold up the keeper that sets the next.
    let lost = timeout(SOON, leadership.wait_for(|now| *now == Leadership::Following)).await.is_ok();
    assert!(lost, "it still leads");
    assert_eq!(holder(&operator.client, scratch.name()).await, "thief");
    operator.stop().await;
    assert_eq!(
        holder(&api.into_client(), scratch.name()).await,
        "thief",
        "only one's own lease is given back"
    );
}
