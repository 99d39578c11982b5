#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Ended, Outbox, Table, Taken, Unanswered};
use crate::gateway::wire::{
    Raw, RpcError, Up,
    rejected::{Reason, Rejections},
};

fn table() -> (Arc<Table>, mpsc::Receiver<String>) {
    let (outbox, sent) = Outbox::new();
    (Arc::new(Table::new(outbox)), sent)
}

fn text(json: &str) -> Raw {
    serde_json::value::RawValue::from_string(json.to_owned()).unwrap()
}

async fn settle(call: super::OpenCall, up: &mpsc::Sender<Up>) -> Result<Result<Raw, RpcError>, Unanswered> {
    call.settle(up, std::future::pending(), || Ended("silent".to_owned()).into()).await
}

#[tokio::test]
async fn progress_comes_before_the_answer_with_the_client_s_token() {
    let (table, _sent) = table();
    let call = table.open("p1".to_owned(), Some(text("7"))).unwrap();
    let (up, mut ups) = mpsc::channel(8);
    let progress =
        r#"{"method":"notifications/progress","params":{"x":1.0,"progressToken":"p1","progress":0.10}}"#;
    assert_eq!(table.take(progress, None), Taken::Ours);
    assert_eq!(table.take(r#"{"id":"p1","result":{"n":2.50}}"#, None), Taken::Ours);
    assert_eq!(settle(call, &up).await.unwrap().unwrap().get(), r#"{"n":2.50}"#);
    let Some(Up::Note { params, .. }) = ups.recv().await else { panic!("no progress") };
    assert_eq!(params.unwrap().get(), r#"{"x":1.0,"progressToken":7,"progress":0.10}"#);
}

#[tokio::test]
async fn the_server_s_error_comes_as_it_is() {
    let (table, _sent) = table();
    let call = table.open("p1".to_owned(), None).unwrap();
    let (up, _ups) = mpsc::channel(8);
    table.take(r#"{"id":"p1","error":{"code":1e1,"x":[]}}"#, None);
    assert_eq!(settle(call, &up).await.unwrap().unwrap_err().0.get(), r#"{"code":1e1,"x":[]}"#);
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_and_its_late_answer_swallowed() {
    let (table, mut sent) = table();
    drop(table.open(table.token(), None).unwrap());
    assert!(sent.recv().await.unwrap().contains(r#""requestId":"p1""#));
    assert_eq!(table.take(r#"{"id":"p1","result":{}}"#, None), Taken::Ours);
    assert_eq!(table.busy(), 0);
}

#[tokio::test]
async fn an_answered_call_is_not_cancelled() {
    let (table, mut sent) = table();
    let call = table.open("p1".to_owned(), None).unwrap();
    table.take(r#"{"id":"p1","result":null}"#, None);
    drop(call);
    assert!(sent.try_recv().is_err());
}

#[tokio::test]
async fn when_the_transport_ends_open_and_later_calls_fail() {
    let (table, _sent) = table();
    let call = table.open("p1".to_owned(), None).unwrap();
    let (up, _ups) = mpsc::channel(8);
    table.end("the process died");
    assert_eq!(settle(call, &up).await.unwrap_err(), Ended("the process died".to_owned()).into());
    assert_eq!(table.open("p2".to_owned(), None).unwrap_err(), Ended("the process died".to_owned()));
}

#[tokio::test]
async fn a_question_goes_to_the_only_open_call_of_one_client_and_its_answer_back() {
    let (table, mut sent) = table();
    table.serve_one_client();
    let call = table.open("p1".to_owned(), None).unwrap();
    let (up, mut ups) = mpsc::channel(8);
    table.take(r#"{"id":41,"method":"elicitation/create","params":{"n":2.50}}"#, None);
    let answering = async {
        let Some(Up::Ask { params, reply, .. }) = ups.recv().await else { panic!("no question") };
        assert_eq!(params.unwrap().get(), r#"{"n":2.50}"#);
        reply.send(Ok(text(r#"{"n":12345678901234567890123}"#))).unwrap();
        let answer = sent.recv().await.unwrap();
        assert_eq!(answer, r#"{"jsonrpc":"2.0","id":41,"result":{"n":12345678901234567890123}}"#);
        table.take(r#"{"id":"p1","result":{}}"#, None);
    };
    let (settled, ()) = tokio::join!(settle(call, &up), answering);
    assert!(settled.unwrap().is_ok());
}

#[tokio::test]
async fn a_question_that_could_be_anybody_s_is_refused_though_only_one_calls() {
    let (table, mut sent) = table();
    let _call = table.open("p1".to_owned(), None).unwrap();
    assert_eq!(table.take(r#"{"id":41,"method":"roots/list"}"#, None), Taken::Ours);
    assert!(sent.recv().await.unwrap().contains("-32601"));
}

#[tokio::test]
async fn a_question_on_one_client_s_connection_goes_to_its_newest_call_or_waits_for_the_first() {
    let (table, mut sent) = table();
    table.serve_one_client();
    let mut asking = table.asking();
    table.take(r#"{"id":40,"method":"roots/list"}"#, None);
    let one = table.open("p9".to_owned(), None).unwrap();
    let (up, mut ups) = mpsc::channel(8);
    let answering = async {
        let Some(Up::Ask { method, reply, .. }) = ups.recv().await else { panic!("no question") };
        assert_eq!((method.as_str(), *asking.borrow_and_update()), ("roots/list", 1));
        reply.send(Ok(text(r#"{"roots":[]}"#))).unwrap();
        assert!(sent.recv().await.unwrap().contains(r#""id":40,"result""#));
        table.take(r#"{"id":"p9","result":{}}"#, None);
    };
    let (settled, ()) = tokio::join!(settle(one, &up), answering);
    assert!(settled.unwrap().is_ok());
    assert_eq!(*asking.borrow_and_update(), 0);

    let (_older, newest) =
        (table.open("p9".to_owned(), None).unwrap(), table.open("p10".to_owned(), None).unwrap());
    table.take(r#"{"id":41,"method":"elicitation/create"}"#, None);
    let asked = async {
        let said = ups.recv().await;
        assert!(matches!(said, Some(Up::Ask { .. })), "{said:?}");
    };
    tokio::select! {
        settled = settle(newest, &up) => panic!("{settled:?}"),
        () = asked => {}
    }
}

#[tokio::test]
async fn what_is_rmcp_s_is_left_to_it() {
    let (table, _sent) = table();
    for rest in [
        r#"{"id":0,"result":{}}"#,
        r#"{"id":1,"method":"ping"}"#,
        r#"{"method":"notifications/tools/list_changed"}"#,
        "not json",
    ] {
        assert_eq!(table.take(rest, None), Taken::Rest, "{rest}");
    }
}

#[tokio::test]
async fn a_feed_that_ends_without_an_answer_is_silence() {
    let (table, _sent) = table();
    let call = table.open("p1".to_owned(), None).unwrap();
    let (up, _ups) = mpsc::channel(8);
    let silent = || Unanswered::from(Ended("silent".to_owned()));
    let outcome = call.settle(&up, async { Ok(()) }, silent).await;
    assert_eq!(outcome.unwrap_err(), silent());
}

#[tokio::test]
async fn what_is_no_answer_ends_the_call_it_names_and_no_other() {
    let (up, _ups) = mpsc::channel(8);
    for broken in [
        r#"{"jsonrpc":"2.0","id":"p1"}"#,
        r#"{"jsonrpc":"1.0","id":"p1","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"p1","result":{},"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"p1","result":{},"error":{"code":1,"message":""}}"#,
        r#"{"jsonrpc":"2.0","id":"p1","error":"no"}"#,
        r#"{"jsonrpc":"2.0","id":"p1","error":null}"#,
        r#"{"jsonrpc":"2.0","id":"p1","method":[]}"#,
    ] {
        let counts = Arc::<Rejections>::default();
        let table = Arc::new(Table::new(Outbox::new().0).counting(counts.clone()));
        let call = table.open("p1".to_owned(), None).unwrap();
        let other = table.open("p2".to_owned(), None).unwrap();
        assert_eq!(table.take(broken, None), Taken::Ours, "{broken}");
        assert!(matches!(settle(call, &up).await, Err(Unanswered::Malformed(_))), "{broken}");
        assert_eq!(table.take(r#"{"jsonrpc":"2.0","id":"p2","result":{}}"#, None), Taken::Ours);
        assert!(settle(other, &up).await.is_ok(), "{broken}");
        assert_eq!(counts.of(Reason::WrongShape), 1, "{broken}");
    }
}

#[test]
fn what_belongs_to_nobody_is_counted() {
    let counts = Arc::<Rejections>::default();
    let table = Arc::new(Table::new(Outbox::new().0).counting(counts.clone()));
    let given = table.token();
    for (text, reason, times) in [
        ("no JSON", Reason::InvalidJson, 1),
        ("5", Reason::WrongShape, 1),
        ("{}", Reason::WrongShape, 2),
        (r#"{"jsonrpc":"2.0","id":"p7","result":{}}"#, Reason::UnknownId, 1),
        (r#"{"jsonrpc":"2.0","id":"x","result":{}}"#, Reason::UnknownId, 2),
        (r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#, Reason::UnknownId, 3),
    ] {
        assert_eq!(table.take(text, None), Taken::Rest, "{text}");
        assert_eq!(counts.of(reason), times, "{text}");
    }
    let late = format!(r#"{{"jsonrpc":"2.0","id":"{given}","result":{{}}}}"#);
    assert_eq!(table.take(&late, None), Taken::Ours, "the call is over, but it was ours");
    assert_eq!(table.take(r#"{"jsonrpc":"2.0","id":0,"result":{}}"#, None), Taken::Rest);
    assert_eq!(counts.of(Reason::UnknownId), 3);
}

#[tokio::test]
async fn who_asks_without_end_and_reads_no_answer_is_left() {
    let (table, mut sent) = table();
    for _ in 0..2_000 {
        table.take(r#"{"jsonrpc":"2.0","id":"x","method":"sampling/createMessage"}"#, None);
    }
    assert!(table.choked().is_cancelled() && table.has_ended());
    let mut letters = 0;
    while sent.try_recv().is_ok() {
        letters += 1;
    }
    assert_eq!(letters, 1_024);
    let long =
        format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"sampling/createMessage"}}"#, "x".repeat(2_000));
    table.take(&long, None);
    assert!(sent.try_recv().is_err(), "an id is repeated only while it is short");
}

#[tokio::test]
async fn what_names_no_call_goes_to_nobody_once_two_callers_have_used_the_connection() {
    let (table, _sent) = table();
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"of somebody"}}"#;
    let (up, mut ups) = mpsc::channel(8);
    table.serve("ann");
    let call = table.open("p1".to_owned(), None).unwrap();
    table.take(log, None);
    table.take(r#"{"jsonrpc":"2.0","id":"p1","result":{}}"#, None);
    settle(call, &up).await.unwrap().unwrap();
    assert!(matches!(ups.try_recv(), Ok(Up::Note { .. })), "ann is alone");

    table.serve("ann");
    table.serve("bob");
    let call = table.open("p2".to_owned(), None).unwrap();
    table.take(log, None);
    table.take(r#"{"jsonrpc":"2.0","id":"p2","result":{}}"#, None);
    settle(call, &up).await.unwrap().unwrap();
    assert!(ups.try_recv().is_err(), "it may be of ann");
}

#[tokio::test]
async fn what_waits_for_a_slow_client_has_a_limit_in_bytes() {
    let (table, _sent) = table();
    let call = table.open("p1".to_owned(), None).unwrap();
    let (up, mut ups) = mpsc::channel(64);
    let large = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":"{}"}}}}"#,
        "x".repeat(5 * 1024 * 1024)
    );
    for _ in 0..5 {
        table.take(&large, Some("p1"));
    }
    table.take(r#"{"jsonrpc":"2.0","id":"p1","result":{}}"#, None);
    settle(call, &up).await.unwrap().unwrap();
    let mut passed = 0;
    while ups.try_recv().is_ok() {
        passed += 1;
    }
    assert_eq!(passed, 1);
}
