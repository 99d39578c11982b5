//! What the others ask of this replica: routes of the health port.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    frames::{Frame, Head, LARGEST, Pen},
    letters::{Letters, Opened},
    others::{Desks, Errand, Greeting, HELLO, Hello, LETTER, LISTS, REQUEST},
};
use crate::{
    answer::Sealer,
    mcp::{BackDoor, sessions::Parcel},
};

/// How often a replica says that it still works at an answer.
const BEAT: Duration = Duration::from_secs(15);

/// Longest request body, sealed and in base64: twice what the front door takes.
const LONGEST_BODY: usize = 128 * 1024 * 1024;

/// Lines that wait for the other replica.
const WAITING: usize = 4;

/// Takes requests that another replica has let in. Cheap to clone.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

struct Inner {
    name: String,
    desks: Desks,
    house: OnceLock<House>,
}

struct House {
    door: BackDoor,
    lists: Lists,
}

/// What this process remembers of servers, as text for another replica.
pub type Lists = Box<dyn Fn() -> Vec<u8> + Send + Sync>;

impl Desk {
    /// As [`super::Replica::new`].
    pub fn new(name: String, sealer: &Sealer) -> Self {
        Self(Arc::new(Inner { name, desks: Desks::new(sealer), house: OnceLock::new() }))
    }

    /// Where requests go from now on. Once; a second time changes nothing.
    pub fn plug(&self, door: BackDoor, lists: Lists) {
        let _ = self.0.house.set(House { door, lists });
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route(REQUEST, post(request))
            .route(HELLO, post(hello))
            .route(LISTS, post(lists))
            .with_state(self.clone())
    }
}

/// The letter in the headers; opened before a body is read.
fn letter<T: DeserializeOwned>(letters: &Letters, headers: &HeaderMap) -> Result<Opened<T>, Box<Response>> {
    let sealed = headers.get(LETTER).and_then(|letter| letter.to_str().ok()).unwrap_or_default();
    letters.open(sealed, Timestamp::now()).map_err(|why| {
        tracing::warn!(why, "a letter of another replica is refused");
        Box::new((StatusCode::FORBIDDEN, why).into_response())
    })
}

async fn hello(State(Desk(desk)): State<Desk>, headers: HeaderMap) -> Response {
    let Opened { number, content: Hello { session } } = match letter(&desk.desks.hellos, &headers) {
        Ok(opened) => opened,
        Err(refusal) => return *refusal,
    };
    let door = desk.house.get().map(|house| &house.door);
    let greeting = Greeting {
        name: desk.name.clone(),
        has_made: door.zip(session.as_deref()).is_some_and(|(door, session)| door.has_made(session)),
        // What does not serve yet takes over nothing.
        is_leaving: door.is_none_or(BackDoor::is_leaving),
    };
    sealed(&desk.desks.hellos, &number, "greeting", serde_json::to_vec(&greeting).unwrap_or_default())
}

async fn lists(State(Desk(desk)): State<Desk>, headers: HeaderMap) -> Response {
    let Opened { number, content: Hello { session: _ } } = match letter(&desk.desks.hellos, &headers) {
        Ok(opened) => opened,
        Err(refusal) => return *refusal,
    };
    let Some(house) = desk.house.get() else { return not_yet() };
    sealed(&desk.desks.hellos, &number, "lists", (house.lists)())
}

fn sealed(letters: &Letters, number: &str, part: &str, plain: Vec<u8>) -> Response {
    match letters.seal_part(number, part, &plain) {
        Ok(sealed) => sealed.into_response(),
        Err(error) => {
            tracing::error!(%error, part, "another replica gets no answer");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn not_yet() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "this replica does not serve yet\n").into_response()
}

async fn request(State(Desk(desk)): State<Desk>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let letters = &desk.desks.requests;
    let Opened { number, content: Errand { to, cover } } = match letter(letters, &parts.headers) {
        Ok(opened) => opened,
        Err(refusal) => return *refusal,
    };
    if to != desk.name {
        return (StatusCode::MISDIRECTED_REQUEST, "this is another process\n").into_response();
    }
    let Some(door) = desk.house.get().map(|house| house.door.clone()) else { return not_yet() };
    let Ok(body) = Limited::new(body, LONGEST_BODY).collect().await else {
        return (StatusCode::BAD_REQUEST, "the body is too long or was cut off\n").into_response();
    };
    let body = body.to_bytes();
    let body =
        std::str::from_utf8(&body).ok().and_then(|sealed| letters.open_part(&number, "body", sealed).ok());
    let Some(body) = body else {
        return (StatusCode::FORBIDDEN, "the body is not the one of the letter\n").into_response();
    };
    let parcel = Parcel { cover, body: body.into() };
    let pen = Pen::new(letters.clone(), number);
    let (to, lines) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        // The other replica's client may leave: then nobody wants the answer.
        tokio::select! {
            () = to.closed() => {}
            _ = write(door, parcel, pen, &to) => {}
        }
    });
    Response::new(Body::from_stream(ReceiverStream::new(lines).map(Ok::<_, Infallible>)))
}

/// Nothing when nobody reads any more, or the answer broke off: without its end it is not taken for whole.
async fn write(door: BackDoor, parcel: Parcel, mut pen: Pen, to: &mpsc::Sender<Bytes>) -> Option<()> {
    let mut send = async |frame: Frame| to.send(pen.line(&frame).ok()?).await.ok();
    let mut answer = std::pin::pin!(door.answer(parcel));
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer,
            () = tokio::time::sleep(BEAT) => send(Frame::Beat).await?,
        }
    };
    let text = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers = answer.headers().iter().filter_map(text).collect();
    send(Frame::Head(Head { status: answer.status().as_u16(), headers })).await?;
    let mut body = answer.into_body().into_data_stream();
    loop {
        tokio::select! {
            piece = body.next() => match piece {
                Some(Ok(piece)) => {
                    for start in (0..piece.len()).step_by(LARGEST) {
                        let end = piece.len().min(start + LARGEST);
                        send(Frame::Data(piece.slice(start..end))).await?;
                    }
                }
                Some(Err(_)) => return None,
                None => return send(Frame::End).await,
            },
            () = tokio::time::sleep(BEAT) => send(Frame::Beat).await?,
        }
    }
}
