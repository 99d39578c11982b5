//! The one way to a forge's API: a deadline for each request, repeating what may be repeated, keeping to the forge's
//! limits, and the token to nobody but the configured address.
//!
//! [`call`] is what is asked and answered, [`judge`] decides what an answer means, both without the network.

mod call;
mod judge;

use std::{
    error::Error,
    fs, io,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use futures::StreamExt;
use http::HeaderValue;
use reqwest::{Certificate, Client, header, redirect};
use serde::de::DeserializeOwned;
use url::Url;

pub(super) use call::{Answer, Call, Effect, Trouble};
use judge::{Judged, judge};

use super::ForgeError;
use crate::{
    changes::config::{Credentials, Hosted, Repository, Software},
    redact,
};

const CONNECT: Duration = Duration::from_secs(10);
/// Longest that is waited before something is tried again; a forge that wants more is said to be unavailable.
const PATIENCE: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Of an answer in JSON; bytes.
const LARGEST: usize = 32 << 20;
/// Of a packed archive; bytes.
pub(super) const LARGEST_ARCHIVE: usize = 256 << 20;
/// As many as Gitea gives at one time.
const PAGE: usize = 50;
const MOST_PAGES: usize = 20;
/// Of what a forge says when it does not do something; characters.
const SAID: usize = 300;

pub(super) struct Rest {
    /// `Gitea at git.example.com`, for messages.
    place: String,
    /// As the configuration calls it, for messages.
    repository: String,
    base: Url,
    credentials: Option<Credentials>,
    scheme: &'static str,
    http: Client,
    timeout: Duration,
    /// Until when the forge wants no more requests.
    resting: Mutex<Option<Instant>>,
}

impl Rest {
    /// # Errors
    /// When the certificates of `caFile` cannot be used.
    pub(super) fn new(repository: &Repository, at: &Hosted) -> Result<Self, ForgeError> {
        let Hosted { software, api, project: _, ca_file, timeout } = at;
        // The token is for the configured address, and for no other that it might name.
        let mut builder = Client::builder()
            .timeout(*timeout)
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("pilothouse/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = ca_file {
            let unusable = |reason: String| {
                ForgeError::Unsupported(format!(
                    "the certificates in {} for repository {} cannot be used ({reason}): check forge.caFile",
                    path.display(),
                    repository.name
                ))
            };
            let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let found = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
            if found.is_empty() {
                return Err(unusable("it holds none".to_owned()));
            }
            builder = builder.tls_certs_merge(found);
        }
        let http = builder.build().map_err(|error| {
            ForgeError::Unsupported(format!("no HTTP client can be made ({}): report it", innermost(&error)))
        })?;
        let name = match software {
            Software::GitHub => "GitHub",
            Software::GitLab => "GitLab",
            Software::Gitea => "Gitea",
            Software::Forgejo => "Forgejo",
        };
        let port = api.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self {
            place: format!("{name} at {}{port}", api.host_str().unwrap_or_default()),
            repository: repository.name.clone(),
            base: api.clone(),
            credentials: repository.credentials.clone(),
            scheme: match software {
                Software::GitHub | Software::GitLab => "Bearer",
                Software::Gitea | Software::Forgejo => "token",
            },
            http,
            timeout: *timeout,
            resting: Mutex::new(None),
        })
    }

    /// `repository deploy (Gitea at git.example.com)`.
    pub(super) fn where_(&self) -> String {
        format!("repository {} ({})", self.repository, self.place)
    }

    /// The API's address, for APIs that lie beside it.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Asks, and asks again where that is safe. An answer that is no success is still an answer, except for those
    /// that mean the same for every request: no rights, too many requests, a server that is down.
    pub(super) async fn ask(&self, call: &Call) -> Result<Answer, Trouble> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=ATTEMPTS {
            self.rest().await?;
            let token = self.token()?;
            let judged = match self.once(call, &token).await {
                Ok(answer) => judge(answer, call.effect(), SystemTime::now()),
                Err(fault) => fault.judged(call.effect()),
            };
            let (wait, why) = match judged {
                Judged::Give(answer) => return Ok(answer),
                Judged::Refused(answer) => return Err(self.refused(call, &answer, &token)),
                Judged::Elsewhere => {
                    return Err(Trouble::Odd(format!(
                        "{} sends us to another address, where the token must not go: check forge.api of repository {}",
                        self.place, self.repository
                    )));
                }
                Judged::Untrusted(why) => {
                    return Err(Trouble::Odd(format!(
                        "the certificate of {} is not trusted here ({why}): name the certificates of its authority in forge.caFile of repository {}",
                        self.place, self.repository
                    )));
                }
                Judged::Unsure(why) => return Err(Trouble::Unsure(self.unavailable(&why))),
                Judged::Limited(wait) => {
                    let until = Instant::now() + wait;
                    *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
                    continue;
                }
                Judged::Again(why) => {
                    let jitter = Duration::from_millis(u64::from(uuid::Uuid::new_v4().as_bytes()[0]));
                    (pause + jitter, why)
                }
            };
            tracing::debug!(place = %self.place, %why, attempt, "a request to a forge is repeated");
            if attempt == ATTEMPTS {
                return Err(Trouble::Down(self.unavailable(&why)));
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PATIENCE);
        }
        Err(Trouble::Down(self.unavailable("its limits are reached again and again")))
    }

    /// As [`Self::ask`], where everything but a success is an error.
    pub(super) async fn expect(&self, call: &Call) -> Result<Answer, ForgeError> {
        let answer = self.ask(call).await?;
        if answer.is_success() { Ok(answer) } else { Err(self.unexpected(call, &answer)) }
    }

    /// As [`Self::expect`], where what is asked for may not be there.
    pub(super) async fn maybe(&self, call: &Call) -> Result<Option<Answer>, ForgeError> {
        let answer = self.ask(call).await?;
        if answer.is_missing() {
            return Ok(None);
        }
        if answer.is_success() { Ok(Some(answer)) } else { Err(self.unexpected(call, &answer)) }
    }

    pub(super) fn unexpected(&self, call: &Call, answer: &Answer) -> ForgeError {
        let (place, about, said) = (self.where_(), call.about(), self.said(answer));
        match answer.status().as_u16() {
            404 | 410 => ForgeError::Missing(format!(
                "{place} does not have {about}, or the token may not see it ({said}): check url, branch and the token's rights"
            )),
            status => ForgeError::Unsupported(format!("{place} answers {status} for {about} ({said})")),
        }
    }

    /// As [`Self::expect`], page after page, at most [`MOST_PAGES`]. `size` is the parameter with the page's size.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        call: &Call,
        size: &'static str,
    ) -> Result<Vec<T>, ForgeError> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let answer = self.expect(&call.clone().with(size, PAGE).with("page", page)).await?;
            // Gitea says null for an empty list at some places.
            let items: Vec<T> = answer.json::<Option<_>>()?.unwrap_or_default();
            let count = items.len();
            all.extend(items);
            if !answer.goes_on(count, all.len(), PAGE) {
                break;
            }
        }
        Ok(all)
    }

    /// What the forge says, as it may be shown.
    pub(super) fn said(&self, answer: &Answer) -> String {
        self.shown(answer, self.token().ok().as_deref())
    }

    fn shown(&self, answer: &Answer, token: Option<&str>) -> String {
        let words = answer.words();
        let words = match token {
            Some(token) => words.replace(token, "[token]"),
            None => words,
        };
        redact::shown(&words).chars().take(SAID).collect()
    }

    /// Waits while the forge wants to be left alone.
    async fn rest(&self) -> Result<(), Trouble> {
        let until = *self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wait) = until.map(|until| until.saturating_duration_since(Instant::now())) else {
            return Ok(());
        };
        if wait > PATIENCE {
            return Err(Trouble::Down(format!(
                "{} takes no more requests for {} s, since its limit is reached: ask again then",
                self.place,
                wait.as_secs()
            )));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn token(&self) -> Result<String, Trouble> {
        let Some(credentials) = &self.credentials else {
            return Err(Trouble::Refused(format!(
                "repository {} has no tokenFile: name one",
                self.repository
            )));
        };
        credentials.token().map_err(|error| {
            Trouble::Refused(format!(
                "the token of repository {} cannot be read from {} ({error}): check tokenFile",
                self.repository,
                credentials.token_file.display()
            ))
        })
    }

    async fn once(&self, call: &Call, token: &str) -> Result<Answer, Fault> {
        let broken = |reason: &str| Fault::Lost(reason.to_owned());
        let url = call.url(&self.base).ok_or_else(|| broken("its address cannot be used"))?;
        let mut authorization = HeaderValue::try_from(format!("{} {token}", self.scheme))
            .map_err(|_| broken("the token is no text"))?;
        authorization.set_sensitive(true);
        let mut request = self
            .http
            .request(call.method().clone(), url)
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, call.accepts());
        if let Some(body) = call.body() {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.fault(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let largest = call.largest(LARGEST);
        let mut body = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| self.fault(&error))?;
            if body.len() + piece.len() > largest {
                return Err(Fault::TooLarge(largest >> 20));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer::new(status, headers, body))
    }

    fn fault(&self, error: &reqwest::Error) -> Fault {
        if let Some(why) = untrusted(error) {
            Fault::Untrusted(why)
        } else if error.is_connect() {
            Fault::NotSent(innermost(error))
        } else if error.is_timeout() {
            Fault::Lost(format!("no answer within {} s", self.timeout.as_secs()))
        } else {
            Fault::Lost(innermost(error))
        }
    }

    fn refused(&self, call: &Call, answer: &Answer, token: &str) -> Trouble {
        let (status, said) = (answer.status().as_u16(), self.shown(answer, Some(token)));
        Trouble::Refused(if status == 401 {
            format!(
                "{} does not take the token of repository {} ({said}): put a valid one into its tokenFile",
                self.place, self.repository
            )
        } else {
            format!(
                "{} does not let us have {} ({said}): give the token of repository {} the right to read and write the repository and its pull requests",
                self.place,
                call.about(),
                self.repository
            )
        })
    }

    fn unavailable(&self, why: &str) -> String {
        format!(
            "{} cannot be reached for repository {} ({why}): ask again later",
            self.place, self.repository
        )
    }
}

/// Why there is no answer.
enum Fault {
    /// The forge never got it.
    NotSent(String),
    /// Nothing was sent: who answers there could not show who it is.
    Untrusted(String),
    /// It may have got it.
    Lost(String),
    /// Megabytes.
    TooLarge(usize),
}

impl Fault {
    fn judged(self, effect: Effect) -> Judged {
        match (self, effect) {
            (Self::Untrusted(why), _) => Judged::Untrusted(why),
            (Self::NotSent(why), _) | (Self::Lost(why), Effect::Same) => Judged::Again(why),
            (Self::Lost(why), Effect::Once) => Judged::Unsure(why),
            (Self::TooLarge(megabytes), _) => {
                Judged::Unsure(format!("its answer is larger than {megabytes} MiB"))
            }
        }
    }
}

/// What is wrong with the certificate that was shown, when that is the reason.
fn untrusted(error: &reqwest::Error) -> Option<String> {
    let mut next = Some(error as &(dyn Error + 'static));
    while let Some(error) = next {
        if let Some(found @ rustls::Error::InvalidCertificate(_)) = of_tls(error) {
            return Some(found.to_string());
        }
        next = error.source();
    }
    None
}

/// An I/O error does not name what it wraps as its source.
fn of_tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(wraps) => of_tls(wraps.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// The innermost reason: what reqwest says itself repeats the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
