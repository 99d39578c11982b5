//! Acquires, renews and gives back the Lease, and publishes whether we lead.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Decision, Leadership, Seen, Timing, evaluate};

/// Owns the Lease's state; one task runs it.
pub(crate) struct Keeper {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    seen: Option<Seen>,
    leadership: watch::Sender<Leadership>,
}

impl Keeper {
    /// `identity` must be this process's alone. The Lease is made when it does not exist.
    pub(crate) fn new(client: Client, namespace: &str, name: &str, identity: &str, timing: Timing) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            timing,
            seen: None,
            leadership: watch::Sender::default(),
        }
    }

    pub(crate) fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    /// Keeps the Lease until `cancel`, then gives it back. Everything that writes must have stopped before
    /// `cancel`.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        loop {
            let next = self.step().await;
            tokio::select! {
                () = cancel.cancelled() => break,
                () = self.pause_until(next) => {}
            }
        }
        self.give_back().await;
    }

    /// Sleeps, and stops leading on time when no renewal came through.
    async fn pause_until(&self, next: Instant) {
        // Copied first: the borrow must not live across the wait.
        let leadership = *self.leadership.borrow();
        if let Leadership::Leading { until } = leadership
            && until < next
        {
            sleep_until(until).await;
            self.stop_leading("the lease could not be renewed in time");
        }
        sleep_until(next).await;
    }

    /// One read and, where it is ours to write, one write. Answers when to come again.
    async fn step(&mut self) -> Instant {
        let started = Instant::now();
        // A request that hangs must not outlive the deadline it would have moved.
        let patience = self.timing.deadline / 2;
        let outcome = match timeout(patience, self.attempt(started)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Slow(patience)),
        };
        match outcome {
            Ok(next) => next,
            Err(failure) => {
                tracing::warn!(lease = %self.name, error = %failure, "the lease could not be read or written, trying again");
                if !self.leadership.borrow().holds_at(Instant::now()) {
                    self.stop_leading("the lease could not be renewed in time");
                }
                started + self.timing.renew_every / 2
            }
        }
    }

    async fn attempt(&mut self, started: Instant) -> Result<Instant, Failure> {
        self.read().await?;
        match evaluate(self.seen.as_ref(), &self.identity, Instant::now()) {
            Decision::WaitUntil(expires) => {
                self.stop_leading("another replica holds the lease");
                Ok(expires.min(started + self.timing.look_every))
            }
            Decision::Acquire | Decision::Renew => {
                if self.write(Holder::Us).await? {
                    self.lead_until(started + self.timing.deadline);
                    Ok(started + self.timing.renew_every)
                } else {
                    // Another replica was faster: look again at once.
                    Ok(Instant::now())
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let lease = self.api.get_opt(&self.name).await?;
        self.remember(lease);
        Ok(())
    }

    fn remember(&mut self, lease: Option<Lease>) {
        let Some(lease) = lease else {
            self.seen = None;
            return;
        };
        let resource_version = lease.metadata.resource_version.unwrap_or_default();
        let since = match &self.seen {
            Some(seen) if seen.resource_version == resource_version => seen.since,
            _ => Instant::now(),
        };
        self.seen = Some(Seen { spec: lease.spec.unwrap_or_default(), resource_version, since });
    }

    /// Writes the Lease with the resourceVersion that was read; false when somebody else wrote first.
    async fn write(&mut self, holder: Holder) -> Result<bool, Failure> {
        let lease = self.next_lease(holder);
        let written = if self.seen.is_some() {
            self.api.replace(&self.name, &PostParams::default(), &lease).await
        } else {
            self.api.create(&PostParams::default(), &lease).await
        };
        match written {
            Ok(lease) => {
                self.remember(Some(lease));
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn next_lease(&self, holder: Holder) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = self.seen.as_ref().map(|seen| seen.spec.clone()).unwrap_or_default();
        let seconds = i32::try_from(self.timing.duration.as_secs()).unwrap_or(i32::MAX);
        // A Lease that was given back counts as expired at once, also for who does not look at its holder.
        let (identity, seconds) = match holder {
            Holder::Us => (self.identity.as_str(), seconds),
            Holder::Nobody => ("", 1),
        };
        let changes_hands = before.holder_identity.as_deref().unwrap_or_default() != identity;
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: self.seen.as_ref().map(|seen| seen.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(identity.to_owned()),
                lease_duration_seconds: Some(seconds),
                renew_time: Some(now.clone()),
                acquire_time: if changes_hands { Some(now) } else { before.acquire_time },
                lease_transitions: Some(
                    before.lease_transitions.unwrap_or(0) + i32::from(changes_hands && holder == Holder::Us),
                ),
                ..LeaseSpec::default()
            }),
        }
    }

    fn lead_until(&self, until: Instant) {
        let before = self.leadership.send_replace(Leadership::Leading { until });
        if before == Leadership::Following {
            tracing::info!(lease = %self.name, identity = %self.identity, "this replica leads: it writes");
        }
    }

    fn stop_leading(&self, why: &str) {
        let before = self.leadership.send_replace(Leadership::Following);
        if before != Leadership::Following {
            tracing::warn!(lease = %self.name, identity = %self.identity, why, "this replica does not lead any more");
        }
    }

    /// A Lease without a holder lets the next replica lead at once. When it fails, the Lease expires by itself.
    async fn give_back(mut self) {
        let held = *self.leadership.borrow() != Leadership::Following;
        self.leadership.send_replace(Leadership::Following);
        if !held {
            return;
        }
        match timeout(Duration::from_secs(3), self.write(Holder::Nobody)).await {
            Ok(Ok(_)) => tracing::info!(lease = %self.name, "the lease is given back"),
            Ok(Err(error)) => {
                tracing::warn!(lease = %self.name, %error, "the lease could not be given back, it will expire")
            }
            Err(_) => {
                tracing::warn!(lease = %self.name, "the lease could not be given back within 3 s, it will expire")
            }
        }
    }
}

/// Who holds the Lease after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Us,
    Nobody,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Request(#[from] kube::Error),
    #[error("the API server did not answer within {0:?}")]
    Slow(Duration),
}
