//! Fetches the keys of an issuer and keeps them.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use futures::StreamExt;
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Certificate, Client, redirect::Policy};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    challenge::Refusal,
    config::{IssuerUrl, SafeUrl},
    keys::{Allowance, KeySet},
};

/// Keys of this age are fetched again, while the old ones still serve.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// With an issuer that does not answer, keys serve for so long; then nobody is let in by them.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// Of one document, connecting included.
const DEADLINE: Duration = Duration::from_secs(5);
/// Longest document that is read, in bytes.
const LARGEST: usize = 512 * 1024;

/// The keys of one issuer. Nothing is fetched before the first token comes.
#[derive(Clone)]
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    issuer: IssuerUrl,
    /// Otherwise where the discovery document says.
    address: Option<SafeUrl>,
    http: Client,
    current: ArcSwapOption<Fetched>,
    /// Held while fetching: who comes meanwhile waits for the one answer.
    fetching: Mutex<Attempts>,
}

struct Fetched {
    at: Instant,
    keys: KeySet,
}

struct Attempts {
    allowance: Allowance,
    /// Why the last attempt failed, if it did.
    failed: Option<String>,
}

impl Keys {
    /// # Errors
    /// When the certificates in `ca` (PEM) cannot be used.
    pub(super) fn new(
        issuer: IssuerUrl,
        address: Option<SafeUrl>,
        ca: Option<&[u8]>,
    ) -> Result<Self, String> {
        let builder = Client::builder()
            .timeout(DEADLINE)
            // Where the keys are is said by the issuer, not by whoever answers in its place.
            .redirect(Policy::none())
            .user_agent(concat!("pilothouse/", env!("CARGO_PKG_VERSION")));
        let builder = if issuer.safe().is_loopback() { builder.no_proxy() } else { builder };
        let builder = match ca {
            Some(pem) => {
                let certificates = Certificate::from_pem_bundle(pem).map_err(|error| reason(&error))?;
                if certificates.is_empty() {
                    return Err("there is no certificate in it".to_owned());
                }
                builder.tls_certs_merge(certificates)
            }
            None => builder,
        };
        let http = builder.build().map_err(|error| reason(&error))?;
        let attempts = Attempts { allowance: Allowance::new(Instant::now()), failed: None };
        let current = ArcSwapOption::empty();
        Ok(Self(Arc::new(Inner { issuer, address, http, current, fetching: Mutex::new(attempts) })))
    }

    /// Keys by which such a token may be signed; none when the issuer has no such key.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when the issuer cannot be asked and its keys are not known.
    pub(super) async fn matching(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<DecodingKey>, Refusal> {
        let known = self.known(id, algorithm);
        if let Some((age, found)) = known.filter(|(_, found)| !found.is_empty()) {
            if age > FRESH {
                let keys = self.clone();
                tokio::spawn(async move {
                    // Said in the log; the old keys serve on.
                    let _ = keys.renew(Instant::now()).await;
                });
            }
            return Ok(found);
        }
        self.renew(Instant::now()).await?;
        Ok(self.known(id, algorithm).map(|(_, found)| found).unwrap_or_default())
    }

    /// From what was fetched, and how old that is.
    fn known(&self, id: Option<&str>, algorithm: Algorithm) -> Option<(Duration, Vec<DecodingKey>)> {
        let current = self.0.current.load();
        let fetched = current.as_ref()?;
        let age = fetched.at.elapsed();
        (age < LONGEST).then(|| (age, fetched.keys.matching(id, algorithm).into_iter().cloned().collect()))
    }

    /// Fetches, unless somebody did since `asked` or it was done too often.
    async fn renew(&self, asked: Instant) -> Result<(), Refusal> {
        let Inner { issuer, current, fetching, .. } = &*self.0;
        let mut attempts = fetching.lock().await;
        if current.load().as_ref().is_some_and(|fetched| fetched.at >= asked) {
            return Ok(());
        }
        let unavailable = |why: &str| {
            let issuer = issuer.as_str();
            Refusal::Unavailable(format!(
                "the keys of the issuer {issuer} cannot be fetched ({why}): try again in a moment"
            ))
        };
        if !attempts.allowance.take(Instant::now()) {
            return attempts.failed.as_deref().map_or(Ok(()), |why| Err(unavailable(why)));
        }
        match self.fetch().await {
            Ok(keys) => {
                current.store(Some(Arc::new(Fetched { at: Instant::now(), keys })));
                attempts.failed = None;
                Ok(())
            }
            Err(why) => {
                tracing::warn!(issuer = issuer.as_str(), why, "the keys of an issuer cannot be fetched");
                let refusal = unavailable(&why);
                attempts.failed = Some(why);
                Err(refusal)
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let address = match &self.0.address {
            Some(address) => address.clone(),
            None => self.discover().await?,
        };
        KeySet::parse(&self.get(&address).await?)
    }

    /// OpenID Connect Discovery 1.0, section 4.
    async fn discover(&self) -> Result<SafeUrl, String> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: SafeUrl,
        }
        let issuer = self.0.issuer.as_str();
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let text = self.get(&address.try_into()?).await?;
        let Document { issuer: said, jwks_uri } = serde_json::from_slice(&text)
            .map_err(|error| format!("its discovery document cannot be used: {error}"))?;
        if said != issuer {
            return Err(format!("its discovery document is of another issuer, {said}"));
        }
        Ok(jwks_uri)
    }

    async fn get(&self, address: &SafeUrl) -> Result<Vec<u8>, String> {
        let answer = self.0.http.get(address.url().clone()).header("accept", "application/json").send().await;
        let answer = answer.map_err(|error| reason(&error))?;
        if !answer.status().is_success() {
            return Err(format!("{} answered {}", address.url(), answer.status()));
        }
        let mut pieces = answer.bytes_stream();
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await {
            text.extend_from_slice(&piece.map_err(|error| reason(&error))?);
            if text.len() > LARGEST {
                return Err(format!("the answer of {} is longer than {LARGEST} bytes", address.url()));
            }
        }
        Ok(text)
    }
}

/// The innermost cause says most.
fn reason(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
