//! The one handler of all requests, whoever asks and over whichever transport. Knows nothing of rmcp.

mod admit;
mod declared;
mod follow;
mod tasks;

use std::{sync::Arc, time::Duration};

use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use self::{admit::Admitted, follow::Followed};
use super::{
    access::{Access, Look, Open},
    announce::Outlook,
    large, links,
    manners::Manners,
    outgoing::{self, Of, WayOut},
    own::{Asked, Offer, Own, Updates},
    params::{fields, required},
    resources,
    trace::Trace,
    view::{ForeignCursor, Length, View},
    words,
};
use crate::{
    audit::Audit,
    caller::Caller,
    gateway::{
        Catalogue, Entry, Gateway, Kind, Request, Route, Seats, is_about_task,
        wire::{
            Era, Raw, RpcError, Up,
            rejected::Rejections,
            text::{Fields, raw, string},
        },
    },
    tools::{CALL, SEARCH},
};

/// The side that asks: where what comes before the answer goes, how all of it leaves, and where its session's calls
/// have their seats.
pub(super) struct Asking {
    pub(super) up: mpsc::Sender<Up>,
    pub(super) way_out: Arc<WayOut>,
    pub(super) seats: Arc<Seats>,
    /// The trace that it is part of.
    pub(super) trace: Option<Trace>,
    /// How long a list of tools it wants, when it says so.
    pub(super) length: Option<Length>,
}

/// pilothouse as clients see it. Shared by all transports and sessions.
pub struct Face {
    gateway: Arc<Gateway>,
    own: Arc<dyn Own>,
    audit: Audit,
    outlook: Outlook,
    manners: Manners,
    rejections: Arc<Rejections>,
    open: TaskTracker,
    stopping: CancellationToken,
    stopped: CancellationToken,
}

impl Face {
    /// `own` answers for the catalogue's entries with [`Route::Own`], `access` says to whom.
    pub fn new(gateway: Arc<Gateway>, own: Arc<dyn Own>, audit: Audit, access: Arc<dyn Access>) -> Arc<Self> {
        let catalogues = gateway.catalogues();
        Self::guarded(catalogues, gateway, own, audit, access)
    }

    /// Shows other catalogues than the gateway's, and everything of them to everybody.
    pub fn showing(
        catalogues: watch::Receiver<Arc<Catalogue>>,
        gateway: Arc<Gateway>,
        own: Arc<dyn Own>,
        audit: Audit,
    ) -> Arc<Self> {
        Self::guarded(catalogues, gateway, own, audit, Arc::new(Open))
    }

    /// Shows other catalogues than the gateway's.
    pub fn guarded(
        catalogues: watch::Receiver<Arc<Catalogue>>,
        gateway: Arc<Gateway>,
        own: Arc<dyn Own>,
        audit: Audit,
        access: Arc<dyn Access>,
    ) -> Arc<Self> {
        Arc::new(Self {
            gateway,
            own,
            audit,
            outlook: Outlook { catalogues, access, length: Length::Whole },
            manners: Manners::default(),
            rejections: Arc::default(),
            open: TaskTracker::new(),
            stopping: CancellationToken::new(),
            stopped: CancellationToken::new(),
        })
    }

    /// How it treats its callers, said before anybody has come: whether a list of more tools than that is a brief one,
    /// how fast each may ask, and where the spans of their requests go.
    pub fn treating(mut self: Arc<Self>, listed_up_to: usize, manners: Manners) -> Arc<Self> {
        if let Some(face) = Arc::get_mut(&mut self) {
            face.outlook.length = Length::UpTo(listed_up_to);
            face.manners = manners;
        }
        self
    }

    /// Ends in order: subscriptions are completed, open requests may finish for `grace`, then all streams and
    /// sessions end.
    pub async fn shutdown(&self, grace: Duration) {
        self.stopping.cancel();
        self.open.close();
        if tokio::time::timeout(grace, self.open.wait()).await.is_err() {
            tracing::warn!(open = self.open.len(), "requests were still open when the grace time ended");
        }
        self.stopped.cancel();
    }

    /// Messages of clients that were not taken.
    pub fn rejections(&self) -> &Arc<Rejections> {
        &self.rejections
    }

    /// Where what the doors refuse is recorded.
    pub(super) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Held while a request or its answer is on its way; [`Self::shutdown`] waits for it.
    pub(super) fn busy(&self) -> TaskTrackerToken {
        self.open.token()
    }

    /// Cancelled when no new work should begin.
    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Cancelled when every stream must end.
    pub(super) fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    pub(super) fn offer(&self) -> Offer {
        self.own.offer()
    }

    /// For those who tell of changes.
    pub(super) fn catalogues(&self) -> Outlook {
        self.outlook.clone()
    }

    fn catalogue(&self) -> Arc<Catalogue> {
        self.outlook.catalogues.borrow().clone()
    }

    /// # Errors
    /// When it cannot be found out what this caller may see.
    async fn view(&self, catalogue: Arc<Catalogue>, caller: &Caller) -> Result<View, RpcError> {
        let sight = self.outlook.access.sight(caller, &catalogue, Look::Asked).await;
        let sight = sight.map_err(|why| RpcError::new(RpcError::INTERNAL, &why))?;
        Ok(View::of(catalogue, sight, caller))
    }

    /// The input schema of a tool, if this caller is known to see it.
    pub(super) fn schema(&self, caller: &Caller, tool: &str) -> Option<Raw> {
        let view = View::of(self.catalogue(), self.outlook.access.glimpse(caller)?, caller);
        Some(Fields::parse(view.find(Kind::Tool, tool)?.raw.get()).ok()?.get("inputSchema")?.to_owned())
    }

    /// Answers a request, in the asking client's words.
    ///
    /// # Errors
    /// The downstream's own error, or ours in one sentence.
    pub(super) async fn answer(
        &self,
        method: &str,
        params: Option<&RawValue>,
        caller: &Caller,
        era: Era,
        asking: Asking,
    ) -> Result<Raw, RpcError> {
        let _busy = self.busy();
        let asked = Asked { method, name: "", params, caller, era };
        if let Some(refused) = self.manners.too_fast(&self.audit, &asked)? {
            return Ok(words::spoken(refused, method, era));
        }
        let begun = self.manners.begin(asking.trace.clone(), asked);
        let outcome = self.asked(asked, Asking { trace: begun.trace().cloned(), ..asking }).await;
        let failed =
            outcome.as_ref().map_or(true, |result| method == "tools/call" && outgoing::is_error(result));
        begun.end(failed);
        outcome
    }

    async fn asked(&self, asked: Asked<'_>, asking: Asking) -> Result<Raw, RpcError> {
        let Asked { method, era, .. } = asked;
        let list = match method {
            "tools/list" => Some(Kind::Tool),
            "prompts/list" => Some(Kind::Prompt),
            "resources/list" => Some(Kind::Resource),
            "resources/templates/list" => Some(Kind::ResourceTemplate),
            _ => None,
        };
        if let Some(kind) = list {
            return Ok(words::spoken(self.list(kind, asked, asking.length).await?, method, era));
        }
        let legacy = era == Era::Legacy;
        match method {
            "tools/call" => self.named(Kind::Tool, asked, asking).await,
            "prompts/get" => self.named(Kind::Prompt, asked, asking).await,
            "resources/read" => self.resource(asked, asking).await,
            "resources/subscribe" | "resources/unsubscribe" if legacy && self.offer().subscriptions => {
                self.resource(asked, asking).await
            }
            "completion/complete" => self.completion(asked, asking).await,
            _ if is_about_task(method, era) && self.offers_tasks(era) => self.of_task(asked, asking).await,
            // The session has taken the level already.
            "logging/setLevel" if legacy && self.offer().logging => Ok(raw(&serde_json::json!({}))),
            _ => {
                let message = format!("pilothouse does not know the method `{method}`");
                Err(RpcError::new(RpcError::METHOD_NOT_FOUND, &message))
            }
        }
    }

    async fn list(&self, kind: Kind, asked: Asked<'_>, length: Option<Length>) -> Result<Raw, RpcError> {
        let params = fields(asked.params)?;
        let length = large::wish(&params).or(length).unwrap_or(self.outlook.length);
        let cursor = params.get("cursor").map(|cursor| serde_json::from_str::<Option<String>>(cursor.get()));
        let cursor = cursor.transpose().map_err(|_| ForeignCursor);
        let view = self.view(self.catalogue(), asked.caller).await?;
        cursor.and_then(|cursor| view.page(kind, cursor.flatten().as_deref(), length)).map_err(
            |ForeignCursor| {
                let message =
                    "the cursor is not one that a list answered: take nextCursor as it came, or leave it out";
                RpcError::new(RpcError::INVALID_PARAMS, message)
            },
        )
    }

    /// A request for a tool or prompt, by its name.
    async fn named(&self, kind: Kind, asked: Asked<'_>, asking: Asking) -> Result<Raw, RpcError> {
        let params = fields(asked.params)?;
        let name = required(&params, "name")?;
        let catalogue = self.catalogue();
        let is_ours = || catalogue.find(kind, &name).is_some_and(|entry| entry.route == Route::Own);
        match name.as_str() {
            SEARCH if kind == Kind::Tool && is_ours() => {
                let asked = Asked { name: &name, ..asked };
                asking.way_out.begin(&self.audit, &asked, Of::Ours)?;
                let view = self.view(catalogue, asked.caller).await?;
                Ok(words::spoken(large::search(&view, params.get("arguments")), asked.method, asked.era))
            }
            CALL if kind == Kind::Tool && is_ours() => match large::inner(&params) {
                Ok((name, params)) => {
                    self.entry(kind, &name, Asked { params: Some(&params), ..asked }, asking).await
                }
                Err(wrong) => Ok(words::spoken(wrong, asked.method, asked.era)),
            },
            _ => self.entry(kind, &name, asked, asking).await,
        }
    }

    async fn entry(&self, kind: Kind, name: &str, asked: Asked<'_>, asking: Asking) -> Result<Raw, RpcError> {
        let mut params = fields(asked.params)?;
        let asked = Asked { name, ..asked };
        let catalogue = self.catalogue();
        let entry = match self.admit(&catalogue, catalogue.find(kind, name), kind, &asked).await? {
            Admitted::To(entry) => entry,
            Admitted::Answered(answer) => return Ok(words::spoken(answer, asked.method, asked.era)),
        };
        match &entry.route {
            Route::Own => self.own(asked, asking).await,
            Route::Downstream { original, .. } => {
                params.set_str("name", original);
                self.downstream(entry, asked, params.to_raw(), asking).await
            }
        }
    }

    /// A request for a resource, by its URI.
    async fn resource(&self, asked: Asked<'_>, asking: Asking) -> Result<Raw, RpcError> {
        let mut params = fields(asked.params)?;
        let uri = required(&params, "uri")?;
        let asked = Asked { name: &uri, ..asked };
        let catalogue = self.catalogue();
        let unlisted = resources::unlisted(&catalogue, &uri);
        let found = if resources::is_contested(&catalogue, &uri) {
            let view = self.view(catalogue.clone(), asked.caller).await?;
            resources::shown_resource(&catalogue, &uri, |entry| view.shows(entry))
        } else {
            resources::resource(&catalogue, &uri)
        };
        let found = found.or(unlisted.as_ref());
        let entry = match self.admit(&catalogue, found, Kind::Resource, &asked).await? {
            Admitted::To(entry) => entry,
            Admitted::Answered(answer) => return Ok(answer),
        };
        match &entry.route {
            Route::Own => self.own(asked, asking).await,
            // The session holds the subscription; see `Self::updates`.
            Route::Downstream { .. } if asked.method.ends_with("subscribe") => {
                Ok(raw(&serde_json::json!({})))
            }
            Route::Downstream { original, .. } => {
                params.set_str("uri", &resources::original_uri(entry, original, &uri));
                self.downstream(entry, asked, params.to_raw(), asking).await
            }
        }
    }

    /// The updates of a resource, ours or a server's, for whoever holds them.
    ///
    /// # Errors
    /// When it is not there or not this caller's to read, or its server tells of no updates.
    pub(super) async fn updates(self: &Arc<Self>, caller: &Caller, uri: &str) -> Result<Updates, RpcError> {
        let catalogue = self.catalogue();
        match self.followed(&catalogue, caller, uri).await? {
            Some(Followed::Own) => self.own.updates(caller, uri).await,
            Some(Followed::Of(place)) => {
                let updates = self.gateway.updates(&place.server, &place.original)?;
                Ok(follow::on(self.clone(), caller.clone(), uri.to_owned(), place, updates))
            }
            None => {
                let message = format!("`{uri}` is no resource that can be subscribed to");
                Err(RpcError::new(RpcError::INVALID_PARAMS, &message))
            }
        }
    }

    /// A completion, by the prompt or resource it refers to.
    async fn completion(&self, asked: Asked<'_>, asking: Asking) -> Result<Raw, RpcError> {
        let mut params = fields(asked.params)?;
        let reference = params.get("ref").map(ToOwned::to_owned);
        let mut reference = fields(reference.as_deref())?;
        let (key, kind) = match required(&reference, "type")?.as_str() {
            "ref/prompt" => ("name", Kind::Prompt),
            "ref/resource" => ("uri", Kind::ResourceTemplate),
            other => {
                let message = format!("ref.type is `{other}`: it must be `ref/prompt` or `ref/resource`");
                return Err(RpcError::new(RpcError::INVALID_PARAMS, &message));
            }
        };
        let name = required(&reference, key)?;
        let asked = Asked { name: &name, ..asked };
        let catalogue = self.catalogue();
        let found = catalogue.find(kind, &name);
        let unlisted = resources::unlisted(&catalogue, &name).filter(|_| kind != Kind::Prompt);
        let resource = || resources::resource(&catalogue, &name).or(unlisted.as_ref());
        let found = if kind == Kind::Prompt { found } else { found.or_else(resource) };
        let entry = match self.admit(&catalogue, found, kind, &asked).await? {
            Admitted::To(entry) => entry,
            Admitted::Answered(answer) => return Ok(answer),
        };
        match &entry.route {
            Route::Own => self.own(asked, asking).await,
            Route::Downstream { original, .. } => {
                reference.set(key, string(original));
                let reference = reference.to_raw();
                params.set("ref", reference);
                self.downstream(entry, asked, params.to_raw(), asking).await
            }
        }
    }

    async fn own(&self, asked: Asked<'_>, asking: Asking) -> Result<Raw, RpcError> {
        asking.way_out.begin(&self.audit, &asked, Of::Ours)?;
        let answer = asking.way_out.footprint.follow(self.own.answer(asked, asking.up)).await?;
        Ok(words::spoken(answer, asked.method, asked.era))
    }

    async fn downstream(
        &self,
        entry: &Entry,
        asked: Asked<'_>,
        params: Raw,
        asking: Asking,
    ) -> Result<Raw, RpcError> {
        let Route::Downstream { server, .. } = &entry.route else {
            return Err(RpcError::new(RpcError::INTERNAL, "an own entry was sent to the gateway"));
        };
        let of = Of::Server { namespace: &server.namespace, name: &server.name };
        asking.way_out.begin(&self.audit, &asked, of)?;
        let params = match &asking.trace {
            Some(trace) => trace.give_on(params),
            None => params,
        };
        let request = Request {
            server: server.as_ref().clone(),
            method: asked.method.to_owned(),
            params: Some(params),
            era: asked.era,
            seats: Some(asking.seats),
        };
        if !entry.exposure.redact {
            asking.way_out.leave_as_it_is();
        }
        let answer = self.gateway.call(request, asking.up).await;
        let catalogue = self.catalogue();
        match answer {
            Ok(result) => Ok(links::shown(result, server, &catalogue)),
            Err(error) => Err(links::shown_error(error, server, &catalogue)),
        }
    }
}
