//! The real LiteLLM proxy (from PyPI), as a process of its own on the loopback interface.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::wait::until;

/// It takes long to start where others compile.
const STARTS: Duration = Duration::from_secs(180);

/// Killed when dropped.
pub(super) struct Proxy {
    child: Child,
    pub(super) url: String,
    /// Of its master.
    pub(super) key: String,
    pub(super) folder: TempDir,
    http: Client,
}

impl Proxy {
    /// It reads this text when it starts, as it does of a mounted ConfigMap.
    pub(super) async fn of_file(config: &str) -> Self {
        Self::start(config, |parts, file, port| {
            let mut command = Command::new(parts.join("bin/litellm"));
            command.args(["--host", "127.0.0.1", "--port", port, "--config"]).arg(file);
            command
        })
        .await
    }

    /// It keeps servers that its API is told, in a table in memory instead of PostgreSQL.
    pub(super) async fn with_table(config: &str) -> Self {
        Self::start(config, |parts, file, port| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parts/litellm/with_table.py");
            let mut command = Command::new(parts.join("bin/python"));
            command.arg(script).arg(file).arg(port);
            command
        })
        .await
    }

    async fn start(config: &str, command: impl FnOnce(&Path, &Path, &str) -> Command) -> Self {
        let parts = env::var_os("PARTS_LITELLM").map(PathBuf::from);
        let parts =
            parts.expect("PARTS_LITELLM must name the proxy's folder: tests/parts/litellm/install prints it");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.yaml");
        fs::write(&file, config).expect("the configuration is written");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let key = format!("sk-{}", uuid::Uuid::new_v4().simple());
        let log = File::create(folder.path().join("log")).expect("a log file");
        let child = command(&parts, &file, &port.to_string())
            .current_dir(folder.path())
            .env("LITELLM_MASTER_KEY", &key)
            // Nothing is fetched.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file twice"))
            .stderr(log)
            .spawn()
            .expect("the proxy starts");
        let url = format!("http://127.0.0.1:{port}");
        let proxy = Self { child, url, key, folder, http: Client::new() };
        until("the LiteLLM proxy answers", STARTS, || async {
            proxy.ask(Method::GET, "/v1/mcp/server", None).await.filter(|(status, _)| status.is_success())
        })
        .await;
        proxy
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(StatusCode, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.ok()?;
        let status = response.status();
        Some((status, response.json().await.unwrap_or_default()))
    }

    /// A server of its list.
    pub(super) async fn server(&self, name: &str) -> Option<Value> {
        let (_, servers) = self.ask(Method::GET, "/v1/mcp/server", None).await?;
        servers.as_array()?.iter().find(|server| server["server_name"] == name).cloned()
    }

    /// What it wrote to stderr and stdout.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
