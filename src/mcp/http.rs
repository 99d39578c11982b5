//! The HTTP side of the face: `/mcp` (Streamable HTTP, both eras), `/sse` and `/messages` (HTTP+SSE).

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use http::{Method, StatusCode, request::Parts};
use http_body_util::BodyExt;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tower::ServiceExt;

use super::{
    KEEP_ALIVE,
    admission::{self, Admission},
    authentication::{self, Auth, Until},
    conversations::Conversations,
    face::Face,
    form::Formed,
    rejected,
    session::{Revisions, Session, Who},
    sessions::{Cover, Home, Parcel, Received, Sessions, at_home},
    sse::{self, SseSessions},
    turned_away::recorded,
};
use crate::{
    caller::Caller,
    gateway::wire::{body::Patience, edge::Edge},
};

/// What the HTTP side needs to know.
#[derive(Clone)]
pub struct HttpSettings {
    pub admission: Admission,
    pub auth: Auth,
    /// Longest request body in bytes.
    pub body_limit: usize,
    /// How long a request body may take.
    pub patience: Patience,
    /// A legacy session without a request for so long is ended.
    pub session_idle: Duration,
    /// The same for an HTTP+SSE session. Its open stream already shows that the client lives.
    pub sse_idle: Duration,
    /// How sessions are named, and where else they may be.
    pub sessions: Sessions,
}

impl Default for HttpSettings {
    /// For loopback.
    fn default() -> Self {
        Self {
            admission: Admission::default(),
            auth: Auth::Open,
            body_limit: 64 * 1024 * 1024,
            patience: Patience::default(),
            session_idle: Duration::from_secs(30 * 60),
            sse_idle: Duration::from_secs(8 * 60 * 60),
            sessions: Sessions::alone(),
        }
    }
}

/// The routes. Streams end when the face is [shut down](Face::shutdown).
pub fn router(face: Arc<Face>, settings: HttpSettings) -> Router {
    doors(face, settings).0
}

/// [The routes](router), and the way in for requests that other replicas have let in and sent here.
pub fn doors(face: Arc<Face>, settings: HttpSettings) -> (Router, BackDoor) {
    let HttpSettings { admission, auth, body_limit, patience, session_idle, sse_idle, sessions } = settings;
    let body = (body_limit, patience);
    let home = Home::new(sessions.clone(), face.stopping().clone(), session_idle, body);
    let written = |as_object| {
        // Bodies are limited at the edge, hosts and origins by `admission`, both for every route.
        let mut config = StreamableHttpServerConfig::default()
            .with_json_response(as_object)
            .with_sse_keep_alive(Some(KEEP_ALIVE))
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_max_request_body_bytes(usize::MAX)
            .with_cancellation_token(face.stopped().clone());
        config.session_store = Some(home.handover());
        config
    };
    let conversations = Arc::new(Conversations::new(session_idle));
    let edge = |config| {
        let (here, shared) = (face.clone(), face.clone());
        let session = move || Ok(Session::new(here.clone(), Who::EachRequest, Revisions::All));
        let schemas = move |parts: &Parts, tool: &str| shared.schema(parts.extensions.get::<Caller>()?, tool);
        let service = StreamableHttpService::new(session, conversations.clone(), config);
        Edge::new(service, body_limit, patience, Arc::new(schemas))
    };
    let edges = Formed { as_object: edge(written(true)), as_stream: edge(written(false)) };
    let busy = face.clone();
    let audit = face.audit().clone();
    let rejections = face.rejections().clone();
    let routes = Router::new()
        .route_service("/mcp", edges)
        .route_layer(middleware::from_fn_with_state(home.clone(), at_home))
        .merge(sse::router(SseSessions::new(face, sessions, body, sse_idle)))
        .route_layer(middleware::from_fn_with_state(busy, until_written));
    let back = BackDoor { routes: routes.clone(), home };
    let front = routes
        .route_layer(middleware::from_fn_with_state(rejections, rejected::count))
        .route_layer(middleware::from_fn(until_token_ends))
        .route_layer(middleware::from_fn_with_state(auth.clone(), authentication::authenticate))
        .merge(authentication::router(auth))
        .layer(middleware::from_fn_with_state(Arc::new(admission), admission::admit));
    (recorded(front, audit), back)
}

/// For requests whose caller another replica has proven. Cheap to clone.
#[derive(Clone)]
pub struct BackDoor {
    routes: Router,
    home: Home,
}

impl BackDoor {
    /// 421 when the session that the request belongs to is not here.
    pub async fn answer(&self, parcel: Parcel) -> Response {
        let Parcel { cover: Cover { caller, adopt, method, path, headers }, body } = parcel;
        let mut request = Request::builder().method(method.as_str()).uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let Ok(mut request) = request.body(Body::from(body)) else {
            return (StatusCode::BAD_REQUEST, "another replica sent what is no request\n").into_response();
        };
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(Received { adopt });
        let Ok(answer) = self.routes.clone().oneshot(request).await;
        answer
    }

    /// Whether a session of a replica that is gone was made again here.
    pub fn has_made(&self, session: &str) -> bool {
        self.home.has_made(session)
    }

    /// Whether this process is to end.
    pub fn is_leaving(&self) -> bool {
        self.home.is_leaving()
    }
}

/// A GET is a stream for as long as the client likes, but not for longer than its token holds. A call that runs
/// may finish, and a modern subscription is ended in its own words by `session`.
async fn until_token_ends(request: Request, next: Next) -> Response {
    let until = request.extensions().get::<Until>().cloned();
    let until = until.filter(|_| request.method() == Method::GET);
    let response = next.run(request).await;
    let Some(until) = until else { return response };
    response.map(|body| {
        let ended = async move { until.passed().await };
        Body::from_stream(body.into_data_stream().take_until(Box::pin(ended)))
    })
}

/// Keeps the face busy until the answer to a request has left, so that a shutdown does not cut it off. A GET
/// is a stream that only a shutdown ends.
async fn until_written(State(face): State<Arc<Face>>, request: Request, next: Next) -> Response {
    let busy = (request.method() == Method::POST).then(|| face.busy());
    next.run(request).await.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &busy;
            frame
        }))
    })
}
