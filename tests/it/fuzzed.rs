//! mcp-fuzzer in its aggressive phases, with a fixed seed, against the program: nothing it sends makes a status of 500 or
//! more, a panic, or a program that does not answer any more.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use serde_json::Value;
use tokio::{net::TcpListener, process::Command};

use crate::{parts, program::Served};

const SHOP: &str = "examples/snapshots/broken-shop";
/// Bounds a run that hangs; it takes less than a minute where nothing else runs.
const WITHIN: Duration = Duration::from_secs(480);
/// A program that kept what it is sent would need more.
const MOST_MEMORY_KB: u64 = 400 * 1024;

/// Passes everything on to the program, and counts how it answers.
struct Between {
    url: String,
    statuses: Arc<Mutex<BTreeMap<u16, usize>>>,
}

#[derive(Clone)]
struct Passing {
    client: reqwest::Client,
    origin: String,
    statuses: Arc<Mutex<BTreeMap<u16, usize>>>,
}

impl Between {
    async fn open(origin: &str) -> Self {
        let statuses = Arc::<Mutex<BTreeMap<u16, usize>>>::default();
        let passing =
            Passing { client: reqwest::Client::new(), origin: origin.to_owned(), statuses: statuses.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(passing);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, statuses }
    }

    fn statuses(&self) -> BTreeMap<u16, usize> {
        self.statuses.lock().unwrap().clone()
    }
}

async fn pass(State(passing): State<Passing>, request: Request) -> Response {
    let Passing { client, origin, statuses } = passing;
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut headers = parts.headers;
    headers.remove("host");
    headers.remove("content-length");
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let asked = client.request(parts.method, format!("{origin}{path}")).headers(headers).body(body);
    let Ok(answer) = asked.send().await else {
        // The program broke the connection off: worse than any status.
        *statuses.lock().unwrap().entry(599).or_default() += 1;
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap();
    };
    *statuses.lock().unwrap().entry(answer.status().as_u16()).or_default() += 1;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| *name != "transfer-encoding") {
        response = response.header(name, value);
    }
    response.body(Body::from_stream(answer.bytes_stream())).unwrap()
}

/// What it says of its runs. It tries every tool and every kind of message.
async fn fuzz(protocol: &str, endpoint: &str) -> Value {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    let run = Command::new(parts::fuzzer().join("bin/mcp-fuzzer"))
        .args(["--mode", "all", "--phase", "aggressive", "--protocol-phase", "aggressive"])
        .args(["--protocol", protocol, "--endpoint", endpoint, "--seed", "1"])
        .args(["--runs", "2", "--runs-per-type", "4", "--timeout", "10", "--no-network"])
        .arg("--output-dir")
        .arg(&out)
        .env("HOME", home.path())
        .kill_on_drop(true)
        .output();
    let run = tokio::time::timeout(WITHIN, run).await.expect("it ends in time").unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    let summary = fs::read_to_string(out.join("run_summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    // It takes it for success when nothing answers.
    let kinds = summary["protocols"]["by_type"].as_object().unwrap_or_else(|| panic!("{summary}"));
    assert!(kinds.len() >= 20, "{summary}");
    assert_eq!(summary["findings"]["by_category"].get("crash"), None, "{summary}");
    summary
}

fn assert_calm(log: &str) {
    assert!(!log.contains("panicked"), "{log}");
}

/// Of a running program, the most memory it ever had.
fn peak_kb(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_over_http_is_too_much() {
    let mut served = Served::start("serve", &["--snapshot", SHOP]).await;
    let between = Between::open(&served.origin).await;
    fuzz("streamablehttp", &between.url).await;

    let statuses = between.statuses();
    assert!(statuses.keys().all(|status| *status < 500), "{statuses:?}");
    assert!(statuses.get(&200).is_some_and(|count| *count > 50), "{statuses:?}");
    assert_calm(&served.said());
    assert!(served.child.try_wait().unwrap().is_none(), "it ended: {}", served.said());
    assert!(served.tools().await.iter().any(|tool| tool == "cluster_overview"));
    assert!(peak_kb(served.child.id()) < MOST_MEMORY_KB, "{} KB", peak_kb(served.child.id()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_over_stdio_is_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let (log, ended) = (folder.path().join("log"), folder.path().join("ended"));
    let script = folder.path().join("pilothouse");
    let program = env!("CARGO_BIN_EXE_pilothouse");
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHOP);
    // It starts the program several times; each writes down how it ended. Closing stdin ends it well.
    let text = format!(
        "#!/bin/sh\nunset KUBECONFIG\nexport HOME={home} PILOTHOUSE_DATA={home}/data-$$\n{program} serve --snapshot {shop} 2>>{log}\necho $? >>{ended}\n",
        home = folder.path().display(),
        shop = shop.display(),
        log = log.display(),
        ended = ended.display(),
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fuzz("stdio", &script.display().to_string()).await;

    assert_calm(&fs::read_to_string(&log).unwrap_or_default());
    // 134 is an abort, 139 a fault of memory; whoever is killed by the fuzzer writes nothing.
    let ended = fs::read_to_string(&ended).unwrap_or_default();
    assert!(ended.lines().all(|status| status == "0"), "{ended}");
}
