//! How an object is after it was to change, for other rooms: read as the process reads, for nobody in particular.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    desk::{Desk, Office},
    kinds::{Facts, Meta, Pods},
    target::is_missing,
};
use crate::{
    answer::{Budget, Rank, Sealer},
    api::change_request::ChangeTarget,
    caller::Caller,
    cluster::{Contexts, ListRequest, Resource},
};

/// Says how objects are.
pub trait Outcomes: Send + Sync {
    /// # Errors
    /// One sentence, when it cannot be read.
    fn outcome<'a>(&'a self, target: &'a ChangeTarget) -> BoxFuture<'a, Result<Outcome, String>>;
}

/// How an object is at this moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// With its secrets; absent when it is not there.
    pub object: Option<Value>,
    /// Why it is not as it should be: not rolled out, crashing; in a few words.
    pub unhealthy: Option<String>,
}

/// Over the current cluster.
#[derive(Clone)]
pub struct ClusterOutcomes {
    office: Office,
}

impl ClusterOutcomes {
    pub fn new(contexts: Contexts, sealer: Sealer) -> Self {
        Self { office: Office { contexts, sealer, budget: Budget::DEFAULT } }
    }

    async fn look(&self, target: &ChangeTarget) -> Result<Outcome, String> {
        let ChangeTarget { kind, group, namespace, name } = target;
        let process = Caller::process();
        let desk = self.office.desk(&process, None).await.map_err(|answer| answer.text)?;
        let kind = group.as_ref().map_or_else(|| kind.clone(), |group| format!("{kind}.{group}"));
        let resource = desk.kind(&kind).await.map_err(|answer| answer.text)?;
        let raw = match desk.object(&resource, namespace.as_deref(), name).await {
            Ok(raw) => raw,
            Err(missing) if is_missing(&missing) => return Ok(Outcome::default()),
            Err(error) => return Err(error.text),
        };
        let object: Value = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
        let unhealthy = match unseen(&object) {
            Some(why) => Some(why),
            None => unhealthy(&desk, &resource, &raw).await?,
        };
        Ok(Outcome { object: Some(object), unhealthy })
    }
}

impl Outcomes for ClusterOutcomes {
    fn outcome<'a>(&'a self, target: &'a ChangeTarget) -> BoxFuture<'a, Result<Outcome, String>> {
        Box::pin(self.look(target))
    }
}

/// What its status says is of an older spec.
fn unseen(object: &Value) -> Option<String> {
    let generation = object["metadata"]["generation"].as_i64()?;
    let observed = object["status"]["observedGeneration"].as_i64()?;
    (observed < generation).then(|| "its controller has not seen the new spec yet".to_owned())
}

/// By the judgement of the lists, and for workloads by that of their pods.
///
/// # Errors
/// One sentence, when it cannot be told: that is no word of its being well.
async fn unhealthy(desk: &Desk, resource: &Resource, raw: &RawValue) -> Result<Option<String>, String> {
    let facts = Facts::at(desk.reader.now());
    let line = desk.view(resource).await.line(raw, &facts);
    let line = line.map_err(|error| format!("its status is not as its kind promises: {error}"))?;
    if line.health.rank <= Rank::Warning {
        return Ok(Some(line.health.why));
    }
    if !matches!(resource.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") {
        return Ok(None);
    }
    let kinds = desk.reader.kinds().await.map_err(|error| error.to_string())?;
    let pods = kinds.of_kind("", "Pod").ok_or("the API server names no kind Pod at this moment")?;
    let request = ListRequest { namespace: Some(line.namespace.clone()), ..ListRequest::default() };
    let mut worst = None;
    let each = |pod: &RawValue| {
        #[derive(Deserialize)]
        struct Owned {
            metadata: Meta,
        }
        let Ok(Owned { metadata }) = serde_json::from_str::<Owned>(pod.get()) else { return };
        let made_by = metadata.workload();
        if made_by.as_ref().is_none_or(|(kind, name)| *kind != resource.kind || *name != line.name) {
            return;
        }
        worst = worst.take().or_else(|| Pods::unwell(pod, &facts));
    };
    desk.reader.list(pods, &request, each).await.map_err(|error| error.to_string())?;
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::unseen;

    #[test]
    fn a_status_of_an_older_spec_says_nothing_of_the_new_one() {
        let object = |observed: i64| json!({ "metadata": { "generation": 3 }, "status": { "observedGeneration": observed } });
        assert!(unseen(&object(2)).is_some());
        assert!(unseen(&object(3)).is_none());
        assert!(unseen(&json!({ "metadata": { "generation": 3 } })).is_none());
    }
}
