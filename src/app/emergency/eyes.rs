//! What emergencies see of the cluster.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use serde_json::{Value, value::RawValue};

use crate::{
    api::emergency_change::EmergencyTarget,
    caller::{Caller, Question},
    changes::emergency::{APPLIERS, Eyes, KindNames, KnownKind},
    cluster::{ListRequest, ReadError, Reader, access::Age},
};

/// [`Eyes`] over the reader of tools.
pub(super) struct ClusterEyes {
    pub(super) reader: Reader,
    pub(super) own_namespace: String,
}

impl ClusterEyes {
    fn reader(&self, caller: Option<&Caller>) -> Result<Reader, String> {
        match caller {
            Some(caller) => self.reader.for_caller(caller).map_err(|error| error.to_string()),
            None => Ok(self.reader.clone()),
        }
    }

    async fn look(&self, caller: Option<&Caller>, target: &EmergencyTarget) -> Result<Option<Value>, String> {
        let reader = self.reader(caller)?;
        let EmergencyTarget { kind, namespace, name } = target;
        let kinds = reader.kinds().await.map_err(|error| error.to_string())?;
        let resource = kinds.resolve(kind).map_err(|error| error.to_string())?;
        match reader.get(resource, namespace.as_deref(), name).await {
            Ok(raw) => parsed(&raw, &resource.kind).map(Some),
            Err(ReadError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn list_appliers(&self, caller: Option<&Caller>) -> Result<Vec<Value>, String> {
        let reader = self.reader(caller)?;
        let kinds = reader.kinds().await.map_err(|error| error.to_string())?;
        let mut appliers = Vec::new();
        for (group, kind) in APPLIERS {
            // A cluster without it has nothing that applies.
            let Some(resource) = kinds.of_kind(group, kind) else { continue };
            let each = |object: &RawValue| appliers.extend(parsed(object, kind).ok());
            let listed = reader.list(resource, &ListRequest::default(), each).await;
            listed.map_err(|error| error.to_string())?;
        }
        Ok(appliers)
    }
}

/// Lists leave the kind out.
fn parsed(raw: &RawValue, kind: &str) -> Result<Value, String> {
    let mut object: Value = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    object["kind"] = Value::from(kind);
    Ok(object)
}

impl Eyes for ClusterEyes {
    fn object<'a>(
        &'a self,
        caller: Option<&'a Caller>,
        target: &'a EmergencyTarget,
    ) -> BoxFuture<'a, Result<Option<Value>, String>> {
        Box::pin(self.look(caller, target))
    }

    fn kinds(&self, asked: BTreeSet<String>) -> BoxFuture<'_, Result<KindNames, String>> {
        Box::pin(async move {
            let kinds = self.reader.kinds().await.map_err(|error| error.to_string())?;
            let answer = |asked: &String| {
                let found = kinds.resolve(asked).map_err(|error| error.to_string())?;
                Ok(KnownKind { group: found.group.clone(), kind: found.kind.clone() })
            };
            Ok(asked.iter().map(|asked| (asked.clone(), answer(asked))).collect())
        })
    }

    fn may_see_records<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            let question = Question::new("get", "pilothouse.dev", "emergencychanges");
            let question = question.in_namespace(&self.own_namespace);
            let reader = self.reader(Some(caller))?;
            reader.may(&question, Age::Call).await.map_err(|error| error.to_string())
        })
    }

    fn appliers<'a>(&'a self, caller: Option<&'a Caller>) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        Box::pin(self.list_appliers(caller))
    }
}
