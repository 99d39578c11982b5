//! Opening a link: the handshake.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue};
use rmcp::{
    model::ProtocolVersion,
    service::{ClientInitializeError, ClientLifecycleMode, ClientServiceExt, RoleClient},
    transport::{
        IntoTransport, StreamableHttpClientTransport,
        common::client_side_sse::ExponentialBackoff,
        streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError},
    },
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    LARGEST, Link, Offers, Way,
    dialer::Dialer,
    ear::{Ear, Running, Teller, Told},
    http::{HttpWay, LARGE_AT_ONCE, reasons},
    place::{At, Place},
    process::{self, Process},
    session::Session,
    sse,
    upkeep::{keep, subscribe, write_letters},
};
use crate::gateway::{
    client::Client,
    declared::Declared,
    downstream::{Program, ServerName},
    observation::ServerInfo,
    wire::{
        Era,
        eras::Spoken,
        headers::PROTOCOL_VERSION,
        lines::{Lines, Tap},
        table::{Table, Taken},
        text::raw,
    },
};

/// For an answer to `server/discover`.
const DISCOVER_WITHIN: Duration = Duration::from_secs(1);
/// The same for a process, which may still be loading.
const PROCESS_DISCOVER_WITHIN: Duration = Duration::from_secs(5);
/// For the whole handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(20);
/// For a legacy server to open its GET stream, or to say that it has none. Some say nothing before their first event.
const STREAM_WITHIN: Duration = Duration::from_secs(1);
/// Most time until a broken GET stream is opened again.
const STREAM_AGAIN_WITHIN: Duration = Duration::from_secs(10);

/// A handshake that succeeded, and what belongs to its connection.
struct Shaken {
    running: Running,
    way: Way,
    table: Arc<Table>,
    letters: mpsc::UnboundedReceiver<String>,
    process: Option<Process>,
}

/// What a handshake works with.
struct Attempt<'a> {
    name: &'a ServerName,
    dialer: &'a Dialer,
    teller: Teller,
    client: Option<&'a Client>,
}

/// Connects to `place`, the era that worked last time first; for one client alone when it is given, which then is asked
/// what the server asks.
///
/// # Errors
/// One sentence: why it does not answer as an MCP server.
pub(in crate::gateway) async fn open(
    name: &ServerName,
    place: &Place,
    known: Option<Era>,
    dialer: &Dialer,
    runner: mpsc::Sender<Told>,
    client: Option<&Client>,
) -> Result<Link, String> {
    let id = dialer.number();
    let teller = Teller::new(id, runner);
    let attempt = Attempt { name, dialer, teller: teller.clone(), client };
    let shaking = async {
        match &place.at {
            At::Http { id, url, headers, authorities, sse } => {
                let http = dialer.client(id, url, authorities.as_deref())?;
                if *sse {
                    attempt.sse(http, url, headers).await
                } else {
                    attempt.streamable(http, url, headers, known).await
                }
            }
            At::Process(program) => attempt.process(program, known).await,
        }
    };
    let shaken = tokio::time::timeout(HANDSHAKE_WITHIN, shaking).await;
    let Shaken { running, mut way, table, letters, process } = shaken
        .map_err(|_| format!("no handshake within {} s", HANDSHAKE_WITHIN.as_secs()))?
        .map_err(|why| shortened(&why))?;

    let peer = running.peer().clone();
    let greeted = peer.peer_info().ok_or_else(|| "the handshake left no word of the server".to_owned())?;
    let version = greeted.protocol_version.to_string();
    let era = if greeted.protocol_version.has_initialize() { Era::Legacy } else { Era::Modern };
    if let Way::Http(http) = &mut way {
        http.era = era;
        if let Ok(version) = HeaderValue::from_str(&version) {
            http.headers.insert(PROTOCOL_VERSION, version);
        }
        if era == Era::Modern {
            table.cancel_by_closing();
        }
    }
    let (server_name, server_version) = greeted
        .server_info
        .as_ref()
        .map_or_else(Default::default, |server| (server.name.clone(), server.version.clone()));
    let capabilities = &greeted.capabilities;
    let resources = capabilities.resources.as_ref();
    let offers = Offers {
        prompts: capabilities.prompts.is_some(),
        resources: resources.is_some(),
        updates: resources.is_some_and(|resources| resources.subscribe == Some(true)),
        logging: capabilities.logging.is_some(),
    };
    // As it came, where that was seen: an answer that was plain JSON went to rmcp alone.
    let as_it_came = table.capabilities().unwrap_or_else(|| raw(capabilities));
    let declared = Declared::new(era, &as_it_came).map(Arc::new);
    if client.is_some() {
        table.serve_one_client();
    }

    let of_modern = (era == Era::Modern).then(|| peer.clone());
    let closing = CancellationToken::new();
    dialer.keepers.spawn(write_letters(way.clone(), letters));
    if era == Era::Modern {
        subscribe(peer, teller.clone(), closing.clone()).await;
    }
    // Calls over Streamable HTTP have streams of their own.
    let shared = (!matches!(way, Way::Http(_))).then(|| table.clone());
    dialer.keepers.spawn(keep(running, shared, closing.clone(), teller.clone(), process));
    Ok(Link {
        id,
        place: place.clone(),
        info: ServerInfo { name: server_name, version: server_version, protocol_version: version.clone() },
        spoken: Spoken { era, version },
        offers,
        declared,
        table,
        way,
        schemas: ArcSwap::default(),
        dead: AtomicBool::new(false),
        seated: AtomicUsize::new(0),
        private: client.is_some(),
        level: tokio::sync::Mutex::default(),
        leaving: AtomicBool::new(false),
        peer: of_modern,
        teller,
        closing: closing.drop_guard(),
    })
}

fn discover() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] }
}

impl Attempt<'_> {
    fn table() -> (Arc<Table>, mpsc::UnboundedReceiver<String>) {
        let (outbox, letters) = mpsc::unbounded_channel();
        (Arc::new(Table::new(outbox)), letters)
    }

    async fn streamable(
        &self,
        http: reqwest::Client,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        known: Option<Era>,
    ) -> Result<Shaken, String> {
        let (first, second) = match known {
            None | Some(Era::Modern) => (Era::Modern, Era::Legacy),
            Some(Era::Legacy) => (Era::Legacy, Era::Modern),
        };
        match self.streamable_once(http.clone(), url, headers, first).await {
            Ok(shaken) => Ok(shaken),
            Err(why) => {
                tracing::debug!(server = %self.name, era = ?first, why, "the other era is tried");
                self.streamable_once(http, url, headers, second).await
            }
        }
    }

    async fn streamable_once(
        &self,
        http: reqwest::Client,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        era: Era,
    ) -> Result<Shaken, String> {
        let (table, letters) = Self::table();
        let session = Session::new(http.clone(), table.clone(), self.teller.clone());
        let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
            .custom_headers(headers.iter().cloned().collect::<HashMap<_, _>>())
            .max_sse_event_size(LARGEST)
            .reinit_on_expired_session(false);
        let mut again = ExponentialBackoff::default();
        again.max_delay = Some(STREAM_AGAIN_WITHIN);
        config.retry_config = Arc::new(again);
        let transport = StreamableHttpClientTransport::with_client(session.clone(), config);
        let running = match era {
            Era::Modern => {
                let shaking = self.shake(transport, discover());
                tokio::time::timeout(DISCOVER_WITHIN, shaking)
                    .await
                    .map_err(|_| format!("no answer to server/discover within {DISCOVER_WITHIN:?}"))??
            }
            Era::Legacy => self.shake(transport, ClientLifecycleMode::Initialize).await?,
        };
        let headers = headers.iter().cloned().collect();
        let id = session.id();
        // Without a session rmcp asks for no stream.
        if era == Era::Legacy && id.is_some() {
            let _ = tokio::time::timeout(STREAM_WITHIN, session.settled()).await;
        }
        let (session, large) = (id, Arc::new(Semaphore::new(LARGE_AT_ONCE)));
        let way = Way::Http(HttpWay { http, url: url.clone(), headers, session, era, large });
        Ok(Shaken { running, way, table, letters, process: None })
    }

    async fn sse(
        &self,
        http: reqwest::Client,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Shaken, String> {
        let (table, letters) = Self::table();
        let headers: HeaderMap = headers.iter().cloned().collect();
        let (way, transport) = sse::connect(http, url.clone(), headers, table.clone()).await?;
        let running = self.shake(transport, ClientLifecycleMode::Initialize).await?;
        Ok(Shaken { running, way: Way::Sse(way), table, letters, process: None })
    }

    async fn process(&self, program: &Program, known: Option<Era>) -> Result<Shaken, String> {
        let legacy = ClientLifecycleMode::Initialize;
        if known == Some(Era::Legacy) {
            return self.process_once(program, legacy).await;
        }
        let auto = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::LATEST],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        match self.process_once(program, auto).await {
            Ok(shaken) => Ok(shaken),
            Err(why) => {
                tracing::debug!(server = %self.name, why, "its process is started again for initialize");
                self.process_once(program, legacy).await
            }
        }
    }

    async fn process_once(&self, program: &Program, mode: ClientLifecycleMode) -> Result<Shaken, String> {
        let (table, letters) = Self::table();
        let (mut process, stdout, stdin) = process::start(self.name, program)?;
        let heard = Arc::new(AtomicBool::new(false));
        let tap = LineTap { table: table.clone(), heard: heard.clone() };
        let lines = Lines::<RoleClient, _, _>::tapped(stdout, stdin, tap).with_limit(LARGEST);
        let way = Way::Lines(lines.pen());
        let probes = matches!(mode, ClientLifecycleMode::Auto { .. });
        let silence = async {
            tokio::time::sleep(PROCESS_DISCOVER_WITHIN).await;
            if heard.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let shaken = tokio::select! {
            shaken = self.shake(lines, mode) => shaken,
            () = silence, if probes => Err("no answer to server/discover".to_owned()),
        };
        match shaken {
            Ok(running) => Ok(Shaken { running, way, table, letters, process: Some(process) }),
            Err(why) => {
                let soon = Duration::from_millis(100);
                let exited = tokio::time::timeout(soon, process.exited()).await;
                self.dialer.keepers.spawn(process.end());
                // That it ended says more than that the pipe was closed.
                Err(exited
                    .map_or(why, |exit| format!("`{}`: {exit}: see its lines in our log", program.command)))
            }
        }
    }

    async fn shake<T, E, A>(&self, transport: T, mode: ClientLifecycleMode) -> Result<Running, String>
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        Ear::new(self.teller.clone(), self.client)
            .serve_with_lifecycle(transport, mode)
            .await
            .map_err(|error| said(&error))
    }
}

/// A handshake's error in words for people: rmcp's own print whole messages.
fn said(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::JsonRpcError(error) => format!("it refused the handshake: {}", error.message),
        ClientInitializeError::ConnectionClosed(_) => {
            "it closed the connection during the handshake".to_owned()
        }
        ClientInitializeError::TransportError { error, context: _ } => {
            let error = error.error.as_ref();
            // Its own sources stop before the reason.
            let why = match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
                Some(StreamableHttpError::Client(error)) => reasons(error),
                _ => reasons(error),
            };
            format!("the handshake failed: {why}")
        }
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            "it speaks no revision of MCP that we speak".to_owned()
        }
        ClientInitializeError::LegacyFallbackFailed { discover: _, fallback } => said(fallback),
        other => format!("it does not answer as an MCP server ({other})"),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// Every line of a process before rmcp sees it.
struct LineTap {
    table: Arc<Table>,
    heard: Arc<AtomicBool>,
}

impl Tap for LineTap {
    fn take(&mut self, line: &str) -> bool {
        self.heard.store(true, Ordering::Relaxed);
        self.table.take(line, None) == Taken::Ours
    }

    fn oversized(&mut self, start: &str) {
        self.table.oversized(start, &format!("a message larger than {LARGEST} bytes came"));
    }

    fn ended(&mut self) {
        self.table.end("its process closed its output");
    }
}
