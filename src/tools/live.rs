//! Objects and schemas for change requests, read as the caller. What is not there is said as the read tools say it.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Live,
    desk::{Desk, Office},
    owners::group_of,
};
use crate::{
    answer::{Answer, Budget, Sealer},
    caller::Caller,
    cluster::{Contexts, ListRequest, ReadError, Resource},
};

/// The objects of the current cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClusterObjects(Office);

impl ClusterObjects {
    pub fn new(contexts: Contexts, sealer: Sealer) -> Self {
        Self(Office { contexts, sealer, budget: Budget::DEFAULT })
    }

    /// # Errors
    /// One sentence that names what does exist, when the object or its kind does not.
    pub async fn live(
        &self,
        caller: &Caller,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Live, String> {
        let desk = self.0.desk(caller, None).await.map_err(said)?;
        let resource = desk.kind(kind).await.map_err(said)?;
        let object = desk.parsed(&resource, namespace, name).await.map_err(said)?;
        let schema = schema(&desk, &resource).await?;
        let scaler = scaler(&desk, &resource, &object).await;
        Ok(Live { object, schema, scaler })
    }

    /// As [`super::ClusterChecks::schema`].
    ///
    /// # Errors
    /// One sentence, when it cannot be read.
    pub async fn schema(
        &self,
        caller: &Caller,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Arc<Value>>, String> {
        let desk = self.0.desk(caller, None).await.map_err(said)?;
        let kinds = desk.reader.kinds().await.map_err(|error| error.to_string())?;
        let Some(resource) = kinds.of_kind(group_of(api_version), kind) else { return Ok(None) };
        let version = api_version.rsplit('/').next().unwrap_or_default().to_owned();
        schema(&desk, &Resource { version, ..resource.clone() }).await
    }
}

/// None where nothing documents the kind.
async fn schema(desk: &Desk, resource: &Resource) -> Result<Option<Arc<Value>>, String> {
    match desk.reader.schema(resource).await {
        Ok(schema) => Ok(Some(Arc::new(schema.document()))),
        Err(ReadError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Whoever may not list them is not told; the change is checked again when it is applied.
async fn scaler(desk: &Desk, resource: &Resource, object: &Value) -> Option<String> {
    let kinds = desk.reader.kinds().await.ok()?;
    let scalers = kinds.of_kind("autoscaling", "HorizontalPodAutoscaler")?;
    let meta = |key: &str| object["metadata"][key].as_str();
    let namespace = meta("namespace")?.to_owned();
    let request = ListRequest { namespace: Some(namespace.clone()), ..ListRequest::default() };
    let mut found = None;
    let each = |scaler: &serde_json::value::RawValue| {
        let Ok(scaler) = serde_json::from_str::<Value>(scaler.get()) else { return };
        let target = &scaler["spec"]["scaleTargetRef"];
        let group = group_of(target["apiVersion"].as_str().unwrap_or_default());
        if target["kind"] == *resource.kind && group == resource.group && target["name"].as_str() == meta("name")
        {
            let name = scaler["metadata"]["name"].as_str().unwrap_or_default();
            found = Some(format!("{namespace}/{name}"));
        }
    };
    desk.reader.list(scalers, &request, each).await.ok()?;
    found
}

fn said(answer: Answer) -> String {
    answer.text
}
