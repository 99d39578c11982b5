//! A validating webhook, served by every replica: the API server asks before it stores an MCPServer, MCPPool or
//! DataSource. `README.md` beside this file says what is refused, and why so.

mod certificate;
mod config;
mod review;
mod tls;
mod witness;

pub use config::WebhookConfig;
pub use witness::{Posted, Witness};

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State, rejection::BytesRejection},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
    serve::Listener,
};
use bytes::Bytes;
use http::StatusCode;
use kube::Client;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    OperatorSettings,
    mcp_server::{Examiner, Objections},
    writer::Writer,
};
pub(super) use certificate::Keeper;
use certificate::Presented;
use config::{CertificateSource, References};
use review::{About, Review, Verdict};

/// Where the API server asks.
const PATH: &str = "/validate";
/// An object and the one it replaces, each of at most what an API server takes (3 MiB), and what surrounds them.
const LARGEST: usize = 8 * 1024 * 1024;
/// Questions answered at once; a further one waits.
const AT_ONCE: usize = 32;
/// Of reading a body, too.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
#[error(
    "the webhook cannot listen at {address}: {source}; choose another operator.webhook.address in the configuration"
)]
pub struct WebhookError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Bound, and not served yet. Given to [`super::Operator::webhook`].
pub struct Webhook {
    config: WebhookConfig,
    listener: std::net::TcpListener,
    witness: Option<Arc<dyn Witness>>,
}

impl Webhook {
    /// # Errors
    /// When the address is taken.
    pub fn bind(config: WebhookConfig) -> Result<Self, WebhookError> {
        let address = config.address;
        let bound = std::net::TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        bound
            .map(|listener| Self { config, listener, witness: None })
            .map_err(|source| WebhookError { address, source })
    }

    /// Where it listens; another than was configured, when any free port was asked for.
    ///
    /// # Errors
    /// As the system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// With this the API server's questions about what anybody stores are told to somebody, and its audit events.
    #[must_use]
    pub fn witness(self, witness: Arc<dyn Witness>) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// What the leader does for the certificate; nothing where it is somebody else's.
    pub(super) fn keeper(&self, client: &Client, settings: &OperatorSettings) -> Option<Keeper> {
        let CertificateSource::Own { life, names } = &self.config.certificate else { return None };
        let configuration = &self.config.configuration;
        Some(Keeper::new(client.clone(), &settings.lease_namespace, configuration, *life, names))
    }

    /// Answers until `cancel`, whoever leads. `namespace` is our own.
    pub(super) async fn run(
        self,
        client: Client,
        namespace: String,
        examiner: Examiner,
        cancel: CancellationToken,
    ) {
        let Self { config, listener, witness } = self;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let presented = Arc::new(Presented::default());
        let listener =
            TcpListener::from_std(listener).map_err(|error| error.to_string()).and_then(|listener| {
                let tls = tls::TlsListener::new(listener, presented.clone(), provider.clone());
                tls.map_err(|error| error.to_string())
            });
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(error, "the webhook is not served");
                return;
            }
        };
        tracing::info!(address = ?listener.local_addr().ok(), "serving the webhook at {PATH}");
        let desk = Desk { examiner, references: config.references };
        let serving = axum::serve(listener, router(desk, witness, DEADLINE))
            .with_graceful_shutdown(cancel.clone().cancelled_owned());
        let following =
            certificate::follow(presented, config.certificate, client, namespace, provider, cancel.clone());
        let (served, ()) = tokio::join!(serving, following);
        if let Err(error) = served {
            tracing::error!(%error, "the webhook is not served any more");
        }
    }
}

/// What the leader does for the certificate, until its term ends.
pub(super) async fn keep(keeper: Option<&Keeper>, writer: &Writer, term: &CancellationToken) {
    if let Some(keeper) = keeper {
        keeper.run(writer, term).await;
    }
}

struct Desk {
    examiner: Examiner,
    references: References,
}

fn router(desk: Desk, witness: Option<Arc<dyn Witness>>, deadline: Duration) -> Router {
    let validating = Router::new()
        .route(PATH, post(validate))
        .with_state(Arc::new(desk))
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(GlobalConcurrencyLimitLayer::new(AT_ONCE));
    validating
        .merge(witness.map_or_else(Router::new, witness::router))
        .layer(middleware::from_fn_with_state(deadline, in_time))
        .layer(CatchPanicLayer::new())
}

/// A body that does not come to its end holds nobody up.
async fn in_time(State(deadline): State<Duration>, request: Request, next: Next) -> Response {
    let answered = timeout(deadline, next.run(request)).await;
    answered.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

/// Whatever is no answer counts as none: the object is then stored (`failurePolicy: Ignore`).
async fn validate(State(desk): State<Arc<Desk>>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let review = match Review::parse(&body) {
        Ok(review) => review,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let objections = match &review.about {
        About::Server { server, before } => desk.examiner.server(server, before.as_deref()).await,
        About::Pool(pool) => desk.examiner.pool(pool).await,
        About::Source(source) => desk.examiner.source(source).await,
        About::Nothing(None) => Objections::default(),
        About::Nothing(Some(warning)) => {
            let verdict = Verdict { causes: Vec::new(), warnings: vec![warning.clone()] };
            return Json(review.answer(&verdict)).into_response();
        }
    };
    Json(review.answer(&Verdict::of(objections, desk.references))).into_response()
}

#[cfg(test)]
mod tests;
