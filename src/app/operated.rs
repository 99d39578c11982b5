//! What the operator gives to change requests: the ChangeRequests of the cluster, who may write them, and the way to
//! the replica that may.

use std::{net::SocketAddr, sync::OnceLock};

use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::{sync::watch, time::Instant};

use crate::{
    api::ChangeRequest,
    changes::{Lead, News, Shelf, ShelfError, Shelved},
    operator::{ChangeStore, ChangeStoreError, EmergencyStore, Leaders, Leadership, Operator, StoredChanges},
};

/// Filled while the process is put together: tools are made before the operator, and used after it.
#[derive(Default)]
pub(super) struct Operated(OnceLock<Given>);

struct Given {
    store: ChangeStore,
    leadership: watch::Receiver<Leadership>,
    leaders: Leaders,
    emergencies: EmergencyStore,
}

impl Operated {
    pub(super) fn plug(&self, operator: &Operator) {
        let given = Given {
            store: operator.changes(),
            leadership: operator.leadership(),
            leaders: operator.leaders(),
            emergencies: operator.emergencies(),
        };
        if self.0.set(given).is_err() {
            tracing::error!(
                "there are two operators in this process: the second is not used for change requests"
            );
        }
    }

    fn store(&self) -> Result<&ChangeStore, ShelfError> {
        let given =
            self.0.get().ok_or_else(|| ShelfError::Broken("the operator does not run yet".to_owned()))?;
        Ok(&given.store)
    }

    /// # Errors
    /// One sentence, before the operator is there.
    pub(super) fn emergencies(&self) -> Result<&EmergencyStore, String> {
        let given = self.0.get().ok_or("the operator does not run yet: ask again in a moment")?;
        Ok(&given.emergencies)
    }

    /// As [`Leaders::addresses`].
    pub(super) async fn leaders(&self) -> Result<Vec<SocketAddr>, String> {
        match self.0.get() {
            Some(given) => given.leaders.addresses().await,
            None => Err("the operator does not run yet".to_owned()),
        }
    }
}

impl Lead for Operated {
    fn leads(&self) -> bool {
        self.0.get().is_some_and(|given| given.leadership.borrow().holds_at(Instant::now()))
    }
}

impl Shelf for Operated {
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ChangeRequest>, ShelfError>> {
        Box::pin(async move { self.store()?.get(id).await.map_err(|error| shelf(error, id)) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Shelved, ShelfError>> {
        Box::pin(async move {
            let listed = self.store()?.list().await;
            let StoredChanges { requests, broken } = listed.map_err(|error| shelf(error, ""))?;
            Ok(Shelved { requests, broken })
        })
    }

    fn tell<'a>(&'a self, request: &'a ChangeRequest, news: News) -> BoxFuture<'a, ()> {
        let News { is_warning, reason, note } = news;
        Box::pin(async move {
            if let Ok(store) = self.store() {
                store.tell(request, is_warning, reason, note).await;
            }
        })
    }

    fn reaches(&self, namespace: &str) -> bool {
        self.store().is_ok_and(|store| store.reaches(namespace))
    }

    fn news(&self, request: &ChangeRequest) -> BoxStream<'static, ()> {
        match self.store() {
            Ok(store) => store.news(request),
            Err(error) => {
                tracing::warn!(%error, "a subscription to a change request hears nothing");
                stream::pending().boxed()
            }
        }
    }

    fn create<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>> {
        Box::pin(
            async move { self.store()?.create(request).await.map_err(|error| shelf(error, name(request))) },
        )
    }

    fn update<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>> {
        Box::pin(
            async move { self.store()?.update(request).await.map_err(|error| shelf(error, name(request))) },
        )
    }

    fn revise<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>> {
        Box::pin(
            async move { self.store()?.revise(request).await.map_err(|error| shelf(error, name(request))) },
        )
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
