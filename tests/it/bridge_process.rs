//! A running `pilothouse bridge` and a small Streamable HTTP client that keeps every byte.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use reqwest::{Client, RequestBuilder, Response, StatusCode};

/// No wait in these tests is longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"0"}}}"#;

pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

pub(crate) fn odd_server() -> Vec<String> {
    vec!["python3".to_owned(), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/bridge_odd.py").to_owned()]
}

pub(crate) fn pilothouse() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pilothouse"))
}

/// Ends with SIGTERM when dropped.
pub(crate) struct Bridge {
    process: Child,
    address: SocketAddr,
    pub(crate) log: mpsc::Receiver<String>,
    client: Client,
}

impl Bridge {
    pub(crate) fn start(options: &[&str], command: &[String]) -> Self {
        let mut process = pilothouse()
            .args(["bridge", "--listen", "127.0.0.1:0"])
            .args(options)
            .arg("--")
            .args(command)
            .env("PILOTHOUSE_LOG", "info")
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = follow(process.stderr.take().unwrap());
        let client = Client::builder().no_proxy().build().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        // Made before the wait, so that a bridge that says nothing ends with the test.
        let mut bridge = Self { process, address, log, client };
        let line = wait_for_line(&bridge.log, "bridge listens");
        let at = line.find("127.0.0.1:").unwrap();
        let address: String =
            line[at..].chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        bridge.address = address.parse().unwrap();
        bridge
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn post(&self, session: Option<&str>, message: &str) -> RequestBuilder {
        let request = self
            .client
            .post(self.url("/mcp"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(message.to_owned());
        match session {
            Some(session) => request.header("mcp-session-id", session),
            None => request,
        }
    }

    pub(crate) fn get(&self, session: &str) -> RequestBuilder {
        self.client
            .get(self.url("/mcp"))
            .header("accept", "text/event-stream")
            .header("mcp-session-id", session)
    }

    pub(crate) fn delete(&self, session: &str) -> RequestBuilder {
        self.client.delete(self.url("/mcp")).header("mcp-session-id", session)
    }

    /// A new session's id and the text of its answer.
    pub(crate) async fn session(&self) -> (String, String) {
        let response = self.post(None, INITIALIZE).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let id = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let text = response.text().await.unwrap();
        let told = self.post(Some(&id), INITIALIZED).send().await.unwrap();
        assert_eq!(told.status(), StatusCode::ACCEPTED);
        (id, text)
    }

    /// The answer to a request, as text.
    pub(crate) async fn ask(&self, session: &str, message: &str) -> String {
        let response = self.post(Some(session), message).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{message}");
        response.text().await.unwrap()
    }

    /// The `result` of a request without params.
    pub(crate) async fn result(&self, session: &str, method: &str) -> serde_json::Value {
        let text = self.ask(session, &format!(r#"{{"jsonrpc":"2.0","id":9,"method":"{method}"}}"#)).await;
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["result"].clone()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The process that serves: the only child of the first one, once it is started.
    pub(crate) async fn server(&self) -> u64 {
        let mut found = None;
        until("the serving process is there", async || {
            found = descendants(self.id().into()).first().copied();
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Bytes that the serving process holds of its own.
    pub(crate) async fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server().await)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn terminate(&self) {
        let id = nix::unistd::Pid::from_raw(self.process.id().try_into().unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    }

    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            match self.process.try_wait().unwrap() {
                None if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                status => return status,
            }
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            self.terminate();
            if self.wait(DEADLINE).is_none() {
                self.process.kill().unwrap();
                self.process.wait().unwrap();
            }
        }
    }
}

fn follow(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (lines, log) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                // Read on, so that nobody blocks on a full pipe.
                continue;
            }
        }
    });
    log
}

pub(crate) fn wait_for_line(log: &mpsc::Receiver<String>, part: &str) -> String {
    let until = Instant::now() + DEADLINE;
    let mut seen = Vec::new();
    loop {
        match log.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(part) => return line,
            Ok(line) => seen.push(line),
            Err(_) => panic!("no line with {part:?}, but {seen:#?}"),
        }
    }
}

/// Waits until `done` holds.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let limit = Instant::now() + DEADLINE;
    while !done().await {
        assert!(Instant::now() < limit, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process is there and not a zombie.
pub(crate) fn alive(id: u64) -> bool {
    state(id).is_some_and(|state| state != 'Z')
}

/// The letter that /proc shows for a process; `None` when it is not there.
pub(crate) fn state(id: u64) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat[stat.rfind(')')? + 1..].trim_start().chars().next()
}

fn parent(id: u64) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat[stat.rfind(')')? + 1..].split_whitespace().nth(1)?.parse().ok()
}

/// All children of a process and their children, the oldest first.
pub(crate) fn descendants(id: u64) -> Vec<u64> {
    let numbers = std::fs::read_dir("/proc").unwrap();
    let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
    let mut parents: Vec<(u64, u64)> = numbers.filter_map(|of| Some((of, parent(of)?))).collect();
    parents.sort_unstable();
    let mut found = vec![id];
    let mut next = 0;
    while let Some(above) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(of, _)| *of));
        next += 1;
    }
    found.split_off(1)
}

/// The data of the events of a stream, one by one.
pub(crate) struct Events {
    response: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    read: String,
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response: response.bytes_stream().boxed(), read: String::new() }
    }

    /// `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.find("\n\n") {
                let event: String = self.read.drain(..end + 2).collect();
                if let Some(data) = event.trim_end().strip_prefix("data: ") {
                    return Some(data.to_owned());
                }
                continue;
            }
            let chunk =
                tokio::time::timeout(DEADLINE, self.response.next()).await.expect("an event or the end");
            self.read.push_str(std::str::from_utf8(&chunk?.ok()?).unwrap());
        }
    }
}

/// A server spoken to over its own stdio.
pub(crate) struct Direct {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Direct {
    pub(crate) fn start(command: &[String]) -> Self {
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    pub(crate) fn tell(&mut self, message: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    /// The answer to a request, as text.
    pub(crate) fn ask(&mut self, message: &str) -> String {
        self.tell(message);
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "no answer to {message}");
            let read: Result<serde_json::Value, _> = serde_json::from_str(&line);
            if read.is_ok_and(|read| read.get("result").or(read.get("error")).is_some()) {
                return line.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
