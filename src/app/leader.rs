//! Calls that change something go to the replica that leads: sealed with the key that all replicas share, over their
//! health ports. Nobody without the key can make a call, read one, or answer one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State as Shared,
    http::StatusCode,
    response::IntoResponse,
    routing::post,
};
use futures::{StreamExt, future::BoxFuture, stream};
use jiff::{SignedDuration, Timestamp};
use reqwest::redirect;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};

use super::operated::Operated;
use crate::{
    answer::{Answer, Sealer},
    changes::Lead,
    peers,
    tools::{Leader, LedCall, Step, Steps, Toolbox},
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
    peers::key(shared, "pilothouse calls for the leader")
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

/// One line of what the leader sends back: steps as they are reached, then the reply.
#[derive(Serialize, Deserialize)]
enum Word {
    Step(Step),
    Reply(Reply),
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
        let (mut pieces, mut held) = (answer.bytes_stream(), Vec::new());
        while let Some(piece) = pieces.next().await {
            held.extend_from_slice(&piece.map_err(|error| Lost::Sent(error.to_string()))?);
            while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = held.drain(..=end).collect();
                match read(&line, number, sealer).map_err(Lost::Sent)? {
                    Word::Step(step) => Steps::here().tell(step),
                    Word::Reply(reply) => return Ok(Some(reply.into())),
                }
            }
        }
        Err(Lost::Sent("it ended before its answer".to_owned()))
    }
}

fn read(line: &[u8], number: &str, sealer: &Sealer) -> Result<Word, String> {
    let sealed = std::str::from_utf8(line.trim_ascii_end()).map_err(|error| error.to_string())?;
    let word = sealer.open(&answer_to(number), sealed).map_err(|error| error.to_string())?;
    serde_json::from_slice(&word).map_err(|error| error.to_string())
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
    // Steps are few; whoever asked is gone when nobody takes them.
    let (words, said) = mpsc::unbounded_channel();
    tokio::spawn(answered(desk.toolbox, call, words));
    let lines = stream::unfold((said, desk.sealer, number), |(mut said, sealer, number)| async move {
        let word = said.recv().await?;
        let line = sealed(&word, &number, &sealer);
        if let Err(error) = &line {
            tracing::error!(error, "the answer to another replica cannot be sent");
        }
        Some((line, (said, sealer, number)))
    });
    Body::from_stream(lines).into_response()
}

async fn answered(toolbox: Arc<Toolbox>, call: LedCall, words: mpsc::UnboundedSender<Word>) {
    let LedCall { tool, caller, arguments } = call;
    let telling = words.clone();
    let steps = Steps::telling(move |step| drop(telling.send(Word::Step(step))));
    let answer = match toolbox.get(&tool).filter(|tool| changes_something(tool.definition())) {
        Some(tool) => steps.follow(tool.call(&caller, arguments.as_deref())).await,
        None => Answer::error(format!(
            "The replica that leads has no tool {tool}: give all the same configuration."
        )),
    };
    if words.send(Word::Reply(answer.into())).is_err() {
        tracing::info!(tool, "the replica that handed the call on does not wait for its answer any more");
    }
}

/// As one line.
fn sealed(word: &Word, number: &str, sealer: &Sealer) -> Result<String, String> {
    let word = serde_json::to_vec(word).map_err(|error| error.to_string())?;
    let sealed = sealer.seal(&answer_to(number), &word).map_err(|error| error.to_string())?;
    Ok(sealed + "\n")
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

    use super::{CALL, Letter, PATH, Reply, Word, key, read, router};
    use crate::{
        answer::{Answer, Sealer},
        caller::Caller,
        changes::{Alone, Lead},
        tools::{LedCall, Step, Steps, Tool, Toolbox},
    };

    struct Named(&'static str, bool);

    impl Tool for Named {
        fn definition(&self) -> Value {
            json!({ "name": self.0, "annotations": { "readOnlyHint": self.1 } })
        }

        fn call<'a>(&'a self, caller: &'a Caller, _: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
            Box::pin(async {
                Steps::here().tell(Step { at: 1, of: 1, said: "doing it".to_owned() });
                Answer::text(format!("done for {}", caller.user))
            })
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

    /// The steps and the reply.
    fn words(body: &str, number: &str, sealer: &Sealer) -> (Vec<String>, String) {
        let (mut steps, mut replied) = (Vec::new(), String::new());
        for line in body.lines() {
            match read(line.as_bytes(), number, sealer).unwrap() {
                Word::Step(step) => steps.push(step.said),
                Word::Reply(Reply { text, .. }) => replied = text,
            }
        }
        (steps, replied)
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
        assert_eq!(words(&body, "1", &sealer), (vec!["doing it".to_owned()], "done for process".to_owned()));
        assert!(read(body.as_bytes(), "2", &sealer).is_err(), "an answer is for its call alone");
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

        let reading = sealer.seal(CALL, &letter("get_resource", now, "5")).unwrap();
        let (_, body) = post(&router, reading).await;
        assert!(words(&body, "5", &sealer).1.contains("has no tool"), "reading needs no leader: {body}");
    }

    #[tokio::test]
    async fn who_does_not_lead_says_so_and_does_nothing() {
        let sealer = Sealer::with_key(&key(&[7; 32])).unwrap();
        let router = router(sealer.clone(), toolbox(), Arc::new(Follows));
        let sealed = sealer.seal(CALL, &letter("propose_change", Timestamp::now(), "1")).unwrap();
        assert_eq!(post(&router, sealed).await.0, 421);
    }
}
