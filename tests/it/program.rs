//! The program as a user starts it, and the ways to talk to it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Longest that anything in these tests may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// `pilothouse` with a data folder of its own and no cluster, unless the arguments name one.
pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
    command.env_remove("KUBECONFIG").env_remove("PILOTHOUSE_TOKEN").env("HOME", data);
    command
}

/// What follows `NAME=` in the line with which the program says where it serves.
fn served_at(log: &str, name: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("serving /mcp and /sse"))?;
    line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}

/// A program that serves HTTP, without authentication; killed when dropped.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) origin: String,
    pub(crate) health: String,
    pub(crate) data: tempfile::TempDir,
    log: Arc<Mutex<String>>,
}

impl Served {
    /// `pilothouse SUBCOMMAND --http ADDR ARGUMENTS`, once its health port answers. It chooses free ports and says
    /// which.
    pub(crate) async fn start(subcommand: &str, arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = command(data.path())
            .args([subcommand, "--http", "127.0.0.1:0"])
            .args(arguments)
            .env("PILOTHOUSE_HEALTH", "127.0.0.1:0")
            .env("PILOTHOUSE_DATA", data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        keep(&log, child.stdout.take().unwrap());
        keep(&log, child.stderr.take().unwrap());
        let mut served = Self { child, origin: String::new(), health: String::new(), data, log };
        let begin = Instant::now();
        loop {
            let said = served.said();
            if let (Some(address), Some(health)) = (served_at(&said, "address"), served_at(&said, "health")) {
                served.origin = format!("http://{address}");
                served.health = format!("http://{health}");
                break;
            }
            let ended = served.child.try_wait().unwrap();
            assert!(ended.is_none() && begin.elapsed() < DEADLINE, "{ended:?}: {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while reqwest::get(format!("{}/livez", served.health)).await.is_err() {
            assert!(begin.elapsed() < DEADLINE, "{}", served.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        served
    }

    /// All that it wrote to stdout and stderr so far.
    pub(crate) fn said(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// A request of the newest revision: the text of the answer. `params` is an object without `_meta`.
    pub(crate) async fn ask_text(&self, method: &str, params: &str) -> String {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"it","version":"1"}}"#;
        let params = match params.trim_start_matches('{') {
            "}" => format!("{{{meta}}}"),
            rest => format!("{{{meta},{rest}"),
        };
        let parsed: Value = serde_json::from_str(&params).unwrap();
        let mut request = reqwest::Client::new()
            .post(format!("{}/mcp", self.origin))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if let Some(name) = parsed["name"].as_str() {
            request = request.header("mcp-name", name);
        }
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let answer = tokio::time::timeout(DEADLINE, request.body(body).send()).await;
        answer.expect("an answer in time").unwrap().text().await.unwrap()
    }

    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        serde_json::from_str(&self.ask_text(method, &params.to_string()).await).unwrap()
    }

    /// The text of a tool's answer, and whether it is an error.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> (String, bool) {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await;
        let text = answer["result"]["content"][0]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("{tool} answered {answer}")).to_owned();
        (text, answer["result"]["isError"] == true)
    }

    pub(crate) async fn tools(&self) -> Vec<String> {
        let answer = self.ask("tools/list", json!({})).await;
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until all these tools are listed.
    pub(crate) async fn until_listed(&self, wanted: &[&str]) {
        let begin = Instant::now();
        loop {
            let tools = self.tools().await;
            if wanted.iter().all(|wanted| tools.iter().any(|tool| tool == wanted)) {
                return;
            }
            assert!(begin.elapsed() < DEADLINE, "{wanted:?} of {tools:?}; {}", self.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program on stdin and stdout; killed when dropped.
pub(crate) struct Piped {
    pub(crate) child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    _data: tempfile::TempDir,
}

impl Piped {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = command(data.path());
        command.arg("serve").args(arguments);
        Self::of(command, data)
    }

    /// With no file allowed to become larger than `kilobytes`: writing more fails as on a full disk.
    pub(crate) fn with_a_small_disk(kilobytes: u32, arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        // An ignored SIGXFSZ is inherited; the kernel would end the program otherwise.
        let limited = format!("trap '' XFSZ; ulimit -S -f {kilobytes}; exec \"$@\"");
        let plain = command(data.path());
        let mut command = Command::new("bash");
        command.args(["-c", &limited, "-"]).arg(plain.get_program()).arg("serve").args(arguments);
        command.env_remove("KUBECONFIG").env_remove("PILOTHOUSE_TOKEN").env("HOME", data.path());
        Self::of(command, data)
    }

    fn of(mut command: Command, data: tempfile::TempDir) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut piped = Self { child, stdin, stdout, _data: data };
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "it", "version": "1"}});
        piped.ask("initialize", hello);
        piped.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        piped
    }

    pub(crate) fn write(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Every line on stdout must be a message; this gives the answer to the one request.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.write(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string());
        loop {
            let mut line = String::new();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "stdout ended before the answer");
            let message: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if message["id"] == 7 {
                return message;
            }
        }
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(log: &Arc<Mutex<String>>, from: impl std::io::Read + Send + 'static) {
    let log = log.clone();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}
