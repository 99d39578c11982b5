//! All cases in the cluster at the same time, and everything of theirs away again.

use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Node};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use pilothouse::cluster::Reader;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{
    case::{self, Case},
    condition,
};
use crate::support::{client, kubectl, openshift, wait};

/// Of one case, from the moment when all are applied until it has happened.
const HAPPENS: Duration = Duration::from_secs(240);
const GONE: Duration = Duration::from_secs(600);
/// kubectl is as expensive as what it does.
const KUBECTLS: usize = 6;
/// The node without a kubelet; see `ground.yaml`.
const NODE: &str = "fault-node";
const HEARTBEAT: Duration = Duration::from_secs(10);
/// What a preempted pod loses: the real node has one of it.
const SEAT: &str = "pilothouse.dev~1seat";
/// What may be left with a finalizer.
const HELD: [&str; 2] = ["pods", "databases.faults.pilothouse.dev"];

/// What the cases of a run leave traces in.
pub(super) struct Stage {
    namespaces: Vec<String>,
    /// `kind.group/name` of everything that is in no namespace.
    clusterwide: Vec<String>,
    /// Namespaces whose case holds something by a finalizer or a long grace.
    held: Vec<String>,
}

impl Stage {
    pub(super) fn new(cases: &[Case]) -> Self {
        let holds = |case: &&Case| {
            ["finalizers:", "terminationGracePeriodSeconds: 600"]
                .iter()
                .any(|word| case.manifests.contains(word))
        };
        let ground = ground();
        let manifests = cases.iter().map(|case| case.manifests.as_str()).chain([ground.as_str()]);
        Self {
            namespaces: cases.iter().map(Case::namespace).collect(),
            clusterwide: manifests.flat_map(clusterwide).collect(),
            held: cases.iter().filter(holds).map(Case::namespace).collect(),
        }
    }

    /// Applies all cases and waits for each; gives those that have not happened.
    pub(super) async fn raise(&self, cases: &[Case]) -> Vec<String> {
        let spaces = self
            .namespaces
            .iter()
            .map(|name| format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name} }}\n"));
        let ground = format!("{}\n{}", ground(), spaces.collect::<String>());
        spawn_blocking(openshift::established).await.expect("OpenShift's kinds");
        applied("default", ground).await;
        kubectl::run(&["wait", "--for=condition=Established", "crd/databases.faults.pilothouse.dev"]);
        self.seat("add");
        let reader = super::reader().await;
        let turns = Arc::new(Semaphore::new(KUBECTLS));
        let all = cases.iter().map(async |case| {
            let started = Instant::now();
            (happened(&reader, &turns, case).await, started.elapsed(), &case.name)
        });
        let mut all = join_all(all).await;
        all.sort_by_key(|(_, took, _)| std::cmp::Reverse(*took));
        let slowest = all.iter().take(8).map(|(_, took, name)| format!("{name} {} s", took.as_secs()));
        println!("the slowest: {}", slowest.collect::<Vec<_>>().join(", "));
        all.into_iter().filter_map(|(result, ..)| result.err()).collect()
    }

    /// What an earlier run that was killed has left is away after this.
    pub(super) async fn prepare(&self) {
        self.clear().await;
        wait::until("the namespaces of an earlier run are gone", GONE, || async {
            let left = quietly(&["get", "namespaces", "-o", "name"]);
            (!left.lines().any(|line| self.is_ours(line.trim_start_matches("namespace/")))).then_some(())
        })
        .await;
    }

    /// Takes everything away and waits until nothing can hold it any more. The namespaces, empty then, go by
    /// themselves: the controller that ends them takes a second for each.
    pub(super) async fn clear(&self) {
        // First what may keep others from going.
        let mut arguments = vec!["delete", "--ignore-not-found", "--wait=false"];
        arguments.extend(self.clusterwide.iter().filter(|name| name.contains("webhook")).map(String::as_str));
        quietly(&arguments);
        let mut arguments = vec!["delete", "namespace", "--ignore-not-found", "--wait=false"];
        arguments.extend(self.namespaces.iter().map(String::as_str));
        quietly(&arguments);
        wait::until("nothing of the cases is held", GONE, || async {
            self.held.iter().for_each(|namespace| released(namespace));
            let columns = "custom-columns=N:.metadata.namespace";
            let left = quietly(&["get", &HELD.join(","), "-A", "--no-headers", "-o", columns]);
            (!left.lines().any(|line| self.is_ours(line.trim()))).then_some(())
        })
        .await;
        let mut arguments = vec!["delete", "--ignore-not-found", "--wait=false"];
        arguments.extend(self.clusterwide.iter().map(String::as_str));
        quietly(&arguments);
        self.seat("remove");
    }

    fn is_ours(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|name| name == namespace)
    }

    /// One seat more or less on the real node.
    fn seat(&self, what: &str) {
        let nodes = kubectl::run(&["get", "nodes", "-o", "name"]);
        let real = nodes.lines().find(|node| !node.contains("/fault-node"));
        let edit = |part: &str| json!({ "op": what, "path": format!("/status/{part}/{SEAT}"), "value": "1" });
        let edits = json!([edit("capacity"), edit("allocatable")]).to_string();
        quietly(&["patch", real.expect("a node"), "--subresource=status", "--type=json", "-p", &edits]);
    }
}

async fn happened(reader: &Reader, turns: &Semaphore, case: &Case) -> Result<(), String> {
    let namespace = case.namespace();
    if case.manifests.contains("kind: ") {
        let _turn = turns.acquire().await.expect("never closed");
        applied(&namespace, case.manifests.clone()).await;
    }
    let deadline = Instant::now() + HAPPENS;
    for step in &case.head.steps {
        condition::hold(reader, &namespace, &step.after, deadline).await?;
        let _turn = turns.acquire().await.expect("never closed");
        let arguments: Vec<String> =
            ["-n", namespace.as_str()].map(str::to_owned).into_iter().chain(step.run.clone()).collect();
        spawn_blocking(move || {
            kubectl::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        })
        .await
        .map_err(|error| format!("{namespace}: {error}"))?;
    }
    condition::hold(reader, &namespace, &case.head.ready, deadline).await
}

fn ground() -> String {
    std::fs::read_to_string(case::folder().join("ground.yaml")).expect("ground.yaml")
}

async fn applied(namespace: &str, manifests: String) {
    let namespace = namespace.to_owned();
    spawn_blocking(move || kubectl::apply_in(&namespace, &manifests)).await.expect("kubectl apply");
}

/// Says for the node without a kubelet that it lives, as a kubelet does: by its lease and its status.
pub(super) async fn heartbeat() {
    let client = client::admin().await;
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let nodes: Api<Node> = Api::all(client);
    loop {
        let now = format!("{:.6}", Timestamp::now());
        let lease = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": NODE },
            "spec": { "holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": now } });
        let ready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True",
            "reason": "KubeletReady", "message": "kubelet is posting ready status",
            "lastHeartbeatTime": now }] } });
        let renewed = leases.patch(NODE, &PatchParams::apply("faults").force(), &Patch::Apply(&lease)).await;
        let told = nodes.patch_status(NODE, &PatchParams::default(), &Patch::Strategic(&ready)).await;
        // It is not there yet, or not any more.
        let is_absent = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 404);
        for error in [renewed.err(), told.err()].into_iter().flatten().filter(|error| !is_absent(error)) {
            println!("{NODE} is not kept alive: {error}");
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

/// Ends at once what would take its time, and takes finalizers away.
fn released(namespace: &str) {
    let names = quietly(&["get", &HELD.join(","), "-n", namespace, "-o", "name"]);
    for name in names.lines() {
        let none = r#"{"metadata":{"finalizers":null}}"#;
        quietly(&["patch", name, "-n", namespace, "--type=merge", "-p", none]);
        quietly(&["delete", name, "-n", namespace, "--force", "--grace-period=0", "--wait=false"]);
    }
}

/// What is already as it should be is no failure here.
fn quietly(arguments: &[&str]) -> String {
    let output = kubectl::kubectl().args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    String::from_utf8_lossy(&output.expect("kubectl can be started").stdout).into_owned()
}

/// `kind.group/name` of the manifests' objects that are in no namespace.
fn clusterwide(manifests: &str) -> Vec<String> {
    const KINDS: [&str; 11] = [
        "ClusterOperator",
        "CustomResourceDefinition",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    ];
    #[derive(Deserialize)]
    struct Object {
        #[serde(rename = "apiVersion")]
        api_version: String,
        kind: String,
        metadata: Value,
    }
    let documents = manifests.split("\n---\n").filter(|document| document.contains("kind: "));
    documents
        .map(|document| serde_saphyr::from_str::<Object>(document).expect("a manifest"))
        .filter(|object| KINDS.contains(&object.kind.as_str()))
        .map(|object| {
            let group =
                object.api_version.split_once('/').map(|(group, version)| format!(".{version}.{group}"));
            let name = object.metadata["name"].as_str().unwrap_or_default();
            format!("{}{}/{name}", object.kind.to_lowercase(), group.unwrap_or_default())
        })
        .collect()
}
