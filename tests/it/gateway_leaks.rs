//! Sessions of clients and connections to servers that come and go leave nothing behind in the program: no memory, no
//! file, no process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path as Part, State},
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::post,
};
use futures::{StreamExt, stream};
use pilothouse::gateway::wire::text::Head;
use reqwest::Client;
use serde_json::json;
use tokio::sync::watch;

use crate::{
    bridge_process::{descendants, state, until},
    program::Served,
    stage::initialize,
};

/// At once: a client that has finished makes room for the next.
const CLIENTS: usize = 16;

/// What a process has.
#[derive(Debug)]
struct Footing {
    files: usize,
    kilobytes: u64,
}

impl Footing {
    fn of(process: u64) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kilobytes = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        Self { files: fs::read_dir(format!("/proc/{process}/fd")).unwrap().count(), kilobytes }
    }

    /// Neither more files nor more memory than a tenth above what it was.
    fn is_within_a_tenth_of(&self, start: &Self) -> bool {
        self.files <= start.files + start.files / 10
            && self.kilobytes <= start.kilobytes + start.kilobytes / 10
    }
}

/// When it has as many files as a moment ago: what was about to close has closed.
async fn settled(process: u64) -> Footing {
    let mut last = usize::MAX;
    until("its connections have closed", async || {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = Footing::of(process).files;
        std::mem::replace(&mut last, now) == now
    })
    .await;
    Footing::of(process)
}

/// Waits until the program has what it had.
async fn returns_to(start: &Footing, process: u64) {
    let mut now = Footing::of(process);
    for _ in 0..150 {
        if now.is_within_a_tenth_of(start) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        now = Footing::of(process);
    }
    panic!("{now:?}, and at first {start:?}");
}

/// A client that opens a session, uses it and leaves it in one of the ways there are. Its name, where nobody ended it.
async fn visit(client: &Client, url: &str, number: usize) -> Option<String> {
    let post = |body: String| {
        client
            .post(url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
    };
    let opened = post(initialize(1, "2025-11-25")).send().await.unwrap();
    assert_eq!(opened.status(), StatusCode::OK);
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    drop(opened.text().await.unwrap());
    let in_session = |request: reqwest::RequestBuilder| request.header("mcp-session-id", &session);
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
    assert_eq!(in_session(post(initialized)).send().await.unwrap().status(), StatusCode::ACCEPTED);
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#.to_owned();
    if number.is_multiple_of(2) {
        let listed = in_session(post(list.clone())).send().await.unwrap().text().await.unwrap();
        assert!(listed.contains("\"tools\""), "{listed}");
    }
    let listen = || in_session(client.get(url).header("accept", "text/event-stream")).send();
    match number % 5 {
        // It leaves in the middle of an answer.
        0 => drop(in_session(post(list)).send().await.unwrap()),
        // It listens, and leaves without a word.
        1 => drop(listen().await.unwrap()),
        // It leaves a second stream too.
        2 => drop((listen().await.unwrap(), listen().await.unwrap())),
        number => {
            let listening = if number == 3 { Some(listen().await.unwrap()) } else { None };
            let ended = in_session(client.delete(url)).send().await.unwrap();
            assert_eq!(ended.status(), StatusCode::NO_CONTENT);
            if let Some(stream) = listening {
                // Its end is the end of the stream.
                drop(stream.text().await);
            }
            return None;
        }
    }
    Some(session)
}

/// So many clients, until what they left open has ended too.
async fn come_and_go(url: &str, sessions: usize) {
    let client = Client::builder().no_proxy().build().unwrap();
    let visits = stream::iter(0..sessions).map(|number| visit(&client, url, number));
    let left: Vec<_> = visits.buffer_unordered(CLIENTS).filter_map(std::future::ready).collect().await;
    assert!(left.len() >= sessions / 2, "{}", left.len());
    // Whoever asks keeps a session open that has not ended: each is asked once, the newest first.
    let mut left = left.into_iter().rev();
    until("sessions that nobody uses have ended", async || {
        let session = left.next().expect("one that was not asked for yet");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let ping = r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#;
        let asked =
            client.post(url).header("mcp-session-id", session).header("content-type", "application/json");
        let asked = asked.header("accept", "application/json, text/event-stream").body(ping);
        asked.send().await.unwrap().status() == StatusCode::NOT_FOUND
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_sessions_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    fs::write(&config, "gateway:\n  idle:\n    sessions: 1s\n").unwrap();
    let served = Served::start("serve", &["--config", &config.display().to_string()]).await;
    let (url, program) = (format!("{}/mcp", served.origin), u64::from(served.child.id()));
    // The busiest moment is the same from then on.
    come_and_go(&url, 500).await;
    let start = settled(program).await;
    come_and_go(&url, 2_000).await;
    returns_to(&start, program).await;
}

/// A server that says at each start, in a file of its name, which process it is.
const SERVER: &str = r#"
echo $$ > "$1.new"; mv "$1.new" "$1.pid"
while IFS= read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}\n' "$id" ;;
    *'"method":"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"none","inputSchema":{"type":"object"}}]}}\n' "$id" ;;
    *'"id":'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}\n' "$id" ;;
  esac
done
"#;

/// Servers over HTTP, one a path, each with a session and a stream for every connection. One that is restarted has
/// forgotten both.
#[derive(Default)]
struct Stubs {
    /// How often each was restarted.
    starts: Mutex<BTreeMap<String, watch::Sender<u64>>>,
    /// Those to which a connection has listened since then.
    heard: Mutex<BTreeSet<String>>,
}

impl Stubs {
    async fn serve(self: &Arc<Self>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/{server}/{word}", post(answer).get(listen).delete(async || StatusCode::OK))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        origin
    }

    fn started(&self, server: &str) -> watch::Receiver<u64> {
        self.starts.lock().unwrap().entry(server.to_owned()).or_default().subscribe()
    }

    fn restart(&self, server: &str) {
        self.heard.lock().unwrap().remove(server);
        self.starts.lock().unwrap().entry(server.to_owned()).or_default().send_modify(|starts| *starts += 1);
    }

    /// A client has a session since the last restart, and listens.
    fn is_connected(&self, server: &str) -> bool {
        self.heard.lock().unwrap().contains(server)
    }
}

async fn answer(
    State(stubs): State<Arc<Stubs>>,
    Part((server, _)): Part<(String, String)>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let head = Head::parse(&body).unwrap();
    let method = head.method.as_deref().unwrap_or_default();
    let start = stubs.started(&server).borrow().to_string();
    if method == "server/discover" {
        return plain(StatusCode::BAD_REQUEST);
    }
    if method != "initialize" && headers.get("mcp-session-id").is_none_or(|session| *session != start) {
        return plain(StatusCode::NOT_FOUND);
    }
    let Some(id) = head.id else { return plain(StatusCode::ACCEPTED) };
    let result = match method {
        "initialize" => {
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}"#
        }
        "tools/list" => r#"{"tools":[{"name":"none","inputSchema":{"type":"object"}}]}"#,
        _ => "{}",
    };
    let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.get());
    Response::builder()
        .header("content-type", "application/json")
        .header("mcp-session-id", start)
        .body(Body::from(text))
        .unwrap()
}

fn plain(status: StatusCode) -> Response {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

/// Open until the server is restarted.
async fn listen(
    State(stubs): State<Arc<Stubs>>,
    Part((server, _)): Part<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let mut started = stubs.started(&server);
    let start = started.borrow_and_update().to_string();
    if headers.get("mcp-session-id").is_none_or(|session| *session != start) {
        return plain(StatusCode::NOT_FOUND);
    }
    stubs.heard.lock().unwrap().insert(server);
    let first = stream::iter([Ok::<_, std::io::Error>("retry: 20\nid: 1\ndata:\n\n")]);
    let rest = stream::once(async move { drop(started.changed().await) }).filter_map(async |()| None);
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(first.chain(rest)))
        .unwrap()
}

/// `word` makes the manifest another one, so that no failure before it is held against the server.
fn declare(folder: &Path, name: &str, origin: &str, word: usize) {
    let spec = if name.starts_with('p') {
        let own = folder.join(name).display().to_string();
        json!({ "transport": "stdio", "command": ["sh", "server.sh"], "args": [own, word.to_string()] })
    } else {
        json!({ "remote": { "url": format!("{origin}/{name}/{word}") } })
    };
    let manifest = json!({
        "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer", "metadata": { "name": name }, "spec": spec,
    });
    // The folder is watched: half a manifest must never be seen.
    fs::write(folder.join(format!("{name}.new")), manifest.to_string()).unwrap();
    fs::rename(folder.join(format!("{name}.new")), folder.join(format!("{name}.yaml"))).unwrap();
}

/// The process that a server is now.
fn process(folder: &Path, name: &str) -> Option<u64> {
    fs::read_to_string(folder.join(format!("{name}.pid"))).ok()?.trim().parse().ok()
}

/// Restarts one server so often: it dies, or its manifest changes, in turns.
async fn restart(folder: &Path, stubs: &Stubs, origin: &str, name: &str, words: std::ops::Range<usize>) {
    for word in words {
        let before = process(folder, name);
        match (before, word.is_multiple_of(2)) {
            (Some(before), true) => {
                let before = nix::unistd::Pid::from_raw(i32::try_from(before).unwrap());
                nix::sys::signal::kill(before, nix::sys::signal::Signal::SIGKILL).unwrap();
            }
            (None, true) => stubs.restart(name),
            (Some(_), false) => declare(folder, name, origin, word),
            (None, false) => {
                stubs.restart(name);
                declare(folder, name, origin, word);
            }
        }
        until("it is connected again", async || match before {
            Some(before) => process(folder, name).is_some_and(|now| now != before),
            None => stubs.is_connected(name),
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_restarts_of_servers_leave_nothing_behind() {
    const SERVERS: [&str; 10] = ["p1", "p2", "p3", "p4", "p5", "h1", "h2", "h3", "h4", "h5"];
    let (folder, stubs) = (tempfile::tempdir().unwrap(), Arc::new(Stubs::default()));
    let origin = stubs.serve().await;
    fs::write(folder.path().join("server.sh"), SERVER).unwrap();
    for name in SERVERS {
        declare(folder.path(), name, &origin, 0);
    }
    let served = Served::start("serve", &["--servers", &folder.path().display().to_string()]).await;
    let program = u64::from(served.child.id());
    let tools = SERVERS.map(|name| format!("{name}_none"));
    served.until_listed(&tools.each_ref().map(String::as_str)).await;

    let restarts = async |words: std::ops::Range<usize>| {
        let (folder, stubs, origin) = (folder.path(), &*stubs, origin.as_str());
        let each = SERVERS.map(|name| restart(folder, stubs, origin, name, words.clone()));
        futures::future::join_all(each).await;
        // One process each, and none that has ended.
        until("only the last ones run", async || descendants(program).len() == 5).await;
        assert!(descendants(program).into_iter().all(|child| state(child) != Some('Z')));
    };
    restarts(1..11).await;
    let start = settled(program).await;
    restarts(11..62).await;
    returns_to(&start, program).await;
}
