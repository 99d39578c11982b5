//! Which replica the API server asks is not up to us: the one that leads fetches the questions that the others were
//! asked. They hold no value of an object, only digests, and are told to whoever has the key of all replicas.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::hmac;
use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use futures::future::{BoxFuture, join_all};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::asked::Asked;

/// Beside the other doors of the health port.
const PATH: &str = "/sightings";
/// Questions that are kept for others: some minutes of a busy cluster.
const MOST: usize = 5_000;
const EVERY: Duration = Duration::from_millis(500);
const DEADLINE: Duration = Duration::from_secs(2);
const LARGEST: usize = 4 << 20;
/// What is signed, so that this key opens nothing else.
const PURPOSE: &[u8] = b"pilothouse sightings";

/// Where the other replicas are; implemented in `app` over the operator's.
pub trait Replicas: Send + Sync {
    /// The health ports of all but this one. Empty when they are not known.
    fn others(&self) -> BoxFuture<'_, Vec<SocketAddr>>;
}

/// The questions that this replica was asked, the latest last.
#[derive(Clone, Debug)]
pub(super) struct Heard(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    /// Of this process: numbers of another one mean nothing here.
    process: String,
    /// Number of the first of `asked`.
    first: u64,
    asked: VecDeque<Asked>,
}

/// What one replica tells another.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    process: String,
    /// To ask on with.
    next: u64,
    asked: Vec<Asked>,
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    process: String,
    #[serde(default)]
    after: u64,
}

impl Default for Heard {
    fn default() -> Self {
        let process = uuid::Uuid::new_v4().simple().to_string();
        Self(Arc::new(Mutex::new(Kept { process, first: 0, asked: VecDeque::new() })))
    }
}

impl Heard {
    pub(super) fn add(&self, asked: Asked) {
        let mut kept = self.kept();
        kept.asked.push_back(asked);
        if kept.asked.len() > MOST {
            kept.asked.pop_front();
            kept.first += 1;
        }
    }

    fn after(&self, process: &str, after: u64) -> Page {
        let kept = self.kept();
        let after = if process == kept.process { after } else { 0 };
        let skipped = usize::try_from(after.saturating_sub(kept.first)).unwrap_or(usize::MAX);
        Page {
            process: kept.process.clone(),
            next: kept.first + kept.asked.len() as u64,
            asked: kept.asked.iter().skip(skipped).cloned().collect(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves them to whoever has the key.
    pub(super) fn router(&self, key: &[u8; 32]) -> Router {
        let door = Door { heard: self.clone(), key: Arc::new(signing(key)) };
        Router::new().route(PATH, get(tell)).with_state(door)
    }
}

#[derive(Clone)]
struct Door {
    heard: Heard,
    key: Arc<hmac::Key>,
}

async fn tell(
    State(door): State<Door>,
    headers: HeaderMap,
    Query(After { process, after }): Query<After>,
) -> Result<Json<Page>, StatusCode> {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = token.and_then(|token| hex::decode(token).ok()).unwrap_or_default();
    hmac::verify(&door.key, PURPOSE, &token).map_err(|_| StatusCode::UNAUTHORIZED)?;
    Ok(Json(door.heard.after(&process, after)))
}

fn signing(key: &[u8; 32]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key)
}

/// Fetches what the other replicas were asked.
pub(super) struct Fetcher {
    replicas: Arc<dyn Replicas>,
    http: reqwest::Client,
    token: String,
    /// Whom we have asked: its process, and how far.
    known: BTreeMap<SocketAddr, (String, u64)>,
}

impl Fetcher {
    /// # Errors
    /// When no HTTP client can be made.
    pub(super) fn new(replicas: Arc<dyn Replicas>, key: &[u8; 32]) -> Result<Self, reqwest::Error> {
        // Pods of our own set are asked, never by way of anybody else.
        let http = reqwest::Client::builder().timeout(DEADLINE).no_proxy();
        let http = http.redirect(reqwest::redirect::Policy::none()).build()?;
        let token = hex::encode(hmac::sign(&signing(key), PURPOSE));
        Ok(Self { replicas, http, token, known: BTreeMap::new() })
    }

    /// Until nobody listens. `leads`: whether somebody here wants to know.
    pub(super) async fn run(mut self, leads: impl Fn() -> bool + Send, into: mpsc::Sender<Asked>) {
        loop {
            tokio::time::sleep(EVERY).await;
            if into.is_closed() {
                return;
            }
            if leads() {
                for asked in self.fetch().await {
                    if into.send(asked).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn fetch(&mut self) -> Vec<Asked> {
        let others = self.replicas.others().await;
        self.known.retain(|address, _| others.contains(address));
        let pages = others.iter().map(|address| async {
            let (process, after) = self.known.get(address).cloned().unwrap_or_default();
            (*address, self.page(*address, &process, after).await)
        });
        let pages: Vec<_> = join_all(pages).await;
        let mut all = Vec::new();
        for (address, page) in pages {
            match page {
                Ok(Page { process, next, asked }) => {
                    self.known.insert(address, (process, next));
                    all.extend(asked);
                }
                Err(reason) => {
                    tracing::debug!(%address, reason, "a replica does not say what it was asked");
                }
            }
        }
        all
    }

    async fn page(&self, address: SocketAddr, process: &str, after: u64) -> Result<Page, String> {
        let url = format!("http://{address}{PATH}?process={process}&after={after}");
        let answer = self.http.get(url).bearer_auth(&self.token).send().await;
        let mut answer = answer.map_err(|error| error.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answers {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| error.to_string())? {
            if body.len() + piece.len() > LARGEST {
                return Err(format!("its answer has more than {LARGEST} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{net::SocketAddr, sync::Arc};

    use futures::future::BoxFuture;

    use super::{Fetcher, Heard, Replicas};
    use crate::changes::capture::joiner_fixture::asked;

    struct One(SocketAddr);

    impl Replicas for One {
        fn others(&self) -> BoxFuture<'_, Vec<SocketAddr>> {
            Box::pin(async { vec![self.0] })
        }
    }

    /// Over a real socket.
    #[tokio::test]
    async fn what_one_replica_was_asked_the_other_hears_once_and_nobody_else_does() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let heard = Heard::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = heard.router(&[1; 32]);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        heard.add(asked("r1", "ann", "5", "6"));
        let mut fetcher = Fetcher::new(Arc::new(One(address)), &[1; 32]).unwrap();
        assert_eq!(fetcher.fetch().await.len(), 1);
        assert!(fetcher.fetch().await.is_empty());
        heard.add(asked("r2", "bob", "6", "7"));
        let told = fetcher.fetch().await;
        assert_eq!(told.iter().map(|asked| asked.user.as_str()).collect::<Vec<_>>(), ["bob"]);
        let mut stranger = Fetcher::new(Arc::new(One(address)), &[2; 32]).unwrap();
        assert!(stranger.fetch().await.is_empty(), "another key opens nothing");
        serving.abort();
    }
}
