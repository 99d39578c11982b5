//! An operator in the test's own process, for one namespace of its own.
//!
//! When pilothouse is installed in the same cluster, its operator would act in that namespace too: an admission
//! policy of the tests keeps it out.

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use kube::Client;
use pilothouse::{
    fleet::Observations,
    operator::{self, Leadership, LitellmSettings, Operator, OperatorSettings, Timing},
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{client, crd, kubectl, namespace::Scratch};

const KEEP_OUT: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: test-solo}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {test-solo: "true"}}
    resourceRules:
    - {apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE, UPDATE, DELETE], resources: ["*/*"]}
  validations:
  # The selector lets through what has no namespace, which is nobody's test.
  - expression: "!has(request.namespace) || request.namespace == '' || request.userInfo.username != 'system:serviceaccount:pilothouse:pilothouse'"
    message: only the operator of the test acts here
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: test-solo}
spec: {policyName: test-solo, validationActions: [Deny]}
"#;

/// A namespace in which no installed pilothouse writes.
pub(crate) fn solo(purpose: &str) -> Scratch {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        kubectl::apply(KEEP_OUT);
    });
    crd::established();
    let scratch = Scratch::new(purpose);
    kubectl::run(&["label", "namespace", scratch.name(), "test-solo=true"]);
    let installed = "--as=system:serviceaccount:pilothouse:pilothouse";
    let started = Instant::now();
    loop {
        let try_it =
            ["-n", scratch.name(), "create", "serviceaccount", "probe", "--dry-run=server", installed];
        let status = kubectl::kubectl().args(try_it).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !status.expect("kubectl can be started").success() {
            return scratch;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "the policy test-solo does not take effect");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Fast, so that a test sees the lease change hands.
pub(crate) const TIMING: Timing = Timing {
    duration: Duration::from_secs(3),
    deadline: Duration::from_secs(2),
    renew_every: Duration::from_millis(500),
    look_every: Duration::from_millis(250),
};

/// As whom [`OwnOperator::start_with_its_rights`] acts.
pub(crate) const ACCOUNT: &str = "operator";

/// What the installation gives an operator for one namespace, for [`ACCOUNT`].
pub(crate) fn rights(namespace: &str) -> String {
    let all = operator::namespaced_manifests(&[namespace.to_owned()]).expect("the manifests can be written");
    let role = all.split("\n---\n").find(|document| {
        document.contains("kind: Role\n") && document.contains(&format!("namespace: {namespace}\n"))
    });
    let role = role.expect("the operator has a role in the namespace");
    let subject = format!("[{{kind: ServiceAccount, name: {ACCOUNT}, namespace: {namespace}}}]");
    format!(
        "{role}\n---\n\
         {{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {ACCOUNT}, namespace: {namespace}}}}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: operator, namespace: \
         {namespace}}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: pilothouse-operator}}, \
         subjects: {subject}}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: lease, namespace: {namespace}}}, \
         rules: [{{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, get, update]}}]}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: lease, namespace: \
         {namespace}}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: lease}}, subjects: {subject}}}\n"
    )
}

async fn with_its_rights(namespace: &str) -> Client {
    kubectl::apply(&rights(namespace));
    let mut config = client::config().await;
    config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{ACCOUNT}"));
    Client::try_from(config).expect("the kubeconfig makes a client")
}

/// Runs until [`OwnOperator::stop`], or is given up when dropped.
pub(crate) struct OwnOperator {
    pub(crate) client: Client,
    pub(crate) leadership: watch::Receiver<Leadership>,
    /// Nothing was seen yet; kept so that the operator does not take the gateway for gone.
    _observations: watch::Sender<Observations>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl OwnOperator {
    /// With its lease in the same namespace.
    pub(crate) async fn start(namespace: &str, identity: &str) -> Self {
        Self::start_as(client::admin().await, &[namespace], identity).await
    }

    /// For several namespaces, with its lease in the first.
    pub(crate) async fn start_in(namespaces: &[&str], identity: &str) -> Self {
        Self::start_as(client::admin().await, namespaces, identity).await
    }

    /// With the rights that the installation gives an operator for one namespace, and no others.
    pub(crate) async fn start_with_its_rights(namespace: &str, identity: &str) -> Self {
        Self::start_as(with_its_rights(namespace).await, &[namespace], identity).await
    }

    /// As [`Self::start_with_its_rights`], with a LiteLLM proxy to register servers in.
    pub(crate) async fn start_registering(namespace: &str, litellm: LitellmSettings) -> Self {
        let client = with_its_rights(namespace).await;
        Self::start_so(client, &[namespace], "registering", Some(litellm)).await
    }

    async fn start_as(client: Client, namespaces: &[&str], identity: &str) -> Self {
        Self::start_so(client, namespaces, identity, None).await
    }

    async fn start_so(
        client: Client,
        namespaces: &[&str],
        identity: &str,
        litellm: Option<LitellmSettings>,
    ) -> Self {
        let lease_in = namespaces.first().copied().unwrap_or_default();
        let mut settings = OperatorSettings::new(identity, lease_in);
        settings.namespaces = namespaces.iter().map(|namespace| (*namespace).to_owned()).collect();
        settings.own_image = Some("docker.io/pilothouse/pilothouse:test".to_owned());
        settings.lease_timing = TIMING;
        settings.litellm = litellm;
        settings.checks_loopback = true;
        let observations = watch::Sender::new(Arc::new(BTreeMap::new()));
        let operator = Operator::new(client.clone(), settings, observations.subscribe());
        let leadership = operator.leadership();
        let cancel = CancellationToken::new();
        let task = tokio::spawn(operator.run(cancel.clone()));
        Self { client, leadership, _observations: observations, cancel, task }
    }

    /// As a clean shutdown does.
    pub(crate) async fn stop(mut self) {
        self.cancel.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut self.task).await;
        ended.expect("the operator ends within 10 s").expect("the operator does not panic");
    }

    /// As a process that dies: nothing is given back.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

impl Drop for OwnOperator {
    fn drop(&mut self) {
        self.task.abort();
    }
}
