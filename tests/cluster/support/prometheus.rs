//! A real Prometheus and Alertmanager on this machine, which scrape the cluster of `KUBECONFIG`.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::kubectl;

/// Both; they end when this is dropped.
pub(crate) struct Monitoring {
    pub(crate) prometheus: String,
    pub(crate) alertmanager: String,
    children: Vec<Child>,
    _folder: tempfile::TempDir,
}

impl Monitoring {
    /// Scrapes itself, the API server, and what the kubelet of each node says of its containers; `rules` are those of
    /// one group.
    pub(crate) fn start(rules: &str) -> Self {
        Self::start_scraping(rules, &[])
    }

    /// And these, each an item of `scrape_configs`.
    pub(crate) fn start_scraping(rules: &str, further: &[Value]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let (web, alerts) = (free_port(), free_port());
        fs::write(at.join("rules.yml"), format!("groups:\n- name: test\n  interval: 1s\n  rules:\n{rules}"))
            .expect("written");
        fs::write(at.join("prometheus.yml"), configuration(at, web, alerts, further)).expect("written");
        fs::write(at.join("alertmanager.yml"), "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
            .expect("written");
        let flag = |name: &str, path: &Path| {
            let mut flag = OsString::from(format!("--{name}="));
            flag.push(path);
            flag
        };
        let mut prometheus = Command::new(part("PARTS_PROMETHEUS"));
        prometheus
            .arg(flag("config.file", &at.join("prometheus.yml")))
            .arg(flag("storage.tsdb.path", &at.join("data")))
            .arg(format!("--web.listen-address=127.0.0.1:{web}"));
        let mut alertmanager = Command::new(part("PARTS_ALERTMANAGER"));
        alertmanager
            .arg(flag("config.file", &at.join("alertmanager.yml")))
            .arg(flag("storage.path", &at.join("alerts")))
            .arg(format!("--web.listen-address=127.0.0.1:{alerts}"))
            .arg("--cluster.listen-address=");
        let children =
            [("prometheus", prometheus), ("alertmanager", alertmanager)].map(|(name, mut command)| {
                let log = fs::File::create(at.join(name).with_extension("log")).expect("a log");
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
                command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"))
            });
        Self {
            prometheus: format!("http://127.0.0.1:{web}"),
            alertmanager: format!("http://127.0.0.1:{alerts}"),
            children: children.into(),
            _folder: folder,
        }
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn part(variable: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} must name the program: run `tests/run cluster`, which sets what `tests/cluster/harness/parts` prints")
    })
}

/// Free a moment ago; whoever takes it meanwhile makes the test fail loudly.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn configuration(at: &Path, web: u16, alerts: u16, further: &[Value]) -> String {
    let config: Value =
        serde_json::from_str(&kubectl::run(&["config", "view", "--raw", "--minify", "-o", "json"]))
            .expect("JSON");
    let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
    for (file, value) in [
        ("ca.crt", &cluster["certificate-authority-data"]),
        ("client.crt", &user["client-certificate-data"]),
        ("client.key", &user["client-key-data"]),
    ] {
        let bytes =
            BASE64_STANDARD.decode(value.as_str().expect("a kubeconfig with certificates")).expect("base64");
        fs::write(at.join(file), bytes).expect("written");
    }
    let api = cluster["server"].as_str().and_then(|url| url.strip_prefix("https://")).expect("an address");
    let path = |file: &str| at.join(file).display().to_string();
    let tls = format!(
        "tls_config: {{ca_file: {}, cert_file: {}, key_file: {}}}",
        path("ca.crt"),
        path("client.crt"),
        path("client.key")
    );
    let mut text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alerts}']}}]}}]}}
scrape_configs:
- {{job_name: prometheus, static_configs: [{{targets: ['127.0.0.1:{web}']}}]}}
- {{job_name: apiserver, scheme: https, scrape_interval: 5s, {tls}, static_configs: [{{targets: ['{api}']}}]}}
",
        path("rules.yml")
    );
    // One node is enough, and others may be made up.
    let node = kubectl::run(&[
        "get",
        "node",
        "-l",
        "!pilothouse.dev/faults",
        "-o",
        "jsonpath={.items[0].metadata.name}",
    ]);
    text.push_str(&format!(
        "- {{job_name: kubelet, scheme: https, {tls}, metrics_path: /api/v1/nodes/{node}/proxy/metrics/resource, static_configs: [{{targets: ['{api}']}}]}}\n"
    ));
    // JSON is YAML.
    text.extend(further.iter().map(|scraped| format!("- {scraped}\n")));
    text
}
