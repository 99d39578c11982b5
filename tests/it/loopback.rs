//! An API server on a loopback port that says little but speaks what a test wants, and writes down who asked how.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    rt::{Read, Write},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;

/// What the certificate is for; the address is not in it.
const NAME: &str = "kubernetes.test";
/// Requests that it lets onto one connection at once.
const STREAMS: u32 = 100;
/// Is not answered when it is asked for the first time.
pub(crate) const LATE: &str = "/api/v1/namespaces/shop/pods/late";
/// Bytes of each line of its logs, which never end.
pub(crate) const LINE: usize = 4_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// No TLS.
    Plain,
    Http1,
    Http1AndHttp2,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Counted from 0.
    pub(crate) connection: usize,
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    authority: Authority,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl ApiServer {
    pub(crate) async fn start(speaks: Speaks) -> Self {
        let authority = Authority::new();
        let tls = match speaks {
            Speaks::Plain => None,
            Speaks::Http1 => Some(authority.acceptor(NAME, &["http/1.1"])),
            Speaks::Http1AndHttp2 => Some(authority.acceptor(NAME, &["h2", "http/1.1"])),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let task = tokio::spawn({
            let asked = asked.clone();
            async move {
                let mut open = JoinSet::new();
                for connection in 0.. {
                    let (stream, _) = listener.accept().await.unwrap();
                    open.spawn(talk(stream, tls.clone(), connection, asked.clone()));
                }
            }
        });
        Self { address, authority, asked, task }
    }

    /// The `cluster` of a kubeconfig, as far as trust is concerned: who signed, and for which name.
    pub(crate) fn trust(&self) -> [String; 2] {
        let authority = BASE64_STANDARD.encode(&self.authority.pem);
        [format!("certificate-authority-data: {authority}"), format!("tls-server-name: {NAME}")]
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(stream: TcpStream, tls: Option<TlsAcceptor>, connection: usize, asked: Arc<Mutex<Vec<Asked>>>) {
    stream.set_nodelay(true).unwrap();
    let Some(tls) = tls else { return serve(TokioIo::new(stream), false, connection, asked).await };
    // Who does not trust the certificate ends the handshake.
    let Ok(stream) = tls.accept(stream).await else { return };
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    serve(TokioIo::new(stream), is_h2, connection, asked).await;
}

async fn serve(
    io: impl Read + Write + Send + Unpin + 'static,
    is_h2: bool,
    connection: usize,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (version, headers) = (request.version(), request.headers().clone());
        let path = request.uri().path().to_owned();
        let mut asked = asked.lock().unwrap();
        let is_first = !asked.iter().any(|asked| asked.path == path);
        asked.push(Asked { connection, path: path.clone(), version, headers });
        async move {
            if is_first && path == LATE {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(answer(&path))
        }
    });
    // How a connection ends is the client's affair.
    if is_h2 {
        let http = http2::Builder::new(TokioExecutor::new()).max_concurrent_streams(STREAMS).to_owned();
        let _ = http.serve_connection(io, service).await;
    } else {
        let _ = http1::Builder::new().serve_connection(io, service).await;
    }
}

fn answer(path: &str) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    if path.ends_with("/log") {
        let line = Bytes::from([b"x".repeat(LINE - 1), b"\n".to_vec()].concat());
        let endless = stream::repeat_with(move || Ok(Frame::data(line.clone())));
        return Response::new(StreamBody::new(endless).boxed_unsync());
    }
    let (status, text) = match path {
        LATE => (StatusCode::OK, "{}"),
        "/version" => (StatusCode::OK, r#"{"gitVersion":"v1.34.0"}"#),
        _ => (StatusCode::NOT_FOUND, "{}"),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = status;
    response
}
