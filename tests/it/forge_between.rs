//! Something that stands between pilothouse and a forge.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::{IntoResponse, Response},
};
use futures::future::BoxFuture;
use reqwest::Client;
use tokio::net::TcpListener;

/// Asks the forge at `forge` the same.
pub(crate) async fn pass(
    http: &Client,
    forge: &str,
    method: Method,
    uri: &Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    headers.remove("host");
    let answer = http.request(method, format!("{forge}{uri}")).headers(headers).body(body).send();
    let answer = answer.await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in ["transfer-encoding", "content-length", "connection"] {
        headers.remove(name);
    }
    (status, headers, answer.bytes().await.unwrap()).into_response()
}

/// Whether it happens at this method, path and body.
pub(crate) type At = fn(&Method, &str, &str) -> bool;

/// What happens at a request, before the forge hears of it; with an answer, the forge never does.
pub(crate) type Happens = Box<dyn Fn() -> BoxFuture<'static, Option<Response>> + Send + Sync>;

/// Does something at the first request of a kind, or at each.
pub(crate) struct Between {
    forge: String,
    http: Client,
    at: At,
    once: bool,
    happens: Happens,
    happened: AtomicBool,
}

impl Between {
    /// Returns where it is reached.
    pub(crate) async fn start(forge: &str, at: At, once: bool, happens: Happens) -> (String, Arc<Self>) {
        let http = Client::builder().no_proxy().build().unwrap();
        let happened = AtomicBool::new(false);
        let between = Arc::new(Self { forge: forge.to_owned(), http, at, once, happens, happened });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&between));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, between)
    }

    pub(crate) fn happened(&self) -> bool {
        self.happened.load(Ordering::SeqCst)
    }
}

async fn serve(
    State(between): State<Arc<Between>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_it = (between.at)(&method, uri.path(), &String::from_utf8_lossy(&body));
    if is_it
        && !(between.happened.swap(true, Ordering::SeqCst) && between.once)
        && let Some(answer) = (between.happens)().await
    {
        return answer;
    }
    pass(&between.http, &between.forge, method, &uri, headers, body).await
}
