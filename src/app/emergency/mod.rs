//! Emergencies, put together: their records, what looks at the cluster for them, what acts as their callers, and who
//! keeps their time.

mod eyes;
mod hands;
mod meters;
mod records;

use std::{pin::pin, sync::Arc};

use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::operated::Operated;
use crate::{
    audit::Audit,
    changes::{
        ChangeRequests,
        emergency::{EmergencyConfig, EmergencyParts, EmergencyRoom, Hands},
    },
    cluster::Reader,
    operator::{AsCaller, Leadership},
};
use eyes::ClusterEyes;
use hands::CallerHands;
pub(super) use meters::Meters;

/// What emergencies work on.
pub(super) struct Surroundings {
    pub(super) reader: Reader,
    /// Where the cluster is a live one.
    pub(super) acting: Option<Client>,
    /// Keeps the records in the cluster.
    pub(super) operated: Arc<Operated>,
    pub(super) changes: ChangeRequests,
    pub(super) own_namespace: String,
}

/// The emergencies of this process.
pub(super) struct Emergencies {
    room: EmergencyRoom,
    meters: Meters,
}

impl Emergencies {
    /// # Errors
    /// When the configuration does not hold together.
    pub(super) fn open(
        config: EmergencyConfig,
        audit: Audit,
        surroundings: Surroundings,
    ) -> anyhow::Result<Self> {
        let Surroundings { reader, acting, operated, changes, own_namespace } = surroundings;
        let meters = Meters::default();
        let namespace = Some(own_namespace.clone());
        let hands = acting.map(|client| {
            Arc::new(CallerHands { reader: reader.clone(), acting: AsCaller::new(client) }) as Arc<dyn Hands>
        });
        let parts = EmergencyParts {
            records: operated,
            eyes: Arc::new(ClusterEyes { reader, own_namespace }),
            hands,
            reconciling: Arc::new(changes),
            counting: Arc::new(meters.clone()),
            audit,
            namespace,
            clock: Arc::new(Timestamp::now),
        };
        Ok(Self { room: EmergencyRoom::new(config, parts)?, meters })
    }

    pub(super) fn room(&self) -> EmergencyRoom {
        self.room.clone()
    }

    pub(super) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Keeps their deadlines until `stop`, while this process leads.
    pub(super) async fn run(self, leadership: watch::Receiver<Leadership>, stop: CancellationToken) {
        let room = self.room;
        while_leading(leadership, &stop, |over| Box::pin(room.run(over))).await;
    }
}

/// Does the work in each term as leader, until `stop`.
async fn while_leading<'a>(
    mut leadership: watch::Receiver<Leadership>,
    stop: &CancellationToken,
    work: impl Fn(CancellationToken) -> BoxFuture<'a, ()>,
) {
    loop {
        let leads = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            leads = turns(&mut leadership, true) => leads,
        };
        if !leads {
            return;
        }
        let over = stop.child_token();
        let mut working = pin!(work(over.clone()));
        let has_ended = tokio::select! {
            () = &mut working => true,
            _ = turns(&mut leadership, false) => false,
        };
        if has_ended {
            return;
        }
        over.cancel();
        working.await;
    }
}

/// Waits until this process leads, or no longer does; false when the lease is kept by nobody any more.
async fn turns(leadership: &mut watch::Receiver<Leadership>, to_lead: bool) -> bool {
    leadership.wait_for(|now| (*now != Leadership::Following) == to_lead).await.is_ok()
}
