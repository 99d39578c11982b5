//! One bad server harms nobody, and a good one that was away comes back by itself.

use std::time::{Duration, Instant};

use futures::future::join_all;
use pilothouse::gateway::{
    Gateway, State,
    wire::{Era, RpcError},
};
use tokio::net::TcpListener;

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{ask, at_url, call_tool, named, observed, ready, tool_error, tools, wait_for},
};

fn one_tool(name: &str) -> Reply {
    Reply::Result(format!(r#"{{"tools":[{{"name":"{name}"}}]}}"#))
}

/// Answers everything at once.
fn good() -> Odd {
    Odd::start(Era::Legacy, |method, _| match method {
        "tools/list" => one_tool("hello"),
        _ => Reply::Result(r#"{"content":[]}"#.to_owned()),
    })
}

/// A gateway with a good server, and a bad one that is not waited for.
async fn beside(bad: &str) -> (Gateway, Odd) {
    let server = good();
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("bad", bad));
    gateway.apply(at_url("good", &server.url()));
    ready(&gateway, "good").await;
    (gateway, server)
}

/// The good server answers as if it were alone.
async fn good_is_unharmed(gateway: &Gateway) {
    let since = Instant::now();
    for _ in 0..20 {
        call_tool(gateway, "good", "hello").await.unwrap();
    }
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert!(tools(gateway).contains(&"good_hello".to_owned()));
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let (gateway, _server) = beside(&url).await;
    good_is_unharmed(&gateway).await;
    assert_eq!(observed(&gateway, "bad").unwrap().state, State::Connecting);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named_as_the_reason() {
    let (gateway, _server) = beside("http://127.0.0.1:9/mcp").await;
    let reason = wait_for("the reason", || match observed(&gateway, "bad")?.state {
        State::Unreachable { reason } => Some(reason),
        _ => None,
    })
    .await;
    assert!(reason.contains("Connection refused"), "{reason}");
    let error = tool_error(call_tool(&gateway, "bad", "x").await);
    assert!(error.contains("shop/bad") && error.contains("Connection refused"), "{error}");
    good_is_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_server_that_speaks_no_mcp_is_named_as_such() {
    let website = Odd::start(Era::Legacy, |_, _| Reply::Never);
    let (gateway, _server) = beside(&website.url().replace("/mcp", "/index.html")).await;
    let reason = wait_for("the reason", || match observed(&gateway, "bad")?.state {
        State::Unreachable { reason } => Some(reason),
        _ => None,
    })
    .await;
    assert!(reason.contains("handshake") || reason.contains("404"), "{reason}");
    good_is_unharmed(&gateway).await;
}

/// A server that lists one tool and answers its calls like that.
async fn calls_get(reply: Reply) -> (Gateway, Odd, Odd, Result<pilothouse::gateway::wire::Raw, RpcError>) {
    let bad = Odd::start(Era::Legacy, move |method, _| match method {
        "tools/list" => one_tool("odd"),
        "tools/call" => reply.clone(),
        _ => Reply::Result("{}".to_owned()),
    });
    let (gateway, server) = beside(&bad.url()).await;
    ready(&gateway, "bad").await;
    let answer = call_tool(&gateway, "bad", "odd").await;
    good_is_unharmed(&gateway).await;
    (gateway, server, bad, answer)
}

#[tokio::test]
async fn garbage_is_a_tool_error_that_says_so() {
    let (.., answer) = calls_get(Reply::Body("<html>".to_owned())).await;
    let error = tool_error(answer);
    assert!(
        error.contains("shop/bad") && error.contains("is not MCP") && error.contains("<html>"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_to_something_else_is_garbage_too() {
    let (.., answer) = calls_get(Reply::Body(r#"{"jsonrpc":"2.0","id":99,"result":{}}"#.to_owned())).await;
    assert!(tool_error(answer).contains("is not MCP"));
}

#[tokio::test]
async fn half_a_message_is_a_tool_error_that_says_so() {
    let (gateway, _server, _bad, answer) = calls_get(Reply::Half).await;
    let error = tool_error(answer);
    assert!(error.contains("shop/bad") && error.contains("ended during the call"), "{error}");
    // The next call goes through as before.
    assert!(tool_error(call_tool(&gateway, "bad", "odd").await).contains("ended during the call"));
}

#[tokio::test]
async fn fifty_megabytes_are_a_tool_error_that_names_the_limit() {
    let (.., answer) = calls_get(Reply::Big(50_000_000)).await;
    let error = tool_error(answer);
    assert!(error.contains("larger than 33554432 bytes"), "{error}");
}

#[tokio::test]
async fn a_large_answer_below_the_limit_passes() {
    let (.., answer) = calls_get(Reply::Big(5_000_000)).await;
    assert_eq!(answer.unwrap().get().len(), r#"{"x":""}"#.len() + 5_000_000);
}

#[tokio::test]
async fn calls_that_never_end_neither_block_others_nor_stay() {
    let bad = Odd::start(Era::Legacy, |method, _| match method {
        "tools/list" => one_tool("odd"),
        "tools/call" => Reply::Never,
        _ => Reply::Result("{}".to_owned()),
    });
    let (gateway, _server) = beside(&bad.url()).await;
    ready(&gateway, "bad").await;
    let mut short = at_url("bad", &bad.url());
    short.call_timeout = Duration::from_secs(2);
    gateway.apply(short);
    // More than may run at once, more than may wait.
    let stuck = join_all((0..400).map(|_| call_tool(&gateway, "bad", "odd")));
    let (stuck, ()) = tokio::join!(stuck, good_is_unharmed(&gateway));
    let (slow, refused): (Vec<_>, Vec<_>) = stuck.into_iter().partition(Result::is_err);
    // Those that had their turn, and those that got it when these were done.
    assert!(slow.len() >= 64 && !refused.is_empty(), "{} ran", slow.len());
    let message = slow[0].as_ref().unwrap_err().message().unwrap();
    assert!(
        message.contains("shop/bad") && message.contains("2s") && message.contains("callTimeout"),
        "{message}"
    );
    for refused in refused {
        let why = tool_error(refused);
        assert!(
            why.contains("already runs 64 calls") || why.contains("failed several times running"),
            "{why}"
        );
    }
    wait_for("every call that was sent is cancelled", || {
        let (sent, cancelled) = (bad.count("tools/call"), bad.count("notifications/cancelled"));
        (sent >= 64 && cancelled >= sent).then_some(())
    })
    .await;
    assert_eq!(bad.count("initialize"), 1);
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_at_the_server() {
    let server = Odd::start(Era::Legacy, |method, _| match method {
        "tools/list" => one_tool("odd"),
        "tools/call" => Reply::Never,
        _ => Reply::Result("{}".to_owned()),
    });
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("bad", &server.url()));
    ready(&gateway, "bad").await;
    let call = call_tool(&gateway, "bad", "odd");
    let waiting = wait_for("the call arrives", || (server.count("tools/call") == 1).then_some(()));
    tokio::select! {
        answer = call => panic!("{answer:?}"),
        () = waiting => {}
    }
    wait_for("it is cancelled", || (server.count("notifications/cancelled") == 1).then_some(())).await;
}

async fn comes_back(era: Era) {
    let script = |method: &str, _: &str| match method {
        "tools/list" => one_tool("hello"),
        _ => Reply::Result(r#"{"resultType":"complete","content":[]}"#.to_owned()),
    };
    let server = Odd::start(era, script);
    let (address, url) = (server.address, server.url());
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("one", &url));
    ready(&gateway, "one").await;
    drop(server);
    let error = tool_error(call_tool(&gateway, "one", "hello").await);
    assert!(error.contains("shop/one"), "{error}");
    assert_eq!(tools(&gateway), ["one_hello"], "its tools stay listed");
    wait_for("the loss is seen", || {
        matches!(observed(&gateway, "one")?.state, State::Unreachable { .. }).then_some(())
    })
    .await;

    let server = Odd::start_at(address, era, |method, _| match method {
        "tools/list" => one_tool("changed"),
        _ => Reply::Result(r#"{"resultType":"complete","content":[]}"#.to_owned()),
    });
    wait_for("its new tool", || (tools(&gateway) == ["one_changed"]).then_some(())).await;
    ready(&gateway, "one").await;
    call_tool(&gateway, "one", "changed").await.unwrap();
    drop(server);
}

#[tokio::test]
async fn a_legacy_server_that_died_comes_back_by_itself() {
    comes_back(Era::Legacy).await;
}

#[tokio::test]
async fn a_modern_server_that_died_comes_back_by_itself() {
    comes_back(Era::Modern).await;
}

#[tokio::test]
async fn a_forgotten_session_costs_the_client_nothing() {
    let server = good();
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("good", &server.url()));
    ready(&gateway, "good").await;
    server.forget_sessions();
    let answers = join_all((0..8).map(|_| call_tool(&gateway, "good", "hello"))).await;
    for answer in answers {
        assert_eq!(answer.unwrap().get(), r#"{"content":[]}"#);
    }
    assert_eq!(server.count("initialize"), 2);
}

async fn changes_are_seen(era: Era) {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Odd::start(era, move |method, _| match method {
        "tools/list" => {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            one_tool(&format!("tool{}", number.min(1)))
        }
        _ => Reply::Result("{}".to_owned()),
    });
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("one", &server.url()));
    ready(&gateway, "one").await;
    assert_eq!(tools(&gateway), ["one_tool0"]);
    let mut catalogues = gateway.catalogues();
    catalogues.mark_unchanged();
    wait_for("the new tool", || {
        server.change();
        (tools(&gateway) == ["one_tool1"]).then_some(())
    })
    .await;
    assert!(catalogues.has_changed().unwrap());
    // Lists that say the same again are no news.
    catalogues.mark_unchanged();
    let lists = server.count("tools/list");
    wait_for("another list", || {
        server.change();
        (server.count("tools/list") > lists + 1).then_some(())
    })
    .await;
    assert!(!catalogues.has_changed().unwrap());
}

#[tokio::test]
async fn changed_tools_of_a_legacy_server_are_seen() {
    changes_are_seen(Era::Legacy).await;
}

#[tokio::test]
async fn changed_tools_of_a_modern_server_are_seen() {
    changes_are_seen(Era::Modern).await;
}

#[tokio::test]
async fn applying_the_same_again_does_nothing_and_deleting_ends_calls() {
    let server = Odd::start(Era::Legacy, |method, _| match method {
        "tools/list" => one_tool("odd"),
        "tools/call" => Reply::Never,
        _ => Reply::Result("{}".to_owned()),
    });
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("one", &server.url()));
    ready(&gateway, "one").await;
    gateway.apply(at_url("one", &server.url()));
    let mut denying = at_url("one", &server.url());
    denying.tools.deny = vec!["odd".to_owned()];
    gateway.apply(denying);
    wait_for("the tool is hidden", || tools(&gateway).is_empty().then_some(())).await;
    let (_, refused) = ask(&gateway, "one", Era::Legacy, "tools/call", r#"{"name":"odd"}"#).await;
    assert_eq!(refused.unwrap_err().code(), Some(-32602));
    assert_eq!(server.count("tools/call"), 0);

    gateway.apply(at_url("one", &server.url()));
    let call = call_tool(&gateway, "one", "odd");
    let deleting = async {
        wait_for("the call arrives", || (server.count("tools/call") == 1).then_some(())).await;
        gateway.delete(&named("one"));
    };
    let (answer, ()) = tokio::join!(call, deleting);
    assert!(tool_error(answer).contains("no longer serves"));
    wait_for("it is forgotten", || observed(&gateway, "one").is_none().then_some(())).await;
    assert_eq!(server.count("initialize"), 1);
}

#[tokio::test]
async fn a_list_that_never_comes_does_not_hide_the_others() {
    let server = Odd::start(Era::Legacy, |method, _| match method {
        "tools/list" => one_tool("odd"),
        _ => Reply::Never,
    });
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("one", &server.url()));
    let seen = ready(&gateway, "one").await;
    assert_eq!(tools(&gateway), ["one_odd"]);
    assert!(seen.dropped[0].contains("prompts/list was not answered within 10 s"), "{:?}", seen.dropped);
}
