//! A pilothouse with emergencies, as a process of its own: who comes in are people with tokens, its own requests are
//! told apart in the API server's record by the user it acts as, and a bare repository holds what is applied.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    audit_log, crd, installation, kubectl, namespace::Scratch, replica::acting_as, served::request,
    served_at::served_at, wait::until, witness::Registered,
};

pub(super) const SOON: Duration = Duration::from_secs(60);

/// What Git holds; `NAMESPACE` is the one that people work in. No pod comes of it.
pub(super) const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE}
spec:
  replicas: 0
  revisionHistoryLimit: 3 # few are enough
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: 'registry.invalid/web:1'}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: limits, namespace: NAMESPACE}
data: {most: '10', least: '1'}
";

/// What a stage is made with.
#[derive(Default)]
pub(super) struct Setting {
    /// That part of the configuration, without its scope.
    pub(super) emergency: Value,
    /// The API server asks it about every write in the shop.
    pub(super) is_asked: bool,
    /// What `changes.repositories` says of another repository than a bare one of its own.
    pub(super) repository: Option<Value>,
}

pub(super) struct Stage {
    /// Where the program keeps its records.
    pub(super) own: Scratch,
    /// Where people work.
    pub(super) shop: Scratch,
    /// Whom the program acts as when it acts for nobody.
    pub(super) account: String,
    pub(super) folder: tempfile::TempDir,
    child: Option<Child>,
    registered: Option<Registered>,
}

/// Killed when dropped.
impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn git(arguments: &[&str], at: &Path) {
    let status = Command::new("git")
        .args(["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(at)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("git can be started").success(), "git {arguments:?}");
}

impl Stage {
    pub(super) async fn start(purpose: &str, emergency: Value) -> Self {
        Self::with(purpose, Setting { emergency, ..Setting::default() }).await
    }

    /// Waits until the program has seen the cluster.
    pub(super) async fn with(purpose: &str, setting: Setting) -> Self {
        installation::permissions();
        crd::established();
        let crd = "crd/emergencychanges.pilothouse.dev";
        kubectl::run(&["wait", "--for=condition=Established", "--timeout=30s", crd]);
        let (own, shop) = (Scratch::new(purpose), Scratch::new(&format!("{purpose}-shop")));
        let account = format!("account-of-{}", own.name());
        let folder = tempfile::tempdir().expect("a folder");
        let mut stage = Self { own, shop, account, folder, child: None, registered: None };
        stage.give_rights();
        stage.sync();
        stage.write_repository();
        stage.configure(setting);
        stage.run().await;
        if stage.registered.is_some() {
            stage.is_asked().await;
        }
        stage
    }

    /// Once the API server tells it who writes: of a thing that no test looks at.
    async fn is_asked(&self) {
        until("a probe has a user", SOON, || async {
            let name = format!("probe-{}", uuid::Uuid::new_v4().simple());
            kubectl::run(&["-n", self.shop.name(), "create", "configmap", &name]);
            tokio::time::sleep(Duration::from_millis(400)).await;
            let records = self.records();
            let all = records.iter().filter_map(|record| record["status"]["captured"].as_array()).flatten();
            let mut writers = all.filter_map(|one| one["by"].as_array()).flatten();
            writers.any(|by| by.as_str().is_some_and(|by| !by.starts_with("manager "))).then_some(())
        })
        .await;
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// All three have the tools of an emergency; ann may change Deployments and ConfigMaps, bob and carl may look.
    fn give_rights(&self) {
        let (own, shop) = (self.own.name(), self.shop.name());
        let people = ["--user=ann", "--user=bob", "--user=carl"];
        let lead = ["-n", own, "create", "rolebinding", "lead", "--clusterrole=pilothouse-lead"];
        kubectl::run(&[&lead[..], &people].concat());
        kubectl::run(&[
            "-n",
            shop,
            "create",
            "role",
            "fixer",
            "--verb=get,list,patch,update,delete",
            "--resource=deployments.apps,configmaps",
        ]);
        kubectl::run(&["-n", shop, "create", "rolebinding", "fixer", "--role=fixer", "--user=ann"]);
        kubectl::run(&[
            "-n",
            shop,
            "create",
            "rolebinding",
            "view",
            "--clusterrole=view",
            "--user=bob",
            "--user=carl",
        ]);
    }

    /// What Git holds is applied, as a sync loop does.
    pub(super) fn sync(&self) {
        self.sync_of(WEB);
    }

    /// The same, of what Git holds by now.
    pub(super) fn sync_of(&self, held: &str) {
        let manifests = held.replace("NAMESPACE", self.shop.name());
        let arguments =
            ["apply", "--server-side", "--force-conflicts", "--field-manager=sync-loop", "-f", "-"];
        kubectl::ask(&arguments, &manifests).expect("the sync loop applies");
    }

    fn write_repository(&self) {
        let work = self.folder.path().join("work");
        fs::create_dir(&work).expect("a folder");
        fs::write(work.join("web.yaml"), WEB.replace("NAMESPACE", self.shop.name())).expect("a manifest");
        git(&["init", "-q"], &work);
        git(&["add", "."], &work);
        git(&["commit", "-q", "-m", "as it is"], &work);
        git(&["clone", "-q", "--bare", ".", &self.path("deploy.git")], &work);
    }

    /// What was proposed: the branches of ours and their difference to main.
    pub(super) fn proposed(&self) -> String {
        let output = Command::new("git")
            .args(["log", "--all", "--not", "main", "-p", "--format=%D %B"])
            .current_dir(self.folder.path().join("deploy.git"))
            .output()
            .expect("git can be started");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn configure(&mut self, setting: Setting) {
        let Setting { mut emergency, is_asked, repository } = setting;
        let shop = self.shop.name();
        let repository = repository.unwrap_or_else(|| json!({ "url": self.path("deploy.git") }));
        let mut repositories = json!([repository]);
        repositories[0]["name"] = json!("deploy");
        emergency["scope"] = json!({ "namespaces": [shop], "kinds": ["deployments.apps", "configmaps"] });
        emergency["gitops"] = json!({ "managers": ["sync-loop"] });
        let people = ["ann", "bob", "carl"];
        let tokens = people.map(|user| {
            let file = self.path(&format!("token-{user}"));
            fs::write(&file, token(user)).expect("a token");
            json!({ "user": user, "tokenFile": file })
        });
        let mut configuration = json!({
            "emergency": emergency,
            "identity": { "tokens": tokens },
            "changes": { "look": "1s", "repositories": repositories },
        });
        if is_asked {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = listener.local_addr().expect("its address").to_string();
            let name = format!("webhook-{}", self.own.name());
            let url = format!("https://{address}");
            configuration["operator"]["webhook"] = json!({ "address": address, "configuration": name,
                "certificate": { "names": ["127.0.0.1"] } });
            self.registered = Some(Registered::new(self.shop.name(), &format!("{name}-witness"), &url));
        }
        fs::write(self.path("config.yaml"), configuration.to_string()).expect("the configuration");
        fs::write(self.path("kubeconfig"), acting_as(self.own.name(), &self.account, None))
            .expect("a kubeconfig");
    }

    /// Starts it, again after a kill, on the same data.
    pub(super) async fn run(&mut self) {
        let binary = std::env::var("PILOTHOUSE_BINARY")
            .expect("PILOTHOUSE_BINARY must name the program: run `tests/run cluster`, which builds it");
        let log = File::create(self.path("stderr")).expect("a log file");
        let child = Command::new(binary)
            .args(["serve", "--http", "127.0.0.1:0", "--health", "127.0.0.1:0"])
            .args(["--operator", "on", "--lease-seconds", "3"])
            .args(["--namespace", self.own.name(), "--namespace", self.shop.name()])
            .args(["--config", &self.path("config.yaml"), "--kubeconfig", &self.path("kubeconfig")])
            .args(["--data", &self.path("data")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        self.child = Some(child);
        until("it serves", SOON, || async { served_at(&self.said(), "address") }).await;
        // It leads and knows the cluster when this is answered.
        until("it answers", SOON, || async {
            let answer = self.call("ann", "get_emergency", json!({})).await;
            answer.0.then_some(())
        })
        .await;
        until("it leads", SOON, || async { self.metrics().await.contains("operator_leads 1").then_some(()) })
            .await;
        until("it watches", SOON, || async { self.is_watching().then_some(()) }).await;
    }

    /// What it has seen of the objects is stored: from then on nothing is missed, not even by a killed program.
    fn is_watching(&self) -> bool {
        let folder = self.folder.path().join("data/capture");
        let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let kept = text(&path);
                    if [self.shop.name(), "\"web\"", "\"limits\""].iter().all(|word| kept.contains(word)) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// At once, without a word.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the process is there");
            child.wait().expect("it ends");
        }
    }

    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    pub(super) async fn metrics(&self) -> String {
        let health = served_at(&self.said(), "health").expect("it serves");
        let answer = reqwest::get(format!("http://{health}/metrics")).await.expect("metrics");
        answer.text().await.expect("metrics")
    }

    /// Whether it worked, and the text.
    pub(super) async fn call(&self, who: &str, tool: &str, arguments: Value) -> (bool, String) {
        let mcp = format!("http://{}/mcp", served_at(&self.said(), "address").expect("it serves"));
        let asked = json!({ "name": tool, "arguments": arguments });
        let answer = request(&mcp, Some(&token(who)), "tools/call", asked).timeout(SOON).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        let result = &answer["result"];
        let text = result["content"][0]["text"].as_str().or(answer["error"]["message"].as_str());
        (result.is_object() && result["isError"] != true, text.unwrap_or_default().to_owned())
    }

    /// The text of an answer that must be good.
    pub(super) async fn ok(&self, who: &str, tool: &str, arguments: Value) -> String {
        let (is_ok, text) = self.call(who, tool, arguments).await;
        assert!(is_ok, "{tool}: {text}\n{}", self.said());
        text
    }

    /// The text of an answer that must be an error.
    pub(super) async fn refused(&self, who: &str, tool: &str, arguments: Value) -> String {
        let (is_ok, text) = self.call(who, tool, arguments).await;
        assert!(!is_ok, "{tool}: {text}");
        text
    }

    /// Asks for an emergency in the shop; returns its id.
    pub(super) async fn open(&self) -> String {
        let text = self.ok("ann", "open_emergency", self.opening(json!({}))).await;
        let word = text.split_whitespace().nth(1).expect("an id");
        word.to_owned()
    }

    pub(super) fn opening(&self, change: Value) -> Value {
        let shop = self.shop.name();
        let mut opening = json!({
            "incident": "INC-7", "severity": "critical", "second_person": "bob",
            "reason": "checkout is down, each minute costs orders",
            "namespaces": [shop], "kinds": ["Deployment"],
            "expected": [{ "kind": "Deployment", "namespace": shop, "name": "web",
                "edits": { "spec.revisionHistoryLimit": 5 } }],
        });
        let fields = opening.as_object_mut().expect("an object");
        fields.extend(change.as_object().cloned().unwrap_or_default());
        opening
    }

    /// Opened and confirmed.
    pub(super) async fn active(&self) -> String {
        let id = self.open().await;
        let text = self.ok("bob", "open_emergency", json!({ "second": id })).await;
        assert!(text.contains(": Active"), "{text}");
        id
    }

    /// Somebody writes with kubectl.
    pub(super) fn write(&self, who: &str, object: &str, patch: &Value) {
        let (user, shop, patch) = (format!("--as={who}"), self.shop.name(), patch.to_string());
        kubectl::run(&[
            "-n",
            shop,
            &user,
            "patch",
            object,
            "--type=merge",
            "--field-manager=kubectl-edit",
            "-p",
            &patch,
        ]);
    }

    /// Somebody opens an object in their editor, which changes it by this sed script.
    pub(super) fn edit(&self, who: &str, object: &str, sed: &str) {
        let status = kubectl::kubectl()
            .env("KUBE_EDITOR", format!("sed -i '{sed}'"))
            .args(["-n", self.shop.name(), &format!("--as={who}"), "edit", object])
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("kubectl can be started").success(), "kubectl edit {object}");
    }

    /// Every record.
    pub(super) fn records(&self) -> Vec<Value> {
        let text = kubectl::run(&["-n", self.own.name(), "get", "emergencychanges", "-o", "json"]);
        let list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    pub(super) fn record(&self, id: &str) -> Value {
        let found = self.records().into_iter().find(|record| record["metadata"]["name"] == id);
        found.unwrap_or_else(|| panic!("{id} is there"))
    }

    pub(super) async fn reaches(&self, id: &str, phase: &str) -> Value {
        until(&format!("{id} is {phase}"), SOON, || async {
            let record = self.record(id);
            (record["status"]["phase"] == phase).then_some(record)
        })
        .await
    }

    /// What was stored in the shop or by the program: the API server's own record; none where it keeps none.
    pub(super) fn audited(&self) -> Option<Vec<Value>> {
        let events = audit_log::events(&[self.shop.name(), &self.account])?;
        let is_write = |event: &Value| {
            let verb = event["verb"].as_str().unwrap_or_default();
            let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
            event["stage"] == "ResponseComplete"
                && !["get", "list", "watch"].contains(&verb)
                && code.is_some_and(|code| code < 400)
        };
        Some(events.into_iter().filter(is_write).collect())
    }
}

fn token(user: &str) -> String {
    format!("a-token-of-{user}-for-tests-only-0123456789")
}
