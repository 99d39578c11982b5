//! rmcp's handler: one a connection (stdio, SSE), session (legacy HTTP) or request (modern HTTP).

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CompleteRequestMethod, CompleteRequestParams, CompleteResult, CustomNotification,
        CustomRequest, CustomResult, DiscoverRequestMethod, DiscoverResult, Extensions, Implementation,
        InitializeRequestParams, InitializeResult, ListPromptsRequestMethod, ListPromptsResult,
        ListResourceTemplatesRequestMethod, ListResourceTemplatesResult, ListResourcesRequestMethod,
        ListResourcesResult, ListToolsRequestMethod, ListToolsResult, MetaObject, NotificationMetaObject,
        PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig, SubscriptionFilter,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
    transport::streamable_http_server::SessionRestoreMarker,
};
use serde_json::{Value, value::RawValue};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

mod acknowledged;
mod context;

use self::{
    acknowledged::Acknowledged,
    context::{carried, era, parts, untyped},
};
use super::{
    announce,
    authentication::Until,
    face::{Asking, Face},
    large::{self, Wish},
    outgoing::WayOut,
    own::Updates,
    subscriptions::{self, Subscriptions},
    trace::Trace,
    turned_away::TurnedAway,
    upward::{self, Level, Limits},
    view::Length,
    words,
};
use crate::{
    caller::Caller,
    gateway::{
        Client, Seats,
        wire::{
            Era, RpcError,
            carrier::{self, Carried},
            text::{Fields, raw},
        },
    },
};

/// Messages that wait for the client before those who send them wait.
const UP: usize = 16;

/// Notifications of one client on their way to servers at once. Those who hear of one of so many need no more.
const NOTES: usize = 16;

/// Who asks over this connection.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// The same caller always: the one who opened the pipe.
    Fixed(Caller),
    /// Every HTTP request names its own, put into its extensions by `authentication`.
    EachRequest,
}

/// Which revisions a transport can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revisions {
    All,
    /// Up to 2025-11-25.
    Legacy,
}

pub(super) struct Session {
    face: Arc<Face>,
    who: Who,
    revisions: Revisions,
    /// The caller of the first request; a legacy session is bound to it.
    bound: OnceLock<Caller>,
    /// Where the calls of a legacy session go to servers that keep something between calls.
    seats: OnceLock<Arc<Seats>>,
    /// How long a list of tools its URL asks for, where that is not the URL of each request.
    of_url: Option<Length>,
    /// How a legacy client wants its list of tools: by that it is told of changes.
    wish: Wish,
    /// From `logging/setLevel`; everything until then.
    level: Mutex<Level>,
    subscriptions: Subscriptions,
    acknowledged: Acknowledged,
    /// See [`NOTES`].
    notes: Semaphore,
    ended: CancellationToken,
    _end: DropGuard,
}

impl Session {
    pub(super) fn new(face: Arc<Face>, who: Who, revisions: Revisions) -> Self {
        let ended = face.stopped().child_token();
        let bound = OnceLock::new();
        let level = Mutex::new(Level::Debug);
        let subscriptions = Subscriptions::default();
        let seats = OnceLock::new();
        Self {
            face,
            who,
            revisions,
            bound,
            seats,
            of_url: None,
            wish: Wish::default(),
            level,
            subscriptions,
            acknowledged: Acknowledged::default(),
            notes: Semaphore::new(NOTES),
            _end: ended.clone().drop_guard(),
            ended,
        }
    }

    /// Of a connection that was opened with this query in its URL.
    pub(super) fn at_url(self, query: Option<&str>) -> Self {
        Self { of_url: large::wish_of_query(query), ..self }
    }

    /// How long a list of tools the URL asks for.
    fn length_of_url(&self, extensions: &Extensions) -> Option<Length> {
        let query = parts(extensions).and_then(|parts| parts.uri.query());
        large::wish_of_query(query).or(self.of_url)
    }

    fn caller(&self, extensions: &Extensions) -> Result<Caller, ErrorData> {
        let caller = match &self.who {
            Who::Fixed(caller) => caller,
            Who::EachRequest => parts(extensions)
                .and_then(|parts| parts.extensions.get::<Caller>())
                .ok_or_else(|| ErrorData::internal_error("the request came without its caller", None))?,
        };
        let bound = self.bound.get_or_init(|| caller.clone());
        if !bound.is_the_same(caller) {
            tracing::warn!(bound = bound.user, caller = caller.user, "a session was used by another caller");
            self.face.audit().refused(TurnedAway::from_session(caller.clone()).at("/mcp", None));
            let message = "this session belongs to another caller: open your own with initialize";
            return Err(ErrorData::invalid_request(message, None));
        }
        Ok(caller.clone())
    }

    /// A legacy client said once what it can do, a modern one says so each time.
    fn seats(&self, context: &RequestContext<RoleServer>, caller: &Caller, carried: &Carried) -> Arc<Seats> {
        if era(context) == Era::Modern {
            let client = Client::of_request(caller.clone(), carried.params.as_deref());
            return Arc::new(Seats::of(client));
        }
        let of_session = || {
            let said = context.peer.peer_info();
            let capabilities = said.as_ref().map(|said| raw(&said.capabilities));
            let info = said.as_ref().map(|said| raw(&said.client_info));
            Arc::new(Seats::of(Client::new(caller.clone(), capabilities, info)))
        };
        self.seats.get_or_init(of_session).clone()
    }

    /// Adds what the servers that this caller sees declare.
    async fn declare(&self, context: &RequestContext<RoleServer>, era: Era, meta: &mut Option<MetaObject>) {
        // Whoever may not come in is told so by the next request.
        let Ok(caller) = self.caller(&context.extensions) else { return };
        if let Some(declared) = self.face.declared(&caller, era).await {
            let (key, value) = carrier::declared(&declared);
            meta.get_or_insert_with(MetaObject::new).0.insert(key, value);
        }
    }

    /// Which log messages this client wants: a legacy one those it asked for, a modern one says so each time.
    fn limits(&self, era: Era, carried: &Carried) -> Limits {
        let level = match era {
            Era::Legacy => Some(*self.level.lock().unwrap_or_else(PoisonError::into_inner)),
            Era::Modern => carried.params.as_deref().and_then(|params| {
                let params = Fields::parse(params.get()).ok()?;
                let meta = Fields::parse(params.get("_meta")?.get()).ok()?;
                Level::parse(&meta.get_str("io.modelcontextprotocol/logLevel")?)
            }),
        };
        Limits { era, level }
    }

    /// What a legacy request subscribes to, with its updates, or no longer.
    ///
    /// # Errors
    /// When the resource cannot be subscribed to, or there are too many already.
    async fn subscribed(
        &self,
        carried: &Carried,
        caller: &Caller,
        era: Era,
    ) -> Result<Option<(String, Option<Updates>)>, RpcError> {
        let subscribes = match &*carried.method {
            "resources/subscribe" => true,
            "resources/unsubscribe" => false,
            _ => return Ok(None),
        };
        let uri = Fields::of(carried.params.as_deref()).ok().and_then(|params| params.get_str("uri"));
        // Whatever is wrong with the request is said by the face.
        let Some(uri) = uri.filter(|_| era == Era::Legacy && self.face.offer().subscriptions) else {
            return Ok(None);
        };
        if !subscribes {
            return Ok(Some((uri, None)));
        }
        if self.subscriptions.is_full() {
            let most = subscriptions::MOST;
            let message =
                format!("this session has {most} subscriptions: end one with resources/unsubscribe first");
            return Err(RpcError::new(RpcError::INVALID_REQUEST, &message));
        }
        let updates = self.face.updates(caller, &uri).await?;
        Ok(Some((uri, Some(updates))))
    }

    /// What a legacy client says unasked goes on to the servers that know this very client.
    async fn hand_on(&self, extensions: &Extensions, method: &str, params: Option<&RawValue>) {
        if let Err(error) = self.caller(extensions) {
            tracing::warn!(%error, method, "a notification is not handed on");
            return;
        }
        // Before its first call no server has been told of it.
        let Some(seats) = self.seats.get() else { return };
        match self.notes.try_acquire() {
            Ok(_turn) => seats.tell(method, params).await,
            Err(_) => tracing::debug!(method, "a client says more than its servers take"),
        }
    }

    /// The level that is asked for, by its name.
    ///
    /// # Errors
    /// When the level is none of the eight.
    fn set_level(&self, carried: &Carried) -> Result<String, RpcError> {
        let (level, name) = Fields::of(carried.params.as_deref())
            .ok()
            .and_then(|params| {
                let name = params.get_str("level")?;
                Some((Level::parse(&name)?, name))
            })
            .ok_or_else(|| {
                let message = "params.level must be one of debug, info, notice, warning, error, critical, alert, emergency";
                RpcError::new(RpcError::INVALID_PARAMS, message)
            })?;
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = level;
        Ok(name)
    }
}

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        let offer = self.face.offer();
        let mut capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_completions()
            .build();
        if offer.logging {
            capabilities.logging = Some(serde_json::Map::new());
        }
        if let Some(resources) = capabilities.resources.as_mut().filter(|_| offer.subscriptions) {
            resources.subscribe = Some(true);
        }
        let info = Implementation::new(words::NAME, words::VERSION).with_title("pilothouse");
        ServerConfig::new(capabilities).with_server_info(info).with_instructions(offer.instructions)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        match self.revisions {
            Revisions::All => Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS),
            Revisions::Legacy => {
                Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::LATEST_WITH_INITIALIZE))
            }
        }
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        let mut result = self.negotiate_initialize(&request)?;
        self.declare(&context, Era::Legacy, &mut result.meta).await;
        Ok(result)
    }

    async fn discover(&self, context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        if self.revisions == Revisions::Legacy {
            return Err(ErrorData::method_not_found::<DiscoverRequestMethod>());
        }
        let mut result = DiscoverResult::from_server_info(
            self.supported_protocol_versions().into_owned(),
            self.get_info(),
        );
        result.ttl_ms = words::LIST_TTL;
        result.cache_scope = CacheScope::Private;
        self.declare(&context, Era::Modern, &mut result.meta).await;
        Ok(result)
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let carried = carried(&context.extensions).ok_or_else(|| untyped(&request.method, &context))?;
        let caller = self.caller(&context.extensions)?;
        let era = era(&context);
        let way_out = Arc::new(WayOut::default());
        let answer = async {
            let seats = self.seats(&context, &caller, &carried);
            if &*carried.method == "logging/setLevel" && era == Era::Legacy {
                seats.set_level(&self.set_level(&carried)?);
            }
            let subscribed = self.subscribed(&carried, &caller, era).await?;
            let (up, from) = mpsc::channel(UP);
            let params = carried.params.as_deref();
            let http = parts(&context.extensions);
            let length = self.length_of_url(&context.extensions);
            if &*carried.method == "tools/list" && era == Era::Legacy {
                let said = Fields::of(params).ok().and_then(|params| large::wish(&params));
                self.wish.set(said.or(length));
            }
            let asking = Asking {
                up,
                way_out: way_out.clone(),
                seats,
                trace: Trace::continued(params, http.map(|parts| &parts.headers)),
                length,
            };
            let answer = self.face.answer(&carried.method, params, &caller, era, asking);
            let answer = Box::pin(answer);
            let answer = upward::drive(&context, self.limits(era, &carried), from, &way_out, answer).await?;
            match subscribed {
                Some((uri, Some(updates))) => {
                    self.subscriptions.apply(uri, updates, context.peer.clone(), &self.ended);
                }
                Some((uri, None)) => self.subscriptions.delete(&uri),
                None => {}
            }
            Ok(answer)
        };
        match answer.await {
            Ok(result) => Ok(carrier::result(carried.slot.as_ref(), way_out.answer(result))),
            Err(RpcError(error)) => Err(carrier::error(&RpcError(way_out.error(error)))),
        }
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let caller = match self.caller(&context.extensions) {
            Ok(caller) => caller,
            Err(error) => {
                tracing::warn!(%error, "a session is not told of changes");
                return;
            }
        };
        if context.extensions.get::<SessionRestoreMarker>().is_some() {
            let told = announce::made_again(context.peer.clone(), self.face.offer().logging);
            tokio::spawn(self.ended.clone().run_until_cancelled_owned(told));
        }
        self.wish.set(self.length_of_url(&context.extensions));
        let client = (caller, self.wish.clone());
        // Now, not when the task first runs: the client may list in between.
        let since = self.face.catalogues().since_now();
        tokio::spawn(announce::to_session(since, client, context.peer, self.ended.clone()));
    }

    async fn on_roots_list_changed(&self, context: NotificationContext<RoleServer>) {
        self.hand_on(&context.extensions, "notifications/roots/list_changed", None).await;
    }

    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        context: NotificationContext<RoleServer>,
    ) {
        let CustomNotification { method, mut params, extensions: _ } = notification;
        // rmcp has put it aside, and takes it for an extension.
        let meta = context.extensions.get::<NotificationMetaObject>().filter(|meta| !meta.0.is_empty());
        if let Some(meta) = meta {
            let params = params.get_or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let (Some(params), Ok(meta)) = (params.as_object_mut(), serde_json::to_value(meta)) {
                params.insert("_meta".to_owned(), meta);
            }
        }
        let params = params.as_ref().map(raw);
        self.hand_on(&context.extensions, &method, params.as_deref()).await;
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.acknowledged.begin(self.face.catalogues().since_now());
        // rmcp takes away what the capabilities do not declare.
        let mut accepted = requested.clone();
        if let Some(uris) = &mut accepted.resource_subscriptions {
            uris.truncate(subscriptions::MOST);
        }
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let since = self.acknowledged.begun().unwrap_or_else(|| self.face.catalogues().since_now());
        let extensions = &context.request_context().extensions;
        let caller = self.caller(extensions)?;
        let until = parts(extensions).and_then(|parts| parts.extensions.get::<Until>()).cloned();
        let end = async {
            let token_ends = async {
                match &until {
                    Some(until) => until.passed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = context.cancelled() => {}
                () = token_ends => {}
                () = self.face.stopping().cancelled() => {}
            }
        };
        let wanted = context.sink().accepted().resource_subscriptions.clone().unwrap_or_default();
        let mut updates = Vec::new();
        for uri in wanted.into_iter().take(subscriptions::MOST) {
            match self.face.updates(&caller, &uri).await {
                Ok(changes) => updates.push((uri, changes)),
                // The acknowledgment has gone out already; the client reads what it may read and is told why.
                Err(error) => tracing::info!(uri, why = error.message(), "a resource is not followed"),
            }
        }
        let wish = Wish::default();
        wish.set(large::wish_of_meta(&context.request_context().meta).or(self.length_of_url(extensions)));
        let lists = announce::to_subscription(since, (caller, wish), context.sink(), end);
        tokio::select! {
            () = lists => {}
            () = subscriptions::to_stream(updates, context.sink()) => {}
        }
        Ok(())
    }

    // A request that reaches these came past the edge; rmcp's own answers would be empty but cheerful.

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListToolsRequestMethod>())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourceTemplatesRequestMethod>())
    }
}
