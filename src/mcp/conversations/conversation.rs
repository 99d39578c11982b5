//! One session: what its client said and rmcp has not read yet, and its streams.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::Either;
use rmcp::{
    model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage},
    transport::streamable_http_server::session::ServerSseMessage,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Closed, Standalone,
    log::{EventId, Log},
    reader::{Reader, Shadow},
    routes::{self, Course, Routes},
    transport::Door,
};

/// Messages of the client that wait for rmcp. They are boxed: a channel makes room for 32 at once.
const WAITING: usize = 8;

/// After which a client whose stream broke may come back for the rest.
const RETRY: Duration = Duration::from_secs(3);

/// How long an answer that was not read waits for its client.
const KEPT: Duration = Duration::from_secs(60);

/// Streams beside the first that only show that the session lives; the oldest ends for the next.
const SHADOWS: usize = 32;

pub(super) struct Conversation {
    inbox: mpsc::Sender<Box<ClientJsonRpcMessage>>,
    state: Mutex<State>,
    /// Rings when the session has ended, or there is something to be thrown away later.
    changed: Notify,
    idle: Duration,
}

struct State {
    /// Messages beside all requests.
    beside: Log,
    requests: HashMap<u64, Answering>,
    routes: Routes,
    /// Number of the next stream, and of the next reader.
    next: u64,
    greeting: Option<oneshot::Sender<ServerJsonRpcMessage>>,
    shadows: VecDeque<CancellationToken>,
    /// When the client was last heard or read something.
    heard: Instant,
    ended: bool,
}

/// The stream of one request.
struct Answering {
    log: Log,
    /// When its end was said, if nobody read it.
    left: Option<Instant>,
}

/// What rmcp's side has to do next.
pub(super) enum Next {
    /// Look again then, or when the bell rings.
    Until(Instant),
    End,
}

impl Conversation {
    pub(super) fn begin(idle: Duration) -> (Arc<Self>, Door) {
        let (inbox, messages) = mpsc::channel(WAITING);
        let state = State {
            // rmcp opens the stream with an event 0 of its own.
            beside: Log::new(None, 1),
            requests: HashMap::new(),
            routes: Routes::default(),
            next: 0,
            greeting: None,
            shadows: VecDeque::new(),
            heard: Instant::now(),
            ended: false,
        };
        let conversation = Arc::new(Self { inbox, state: Mutex::new(state), changed: Notify::new(), idle });
        (conversation.clone(), Door::new(conversation, messages))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same while the session is open; its client has been heard.
    fn heard(&self) -> Result<MutexGuard<'_, State>, Closed> {
        let mut state = self.state();
        if state.ended {
            return Err(Closed::NotOpen);
        }
        state.heard = Instant::now();
        Ok(state)
    }

    async fn pass(&self, message: ClientJsonRpcMessage) -> Result<(), Closed> {
        self.inbox.send(Box::new(message)).await.map_err(|_| Closed::NotOpen)
    }

    /// The client's first message, and the answer to it.
    pub(super) async fn greet(&self, message: ClientJsonRpcMessage) -> Result<ServerJsonRpcMessage, Closed> {
        let (answer, answered) = oneshot::channel();
        self.heard()?.greeting = Some(answer);
        self.pass(message).await?;
        answered.await.map_err(|_| Closed::NotOpen)
    }

    pub(super) async fn request(self: Arc<Self>, message: ClientJsonRpcMessage) -> Result<Reader, Closed> {
        let named = routes::named(&message);
        let (stream, number) = {
            let mut state = self.heard()?;
            let (stream, number) = (state.number(), state.number());
            let mut log = Log::new(Some(stream), 0);
            log.push(ServerSseMessage::retry(RETRY));
            log.attach(number);
            state.requests.insert(stream, Answering { log, left: None });
            if let Some((id, token)) = named {
                state.routes.open(stream, id, token);
            }
            (stream, number)
        };
        // Whatever becomes of it, the stream goes with its reader.
        let reader = Reader::new(self.clone(), Some(stream), number);
        self.pass(message).await?;
        Ok(reader)
    }

    /// A message that has no answer.
    pub(super) async fn accept(&self, message: ClientJsonRpcMessage) -> Result<(), Closed> {
        {
            let mut state = self.heard()?;
            if let Some(stream) =
                routes::taken_back(&message).and_then(|request: &RequestId| state.routes.of(request))
            {
                state.close(stream);
            }
        }
        self.pass(message).await
    }

    /// The stream beside all requests. There is one; more of them hear nothing.
    pub(super) fn listen(self: Arc<Self>) -> Standalone {
        self.beside(None)
    }

    fn beside(self: Arc<Self>, after: Option<u64>) -> Standalone {
        let mut state = self.state();
        state.heard = Instant::now();
        if state.beside.is_read() || state.ended {
            return Either::Right(state.shadow());
        }
        let number = state.number();
        if !after.is_some_and(|after| state.beside.attach_after(number, after)) {
            state.beside.attach(number);
        }
        drop(state);
        Either::Left(Reader::new(self, None, number))
    }

    /// What followed that event.
    pub(super) fn resume(self: Arc<Self>, event: EventId) -> Result<Standalone, Closed> {
        let Some(stream) = event.stream else { return Ok(self.beside(Some(event.index))) };
        let number = {
            let mut state = self.heard()?;
            let number = state.number();
            let answering = state.requests.get_mut(&stream).ok_or(Closed::NoSuchEvent)?;
            if !answering.log.attach_after(number, event.index) {
                return Err(Closed::NoSuchEvent);
            }
            answering.left = None;
            number
        };
        Ok(Either::Left(Reader::new(self, Some(stream), number)))
    }

    /// Says something to the client. Its stream, where that may be full.
    pub(super) fn say(&self, message: ServerJsonRpcMessage) -> Option<Option<u64>> {
        let mut state = self.state();
        if let Some(greeting) = state.greeting.take() {
            // A client that has gone meanwhile does not hear it.
            let _ = greeting.send(message);
            return None;
        }
        let course = state.routes.course(&message);
        let event = ServerSseMessage::from_message(message);
        match course {
            Course::Nowhere => None,
            Course::Beside => {
                state.beside.push(event);
                Some(None)
            }
            Course::Request { stream, ends } => {
                state.requests.get_mut(&stream)?.log.push(event);
                if ends {
                    state.close(stream);
                }
                Some(Some(stream))
            }
        }
    }

    pub(super) fn poll_room(&self, stream: Option<u64>, cx: &Context<'_>) -> Poll<()> {
        match self.state().log(stream) {
            Some(log) => log.poll_room(cx),
            None => Poll::Ready(()),
        }
    }

    pub(super) fn poll_next(
        &self,
        stream: Option<u64>,
        number: u64,
        cx: &Context<'_>,
    ) -> Poll<Option<ServerSseMessage>> {
        let mut state = self.state();
        let Some(log) = state.log(stream) else { return Poll::Ready(None) };
        let next = log.poll_next(number, cx);
        if matches!(next, Poll::Ready(Some(_))) {
            state.heard = Instant::now();
        }
        next
    }

    pub(super) fn detach(&self, stream: Option<u64>, number: u64) {
        let mut state = self.state();
        let Some(log) = state.log(stream) else { return };
        if !log.detach(number) {
            return;
        }
        if let Some(stream) = stream {
            state.leave(stream);
            // Somebody has to throw it away.
            self.changed.notify_one();
        }
    }

    /// Ends all streams; rmcp reads nothing more.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.greeting = None;
        state.beside.end();
        state.shadows.drain(..).for_each(|shadow| shadow.cancel());
        for answering in state.requests.values_mut() {
            answering.log.end();
        }
        drop(state);
        self.changed.notify_one();
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Throws away what nobody came for.
    pub(super) fn tidy(&self, now: Instant) -> Next {
        let mut state = self.state();
        if state.ended {
            return Next::End;
        }
        let before = state.requests.len();
        state.requests.retain(|_, answering| answering.left.is_none_or(|left| now < left + KEPT));
        if state.requests.is_empty() && before > 0 {
            state.requests = HashMap::new();
        }
        // A client that waits for an answer need not say so.
        if !state.routes.is_empty() {
            state.heard = state.heard.max(now.checked_sub(self.idle / 2).unwrap_or(now));
        }
        let over = state.heard + self.idle;
        if over <= now {
            tracing::debug!(idle = ?self.idle, "a session was idle for too long and ends");
            return Next::End;
        }
        let thrown = state.requests.values().filter_map(|answering| answering.left).min();
        Next::Until(thrown.map_or(over, |left| over.min(left + KEPT)))
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn log(&mut self, stream: Option<u64>) -> Option<&mut Log> {
        match stream {
            None => Some(&mut self.beside),
            Some(stream) => self.requests.get_mut(&stream).map(|answering| &mut answering.log),
        }
    }

    /// Nothing more comes on the stream of a request.
    fn close(&mut self, stream: u64) {
        self.routes.close(stream);
        if let Some(answering) = self.requests.get_mut(&stream) {
            answering.log.end();
        }
        self.leave(stream);
    }

    /// Notes whether the stream of a request was left, and forgets it when nobody can want it.
    fn leave(&mut self, stream: u64) {
        let Some(answering) = self.requests.get_mut(&stream) else { return };
        if answering.log.is_done() {
            self.requests.remove(&stream);
        } else if answering.log.is_over() && !answering.log.is_read() {
            answering.left.get_or_insert_with(Instant::now);
        }
        if self.requests.is_empty() {
            self.requests = HashMap::new();
        }
    }

    fn shadow(&mut self) -> Shadow {
        let shadow = CancellationToken::new();
        if self.ended {
            shadow.cancel();
        } else {
            self.shadows.retain(|shadow| !shadow.is_cancelled());
            if self.shadows.len() >= SHADOWS
                && let Some(oldest) = self.shadows.pop_front()
            {
                oldest.cancel();
            }
            self.shadows.push_back(shadow.clone());
        }
        Shadow::new(shadow)
    }
}
