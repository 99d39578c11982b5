//! Where live objects come from, for other rooms: the same reading as the tool's, as values.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{
    FindSource, Hop, Traced,
    origin::{Origin, Source},
};
use crate::{
    answer::{Budget, Sealer},
    caller::Caller,
    cluster::Contexts,
    tools::{
        desk::Office,
        owners::{controller, title},
    },
};

/// Says where live objects come from.
pub trait SourceFinder: Send + Sync {
    /// Reads the object and what applies it, as this caller.
    ///
    /// # Errors
    /// One sentence, when the object cannot be read.
    fn trace<'a>(&'a self, caller: &'a Caller, object: &'a Sought) -> BoxFuture<'a, Result<Trace, String>>;
}

/// A live object by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    /// `Deployment`, or `Deployment.apps` where several groups have the kind.
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
}

/// What is known of where an object comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// As the cluster has it, with its secrets.
    pub object: Value,
    /// The topmost object that controls it, when there is one.
    pub owner: Option<Value>,
    /// What applies it, what applies that, and so on; empty when nobody says.
    pub origins: Vec<Applied>,
    /// What could not be read, one sentence each.
    pub notes: Vec<String>,
}

/// One step from an object to what applies it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// `Argo CD`, `Flux`, `Helm`.
    pub tool: String,
    /// `Application argocd/shop`.
    pub by: String,
    /// The Application, Kustomization or HelmRelease; absent for Helm itself and where it could not be read.
    pub applier: Option<Value>,
    pub sources: Vec<AppliedFrom>,
    /// Label or annotation, and on which object.
    pub evidence: String,
    /// A change by hand is undone.
    pub reverts: bool,
    /// What else must be known, one sentence each.
    pub notes: Vec<String>,
}

/// One place that something is applied from, as the cluster names it: to be compared, never to be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedFrom {
    /// Empty when it is not known.
    pub repository: String,
    pub path: String,
    /// Of Helm; empty where the chart stands at `path`.
    pub chart: String,
    pub revision: String,
}

/// The finder over the clusters that the tools read.
pub fn source_finder(contexts: Contexts, budget: Budget, sealer: Sealer) -> Arc<dyn SourceFinder> {
    Arc::new(Finder(Office { contexts, sealer, budget }))
}

struct Finder(Office);

impl SourceFinder for Finder {
    fn trace<'a>(&'a self, caller: &'a Caller, object: &'a Sought) -> BoxFuture<'a, Result<Trace, String>> {
        Box::pin(async move {
            let desk = self.0.desk(caller, None).await.map_err(|answer| answer.text)?;
            let Sought { kind, namespace, name } = object;
            let traced = FindSource(desk).trace(kind, namespace.as_deref(), name).await;
            traced.map(trace).map_err(|answer| answer.text)
        })
    }
}

fn trace(traced: Traced) -> Trace {
    let Traced { object, mut owners, hops, notes } = traced;
    // An owner that controls nothing is where garbage collection ends, not what writes the object.
    let controlled = controller(&object).is_some_and(|reference| reference["controller"] == true);
    let owner = owners.pop().filter(|_| controlled);
    Trace { object, owner, origins: hops.into_iter().map(applied).collect(), notes }
}

fn applied(hop: Hop) -> Applied {
    let Hop { of: _, marked, evidence, origin, applier } = hop;
    let Origin { tool, by, sources, sync: _, reverts, notes } = origin;
    let from = |Source { repository, path, chart, revision, applied: _ }| AppliedFrom {
        repository,
        path,
        chart,
        revision,
    };
    Applied {
        tool: tool.to_owned(),
        by,
        applier,
        sources: sources.into_iter().map(from).collect(),
        evidence: format!("{evidence} on {marked}"),
        reverts,
        notes,
    }
}

impl Trace {
    /// `Deployment shop/web`.
    pub fn title(object: &Value) -> String {
        title(object)
    }
}
