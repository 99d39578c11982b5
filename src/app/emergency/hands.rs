//! What emergencies do in the cluster: patches, as the caller.

use futures::future::BoxFuture;
use serde_json::Value;

use crate::{
    api::emergency_change::EmergencyTarget, caller::Caller, changes::emergency::Hands, cluster::Reader,
    operator::AsCaller,
};

/// [`Hands`] over the operator's connection, with the caller's rights.
pub(super) struct CallerHands {
    /// Says which kinds there are.
    pub(super) reader: Reader,
    pub(super) acting: AsCaller,
}

impl Hands for CallerHands {
    fn patch<'a>(
        &'a self,
        caller: &'a Caller,
        target: &'a EmergencyTarget,
        operations: &'a [Value],
        rehearse: bool,
    ) -> BoxFuture<'a, Result<Value, String>> {
        Box::pin(async move {
            let EmergencyTarget { kind, namespace, name } = target;
            let kinds = self.reader.kinds().await.map_err(|error| error.to_string())?;
            let resource = kinds.resolve(kind).map_err(|error| error.to_string())?;
            let object = (namespace.as_deref(), name.as_str());
            let patched = self.acting.patch(caller, resource, object, operations, rehearse).await;
            patched.map_err(|error| error.to_string())
        })
    }
}
