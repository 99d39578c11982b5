//! Opening a link: the handshake.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue};
use rmcp::{
    ClientHandler,
    model::{ProtocolVersion, ServerPeerInfo},
    service::{ClientInitializeError, ClientLifecycleMode, ClientServiceExt, RoleClient},
    transport::IntoTransport,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    LARGEST, Link, Offers, Way,
    dialer::Dialer,
    ear::{Ear, Line, Running, Teller},
    hello::Hello,
    http::{HttpWay, reasons, turns_for_large},
    listener::Listener,
    place::{At, Place},
    process::{self, Process},
    sse, stream,
    upkeep::{keep, keep_session, subscribe, watch, write_letters},
};
use crate::gateway::{
    client::Client,
    declared::Declared,
    downstream::{Program, ServerName},
    observation::ServerInfo,
    wire::{
        Era,
        eras::Spoken,
        lines::{Lines, Tap},
        rejected::Reason,
        table::{Outbox, Table, Taken},
        text::raw,
    },
};

/// For an answer to `server/discover`.
const DISCOVER_WITHIN: Duration = Duration::from_secs(1);
/// The same for a process, which may still be loading.
const PROCESS_DISCOVER_WITHIN: Duration = Duration::from_secs(5);
/// For the whole handshake.
pub(in crate::gateway) const HANDSHAKE_WITHIN: Duration = Duration::from_secs(20);
/// For a legacy server to open its GET stream, or to say that it has none. Some say nothing before their first event.
const STREAM_WITHIN: Duration = Duration::from_secs(1);

/// A handshake that succeeded, and what belongs to its connection.
struct Shaken {
    server: ServerPeerInfo,
    /// rmcp's side of it; over Streamable HTTP there is none.
    running: Option<Running>,
    way: Way,
    table: Arc<Table>,
    letters: mpsc::Receiver<String>,
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
    runner: Line,
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
    let Shaken { server: greeted, running, mut way, table, letters, process } = shaken
        .map_err(|_| format!("no handshake within {} s", HANDSHAKE_WITHIN.as_secs()))?
        .map_err(|why| shortened(&why))?;

    let version = greeted.protocol_version.to_string();
    let era = if greeted.protocol_version.has_initialize() { Era::Legacy } else { Era::Modern };
    let spoken = Spoken { era, version: version.clone() };
    if let Way::Http(http) = &mut way {
        http.era = era;
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

    let listener = match (&way, &running) {
        _ if era == Era::Legacy => None,
        (Way::Http(way), _) => {
            Some(Listener::Http { way: way.clone(), table: table.clone(), spoken: spoken.clone() })
        }
        (_, running) => running.as_ref().map(|running| Listener::Rmcp(running.peer().clone())),
    };
    let closing = CancellationToken::new();
    dialer.keepers.spawn(write_letters(way.clone(), letters));
    if let Some(listener) = &listener {
        subscribe(listener.clone(), capabilities, teller.clone(), closing.clone()).await;
    }
    // Calls over Streamable HTTP have streams of their own.
    let shared = (!matches!(way, Way::Http(_))).then(|| table.clone());
    match (&way, running) {
        (_, Some(running)) => {
            let shared = (shared, table.choked());
            dialer.keepers.spawn(keep(running, shared, closing.clone(), teller.clone(), process));
        }
        (Way::Http(http), None) => {
            if http.session.is_some() {
                dialer.keepers.spawn(keep_session(http.clone(), closing.clone()));
                let (settled, has_settled) = oneshot::channel();
                let stream = stream::hold(http.clone(), table.clone(), teller.clone(), settled);
                tokio::spawn(closing.clone().run_until_cancelled_owned(stream));
                // What a server says on a stream that is not there is lost, questions too: no call may come before.
                let _ = tokio::time::timeout(STREAM_WITHIN, has_settled).await;
            }
            tokio::spawn(closing.clone().run_until_cancelled_owned(watch(table.choked(), teller.clone())));
        }
        (Way::Lines(_) | Way::Sse(_), None) => {}
    }
    Ok(Link {
        id,
        place: place.clone(),
        info: ServerInfo { name: server_name, version: server_version, protocol_version: version },
        spoken,
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
        listener,
        teller,
        closing: closing.drop_guard(),
    })
}

impl Attempt<'_> {
    fn table(&self) -> (Arc<Table>, mpsc::Receiver<String>) {
        let (outbox, letters) = Outbox::new();
        (Arc::new(Table::new(outbox).counting(self.dialer.rejections.clone())), letters)
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
        let (table, letters) = self.table();
        let headers = headers.iter().cloned().collect();
        // What one client does not read must not hold up the others.
        let large = match self.client {
            Some(_) => turns_for_large(),
            None => self.dialer.large(self.name),
        };
        let mut way = HttpWay { http, url: url.clone(), headers, session: None, era, large };
        let us = Ear::new(self.teller.clone(), self.client).get_info();
        let hello = Hello { table: &table, teller: &self.teller, us };
        let server = match era {
            Era::Modern => tokio::time::timeout(DISCOVER_WITHIN, hello.discover(&mut way))
                .await
                .map_err(|_| format!("no answer to server/discover within {DISCOVER_WITHIN:?}"))??,
            Era::Legacy => hello.initialize(&mut way).await?,
        };
        Ok(Shaken { server, running: None, way: Way::Http(way), table, letters, process: None })
    }

    async fn sse(
        &self,
        http: reqwest::Client,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Shaken, String> {
        let (table, letters) = self.table();
        let headers: HeaderMap = headers.iter().cloned().collect();
        let (way, transport) = sse::connect(http, url.clone(), headers, table.clone()).await?;
        let running = self.shake(transport, ClientLifecycleMode::Initialize).await?;
        Ok(Shaken {
            server: greeted(&running)?,
            running: Some(running),
            way: Way::Sse(way),
            table,
            letters,
            process: None,
        })
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
        let (table, letters) = self.table();
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
            Ok(running) => {
                let server = greeted(&running)?;
                Ok(Shaken { server, running: Some(running), way, table, letters, process: Some(process) })
            }
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

/// What the server said of itself.
fn greeted(running: &Running) -> Result<ServerPeerInfo, String> {
    let greeted = running.peer().peer_info();
    greeted
        .map(|server| ServerPeerInfo::clone(&server))
        .ok_or_else(|| "the handshake left no word of the server".to_owned())
}

/// A handshake's error in words for people: rmcp's own print whole messages.
fn said(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::JsonRpcError(error) => format!("it refused the handshake: {}", error.message),
        ClientInitializeError::ConnectionClosed(_) => {
            "it closed the connection during the handshake".to_owned()
        }
        ClientInitializeError::TransportError { error, context: _ } => {
            format!("the handshake failed: {}", reasons(error.error.as_ref()))
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

    fn malformed(&mut self) {
        self.table.rejected(Reason::InvalidJson);
    }

    fn oversized(&mut self, start: &str) {
        self.table.oversized(start, &format!("a message larger than {LARGEST} bytes came"));
    }

    fn ended(&mut self) {
        self.table.end("its process closed its output");
    }
}
