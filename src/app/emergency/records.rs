//! The records of emergencies in the cluster, by the operator.

use futures::future::BoxFuture;

use crate::{
    api::EmergencyChange,
    app::operated::Operated,
    changes::emergency::{RecordError, Records},
    operator::EmergencyStoreError,
};

impl Records for Operated {
    fn list(&self) -> BoxFuture<'_, Result<Vec<EmergencyChange>, String>> {
        Box::pin(async move { self.emergencies()?.list().await.map_err(|error| error.to_string()) })
    }

    fn create(&self, change: EmergencyChange) -> BoxFuture<'_, Result<EmergencyChange, RecordError>> {
        Box::pin(async move {
            let store = self.emergencies().map_err(RecordError::Failed)?;
            store.create(change).await.map_err(failed)
        })
    }

    fn update(&self, change: EmergencyChange) -> BoxFuture<'_, Result<EmergencyChange, RecordError>> {
        Box::pin(async move {
            let store = self.emergencies().map_err(RecordError::Failed)?;
            store.update(change).await.map_err(failed)
        })
    }

    fn tell<'a>(
        &'a self,
        about: &'a EmergencyChange,
        is_warning: bool,
        reason: &'static str,
        note: String,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Ok(store) = self.emergencies() {
                store.tell(about, is_warning, reason, note).await;
            }
        })
    }
}

fn failed(error: EmergencyStoreError) -> RecordError {
    match error {
        EmergencyStoreError::Outdated(what) => {
            tracing::debug!(what, "an emergency was stored by somebody else first");
            RecordError::Outdated
        }
        EmergencyStoreError::Refused(why) => RecordError::Failed(why),
    }
}
