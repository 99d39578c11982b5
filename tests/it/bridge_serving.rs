//! A stdio server behind the bridge: what a client gets is what the server wrote.

use reqwest::StatusCode;

use crate::{
    bridge_process::{
        Bridge, Direct, Events, INITIALIZE, INITIALIZED, alive, odd_server, until, wait_for_line,
    },
    parts,
};

/// Asks the same directly and through the bridge and compares the answers byte by byte.
async fn assert_same(command: &[String], requests: &[&str]) {
    let bridge = Bridge::start(&[], command);
    let mut direct = Direct::start(command);
    let (session, initialized) = bridge.session().await;
    assert_eq!(initialized, direct.ask(INITIALIZE));
    direct.tell(INITIALIZED);
    for request in requests {
        assert_eq!(bridge.ask(&session, request).await, direct.ask(request), "{request}");
    }
}

#[tokio::test]
async fn odd_envelopes_arrive_as_they_were_written() {
    let requests = [
        r#"{"jsonrpc":"2.0","id":1,"method":"odd/result"}"#,
        r#"{"jsonrpc":"2.0","id":"\u0041","method":"odd/error","params":{"x":1.0}}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"no/such"}"#,
    ];
    assert_same(&odd_server(), &requests).await;
}

const REAL: [&str; 4] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
    r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"no/such"}"#,
    r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"no-such","arguments":{}}}"#,
];

/// `server-everything` of npm, where `tests/parts/install` has put it.
#[tokio::test]
async fn server_everything_is_the_same_as_over_stdio() {
    let main = parts::node_parts().join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let command = [parts::node(), main].map(|path| path.display().to_string());
    let mut requests = REAL.to_vec();
    requests.push(
        r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}"#,
    );
    requests.push(r#"{"jsonrpc":"2.0","id":6,"method":"prompts/list"}"#);
    requests.push(r#"{"jsonrpc":"2.0","id":7,"method":"resources/list"}"#);
    assert_same(&[command.as_slice(), &["stdio".to_owned()]].concat(), &requests).await;
}

/// `mcp-server-time` of PyPI, where `tests/parts/install` has put it.
#[tokio::test]
async fn mcp_server_time_is_the_same_as_over_stdio() {
    let server = parts::python_parts().join("bin/mcp-server-time").display().to_string();
    let mut requests = REAL.to_vec();
    requests.push(r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"convert_time","arguments":{"source_timezone":"UTC","time":"12:00","target_timezone":"UTC"}}}"#);
    assert_same(&[server, "--local-timezone=UTC".to_owned()], &requests).await;
}

#[tokio::test]
async fn a_conversation_goes_both_ways_on_the_requests_own_stream() {
    let bridge = Bridge::start(&[], &odd_server());
    let (session, _) = bridge.session().await;
    let talk = "{\"jsonrpc\":\"2.0\",\n\"id\":1,\"method\":\"odd/talk\",\"params\":{\"_meta\":{\"progressToken\":\"t\"}}}";
    let mut events = Events::of(bridge.post(Some(&session), talk).send().await.unwrap());
    assert_eq!(
        events.next().await.unwrap(),
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":"t","x":1.0}}"#
    );
    assert_eq!(
        events.next().await.unwrap(),
        r#"{"jsonrpc":"2.0","id":"q-1","method":"elicitation/create","params":{"message":"?","x":2.0}}"#
    );
    let reply = r#"{"jsonrpc":"2.0","id":"q-1","result":{"action":"accept","x":12345678901234567890123}}"#;
    let told = bridge.post(Some(&session), reply).send().await.unwrap();
    assert_eq!(told.status(), StatusCode::ACCEPTED);
    let answer: serde_json::Value = serde_json::from_str(&events.next().await.unwrap()).unwrap();
    assert_eq!(answer["result"]["told"], reply);
    assert_eq!(events.next().await, None);
    wait_for_line(&bridge.log, "half way: {not json");
}

#[tokio::test]
async fn what_the_server_says_of_its_own_accord_is_on_the_sessions_stream() {
    let bridge = Bridge::start(&[], &odd_server());
    let (session, _) = bridge.session().await;
    let mut events = Events::of(bridge.get(&session).send().await.unwrap());
    assert!(events.next().await.unwrap().contains(r#""data":"early""#));
    bridge.result(&session, "odd/changed").await;
    assert_eq!(
        events.next().await.unwrap(),
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"x":1.0}}"#
    );
    // A client that comes back takes the stream over from its old connection.
    let mut again = Events::of(bridge.get(&session).send().await.unwrap());
    assert_eq!(events.next().await, None);
    bridge.result(&session, "odd/changed").await;
    assert!(again.next().await.unwrap().contains("list_changed"));
}

#[tokio::test]
async fn two_sessions_are_two_processes_and_delete_ends_one() {
    let bridge = Bridge::start(&[], &odd_server());
    let ((first, _), (second, _)) = (bridge.session().await, bridge.session().await);
    let pid = async |session: &str| bridge.result(session, "odd/pid").await.as_u64().unwrap();
    let (one, two) = (pid(&first).await, pid(&second).await);
    assert_ne!(one, two);

    assert_eq!(bridge.delete(&first).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    until("the process has ended", async || !alive(one)).await;
    let gone = bridge.post(Some(&first), r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    assert_eq!(pid(&second).await, two);
}

#[tokio::test]
async fn a_process_that_dies_fails_its_requests_and_ends_its_session() {
    let bridge = Bridge::start(&[], &odd_server());
    let (session, _) = bridge.session().await;
    let mut events = Events::of(bridge.get(&session).send().await.unwrap());
    let never = tokio::spawn(
        bridge.post(Some(&session), r#"{"jsonrpc":"2.0","id":"n","method":"odd/never"}"#).send(),
    );
    let died = bridge.ask(&session, r#"{"jsonrpc":"2.0","id":1,"method":"odd/die"}"#).await;
    assert!(died.contains("exit status: 3"), "{died}");
    let never = never.await.unwrap().unwrap().text().await.unwrap();
    assert!(never.contains(r#""id":"n""#) && never.contains("-32603"), "{never}");
    while events.next().await.is_some() {}
    let next =
        bridge.post(Some(&session), r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#).send().await.unwrap();
    assert_eq!(next.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_cancelled_request_ends_without_an_answer() {
    let bridge = Bridge::start(&[], &odd_server());
    let (session, _) = bridge.session().await;
    let never =
        tokio::spawn(bridge.post(Some(&session), r#"{"jsonrpc":"2.0","id":5,"method":"odd/never"}"#).send());
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#;
    // The two posts travel side by side, so the first cancellation may come too early.
    until("the request ends", async || {
        assert_eq!(bridge.post(Some(&session), cancel).send().await.unwrap().status(), StatusCode::ACCEPTED);
        never.is_finished()
    })
    .await;
    assert_eq!(never.await.unwrap().unwrap().status(), StatusCode::ACCEPTED);
    assert!(bridge.result(&session, "odd/pid").await.is_u64());
}

#[tokio::test]
async fn a_message_too_large_fails_alone() {
    let bridge = Bridge::start(&[], &odd_server());
    let (session, _) = bridge.session().await;
    let big = bridge.ask(&session, r#"{"jsonrpc":"2.0","id":1,"method":"odd/big"}"#).await;
    assert!(big.contains("more than 16777216 bytes"), "{:.200}", big);
    assert!(bridge.result(&session, "odd/pid").await.is_u64());

    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":"{}"}}"#, "x".repeat(17 << 20));
    // The answer may come while the body is still on its way; some stacks then see only the closed connection.
    if let Ok(response) = bridge.post(Some(&session), &body).send().await {
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert!(bridge.result(&session, "odd/pid").await.is_u64());
}
