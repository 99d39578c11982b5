//! The identity of dry-runs asks the API server and never writes; what it is told is what a change is checked with.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use kube::Client;
use pilothouse::{
    cluster::{ConnectOptions, Connection, connect},
    operator::{self, DryRun, DryRunAnswer},
};
use serde_json::{Value, json};

use crate::support::{client, kubectl, namespace::Scratch, wait::until};

const SOON: Duration = Duration::from_secs(20);

/// What `pilothouse manifests --dry-run-identity` adds, under names of this test's own.
struct Installed {
    scratch: Scratch,
}

impl Installed {
    fn new(purpose: &str) -> Self {
        let scratch = Scratch::new(purpose);
        let name = scratch.name();
        let manifests = operator::dry_run_manifests()
            .replace("namespace: pilothouse", &format!("namespace: {name}"))
            .replace("pilothouse:pilothouse-dryrun", &format!("{name}:pilothouse-dryrun"))
            .replace("name: pilothouse-dryrun-never-writes", &format!("name: {name}-never-writes"))
            .replace(
                "policyName: pilothouse-dryrun-never-writes",
                &format!("policyName: {name}-never-writes"),
            )
            .replace(
                "kind: ClusterRole, name: pilothouse-dryrun",
                &format!("kind: ClusterRole, name: {name}-dryrun"),
            )
            .replace(
                "kind: ClusterRole\nmetadata:\n  name: pilothouse-dryrun",
                &format!("kind: ClusterRole\nmetadata:\n  name: {name}-dryrun"),
            )
            .replace(
                "kind: ClusterRoleBinding\nmetadata:\n  name: pilothouse-dryrun",
                &format!("kind: ClusterRoleBinding\nmetadata:\n  name: {name}-dryrun"),
            );
        kubectl::apply(&manifests);
        kubectl::apply(&format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: {name}}}\nspec:\n  replicas: 0\n  \
             selector: {{matchLabels: {{a: b}}}}\n  template:\n    metadata: {{labels: {{a: b}}}}\n    \
             spec: {{containers: [{{name: a, image: registry.invalid/a}}]}}\n---\n\
             apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: few, namespace: {name}}}\nspec: {{hard: {{count/deployments.apps: \"1\"}}}}\n"
        ));
        Self { scratch }
    }

    fn web(&self) -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": self.scratch.name() },
            "spec": { "replicas": 0, "selector": { "matchLabels": { "a": "b" } }, "template": {
                "metadata": { "labels": { "a": "b" } },
                "spec": { "containers": [{ "name": "a", "image": "registry.invalid/a" }] } } } })
    }

    async fn dry_run(&self) -> DryRun {
        let Connection { client, reader, .. } =
            connect(&ConnectOptions::default()).await.expect("it connects");
        DryRun::impersonating(client, self.scratch.name(), "pilothouse-dryrun", reader).expect("a name")
    }

    /// A client that is this account, for what it could do.
    async fn account(&self) -> Client {
        let mut config = client::config().await;
        let user = format!("system:serviceaccount:{}:pilothouse-dryrun", self.scratch.name());
        let name = http::HeaderName::from_static("impersonate-user");
        config.headers.push((name, user.parse().expect("a header value")));
        Client::try_from(config).expect("a client")
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let name = self.scratch.name();
        for (kind, object) in [
            ("validatingadmissionpolicybinding", format!("{name}-never-writes")),
            ("validatingadmissionpolicy", format!("{name}-never-writes")),
            ("clusterrolebinding", format!("{name}-dryrun")),
            ("clusterrole", format!("{name}-dryrun")),
        ] {
            let _ = kubectl::kubectl().args(["delete", kind, &object, "--wait=false"]).output();
        }
    }
}

async fn send(client: &Client, method: Method, path: &str, body: &Value) -> (StatusCode, String) {
    let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let body = serde_json::to_vec(body).expect("JSON");
    let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body.into());
    let answer = client.send(request.expect("a request")).await.expect("an answer");
    let status = answer.status();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_real_write_of_the_dry_run_identity_is_refused() {
    let installed = Installed::new("dryrun-writes");
    let account = installed.account().await;
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", installed.scratch.name());
    let patch = json!({ "spec": { "paused": true } });
    let (one, dry) = (format!("{path}/web"), format!("{path}/web?dryRun=All"));

    // A policy is seen by the API server a moment after it was stored.
    until("the policy refuses a write", SOON, || async {
        let (status, said) = send(&account, Method::PATCH, &one, &patch).await;
        (status == StatusCode::FORBIDDEN && said.contains("asks and never writes")).then_some(())
    })
    .await;
    let (status, said) = send(&account, Method::PATCH, &dry, &patch).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let mut other = installed.web();
    other["metadata"]["name"] = json!("other");
    let (status, said) = send(&account, Method::POST, &path, &other).await;
    assert!(status == StatusCode::FORBIDDEN && said.contains("asks and never writes"), "{said}");
    let names = kubectl::run(&["-n", installed.scratch.name(), "get", "deployments", "-o", "name"]);
    assert_eq!(names.trim(), "deployment.apps/web");
}

#[tokio::test]
async fn a_change_is_taken_or_refused_and_nothing_is_stored() {
    let installed = Installed::new("dryrun-asks");
    let name = installed.scratch.name();
    let dry_run = installed.dry_run().await;
    let version = || {
        kubectl::run(&["-n", name, "get", "deployment", "web", "-o", "jsonpath={.metadata.resourceVersion}"])
    };
    let (web, stored) = (installed.web(), version());

    let mut good = web.clone();
    good["spec"]["template"]["spec"]["containers"][0]["image"] = json!("registry.invalid/b");
    let taken = until("the identity may ask", SOON, || async {
        let answer = dry_run.ask(Some(&web), &good).await;
        (!matches!(answer, DryRunAnswer::NotRun { .. })).then_some(answer)
    })
    .await;
    assert_eq!(taken, DryRunAnswer::Accepted { warnings: Vec::new() });

    let refused = |answer: DryRunAnswer| match answer {
        DryRunAnswer::Refused { said } => said,
        other => panic!("was not refused: {other:?}"),
    };
    let mut immutable = web.clone();
    immutable["spec"]["selector"]["matchLabels"]["a"] = json!("c");
    immutable["spec"]["template"]["metadata"]["labels"]["a"] = json!("c");
    let said = refused(dry_run.ask(Some(&web), &immutable).await);
    assert!(said.contains("field is immutable"), "{said}");

    let mut unknown = web.clone();
    unknown["spec"]["replcas"] = json!(1);
    let said = refused(dry_run.ask(Some(&web), &unknown).await);
    assert!(said.contains("replcas"), "{said}");

    // One more than the quota allows.
    let mut new = web.clone();
    new["metadata"]["name"] = json!("second");
    let said = until("the quota is counted", SOON, || async {
        match dry_run.ask(None, &new).await {
            DryRunAnswer::Refused { said } => Some(said),
            DryRunAnswer::Accepted { .. } | DryRunAnswer::NotRun { .. } => None,
        }
    })
    .await;
    assert!(said.contains("exceeded quota"), "{said}");

    // A kind that the identity has no rights on says nothing of the change.
    let secret =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": name } });
    assert!(
        matches!(dry_run.ask(None, &secret).await, DryRunAnswer::NotRun { why } if why.contains("cannot create"))
    );
    assert_eq!(version(), stored, "nothing was stored");
}
