//! A face with entries of the test's own, and the ways to reach it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use pilothouse::{
    audit::Audit,
    caller::Caller,
    gateway::{
        Catalogue, Entry, Gateway, Kind, Route,
        wire::{Raw, RpcError, Up, text::raw},
    },
    mcp::{self, Access, Asked, Face, HttpSettings, Offer, Own},
};
use serde_json::{Value, json, value::RawValue};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf},
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Longest that anything in these tests may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not come in time"))
}

/// A face and the folder of its audit.
pub(crate) struct Stage {
    pub(crate) face: Arc<Face>,
    _audit: tempfile::TempDir,
}

impl Stage {
    /// Must be called inside a runtime.
    pub(crate) fn new(own: Arc<dyn Own>, catalogues: watch::Receiver<Arc<Catalogue>>) -> Self {
        Self::over(Arc::new(Gateway::new(Vec::new())), own, catalogues)
    }

    pub(crate) fn over(
        gateway: Arc<Gateway>,
        own: Arc<dyn Own>,
        catalogues: watch::Receiver<Arc<Catalogue>>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        let face = Face::showing(catalogues, gateway, own, audit);
        Self { face, _audit: folder }
    }

    /// With the tools of [`Props`], and somebody who says who may use them.
    pub(crate) fn guarded(access: Arc<dyn Access>) -> (Self, Arc<Props>) {
        let props = Arc::new(Props::new());
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        let gateway = Arc::new(Gateway::new(Vec::new()));
        let face = Face::guarded(props.catalogue.subscribe(), gateway, props.clone(), audit, access);
        (Self { face, _audit: folder }, props)
    }

    /// With the tools of [`Props`].
    pub(crate) fn with_props() -> (Self, Arc<Props>) {
        let props = Arc::new(Props::new());
        (Self::new(props.clone(), props.catalogue.subscribe()), props)
    }
}

/// A stage on a loopback port until it is dropped.
pub(crate) struct Served {
    /// Without a path.
    pub(crate) origin: String,
    pub(crate) url: String,
    pub(crate) stage: Stage,
    stop: CancellationToken,
}

impl Served {
    pub(crate) async fn open(stage: Stage, settings: HttpSettings) -> Self {
        let router = mcp::http::router(stage.face.clone(), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(mcp::listener::serve(listener, router, stop.clone()));
        Self { url: format!("{origin}/mcp"), origin, stage, stop }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The client's end of a stdio connection.
pub(crate) struct Pipe {
    to: Option<WriteHalf<DuplexStream>>,
    from: Lines<BufReader<ReadHalf<DuplexStream>>>,
    pub(crate) served: JoinHandle<()>,
}

impl Pipe {
    pub(crate) fn open(face: Arc<Face>) -> Self {
        Self::open_as(Caller::process(), face)
    }

    pub(crate) fn open_as(caller: Caller, face: Arc<Face>) -> Self {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(server);
        let served = tokio::spawn(async move {
            mcp::stdio::serve(caller, face, reader, writer, CancellationToken::new()).await.unwrap();
        });
        let (from, to) = tokio::io::split(client);
        Self { to: Some(to), from: BufReader::new(from).lines(), served }
    }

    /// Where bytes go that are no line.
    pub(crate) fn end(&mut self) -> &mut WriteHalf<DuplexStream> {
        self.to.as_mut().unwrap()
    }

    pub(crate) async fn write(&mut self, line: &str) {
        let to = self.to.as_mut().unwrap();
        to.write_all(line.as_bytes()).await.unwrap();
        to.write_all(b"\n").await.unwrap();
    }

    pub(crate) async fn close(&mut self) {
        self.to.take().unwrap().shutdown().await.unwrap();
    }

    /// The next line as text; `None` at the end.
    pub(crate) async fn read(&mut self) -> Option<String> {
        soon("a line", self.from.next_line()).await.unwrap()
    }

    /// The answer to the request of that id; other messages are skipped.
    pub(crate) async fn answer(&mut self, id: u64) -> Value {
        loop {
            let line = self.read().await.expect("the pipe ended before the answer");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
        }
    }

    pub(crate) async fn initialize(&mut self) -> Value {
        self.write(&initialize(0, "2025-06-18")).await;
        let answer = self.answer(0).await;
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        answer
    }
}

pub(crate) fn initialize(id: u64, revision: &str) -> String {
    let client = json!({ "name": "test", "version": "1" });
    let params =
        json!({ "protocolVersion": revision, "capabilities": { "elicitation": {} }, "clientInfo": client });
    json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": params }).to_string()
}

/// A modern request: `params` with the `_meta` that every one has.
pub(crate) fn modern(id: u64, method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" }
    });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// Text that no typed model keeps.
pub(crate) const ODD: &str =
    r#"{"content":[{"type":"hologram","depth":2.50}],"n":18446744073709551617,"tools":1e3,"n":0.10}"#;

/// Tools: `odd` answers [`ODD`], `length` the length of its params, `wait` never answers, `ask` asks the client;
/// every other says hello.
pub(crate) struct Props {
    pub(crate) catalogue: watch::Sender<Arc<Catalogue>>,
    /// How many calls of `wait` are open.
    pub(crate) waiting: watch::Sender<usize>,
    calls: AtomicUsize,
}

const TOOLS: [&str; 4] = ["odd", "length", "wait", "ask"];

impl Props {
    pub(crate) fn new() -> Self {
        let catalogue = watch::Sender::new(Arc::new(Catalogue::new(0, entries(&[]))));
        Self { catalogue, waiting: watch::Sender::new(0), calls: AtomicUsize::new(0) }
    }

    /// Shows these tools beside the usual ones.
    pub(crate) fn show(&self, more: &[(Kind, &str)]) {
        let version = self.catalogue.borrow().version + 1;
        self.catalogue.send_replace(Arc::new(Catalogue::new(version, entries(more))));
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Until so many calls of `wait` are open.
    pub(crate) async fn are_waiting(&self, count: usize) {
        let mut waiting = self.waiting.subscribe();
        soon("the number of open calls", waiting.wait_for(|open| *open == count)).await.unwrap();
    }
}

fn entries(more: &[(Kind, &str)]) -> Vec<Arc<Entry>> {
    let entry = |(kind, name): (Kind, &str)| {
        let raw = raw(
            &json!({ "name": name, "uri": name, "description": name, "inputSchema": { "type": "object" } }),
        );
        Arc::new(Entry {
            kind,
            name: name.to_owned(),
            raw,
            hash: name.into(),
            route: Route::Own,
            exposure: Arc::default(),
        })
    };
    TOOLS.iter().map(|name| (Kind::Tool, *name)).chain(more.iter().copied()).map(entry).collect()
}

struct Waiting<'a>(&'a watch::Sender<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl Own for Props {
    fn offer(&self) -> Offer {
        Offer::default()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, up: mpsc::Sender<Up>) -> BoxFuture<'a, Result<Raw, RpcError>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            match asked.name {
                "odd" => Ok(RawValue::from_string(ODD.to_owned()).unwrap()),
                "length" => {
                    Ok(raw(&json!({ "length": asked.params.map_or(0, |params| params.get().len()) })))
                }
                "wait" => {
                    self.waiting.send_modify(|open| *open += 1);
                    let _open = Waiting(&self.waiting);
                    std::future::pending().await
                }
                "ask" => {
                    let (reply, answer) = oneshot::channel();
                    let params = Some(RawValue::from_string(r#"{"n":1.0}"#.to_owned()).unwrap());
                    let method = "elicitation/create".to_owned();
                    up.send(Up::Ask { method, params, reply }).await.unwrap();
                    answer.await.unwrap()
                }
                _ => Ok(raw(&json!({ "content": [{ "type": "text", "text": "hello" }] }))),
            }
        })
    }
}
