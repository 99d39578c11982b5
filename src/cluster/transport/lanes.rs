//! As few connections as carry what is under way: a lane is one HTTP/2 connection, or a pool of HTTP/1.1 ones.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::future::{self, Either};
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{
        Client, Error,
        connect::{CaptureConnection, Connected, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use kube::client::Body;

use super::dial::Dial;

/// Requests under way on one lane. API servers allow 1,000 or 100 on a connection, and so do most that stand before
/// them.
const FULL: usize = 80;
/// An unused connection is closed after this.
const IDLE: Duration = Duration::from_secs(90);
/// Bytes that may lie unread of one answer: of many calls at once, or of streams whose reader is slow.
const WINDOW: u32 = 512 << 10;
/// A connection that answers no ping for so long leads nowhere.
const PONG: Duration = Duration::from_secs(5);

/// Of silence until a ping, where what is asked is answered at once. With [`PONG`] less than the time of a request, so
/// that it learns of a dead connection while it can still be sent over another.
pub(super) const PING_OF_CALLS: Duration = Duration::from_secs(2);
/// The same where silence is usual.
pub(super) const PING_OF_STREAMS: Duration = Duration::from_secs(4);

/// All lanes to one cluster for one kind of traffic. There are as many as what was once under way needed.
pub(super) struct Lanes {
    dial: Dial,
    /// Of silence until a ping.
    ping: Duration,
    /// Each request under way holds a clone of its lane.
    lanes: Mutex<Vec<Arc<Lane>>>,
}

struct Lane {
    client: Client<Dial, Body>,
    /// Held by a request until it has a connection, so that those that come meanwhile use that one.
    door: tokio::sync::Mutex<()>,
    /// The server speaks HTTP/1.1: each request has a connection for itself, and nobody waits for another's.
    is_single: AtomicBool,
}

impl Lanes {
    pub(super) fn new(dial: Dial, ping: Duration) -> Self {
        Self { dial, ping, lanes: Mutex::default() }
    }

    /// The request may be sent twice: when its connection breaks before it is answered.
    ///
    /// # Errors
    /// When no connection can be had, or the second breaks as well.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Held>, Error> {
        let again = copy(&request);
        match (self.send_once(request).await, again) {
            (Err(error), Some(again)) if !error.is_connect() => {
                tracing::debug!(%error, "a connection to the API server broke: what was asked is asked again");
                self.send_once(again).await
            }
            (answer, _) => answer,
        }
    }

    async fn send_once(&self, request: Request<Body>) -> Result<Response<Held>, Error> {
        let lane = self.lane();
        let response = lane.send(request).await?;
        Ok(response.map(|body| Held { body, _lane: lane }))
    }

    /// The first that has room; a new one where none has.
    fn lane(&self) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // One clone is the list's own.
        if let Some(lane) = lanes.iter().find(|lane| Arc::strong_count(lane) <= FULL) {
            return lane.clone();
        }
        let lane = Arc::new(Lane::new(client(self.dial.clone(), self.ping)));
        lanes.push(lane.clone());
        lane
    }
}

fn client(dial: Dial, ping: Duration) -> Client<Dial, Body> {
    let streams = u32::try_from(FULL).unwrap_or(u32::MAX);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_initial_stream_window_size(WINDOW)
        .http2_initial_connection_window_size(WINDOW.saturating_mul(streams))
        .http2_keep_alive_interval(ping)
        .http2_keep_alive_timeout(PONG)
        .http2_keep_alive_while_idle(true)
        .build(dial)
}

impl Lane {
    fn new(client: Client<Dial, Body>) -> Self {
        Self { client, door: tokio::sync::Mutex::default(), is_single: AtomicBool::default() }
    }

    async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, Error> {
        if self.is_single.load(Ordering::Relaxed) {
            return self.client.request(request).await;
        }
        let door = self.door.lock().await;
        let connection = capture_connection(&mut request);
        let answer = pin!(self.client.request(request));
        let answer = match future::select(answer, pin!(self.entered(connection))).await {
            Either::Left((answer, _)) => return answer,
            Either::Right(((), answer)) => answer,
        };
        drop(door);
        answer.await
    }

    /// Waits until a request has its connection, and remembers what that one speaks.
    async fn entered(&self, mut connection: CaptureConnection) {
        let is_h2 = connection.wait_for_connection_metadata().await.as_ref().map(Connected::is_negotiated_h2);
        match is_h2 {
            Some(is_h2) => self.is_single.store(!is_h2, Ordering::Relaxed),
            // There is none, and the request says why.
            None => future::pending().await,
        }
    }
}

/// `None` when its body cannot be had twice.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// The body of an answer, which keeps its place in a lane.
pub(super) struct Held {
    body: Incoming,
    _lane: Arc<Lane>,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
