//! Calls in rounds: what a server asks back reaches its client, and the answer reaches the server, whichever of the
//! two eras each of them speaks. `README.md` says how and why.

mod asking;
mod held;
mod questions;
mod state;
mod tasks;
mod urls;
mod waiting;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;

pub(super) use self::tasks::OfTask;
pub use self::tasks::{is_about_task, unknown as unknown_task};
use self::{
    held::{End, Held},
    questions::{InputRequired, Question},
    state::{Bound, Inner},
    tasks::Task,
    waiting::{Full, Waiting},
};
use super::{
    Request,
    client::Client,
    downstream::ServerName,
    link::{Asked, Fault, Link},
    wire::{Era, Raw, RpcError, Up, eras, text::Fields},
};
use crate::answer::Ring;

/// How often a modern server may ask a legacy client in one call.
const ROUNDS: usize = 16;

/// How long a call is held open for an answer.
const HELD_FOR: Duration = Duration::from_secs(600);

/// Log messages that a legacy client gets of a modern server when it has not said which it wants.
const LEVEL: &str = "info";

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    Fault(Fault),
    /// Its time is over, and it was cancelled.
    TooSlow,
}

impl From<Fault> for Unanswered {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

type Answer = Result<Result<Raw, RpcError>, Unanswered>;

/// Shared by all servers of a gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    ring: Option<Ring>,
    /// The name of this replica.
    owner: Arc<str>,
    held: Waiting<Held>,
    next: Arc<AtomicU64>,
}

/// A held call and what its client has answered; the server has not been told yet.
#[derive(Debug)]
pub(super) struct Resumed {
    call: u64,
    held: Held,
    responses: BTreeMap<String, Raw>,
}

impl Resumed {
    pub(super) fn server(&self) -> &ServerName {
        self.held.server()
    }
}

impl Rounds {
    /// Without a ring no question can reach a modern client.
    pub(super) fn new(ring: Option<Ring>, owner: &str) -> Self {
        Self {
            ring,
            owner: owner.into(),
            held: Waiting::new(HELD_FOR),
            next: Arc::new(AtomicU64::new(first())),
        }
    }

    fn ring(&self) -> Result<&Ring, RpcError> {
        let message = "the system gave no random bytes when pilothouse started, so no question can be sealed: start it again";
        self.ring.as_ref().ok_or_else(|| RpcError::new(RpcError::INTERNAL, message))
    }

    /// The replica that holds the call open which this state stands for.
    pub(super) fn owner_of(&self, request_state: &str) -> Option<String> {
        state::owner(self.ring.as_ref()?, request_state, Timestamp::now())
    }

    /// Looks at what a call brings along from its earlier rounds: the server's own state is put back in its place;
    /// a call that is held open goes on.
    ///
    /// # Errors
    /// When the state is not one of ours, or not this caller's or request's; when its call is not held any more.
    pub(super) fn coming(&self, request: &mut Request) -> Result<Option<Resumed>, RpcError> {
        if request.era == Era::Legacy {
            return Ok(None);
        }
        let Some(params) = &request.params else { return Ok(None) };
        if !params.get().contains("requestState") {
            return Ok(None);
        }
        let Ok(fields) = Fields::parse(params.get()) else { return Ok(None) };
        let Some(sealed) = fields.get("requestState").filter(|state| state.get() != "null") else {
            return Ok(None);
        };
        let sealed: String = serde_json::from_str(sealed.get()).map_err(|_| state::Refusal::NotOurs)?;
        let bound = Bound::to(request);
        match state::open(self.ring()?, &sealed, &bound, Timestamp::now())? {
            Inner::OfServer(inner) => {
                request.params = Some(questions::with_state(params, &inner));
                Ok(None)
            }
            Inner::Urls if urls::is_refused(&questions::responses(request.params.as_ref())) => {
                Err(urls::refused())
            }
            // The server finds out whether they were opened.
            Inner::Urls => Ok(None),
            Inner::Held { owner: _, call, round } => {
                let held = self.held.take(call, round).ok_or_else(gone)?;
                let responses = questions::responses(request.params.as_ref());
                Ok(Some(Resumed { call, held, responses }))
            }
        }
    }

    /// Asks the server, until it answers or a modern client has to; not longer than `limit` each time, the time that
    /// questions are with the client not counted.
    pub(super) async fn ask(
        &self,
        link: &Arc<Link>,
        request: &Request,
        up: &mpsc::Sender<Up>,
        limit: Duration,
    ) -> Answer {
        let Request { server: _, method, params, era, seats: _ } = request;
        match (era, link.spoken.era) {
            (Era::Modern, Era::Legacy) => {
                let params = questions::plain(params.clone());
                if !link.is_private() {
                    let answer = Self::as_it_came(link, request, params.as_ref(), up, limit).await?;
                    return Ok(self.told(link, request, answer));
                }
                let held = Held::begin(link.clone(), method.clone(), params);
                let call = self.next.fetch_add(1, Ordering::Relaxed);
                self.go_on(Resumed { call, held, responses: BTreeMap::new() }, request, up, limit).await
            }
            (Era::Legacy, Era::Modern) => self.asking(link, request, up, limit).await,
            (Era::Modern, Era::Modern) => {
                let answer = Self::once(link, request, params.as_ref(), up, limit).await?;
                let answer = answer.and_then(|result| self.sealed(request, result));
                Ok(answer.and_then(|result| self.begun(link, request, result)))
            }
            (Era::Legacy, Era::Legacy) => {
                let answer = Self::once(link, request, params.as_ref(), up, limit).await?;
                Ok(answer.and_then(|result| self.begun(link, request, result)))
            }
        }
    }

    /// One request and its answer, in the words of the client.
    async fn once(
        link: &Link,
        request: &Request,
        params: Option<&Raw>,
        up: &mpsc::Sender<Up>,
        limit: Duration,
    ) -> Answer {
        Ok(Self::spoken(link, request, Self::as_it_came(link, request, params, up, limit).await?))
    }

    /// In the words of the server.
    async fn as_it_came(
        link: &Link,
        request: &Request,
        params: Option<&Raw>,
        up: &mpsc::Sender<Up>,
        limit: Duration,
    ) -> Answer {
        let Request { method, era, seats, .. } = request;
        let client = seats.as_deref().and_then(|seats| Some((seats.client()?, seats.level())));
        link.serve(client.as_ref().map(|(client, _)| *client));
        let dressed = client.filter(|_| (*era, link.spoken.era) == (Era::Legacy, Era::Modern));
        let dressed = dressed.and_then(|(Client { caller: _, capabilities, info }, level)| {
            let level = level.as_deref().unwrap_or(LEVEL);
            eras::declared(params, capabilities, info.as_ref(), level)
        });
        let asked = Asked { method, params: dressed.as_ref().or(params), era: *era };
        Ok(link.within(limit, link.call(asked, up)).await.ok_or(Unanswered::TooSlow)??)
    }

    fn spoken(link: &Link, request: &Request, answer: Result<Raw, RpcError>) -> Result<Raw, RpcError> {
        let Request { method, era, .. } = request;
        match answer {
            Ok(result) => eras::result(method, result, link.spoken.era, *era),
            Err(error) => Err(eras::error(error, link.spoken.era, *era)),
        }
    }

    /// A legacy server's answer for a modern client, which is asked to open URLs where the server says that the user
    /// must.
    fn told(&self, link: &Link, request: &Request, answer: Result<Raw, RpcError>) -> Result<Raw, RpcError> {
        let takes_input = matches!(request.method.as_str(), "tools/call" | "prompts/get" | "resources/read");
        let Some(questions) = answer.as_ref().err().filter(|_| takes_input).and_then(urls::wanted) else {
            return Self::spoken(link, request, answer);
        };
        if !urls::can_open(request.client().map(|client| &client.capabilities)) {
            return Err(urls::missing());
        }
        let state = state::seal(self.ring()?, Inner::Urls, Bound::to(request), Timestamp::now())?;
        Ok(questions::ask(&questions, &state))
    }

    /// The result; a task that the server has begun in the place of one gets an id of ours.
    fn begun(&self, link: &Link, request: &Request, result: Raw) -> Result<Raw, RpcError> {
        let Request { server, method, params, era, .. } = request;
        let Some(id) = Some(&result).filter(|_| method == "tools/call").and_then(|it| tasks::begun(it, *era))
        else {
            return Ok(result);
        };
        let called = Fields::of(params.as_deref()).ok().and_then(|params| params.get_str("name"));
        let task = Task {
            namespace: server.namespace.clone(),
            server: server.name.clone(),
            tool: called.unwrap_or_default(),
            id,
            place: link.place.mark(),
            caller: request.client().map(|client| client.caller.fingerprint()).unwrap_or_default(),
            era: *era,
        };
        let sealed = tasks::seal(self.ring()?, &task, Timestamp::now())?;
        Ok(tasks::begun_as(&result, *era, &sealed))
    }

    /// The task of this caller that an id of ours stands for.
    pub(super) fn task(&self, sealed: &str, caller: &str) -> Option<Task> {
        tasks::open(self.ring.as_ref()?, sealed, caller, Timestamp::now())
    }

    /// Whether a request is about a task; the server's own id is put back in its place.
    ///
    /// # Errors
    /// When the id is not one of ours, or of another server's or caller's task.
    pub(super) fn of_task(&self, request: &mut Request) -> Result<Option<OfTask>, RpcError> {
        let Some(params) = request.params.as_ref().filter(|_| is_about_task(&request.method, request.era))
        else {
            return Ok(None);
        };
        let sealed = Fields::parse(params.get()).ok().and_then(|params| params.get_str("taskId"));
        let sealed = sealed.unwrap_or_default();
        let caller = request.client().map(|client| client.caller.fingerprint()).unwrap_or_default();
        let task = self.task(&sealed, &caller);
        let task = task.filter(|task| task.server() == request.server && task.era == request.era);
        let task = task.ok_or_else(|| unknown_task(&sealed))?;
        request.params = Some(tasks::with_id(params, &task.id));
        Ok(Some(OfTask { task, sealed }))
    }

    /// The result with its state in our seal.
    fn sealed(&self, request: &Request, result: Raw) -> Result<Raw, RpcError> {
        let Some(asks) = InputRequired::parse(&result)? else { return Ok(result) };
        let Some(inner) = asks.state.and_then(|state| serde_json::from_str(state.get()).ok()) else {
            return Ok(result);
        };
        let inner = Inner::OfServer(inner);
        let state = state::seal(self.ring()?, inner, Bound::to(request), Timestamp::now())?;
        Ok(questions::with_state(&result, &state))
    }

    /// A modern server's questions, put to a legacy client.
    async fn asking(&self, link: &Link, request: &Request, up: &mpsc::Sender<Up>, limit: Duration) -> Answer {
        let mut params = request.params.clone();
        for _ in 0..ROUNDS {
            let answer = Self::as_it_came(link, request, params.as_ref(), up, limit).await?;
            let asks = match &answer {
                Ok(result) => InputRequired::parse(result),
                Err(_) => Ok(None),
            };
            let InputRequired { questions, state } = match asks {
                Ok(Some(asks)) => asks,
                Ok(None) => return Ok(Self::spoken(link, request, answer)),
                Err(error) => return Ok(Err(error)),
            };
            let is_url = |(_, question): &&(String, Question)| urls::is_url(question);
            let can_open = urls::can_open(request.client().map(|client| &client.capabilities));
            if !can_open && questions.iter().any(|question| is_url(&question)) {
                let wanted = questions.iter().filter(is_url).map(|(_, question)| question);
                return Ok(Err(urls::error(wanted, asking::new_id)));
            }
            match asking::all(up, questions).await {
                Ok(answers) => params = Some(questions::again(params.as_ref(), &answers, state)),
                Err(error) => return Ok(Err(error)),
            }
        }
        let message =
            format!("this server asked back {ROUNDS} times in one call and was left: see its own log");
        Ok(Err(RpcError::new(RpcError::INTERNAL, &message)))
    }

    /// The next round of a call that is held open.
    pub(super) async fn go_on(
        &self,
        Resumed { call, mut held, responses }: Resumed,
        request: &Request,
        up: &mpsc::Sender<Up>,
        limit: Duration,
    ) -> Answer {
        held.answer(responses);
        let token = questions::token(request.params.as_ref());
        let link = held.link.clone();
        // Not `Link::within`: the round ends with its question.
        let end = tokio::time::timeout(limit, held.round(up, token.as_ref())).await;
        match end.map_err(|_| Unanswered::TooSlow)? {
            End::Answered(answer) => Ok(self.told(&link, request, answer?)),
            End::Asked(questions) => {
                let inner = Inner::Held { owner: self.owner.to_string(), call, round: held.round };
                let sealed = self
                    .ring()
                    .and_then(|ring| state::seal(ring, inner, Bound::to(request), Timestamp::now()));
                Ok(sealed.and_then(|state| {
                    self.hold(call, held, request)?;
                    Ok(questions::ask(&questions, &state))
                }))
            }
        }
    }

    /// It cannot go on now: its client may answer again.
    pub(super) fn put_back(&self, resumed: Resumed, request: &Request) {
        let Resumed { call, held, responses: _ } = resumed;
        if let Err(error) = self.hold(call, held, request) {
            tracing::warn!(server = %request.server, reason = error.message(), "a call that was held open is cancelled");
        }
    }

    /// # Errors
    /// When too many are held already.
    fn hold(&self, call: u64, held: Held, request: &Request) -> Result<(), RpcError> {
        let caller = request.seats.as_ref().and_then(|seats| seats.client()?.named());
        self.held.put(call, held.round, caller, held).map_err(|Full(most)| {
            let message = format!(
                "{most} calls wait for answers of their clients already, and this one was cancelled: try again later"
            );
            RpcError::with_data(RpcError::INTERNAL, &message, json!({ "retryable": true }))
        })
    }

    /// Cancels all calls that are held open for this server.
    pub(super) fn let_go(&self, is_of: impl Fn(&ServerName) -> bool) {
        self.held.let_go(|held| is_of(held.server()));
    }
}

/// Calls of a replica that has started anew must not be taken for those of before.
fn first() -> u64 {
    u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default()
}

fn gone() -> RpcError {
    let message = "the call that asked this is over: it was answered already, waited longer than 10 minutes, or its replica of pilothouse has ended; call again without requestState";
    RpcError::with_data(RpcError::INTERNAL, message, json!({ "retryable": true }))
}
