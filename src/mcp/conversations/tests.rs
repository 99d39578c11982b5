#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures::{Stream, StreamExt};
use rmcp::{
    model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage, ServerResult},
    transport::{
        Transport,
        streamable_http_server::session::{ServerSseMessage, SessionId, SessionManager},
    },
};
use serde_json::json;

use super::{Conversations, transport::Door};

const LONG: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_secs(10);

fn said(message: serde_json::Value) -> ClientJsonRpcMessage {
    serde_json::from_value(message).unwrap()
}

fn ping(id: i64) -> ClientJsonRpcMessage {
    said(json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }))
}

fn answer(id: i64) -> ServerJsonRpcMessage {
    ServerJsonRpcMessage::response(ServerResult::empty(()), RequestId::Number(id))
}

fn changed() -> ServerJsonRpcMessage {
    serde_json::from_value(json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" })).unwrap()
}

async fn begun(idle: Duration) -> (Conversations, SessionId, Door) {
    let conversations = Conversations::new(idle);
    let (id, door) = conversations.create_session().await.unwrap();
    (conversations, id, door)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.unwrap()
}

/// The ids of all events until the stream ends, and whether each holds a message.
async fn all(stream: impl Stream<Item = ServerSseMessage>) -> Vec<(String, bool)> {
    let events = stream.map(|event| (event.event_id.unwrap(), event.message.is_some()));
    soon(events.collect()).await
}

fn events(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
    expected.iter().map(|(id, message)| ((*id).to_owned(), *message)).collect()
}

#[tokio::test]
async fn the_first_answer_is_that_to_initialize() {
    let (conversations, id, mut door) = begun(LONG).await;
    let (greeted, ()) = tokio::join!(conversations.initialize_session(&id, ping(0)), async {
        assert!(soon(door.receive()).await.is_some());
        door.send(answer(0)).await.unwrap();
    });
    assert!(matches!(greeted.unwrap(), ServerJsonRpcMessage::Response(_)));
}

#[tokio::test]
async fn an_answer_ends_the_stream_of_its_request_and_another_can_come_meanwhile() {
    let (conversations, id, mut door) = begun(LONG).await;
    let one = conversations.create_stream(&id, ping(1)).await.unwrap();
    let two = conversations.create_stream(&id, ping(2)).await.unwrap();
    for _ in 0..2 {
        assert!(soon(door.receive()).await.is_some());
    }
    door.send(answer(2)).await.unwrap();
    door.send(answer(1)).await.unwrap();
    let (one, two) = (all(one).await, all(two).await);
    assert_eq!((one.len(), two.len()), (2, 2), "{one:?} {two:?}");
    assert!(one[0].0.starts_with("0/") && !one[0].1 && one[1].0.starts_with("1/") && one[1].1, "{one:?}");
    assert_ne!(one[0].0, two[0].0);
}

#[tokio::test]
async fn a_client_that_went_before_its_answer_gets_it_when_it_comes_back() {
    let (conversations, id, mut door) = begun(LONG).await;
    let mut stream = Box::pin(conversations.create_stream(&id, ping(1)).await.unwrap());
    let first = soon(stream.next()).await.unwrap().event_id.unwrap();
    drop(stream);
    assert!(soon(door.receive()).await.is_some());
    door.send(answer(1)).await.unwrap();
    let rest = all(conversations.resume(&id, first.clone()).await.unwrap()).await;
    assert_eq!(rest, events(&[(&first.replacen('0', "1", 1), true)]));
    assert!(conversations.resume(&id, first).await.is_err(), "it has been read");
}

#[tokio::test]
async fn a_request_that_is_taken_back_ends_without_an_answer() {
    let (conversations, id, mut door) = begun(LONG).await;
    let stream = conversations.create_stream(&id, ping(1)).await.unwrap();
    let back = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    conversations.accept_message(&id, said(back)).await.unwrap();
    assert_eq!(all(stream).await.len(), 1);
    for _ in 0..2 {
        assert!(soon(door.receive()).await.is_some());
    }
}

#[tokio::test]
async fn one_stream_beside_requests_hears_everything_and_a_second_nothing() {
    let (conversations, id, mut door) = begun(LONG).await;
    door.send(changed()).await.unwrap();
    let mut first = Box::pin(conversations.create_standalone_stream(&id).await.unwrap());
    let second = conversations.create_standalone_stream(&id).await.unwrap();
    door.send(changed()).await.unwrap();
    for expected in ["1", "2"] {
        assert_eq!(soon(first.next()).await.unwrap().event_id.unwrap(), expected);
    }
    drop(first);
    door.send(changed()).await.unwrap();
    let mut again = Box::pin(conversations.resume(&id, "1".to_owned()).await.unwrap());
    for expected in ["2", "3"] {
        assert_eq!(soon(again.next()).await.unwrap().event_id.unwrap(), expected);
    }
    conversations.close_session(&id).await.unwrap();
    assert!(all(again).await.is_empty() && all(second).await.is_empty());
    assert!(soon(door.receive()).await.is_none());
    assert!(conversations.create_stream(&id, ping(4)).await.is_err());
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends_and_one_that_waits_for_an_answer_does_not() {
    let (_conversations, _, mut door) = begun(Duration::from_millis(20)).await;
    assert!(soon(door.receive()).await.is_none());

    let (conversations, id, mut door) = begun(Duration::from_millis(20)).await;
    let stream = conversations.create_stream(&id, ping(1)).await.unwrap();
    assert!(soon(door.receive()).await.is_some());
    let waited = tokio::time::timeout(Duration::from_millis(200), door.receive()).await;
    assert!(waited.is_err(), "it waits for its answer");
    door.send(answer(1)).await.unwrap();
    assert_eq!(all(stream).await.len(), 2);
    assert!(soon(door.receive()).await.is_none());
}
