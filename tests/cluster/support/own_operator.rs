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
    operator::{Leadership, Operator, OperatorSettings, Timing},
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
  - expression: "request.userInfo.username != 'system:serviceaccount:pilothouse:pilothouse'"
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
        let client = client::admin().await;
        let mut settings = OperatorSettings::new(identity, namespace);
        settings.namespaces = vec![namespace.to_owned()];
        settings.own_image = Some("docker.io/pilothouse/pilothouse:test".to_owned());
        settings.lease_timing = TIMING;
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
