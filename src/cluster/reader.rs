//! All that tools get of a cluster: get, list, logs, reviews, discovery. Every request has a deadline.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::{Client, client::Body};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::sync::Mutex;
use url::form_urlencoded::Serializer;

use super::{
    Kinds, ReadError, Resource,
    access::Reviews,
    discovery::{self, Discovered},
    guard,
    identity::Identity,
    schema::{Schemas, schemas},
    transport::Traffic,
};
use crate::{audit, caller::Caller};

/// Of one request, connecting and logging in included.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a known list of kinds is used; a new CRD is seen after this at the latest.
const KINDS_FRESH: Duration = Duration::from_secs(60);
/// Those who waited for an answer that did not come do not each wait again.
const FAILURE_FRESH: Duration = Duration::from_secs(2);
/// No object, page of objects or piece of log is larger; what is, is not read to its end.
pub(super) const LARGEST_ANSWER: usize = 64 << 20;
/// Of a refusal only a sentence is told.
const LARGEST_REFUSAL: usize = 1 << 20;

/// By this the API server's audit log tells the reads of tools from what the operator does.
const USER_AGENT: &str = concat!("pilothouse-reader/", env!("CARGO_PKG_VERSION"));

/// Reads a cluster. Cheap to clone; clones share connections and what is known of the kinds.
#[derive(Clone)]
pub struct Reader {
    inner: Arc<Inner>,
    identity: Identity,
}

struct Inner {
    /// Why there is none, otherwise.
    client: Result<Client, String>,
    /// Whose right it is to ask which kinds there are: everybody may, so that one answer serves all callers.
    base: Identity,
    /// For messages.
    server: String,
    /// When it is a recorded cluster.
    recording: Option<Recording>,
    kinds: Mutex<Option<Asked>>,
    reviews: Reviews,
    schemas: Schemas,
}

/// What the API server said when it was last asked for its kinds.
struct Asked {
    at: Instant,
    answer: Result<Arc<Kinds>, ReadError>,
}

/// What a recorded cluster is beside its objects.
pub(super) struct Recording {
    /// When it was made; ages are reckoned from there.
    pub(super) clock: Timestamp,
    /// [`Resource::id`] of the kinds it does not hold.
    pub(super) left_out: BTreeSet<String>,
}

impl Reader {
    /// `client` must already be the one to read with: its rights are those of every read. `server` names the
    /// cluster in messages.
    pub fn new(client: Client, server: &str) -> Self {
        Self::made(Ok(client), Identity::own(), server, None)
    }

    /// Like [`Reader::new`], but every read is `identity`'s.
    pub(super) fn acting(client: Client, identity: Identity, server: &str) -> Self {
        Self::made(Ok(client), identity, server, None)
    }

    pub(super) fn recorded(client: Client, server: &str, recording: Recording) -> Self {
        Self::made(Ok(client), Identity::own(), server, Some(recording))
    }

    /// No cluster at all: every call ends with the sentence `why`.
    pub fn absent(why: &str) -> Self {
        Self::made(Err(why.to_owned()), Identity::own(), "", None)
    }

    fn made(
        client: Result<Client, String>,
        identity: Identity,
        server: &str,
        recording: Option<Recording>,
    ) -> Self {
        let (server, base) = (server.to_owned(), identity.clone());
        let (kinds, reviews, schemas) = (Mutex::default(), Reviews::default(), schemas());
        Self { inner: Arc::new(Inner { client, base, server, recording, kinds, reviews, schemas }), identity }
    }

    /// The reader to answer this caller with: over the same connections, with the caller's own rights where the
    /// caller has proven to be somebody. In a recorded cluster everybody reads the same.
    ///
    /// # Errors
    /// [`ReadError::NotImpersonable`] when the caller cannot be named to the API server exactly as proven.
    pub fn for_caller(&self, caller: &Caller) -> Result<Self, ReadError> {
        if !caller.is_impersonated() || self.inner.recording.is_some() {
            return Ok(self.clone());
        }
        let identity = Identity::of(caller).map_err(ReadError::NotImpersonable)?;
        Ok(Self { inner: self.inner.clone(), identity })
    }

    /// What everybody may read, read as the process does.
    pub(super) fn shared(&self) -> Self {
        Self { inner: self.inner.clone(), identity: self.inner.base.clone() }
    }

    pub(super) fn schemas(&self) -> &Schemas {
        &self.inner.schemas
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn reviews(&self) -> &Reviews {
        &self.inner.reviews
    }

    /// For messages: the address, or the recording's folder.
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    /// The present of this cluster.
    pub fn now(&self) -> Timestamp {
        self.recorded_at().unwrap_or_else(Timestamp::now)
    }

    /// When the cluster was recorded, if it is a recorded one.
    pub fn recorded_at(&self) -> Option<Timestamp> {
        self.inner.recording.as_ref().map(|recording| recording.clock)
    }

    /// Whether it is a recorded cluster whose recording does not hold this kind.
    pub fn is_left_out(&self, resource: &Resource) -> bool {
        self.inner.recording.as_ref().is_some_and(|recording| recording.left_out.contains(&resource.id()))
    }

    pub(super) fn held(&self, resource: &Resource) -> Result<(), ReadError> {
        if self.is_left_out(resource) { Err(ReadError::NotRecorded(resource.id())) } else { Ok(()) }
    }

    /// One object as it came.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when it is not there; see [`ReadError`].
    pub async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Box<RawValue>, ReadError> {
        self.held(resource)?;
        let path = resource.path(namespace, Some(name))?;
        let body = self.read(&path, "application/json").await?;
        serde_json::from_slice(&body).map_err(|error| self.garbled(&path, &error))
    }

    /// Asks for an access, rules or token review, which stores nothing. `path` is for example
    /// `/apis/authorization.k8s.io/v1/selfsubjectaccessreviews`.
    ///
    /// # Errors
    /// [`ReadError::NotARead`] for any other path; see [`ReadError`].
    pub async fn review(&self, path: &str, review: &Value) -> Result<Value, ReadError> {
        let body = self.send(Method::POST, path, "application/json", review.to_string().into_bytes()).await?;
        serde_json::from_slice(&body).map_err(|error| self.garbled(path, &error))
    }

    /// The API server's version, for example `v1.34.4`.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn version(&self) -> Result<String, ReadError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            git_version: String,
        }
        let body = self.read("/version", "application/json").await?;
        let Version { git_version } =
            serde_json::from_slice(&body).map_err(|error| self.garbled("/version", &error))?;
        Ok(git_version)
    }

    /// All kinds; known for a minute. When they cannot be asked for again, those known before are used on.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn kinds(&self) -> Result<Arc<Kinds>, ReadError> {
        // Held while asking: callers that come meanwhile wait for the one answer, a failure too.
        let mut known = self.inner.kinds.lock().await;
        if let Some(Asked { at, answer }) = known.as_ref()
            && at.elapsed() < if answer.is_ok() { KINDS_FRESH } else { FAILURE_FRESH }
        {
            return answer.clone();
        }
        let before = known.take().and_then(|asked| asked.answer.ok());
        let answer = match (self.shared().discovered().await, before) {
            (Ok(kinds), _) => Ok(kinds),
            (Err(error), Some(before)) => {
                tracing::warn!(%error, "the kinds of the cluster cannot be asked for: those of before are used");
                Ok(before)
            }
            (Err(error), None) => Err(error),
        };
        *known = Some(Asked { at: Instant::now(), answer: answer.clone() });
        answer
    }

    async fn discovered(&self) -> Result<Arc<Kinds>, ReadError> {
        let (core, groups) = futures::try_join!(self.discover("/api"), self.discover("/apis"))?;
        Ok(Arc::new(Kinds::of(core.into_iter().chain(groups).collect())))
    }

    async fn discover(&self, path: &str) -> Result<Vec<Resource>, ReadError> {
        let body = self.discovery_document(path).await?;
        match discovery::parse(&body).map_err(|error| self.garbled(path, &error))? {
            Discovered::Resources(resources) => Ok(resources),
            Discovered::Paths(paths) => {
                let mut resources = Vec::new();
                for path in paths {
                    // An aggregated API that is down must not hide the others.
                    match self.read(&path, "application/json").await {
                        Ok(body) => resources.extend(
                            discovery::parse_old(&body).map_err(|error| self.garbled(&path, &error))?,
                        ),
                        Err(error) => tracing::warn!(path, %error, "kinds of this group are unknown"),
                    }
                }
                Ok(resources)
            }
        }
    }

    pub(super) async fn discovery_document(&self, path: &str) -> Result<Bytes, ReadError> {
        self.read(path, discovery::ACCEPT).await
    }

    pub(super) async fn read(&self, path: &str, accept: &str) -> Result<Bytes, ReadError> {
        self.send(Method::GET, path, accept, Vec::new()).await
    }

    async fn send(&self, method: Method, uri: &str, accept: &str, body: Vec<u8>) -> Result<Bytes, ReadError> {
        self.send_within(method, uri, accept, body, LARGEST_ANSWER).await
    }

    pub(super) async fn send_within(
        &self,
        method: Method,
        uri: &str,
        accept: &str,
        body: Vec<u8>,
        largest: usize,
    ) -> Result<Bytes, ReadError> {
        let server = &self.inner.server;
        let answer = async {
            let response = self.open(Traffic::Call, method, uri, accept, body).await?;
            let body = http_body_util::Limited::new(response.into_body(), largest).collect().await;
            let body = body.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    let path = uri.split('?').next().unwrap_or_default().to_owned();
                    return ReadError::TooLarge { server: server.clone(), path, megabytes: largest >> 20 };
                }
                ReadError::Unreachable {
                    server: server.clone(),
                    reason: super::error::reason(error.as_ref()),
                }
            })?;
            Ok(body.to_bytes())
        };
        tokio::time::timeout(DEADLINE, answer)
            .await
            .map_err(|_| ReadError::Timeout { server: server.clone(), seconds: DEADLINE.as_secs() })?
    }

    /// A watch or a log. Its body is still to be read, in the caller's own time.
    pub(super) async fn open_stream(
        &self,
        uri: &str,
        accept: &str,
    ) -> Result<http::Response<Body>, ReadError> {
        self.open(Traffic::Stream, Method::GET, uri, accept, Vec::new()).await
    }

    /// The one door: whatever is not a read stops here.
    async fn open(
        &self,
        traffic: Traffic,
        method: Method,
        uri: &str,
        accept: &str,
        body: Vec<u8>,
    ) -> Result<http::Response<Body>, ReadError> {
        let client = self.inner.client.as_ref().map_err(|why| ReadError::NoCluster(why.clone()))?;
        let path = uri.split('?').next().unwrap_or_default();
        if !guard::is_read(&method, path) {
            return Err(ReadError::NotARead(format!("{method} {path}")));
        }
        if let Some(guard::Asked { verb, resource, namespace, name }) = guard::asked(uri) {
            audit::note(verb, &resource, namespace, name);
        }
        let mut request = Request::builder().method(method).uri(uri).header(header::ACCEPT, accept);
        request = request.header(header::USER_AGENT, USER_AGENT).extension(traffic);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in self.identity.headers() {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body)).map_err(|error| self.garbled(path, &error))?;
        let server = &self.inner.server;
        let answer = async {
            let response =
                client.send(request).await.map_err(|error| ReadError::of_client(&error, server))?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let body = http_body_util::Limited::new(response.into_body(), LARGEST_REFUSAL);
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Err(ReadError::of_status(status, &body, server))
        };
        tokio::time::timeout(DEADLINE, answer)
            .await
            .map_err(|_| ReadError::Timeout { server: server.clone(), seconds: DEADLINE.as_secs() })?
    }

    pub(super) fn garbled(&self, path: &str, error: &dyn std::fmt::Display) -> ReadError {
        ReadError::Garbled {
            server: self.inner.server.clone(),
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("server", &self.inner.server).finish_non_exhaustive()
    }
}

pub(super) fn query(pairs: &[(&str, Option<String>)]) -> String {
    let given = pairs.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    Serializer::new(String::new()).extend_pairs(given).finish()
}
