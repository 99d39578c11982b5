//! JSON-RPC as lines of text: the stdio transport, for both roles of rmcp.
//!
//! One task owns the writing end, so a line is written whole even when the one who wanted it written is gone,
//! and other text can be written beside rmcp's through a [`Pen`].

use std::{borrow::Cow, collections::HashSet, future::Future, io, marker::PhantomData};

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
    text::{Head, Message},
};

/// Longest message that is read, in bytes, unless another limit is given: 64 MiB.
pub const DEFAULT_LIMIT: usize = 64 * 1024 * 1024;
/// How much of a message that is too long is kept, to say whose it was.
const KEPT: usize = 4 * 1024;
/// Lines that wait to be written before writers wait.
const WAITING: usize = 64;

/// Sees every incoming message before rmcp does.
pub trait Tap: Send + 'static {
    /// `true`: the message is taken, rmcp does not see it. `line` is JSON, without its newline.
    fn take(&mut self, line: &str) -> bool;

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
    /// Requests that rmcp made on its own: their answers go to it as they are.
    own: HashSet<String>,
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
            own: HashSet::new(),
            role: PhantomData,
        }
    }

    /// Bytes of one message that are read at most; longer ones are dropped with a warning and an error answer.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
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
        let line = match String::from_utf8(line) {
            Ok(line) => line,
            Err(error) => {
                tracing::warn!(%error, "a line that is not UTF-8 was skipped: MCP messages are UTF-8");
                return None;
            }
        };
        let line = line.trim();
        if line.is_empty() {
            return None;
        }
        // An array would be read as the members of a head in their order.
        if line.starts_with('[') {
            self.refuse(None, "batches are not served: send one message a line").await;
            return None;
        }
        let head = match Head::parse(line) {
            Ok(head) => head,
            Err(error) => {
                let start: String = line.chars().take(80).collect();
                tracing::warn!(%error, start, "a line that is not a JSON-RPC message was skipped");
                return None;
            }
        };
        if self.tap.take(line) {
            return None;
        }
        let wrapped = if self.carrying { self.wrap(&head) } else { None };
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
                if let (Some(id), Some(Message::Request)) = (head.id, head.message()) {
                    self.refuse(Some(id.get()), "this is not a request of MCP").await;
                }
                None
            }
        }
    }

    fn wrap(&mut self, head: &Head<'_>) -> Option<Wrapped> {
        let own =
            head.message() == Some(Message::Response) && head.id.is_some_and(|id| self.own.remove(id.get()));
        if own { None } else { carrier::wrap(head) }
    }

    /// Without an id the client learns at least why an answer does not come.
    async fn refuse(&mut self, id: Option<&str>, message: &str) {
        let text = carrier::refusal(id, RpcError::INVALID_REQUEST, message);
        if self.pen.write(text).await.is_err() {
            tracing::debug!("nobody reads the refusal");
        }
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
            carrier::unwrap(&text).unwrap_or_else(|| {
                if let JsonRpcMessage::Request(request) = &item
                    && let Ok(id) = carrier::print(&request.id)
                {
                    self.own.insert(id);
                }
                text
            })
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
                    self.tap.oversized(&start);
                    self.refuse(None, &format!("the message is longer than {limit} bytes")).await;
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
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use rmcp::{
        RoleClient, RoleServer,
        model::{JsonRpcMessage, ServerJsonRpcMessage, ServerResult},
        transport::Transport,
    };
    use serde_json::value::RawValue;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

    use super::{Lines, Tap};
    use crate::gateway::wire::carrier::{self, Carried};

    #[tokio::test]
    async fn a_message_in_two_halves_with_a_cancelled_read_between_arrives_whole() {
        let (mut client, server) = tokio::io::duplex(4096);
        let (reader, writer) = tokio::io::split(server);
        let mut lines = Lines::<RoleServer, _>::carrying(reader, writer);
        client.write_all(br#"{"jsonrpc":"2.0","id":1,"meth"#).await.unwrap();
        let half = tokio::time::timeout(std::time::Duration::from_millis(20), lines.receive()).await;
        assert!(half.is_err());
        client.write_all(b"od\":\"tools/call\",\"params\":{\"n\":1.0}}\n").await.unwrap();
        let Some(JsonRpcMessage::Request(request)) = lines.receive().await else { unreachable!() };
        use rmcp::model::GetExtensions;
        let carried = request.request.extensions().get::<Carried>().unwrap();
        assert_eq!(carried.params.as_ref().unwrap().get(), r#"{"n":1.0}"#);
    }

    #[tokio::test]
    async fn what_is_no_message_is_skipped_and_what_is_too_long_is_answered() {
        let (client, server) = tokio::io::duplex(4096);
        let (reader, writer) = tokio::io::split(server);
        let mut lines = Lines::<RoleServer, _>::carrying(reader, writer).with_limit(100);
        let (client_reader, mut client_writer) = tokio::io::split(client);
        let long = "x".repeat(1000);
        let text = format!("not json\n\n[]\n{long}\n{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}}\n");
        client_writer.write_all(text.as_bytes()).await.unwrap();
        let Some(JsonRpcMessage::Request(request)) = lines.receive().await else { unreachable!() };
        assert_eq!(request.request.method(), "ping");
        let mut answers = BufReader::new(client_reader).lines();
        assert!(answers.next_line().await.unwrap().unwrap().contains("batches are not served"));
        assert!(answers.next_line().await.unwrap().unwrap().contains("longer than 100 bytes"));
    }

    #[tokio::test]
    async fn closing_writes_what_waits_first() {
        let (mut client, server) = tokio::io::duplex(4096);
        let (reader, writer) = tokio::io::split(server);
        let mut lines = Lines::<RoleServer, _>::carrying(reader, writer);
        let raw = RawValue::from_string(r#"{"n":2.50}"#.to_owned()).unwrap();
        let result = ServerResult::CustomResult(carrier::result(None, raw));
        let message = ServerJsonRpcMessage::response(result, rmcp::model::RequestId::Number(5));
        lines.send(message).await.unwrap();
        lines.close().await.unwrap();
        drop(lines);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{\"n\":2.50}}\n");
    }

    struct Seen(Arc<Mutex<Vec<String>>>);
    impl Tap for Seen {
        fn take(&mut self, line: &str) -> bool {
            self.0.lock().unwrap().push(line.to_owned());
            line.contains("\"p1\"")
        }
        fn ended(&mut self) {
            self.0.lock().unwrap().push("end".to_owned());
        }
    }

    #[tokio::test]
    async fn a_tap_takes_its_messages_and_hears_the_end_once() {
        let (mut server, client) = tokio::io::duplex(4096);
        let (reader, writer) = tokio::io::split(client);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut lines = Lines::<RoleClient, _, _>::tapped(reader, writer, Seen(seen.clone()));
        server.write_all(b"{\"id\":\"p1\",\"result\":1}\n").await.unwrap();
        drop(server);
        assert!(lines.receive().await.is_none());
        assert!(lines.receive().await.is_none());
        assert_eq!(*seen.lock().unwrap(), [r#"{"id":"p1","result":1}"#, "end"]);
    }
}
