//! One process for all clients: `--shared`.

use reqwest::StatusCode;
use serde_json::Value;

use crate::bridge_process::{
    Bridge, Events, INITIALIZE, alive, descendants, odd_server, until, wait_for_line,
};

fn shared() -> Bridge {
    Bridge::start(&["--shared"], &odd_server())
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn clients_share_a_warm_process_and_their_ids_do_not_meet() {
    let bridge = shared();
    until("it is started before anybody asks", async || !descendants(bridge.server().await).is_empty()).await;
    let ((first, greeting), (second, _)) = (bridge.session().await, bridge.session().await);
    assert_ne!(first, second);
    assert!(
        greeting.contains(r#""id":0,"#) && greeting.contains(r#""x":18446744073709551617"#),
        "the server's own words under the client's id: {greeting}"
    );
    let pid = bridge.result(&first, "odd/pid").await;
    assert_eq!(bridge.result(&second, "odd/pid").await, pid);

    let held = r#"{"jsonrpc":"2.0","id":5,"method":"odd/hold","params":{"_meta":{"progressToken":"t"}}}"#;
    let mut asked = Vec::new();
    for session in [&first, &second] {
        asked.push(tokio::spawn(bridge.post(Some(session), held).send()));
    }
    // The server answers one after the other, so what it answered last it has read.
    until("both are held", async || {
        bridge.result(&first, "odd/release").await;
        asked.iter().all(|asked| asked.is_finished())
    })
    .await;
    for asked in asked {
        let mut events = Events::of(asked.await.unwrap().unwrap());
        let progress = events.next().await.unwrap();
        assert!(progress.contains(r#""progress":1.0,"progressToken":"t""#), "{progress}");
        let answer = events.next().await.unwrap();
        assert!(answer.contains(r#"{"result":"held","x-odd":[1e3 , 2.50],"id":5,"#), "{answer}");
        assert_eq!(events.next().await, None);
    }
}

#[tokio::test]
async fn a_session_is_known_to_every_replica_and_no_session_will_do() {
    let (one, other) = (shared(), shared());
    let (session, _) = one.session().await;
    assert!(other.result(&session, "odd/pid").await.is_u64());
    assert_eq!(one.delete(&session).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert!(one.result(&session, "odd/pid").await.is_u64());
    let bare = one.post(None, r#"{"jsonrpc":"2.0","id":"x","method":"odd/pid"}"#).send().await.unwrap();
    assert!(read(&bare.text().await.unwrap())["result"].is_u64());
    let discover = r#"{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{}}"#;
    let refused = one.post(None, discover).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(read(&refused.text().await.unwrap())["error"]["code"], -32601);
}

#[tokio::test]
async fn what_the_server_says_is_heard_by_all_and_what_it_asks_by_nobody() {
    let mut bridge = shared();
    let ((first, _), (second, _)) = (bridge.session().await, bridge.session().await);
    let mut streams = Vec::new();
    for session in [&first, &second] {
        streams.push(Events::of(bridge.get(session).send().await.unwrap()));
    }
    bridge.result(&first, "odd/changed").await;
    for stream in &mut streams {
        while !stream.next().await.unwrap().contains("list_changed") {}
    }
    let refused = bridge.result(&first, "odd/ask").await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&"q".into(), &(-32601).into()));
    assert!(refused["error"]["message"].as_str().unwrap().contains("gateway.stateless"), "{refused}");
    assert_eq!(bridge.result(&first, "odd/ping").await["result"], serde_json::json!({}));
    bridge.terminate();
    for stream in &mut streams {
        assert_eq!(stream.next().await, None);
    }
    assert_eq!(bridge.wait(crate::bridge_process::DEADLINE).and_then(|status| status.code()), Some(0));
}

#[tokio::test]
async fn a_cancellation_ends_the_clients_own_request_alone() {
    let bridge = shared();
    let ((first, _), (second, _)) = (bridge.session().await, bridge.session().await);
    let held = r#"{"jsonrpc":"2.0","id":5,"method":"odd/hold"}"#;
    let mine = tokio::spawn(bridge.post(Some(&first), held).send());
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#;
    until("the server holds it", async || bridge.result(&second, "odd/cancelled").await.is_string()).await;
    let again = bridge.post(Some(&first), held).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    for foreign in [Some(second.as_str()), None] {
        assert_eq!(bridge.post(foreign, cancel).send().await.unwrap().status(), StatusCode::ACCEPTED);
    }
    assert!(bridge.result(&second, "odd/cancelled").await.is_string());
    bridge.post(Some(&first), cancel).send().await.unwrap();
    assert_eq!(mine.await.unwrap().unwrap().status(), StatusCode::ACCEPTED);
    assert!(bridge.result(&second, "odd/cancelled").await.is_null(), "the server was told by our number");
}

#[tokio::test]
async fn a_process_that_dies_fails_what_is_open_and_another_takes_over() {
    let bridge = shared();
    let ((first, _), (second, _)) = (bridge.session().await, bridge.session().await);
    let pid = bridge.result(&first, "odd/pid").await.as_u64().unwrap();
    let mut stream = Events::of(bridge.get(&second).send().await.unwrap());
    let never =
        tokio::spawn(bridge.post(Some(&second), r#"{"jsonrpc":"2.0","id":"n","method":"odd/never"}"#).send());
    let died = bridge.ask(&first, r#"{"jsonrpc":"2.0","id":1,"method":"odd/die"}"#).await;
    assert!(died.contains("exit status: 3") && died.contains("see whether it was done"), "{died}");
    assert!(read(&died)["id"] == 1 && !alive(pid));
    // It may have come only after that.
    let mut number = 0;
    until("the other client has its answer", async || {
        number += 1;
        let again = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"odd/die"}}"#);
        never.is_finished() || bridge.post(Some(&first), &again).send().await.is_err()
    })
    .await;
    let never = never.await.unwrap().unwrap().text().await.unwrap();
    assert!(never.contains(r#""id":"n""#) && never.contains("-32603"), "{never}");
    assert_ne!(bridge.result(&second, "odd/pid").await.as_u64(), Some(pid));
    until("the streams go on with the new one", async || {
        bridge.result(&first, "odd/changed").await;
        stream.next().await.is_some_and(|text| text.contains("list_changed"))
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_start_is_said_to_whoever_asks() {
    let command = ["sh", "-c", "echo it cannot >&2; exit 4"].map(str::to_owned);
    let bridge = Bridge::start(&["--shared"], &command);
    wait_for_line(&bridge.log, "it cannot");
    for _ in 0..2 {
        let refused = bridge.post(None, INITIALIZE).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_GATEWAY);
        let said = refused.text().await.unwrap();
        assert!(said.contains("-32603") && said.contains("see its log"), "{said}");
    }
    let health = reqwest::Client::builder().no_proxy().build().unwrap().get(bridge.url("/healthz"));
    assert_eq!(health.send().await.unwrap().status(), StatusCode::OK);
}
