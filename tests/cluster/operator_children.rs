//! What an MCPServer makes: its children come, are kept as declared, cost nothing while nothing changes, and go.

use std::time::Duration;

use futures::future::join3;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service, ServiceAccount},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use pilothouse::api::{MCPServer, mcp_server::Phase};
use serde_json::{Value, json};

use crate::support::{
    kubectl,
    own_operator::{OwnOperator, solo},
    wait::until,
};

const SOON: Duration = Duration::from_secs(20);

/// The objects of one server, named `demo`.
struct Demo {
    servers: Api<MCPServer>,
    deployments: Api<Deployment>,
    services: Api<Service>,
    accounts: Api<ServiceAccount>,
}

const NAME: &str = "demo";

impl Demo {
    fn new(client: &Client, namespace: &str) -> Self {
        Self {
            servers: Api::namespaced(client.clone(), namespace),
            deployments: Api::namespaced(client.clone(), namespace),
            services: Api::namespaced(client.clone(), namespace),
            accounts: Api::namespaced(client.clone(), namespace),
        }
    }

    async fn create(&self, spec: Value) -> MCPServer {
        let server = MCPServer::new(NAME, serde_json::from_value(spec).expect("the spec parses"));
        self.servers.create(&PostParams::default(), &server).await.expect("the MCPServer is accepted")
    }

    async fn change(&self, patch: Value) {
        let params = PatchParams::default();
        self.servers.patch(NAME, &params, &Patch::Merge(&patch)).await.expect("the change is accepted");
    }

    async fn phase(&self, phase: Phase) -> MCPServer {
        let what = format!("phase {phase:?}");
        until(&what, SOON, || async {
            let server = self.servers.get(NAME).await.ok()?;
            (server.status.as_ref()?.phase == Some(phase)).then_some(server)
        })
        .await
    }

    /// Waits for all three children.
    async fn children(&self) -> (Deployment, Service, ServiceAccount) {
        until("three children", SOON, || async {
            let (deployment, service, account) =
                join3(self.deployments.get(NAME), self.services.get(NAME), self.accounts.get(NAME)).await;
            Some((deployment.ok()?, service.ok()?, account.ok()?))
        })
        .await
    }

    /// The resourceVersions of everything that could be written.
    async fn versions(&self) -> Option<[String; 4]> {
        Some([
            self.servers.get(NAME).await.ok()?.resource_version()?,
            self.deployments.get(NAME).await.ok()?.resource_version()?,
            self.services.get(NAME).await.ok()?.resource_version()?,
            self.accounts.get(NAME).await.ok()?.resource_version()?,
        ])
    }

    /// Waits until nothing was written for three seconds.
    async fn settled(&self) -> [String; 4] {
        until("nothing is written for 3 s", Duration::from_secs(60), || async {
            let before = self.versions().await?;
            tokio::time::sleep(Duration::from_secs(3)).await;
            (self.versions().await? == before).then_some(before)
        })
        .await
    }
}

fn condition(server: &MCPServer, type_: &str) -> String {
    let conditions = server.status.iter().flat_map(|status| &status.conditions);
    let said: Vec<String> = conditions
        .filter(|condition| condition.type_ == type_)
        .map(|condition| format!("{} {}: {}", condition.status, condition.reason, condition.message))
        .collect();
    said.join("; ")
}

#[tokio::test]
async fn children_are_made_and_go_with_their_server() {
    let scratch = solo("children");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = Demo::new(&operator.client, scratch.name());
    let server = demo.create(json!({"image": "registry.invalid/demo:1", "replicas": 0, "port": 3001})).await;
    let (deployment, service, account) = demo.children().await;
    for metadata in [&deployment.metadata, &service.metadata, &account.metadata] {
        let owner = &metadata.owner_references.as_ref().expect("it has an owner")[0];
        assert_eq!(Some(&owner.uid), server.metadata.uid.as_ref());
        assert_eq!(owner.controller, Some(true));
    }
    assert_eq!(account.automount_service_account_token, Some(false));
    let server = demo.phase(Phase::Stopped).await;
    let url = server.status.and_then(|status| status.endpoints).and_then(|endpoints| endpoints.service);
    assert_eq!(url, Some(format!("http://demo.{}.svc:3001/mcp", scratch.name())));
    demo.servers.delete(NAME, &DeleteParams::background()).await.expect("the MCPServer can be deleted");
    until("everything is gone", Duration::from_secs(60), || async {
        let gone =
            join3(demo.deployments.get_opt(NAME), demo.services.get_opt(NAME), demo.accounts.get_opt(NAME));
        matches!(gone.await, (Ok(None), Ok(None), Ok(None))).then_some(())
    })
    .await;
    operator.stop().await;
}

#[tokio::test]
async fn drift_is_repaired() {
    let scratch = solo("drift");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = Demo::new(&operator.client, scratch.name());
    demo.create(json!({"image": "registry.invalid/demo:1", "replicas": 0})).await;
    let (before, _, _) = demo.children().await;
    demo.settled().await;
    let params = PatchParams::default();
    let image = json!({"spec": {"replicas": 2, "template": {"spec": {"containers": [
        {"name": "server", "image": "registry.invalid/other:1"}, {"name": "foreign", "image": "x"}]}}}});
    demo.deployments.patch(NAME, &params, &Patch::Strategic(&image)).await.expect("a person changes it");
    let port = json!({"spec": {"sessionAffinity": "None"}});
    demo.services.patch(NAME, &params, &Patch::Merge(&port)).await.expect("a person changes it");
    demo.accounts.delete(NAME, &DeleteParams::default()).await.expect("a person deletes it");
    let after = until("everything is as declared", SOON, || async {
        let (deployment, service, _) = demo.children().await;
        let spec = deployment.spec.clone()?;
        let containers = spec.template.spec?.containers;
        let right = containers.len() == 1
            && containers[0].image.as_deref() == Some("registry.invalid/demo:1")
            && spec.replicas == Some(0)
            && service.spec?.session_affinity.as_deref() == Some("ClientIP");
        right.then_some(deployment)
    })
    .await;
    assert_eq!(after.uid(), before.uid(), "repaired, not made anew");
    operator.stop().await;
}

#[tokio::test]
async fn nothing_is_written_while_nothing_changes() {
    let scratch = solo("silent");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = Demo::new(&operator.client, scratch.name());
    // Amounts that the API server rewrites, and a pod that fails and is tried again and again.
    demo.create(json!({"image": "registry.invalid/demo:1", "imagePullPolicy": "Never",
        "resources": {"requests": {"cpu": 0.5, "memory": "65536Ki"}, "limits": {"memory": "1024Mi"}}}))
        .await;
    let failed = demo.phase(Phase::Failed).await;
    let said = condition(&failed, "Available");
    assert!(said.contains("False ImagePullFailed") && said.contains("registry.invalid/demo:1"), "{said}");
    let before = demo.settled().await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(demo.versions().await, Some(before.clone()), "something was written");
    // Another replica that takes over finds everything as it should be.
    operator.stop().await;
    let next = OwnOperator::start(scratch.name(), "next").await;
    let mut leadership = next.leadership.clone();
    let led = leadership.wait_for(|now| now.holds_at(tokio::time::Instant::now())).await.is_ok();
    assert!(led, "the next one leads");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(demo.versions().await, Some(before), "the next leader wrote something");
    next.stop().await;
}

#[tokio::test]
async fn a_changed_spec_changes_the_children_and_replicas_only_scale() {
    let scratch = solo("change");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = Demo::new(&operator.client, scratch.name());
    demo.create(json!({"image": "registry.invalid/demo:1", "imagePullPolicy": "Never", "replicas": 0,
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}))
        .await;
    let (before, _, _) = demo.children().await;
    demo.change(json!({"spec": {"replicas": 2}})).await;
    let scaled = until("two replicas", SOON, || async {
        let deployment = demo.deployments.get(NAME).await.ok()?;
        (deployment.spec.as_ref()?.replicas == Some(2)).then_some(deployment)
    })
    .await;
    let template = |deployment: &Deployment| deployment.spec.clone().map(|spec| spec.template);
    assert_eq!(template(&before), template(&scaled), "scaling rolls no pod");
    demo.change(json!({"spec": {"image": "registry.invalid/demo:2", "env": [{"name": "B", "value": "2"}]}}))
        .await;
    let env = until("the new image", SOON, || async {
        let deployment = demo.deployments.get(NAME).await.ok()?;
        let container = deployment.spec?.template.spec?.containers.into_iter().next()?;
        let is_new = container.image.as_deref() == Some("registry.invalid/demo:2");
        is_new.then_some(container.env.unwrap_or_default())
    })
    .await;
    let names: Vec<String> = env.into_iter().map(|variable| variable.name).collect();
    assert_eq!(names, ["B", "HOME"], "what left the spec leaves the pod");
    demo.change(json!({"spec": {"image": null, "remote": {"url": "http://mcp.invalid/mcp"}}})).await;
    until("the children of a server that runs elsewhere are gone", Duration::from_secs(60), || async {
        let gone =
            join3(demo.deployments.get_opt(NAME), demo.services.get_opt(NAME), demo.accounts.get_opt(NAME));
        matches!(gone.await, (Ok(None), Ok(None), Ok(None))).then_some(())
    })
    .await;
    operator.stop().await;
}

#[tokio::test]
async fn an_object_that_has_our_name_is_not_taken_over() {
    let scratch = solo("foreign");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = Demo::new(&operator.client, scratch.name());
    let theirs: Service = serde_json::from_value(json!({"metadata": {"name": NAME},
        "spec": {"ports": [{"port": 1234}]}}))
    .expect("a Service");
    let theirs = demo.services.create(&PostParams::default(), &theirs).await.expect("a person makes it");
    demo.create(json!({"image": "registry.invalid/demo:1", "replicas": 1})).await;
    let failed = demo.phase(Phase::Failed).await;
    let said = condition(&failed, "Accepted");
    assert!(said.starts_with("False NameTaken: Service") && said.contains("delete it or give"), "{said}");
    let still = demo.services.get(NAME).await.expect("it is still there");
    assert_eq!(still.resource_version(), theirs.resource_version(), "it was not touched");
    let pods = Api::<Pod>::namespaced(operator.client.clone(), scratch.name());
    let pods = pods.list(&ListParams::default()).await.expect("pods can be listed");
    assert!(pods.items.is_empty(), "no pod starts before its name is free");
    operator.stop().await;
}

#[tokio::test]
async fn what_the_api_server_refuses_is_said() {
    let scratch = solo("refused");
    kubectl::run(&["-n", scratch.name(), "create", "quota", "none", "--hard=count/deployments.apps=0"]);
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = Demo::new(&operator.client, scratch.name());
    // The quota takes effect once it has counted.
    let counted = "jsonpath={.status.hard}";
    until("the quota counts", SOON, || async {
        let said = kubectl::run(&["-n", scratch.name(), "get", "quota", "none", "-o", counted]);
        (!said.is_empty()).then_some(())
    })
    .await;
    demo.create(json!({"image": "registry.invalid/demo:1"})).await;
    let failed = demo.phase(Phase::Failed).await;
    let said = condition(&failed, "Accepted");
    assert!(said.starts_with("False ChildRefused") && said.contains("exceeded quota: none"), "{said}");
    operator.stop().await;
}

#[tokio::test]
async fn a_crash_is_told_with_its_exit_code_and_pods_are_restricted() {
    let scratch = solo("crash");
    kubectl::run(&["label", "namespace", scratch.name(), "pod-security.kubernetes.io/enforce=restricted"]);
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = Demo::new(&operator.client, scratch.name());
    demo.create(json!({"image": "docker.io/pilothouse-test/busybox:1", "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "exit 3"]}))
        .await;
    let failed = demo.phase(Phase::Failed).await;
    let said = condition(&failed, "Available");
    assert!(said.contains("False ContainerExits") && said.contains("exit code 3"), "{said}");
    operator.stop().await;
}
