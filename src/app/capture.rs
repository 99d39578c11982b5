//! What capture reads of the cluster, and how the webhook's listener brings it what it is told.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::Router;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::{Audit, Refusal},
    changes::{
        capture::{
            Broken, Capture, CaptureConfig, Cluster, Doors, Happening, Metrics, Reception, Replicas, Seen,
            StoreError, Surroundings, WatchedKind, Way, Writes,
        },
        emergency::{Covered, EmergencyRoom},
    },
    cluster::{Connection, Event, ListRequest, ReadError, Reader, Resource},
    operator::{Leadership, OperatorSettings, Others, Posted, Witness},
    tools::GitopsCoverage,
};

/// Between two tries to record a write.
const AGAIN: Duration = Duration::from_secs(1);

/// What people write past Git, captured by this process.
pub(super) struct Captured {
    capture: Capture,
    writes: Writes,
}

impl Captured {
    /// # Errors
    /// When its folder cannot be used.
    pub(super) fn open(
        config: CaptureConfig,
        data: &Path,
        connection: &Connection,
        operator: &OperatorSettings,
        is_asked: bool,
        key: Option<[u8; 32]>,
    ) -> Result<Self, StoreError> {
        let Connection { reader, client, in_cluster, namespace, .. } = connection;
        let others = || Arc::new(OtherReplicas(Others::new(client.clone(), operator))) as Arc<dyn Replicas>;
        let surroundings = Surroundings {
            cluster: Arc::new(CaptureReads(reader.clone())),
            own_namespace: in_cluster.then(|| namespace.clone()),
            is_asked,
            replicas: key.map(|key| (others(), key)),
        };
        let (capture, writes) = Capture::open(config, data, surroundings)?;
        Ok(Self { capture, writes })
    }

    pub(super) fn coverage(&self) -> Arc<dyn GitopsCoverage> {
        self.capture.coverage()
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.capture.metrics()
    }

    /// For the health port.
    pub(super) fn router(&self) -> Router {
        self.capture.router()
    }

    /// For the webhook. Who may not post is recorded.
    pub(super) fn doors(&self, audit: Audit) -> Arc<dyn Witness> {
        Arc::new(Recorded { doors: CaptureDoors(self.capture.doors()), audit })
    }

    /// Until `stop`. What was written is recorded in `room` by the replica that leads.
    pub(super) async fn run(
        self,
        room: EmergencyRoom,
        leadership: watch::Receiver<Leadership>,
        stop: CancellationToken,
    ) {
        let Self { capture, writes } = self;
        let leading = leadership.clone();
        let leads = move || leading.borrow().holds_at(Instant::now());
        tokio::select! {
            () = capture.run(leads, stop) => {}
            () = record(writes, &room, leadership) => {}
        }
    }
}

/// Records each write, one after the other, by the replica that leads; one that cannot be recorded is tried again.
async fn record(mut writes: Writes, room: &EmergencyRoom, mut leadership: watch::Receiver<Leadership>) {
    let mut untold: Option<Seen> = None;
    while leadership.wait_for(|now| *now != Leadership::Following).await.is_ok() {
        let seen = match untold.take() {
            Some(seen) => seen,
            None => tokio::select! {
                biased;
                _ = leadership.wait_for(|now| *now == Leadership::Following) => continue,
                seen = writes.next() => seen,
            },
        };
        let recorded = match &seen {
            Seen::Write(write) => room.captured(write).await.map(|covered| {
                writes.judged(write, way(covered));
            }),
            Seen::Amended(write) => room.captured(write).await.map(drop),
            Seen::Excused(write) => room.excused(write).await,
        };
        if let Err(error) = recorded {
            tracing::warn!(%error, object = %seen.write().object, "a write past Git is not recorded yet");
            untold = Some(seen);
            tokio::time::sleep(AGAIN).await;
        }
    }
    // Nobody will lead any more; what was seen is still to be stored.
    std::future::pending().await
}

/// What a write counts as for the coverage by Git.
fn way(covered: Covered) -> Option<Way> {
    match covered {
        Covered::Sanctioned => Some(Way::Session),
        Covered::Unsanctioned => Some(Way::Unsanctioned),
        Covered::Nothing => None,
    }
}

/// [`Cluster`] with the rights of the reader.
pub struct CaptureReads(pub Reader);

impl Cluster for CaptureReads {
    fn kind<'a>(&'a self, called: &'a str) -> BoxFuture<'a, Result<WatchedKind, String>> {
        Box::pin(async move {
            let kinds = self.0.kinds().await.map_err(|error| error.to_string())?;
            let resource = kinds.resolve(called).map_err(|error| error.to_string())?;
            let Resource { group, version, kind, plural, namespaced, .. } = resource.clone();
            Ok(WatchedKind { group, version, kind, plural, namespaced })
        })
    }

    fn list<'a>(
        &'a self,
        kind: &'a WatchedKind,
        namespace: Option<&'a str>,
        each: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<String, String>> {
        let request = ListRequest { namespace: namespace.map(str::to_owned), ..ListRequest::default() };
        Box::pin(async move {
            let listed = self.0.list(&resource(kind), &request, |object| each(object.get())).await;
            listed.map_err(|error| error.to_string())
        })
    }

    fn watch<'a>(
        &'a self,
        kind: &'a WatchedKind,
        namespace: Option<&'a str>,
        version: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Happening, Broken>>, Broken>> {
        Box::pin(async move {
            let events = self.0.watch_all(&resource(kind), namespace, version).await.map_err(broken)?;
            Ok(events.map(|event| event.map(happening).map_err(broken)).boxed())
        })
    }
}

fn resource(kind: &WatchedKind) -> Resource {
    let WatchedKind { group, version, kind, plural, namespaced } = kind.clone();
    Resource { group, version, kind, plural, namespaced, ..Resource::default() }
}

fn happening(event: Event) -> Happening {
    match event {
        Event::Now(object) => Happening::Now(object),
        Event::Gone(object) => Happening::Gone(object),
        Event::Nothing(object) => Happening::Nothing(object),
    }
}

fn broken(error: ReadError) -> Broken {
    match error {
        ReadError::Gone => Broken::Lost,
        error => Broken::Failed(error.to_string()),
    }
}

/// [`Witness`] for capture.
pub struct CaptureDoors(pub Doors);

impl Witness for CaptureDoors {
    fn question(&self, body: Bytes) {
        self.0.question(body);
    }

    fn admits(&self, authorization: Option<&str>) -> Posted {
        posted(self.0.admits(authorization))
    }

    fn events(&self, body: Bytes) -> Posted {
        posted(self.0.events(body))
    }
}

/// [`CaptureDoors`], and whom they turn away.
struct Recorded {
    doors: CaptureDoors,
    audit: Audit,
}

impl Witness for Recorded {
    fn question(&self, body: Bytes) {
        self.doors.question(body);
    }

    fn admits(&self, authorization: Option<&str>) -> Posted {
        let posted = self.doors.admits(authorization);
        if posted == Posted::Refused {
            let why = "audit events were posted without the token of emergency.auditEvents".to_owned();
            let door = "/audit-events".to_owned();
            self.audit.refused(Refusal { door, reason: "unauthorized", why, caller: None, peer: None });
        }
        posted
    }

    fn events(&self, body: Bytes) -> Posted {
        self.doors.events(body)
    }
}

fn posted(reception: Reception) -> Posted {
    match reception {
        Reception::Taken => Posted::Taken,
        Reception::Closed => Posted::Closed,
        Reception::Refused => Posted::Refused,
        Reception::Full => Posted::Full,
    }
}

/// [`Replicas`] as the operator finds them.
pub(super) struct OtherReplicas(pub(super) Others);

impl Replicas for OtherReplicas {
    fn others(&self) -> BoxFuture<'_, Vec<SocketAddr>> {
        self.0.addresses().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::way;
    use crate::changes::{capture::Way, emergency::Covered};

    #[test]
    fn a_write_that_git_knows_nothing_of_is_not_past_git() {
        assert_eq!(way(Covered::Nothing), None);
        assert_eq!(way(Covered::Unsanctioned), Some(Way::Unsanctioned));
        assert_eq!(way(Covered::Sanctioned), Some(Way::Session));
    }
}
