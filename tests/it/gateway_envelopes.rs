//! What a server says reaches the client as it came, in both directions and both eras, but for what must be
//! renamed: compared byte for byte with a direct request.

use pilothouse::gateway::{
    Gateway, Kind, Route,
    wire::{
        Era, Up,
        text::{Fields, Head},
    },
};

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{ask, at_url, named, ready, text, tools},
};

const TOOLS: &str = r#"{"x-list":1.0,"tools":[
  {"title":"first","name":"bare","x":18446744073709551617},
  {"name":"odd","inputSchema":{"$defs":{"a":{"const":2.50}},"type":"object"},"icons":[{"src":"https://x/y","sizes":"any"}],"execution":{"taskSupport":"odd"}},
  {"title":"nameless"}, 7,
  {"name":"last","inputSchema":{"type":"object"},"annotations":{"priority":1e3}}
]}"#;

const RESULT: &str = r#"{ "content":[{"type":"hologram","n":2.50},{"type":"text","text":"\u00e4\n","x":null}], "n":1e3,"big":18446744073709551617,
 "tools":[],"structuredContent":null,"n":2, "_meta":{"x":[ 1.0 ]} , "echo":"#;

const ERROR: &str = r#"{"code":-32050,"x":1.0,"message":"no","data":{"n":2.50,"n":1e3}}"#;

const PROGRESS: [&str; 2] = [
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":0.10,"progressToken":TOKEN,"x":{"y":1e3}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"odd","data":2.50}}"#,
];

fn script(era: Era) -> impl Fn(&str, &str) -> Reply + Send + Sync {
    move |method, params| match method {
        "tools/list" if params.contains("cursor") => {
            assert!(params.contains(r#""cursor":"2.50""#), "{params}");
            Reply::Result(r#"{"tools":[{"name":"second_page"}]}"#.to_owned())
        }
        "tools/list" => Reply::Result(TOOLS.replace(r#""x-list":1.0"#, r#""nextCursor":"2.50""#)),
        "prompts/list" => Reply::Result(r#"{"prompts":[{"name":"ask","x":1.0}]}"#.to_owned()),
        "resources/list" => Reply::Result(r#"{"resources":[{"uri":"odd://1","size":1e3}]}"#.to_owned()),
        "resources/templates/list" => Reply::Error(r#"{"code":-32601,"message":"none"}"#.to_owned()),
        "tools/call" if params.contains(r#""stream""#) => {
            let notes = PROGRESS.map(str::to_owned).to_vec();
            Reply::Stream(notes, format!("{RESULT}{params}{}", ending(era)))
        }
        "tools/call" if params.contains(r#""fails""#) => Reply::Error(ERROR.to_owned()),
        _ => Reply::Result(format!("{RESULT}{params}{}", ending(era))),
    }
}

fn ending(era: Era) -> &'static str {
    match era {
        Era::Legacy => "}",
        Era::Modern => r#","resultType":"complete"}"#,
    }
}

/// The `result` or `error` of a direct request, as text.
async fn direct(server: &Odd, era: Era, method: &str, params: &str) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |body: String| {
        http.post(server.url())
            .header("accept", "application/json, text/event-stream")
            .header("mcp-method", method)
            .body(body)
    };
    let mut request = post(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#));
    if era == Era::Legacy {
        let greeting = post(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#.to_owned());
        let session = greeting.send().await.unwrap().headers()["mcp-session-id"].clone();
        request = request.header("mcp-session-id", session);
    }
    let answer = request.send().await.unwrap().text().await.unwrap();
    let answer = match answer.rsplit_once(":odd") {
        // The data lines of the last event.
        Some((_, last)) => {
            let data = last.lines().filter_map(|line| line.strip_prefix("data: "));
            data.collect::<Vec<_>>().join("\n")
        }
        None => answer,
    };
    let head = Head::parse(answer.trim()).unwrap();
    head.result.or(head.error).unwrap().get().to_owned()
}

/// As a client of that era sends it.
fn params(era: Era, rest: &str) -> String {
    let meta = match era {
        Era::Legacy => r#"{"x":1e3,"progressToken":18446744073709551617}"#,
        Era::Modern => {
            r#"{"x":1e3,"progressToken":18446744073709551617,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"x":2.50},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}"#
        }
    };
    format!(r#"{{"z":2.50,"_meta":{meta},{rest},"z":[ 1 ]}}"#)
}

async fn calls_are_equal(era: Era) {
    let server = Odd::start(era, script(era));
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("odd", &server.url()));
    ready(&gateway, "odd").await;
    for (method, rest) in [
        ("tools/call", r#""name":"odd","arguments":{"n":1.0,"big":12345678901234567890123}"#),
        ("tools/call", r#""name":"stream","arguments":{"a":[]}"#),
        ("tools/call", r#""name":"fails""#),
        ("prompts/get", r#""name":"ask""#),
        ("resources/read", r#""uri":"odd://1""#),
        ("completion/complete", r#""ref":{"type":"odd"}"#),
        ("x-odd/method", r#""a":1"#),
    ] {
        let params = params(era, rest);
        let (_, answer) = ask(&gateway, "odd", era, method, &params).await;
        let answer = match answer {
            Ok(result) => result,
            Err(error) => error.0,
        };
        // The echo shows what the server was sent: all but the progress token is what the client sent.
        let sent =
            answer.get().split_once(r#""progressToken":"p"#).and_then(|(_, rest)| rest.split_once('"'));
        let answer = match sent {
            Some((token, _)) => answer.get().replace(&format!(r#""p{token}""#), "18446744073709551617"),
            None => answer.get().to_owned(),
        };
        assert_eq!(answer, direct(&server, era, method, &params).await, "{era:?} {method} {rest}");
    }
}

#[tokio::test]
async fn a_legacy_server_s_answers_are_those_of_a_direct_request() {
    calls_are_equal(Era::Legacy).await;
}

#[tokio::test]
async fn a_modern_server_s_answers_are_those_of_a_direct_request() {
    calls_are_equal(Era::Modern).await;
}

async fn entries_are_equal(era: Era) {
    let server = Odd::start(era, script(era));
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("odd", &server.url()));
    let seen = ready(&gateway, "odd").await;
    assert_eq!(tools(&gateway), ["odd_bare", "odd_last", "odd_odd", "odd_second_page"]);
    assert_eq!(
        seen.dropped,
        ["tools/list entry 3 has no name: dropped", "tools/list entry 4 is not an object: dropped"]
    );
    let listed = direct(&server, era, "tools/list", "{}").await;
    let listed = Fields::parse(&listed).unwrap();
    let listed: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(listed.get("tools").unwrap().get()).unwrap();
    let catalogue = gateway.catalogue();
    for (at, name) in [(0, "bare"), (1, "odd"), (4, "last")] {
        let mut expected = Fields::parse(listed[at].get()).unwrap();
        expected.set_str("name", &format!("odd_{name}"));
        let entry = catalogue.find(Kind::Tool, &format!("odd_{name}")).unwrap();
        assert_eq!(entry.raw.get(), expected.to_raw().get());
        let route = Route::Downstream { server: named("odd").into(), original: name.to_owned() };
        assert_eq!(entry.route, route);
    }
    let prompt = catalogue.find(Kind::Prompt, "odd_ask").unwrap();
    assert_eq!(prompt.raw.get(), r#"{"name":"odd_ask","x":1.0}"#);
    let resource = catalogue.find(Kind::Resource, "odd://1").unwrap();
    assert_eq!(resource.raw.get(), r#"{"uri":"odd://1","size":1e3}"#);
}

#[tokio::test]
async fn a_legacy_server_s_entries_are_in_the_catalogue_as_they_came() {
    entries_are_equal(Era::Legacy).await;
}

#[tokio::test]
async fn a_modern_server_s_entries_are_in_the_catalogue_as_they_came() {
    entries_are_equal(Era::Modern).await;
}

async fn progress_comes_first(era: Era) {
    let server = Odd::start(era, script(era));
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("odd", &server.url()));
    ready(&gateway, "odd").await;
    let params = params(era, r#""name":"stream""#);
    let (before, answer) = ask(&gateway, "odd", era, "tools/call", &params).await;
    assert!(answer.is_ok(), "{answer:?}");
    let [Up::Note { method: first, params: progress }, Up::Note { method: second, params: message }] =
        before.as_slice()
    else {
        panic!("{before:?}")
    };
    assert_eq!((first.as_str(), second.as_str()), ("notifications/progress", "notifications/message"));
    let expected = r#"{"progress":0.10,"progressToken":18446744073709551617,"x":{"y":1e3}}"#;
    assert_eq!(progress.as_ref().unwrap().get(), expected);
    assert_eq!(message.as_ref().unwrap().get(), r#"{"level":"odd","data":2.50}"#);
}

#[tokio::test]
async fn progress_comes_before_the_answer_with_the_client_s_own_token() {
    progress_comes_first(Era::Legacy).await;
    progress_comes_first(Era::Modern).await;
}

#[tokio::test]
async fn a_modern_client_understands_a_legacy_server() {
    let server = Odd::start(Era::Legacy, |method, params| match method {
        "tools/list" => Reply::Result(r#"{"tools":[{"name":"a"}]}"#.to_owned()),
        "resources/read" => Reply::Error(r#"{"code":-32002,"message":"none","data":1.0}"#.to_owned()),
        _ => Reply::Result(format!(r#"{{"n":2.50,"echo":{params}}}"#)),
    });
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("odd", &server.url()));
    ready(&gateway, "odd").await;
    let modern = r#"{"name":"a","_meta":{"x":1.0,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
    let (_, answer) = ask(&gateway, "odd", Era::Modern, "tools/call", modern).await;
    let expected = r#"{"n":2.50,"echo":{"name":"a","_meta":{"x":1.0}},"resultType":"complete"}"#;
    assert_eq!(answer.unwrap().get(), expected);
    let (_, answer) = ask(&gateway, "odd", Era::Modern, "resources/read", r#"{"uri":"x"}"#).await;
    assert_eq!(answer.unwrap_err().0.get(), r#"{"code":-32602,"message":"none","data":1.0}"#);
}

#[tokio::test]
async fn a_legacy_client_understands_a_modern_server() {
    let server = Odd::start(Era::Modern, |method, params| match method {
        "tools/list" => Reply::Result(r#"{"resultType":"complete","tools":[{"name":"a"}]}"#.to_owned()),
        "prompts/get" => Reply::Result(r#"{"resultType":"input_required","requestState":"x"}"#.to_owned()),
        _ => {
            assert!(params.contains(r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#), "{params}");
            Reply::Result(r#"{"resultType":"complete","n":2.50,"ttlMs":1,"cacheScope":"public"}"#.to_owned())
        }
    });
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("odd", &server.url()));
    ready(&gateway, "odd").await;
    let (_, answer) = ask(&gateway, "odd", Era::Legacy, "tools/call", r#"{"name":"a"}"#).await;
    assert_eq!(answer.unwrap().get(), r#"{"n":2.50}"#);
    let (_, answer) = ask(&gateway, "odd", Era::Legacy, "prompts/get", r#"{"name":"a"}"#).await;
    let message = answer.unwrap_err().message().unwrap();
    assert!(message.contains("asked back 16 times"), "{message}");
}

#[tokio::test]
async fn params_that_are_no_object_are_refused_without_a_request() {
    let server = Odd::start(Era::Legacy, |_, _| Reply::Result(r#"{"tools":[]}"#.to_owned()));
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("odd", &server.url()));
    ready(&gateway, "odd").await;
    let (_, answer) = ask(&gateway, "odd", Era::Legacy, "prompts/get", text("[1]").get()).await;
    assert_eq!(answer.unwrap_err().code(), Some(-32602));
    assert_eq!(server.count("prompts/get"), 0);
}

#[tokio::test]
async fn a_legacy_stream_that_is_closed_early_is_taken_up_again() {
    let server = Odd::start(Era::Legacy, |method, _| match method {
        "tools/list" => Reply::Result(r#"{"tools":[{"name":"a"}]}"#.to_owned()),
        "tools/call" => Reply::Resumed(r#"{"n":2.50}"#.to_owned()),
        _ => Reply::Result("{}".to_owned()),
    });
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("odd", &server.url()));
    ready(&gateway, "odd").await;
    let (_, answer) = ask(&gateway, "odd", Era::Legacy, "tools/call", r#"{"name":"a"}"#).await;
    assert_eq!(answer.unwrap().get(), r#"{"n":2.50}"#);
}
