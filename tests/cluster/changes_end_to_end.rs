//! From a broken workload to a merged, applied and healthy change: a real forge, two replicas, and a loop that applies
//! the repository's main to the cluster.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    forge_gitea_server::{Gitea, Repository},
    support::{
        client, kubectl,
        namespace::Scratch,
        own_operator::solo,
        replica::{Replica, holder},
        wait::until,
    },
};

const OURS: [&str; 3] = ["write:repository", "write:issue", "read:user"];
const TOKEN: &str = "0123456789abcdef-end-to-end";
/// A new pod must start, and the machine is busy.
const SOON: Duration = Duration::from_secs(180);
const MEMORY: &str = "spec.template.spec.containers[name=main].resources.limits.memory";

/// Needs far more than 24Mi and far less than 512Mi.
fn workload(name: &str, memory: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: 1\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      \
         terminationGracePeriodSeconds: 0\n      containers:\n        - name: main\n          \
         image: docker.io/pilothouse-test/busybox:1\n          \
         command: [sh, -c, \"x=$(head -c 30000000 /dev/zero | tr '\\\\0' a); echo up; sleep 100000\"]\n          \
         resources:\n            requests: {{cpu: 10m, memory: 8Mi}}\n            limits:\n              memory: {memory}   # measured in May\n"
    )
}

const HPA: &str = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec:\n  minReplicas: 1\n  maxReplicas: 1   # budget\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n  metrics:\n    - type: Resource\n      resource: {name: cpu, target: {type: Utilization, averageUtilization: 90}}\n";

/// What stands in the repository; everything of one object in a folder of its own.
fn files() -> Vec<(&'static str, String)> {
    let chart = workload("shop", "{{ .Values.memory }}").replace("   # measured in May", "");
    vec![
        ("plain/web.yaml", workload("web", "24Mi")),
        ("plain/hpa.yaml", HPA.to_owned()),
        ("base/kustomization.yaml", "resources: [api.yaml]\n".to_owned()),
        ("base/api.yaml", workload("api", "512Mi")),
        (
            "overlays/prod/kustomization.yaml",
            "resources: [../../base]\npatches:\n  - path: memory.yaml\n".to_owned(),
        ),
        (
            "overlays/prod/memory.yaml",
            "# Smaller than in test.\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  template:\n    spec:\n      containers:\n        - name: main\n          resources: {limits: {memory: 24Mi}}\n".to_owned(),
        ),
        ("charts/shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n".to_owned()),
        ("charts/shop/values.yaml", "memory: 512Mi\n".to_owned()),
        ("charts/shop/values-prod.yaml", "# of production\nmemory: 24Mi\n".to_owned()),
        ("charts/shop/templates/deployment.yaml", chart),
    ]
}

/// Applies the repository's main, as Argo CD or Flux would, until it is dropped.
struct SyncLoop {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SyncLoop {
    fn start(url: String, namespace: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let folder = tempfile::tempdir().expect("a folder");
            let work = folder.path().join("work");
            run(Command::new("git").args(["clone", "--quiet", &url]).arg(&work));
            let mut applied = String::new();
            while !told.load(Ordering::Relaxed) {
                run(Command::new("git").arg("-C").arg(&work).args(["pull", "--quiet"]));
                let head = run(Command::new("git").arg("-C").arg(&work).args(["rev-parse", "HEAD"]));
                if head != applied {
                    apply(&work, &namespace);
                    applied = head;
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for SyncLoop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its own failure is seen by what it did not apply.
            let _ = thread.join();
        }
    }
}

fn apply(work: &Path, namespace: &str) {
    run(kubectl::kubectl().args(["apply", "-n", namespace, "-f"]).arg(work.join("plain")));
    run(kubectl::kubectl().args(["apply", "-n", namespace, "-k"]).arg(work.join("overlays/prod")));
    let chart = work.join("charts/shop");
    let mut upgrade = Command::new(helm());
    upgrade.args(["upgrade", "--install", "--namespace", namespace, "shop"]).arg(&chart);
    run(upgrade.arg("--values").arg(chart.join("values-prod.yaml")));
}

fn helm() -> PathBuf {
    let folder = std::env::var_os("PARTS_HELM").map(PathBuf::from);
    let folder = folder.expect("PARTS_HELM must name helm's folder: tests/cluster/harness/helm prints it");
    if folder.is_dir() { folder.join("helm") } else { folder }
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn two_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("its address"))
}

/// Two replicas, of which the first leads.
struct Stage {
    scratch: Scratch,
    leader: Replica,
    follower: Replica,
    _token: tempfile::NamedTempFile,
}

impl Stage {
    async fn start(purpose: &str, gitea: &Gitea, repository: &Repository<'_>, token: &str) -> Self {
        let scratch = solo(purpose);
        let namespace = scratch.name().to_owned();
        let token_file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(token_file.path(), token).expect("the token is written");
        let changes = json!({
            "repositories": [{
                "name": "deploy", "url": format!("{}/{}.git", gitea.address, repository.path),
                "tokenFile": token_file.path(), "namespace": namespace, "openLimit": 60, "forge": { "type": "gitea" },
            }],
            "charts": [{
                "repository": "deploy", "path": "charts/shop", "release": "shop", "namespace": namespace,
                "values": ["values-prod.yaml"],
            }],
            "renderers": { "helm": [helm()] },
            "look": "500ms",
        });
        let config = json!({ "changes": changes });
        let [one, other] = two_addresses();
        let (first, second) = (format!("{purpose}-leader"), format!("{purpose}-follower"));
        let leader = Replica::start_with(&namespace, &first, (one, vec![other]), config.clone(), TOKEN);
        let client = client::admin().await;
        until("the first leads", SOON, || async {
            (holder(&client, &namespace).await == first).then_some(())
        })
        .await;
        let follower = Replica::start_with(&namespace, &second, (other, vec![one]), config, TOKEN);
        until("the follower answers", SOON, || follower.metrics()).await;
        Self { scratch, leader, follower, _token: token_file }
    }

    async fn ask(&self, replica: &Replica, tool: &str, arguments: Value) -> (String, Value) {
        until(&format!("{tool} is answered"), SOON, || replica.tool(TOKEN, tool, arguments.clone())).await
    }

    /// Waits on the replica that does not lead.
    async fn until_phase(&self, id: &str, phases: &[&str]) -> (String, Value) {
        until(&format!("{id} is {phases:?}: {}", self.leader.said()), SOON, || async {
            let (text, record) = self.follower.tool(TOKEN, "get_change", json!({ "id": id })).await?;
            phases.contains(&record["state"].as_str()?).then_some((text, record))
        })
        .await
    }

    /// Each phase is an event of the request, once; and who leads counts them.
    async fn is_told_and_counted(&self, id: &str) {
        // Applied may be over before anybody looked.
        let phases = ["Proposed", "Approved", "Merged", "Verified"];
        let namespace = self.scratch.name();
        let of = format!("involvedObject.kind=ChangeRequest,involvedObject.name={id}");
        let reasons = "jsonpath={.items[*].reason}";
        let told = until("the events are there", SOON, || async {
            let told =
                kubectl::run(&["-n", namespace, "get", "events", "--field-selector", &of, "-o", reasons]);
            told.contains("Verified").then_some(told)
        })
        .await;
        let mut told: Vec<&str> = told.split(' ').filter(|phase| *phase != "Applied").collect();
        told.sort_unstable();
        let mut expected = phases.to_vec();
        expected.sort_unstable();
        assert_eq!(told, expected);
        for line in [
            "pilothouse_change_requests{phase=\"Verified\"} 4\n",
            "pilothouse_change_requests_reached_total{phase=\"Proposed\"} 4\n",
            "pilothouse_change_requests_reached_total{phase=\"Merged\"} 4\n",
            "pilothouse_change_requests_reached_total{phase=\"Failed\"} 0\n",
            "pilothouse_change_request_seconds_count 4\n",
        ] {
            until(&format!("the leader counts {line}"), SOON, || async {
                self.leader.metrics().await?.contains(line).then_some(())
            })
            .await;
        }
    }

    /// Through the follower, and merged by somebody else.
    async fn brought_about(&self, repository: &Repository<'_>, bob: &str, what: Value) -> (String, Value) {
        let (text, record) = self.ask(&self.follower, "propose_change", what).await;
        let id = record["id"].as_str().unwrap_or_else(|| panic!("{text}\n{}", self.leader.said()));
        let number = record["pullRequest"]["number"].as_u64().unwrap_or_else(|| panic!("{text}"));
        let review = json!({ "event": "APPROVED", "body": "fine" });
        let (status, said) =
            repository.api_as(bob, Method::POST, &format!("pulls/{number}/reviews"), review).await;
        assert_eq!(status, 200, "{said}");
        self.until_phase(id, &["Approved"]).await;
        repository.merged(bob, number).await;
        (id.to_owned(), record)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_limit_becomes_a_verified_change() {
    let gitea = Gitea::start().await;
    let ours = gitea.person("pilot", &OURS).await;
    let bob = gitea.person("bob", &OURS).await;
    let files = files();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repository = gitea.repository("deploy", &files, &["pilot", "bob"]).await;
    let stage = Stage::start("changes-whole", &gitea, &repository, &ours).await;
    let namespace = stage.scratch.name().to_owned();
    let url =
        format!("{}/{}.git", gitea.address, repository.path).replacen("://", &format!("://bob:{bob}@"), 1);
    let _loop = SyncLoop::start(url, namespace.clone());

    let finding = until("diagnose names it", SOON, || async {
        let (_, record) = stage
            .follower
            .tool(TOKEN, "diagnose", json!({ "namespace": namespace, "kind": "Deployment", "name": "web" }))
            .await?;
        let found = record["findings"].as_array()?.iter().find(|found| found["cause"] == "OutOfMemory")?;
        found["id"].as_str().map(str::to_owned)
    })
    .await;

    // What diagnose found is proposed by its id; what is not, by its name.
    let of = |what: Value| {
        let asked = json!({ "namespace": namespace, "edits": { MEMORY: "512Mi" },
            "reason": "OOMKilled since the last release." });
        let all = [asked, what].map(|part| part.as_object().cloned().unwrap_or_default());
        Value::Object(all.into_iter().flatten().collect())
    };
    for (what, file) in [
        (json!({ "finding": finding }), "plain/web.yaml"),
        (json!({ "kind": "Deployment", "name": "api" }), "overlays/prod/memory.yaml"),
        (json!({ "kind": "Deployment", "name": "shop" }), "charts/shop/values-prod.yaml"),
    ] {
        let (id, record) = stage.brought_about(&repository, &bob, of(what)).await;
        assert_eq!(record["file"], file, "{record}");
        let is_of_finding = record["reason"].as_str().is_some_and(|reason| reason.contains(&finding));
        assert_eq!(is_of_finding, file == "plain/web.yaml", "{record}");
        let (text, record) = stage.until_phase(&id, &["Verified"]).await;
        assert_eq!(record["selfApproved"], false, "{text}");
        let phase = kubectl::run(&["-n", &namespace, "get", "phcr", &id, "-o", "jsonpath={.status.phase}"]);
        assert_eq!(phase, "Verified", "{text}\n{}", stage.leader.said());
    }
    let bound = json!({ "kind": "HorizontalPodAutoscaler", "namespace": namespace, "name": "web",
        "edits": { "spec.maxReplicas": 3 }, "reason": "One is not enough at noon." });
    let (id, record) = stage.brought_about(&repository, &bob, bound).await;
    assert_eq!(record["file"], "plain/hpa.yaml");
    // Without metrics in the cluster an autoscaler is not well; it keeps its bounds all the same.
    stage.until_phase(&id, &["Verified"]).await;
    stage.is_told_and_counted(&id).await;
    let main = repository.text("main", "plain/hpa.yaml").await;
    assert_eq!(main, HPA.replace("maxReplicas: 1", "maxReplicas: 3"));
}
