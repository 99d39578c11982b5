//! What the bridge refuses, and how it ends.

use std::time::{Duration, Instant};

use reqwest::StatusCode;

use crate::bridge_process::{
    Bridge, Events, INITIALIZE, alive, odd_server, pilothouse, state, until, wait_for_line,
};

#[tokio::test]
async fn a_modern_client_is_told_to_initialize() {
    let bridge = Bridge::start(&[], &odd_server());
    let discover = r#"{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{}}"#;
    let response =
        bridge.post(None, discover).header("mcp-protocol-version", "2026-07-28").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let answer: serde_json::Value = response.json().await.unwrap();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&"d".into(), &(-32601).into()));
    // On the same connection the fallback works.
    bridge.session().await;
}

#[tokio::test]
async fn a_refused_initialize_leaves_no_session_behind() {
    let bridge = Bridge::start(&["--max-sessions", "1"], &odd_server());
    let refused = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"refuse":true}}"#;
    let response = bridge.post(None, refused).send().await.unwrap();
    assert!(response.headers().get("mcp-session-id").is_none());
    assert_eq!(
        response.text().await.unwrap(),
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"not you","x":1.0}}"#
    );
    until("its place is free", async || {
        bridge.post(None, INITIALIZE).send().await.unwrap().status() == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn one_session_too_many_is_refused_until_a_place_is_free() {
    let bridge = Bridge::start(&["--max-sessions", "2"], &odd_server());
    let (first, _) = bridge.session().await;
    bridge.session().await;
    let full = bridge.post(None, INITIALIZE).send().await.unwrap();
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(full.text().await.unwrap().contains("as many sessions as it may have"));
    bridge.delete(&first).send().await.unwrap();
    until("a place is free", async || {
        bridge.post(None, INITIALIZE).send().await.unwrap().status() == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn an_idle_session_ends_and_one_with_an_open_stream_does_not() {
    let bridge = Bridge::start(&["--idle-seconds", "4"], &odd_server());
    let ((idle, _), (read, _)) = (bridge.session().await, bridge.session().await);
    let pid = bridge.result(&idle, "odd/pid").await.as_u64().unwrap();
    let _stream = Events::of(bridge.get(&read).send().await.unwrap());
    until("the idle process has ended", async || !alive(pid)).await;
    // The other one is older by now than the limit.
    tokio::time::sleep(Duration::from_millis(4100)).await;
    assert!(bridge.result(&read, "odd/pid").await.is_u64());
}

#[tokio::test]
async fn an_old_process_ends_once_nothing_is_asked_of_it() {
    let bridge = Bridge::start(&["--life-seconds", "6"], &odd_server());
    let ((busy, _), (read, _)) = (bridge.session().await, bridge.session().await);
    let pid = async |session: &str| bridge.result(session, "odd/pid").await.as_u64().unwrap();
    let (old, idle) = (pid(&busy).await, pid(&read).await);
    let held = bridge.post(Some(&busy), r#"{"jsonrpc":"2.0","id":"h","method":"odd/hold"}"#);
    let held = tokio::spawn(held.send());
    until("the server holds it", async || bridge.result(&busy, "odd/cancelled").await.is_string()).await;
    // An open stream is no request.
    let mut events = Events::of(bridge.get(&read).send().await.unwrap());
    until("the idle one has ended", async || !alive(idle)).await;
    while events.next().await.is_some() {}
    assert!(alive(old) && !held.is_finished());
    bridge.result(&busy, "odd/release").await;
    assert!(held.await.unwrap().unwrap().text().await.unwrap().contains("held"));
    until("the old one has ended", async || !alive(old)).await;
    wait_for_line(&bridge.log, "its process was 6 s old");
}

#[tokio::test]
async fn a_process_that_takes_too_much_memory_ends_alone_and_says_why() {
    let bridge = Bridge::start(&["--memory-mib", "100"], &odd_server());
    let ((greedy, _), (modest, _)) = (bridge.session().await, bridge.session().await);
    let pid = bridge.result(&modest, "odd/pid").await;
    let allocate = r#"{"jsonrpc":"2.0","id":1,"method":"odd/allocate","params":{"mib":300}}"#;
    // It is looked at every second, so this may be answered or not.
    let _ = bridge.post(Some(&greedy), allocate).send().await.unwrap().text().await;
    let never = r#"{"jsonrpc":"2.0","id":2,"method":"odd/never"}"#;
    let failed = bridge.post(Some(&greedy), never).send().await.unwrap();
    if failed.status() == StatusCode::OK {
        let failed = failed.text().await.unwrap();
        assert!(failed.contains("more than the 100 MiB that it may have: initialize"), "{failed}");
    }
    wait_for_line(&bridge.log, "more than the 100 MiB");
    assert_eq!(bridge.result(&modest, "odd/pid").await, pid);
}

#[tokio::test]
async fn what_the_server_writes_to_stderr_is_in_the_log() {
    let bridge = Bridge::start(&[], &odd_server());
    bridge.session().await;
    assert_eq!(wait_for_line(&bridge.log, "a word for the log"), "odd: a word for the log");
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_and_the_kubelet_is_not() {
    let bridge = Bridge::start(&["--allow-host", "odd.tools.svc"], &odd_server());
    let status = async |host: &str, origin: Option<&str>| {
        let mut request = bridge.post(None, INITIALIZE).header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send().await.unwrap().status()
    };
    assert_eq!(status("odd.tools.svc:8080", None).await, StatusCode::OK);
    assert_eq!(status("evil.example", None).await, StatusCode::FORBIDDEN);
    assert_eq!(status("odd.tools.svc", Some("http://evil.example")).await, StatusCode::FORBIDDEN);
    let health = reqwest::Client::builder().no_proxy().build().unwrap().get(bridge.url("/healthz"));
    assert_eq!(health.header("host", "10.1.2.3:8080").send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn half_a_message_and_no_message_are_refused_with_a_reason() {
    let bridge = Bridge::start(&[], &odd_server());
    for (body, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"#, "-32700"),
        ("[]", "-32700"),
        (r#"{"jsonrpc":"2.0"}"#, "-32600"),
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "mcp-session-id"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, "initialize first"),
    ] {
        let response = bridge.post(None, body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let text = response.text().await.unwrap();
        assert!(text.contains(code), "{body}: {text}");
    }
}

#[tokio::test]
async fn sigterm_ends_open_streams_stubborn_processes_and_the_bridge_in_time() {
    let mut bridge = Bridge::start(&[], &odd_server());
    let ((quiet, _), (stubborn, _)) = (bridge.session().await, bridge.session().await);
    let mut events = Events::of(bridge.get(&quiet).send().await.unwrap());
    assert!(events.next().await.is_some());
    let pid = bridge.result(&stubborn, "odd/stubborn").await.as_u64().unwrap();

    let started = Instant::now();
    bridge.terminate();
    assert_eq!(events.next().await, None);
    assert!(started.elapsed() < Duration::from_secs(1), "the stream ended after {:?}", started.elapsed());
    let status = bridge.wait(Duration::from_secs(3)).expect("the bridge has ended");
    assert_eq!(status.code(), Some(0));
    assert!(!alive(pid));
}

#[tokio::test]
async fn a_sessions_whole_group_ends_and_orphans_leave_no_zombie() {
    let bridge = Bridge::start(&[], &odd_server());
    let (session, _) = bridge.session().await;
    let children = bridge.result(&session, "odd/children").await;
    let (stays, lost) = (children["stays"].as_u64().unwrap(), children["lost"].as_u64().unwrap());
    assert!(alive(stays));
    until("the orphan has left without a trace", async || state(lost).is_none()).await;

    bridge.delete(&session).send().await.unwrap();
    until("the rest of the group has left without a trace", async || state(stays).is_none()).await;
    assert!(alive(bridge.id().into()));
}

#[tokio::test]
async fn the_servers_environment_is_the_bridges_own() {
    let bridge = Bridge::start(&[], &odd_server());
    let (session, _) = bridge.session().await;
    let names = bridge.result(&session, "odd/environment").await.to_string();
    assert!(names.contains("\"PATH\"") && !names.contains("SUPERVISOR"), "{names}");
}

#[test]
fn a_command_that_cannot_run_is_named_at_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let file = file.path().to_str().unwrap();
    for (command, code, reason) in
        [("no-such-command", 127, "does not exist"), (file, 126, "not an executable")]
    {
        let output =
            pilothouse().args(["bridge", "--listen", "127.0.0.1:0", "--", command]).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(reason) && said.contains(command), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = pilothouse().args(["bridge", "--listen", &address, "--", "cat"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn the_program_installs_itself() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("bridge");
    let install = pilothouse().args(["bridge", "--install"]).arg(&copy).output().unwrap();
    assert!(install.status.success(), "{install:?}");
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let help = std::process::Command::new(&copy).args(["bridge", "--help"]).output().unwrap();
    assert!(help.status.success());

    let nowhere = folder.path().join("missing/bridge");
    let failed = pilothouse().args(["bridge", "--install"]).arg(&nowhere).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("is its folder there and writable?"));
}
