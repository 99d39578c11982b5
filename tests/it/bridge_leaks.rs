//! Sessions and processes that come and go leave nothing behind: no file, no process, no memory.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::{StreamExt, stream};
use reqwest::{Client, Response, StatusCode};

use crate::bridge_process::{Bridge, INITIALIZE, descendants, state, until};

/// A server that starts in a millisecond.
const SERVER: &str = r#"
while IFS= read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"sh","version":"1"}}}\n' "$id" ;;
    *'"method":"die"'*) exit 3 ;;
    *'"id":'*) printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$$" ;;
  esac
done
"#;

fn server() -> Vec<String> {
    ["sh", "-c", SERVER].map(str::to_owned).to_vec()
}

/// What the serving process has.
#[derive(Debug)]
struct Footing {
    files: usize,
    memory: u64,
}

impl Footing {
    /// Once all its processes and connections have gone.
    async fn of(bridge: &Bridge, processes: usize) -> Self {
        let server = bridge.server().await;
        let files = || std::fs::read_dir(format!("/proc/{server}/fd")).unwrap().count();
        until("its processes have gone", async || descendants(server).len() <= processes).await;
        let mut last = usize::MAX;
        until("its connections have closed", async || {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = files();
            std::mem::replace(&mut last, now) == now
        })
        .await;
        Self { files: files(), memory: bridge.memory().await }
    }

    fn assert_as(&self, start: &Self) {
        assert_eq!(self.files, start.files, "files: {self:?} after {start:?}");
        // A tenth, and what an allocator keeps of the busiest moment.
        let most = start.memory + start.memory / 10 + (4 << 20);
        assert!(self.memory <= most, "memory: {self:?} after {start:?}");
    }
}

async fn open(client: &Client, bridge: &Bridge) -> Option<(String, Response)> {
    let request = client.post(bridge.url("/mcp")).header("content-type", "application/json").body(INITIALIZE);
    let response = request.send().await.unwrap();
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    assert_eq!(response.status(), StatusCode::OK);
    Some((response.headers()["mcp-session-id"].to_str().unwrap().to_owned(), response))
}

/// Opens sessions, eight at a time, and leaves them in every way that there is.
async fn come_and_go(bridge: &Bridge, sessions: usize) {
    let client = Client::builder().no_proxy().build().unwrap();
    let opened = AtomicUsize::new(0);
    stream::iter(0..sessions)
        .for_each_concurrent(8, async |number| {
            let (session, answer) = loop {
                match open(&client, bridge).await {
                    Some(open) => break open,
                    // All places are held by those that end.
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            };
            opened.fetch_add(1, Ordering::Relaxed);
            let with = |request: reqwest::RequestBuilder| request.header("mcp-session-id", &session);
            match number % 8 {
                // Its process dies.
                0 => {
                    let die = r#"{"jsonrpc":"2.0","id":1,"method":"die"}"#;
                    let died =
                        with(client.post(bridge.url("/mcp")).header("content-type", "application/json"));
                    assert!(
                        died.body(die).send().await.unwrap().text().await.unwrap().contains("exit status: 3")
                    );
                }
                // The client goes without a word, the last time in the middle of a stream.
                1 => drop(answer),
                2 => {
                    let stream = with(client.get(bridge.url("/mcp")).header("accept", "text/event-stream"));
                    drop(stream.send().await.unwrap());
                }
                _ => {
                    let ended = with(client.delete(bridge.url("/mcp"))).send().await.unwrap();
                    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
                }
            }
        })
        .await;
    assert_eq!(opened.into_inner(), sessions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_sessions_leave_nothing_behind() {
    let bridge = Bridge::start(&["--idle-seconds", "1", "--max-sessions", "200"], &server());
    come_and_go(&bridge, 128).await;
    let start = Footing::of(&bridge, 0).await;
    come_and_go(&bridge, 2_000).await;
    Footing::of(&bridge, 0).await.assert_as(&start);
    assert_eq!(zombies(&bridge), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_restarts_leave_nothing_behind() {
    let bridge = Bridge::start(&["--shared"], &server());
    let restart = async |times: usize| {
        let client = Client::builder().no_proxy().build().unwrap();
        let ask = async |method: &str| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
            let request = client.post(bridge.url("/mcp")).header("content-type", "application/json");
            let answer = request.body(body).send().await.unwrap().text().await.unwrap();
            serde_json::from_str::<serde_json::Value>(&answer).unwrap()
        };
        let mut before = None;
        for _ in 0..times {
            let process = ask("pid").await["result"].as_u64();
            assert!(process.is_some() && process != before);
            before = process;
            let died = ask("die").await["error"]["message"].to_string();
            assert!(died.contains("exit status: 3"), "{died}");
        }
        assert!(ask("pid").await["result"].is_u64());
    };
    restart(50).await;
    let start = Footing::of(&bridge, 1).await;
    restart(500).await;
    Footing::of(&bridge, 1).await.assert_as(&start);
    assert_eq!(zombies(&bridge), 0);
}

fn zombies(bridge: &Bridge) -> usize {
    descendants(bridge.id().into()).into_iter().filter(|id| state(*id) == Some('Z')).count()
}
