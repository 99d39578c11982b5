//! What change requests ask of the cluster: the tools' reading, and the operator's dry-run.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::{
    caller::Caller,
    changes::{DryRunConfig, ServiceAccountName},
    cluster::Connection,
    operator::{self, DryRunAnswer},
    tools::{ClusterChecks, ClusterObjects, DryRun, Live},
};

/// [`ClusterChecks`] over the cluster that this process reads.
pub(super) struct Checks {
    objects: ClusterObjects,
    /// Absent where no identity is configured for it.
    dry_run: Option<operator::DryRun>,
}

impl Checks {
    /// # Errors
    /// One sentence, when the dry-run identity cannot be used.
    pub(super) fn new(
        objects: ClusterObjects,
        connection: &Connection,
        dry_run: Option<DryRunConfig>,
    ) -> anyhow::Result<Self> {
        let reader = connection.reader.clone();
        let dry_run = match dry_run {
            None => None,
            Some(DryRunConfig::ServiceAccount(ServiceAccountName { namespace, name })) => {
                let client = connection.client.clone();
                let made = operator::DryRun::impersonating(client, &namespace, &name, reader);
                Some(made.map_err(anyhow::Error::msg)?)
            }
            // A recorded cluster is asked by nobody.
            Some(DryRunConfig::TokenFile(path)) => {
                connection.client_with_token(path).map(|client| operator::DryRun::with(client, reader))
            }
        };
        Ok(Self { objects, dry_run })
    }
}

impl ClusterChecks for Checks {
    fn live<'a>(
        &'a self,
        caller: &'a Caller,
        kind: &'a str,
        namespace: Option<&'a str>,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Live, String>> {
        Box::pin(self.objects.live(caller, kind, namespace, name))
    }

    fn schema<'a>(
        &'a self,
        caller: &'a Caller,
        api_version: &'a str,
        kind: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<Value>>, String>> {
        Box::pin(self.objects.schema(caller, api_version, kind))
    }

    fn dry_run<'a>(&'a self, before: Option<&'a Value>, after: &'a Value) -> BoxFuture<'a, DryRun> {
        Box::pin(async move {
            let Some(dry_run) = &self.dry_run else {
                let why = "no identity is configured for it (changes.dryRun)".to_owned();
                return DryRun::NotRun { why };
            };
            match dry_run.ask(before, after).await {
                DryRunAnswer::Accepted { warnings } => DryRun::Accepted { warnings },
                DryRunAnswer::Refused { said } => DryRun::Refused { said },
                DryRunAnswer::NotRun { why } => DryRun::NotRun { why },
            }
        })
    }
}
