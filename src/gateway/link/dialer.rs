//! What all links of a gateway share.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio_util::task::TaskTracker;
use url::{Host, Url};

use super::http::reasons;

/// HTTP clients, numbers, and who is still closing.
#[derive(Debug)]
pub(in crate::gateway) struct Dialer {
    /// For pods and loopback: never through a proxy.
    near: reqwest::Client,
    far: reqwest::Client,
    ids: AtomicU64,
    /// Tasks that close connections; waited for at shutdown.
    pub(in crate::gateway) keepers: TaskTracker,
}

impl Dialer {
    /// # Errors
    /// When the TLS library refuses to start.
    pub(in crate::gateway) fn new() -> Result<Self, String> {
        let builder = || {
            reqwest::Client::builder()
                .tcp_nodelay(true)
                .connect_timeout(Duration::from_secs(5))
                // Node servers close idle connections after 5 s: do not be on the way just then.
                .pool_idle_timeout(Duration::from_secs(4))
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("pilothouse/", env!("CARGO_PKG_VERSION")))
        };
        let failed = |error: reqwest::Error| format!("no HTTP client can be made ({})", reasons(&error));
        Ok(Self {
            near: builder().no_proxy().build().map_err(failed)?,
            far: builder().build().map_err(failed)?,
            ids: AtomicU64::new(1),
            keepers: TaskTracker::new(),
        })
    }

    /// A number that no other link has.
    pub(super) fn number(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// For a pod (by its name), or for a URL when `pod` is empty.
    pub(super) fn client(&self, pod: &str, url: &Url) -> reqwest::Client {
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if loopback || !pod.is_empty() { self.near.clone() } else { self.far.clone() }
    }
}
