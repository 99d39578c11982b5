//! The ChangeRequests of the cluster: read by every replica, written by the one that leads. What is written is decided
//! by `changes`, which hands it over as values; nothing else is written on its behalf.

use futures::{StreamExt, future::ready, stream::BoxStream};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    core::{ApiResource, DeserializeGuard, DynamicObject, PartialObjectMeta},
    runtime::{WatchStreamExt, watcher},
};

use super::{
    events::Happening,
    watches,
    writer::{WriteError, Writer},
};
use crate::api::{ChangeRequest, ChangeRequestStatus};

/// Of one request to the API server.
const PAGE: u32 = 500;

/// Cheap to clone.
#[derive(Clone)]
pub struct ChangeStore {
    writer: std::sync::Arc<Writer>,
    /// Where they are; empty: everywhere.
    namespaces: Vec<String>,
}

/// Why one was not stored or found.
#[derive(Debug, thiserror::Error)]
pub enum ChangeStoreError {
    #[error("this replica does not hold the lease, nothing was written")]
    NotLeading,
    /// Somebody stored another, or it is there already.
    #[error("{0}")]
    Outdated(String),
    /// What, where, and what to do.
    #[error("{0}")]
    Refused(String),
}

impl From<WriteError> for ChangeStoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotLeading => Self::NotLeading,
            WriteError::Outdated(what) => Self::Outdated(what),
            WriteError::Refused { what, source } => Self::Refused(format!(
                "{what} ({source}): look whether the CRD changerequests.pilothouse.dev is installed and the role pilothouse-operator is bound"
            )),
        }
    }
}

/// What there is.
#[derive(Debug, Default)]
pub struct StoredChanges {
    pub requests: Vec<ChangeRequest>,
    /// `namespace/name` of those that cannot be read.
    pub broken: Vec<String>,
}

impl ChangeStore {
    pub(super) fn new(writer: Writer, mut namespaces: Vec<String>, own: &str) -> Self {
        if !namespaces.is_empty() && !namespaces.iter().any(|namespace| namespace == own) {
            namespaces.push(own.to_owned());
        }
        Self { writer: std::sync::Arc::new(writer), namespaces }
    }

    /// The one with this name, in whichever namespace.
    ///
    /// # Errors
    /// [`ChangeStoreError::Refused`] when the API server does not answer.
    pub async fn get(&self, name: &str) -> Result<Option<ChangeRequest>, ChangeStoreError> {
        let by_name = ListParams::default().fields(&format!("metadata.name={name}"));
        Ok(self.listed(&by_name).await?.requests.into_iter().next())
    }

    /// # Errors
    /// As [`Self::get`].
    pub async fn list(&self) -> Result<StoredChanges, ChangeStoreError> {
        self.listed(&ListParams::default().limit(PAGE)).await
    }

    async fn listed(&self, params: &ListParams) -> Result<StoredChanges, ChangeStoreError> {
        let client = self.writer.client();
        let mut stored = StoredChanges::default();
        if self.namespaces.is_empty() {
            list(client, None, params, &mut stored).await?;
        }
        for namespace in &self.namespaces {
            list(client, Some(namespace), params, &mut stored).await?;
        }
        Ok(stored)
    }

    /// An item whenever this one may have become another, as long as the stream is held.
    pub fn news(&self, request: &ChangeRequest) -> BoxStream<'static, ()> {
        let namespace = request.namespace().unwrap_or_default();
        let (client, kind) = (self.writer.client().clone(), ApiResource::erase::<ChangeRequest>(&()));
        let api = Api::<PartialObjectMeta<DynamicObject>>::namespaced_with(client, &namespace, &kind);
        let only = watcher::Config::default().fields(&format!("metadata.name={}", request.name_any()));
        let events = watcher(api, only).default_backoff();
        events.filter_map(|event| ready(event.ok().map(drop))).boxed()
    }

    /// Whether those of that namespace are listed, and so found again.
    pub fn reaches(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|known| known == namespace)
    }

    /// An event about one; that it could not be written is said in the log.
    pub async fn tell(&self, about: &ChangeRequest, is_warning: bool, reason: &str, note: String) {
        let happening =
            if is_warning { Happening::warning(reason, note) } else { Happening::normal(reason, note) };
        if let Err(error) = self.writer.tell(&about.object_ref(&()), &happening).await {
            tracing::warn!(%error, reason, "an event about a change request is not written");
        }
    }

    /// Makes one that is not there yet, with its status.
    ///
    /// # Errors
    /// [`ChangeStoreError::Outdated`] when it is there already.
    pub async fn create(&self, request: &ChangeRequest) -> Result<ChangeRequest, ChangeStoreError> {
        let made = self.writer.create(&ChangeRequest { status: None, ..request.clone() }).await?;
        self.with_status(made, request.status.clone()).await
    }

    /// Stores its status.
    ///
    /// # Errors
    /// [`ChangeStoreError::Outdated`] when it is another version by now.
    pub async fn update(&self, request: &ChangeRequest) -> Result<ChangeRequest, ChangeStoreError> {
        self.with_status(request.clone(), request.status.clone()).await
    }

    /// Stores its spec and its status.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn revise(&self, request: &ChangeRequest) -> Result<ChangeRequest, ChangeStoreError> {
        let replaced = self.writer.replace(request).await?;
        self.with_status(replaced, request.status.clone()).await
    }

    async fn with_status(
        &self,
        request: ChangeRequest,
        status: Option<ChangeRequestStatus>,
    ) -> Result<ChangeRequest, ChangeStoreError> {
        let Some(status) = status else { return Ok(request) };
        let generation = request.metadata.generation;
        let status = ChangeRequestStatus { observed_generation: generation, ..status };
        let mut update = ChangeRequest { status: Some(status), ..request };
        let version = self.writer.status(&update).await?;
        update.metadata.resource_version = version.or(update.metadata.resource_version);
        Ok(update)
    }
}

async fn list(
    client: &Client,
    namespace: Option<&str>,
    params: &ListParams,
    stored: &mut StoredChanges,
) -> Result<(), ChangeStoreError> {
    let api: Api<DeserializeGuard<ChangeRequest>> = watches::api(client, namespace);
    let mut params = params.clone();
    loop {
        let page = api.list(&params).await.map_err(|error| {
            ChangeStoreError::Refused(format!(
                "the ChangeRequests cannot be read ({error}): look whether the CRD changerequests.pilothouse.dev is installed and the role pilothouse-operator is bound"
            ))
        })?;
        for guard in page.items {
            match guard.0 {
                Ok(request) => stored.requests.push(request),
                Err(invalid) => {
                    let namespace = invalid.metadata.namespace.unwrap_or_default();
                    let name = invalid.metadata.name.unwrap_or_default();
                    stored.broken.push(format!("{namespace}/{name}"));
                }
            }
        }
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => params = params.continue_token(&next),
            None => return Ok(()),
        }
    }
}
