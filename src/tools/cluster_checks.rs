//! What change requests ask of a cluster; `app` puts it together from the tools' reading and the operator's dry-run.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::caller::Caller;

/// An object as it is now, and what is known of its kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    pub object: Value,
    /// As [`ClusterChecks::schema`] gives it; absent where nothing documents the kind.
    pub schema: Option<Arc<Value>>,
    /// The HorizontalPodAutoscaler (`shop/web`) that sets the number of its pods.
    pub scaler: Option<String>,
}

/// What the API server says of a write that it did not store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// With the warnings that it gave.
    Accepted { warnings: Vec<String> },
    /// In the API server's words: admission, quota, validation.
    Refused { said: String },
    /// Why it was not asked, or could not be.
    NotRun { why: String },
}

/// Everything is read as the caller; only the dry-run has an identity of its own, which may do nothing else.
pub trait ClusterChecks: Send + Sync {
    /// The object, read as this caller.
    ///
    /// # Errors
    /// One sentence that names what does exist, when the object or its kind does not.
    fn live<'a>(
        &'a self,
        caller: &'a Caller,
        kind: &'a str,
        namespace: Option<&'a str>,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Live, String>>;

    /// The OpenAPI schema of a kind as one JSON document: `$ref` names its root below `components.schemas`. `None`
    /// where nothing documents the kind.
    ///
    /// # Errors
    /// One sentence, when it cannot be read.
    fn schema<'a>(
        &'a self,
        caller: &'a Caller,
        api_version: &'a str,
        kind: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<Value>>, String>>;

    /// Asks the API server whether it would take the step from `before` to `after`, without storing it. Without
    /// `before` the object is to be created.
    fn dry_run<'a>(&'a self, before: Option<&'a Value>, after: &'a Value) -> BoxFuture<'a, DryRun>;
}
