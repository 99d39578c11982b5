//! Malformed and hostile messages from either side: the right answer, and everybody else goes on.

use reqwest::StatusCode;

use crate::bridge_process::{Bridge, Events, odd_server, wait_for_line};

#[tokio::test]
async fn a_client_that_sends_rubbish_is_told_what_is_wrong() {
    for options in [&[][..], &["--shared"]] {
        let bridge = Bridge::start(options, &odd_server());
        let (session, _) = bridge.session().await;
        let bad = StatusCode::BAD_REQUEST;
        let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
        for (body, code, words) in [
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}".to_vec(), -32700, "UTF-8"),
            (b"".to_vec(), -32700, "JSON-RPC object"),
            (b"null".to_vec(), -32700, "JSON-RPC object"),
            (deep.into_bytes(), -32700, "batches"),
            (br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#.to_vec(), -32700, "one message at a time"),
            (br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.to_vec(), -32700, "duplicate"),
            (br#"{"jsonrpc":"2.0","id":1,"method":5}"#.to_vec(), -32700, "invalid type"),
            (br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#.to_vec(), -32600, "string or a number"),
            (br#"{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}"#.to_vec(), -32600, "string or a number"),
            (br#"{"jsonrpc":"2.0","id":[1],"result":{}}"#.to_vec(), -32600, "string or a number"),
            (br#"{"jsonrpc":"2.0","id":1}"#.to_vec(), -32600, "neither"),
            (br#"{}"#.to_vec(), -32600, "neither"),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            let answer = bridge.post(Some(&session), "").body(body).send().await.unwrap();
            assert_eq!(answer.status(), bad, "{shown}");
            let answer: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
            assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{shown}: {answer}");
        }
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let at = bridge.url("/mcp");
        for (request, status) in [
            (client.post(&at).body(ping), StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (client.get(&at).header("accept", "application/json"), StatusCode::NOT_ACCEPTABLE),
            (client.put(&at).body(ping), StatusCode::METHOD_NOT_ALLOWED),
            (client.post(bridge.url("/other")).body(ping), StatusCode::NOT_FOUND),
        ] {
            let shown = format!("{request:?}").chars().take(200).collect::<String>();
            assert_eq!(request.send().await.unwrap().status(), status, "{shown}");
        }
        assert!(bridge.result(&session, "odd/pid").await.is_u64());
    }
}

#[tokio::test]
async fn a_session_that_was_never_there_is_not_found() {
    let bridge = Bridge::start(&[], &odd_server());
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for session in ["", "x", "../../etc/passwd", &"s".repeat(4_000), "00000000-0000-0000-0000-000000000000"] {
        for request in [bridge.post(Some(session), ping), bridge.get(session), bridge.delete(session)] {
            assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_FOUND, "{session:?}");
        }
    }
    let answer = r#"{"jsonrpc":"2.0","id":"q","result":{}}"#;
    assert_eq!(bridge.post(Some("x"), answer).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

/// An id may be a number that no integer type holds; it comes back as it was sent.
#[tokio::test]
async fn an_id_comes_back_as_it_was() {
    for options in [&[][..], &["--shared"]] {
        let bridge = Bridge::start(options, &odd_server());
        let (session, _) = bridge.session().await;
        let big = r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"odd/die"}"#;
        let died = bridge.ask(&session, big).await;
        assert!(
            died.contains(r#""id":123456789012345678901234567890,"#) && died.contains("-32603"),
            "{died}"
        );
    }
}

#[tokio::test]
async fn a_server_that_writes_rubbish_is_heard_where_it_makes_sense() {
    for options in [&[][..], &["--shared"]] {
        let bridge = Bridge::start(options, &odd_server());
        let (session, _) = bridge.session().await;
        for _ in 0..2 {
            assert_eq!(bridge.result(&session, "odd/hostile").await, "alive");
        }
        wait_for_line(&bridge.log, "not UTF-8, skipped");
        wait_for_line(&bridge.log, "no message, skipped");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_fails_the_request_that_it_answers_alone() {
    for options in [&[][..], &["--shared"]] {
        let bridge = Bridge::start(options, &odd_server());
        let (session, _) = bridge.session().await;
        let held = bridge.post(Some(&session), r#"{"jsonrpc":"2.0","id":"h","method":"odd/hold"}"#);
        let held = tokio::spawn(held.send());
        crate::bridge_process::until("it is held", async || {
            bridge.result(&session, "odd/cancelled").await.is_string()
        })
        .await;
        let big = r#"{"jsonrpc":"2.0","id":2,"method":"odd/big-first"}"#;
        let failed = bridge.ask(&session, big).await;
        assert!(failed.contains("more than 16777216 bytes"), "{failed:.200}");
        assert!(!held.is_finished());
        bridge.result(&session, "odd/release").await;
        assert!(held.await.unwrap().unwrap().text().await.unwrap().contains(r#""held""#));
    }
}

/// 64 MB of notifications that nobody reads.
#[tokio::test]
async fn a_server_that_floods_is_held_in_bounds() {
    for options in [&[][..], &["--shared"]] {
        let bridge = Bridge::start(options, &odd_server());
        let (session, _) = bridge.session().await;
        assert_eq!(bridge.result(&session, "odd/flood").await, "done");
        let held = bridge.memory().await;
        assert!(held < 64 << 20, "the bridge holds {held} bytes");
        let mut events = Events::of(bridge.get(&session).send().await.unwrap());
        bridge.result(&session, "odd/changed").await;
        while !events.next().await.unwrap().contains("list_changed") {}
    }
}
