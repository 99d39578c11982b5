//! What a server asks back reaches its client, and the answer the server, in each of the four pairs of eras; and what
//! goes round through the client is believed from nobody else.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use pilothouse::{
    caller::Caller,
    gateway::{
        Client, Gateway, Lives, Request, Seats, Settings,
        wire::{Era, Raw, RpcError, Up},
    },
};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{at_url, named, ready, text, wait_for},
};

const FORM: &str = r#"{"message":"How many?","n":2.50,"requestedSchema":{"type":"object"}}"#;
const ANSWER: &str = r#"{"action":"accept","content":{"n":12345678901234567890123}}"#;

/// A legacy server whose tool `ask` asks, and an entry that does not.
fn legacy() -> Odd {
    Odd::start(Era::Legacy, |method, params| match method {
        "tools/list" => Reply::Result(r#"{"tools":[{"name":"ask"},{"name":"other"}]}"#.to_owned()),
        "tools/call" if params.contains(r#""ask""#) => Reply::Ask(
            "elicitation/create".to_owned(),
            FORM.to_owned(),
            r#"{"content":[],"answer":ANSWER}"#.to_owned(),
        ),
        _ => Reply::Result("{}".to_owned()),
    })
}

/// A modern one, which echoes what it was sent once it has an answer.
fn modern() -> Odd {
    Odd::start(Era::Modern, |method, params| match method {
        "tools/list" => Reply::Result(r#"{"resultType":"complete","tools":[{"name":"ask"}]}"#.to_owned()),
        "tools/call" if params.contains("inputResponses") => {
            Reply::Result(format!(r#"{{"resultType":"complete","content":[],"echo":{params}}}"#))
        }
        "tools/call" => Reply::Result(format!(
            r#"{{"resultType":"input_required","inputRequests":{{"how many":{{"method":"elicitation/create","params":{FORM}}}}},"requestState":"its own"}}"#
        )),
        _ => Reply::Result(r#"{"resultType":"complete"}"#.to_owned()),
    })
}

async fn before(server: &Odd) -> Gateway {
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("one", &server.url()));
    ready(&gateway, "one").await;
    gateway
}

fn client(user: &str) -> Client {
    let caller = Caller { user: user.to_owned(), ..Caller::anonymous() };
    let info = text(r#"{"name":"c","version":"7"}"#);
    Client::new(caller, Some(text(r#"{"elicitation":{"form":{}}}"#)), Some(info))
}

fn request(era: Era, seats: Arc<Seats>, params: &str) -> Request {
    let method = "tools/call".to_owned();
    Request { server: named("one"), method, params: Some(text(params)), era, seats: Some(seats) }
}

/// Calls as a modern client; each request of one stands alone.
async fn call(gateway: &Gateway, user: &str, params: &str) -> Result<Value, RpcError> {
    let seats = Arc::new(Seats::of(client(user)));
    let answer = gateway.call(request(Era::Modern, seats, params), mpsc::channel(8).0).await;
    answer.map(|answer| serde_json::from_str(answer.get()).unwrap())
}

/// Calls as a legacy client that answers what it is asked; how often it was asked.
async fn asked(gateway: &Gateway, seats: Arc<Seats>) -> (Result<Raw, RpcError>, usize) {
    let (up, mut ups) = mpsc::channel(8);
    let call = gateway.call(request(Era::Legacy, seats, r#"{"name":"ask","arguments":{}}"#), up);
    let answering = async {
        let mut count = 0;
        while let Some(said) = ups.recv().await {
            let Up::Ask { method, params, reply } = said else { panic!("{said:?}") };
            assert_eq!((method.as_str(), params.unwrap().get()), ("elicitation/create", FORM));
            reply.send(Ok(text(ANSWER))).unwrap();
            count += 1;
        }
        count
    };
    tokio::join!(call, answering)
}

/// The next round of a call, with its answer.
fn retry(tool: &str, key: &str, state: &str) -> String {
    format!(
        r#"{{"name":"{tool}","arguments":{{}},"inputResponses":{{"{key}":{ANSWER}}},"requestState":"{state}"}}"#
    )
}

const CALL: &str = r#"{"name":"ask","arguments":{}}"#;

#[tokio::test]
async fn a_legacy_client_is_asked_by_a_legacy_server_in_a_session_of_its_own() {
    let server = legacy();
    let gateway = before(&server).await;
    let seats = Arc::new(Seats::of(client("ann")));
    for _ in 0..2 {
        let (answer, count) = asked(&gateway, seats.clone()).await;
        let answer = answer.unwrap();
        assert!(answer.get().contains(&format!(r#""answer":{ANSWER}"#)), "{answer}");
        assert_eq!(count, 1);
    }
    let sessions = server.seen("initialize");
    assert_eq!(sessions.len(), 2, "the one that all share, and this client's");
    let (of_all, own) = (&sessions[0], &sessions[1]);
    assert!(of_all.contains("sampling") && !own.contains("sampling"), "{of_all} {own}");
    assert!(own.contains(r#""name":"c","version":"7""#), "{own}");

    seats.set_level("warning");
    asked(&gateway, seats.clone()).await.0.unwrap();
    assert_eq!(server.seen("logging/setLevel"), [r#"{"level":"warning"}"#]);
    asked(&gateway, Arc::new(Seats::of(client("ann")))).await.0.unwrap();
    assert_eq!(server.count("initialize"), 3, "another session");
}

/// As the TypeScript SDK does it: it forgets what it says to a session before its stream is open.
#[tokio::test]
async fn a_question_beside_the_call_is_not_lost() {
    let server = Odd::start(Era::Legacy, |method, _| match method {
        "tools/list" => Reply::Result(r#"{"tools":[{"name":"ask"}]}"#.to_owned()),
        "tools/call" => Reply::AskBeside(
            "elicitation/create".to_owned(),
            FORM.to_owned(),
            r#"{"content":[],"answer":ANSWER}"#.to_owned(),
        ),
        _ => Reply::Result("{}".to_owned()),
    });
    let gateway = before(&server).await;
    let (answer, count) = asked(&gateway, Arc::new(Seats::of(client("ann")))).await;
    assert!(answer.unwrap().get().contains(ANSWER));
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_question_that_nobody_answers_is_an_error_at_its_server() {
    let server = legacy();
    let gateway = before(&server).await;
    let (up, mut ups) = mpsc::channel(8);
    let request = Request { seats: None, ..request(Era::Legacy, Arc::default(), CALL) };
    let answer = gateway.call(request, up);
    // Its reply goes with it.
    let (answer, asked) = tokio::join!(answer, async { ups.recv().await.is_some() });
    assert!(asked);
    assert!(answer.unwrap().get().contains("-32601"));
}

#[tokio::test]
async fn a_legacy_client_is_asked_what_a_modern_server_wants_to_know() {
    let server = modern();
    let gateway = before(&server).await;
    let (answer, count) = asked(&gateway, Arc::new(Seats::of(client("ann")))).await;
    let answer = answer.unwrap();
    assert_eq!(count, 1);
    let answer = answer.get();
    assert!(
        answer.contains(&format!(r#""inputResponses":{{"how many":{ANSWER}}},"requestState":"its own""#)),
        "{answer}"
    );
    assert!(
        answer.contains(r#""io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}}}"#),
        "{answer}"
    );
    assert!(!answer.contains("resultType\":\"complete\",\"content"), "{answer}");
}

#[tokio::test]
async fn a_modern_client_gets_a_legacy_server_s_question_as_a_result_and_the_call_goes_on() {
    let server = legacy();
    let gateway = before(&server).await;
    let first = call(&gateway, "ann", CALL).await.unwrap();
    assert_eq!(first["resultType"], "input_required", "{first}");
    let question = &first["inputRequests"]["q1"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"], serde_json::from_str::<Value>(FORM).unwrap());
    let state = first["requestState"].as_str().unwrap();

    // What is not its own round is refused, and the call still waits.
    let refused = async |user: &str, params: String| {
        call(&gateway, user, &params).await.unwrap_err().message().unwrap()
    };
    assert!(refused("bob", retry("ask", "q1", state)).await.contains("another caller"));
    assert!(refused("ann", retry("other", "q1", state)).await.contains("another request"));
    assert!(refused("ann", retry("ask", "q1", &state[1..])).await.contains("was changed"));
    // An answer to something else is no answer: it is asked again, under a new state.
    let again = call(&gateway, "ann", &retry("ask", "q9", state)).await.unwrap();
    assert_eq!(again["inputRequests"], first["inputRequests"]);
    assert!(refused("ann", retry("ask", "q1", state)).await.contains("call again without requestState"));

    let state = again["requestState"].as_str().unwrap();
    let done = call(&gateway, "ann", &retry("ask", "q1", state)).await.unwrap();
    assert_eq!(done["resultType"], "complete", "{done}");
    assert_eq!(done["answer"]["action"], "accept");
    assert_eq!(server.count("tools/call"), 1, "it was one call for the server");
    let over = call(&gateway, "ann", &retry("ask", "q1", state)).await.unwrap_err();
    assert!(over.0.get().contains(r#""retryable":true"#), "{over:?}");
}

#[tokio::test]
async fn a_modern_server_s_state_goes_round_in_our_seal() {
    let server = modern();
    let gateway = before(&server).await;
    let first = call(&gateway, "ann", CALL).await.unwrap();
    let state = first["requestState"].as_str().unwrap();
    assert_ne!(state, "its own");
    assert_eq!(gateway.holder(state), None, "any replica can take it");
    let asked = server.count("tools/call");
    for (user, params) in
        [("bob", retry("ask", "how many", state)), ("ann", retry("ask", "how many", "its own"))]
    {
        assert_eq!(call(&gateway, user, &params).await.unwrap_err().code(), Some(-32602));
    }
    assert_eq!(server.count("tools/call"), asked, "the server did not hear of it");
    let done = call(&gateway, "ann", &retry("ask", "how many", state)).await.unwrap();
    assert_eq!(done["echo"]["requestState"], "its own");
}

#[tokio::test]
async fn a_modern_client_finds_its_session_again_until_it_was_idle() {
    let server = legacy();
    let lives = Lives { idle: Duration::from_millis(200), most: Duration::from_secs(60) };
    let gateway = Gateway::with(vec![], Settings { lives, ..Settings::default() });
    gateway.apply(at_url("one", &server.url()));
    ready(&gateway, "one").await;
    let other = r#"{"name":"other"}"#;
    for user in ["ann", "ann", "bob"] {
        call(&gateway, user, other).await.unwrap();
    }
    assert_eq!(server.count("initialize"), 3, "one that is shared, one each for two callers");
    wait_for("the sessions are over", || (server.count("(end)") == 2).then_some(())).await;
    call(&gateway, "ann", other).await.unwrap();
    assert_eq!(server.count("initialize"), 4);
}

#[tokio::test]
async fn a_held_call_ends_with_its_server_s_registration() {
    let server = legacy();
    let gateway = before(&server).await;
    let first = call(&gateway, "ann", CALL).await.unwrap();
    gateway.delete(&named("one"));
    wait_for("its session is over", || (server.count("(end)") == 2).then_some(())).await;
    gateway.apply(at_url("one", &server.url()));
    ready(&gateway, "one").await;
    let state = first["requestState"].as_str().unwrap();
    let over = call(&gateway, "ann", &retry("ask", "q1", state)).await.unwrap_err();
    assert!(over.0.get().contains(r#""retryable":true"#), "{over:?}");
}

#[tokio::test]
async fn a_followed_resource_is_told_of_also_after_its_server_forgot_the_session() {
    let server = legacy();
    let gateway = before(&server).await;
    let mut updates = gateway.updates(&named("one"), "odd://1").unwrap();
    wait_for("it is subscribed to", || (server.count("resources/subscribe") == 1).then_some(())).await;
    let updated =
        r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"odd://1"}}"#;
    let told = async {
        tokio::select! {
            told = updates.next() => told.unwrap(),
            () = async { loop { server.note(updated); tokio::time::sleep(Duration::from_millis(50)).await } } => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();

    server.forget_sessions();
    // The next call finds out.
    let _ = call(&gateway, "ann", r#"{"name":"other"}"#).await;
    wait_for("it is subscribed to again", || (server.count("resources/subscribe") >= 2).then_some(())).await;
    drop(updates);
    wait_for("it is left", || (server.count("resources/unsubscribe") >= 1).then_some(())).await;
}
