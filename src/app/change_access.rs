//! Who may see and propose which changes, by the cluster's own access rules.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::{
    caller::{Caller, Question},
    cluster::{Reader, access::Age},
    tools::{ChangeAccess, Proposal},
};

/// How old what is known of a caller may be.
const FRESH: Age = Age::Shown(Duration::from_secs(60));

/// [`ChangeAccess`] over the cluster that this process reads.
pub(super) struct ClusterChangeAccess(pub(super) Reader);

impl ClusterChangeAccess {
    async fn may(&self, caller: &Caller, question: &Question, age: Age) -> Result<bool, String> {
        let reader = self.0.for_caller(caller).map_err(|error| error.to_string())?;
        reader.may(question, age).await.map_err(|error| error.to_string())
    }

    /// Whether the caller may do this to the change requests of others.
    async fn to_others(
        &self,
        caller: &Caller,
        verb: &str,
        namespace: Option<&str>,
        age: Age,
    ) -> Result<bool, String> {
        if !caller.is_impersonated() {
            return Ok(true);
        }
        let question = Question::new(verb, "pilothouse.dev", "changerequests");
        let question = Question { namespace: namespace.map(str::to_owned), ..question };
        self.may(caller, &question, age).await
    }

    async fn object(&self, caller: &Caller, proposal: &Proposal) -> Result<(), String> {
        let Proposal { kind, namespace, name, change: _, reason: _, repository: _ } = proposal;
        let kinds = self.0.kinds().await.map_err(|error| error.to_string())?;
        let resource = kinds.resolve(kind).map_err(|error| error.to_string())?;
        let question = Question {
            verb: "get".to_owned(),
            group: resource.group.clone(),
            resource: resource.plural.clone(),
            namespace: namespace.clone().filter(|_| resource.namespaced),
            name: Some(name.clone()),
        };
        if self.may(caller, &question, Age::Call).await? {
            return Ok(());
        }
        let id = resource.id();
        Err(match &question.namespace {
            Some(namespace) => format!(
                "namespace `{}` is not there or you may not get {id} in it",
                crate::redact::shown(namespace)
            ),
            None if resource.namespaced => {
                format!("you may not get {id} in all namespaces: name its `namespace`")
            }
            None => format!("you may not get {id}"),
        })
    }
}

impl ChangeAccess for ClusterChangeAccess {
    fn sees_others<'a>(
        &'a self,
        caller: &'a Caller,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(self.to_others(caller, "get", namespace, FRESH))
    }

    fn changes_others<'a>(
        &'a self,
        caller: &'a Caller,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(self.to_others(caller, "update", namespace, Age::Call))
    }

    fn sees_object<'a>(
        &'a self,
        caller: &'a Caller,
        proposal: &'a Proposal,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            if caller.is_impersonated() { self.object(caller, proposal).await } else { Ok(()) }
        })
    }
}
