//! What replicas tell each other, by the key of all of them. Which one the API server asks, and which one is sent its
//! record, is not up to us: the one that leads fetches the questions and the audit events that the others were brought;
//! they hold no value of an object, only digests. And the others fetch from it how much came through Git, which only
//! the one that leads knows.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;

use super::{asked::Asked, coverage::Coverage, recorded::Recorded};

/// Beside the other doors of the health port.
const SIGHTINGS: &str = "/sightings";
const COVERAGE: &str = "/coverage";
/// Sightings that are kept for others: some minutes of a busy cluster.
const MOST: usize = 5_000;
const EVERY: Duration = Duration::from_millis(500);
/// Those who do not lead hear of the coverage every so many times.
const COVERAGE_EVERY: u32 = 20;
const DEADLINE: Duration = Duration::from_secs(2);
const LARGEST: usize = 4 << 20;
/// What is signed, so that this key opens nothing else.
const PURPOSE: &[u8] = b"pilothouse sightings";

/// Where the other replicas are; implemented in `app` over the operator's.
pub trait Replicas: Send + Sync {
    /// The health ports of all but this one. Empty when they are not known.
    fn others(&self) -> BoxFuture<'_, Vec<SocketAddr>>;
}

/// What one replica alone was brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Hearsay {
    Asked(Asked),
    Recorded(Recorded),
}

/// What this replica was brought, the latest last.
#[derive(Clone, Debug)]
pub(super) struct Heard(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    /// Of this process: numbers of another one mean nothing here.
    process: String,
    /// Number of the first of `told`.
    first: u64,
    told: VecDeque<Hearsay>,
}

/// What one replica tells another.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    process: String,
    /// To ask on with.
    next: u64,
    told: Vec<Hearsay>,
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
        Self(Arc::new(Mutex::new(Kept { process, first: 0, told: VecDeque::new() })))
    }
}

impl Heard {
    pub(super) fn add(&self, hearsay: Hearsay) {
        let mut kept = self.kept();
        kept.told.push_back(hearsay);
        if kept.told.len() > MOST {
            kept.told.pop_front();
            kept.first += 1;
        }
    }

    fn after(&self, process: &str, after: u64) -> Page {
        let kept = self.kept();
        let after = if process == kept.process { after } else { 0 };
        let skipped = usize::try_from(after.saturating_sub(kept.first)).unwrap_or(usize::MAX);
        Page {
            process: kept.process.clone(),
            next: kept.first + kept.told.len() as u64,
            told: kept.told.iter().skip(skipped).cloned().collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<Hearsay> {
        self.kept().told.iter().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How this replica tells the others.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) heard: Heard,
    pub(super) coverage: Arc<Mutex<Coverage>>,
    pub(super) leads: Arc<AtomicBool>,
}

impl Door {
    /// For whoever has the key.
    pub(super) fn router(self, key: &[u8; 32]) -> Router {
        let locked = Locked { door: self, key: Arc::new(signing(key)) };
        Router::new().route(SIGHTINGS, get(sightings)).route(COVERAGE, get(coverage)).with_state(locked)
    }
}

#[derive(Clone)]
struct Locked {
    door: Door,
    key: Arc<hmac::Key>,
}

impl Locked {
    fn open(&self, headers: &HeaderMap) -> Result<&Door, StatusCode> {
        let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let token = token.and_then(|token| hex::decode(token).ok()).unwrap_or_default();
        hmac::verify(&self.key, PURPOSE, &token).map_err(|_| StatusCode::UNAUTHORIZED)?;
        Ok(&self.door)
    }
}

async fn sightings(
    State(locked): State<Locked>,
    headers: HeaderMap,
    Query(After { process, after }): Query<After>,
) -> Result<Json<Page>, StatusCode> {
    Ok(Json(locked.open(&headers)?.heard.after(&process, after)))
}

/// Only the one that leads knows.
async fn coverage(State(locked): State<Locked>, headers: HeaderMap) -> Result<Json<Coverage>, StatusCode> {
    let door = locked.open(&headers)?;
    if !door.leads.load(Ordering::Relaxed) {
        return Err(StatusCode::NOT_FOUND);
    }
    Ok(Json(door.coverage.lock().unwrap_or_else(PoisonError::into_inner).clone()))
}

fn signing(key: &[u8; 32]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key)
}

/// Fetches what the other replicas were brought.
pub(super) struct Fetcher {
    replicas: Arc<dyn Replicas>,
    http: reqwest::Client,
    token: String,
    coverage: Arc<Mutex<Coverage>>,
    /// Whom we have asked: its process, and how far.
    known: BTreeMap<SocketAddr, (String, u64)>,
}

impl Fetcher {
    /// # Errors
    /// When no HTTP client can be made.
    pub(super) fn new(
        replicas: Arc<dyn Replicas>,
        key: &[u8; 32],
        coverage: Arc<Mutex<Coverage>>,
    ) -> Result<Self, reqwest::Error> {
        // Pods of our own set are asked, never by way of anybody else.
        let http = reqwest::Client::builder().timeout(DEADLINE).no_proxy();
        let http = http.redirect(reqwest::redirect::Policy::none()).build()?;
        let token = hex::encode(hmac::sign(&signing(key), PURPOSE));
        Ok(Self { replicas, http, token, coverage, known: BTreeMap::new() })
    }

    /// Until nobody listens. `leads`: whether somebody here wants to know.
    pub(super) async fn run(mut self, leads: impl Fn() -> bool + Send, into: mpsc::Sender<Hearsay>) {
        let mut turn: u32 = 0;
        loop {
            tokio::time::sleep(EVERY).await;
            if into.is_closed() {
                return;
            }
            turn = turn.wrapping_add(1);
            if leads() {
                for hearsay in self.fetch().await {
                    if into.send(hearsay).await.is_err() {
                        return;
                    }
                }
            } else if turn.is_multiple_of(COVERAGE_EVERY) {
                self.fetch_coverage().await;
            }
        }
    }

    async fn fetch_coverage(&self) {
        for address in self.replicas.others().await {
            // All but one of them do not lead, and say so.
            if let Ok(coverage) = self.get(&format!("http://{address}{COVERAGE}")).await {
                *self.coverage.lock().unwrap_or_else(PoisonError::into_inner) = coverage;
                return;
            }
        }
    }

    async fn fetch(&mut self) -> Vec<Hearsay> {
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
                Ok(Page { process, next, told }) => {
                    self.known.insert(address, (process, next));
                    all.extend(told);
                }
                Err(reason) => {
                    tracing::debug!(%address, reason, "a replica does not say what it was brought");
                }
            }
        }
        all
    }

    async fn page(&self, address: SocketAddr, process: &str, after: u64) -> Result<Page, String> {
        self.get(&format!("http://{address}{SIGHTINGS}?process={process}&after={after}")).await
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
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
    use std::{
        net::SocketAddr,
        sync::{
            Arc, Mutex,
            atomic::{AtomicBool, Ordering},
        },
    };

    use futures::future::BoxFuture;

    use super::{Coverage, Door, Fetcher, Heard, Hearsay, Replicas};
    use crate::changes::capture::{
        joiner_fixture::{asked, at, recorded, write},
        write::Way,
    };

    struct One(SocketAddr);

    impl Replicas for One {
        fn others(&self) -> BoxFuture<'_, Vec<SocketAddr>> {
            Box::pin(async { vec![self.0] })
        }
    }

    /// Over a real socket.
    #[tokio::test]
    async fn what_one_replica_knows_the_other_hears_once_and_nobody_else_does() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (heard, counted, leads) =
            (Heard::default(), Arc::<Mutex<Coverage>>::default(), Arc::<AtomicBool>::default());
        let door = Door { heard: heard.clone(), coverage: counted.clone(), leads: leads.clone() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, door.router(&[1; 32])).await });
        let fetcher = |key: u8, coverage: &Arc<Mutex<Coverage>>| {
            Fetcher::new(Arc::new(One(address)), &[key; 32], coverage.clone()).unwrap()
        };
        heard.add(Hearsay::Asked(asked("r1", "ann", "5", "6")));
        let told = Arc::<Mutex<Coverage>>::default();
        let mut other = fetcher(1, &told);
        assert_eq!(other.fetch().await.len(), 1);
        assert!(other.fetch().await.is_empty());
        let more = [
            Hearsay::Asked(asked("r2", "bob", "6", "7")),
            Hearsay::Recorded(recorded("e1", "eve", "kubectl")),
        ];
        more.iter().cloned().for_each(|one| heard.add(one));
        assert_eq!(other.fetch().await, more);

        counted.lock().unwrap().judge(&write("6", at("05")), Some(Way::Git));
        other.fetch_coverage().await;
        assert_eq!(*told.lock().unwrap(), Coverage::default(), "that one does not lead");
        leads.store(true, Ordering::Relaxed);
        let stranger = Arc::<Mutex<Coverage>>::default();
        let mut without = fetcher(2, &stranger);
        assert!(without.fetch().await.is_empty(), "another key opens nothing");
        without.fetch_coverage().await;
        assert_eq!(*stranger.lock().unwrap(), Coverage::default());
        other.fetch_coverage().await;
        assert_eq!(told.lock().unwrap().figure(None, at("06")).git, 1);
        serving.abort();
    }
}
