//! The program as it is served over HTTP on this machine, with the kubeconfig of the tests.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::served_at::served_at;

/// Longest that a start or an answer may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// `pilothouse serve --http` on a loopback port; ended when dropped.
pub(crate) struct Served {
    child: Child,
    origin: String,
    health: String,
    folder: tempfile::TempDir,
}

impl Served {
    /// With `config` as its configuration file and these further arguments, once it answers.
    pub(crate) async fn start(config: &str, arguments: &[&str]) -> Self {
        let binary = std::env::var("PILOTHOUSE_BINARY")
            .expect("PILOTHOUSE_BINARY must name the program: run `tests/run cluster`, which builds it");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.yaml");
        fs::write(&file, config).expect("the configuration is written");
        let log = File::create(folder.path().join("stderr")).expect("a log file");
        let child = Command::new(binary)
            .args(["serve", "--http", "127.0.0.1:0", "--health", "127.0.0.1:0"])
            .args(["--config", &file.display().to_string()])
            .args(["--data", &folder.path().join("data").display().to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let mut served = Self { child, origin: String::new(), health: String::new(), folder };
        let begun = Instant::now();
        loop {
            let said = served.said();
            if let (Some(address), Some(health)) = (served_at(&said, "address"), served_at(&said, "health")) {
                served.origin = format!("http://{address}");
                served.health = format!("http://{health}");
                break;
            }
            let ended = served.child.try_wait().expect("its state");
            assert!(ended.is_none() && begun.elapsed() < DEADLINE, "{ended:?}: {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while reqwest::get(format!("{}/readyz", served.health)).await.is_err() {
            assert!(begun.elapsed() < DEADLINE, "{}", served.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        served
    }

    pub(crate) fn mcp(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    /// What it wrote to stderr so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// Everything in its data folder: the audit and what else it keeps.
    pub(crate) fn kept(&self) -> String {
        let mut text = String::new();
        let mut folders = vec![self.folder.path().join("data")];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).expect("the data folder").flatten();
            let (deeper, files): (Vec<PathBuf>, Vec<PathBuf>) =
                entries.map(|entry| entry.path()).partition(|path| path.is_dir());
            folders.extend(deeper);
            for file in files {
                text.push_str(&String::from_utf8_lossy(&fs::read(file).expect("a kept file")));
            }
        }
        text
    }

    pub(crate) async fn metrics(&self) -> String {
        let answer = reqwest::get(format!("{}/metrics", self.health)).await.expect("metrics");
        answer.text().await.expect("metrics")
    }

    /// The answer to a request of the newest revision, sent with that bearer token. `params` is an object.
    pub(crate) async fn ask(&self, token: Option<&str>, method: &str, params: Value) -> Value {
        let request = self.request(token, method, params).timeout(DEADLINE);
        let answer = request.send().await.expect("an answer").text().await.expect("an answer");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{method}: {error}: {answer}"))
    }

    /// As [`Self::ask`], not sent yet: its answer may be a stream.
    pub(crate) fn request(&self, token: Option<&str>, method: &str, params: Value) -> RequestBuilder {
        request(&self.mcp(), token, method, params)
    }
}

/// A request of the newest revision to the program that serves MCP there. `params` is an object.
pub(crate) fn request(mcp: &str, token: Option<&str>, method: &str, params: Value) -> RequestBuilder {
    request_as(&json!({}), mcp, token, method, params)
}

/// As [`request`], of a client with these capabilities.
pub(crate) fn request_as(
    capabilities: &Value,
    mcp: &str,
    token: Option<&str>,
    method: &str,
    mut params: Value,
) -> RequestBuilder {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    let mut request = reqwest::Client::new()
        .post(mcp)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
        request = request.header("mcp-name", name);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    request.body(body)
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
