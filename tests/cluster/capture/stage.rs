//! Capture in the test's own process, for one namespace, and what may bring it sightings.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use pilothouse::{
    app::{CaptureDoors, CaptureReads},
    changes::capture::{Capture, Doors, Seen, Surroundings, Way, Witness, Write},
    cluster::Reader,
    fleet::Observations,
    operator::{Operator, OperatorSettings, Webhook},
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::support::{
    client, kubectl,
    namespace::Scratch,
    own_operator::{TIMING, solo},
    wait::until,
    witness::Registered,
};

pub(super) const SOON: Duration = Duration::from_secs(60);

/// One process' capture.
pub(super) struct Capturing {
    seen: Arc<Mutex<Vec<Seen>>>,
    pub(super) doors: Doors,
    tasks: JoinSet<()>,
}

impl Capturing {
    /// Reads what it captures, and says that it is kept, if `keeps`.
    pub(super) async fn start(namespace: &str, data: &Path, more: &str, keeps: bool) -> Self {
        let config = format!("{{scope: {{namespaces: [{namespace}]}}{more}}}");
        let surroundings = Surroundings {
            cluster: Arc::new(CaptureReads(Reader::new(client::admin().await, "the test's cluster"))),
            own_namespace: None,
            is_asked: true,
            replicas: None,
        };
        let config = serde_saphyr::from_str(&config).expect("a configuration");
        let (capture, mut writes) =
            Capture::open(config, data, surroundings).expect("the folder can be used");
        let doors = capture.doors();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(capture.run(|| true, CancellationToken::new()));
        let told = seen.clone();
        tasks.spawn(async move {
            loop {
                let seen = writes.next().await;
                if keeps {
                    writes.judged(seen.write(), Some(Way::Unsanctioned));
                }
                told.lock().expect("nobody panicked").push(seen);
            }
        });
        Self { seen, doors, tasks }
    }

    /// As a process that dies: nothing is finished.
    pub(super) async fn kill(mut self) -> Vec<Write> {
        self.tasks.shutdown().await;
        self.writes()
    }

    /// As it is known by now, without what the test itself made to look around.
    pub(super) fn writes(&self) -> Vec<Write> {
        let mut writes: Vec<Write> = Vec::new();
        for seen in &*self.seen.lock().expect("nobody panicked") {
            let write = seen.write();
            writes.retain(|known| known.id() != write.id());
            if !matches!(seen, Seen::Excused(_)) && !write.object.name.starts_with("probe") {
                writes.push(write.clone());
            }
        }
        writes
    }

    /// Once its watch stands: what is made then is seen.
    pub(super) async fn follows(&self, namespace: &str) {
        self.probe(namespace, |_| true).await;
    }

    /// Once the API server tells it who writes.
    pub(super) async fn is_asked(&self, namespace: &str) {
        self.probe(namespace, |write| write.witnesses.contains(&Witness::Webhook)).await;
    }

    async fn probe(&self, namespace: &str, enough: impl Fn(&Write) -> bool) {
        until("a probe is seen", SOON, || async {
            let name = format!("probe-{}", uuid::Uuid::new_v4().simple());
            kubectl::run(&["-n", namespace, "create", "configmap", &name]);
            tokio::time::sleep(Duration::from_millis(400)).await;
            let seen = self.seen.lock().expect("nobody panicked");
            seen.iter().any(|seen| enough(seen.write())).then_some(())
        })
        .await;
    }
}

/// One namespace, in which the API server tells a process of the test who writes, and which takes audit events.
pub(super) struct Stage {
    // In the order in which they must end: nobody is asked before nobody answers.
    _registered: Option<Registered>,
    _operator: AbortOnDropHandle<()>,
    _observations: watch::Sender<Observations>,
    pub(super) capturing: Capturing,
    pub(super) url: String,
    pub(super) scratch: Scratch,
    _data: tempfile::TempDir,
}

pub(super) const TOKEN: &str = "the-token-of-the-test";

impl Stage {
    /// The API server asks it about every write.
    pub(super) async fn new(purpose: &str) -> Self {
        let stage = Self::start(purpose, true).await;
        stage.capturing.is_asked(stage.namespace()).await;
        stage
    }

    /// Nobody asks it: who it was, only audit events say.
    pub(super) async fn unasked(purpose: &str) -> Self {
        let stage = Self::start(purpose, false).await;
        stage.capturing.follows(stage.namespace()).await;
        stage
    }

    async fn start(purpose: &str, is_asked: bool) -> Self {
        let scratch = solo(purpose);
        let namespace = scratch.name().to_owned();
        let data = tempfile::tempdir().expect("a folder");
        let token = data.path().join("token");
        std::fs::write(&token, TOKEN).expect("the token is written");
        let more = format!(", auditEvents: {{tokenFile: '{}'}}", token.display());
        let capturing = Capturing::start(&namespace, data.path(), &more, true).await;
        let configuration = format!("webhook-{namespace}");
        let webhook = format!(
            "{{address: '127.0.0.1:0', configuration: {configuration}, certificate: {{names: [127.0.0.1]}}}}"
        );
        let webhook = Webhook::bind(serde_saphyr::from_str(&webhook).expect("a configuration"));
        let webhook = webhook.expect("a free port").witness(Arc::new(CaptureDoors(capturing.doors.clone())));
        let url = format!("https://{}", webhook.address().expect("it listens"));
        let mut settings = OperatorSettings::new(namespace.clone(), namespace.clone());
        settings.namespaces = vec![namespace.clone()];
        settings.lease_timing = TIMING;
        let observations = watch::Sender::new(Arc::default());
        let operator = Operator::new(client::admin().await, settings, observations.subscribe());
        let operator = tokio::spawn(operator.webhook(Some(webhook)).run(CancellationToken::new()));
        let registered =
            is_asked.then(|| Registered::new(&namespace, &format!("{configuration}-witness"), &url));
        Self {
            _registered: registered,
            _operator: AbortOnDropHandle::new(operator),
            _observations: observations,
            capturing,
            url,
            scratch,
            _data: data,
        }
    }

    pub(super) fn namespace(&self) -> &str {
        self.scratch.name()
    }
}
