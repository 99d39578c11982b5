//! Calls that change something go to the replica that leads: sealed with the key that all replicas share, over their
//! health ports. Nobody without the key can make a call, read one, or answer one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::hmac;
use axum::{
    Router, body::Bytes, extract::State as Shared, http::StatusCode, response::IntoResponse, routing::post,
};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use reqwest::redirect;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::operated::Operated;
use crate::{
    answer::{Answer, Sealer},
    changes::Lead,
    tools::{Leader, LedCall, Toolbox},
};

/// On the health port.
const PATH: &str = "/led";
const CALL: &str = "pilothouse call for the leader";
/// Connecting to a pod of our own.
const CONNECT: Duration = Duration::from_secs(2);
/// A forge may take its time.
const DEADLINE: Duration = Duration::from_secs(150);
/// How long a new leader is waited for: the Lease of one that died expires within this time.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(500);
/// How far the clocks of two nodes may be apart; a call is good for so long and once.
const SKEW: SignedDuration = SignedDuration::from_secs(60);
const REMEMBERED: Duration = Duration::from_secs(180);
/// Arguments are at most 64 KiB.
const LARGEST: usize = 1 << 20;

/// What all replicas derive from the token that they share.
pub(super) fn key(shared: &[u8; 32]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, shared);
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&key, b"pilothouse calls for the leader").as_ref());
    out
}

#[derive(Serialize, Deserialize)]
struct Letter {
    at: Timestamp,
    /// Names this call: its answer is sealed for it alone.
    number: String,
    call: LedCall,
}

#[derive(Serialize, Deserialize)]
struct Reply {
    text: String,
    structured: Option<Value>,
    is_error: bool,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let Answer { text, structured, is_error } = answer;
        Self { text, structured, is_error }
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        let Reply { text, structured, is_error } = reply;
        Self { text, structured, is_error }
    }
}

fn answer_to(number: &str) -> String {
    format!("pilothouse answer of the leader to {number}")
}

/// [`Leader`] over the operator's Lease and the other replicas' health ports.
pub(super) struct ToLeader {
    /// Absent where the replicas share nothing to make a key from.
    pub(super) sealer: Option<Sealer>,
    pub(super) operated: Arc<Operated>,
    pub(super) http: reqwest::Client,
}

/// Pods of our own set are asked, never by way of anybody else.
pub(super) fn http() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(DEADLINE)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .build()
}

impl Leader for ToLeader {
    fn is_here(&self) -> bool {
        self.operated.leads()
    }

    fn call(&self, call: LedCall) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let tool = call.tool.clone();
            match self.sent(call).await {
                Ok(answer) => answer,
                Err(why) => {
                    Answer::error(format!("{tool} is answered by the replica that leads, and {why}."))
                }
            }
        })
    }
}

impl ToLeader {
    async fn sent(&self, call: LedCall) -> Result<Answer, String> {
        let Some(sealer) = &self.sealer else {
            return Err("the replicas share no key to talk to each other with: start all of them with the same --token-file or PILOTHOUSE_TOKEN".to_owned());
        };
        let number = uuid::Uuid::new_v4().simple().to_string();
        let letter = Letter { at: Timestamp::now(), number: number.clone(), call };
        let letter = serde_json::to_vec(&letter).map_err(|error| error.to_string())?;
        let sealed = sealer.seal(CALL, &letter).map_err(|error| error.to_string())?;
        let until = Instant::now() + PATIENCE;
        loop {
            let why = match self.operated.leaders().await {
                Ok(addresses) => {
                    let mut why = String::new();
                    for address in addresses {
                        match self.asked(address, &sealed, &number, sealer).await {
                            Ok(Some(answer)) => return Ok(answer),
                            Ok(None) => why = "none of the others leads at this moment".to_owned(),
                            // It may have done what it was asked: asking another would do it twice.
                            Err(Lost::Sent(said)) => {
                                return Err(format!(
                                    "its answer was lost ({said}): list_changes says how far it came"
                                ));
                            }
                            Err(Lost::NotSent(said)) => why = format!("it cannot be reached ({said})"),
                        }
                    }
                    why
                }
                Err(why) => why,
            };
            if Instant::now() >= until {
                return Err(format!("{why}: ask again in a moment"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Nothing: it does not lead.
    async fn asked(
        &self,
        address: std::net::SocketAddr,
        sealed: &str,
        number: &str,
        sealer: &Sealer,
    ) -> Result<Option<Answer>, Lost> {
        let request = self.http.post(format!("http://{address}{PATH}")).body(sealed.to_owned());
        let answer = request.send().await.map_err(|error| {
            let said = error.to_string();
            if error.is_connect() { Lost::NotSent(said) } else { Lost::Sent(said) }
        })?;
        match answer.status().as_u16() {
            200 => {}
            421 => return Ok(None),
            403 => {
                let why = "it does not take our key: start all replicas with the same token";
                return Err(Lost::NotSent(why.to_owned()));
            }
            other => return Err(Lost::Sent(format!("it answers {other}"))),
        }
        let body = answer.text().await.map_err(|error| Lost::Sent(error.to_string()))?;
        let reply = sealer.open(&answer_to(number), &body).map_err(|error| Lost::Sent(error.to_string()))?;
        let reply: Reply = serde_json::from_slice(&reply).map_err(|error| Lost::Sent(error.to_string()))?;
        Ok(Some(reply.into()))
    }
}

enum Lost {
    NotSent(String),
    Sent(String),
}

/// Where the leader takes calls.
pub(super) fn router(sealer: Sealer, toolbox: Arc<Toolbox>, lead: Arc<dyn Lead>) -> Router {
    let desk = Desk { sealer, toolbox, lead, taken: Arc::default() };
    Router::new()
        .route(PATH, post(take))
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST))
        .with_state(desk)
}

#[derive(Clone)]
struct Desk {
    sealer: Sealer,
    toolbox: Arc<Toolbox>,
    lead: Arc<dyn Lead>,
    /// The numbers of calls that were taken: none is taken twice.
    taken: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Desk {
    fn is_new(&self, number: &str) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, at| at.elapsed() < REMEMBERED);
        taken.insert(number.to_owned(), Instant::now()).is_none()
    }
}

async fn take(Shared(desk): Shared<Desk>, body: Bytes) -> axum::response::Response {
    let opened = std::str::from_utf8(&body)
        .ok()
        .and_then(|sealed| desk.sealer.open(CALL, sealed).ok())
        .and_then(|letter| serde_json::from_slice::<Letter>(&letter).ok());
    let Some(Letter { at, number, call }) = opened else {
        return refused("this was not sealed by one of us");
    };
    if at.duration_until(Timestamp::now()).abs() > SKEW {
        return refused("this is older than a minute, or the clocks of the nodes are apart");
    }
    if !desk.lead.leads() {
        return (StatusCode::MISDIRECTED_REQUEST, "this replica does not lead\n").into_response();
    }
    if !desk.is_new(&number) {
        return refused("this was sent before");
    }
    let LedCall { tool, caller, arguments } = call;
    let answer = match desk.toolbox.get(&tool).filter(|tool| changes_something(tool.definition())) {
        Some(tool) => tool.call(&caller, arguments.as_deref()).await,
        None => Answer::error(format!(
            "The replica that leads has no tool {tool}: give all the same configuration."
        )),
    };
    let sealed = serde_json::to_vec(&Reply::from(answer))
        .map_err(|error| error.to_string())
        .and_then(|reply| desk.sealer.seal(&answer_to(&number), &reply).map_err(|error| error.to_string()));
    match sealed {
        Ok(sealed) => sealed.into_response(),
        Err(error) => {
            tracing::error!(error, tool, "the answer cannot be sent");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Reading needs no leader: what may be sent here is no more than what must be.
fn changes_something(definition: Value) -> bool {
    definition["annotations"]["readOnlyHint"] == false
}

fn refused(why: &'static str) -> axum::response::Response {
    tracing::warn!(why, "a call for the leader is refused");
    (StatusCode::FORBIDDEN, why).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use axum::{body::Body, http::Request};
    use futures::future::BoxFuture;
    use http_body_util::BodyExt;
    use jiff::{SignedDuration, Timestamp};
    use serde_json::{Value, json, value::RawValue};
    use tower::ServiceExt;

    use super::{CALL, Letter, PATH, Reply, answer_to, key, router};
    use crate::{
        answer::{Answer, Sealer},
        caller::Caller,
        changes::{Alone, Lead},
        tools::{LedCall, Tool, Toolbox},
    };

    struct Named(&'static str, bool);

    impl Tool for Named {
        fn definition(&self) -> Value {
            json!({ "name": self.0, "annotations": { "readOnlyHint": self.1 } })
        }

        fn call<'a>(&'a self, caller: &'a Caller, _: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer::text(format!("done for {}", caller.user)) })
        }
    }

    struct Follows;

    impl Lead for Follows {
        fn leads(&self) -> bool {
            false
        }
    }

    fn letter(tool: &str, at: Timestamp, number: &str) -> Vec<u8> {
        let call = LedCall { tool: tool.into(), caller: Caller::process(), arguments: None };
        serde_json::to_vec(&Letter { at, number: number.into(), call }).unwrap()
    }

    async fn post(router: &axum::Router, body: String) -> (u16, String) {
        let request = Request::post(PATH).body(Body::from(body)).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn toolbox() -> Arc<Toolbox> {
        let mut toolbox = Toolbox::default();
        toolbox.add(Box::new(Named("propose_change", false)));
        toolbox.add(Box::new(Named("get_resource", true)));
        Arc::new(toolbox)
    }

    #[tokio::test]
    async fn a_call_is_taken_once_from_who_has_the_key() {
        let sealer = Sealer::with_key(&key(&[7; 32])).unwrap();
        let router = router(sealer.clone(), toolbox(), Arc::new(Alone));
        let now = Timestamp::now();
        let sealed = sealer.seal(CALL, &letter("propose_change", now, "1")).unwrap();
        let (status, body) = post(&router, sealed.clone()).await;
        assert_eq!(status, 200);
        let reply: Reply = serde_json::from_slice(&sealer.open(&answer_to("1"), &body).unwrap()).unwrap();
        assert_eq!(reply.text, "done for process");
        assert!(sealer.open(&answer_to("2"), &body).is_err(), "an answer is for its call alone");
        assert_eq!(post(&router, sealed).await.0, 403, "the same letter again");

        let old = now - SignedDuration::from_secs(120);
        let old = sealer.seal(CALL, &letter("propose_change", old, "2")).unwrap();
        assert_eq!(post(&router, old).await.0, 403);
        let other = Sealer::with_key(&key(&[8; 32])).unwrap();
        let forged = other.seal(CALL, &letter("propose_change", now, "3")).unwrap();
        assert_eq!(post(&router, forged).await.0, 403);
        assert_eq!(
            post(&router, String::from_utf8(letter("propose_change", now, "4")).unwrap()).await.0,
            403
        );

        let read = sealer.seal(CALL, &letter("get_resource", now, "5")).unwrap();
        let (_, body) = post(&router, read).await;
        let reply: Reply = serde_json::from_slice(&sealer.open(&answer_to("5"), &body).unwrap()).unwrap();
        assert!(reply.is_error, "reading needs no leader");
    }

    #[tokio::test]
    async fn who_does_not_lead_says_so_and_does_nothing() {
        let sealer = Sealer::with_key(&key(&[7; 32])).unwrap();
        let router = router(sealer.clone(), toolbox(), Arc::new(Follows));
        let sealed = sealer.seal(CALL, &letter("propose_change", Timestamp::now(), "1")).unwrap();
        assert_eq!(post(&router, sealed).await.0, 421);
    }
}
