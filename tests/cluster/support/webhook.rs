//! pilothouse as a process on this machine, asked by the API server before it stores anything in one namespace.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    kubectl,
    own_operator::{ACCOUNT, rights},
    replica::{acting_as, acting_as_account},
};

/// Ended when dropped.
pub(crate) struct Asked {
    child: Child,
    /// Where it is asked.
    pub(crate) url: String,
    folder: tempfile::TempDir,
}

/// What a configuration file says below `operator`, as JSON; `webhook.address` is added.
pub(crate) struct Configured<'a> {
    pub(crate) namespace: &'a str,
    /// Of the process, and of nobody else in the run.
    pub(crate) name: &'a str,
    pub(crate) operator: Value,
}

impl Asked {
    /// Once it listens. It may do everything.
    pub(crate) fn start(configured: Configured<'_>) -> Self {
        let acting = acting_as(configured.namespace, configured.name, None);
        Self::start_as(configured, &acting)
    }

    /// With the rights that the manifests give for one namespace, and no others.
    pub(crate) fn start_with_its_rights(configured: Configured<'_>) -> Self {
        let namespace = configured.namespace;
        kubectl::apply(&rights(namespace));
        kubectl::apply(&webhook_rights(namespace));
        let acting = acting_as_account(namespace, ACCOUNT);
        Self::start_as(configured, &acting)
    }

    fn start_as(configured: Configured<'_>, acting: &str) -> Self {
        let Configured { namespace, name, mut operator } = configured;
        let binary = std::env::var("PILOTHOUSE_BINARY")
            .expect("PILOTHOUSE_BINARY must name the program: run `tests/run cluster`, which builds it");
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, acting).expect("the kubeconfig is written");
        let any = "127.0.0.1:0";
        operator["webhook"]["address"] = json!(any);
        let config = folder.path().join("config.yaml");
        fs::write(&config, json!({ "operator": operator }).to_string())
            .expect("the configuration is written");
        let log = File::create(folder.path().join("stderr")).expect("a log file");
        let child = Command::new(binary)
            .args(["serve", "--allow-anonymous", "--http", any, "--health", any])
            .args(["--operator", "on", "--namespace", namespace, "--lease-seconds", "3"])
            .arg("--config")
            .arg(&config)
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .arg("--data")
            .arg(folder.path().join("data"))
            .env("POD_NAME", name)
            .env("PILOTHOUSE_IMAGE", "docker.io/pilothouse/pilothouse:test")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let mut asked = Self { child, url: String::new(), folder };
        asked.url = asked.served_at();
        asked
    }

    /// It says so before it is asked anything.
    fn served_at(&mut self) -> String {
        let begun = Instant::now();
        loop {
            let said = self.said();
            let line = said.lines().find(|line| line.contains("serving the webhook"));
            let port = line.and_then(|line| {
                line.rsplit_once("127.0.0.1:")?.1.split(|c: char| !c.is_ascii_digit()).next()
            });
            if let Some(port) = port {
                return format!("https://127.0.0.1:{port}/validate");
            }
            let ended = self.child.try_wait().expect("its state");
            assert!(ended.is_none() && begun.elapsed() < Duration::from_secs(60), "{ended:?}: {said}");
            sleep(Duration::from_millis(20));
        }
    }

    /// At once, without a word.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the process is there");
        self.child.wait().expect("it ends");
    }

    /// What it wrote to stderr so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Secret and the roles of the webhook, for the account of one namespace.
fn webhook_rights(namespace: &str) -> String {
    let kinds = ["Secret", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
    let ours = Registered::name(namespace);
    let documents = pilothouse::operator::webhook_manifests().split("\n---\n").filter_map(|text| {
        let mut object: Value = serde_saphyr::from_str(text).expect("it is YAML");
        let kind = object["kind"].as_str().filter(|kind| kinds.contains(kind))?.to_owned();
        if kind.starts_with("Cluster") {
            object["metadata"]["name"] = json!(ours);
        } else {
            object["metadata"]["namespace"] = json!(namespace);
        }
        if kind == "ClusterRole" {
            object["rules"][0]["resourceNames"] = json!([ours]);
        }
        if kind == "ClusterRoleBinding" {
            object["roleRef"]["name"] = json!(ours);
        }
        if let Some(subject) = object.pointer_mut("/subjects/0") {
            *subject = json!({ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace });
        }
        Some(object.to_string())
    });
    documents.collect::<Vec<_>>().join("\n")
}

/// The configuration that the manifests print, for one namespace and for processes on this machine; removed when
/// dropped.
pub(crate) struct Registered(pub(crate) String);

impl Registered {
    /// The API server asks each of `urls`, one after the other.
    pub(crate) fn new(namespace: &str, urls: &[&str], failure_policy: &str) -> Self {
        let name = Self::name(namespace);
        let manifests = pilothouse::operator::webhook_manifests();
        let printed = manifests.split("\n---\n").find(|text| text.contains("\nkind: ValidatingWebhook"));
        let mut configuration: Value =
            serde_saphyr::from_str(printed.expect("it is among the manifests")).expect("it is YAML");
        configuration["metadata"] = json!({ "name": name });
        let webhook = configuration["webhooks"][0].clone();
        let webhooks = urls.iter().enumerate().map(|(index, url)| {
            let mut webhook = webhook.clone();
            if index > 0 {
                webhook["name"] = json!(format!("validate-{index}.pilothouse.dev"));
            }
            webhook["clientConfig"] = json!({ "url": url });
            webhook["failurePolicy"] = json!(failure_policy);
            webhook["namespaceSelector"] =
                json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
            webhook
        });
        configuration["webhooks"] = webhooks.collect();
        kubectl::apply(&configuration.to_string());
        Self(name)
    }

    /// How a process must call it that is to keep its `caBundle`.
    pub(crate) fn name(namespace: &str) -> String {
        format!("webhook-{namespace}")
    }

    /// The authorities that the API server trusts, as it was told.
    pub(crate) fn bundle(&self) -> String {
        let path = "jsonpath={.webhooks[*].clientConfig.caBundle}";
        kubectl::run(&["get", "validatingwebhookconfiguration", &self.0, "-o", path])
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let kinds = "validatingwebhookconfiguration,clusterrole,clusterrolebinding";
        let delete = ["delete", kinds, &self.0, "--ignore-not-found"];
        let _ = kubectl::kubectl().args(delete).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
