//! The ChangeRequests of the cluster as `changes` keeps them, and who may write them.

use futures::future::BoxFuture;
use tokio::{sync::watch, time::Instant};

use crate::{
    api::ChangeRequest,
    changes::{Lead, Shelf, ShelfError, Shelved},
    operator::{ChangeStore, ChangeStoreError, Leadership, StoredChanges},
};

/// [`Shelf`] over the operator's store.
pub(super) struct ClusterShelf(pub(super) ChangeStore);

impl Shelf for ClusterShelf {
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ChangeRequest>, ShelfError>> {
        Box::pin(async move { self.0.get(id).await.map_err(|error| shelf(error, id)) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Shelved, ShelfError>> {
        Box::pin(async move {
            let StoredChanges { requests, broken } = self.0.list().await.map_err(|error| shelf(error, ""))?;
            Ok(Shelved { requests, broken })
        })
    }

    fn create<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>> {
        Box::pin(async move { self.0.create(request).await.map_err(|error| shelf(error, name(request))) })
    }

    fn update<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>> {
        Box::pin(async move { self.0.update(request).await.map_err(|error| shelf(error, name(request))) })
    }

    fn revise<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>> {
        Box::pin(async move { self.0.revise(request).await.map_err(|error| shelf(error, name(request))) })
    }
}

fn name(request: &ChangeRequest) -> &str {
    request.metadata.name.as_deref().unwrap_or_default()
}

fn shelf(error: ChangeStoreError, id: &str) -> ShelfError {
    match error {
        ChangeStoreError::NotLeading => ShelfError::NotLeading,
        ChangeStoreError::Outdated(what) => {
            tracing::debug!(what, "a change request was stored by somebody else first");
            ShelfError::Outdated(id.to_owned())
        }
        ChangeStoreError::Refused(why) => ShelfError::Broken(why),
    }
}

/// Whether this replica holds the Lease.
pub(super) struct HoldsLease(pub(super) watch::Receiver<Leadership>);

impl Lead for HoldsLease {
    fn leads(&self) -> bool {
        self.0.borrow().holds_at(Instant::now())
    }
}
