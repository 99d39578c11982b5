//! Emergencies, put together: their records, what looks at the cluster for them, what acts as their callers, and who
//! keeps their time.

mod eyes;
mod hands;
mod meters;
mod records;

use std::{path::Path, pin::pin, sync::Arc};

use anyhow::Context;
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
        emergency::{EmergencyConfig, EmergencyParts, EmergencyRoom, Folder, Hands, Records},
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
    /// Where this process reconciles: records are kept in the cluster then, and in the data folder otherwise.
    pub(super) operated: Option<Arc<Operated>>,
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
    /// When the configuration does not hold together, or the data folder cannot be used.
    pub(super) fn open(
        config: EmergencyConfig,
        data: &Path,
        audit: Audit,
        surroundings: Surroundings,
    ) -> anyhow::Result<Self> {
        let Surroundings { reader, acting, operated, changes, own_namespace } = surroundings;
        let meters = Meters::default();
        let namespace = operated.is_some().then(|| own_namespace.clone());
        let records: Arc<dyn Records> = match operated {
            Some(operated) => operated,
            None => Arc::new(Folder::open(data).context("the folder of emergencies cannot be made")?),
        };
        let hands = acting.map(|client| {
            Arc::new(CallerHands { reader: reader.clone(), acting: AsCaller::new(client) }) as Arc<dyn Hands>
        });
        let parts = EmergencyParts {
            records,
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

    /// Keeps their deadlines until `stop`: always, or while this process leads.
    pub(super) async fn run(self, leadership: Option<watch::Receiver<Leadership>>, stop: CancellationToken) {
        let room = self.room;
        match leadership {
            None => room.run(stop).await,
            Some(leadership) => while_leading(leadership, &stop, |over| Box::pin(room.run(over))).await,
        }
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
