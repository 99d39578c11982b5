//! Two replicas that share a token, something before them that takes turns, and clients of both eras.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pilothouse::gateway::wire::Era;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    gateway_odd::{Odd, Reply},
    program::{DEADLINE, Served},
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What all replicas are started with, and the server behind them: `one_fast` answers, `one_slow` never does.
pub(crate) struct Set {
    folder: tempfile::TempDir,
    health: [SocketAddr; 2],
    pub(crate) server: Odd,
}

impl Set {
    pub(crate) fn new() -> Self {
        let server = Odd::start(Era::Legacy, |method, params| match method {
            "tools/list" => Reply::Result(
                r#"{"tools":[{"name":"fast","annotations":{"readOnlyHint":true}},{"name":"slow"}]}"#
                    .to_owned(),
            ),
            "tools/call" if params.contains("slow") => Reply::Never,
            _ => Reply::Result(r#"{"content":[{"type":"text","text":"done"}]}"#.to_owned()),
        });
        let folder = tempfile::tempdir().unwrap();
        let manifest = format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: one}}\nspec: {{remote: {{url: '{}'}}}}\n",
            server.url()
        );
        std::fs::create_dir(folder.path().join("servers")).unwrap();
        std::fs::write(folder.path().join("servers/one.yaml"), manifest).unwrap();
        std::fs::write(folder.path().join("token"), TOKEN).unwrap();
        // Held together, so that they are two.
        let free = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let health = free.map(|listener| listener.local_addr().unwrap());
        for (number, peer) in [(0, health[1]), (1, health[0])] {
            let config = json!({ "operator": { "peers": [peer] } });
            std::fs::write(folder.path().join(format!("config-{number}")), config.to_string()).unwrap();
        }
        Self { folder, health, server }
    }

    fn path(&self, name: &str) -> String {
        let path: &Path = self.folder.path();
        path.join(name).display().to_string()
    }

    /// The first or the second replica, once it offers what it should.
    pub(crate) async fn start(&self, number: usize) -> Served {
        let arguments = [
            ("--health", self.health[number].to_string()),
            ("--config", self.path(&format!("config-{number}"))),
            ("--token-file", self.path("token")),
            ("--servers", self.path("servers")),
        ];
        let arguments: Vec<&str> =
            arguments.iter().flat_map(|(flag, value)| [*flag, value.as_str()]).collect();
        let served = Served::start("serve", &arguments).await;
        until("the server's tools are listed", async || {
            let list = modern(&served.origin, "tools/list", json!({})).await;
            list.is_ok_and(|list| list.to_string().contains("one_fast"))
        })
        .await;
        served
    }
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waited).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// As Kubernetes stops a pod: told, and waited for.
pub(crate) async fn drain(mut served: Served) {
    kill(Pid::from_raw(i32::try_from(served.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    until("a replica that was told to stop ends", async || served.child.try_wait().unwrap().is_some()).await;
}

pub(crate) fn address(served: &Served) -> SocketAddr {
    served.origin.trim_start_matches("http://").parse().unwrap()
}

/// Gives each new connection to the next replica that takes it, as a Service does.
pub(crate) struct Turns {
    pub(crate) origin: String,
    pub(crate) replicas: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Turns {
    pub(crate) async fn between(replicas: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let replicas = Arc::new(Mutex::new(replicas));
        let shared = replicas.clone();
        let task = tokio::spawn(async move {
            for turn in 0_usize.. {
                let (mut client, _) = listener.accept().await.unwrap();
                let now = shared.lock().unwrap().clone();
                tokio::spawn(async move {
                    for step in 0..now.len() {
                        if let Ok(mut replica) = TcpStream::connect(now[(turn + step) % now.len()]).await {
                            // Either side may end it.
                            let _ = tokio::io::copy_bidirectional(&mut client, &mut replica).await;
                            return;
                        }
                    }
                });
            }
        });
        Self { origin, replicas, task }
    }

    pub(crate) fn change(&self, replicas: &[&Served]) {
        *self.replicas.lock().unwrap() = replicas.iter().map(|served| address(served)).collect();
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Every request has a connection of its own.
fn http() -> reqwest::Client {
    reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap()
}

/// One request of the newest revision.
pub(crate) async fn modern(origin: &str, method: &str, mut params: Value) -> Result<Value, String> {
    params["_meta"] = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "it", "version": "1" } });
    let mut request = http()
        .post(format!("{origin}/mcp"))
        .bearer_auth(TOKEN)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    if let Some(name) = params["name"].as_str() {
        request = request.header("mcp-name", name);
    }
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let answer = request.body(body.to_string()).send().await.map_err(|error| format!("{error:?}"))?;
    let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
}

/// A client with a session.
pub(crate) struct Legacy {
    pub(crate) session: String,
}

impl Legacy {
    pub(crate) async fn open(origin: &str) -> Self {
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": { "elicitation": {} },
            "clientInfo": { "name": "it", "version": "1" } });
        let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello });
        let answer = request(origin, None, &hello).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let session = answer.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let legacy = Self { session };
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(legacy.post(origin, &ready).await.unwrap().status(), StatusCode::ACCEPTED);
        legacy
    }

    pub(crate) async fn post(&self, origin: &str, message: &Value) -> reqwest::Result<Response> {
        request(origin, Some(&self.session), message).await
    }

    /// What the call of that tool is answered; why not, where there is none.
    pub(crate) async fn call(&self, origin: &str, tool: &str) -> Result<Value, String> {
        // Calls of one session may be open at the same time.
        static NEXT: AtomicU64 = AtomicU64::new(100);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool } });
        let answer = self.post(origin, &call).await.map_err(|error| format!("{error:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
        let messages = text.lines().map(|line| line.trim_start_matches("data:").trim());
        let mut messages = messages.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        messages.find(|message| message["id"] == id).ok_or_else(|| format!("{status}: {text}"))
    }

    /// The stream of what the server says by itself.
    pub(crate) async fn listen(&self, origin: &str) -> Response {
        let stream =
            http().get(format!("{origin}/mcp")).bearer_auth(TOKEN).header("accept", "text/event-stream");
        stream.header("mcp-session-id", &self.session).send().await.unwrap()
    }

    pub(crate) async fn end(&self, origin: &str) -> StatusCode {
        let end = http().delete(format!("{origin}/mcp")).bearer_auth(TOKEN);
        end.header("mcp-session-id", &self.session).send().await.unwrap().status()
    }
}

async fn request(origin: &str, session: Option<&str>, message: &Value) -> reqwest::Result<Response> {
    let mut request = http()
        .post(format!("{origin}/mcp"))
        .bearer_auth(TOKEN)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .body(message.to_string());
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    request.send().await
}

/// A GET or POST that is no message of a session.
pub(crate) fn plain(method: reqwest::Method, url: String) -> reqwest::RequestBuilder {
    http().request(method, url).bearer_auth(TOKEN)
}
