//! The EmergencyChanges of the cluster: written by the replica that leads. What is written is decided by `changes`,
//! which hands it over as values; nothing else is written on its behalf.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, Resource, api::ListParams, core::DeserializeGuard};

use super::{
    events::Happening,
    watches,
    writer::{WriteError, Writer},
};
use crate::api::EmergencyChange;

/// Of one request to the API server.
const PAGE: u32 = 500;

/// Those of one namespace. Cheap to clone.
#[derive(Clone)]
pub struct EmergencyStore {
    writer: Arc<Writer>,
    namespace: String,
}

/// Why one was not stored.
#[derive(Debug, thiserror::Error)]
pub enum EmergencyStoreError {
    /// Somebody stored another, or it is there already.
    #[error("{0}")]
    Outdated(String),
    /// What, where, and what to do.
    #[error("{0}")]
    Refused(String),
}

impl From<WriteError> for EmergencyStoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotLeading => Self::Refused(
                "this replica does not hold the lease and wrote nothing: ask again in a moment".to_owned(),
            ),
            WriteError::Outdated(what) => Self::Outdated(what),
            WriteError::Refused { what, source } => Self::Refused(format!("{what} ({source}): {MENDED}")),
        }
    }
}

const MENDED: &str =
    "look whether the CRD emergencychanges.pilothouse.dev is installed and the role pilothouse is bound";

impl EmergencyStore {
    pub(super) fn new(writer: Writer, namespace: &str) -> Self {
        Self { writer: Arc::new(writer), namespace: namespace.to_owned() }
    }

    /// Those that can be read; the others are said in the log.
    ///
    /// # Errors
    /// [`EmergencyStoreError::Refused`] when the API server does not answer.
    pub async fn list(&self) -> Result<Vec<EmergencyChange>, EmergencyStoreError> {
        let api: Api<DeserializeGuard<EmergencyChange>> =
            watches::api(self.writer.client(), Some(&self.namespace));
        let mut params = ListParams::default().limit(PAGE);
        let mut changes = Vec::new();
        loop {
            let page = api.list(&params).await.map_err(|error| {
                EmergencyStoreError::Refused(format!(
                    "the EmergencyChanges in {} cannot be read ({error}): {MENDED}",
                    self.namespace
                ))
            })?;
            for guard in page.items {
                match guard.0 {
                    Ok(change) => changes.push(change),
                    Err(invalid) => {
                        let name = invalid.metadata.name.unwrap_or_default();
                        tracing::error!(name, error = %invalid.error, "this EmergencyChange cannot be read");
                    }
                }
            }
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => params = params.continue_token(&next),
                None => return Ok(changes),
            }
        }
    }

    /// Makes one with its status. One that is there without a status, and else the same, was left so by a crash.
    ///
    /// # Errors
    /// [`EmergencyStoreError::Outdated`] when another is there.
    pub async fn create(&self, change: EmergencyChange) -> Result<EmergencyChange, EmergencyStoreError> {
        let EmergencyChange { mut metadata, spec, status } = change;
        metadata.namespace = Some(self.namespace.clone());
        let bare = EmergencyChange { metadata, spec, status: None };
        let made = match self.writer.create(&bare).await {
            Ok(made) => made,
            Err(WriteError::Outdated(what)) => {
                let there = self.list().await?;
                there
                    .into_iter()
                    .find(|there| {
                        there.metadata.name == bare.metadata.name
                            && there.spec == bare.spec
                            // One that was said to be strange meanwhile was asked for by nobody yet.
                            && there.status.as_ref().is_none_or(|status| status.requested_at.is_none())
                    })
                    .ok_or(EmergencyStoreError::Outdated(what))?
            }
            Err(error) => return Err(error.into()),
        };
        self.update(EmergencyChange { status, ..made }).await
    }

    /// Stores its status, as it was read.
    ///
    /// # Errors
    /// [`EmergencyStoreError::Outdated`] when it is another version by now.
    pub async fn update(&self, change: EmergencyChange) -> Result<EmergencyChange, EmergencyStoreError> {
        let version = self.writer.status(&change).await?;
        let mut stored = change;
        stored.metadata.resource_version = version.or(stored.metadata.resource_version);
        Ok(stored)
    }

    /// An event about one; that it could not be written is said in the log.
    pub async fn tell(&self, about: &EmergencyChange, is_warning: bool, reason: &str, note: String) {
        let happening =
            if is_warning { Happening::warning(reason, note) } else { Happening::normal(reason, note) };
        let reference: ObjectReference = about.object_ref(&());
        if let Err(error) = self.writer.tell(&reference, &happening).await {
            tracing::warn!(%error, reason, "an event about an emergency is not written");
        }
    }
}
