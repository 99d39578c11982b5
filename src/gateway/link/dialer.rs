//! What all links of a gateway share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::Certificate;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use url::{Host, Url};

use super::http::{reasons, turns_for_large};
use crate::gateway::{downstream::ServerName, wire::rejected::Rejections};

/// Clients with authorities of their own that are kept; bundles that rotated are forgotten with the others.
const MOST_TRUSTING: usize = 256;

/// HTTP clients, numbers, and who is still closing.
#[derive(Debug)]
pub(in crate::gateway) struct Dialer {
    /// For pods and loopback: never through a proxy.
    near: reqwest::Client,
    far: reqwest::Client,
    /// Those that trust other authorities than the system's, by the PEM text of these.
    trusting: Mutex<HashMap<String, reqwest::Client>>,
    /// Turns for reading large answers of each server: many at once would take much memory. However many connections
    /// to it clients share, these are for all of them; those of a server without connections go when a new one comes.
    large: Mutex<HashMap<ServerName, Weak<Semaphore>>>,
    ids: AtomicU64,
    /// Tasks that close connections; waited for at shutdown.
    pub(in crate::gateway) keepers: TaskTracker,
    /// Messages of servers that were not taken.
    pub(super) rejections: Arc<Rejections>,
}

impl Dialer {
    /// # Errors
    /// When the TLS library refuses to start.
    pub(in crate::gateway) fn new(rejections: Arc<Rejections>) -> Result<Self, String> {
        Ok(Self {
            near: builder().no_proxy().build().map_err(failed)?,
            far: builder().build().map_err(failed)?,
            trusting: Mutex::default(),
            large: Mutex::default(),
            ids: AtomicU64::new(1),
            keepers: TaskTracker::new(),
            rejections,
        })
    }

    /// A number that no other link has.
    pub(super) fn number(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn large(&self, server: &ServerName) -> Arc<Semaphore> {
        let mut all = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = all.get(server).and_then(Weak::upgrade) {
            return turns;
        }
        all.retain(|_, turns| turns.strong_count() > 0);
        let turns = turns_for_large();
        all.insert(server.clone(), Arc::downgrade(&turns));
        turns
    }

    /// For a pod (by its name), or for a URL when `pod` is empty. `authorities` is PEM text.
    ///
    /// # Errors
    /// When the PEM text cannot be used.
    pub(super) fn client(
        &self,
        pod: &str,
        url: &Url,
        authorities: Option<&str>,
    ) -> Result<reqwest::Client, String> {
        if let Some(pem) = authorities {
            return self.trusting(pem);
        }
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        Ok(if loopback || !pod.is_empty() { self.near.clone() } else { self.far.clone() })
    }

    fn trusting(&self, pem: &str) -> Result<reqwest::Client, String> {
        let mut known = self.trusting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(pem) {
            return Ok(client.clone());
        }
        let wrong = |why: &str| format!("caBundle cannot be used ({why}): give certificates as PEM text");
        let certificates =
            Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| wrong(&reasons(&error)))?;
        if certificates.is_empty() {
            return Err(wrong("it holds no certificate"));
        }
        let client = builder().tls_certs_only(certificates).build().map_err(failed)?;
        if known.len() >= MOST_TRUSTING {
            known.clear();
        }
        known.insert(pem.to_owned(), client.clone());
        Ok(client)
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(5))
        // Node servers close idle connections after 5 s: do not be on the way just then.
        .pool_idle_timeout(Duration::from_secs(4))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("pilothouse/", env!("CARGO_PKG_VERSION")))
}

fn failed(error: reqwest::Error) -> String {
    format!("no HTTP client can be made ({})", reasons(&error))
}
