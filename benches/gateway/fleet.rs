//! A thousand servers with ten tools each: what the program takes for them while all connections are open, and when
//! those that nobody uses have been closed.

use std::{
    fmt, fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Method, StatusCode},
    response::Response,
};
use futures::{StreamExt, stream};

use crate::{program::Served, wire};

pub(crate) const SERVERS: usize = 1_000;
const TOOLS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(180);
/// Data that has not shrunk for so long is at rest.
const QUIET: Duration = Duration::from_secs(10);

/// What they take.
pub(crate) struct Fleet {
    /// MB that are resident with no server, and the part of it that is data.
    pub(crate) empty: (f64, f64),
    /// The same with all connections open.
    pub(crate) open: (f64, f64),
    /// The same when none is.
    pub(crate) parked: (f64, f64),
    /// Kilobytes of one server, and what its open connection adds.
    pub(crate) server: f64,
    pub(crate) connection: f64,
    /// Most handshakes at once.
    pub(crate) handshakes: usize,
    /// Seconds until all tools were there.
    pub(crate) listed: f64,
}

impl fmt::Display for Fleet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { empty, open, parked, server, connection, handshakes, listed } = self;
        let whole = |(resident, data): &(f64, f64)| format!("{resident:.1} MB, {data:.1} MB of it data");
        write!(
            out,
            "{SERVERS} servers with {TOOLS} tools each: listed within {listed:.1} s, {handshakes} handshakes at once at \
             most\nwithout them {}\nall connections closed {}: {server:.1} KB each\nall connections open {}: \
             {connection:.1} KB more each",
            whole(empty),
            whole(parked),
            whole(open),
        )
    }
}

/// Legacy servers, one a path, each with a session and an open stream for every connection.
#[derive(Default)]
struct Stubs {
    handshakes: AtomicUsize,
    most_handshakes: AtomicUsize,
    listening: Arc<AtomicUsize>,
    /// Which server was listed.
    listed: Mutex<std::collections::HashSet<String>>,
}

struct Listening(Arc<AtomicUsize>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn id_of(body: &str) -> &str {
    body.split_once(r#""id":"#).and_then(|(_, rest)| rest.split([',', '}']).next()).unwrap_or("null")
}

async fn serve(State(stubs): State<Arc<Stubs>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let plain = |status| Response::builder().status(status).body(Body::empty());
    let answered = match parts.method {
        Method::GET => {
            stubs.listening.fetch_add(1, Ordering::SeqCst);
            let held = Listening(stubs.listening.clone());
            let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b": open\n\n"))]);
            let rest = stream::once(async move {
                let _held = held;
                std::future::pending::<Result<Bytes, std::io::Error>>().await
            });
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(Body::from_stream(first.chain(rest)))
        }
        Method::POST => {
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
            let body = String::from_utf8_lossy(&body);
            let asks = |method: &str| body.contains(&format!(r#""method":"{method}""#));
            let result = if asks("initialize") {
                let now = stubs.handshakes.fetch_add(1, Ordering::SeqCst) + 1;
                stubs.most_handshakes.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                stubs.handshakes.fetch_sub(1, Ordering::SeqCst);
                r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"stub","version":"1"}}"#.to_owned()
            } else if asks("tools/list") {
                if let Ok(mut listed) = stubs.listed.lock() {
                    listed.insert(parts.uri.path().to_owned());
                }
                list()
            } else if asks("ping") {
                "{}".to_owned()
            } else if body.contains(r#""method":"notifications/"#) {
                return plain(StatusCode::ACCEPTED).unwrap_or_default();
            } else {
                return plain(StatusCode::BAD_REQUEST).unwrap_or_default();
            };
            Response::builder()
                .header("content-type", "application/json")
                .header("mcp-session-id", "one")
                .body(Body::from(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id_of(&body))))
        }
        _ => plain(StatusCode::OK),
    };
    answered.unwrap_or_default()
}

/// Ten tools of the size that real servers have.
fn list() -> String {
    let tools: Vec<String> = (0..TOOLS)
        .map(|tool| {
            format!(
                r#"{{"name":"find_things_{tool}","description":"Finds the things of which the name, the label or a word in the text is like what is asked for, the newest first.","inputSchema":{{"type":"object","properties":{{"query":{{"type":"string","description":"What to look for."}},"limit":{{"type":"integer","minimum":1,"maximum":100}}}},"required":["query"]}}}}"#
            )
        })
        .collect();
    format!(r#"{{"ttlMs":3600000,"tools":[{}]}}"#, tools.join(","))
}

impl Stubs {
    async fn start(self: Arc<Self>) -> anyhow::Result<SocketAddr> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(serve).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(address)
    }

    fn listed(&self) -> usize {
        self.listed.lock().map(|listed| listed.len()).unwrap_or_default()
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !holds() {
        ensure!(begun.elapsed() < PATIENCE, "not seen within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// When its data shrinks no more: freed memory goes back to the kernel some seconds later. What is compared are medians
/// over a while, because every ten seconds it reads its folder again, and needs some for that.
async fn at_rest(served: &Served) -> anyhow::Result<(f64, f64)> {
    let begun = Instant::now();
    let mut before = f64::MAX;
    loop {
        let (mut seen, since) = (Vec::new(), Instant::now());
        while since.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(250)).await;
            seen.push(served.memory()?);
        }
        seen.sort_by(|one, other| one.1.total_cmp(&other.1));
        let middle = seen.get(seen.len() / 2).copied().context("the memory was never read")?;
        if middle.1 > before - 0.25 {
            return Ok(middle);
        }
        before = middle.1;
        ensure!(
            begun.elapsed() < PATIENCE,
            "its memory does not come to rest: {:.1} MB of data and less all the time",
            middle.1
        );
    }
}

struct Run {
    empty: (f64, f64),
    full: (f64, f64),
    handshakes: usize,
    listed: f64,
}

/// One program before a fleet of its own, whose idle connections it keeps so long.
async fn run(idle: &str, is_there: impl Fn(&Stubs) -> bool) -> anyhow::Result<Run> {
    let stubs = Arc::new(Stubs::default());
    let address = stubs.clone().start().await?;
    let (folder, configured) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let config = configured.path().join("config.yaml");
    fs::write(&config, format!("gateway:\n  idle:\n    connections: {idle}\n"))?;
    let (servers, config) = (folder.path().display().to_string(), config.display().to_string());
    let served = Served::start(&["--servers", &servers, "--config", &config]).await?;
    let empty = at_rest(&served).await?;
    let begun = Instant::now();
    let manifests: String = (0..SERVERS)
        .map(|number| {
            format!(
                "---\napiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: s{number}}}\n\
                 spec: {{remote: {{url: 'http://{address}/{number}'}}}}\n"
            )
        })
        .collect();
    fs::write(folder.path().join("fleet.yaml"), manifests)?;
    until("all servers are listed", || stubs.listed() == SERVERS).await?;
    let listed = begun.elapsed().as_secs_f64();
    until("their connections are as they should be", || is_there(&stubs)).await?;
    let full = at_rest(&served).await?;
    ensure!(is_there(&stubs), "their connections did not stay as they were");
    answers(&served)?;
    Ok(Run { empty, full, handshakes: stubs.most_handshakes.load(Ordering::SeqCst), listed })
}

/// The last tool is there to be called.
fn answers(served: &Served) -> anyhow::Result<()> {
    let mut connection = wire::Connection::open(served.address)?;
    let (name, last) = ("search_tools", format!("s{}_find_things", SERVERS - 1));
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{{"query":"{last}"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"1"}}}}}}}}"#
    );
    let answer = connection.post("tools/call", name, &body)?;
    ensure!(answer.contains(&last), "{last} is not found: {answer}");
    Ok(())
}

pub(crate) async fn measure() -> anyhow::Result<Fleet> {
    let listening = |stubs: &Stubs| stubs.listening.load(Ordering::SeqCst);
    let open = run("12h", |stubs| listening(stubs) == SERVERS).await.context("open connections")?;
    let parked = run("1s", |stubs| listening(stubs) == 0).await.context("closed connections")?;
    let each = |more: f64, less: f64| (more - less) * 1_024.0 / SERVERS as f64;
    Ok(Fleet {
        empty: parked.empty,
        open: open.full,
        parked: parked.full,
        server: each(parked.full.1, parked.empty.1),
        connection: each(open.full.1, parked.full.1),
        handshakes: open.handshakes.max(parked.handshakes),
        listed: open.listed,
    })
}
