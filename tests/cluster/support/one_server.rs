//! One MCPServer named `demo`, and what it makes, as anybody sees it.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use pilothouse::api::MCPServer;
use serde_json::{Value, json};

use super::wait::until;

pub(crate) const NAME: &str = "demo";
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct OneServer {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) servers: Api<MCPServer>,
    pub(crate) deployments: Api<Deployment>,
}

impl OneServer {
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
            servers: Api::namespaced(client.clone(), namespace),
            deployments: Api::namespaced(client.clone(), namespace),
        }
    }

    pub(crate) async fn create(&self, spec: Value) {
        let server = MCPServer::new(NAME, serde_json::from_value(spec).expect("the spec parses"));
        self.servers.create(&PostParams::default(), &server).await.expect("the MCPServer is accepted");
    }

    pub(crate) async fn change(&self, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.servers.patch(NAME, &PatchParams::default(), &patch).await.expect("the change is accepted");
    }

    /// `status reason: message`, empty without the condition.
    pub(crate) async fn condition(&self, type_: &str) -> String {
        let server = self.servers.get(NAME).await.expect("the MCPServer is there");
        let conditions = server.status.into_iter().flat_map(|status| status.conditions);
        conditions
            .filter(|condition| condition.type_ == type_)
            .map(|condition| format!("{} {}: {}", condition.status, condition.reason, condition.message))
            .collect()
    }

    /// Waits until the condition begins so; answers all of it.
    pub(crate) async fn says(&self, type_: &str, begins: &str) -> String {
        until(&format!("{type_} {begins}"), SOON, || async {
            let said = self.condition(type_).await;
            said.starts_with(begins).then_some(said)
        })
        .await
    }

    /// Objects of a kind, such as `apps/v1/Deployment`, `v1/Service`.
    pub(crate) fn kind(&self, kind: &str) -> Api<DynamicObject> {
        let parts: Vec<&str> = kind.split('/').collect();
        let (group, version, kind) = match parts.as_slice() {
            [version, kind] => ("", *version, *kind),
            [group, version, kind] => (*group, *version, *kind),
            _ => panic!("{kind} is no kind"),
        };
        let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if kind.ends_with("Policy") {
            resource.plural = format!("{}ies", kind.trim_end_matches('y').to_lowercase());
        }
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    pub(crate) async fn exists(&self, kind: &str, name: &str) -> DynamicObject {
        let api = self.kind(kind);
        until(&format!("{kind} {name}"), SOON, || async { api.get_opt(name).await.ok().flatten() }).await
    }

    pub(crate) async fn gone(&self, kind: &str, name: &str) {
        let api = self.kind(kind);
        until(&format!("no {kind} {name}"), SOON, || async {
            matches!(api.get_opt(name).await, Ok(None)).then_some(())
        })
        .await;
    }

    pub(crate) async fn patch(&self, kind: &str, name: &str, patch: Value) -> DynamicObject {
        let patched = self.kind(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.expect("a person changes it")
    }

    pub(crate) async fn delete(&self, kind: &str, name: &str) {
        self.kind(kind).delete(name, &DeleteParams::background()).await.expect("a person deletes it");
    }

    /// Revisions that the Deployment ever had. Old ReplicaSets are not kept, the number is.
    pub(crate) async fn revisions(&self) -> usize {
        let deployment = self.deployments.get_opt(NAME).await.ok().flatten();
        let noted =
            deployment.and_then(|it| it.annotations().get("deployment.kubernetes.io/revision").cloned());
        noted.and_then(|revision| revision.parse().ok()).unwrap_or(0)
    }

    /// Waits for this many revisions, and that no other follows.
    pub(crate) async fn revisions_become(&self, count: usize, why: &str) {
        until(&format!("{count} revisions: {why}"), SOON, || async {
            (self.revisions().await >= count).then_some(())
        })
        .await;
        self.settled().await;
        assert_eq!(self.revisions().await, count, "{why}");
    }

    /// Waits until nothing was written to the Deployment and the MCPServer for three seconds.
    pub(crate) async fn settled(&self) {
        let versions = || async {
            let deployment = self.deployments.get(NAME).await.ok()?.resource_version()?;
            Some((deployment, self.servers.get(NAME).await.ok()?.resource_version()?))
        };
        until("nothing is written for 3 s", SOON, || async {
            let before = versions().await?;
            tokio::time::sleep(Duration::from_secs(3)).await;
            (versions().await? == before).then_some(())
        })
        .await;
    }
}
