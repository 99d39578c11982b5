//! How the other replicas use servers: they are asked when somebody wants to know, at most a few times a second.

mod found;
mod leader;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, future::join_all};
use kube::Client;
use reqwest::{StatusCode, redirect};
use tokio::{sync::Mutex, time::Instant};

use super::{OperatorSettings, Peers};
use crate::fleet::{ServerName, ServerUse, USE_PATH, Usage};
use found::Found;
pub use leader::Leaders;

/// Connecting included.
const DEADLINE: Duration = Duration::from_secs(1);
/// An answer is good for all who ask within this time.
const FRESH: Duration = Duration::from_millis(500);
/// One that did not answer is left alone for so long, and counts as silent: the others are not to wait for it.
pub(super) const SILENCE: Duration = Duration::from_secs(5);
/// More of an answer is not read.
const LARGEST: usize = 1 << 20;

/// One for each replica: how it uses the servers that it has heard of, or nothing where it did not answer.
pub(super) type Answers = Arc<[Option<BTreeMap<ServerName, ServerUse>>]>;

pub(super) struct Replicas {
    whereabouts: Whereabouts,
    http: Result<reqwest::Client, String>,
    heard: Mutex<Heard>,
}

enum Whereabouts {
    Named(BTreeSet<SocketAddr>),
    Found(Box<Found>),
}

#[derive(Default)]
struct Heard {
    last: Option<(Instant, Answers)>,
    /// Until when each is not asked again.
    silent: BTreeMap<SocketAddr, Instant>,
}

impl Whereabouts {
    fn new(client: Client, settings: &OperatorSettings) -> Self {
        match &settings.peers {
            Peers::Named(addresses) => Self::Named(addresses.iter().copied().collect()),
            Peers::Found { own_pod, port } => {
                Self::Found(Box::new(Found::new(client, &settings.lease_namespace, own_pod, *port)))
            }
        }
    }

    async fn addresses(&self) -> Option<BTreeSet<SocketAddr>> {
        match self {
            Self::Named(addresses) => Some(addresses.clone()),
            Self::Found(found) => found.addresses(DEADLINE).await,
        }
    }
}

/// The health ports of the other replicas.
pub struct Others(Whereabouts);

impl Others {
    pub fn new(client: Client, settings: &OperatorSettings) -> Self {
        Self(Whereabouts::new(client, settings))
    }

    /// Empty when they are not known.
    pub async fn addresses(&self) -> Vec<SocketAddr> {
        self.0.addresses().await.into_iter().flatten().collect()
    }
}

impl Replicas {
    pub(super) fn new(client: Client, settings: &OperatorSettings) -> Self {
        let whereabouts = Whereabouts::new(client, settings);
        // Pods of our own set are asked, never by way of anybody else.
        let http = reqwest::Client::builder().timeout(DEADLINE).no_proxy().redirect(redirect::Policy::none());
        let http = http.build().map_err(|error| error.to_string());
        Self { whereabouts, http, heard: Mutex::default() }
    }

    /// Takes two seconds at most.
    pub(super) async fn ask(&self) -> Answers {
        // Held while they are asked: who comes meanwhile wants the same answers.
        let mut heard = self.heard.lock().await;
        if let Some((at, answers)) = &heard.last
            && at.elapsed() < FRESH
        {
            return answers.clone();
        }
        let answers: Answers = match self.whereabouts.addresses().await {
            Some(addresses) => self.ask_all(&addresses, &mut heard.silent).await.into(),
            // Whoever they are, none of them has answered.
            None => Arc::new([None]),
        };
        heard.last = Some((Instant::now(), answers.clone()));
        answers
    }

    async fn ask_all(
        &self,
        addresses: &BTreeSet<SocketAddr>,
        silent: &mut BTreeMap<SocketAddr, Instant>,
    ) -> Vec<Option<BTreeMap<ServerName, ServerUse>>> {
        let now = Instant::now();
        silent.retain(|address, until| *until > now && addresses.contains(address));
        let asked = addresses.iter().map(|address| {
            let is_silent = silent.contains_key(address);
            async move { if is_silent { None } else { self.heard_from(*address).await } }
        });
        let answers = join_all(asked).await;
        for (address, answer) in addresses.iter().zip(&answers) {
            if answer.is_none() {
                silent.entry(*address).or_insert_with(|| Instant::now() + SILENCE);
            }
        }
        answers
    }

    async fn heard_from(&self, address: SocketAddr) -> Option<BTreeMap<ServerName, ServerUse>> {
        match self.ask_one(address).await {
            Ok(usage) => Some(usage.by_server()),
            Err(reason) => {
                tracing::debug!(%address, reason, "a replica does not say how it uses servers");
                None
            }
        }
    }

    async fn ask_one(&self, address: SocketAddr) -> Result<Usage, String> {
        let http = self.http.as_ref().map_err(Clone::clone)?;
        let answer = http.get(format!("http://{address}{USE_PATH}")).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answers {}", answer.status()));
        }
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| error.to_string())?;
            if body.len() + piece.len() > LARGEST {
                return Err(format!("its answer has more than {LARGEST} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }
}
