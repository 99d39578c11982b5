//! An installation for tests: records in a folder, a cluster of one map, and forges that say what they are told to.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{
    captured::tests::at,
    config::tests::person,
    folder::Folder,
    named::KindNames,
    parts::{ChangeStanding, Counting, Eyes, Hands, KnownKind, Leaving, Left, Origin, Proposed, Reconciling},
    room::{EmergencyParts, EmergencyRoom},
    session::Session,
};
use crate::{
    answer::Answer,
    api::emergency_change::{EmergencyPhase, EmergencyTarget},
    audit::Audit,
    caller::Caller,
    changes::kind::is_called,
    tools::{Emergencies, EmergencyAsk},
};

/// Group, kind and short name.
const KINDS: [(&str, &str, &str); 7] = [
    ("apps", "Deployment", "deploy"),
    ("", "ConfigMap", "cm"),
    ("", "Pod", "po"),
    ("", "Secret", ""),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", ""),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "vwc"),
    ("pilothouse.dev", "EmergencyChange", "phec"),
];

/// The cluster, the forge and the meters, all in one.
#[derive(Default)]
pub(super) struct World {
    /// By `namespace/name`.
    pub(super) objects: Mutex<BTreeMap<String, Value>>,
    pub(super) appliers: Mutex<Vec<Value>>,
    /// What was said of each, and the objects.
    pub(super) proposals: Mutex<Vec<(String, Vec<Left>)>>,
    /// What the forge says to the next proposals; it opens them when nothing is left.
    pub(super) refusals: Mutex<Vec<String>>,
    pub(super) standing: Mutex<Option<ChangeStanding>>,
    /// Whose approval is none, as it was told last.
    pub(super) people: Mutex<BTreeSet<String>>,
    pub(super) patches: Mutex<Vec<(String, bool)>>,
    /// Whom the API server lets patch.
    pub(super) may_patch: Mutex<Vec<String>>,
    pub(super) broken: Mutex<Vec<&'static str>>,
    /// How many there are in each phase, as it was told last.
    pub(super) phases: Mutex<BTreeMap<&'static str, usize>>,
    /// What must be on disk before an effect.
    audit: Mutex<Option<PathBuf>>,
}

/// The fields that a proposal carries.
pub(super) fn edits(left: &Left) -> Vec<(String, Value)> {
    match &left.what {
        Leaving::Fields(edits) => edits.clone(),
        Leaving::Made(_) | Leaving::Deleted => Vec::new(),
    }
}

fn key(target: &EmergencyTarget) -> String {
    format!("{}/{}", target.namespace.as_deref().unwrap_or_default(), target.name)
}

impl Eyes for World {
    fn object<'a>(
        &'a self,
        _caller: Option<&'a Caller>,
        target: &'a EmergencyTarget,
    ) -> BoxFuture<'a, Result<Option<Value>, String>> {
        let found = self.objects.lock().unwrap().get(&key(target)).cloned();
        Box::pin(async move { Ok(found) })
    }

    /// These kinds, by their plurals; and a short name.
    fn kinds(&self, asked: BTreeSet<String>) -> BoxFuture<'_, Result<KindNames, String>> {
        let answer = |asked: &String| {
            let (name, group) = asked.split_once('.').map_or((asked.as_str(), None), |(a, b)| (a, Some(b)));
            let found = KINDS.iter().find(|(known, kind, short)| {
                (is_called(kind, name) || *short == name) && group.is_none_or(|group| group == *known)
            });
            let found = found.ok_or_else(|| format!("the cluster has no kind `{asked}`"));
            found.map(|(group, kind, _)| KnownKind { group: (*group).to_owned(), kind: (*kind).to_owned() })
        };
        let names = asked.iter().map(|asked| (asked.clone(), answer(asked))).collect();
        Box::pin(async move { Ok(names) })
    }

    fn may_see_records<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, Result<bool, String>> {
        let may = caller.groups.iter().any(|group| group == "leads");
        Box::pin(async move { Ok(may) })
    }

    fn appliers<'a>(&'a self, _caller: Option<&'a Caller>) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        let appliers = self.appliers.lock().unwrap().clone();
        Box::pin(async move { Ok(appliers) })
    }
}

impl Hands for World {
    fn patch<'a>(
        &'a self,
        caller: &'a Caller,
        target: &'a EmergencyTarget,
        operations: &'a [Value],
        rehearse: bool,
    ) -> BoxFuture<'a, Result<Value, String>> {
        let made = (|| {
            if !self.may_patch.lock().unwrap().contains(&caller.user) {
                return Err(format!("{} may not patch it", caller.user));
            }
            self.patches.lock().unwrap().push((caller.user.clone(), rehearse));
            if !rehearse {
                let audit = self.audit.lock().unwrap().clone().unwrap();
                let last = std::fs::read_to_string(audit).unwrap();
                let last =
                    last.lines().rfind(|line| line.contains("\"emergency/apply\"")).unwrap_or_default();
                assert!(last.contains("\"allowed\""), "on disk before its effect: {last}");
            }
            let mut objects = self.objects.lock().unwrap();
            let object = objects.get_mut(&key(target)).ok_or("it is not there")?;
            let mut made = object.clone();
            let patch: json_patch::Patch = serde_json::from_value(json!(operations)).unwrap();
            json_patch::patch(&mut made, &patch).map_err(|error| error.to_string())?;
            if !rehearse {
                made["metadata"]["resourceVersion"] = json!("101");
                *object = made.clone();
            }
            Ok(made)
        })();
        Box::pin(async move { made })
    }
}

impl Reconciling for World {
    fn propose<'a>(
        &'a self,
        origin: Origin<'a>,
        left: Vec<Left>,
    ) -> BoxFuture<'a, Vec<(String, Result<Proposed, String>)>> {
        let refusal = self.refusals.lock().unwrap().pop();
        let answers = left.iter().enumerate().map(|(at, one)| {
            let change = format!("change-{}", at + 1);
            let opened = Proposed::Opened { change, at: "https://forge.example/1".to_owned() };
            (one.uid.clone(), refusal.clone().map_or(Ok(opened), Err))
        });
        let answers = answers.collect();
        self.proposals.lock().unwrap().push((origin.about.to_owned(), left));
        self.people.lock().unwrap().clone_from(origin.people);
        Box::pin(async move { answers })
    }

    fn standing<'a>(
        &'a self,
        _change: &'a str,
        people: &'a BTreeSet<String>,
    ) -> BoxFuture<'a, Result<ChangeStanding, String>> {
        self.people.lock().unwrap().clone_from(people);
        let standing = self.standing.lock().unwrap().clone().unwrap_or(ChangeStanding::Open);
        Box::pin(async move { Ok(standing) })
    }
}

impl Counting for World {
    fn broken(&self, deadline: &'static str) {
        self.broken.lock().unwrap().push(deadline);
    }

    fn phases(&self, phases: &[(&'static str, usize)]) {
        *self.phases.lock().unwrap() = phases.iter().copied().collect();
    }
}

pub(super) struct Stage {
    pub(super) world: Arc<World>,
    pub(super) room: EmergencyRoom,
    pub(super) data: tempfile::TempDir,
    pub(super) audit: Audit,
    /// Milliseconds since the test began. It stands still while things happen, and only [`Stage::passes`] moves it.
    time: Arc<AtomicI64>,
}

fn room(
    config: &str,
    data: &Path,
    world: &Arc<World>,
    audit: &Audit,
    time: &Arc<AtomicI64>,
) -> EmergencyRoom {
    let time = time.clone();
    let parts = EmergencyParts {
        records: Arc::new(Folder::open(data).unwrap()),
        eyes: world.clone(),
        hands: Some(world.clone()),
        reconciling: world.clone(),
        counting: world.clone(),
        audit: audit.clone(),
        namespace: None,
        clock: Arc::new(move || at(0) + jiff::SignedDuration::from_millis(time.load(Ordering::SeqCst))),
    };
    EmergencyRoom::new(serde_saphyr::from_str(config).unwrap(), parts).unwrap()
}

impl Stage {
    pub(super) fn new(config: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (world, time): (Arc<World>, _) = (Arc::default(), Arc::default());
        let audit = Audit::open(data.path()).unwrap();
        *world.audit.lock().unwrap() = Some(audit.path().to_owned());
        let room = room(config, data.path(), &world, &audit, &time);
        let web = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "100" },
            "spec": { "replicas": 2 } });
        world.objects.lock().unwrap().insert("shop/web".to_owned(), web);
        Self { world, room, data, audit, time }
    }

    /// As after a crash: nothing is left but what is on disk.
    pub(super) fn restarted(mut self, config: &str) -> Self {
        self.room = room(config, self.data.path(), &self.world, &self.audit, &self.time);
        self
    }

    pub(super) async fn ask(&self, who: &str, ask: EmergencyAsk) -> Answer {
        self.room.ask(&person(who, &[]), ask).await
    }

    /// As JSON of the tool's ask.
    pub(super) async fn open(&self) -> String {
        let ask = json!({ "open": { "incident": "INC-7", "severity": "critical", "second_person": "bob",
            "reason": "checkout is down, each minute costs orders", "budget": "30m",
            "scope": { "namespaces": ["shop"], "kinds": ["Deployment"] },
            "expected": [{ "target": { "kind": "Deployment", "namespace": "shop", "name": "web" },
                "edits": [{ "path": "spec.replicas", "value": "5" }] }] } });
        let answer = self.ask("ann", serde_json::from_value(ask).unwrap()).await;
        assert!(!answer.is_error, "{}", answer.text);
        answer.structured.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Opened and confirmed.
    pub(super) async fn active(&self) -> String {
        let id = self.open().await;
        let answer = self.ask("bob", EmergencyAsk::Confirm { id: id.clone() }).await;
        assert!(!answer.is_error && answer.text.contains("Active"), "{}", answer.text);
        id
    }

    pub(super) fn set(&self, replicas: i64, version: &str) {
        let mut objects = self.world.objects.lock().unwrap();
        let web = objects.get_mut("shop/web").unwrap();
        web["spec"]["replicas"] = json!(replicas);
        web["metadata"]["resourceVersion"] = json!(version);
    }

    /// Rounds are made as they fall due, until so much time has passed.
    pub(super) async fn passes(&self, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            let next = self.room.0.round().await.min(left);
            self.time.fetch_add(i64::try_from(next.as_millis()).unwrap().max(1), Ordering::SeqCst);
            left = left.saturating_sub(next.max(Duration::from_millis(1)));
        }
        self.room.0.round().await;
    }

    /// As a process that slept: nothing is looked at in between.
    pub(super) async fn jumps(&self, span: Duration) {
        self.time.fetch_add(i64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
        self.room.0.round().await;
    }

    pub(super) async fn sessions(&self) -> Vec<Session> {
        self.room.0.sessions().await.unwrap()
    }

    pub(super) async fn phase(&self, id: &str) -> EmergencyPhase {
        let session = self.room.0.session(id).await.unwrap();
        assert_eq!(session.status.phase, Some(session.phase(self.room.0.now())), "what is kept is what is");
        session.phase(self.room.0.now())
    }

    pub(super) async fn audited(&self) -> String {
        // What is queued is written within 200 ms of real time; a durable line comes after it.
        self.audit.durable(crate::audit::Line::now(&Caller::process(), "test", "", "")).await.unwrap();
        std::fs::read_to_string(self.audit.path()).unwrap()
    }
}
