//! JSON-RPC as lines of text: the stdio transport, for both roles of rmcp.
//!
//! One task owns the writing end, so a line is written whole even when the one who wanted it written is gone,
//! and other text can be written beside rmcp's through a [`Pen`].

use std::{borrow::Cow, collections::HashMap, future::Future, io, marker::PhantomData, sync::Arc};

use rmcp::{
    model::{GetExtensions, JsonRpcMessage},
    service::{RxJsonRpcMessage, ServiceRole, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::mpsc,
    task::JoinHandle,
};

use super::{
    RpcError,
    carrier::{self, Wrapped},
    intake::{self, Malformed},
    rejected::{Reason, Rejections},
    text::{Fields, Head, Message},
};

/// Longest message that is read, in bytes, unless another limit is given: 64 MiB.
pub const DEFAULT_LIMIT: usize = 64 * 1024 * 1024;
/// How much of a message that is too long is kept, to say whose it was.
const KEPT: usize = 4 * 1024;
/// In the `_meta` of a modern request.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Lines that wait to be written before writers wait.
const WAITING: usize = 64;

/// Sees every incoming message before rmcp does.
pub trait Tap: Send + 'static {
    /// `true`: the message is taken, rmcp does not see it. `line` is text, without its newline.
    fn take(&mut self, line: &str) -> bool;

    /// A line was skipped that is not even text.
    fn malformed(&mut self) {}

    /// A message longer than the limit was dropped; `start` is its beginning.
    fn oversized(&mut self, start: &str) {
        let _ = start;
    }

    /// Nothing comes any more: whoever waits for an answer must be told.
    fn ended(&mut self) {}
}

/// No tap.
impl Tap for () {
    fn take(&mut self, _line: &str) -> bool {
        false
    }
}

enum Stroke {
    Line(String),
    Close,
}

/// Writes lines beside rmcp's. Cheap to clone; dropping a write that waits writes nothing.
#[derive(Clone, Debug)]
pub struct Pen(mpsc::Sender<Stroke>);

impl std::fmt::Debug for Stroke {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(f, "{} bytes", line.len()),
            Self::Close => f.write_str("close"),
        }
    }
}

impl Pen {
    /// Writes to `writer` from a task of its own, which ends when the last clone of this pen is dropped. Must be
    /// called inside a Tokio runtime.
    pub fn over<W: AsyncWrite + Send + Unpin + 'static>(writer: W) -> (Self, JoinHandle<()>) {
        let (pen, strokes) = mpsc::channel(WAITING);
        (Self(pen), tokio::spawn(write_all(writer, strokes)))
    }

    /// Queues one message; `text` is JSON without line breaks.
    ///
    /// # Errors
    /// When the other side or this one has closed the pipe.
    pub async fn write(&self, text: String) -> io::Result<()> {
        self.0.send(Stroke::Line(text)).await.map_err(|_| closed())
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the pipe is closed")
}

/// A pair of pipes as an rmcp transport. Made inside a Tokio runtime.
pub struct Lines<Role: ServiceRole, R, T = ()> {
    reader: BufReader<R>,
    /// The part of a line read so far: `receive` is dropped and called again by rmcp.
    line: Vec<u8>,
    discarding: bool,
    ended: bool,
    limit: usize,
    pen: Pen,
    writer: Option<JoinHandle<()>>,
    tap: T,
    carrying: bool,
    /// Whether rmcp knows by now which lifecycle this is. Before that it takes nothing but requests.
    begun: bool,
    /// Requests to the other side that are not answered yet, and whether rmcp made them on its own: their answers go to
    /// it as they are.
    asked: HashMap<String, bool>,
    rejections: Arc<Rejections>,
    role: PhantomData<fn() -> Role>,
}

impl<Role: ServiceRole, R: AsyncRead + Send + Unpin + 'static> Lines<Role, R> {
    /// For a side whose messages rmcp must not type: all but lifecycle goes through [carriers](carrier).
    pub fn carrying<W: AsyncWrite + Send + Unpin + 'static>(reader: R, writer: W) -> Self {
        Self::new(reader, writer, (), true)
    }
}

impl<Role: ServiceRole, R: AsyncRead + Send + Unpin + 'static, T: Tap> Lines<Role, R, T> {
    /// For a side where rmcp only opens and keeps the connection: what `tap` leaves goes to rmcp as it is.
    pub fn tapped<W: AsyncWrite + Send + Unpin + 'static>(reader: R, writer: W, tap: T) -> Self {
        Self::new(reader, writer, tap, false)
    }

    fn new<W: AsyncWrite + Send + Unpin + 'static>(reader: R, writer: W, tap: T, carrying: bool) -> Self {
        let (pen, writer) = Pen::over(writer);
        Self {
            reader: BufReader::new(reader),
            line: Vec::new(),
            discarding: false,
            ended: false,
            limit: DEFAULT_LIMIT,
            pen,
            writer: Some(writer),
            tap,
            carrying,
            begun: false,
            asked: HashMap::new(),
            rejections: Arc::default(),
            role: PhantomData,
        }
    }

    /// Bytes of one message that are read at most; longer ones are dropped with a warning and an error answer.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Counts the messages of the other side that are not taken.
    #[must_use]
    pub fn counting(mut self, rejections: Arc<Rejections>) -> Self {
        self.rejections = rejections;
        self
    }

    /// To write beside rmcp.
    pub fn pen(&self) -> Pen {
        self.pen.clone()
    }

    /// The next whole line, `None` at the end. Dropping it loses nothing: what was read stays in `self.line`.
    async fn next_line(&mut self) -> Option<Line> {
        loop {
            let available = match self.reader.fill_buf().await {
                Ok([]) => return None,
                Ok(available) => available,
                Err(error) => {
                    tracing::warn!(%error, "reading messages failed");
                    return None;
                }
            };
            let newline = available.iter().position(|byte| *byte == b'\n');
            let (used, whole) = newline.map_or((available.len(), false), |at| (at + 1, true));
            if !self.discarding {
                self.line.extend_from_slice(&available[..newline.unwrap_or(used)]);
            }
            self.reader.consume(used);
            if self.line.len() > self.limit {
                self.discarding = true;
                self.line.truncate(KEPT);
                self.line.shrink_to_fit();
            }
            if whole {
                let line = std::mem::take(&mut self.line);
                return Some(if std::mem::take(&mut self.discarding) {
                    Line::Oversized(String::from_utf8_lossy(&line).into_owned())
                } else {
                    Line::Whole(line)
                });
            }
        }
    }

    /// The message for rmcp in a line, if there is one.
    async fn read(&mut self, line: Vec<u8>) -> Option<RxJsonRpcMessage<Role>> {
        let Ok(line) = String::from_utf8(line) else {
            tracing::warn!("a line that is not UTF-8 was skipped: MCP messages are UTF-8");
            if self.carrying {
                self.refuse(Malformed::not_text()).await;
            } else {
                self.tap.malformed();
            }
            return None;
        };
        let line = line.trim();
        if line.is_empty() {
            return None;
        }
        if self.tap.take(line) {
            return None;
        }
        let start = || line.chars().take(80).collect::<String>();
        let head = if self.carrying {
            match intake::read(line) {
                Ok(head) => head,
                Err(malformed) => {
                    tracing::warn!(why = malformed.message, start = start(), "a message was refused");
                    self.refuse(malformed).await;
                    return None;
                }
            }
        } else {
            match Head::parse(line) {
                Ok(head) => head,
                // Servers print all sorts of things, and nobody answers them.
                Err(error) => {
                    tracing::warn!(%error, start = start(), "a line that is not a JSON-RPC message was skipped");
                    return None;
                }
            }
        };
        let wrapped = if self.carrying {
            if !self.is_expected(&head) {
                return None;
            }
            self.wrap(&head)
        } else {
            None
        };
        let (text, carried) = match wrapped {
            Some(Wrapped { text, carried }) => (Cow::Owned(text), carried),
            None => (Cow::Borrowed(line), None),
        };
        match serde_json::from_str::<RxJsonRpcMessage<Role>>(&text) {
            Ok(mut message) => {
                if let (JsonRpcMessage::Request(request), Some(carried)) = (&mut message, carried) {
                    request.request.extensions_mut().insert(carried);
                }
                Some(message)
            }
            Err(error) => {
                tracing::warn!(%error, "a message was refused: it is JSON but not a message of MCP");
                if self.carrying {
                    let is_request = head.message() == Some(Message::Request);
                    self.refuse(Malformed {
                        reason: Reason::WrongShape,
                        code: RpcError::INVALID_REQUEST,
                        id: head.id.filter(|_| is_request).map(|id| id.get().to_owned()),
                        message: "this is not a request of MCP".to_owned(),
                        is_answered: is_request,
                    })
                    .await;
                }
                None
            }
        }
    }

    /// Whether a message of a client comes when it may. What does not is dropped: rmcp would end over a notification before
    /// the handshake, and nobody waits for an answer that nobody asked for.
    fn is_expected(&mut self, head: &Head<'_>) -> bool {
        match head.message() {
            Some(Message::Request) => {
                self.begun = self.begun || begins(head);
                true
            }
            Some(Message::Response) => {
                let is_asked = head.id.is_some_and(|id| self.asked.contains_key(id.get()));
                if !is_asked {
                    self.rejections.count(Reason::UnknownId);
                    tracing::debug!("an answer to a request that nobody made was dropped");
                }
                is_asked
            }
            Some(Message::Notification) | None => self.begun,
        }
    }

    fn wrap(&mut self, head: &Head<'_>) -> Option<Wrapped> {
        let is_answer = head.message() == Some(Message::Response);
        let own = is_answer && head.id.and_then(|id| self.asked.remove(id.get())) == Some(true);
        if own { None } else { carrier::wrap(head) }
    }

    /// Counts it, and says so to a client. Without an id that one learns at least why an answer does not come.
    async fn refuse(&mut self, malformed: Malformed) {
        self.rejections.count(malformed.reason);
        if malformed.is_answered && self.pen.write(malformed.refusal()).await.is_err() {
            tracing::debug!("nobody reads the refusal");
        }
    }
}

/// Whether rmcp knows by this request whether its client has sessions: `initialize`, or the first one of the modern era.
fn begins(head: &Head<'_>) -> bool {
    match head.method.as_deref() {
        Some("initialize") => true,
        Some("ping" | "server/discover") | None => false,
        Some(_) => Fields::of(head.params)
            .ok()
            .and_then(|params| Some(Fields::parse(params.get("_meta")?.get()).ok()?.get(VERSION).is_some()))
            .unwrap_or_default(),
    }
}

enum Line {
    Whole(Vec<u8>),
    Oversized(String),
}

async fn write_all<W: AsyncWrite + Unpin>(mut writer: W, mut strokes: mpsc::Receiver<Stroke>) {
    while let Some(stroke) = strokes.recv().await {
        let written = match stroke {
            Stroke::Line(mut line) => {
                line.push('\n');
                match writer.write_all(line.as_bytes()).await {
                    // What waits already is written before the flush.
                    Ok(()) if strokes.is_empty() => writer.flush().await,
                    written => written,
                }
            }
            Stroke::Close => break,
        };
        if let Err(error) = written {
            tracing::debug!(%error, "writing messages ended");
            return;
        }
    }
    if let Err(error) = writer.shutdown().await {
        tracing::debug!(%error, "closing the pipe failed");
    }
}

impl<Role: ServiceRole, R: AsyncRead + Send + Unpin + 'static, T: Tap> Transport<Role> for Lines<Role, R, T> {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<Role>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let printed = carrier::print(&item).map_err(io::Error::from).map(|text| {
            if !self.carrying {
                return text;
            }
            let unwrapped = carrier::unwrap(&text);
            if let JsonRpcMessage::Request(request) = &item
                && let Ok(id) = carrier::print(&request.id)
            {
                self.asked.insert(id, unwrapped.is_none());
            }
            unwrapped.unwrap_or(text)
        });
        let pen = self.pen.clone();
        async move { pen.write(printed?).await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<Role>> {
        loop {
            match self.next_line().await {
                Some(Line::Whole(line)) => {
                    if let Some(message) = self.read(line).await {
                        return Some(message);
                    }
                }
                Some(Line::Oversized(start)) => {
                    let limit = self.limit;
                    tracing::warn!(limit, "a message longer than the limit (in bytes) was dropped");
                    if self.carrying {
                        self.refuse(Malformed {
                            reason: Reason::TooLarge,
                            code: RpcError::INVALID_REQUEST,
                            id: None,
                            message: format!("the message is longer than {limit} bytes"),
                            is_answered: true,
                        })
                        .await;
                    } else {
                        self.tap.oversized(&start);
                    }
                }
                None => {
                    if !std::mem::replace(&mut self.ended, true) {
                        self.tap.ended();
                    }
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        if let Some(writer) = self.writer.take() {
            if self.pen.0.send(Stroke::Close).await.is_err() {
                tracing::debug!("the pipe was closed before");
            }
            writer.await.map_err(io::Error::other)?;
        }
        if !std::mem::replace(&mut self.ended, true) {
            self.tap.ended();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
