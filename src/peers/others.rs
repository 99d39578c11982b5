//! What this replica asks of the others.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{body::Body, response::Response};
use futures::{
    StreamExt,
    future::{BoxFuture, join_all},
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use reqwest::redirect;
use serde::{Deserialize, Serialize};

use super::{
    frames::{Eye, Frame, Head},
    letters::Letters,
};
use crate::{
    answer::Sealer,
    mcp::sessions::{Cover, Elsewhere, Forwarded, Keeper, Parcel},
};

/// On the health port.
pub(super) const REQUEST: &str = "/peers/request";
pub(super) const HELLO: &str = "/peers/hello";
pub(super) const LISTS: &str = "/peers/lists";
/// The header that a letter is in: it is opened before anything else is read.
pub(super) const LETTER: &str = "pilothouse-letter";

/// Connecting to a pod of our own.
const CONNECT: Duration = Duration::from_secs(2);
/// A greeting is answered at once. Longer than connecting may take, so that nobody is told from slow.
const GREETED_WITHIN: Duration = Duration::from_secs(3);
/// How long a replica that answers a request may be silent: it says every few seconds that it is there.
const SILENCE: Duration = Duration::from_secs(45);

/// More of what another replica remembers is not read, in bytes.
const LARGEST_LISTS: usize = 64 * 1024 * 1024;

/// Where the other replicas may be.
pub trait Neighbours: Send + Sync {
    /// Their health ports, as far as they are known at this moment.
    fn addresses(&self) -> BoxFuture<'_, Vec<SocketAddr>>;
}

/// Who asks whom for what: a letter about one session, or none.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) session: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// The name of the process at this address.
    pub(super) name: String,
    /// It has made the session again.
    pub(super) has_made: bool,
    pub(super) is_leaving: bool,
}

/// A request and for which process it is: another one may have got its address.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Errand {
    pub(super) to: String,
    pub(super) cover: Cover,
}

/// Letters for each of the two.
#[derive(Clone)]
pub(super) struct Desks {
    pub(super) requests: Letters,
    pub(super) hellos: Letters,
}

impl Desks {
    pub(super) fn new(sealer: &Sealer) -> Self {
        Self {
            requests: Letters::new(sealer.clone(), "pilothouse request for another replica"),
            hellos: Letters::new(sealer.clone(), "pilothouse hello"),
        }
    }
}

/// This process among the others.
pub struct Replica {
    name: String,
    desks: Desks,
    neighbours: Arc<dyn Neighbours>,
    http: reqwest::Client,
    /// Where each was met last.
    met: Mutex<HashMap<String, SocketAddr>>,
}

impl Replica {
    /// `name` is this process's alone, also among those of the past; all replicas have the same key in `sealer`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(name: String, sealer: &Sealer, neighbours: Arc<dyn Neighbours>) -> reqwest::Result<Self> {
        // Pods of our own set are asked, never by way of anybody else.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { name, desks: Desks::new(sealer), neighbours, http, met: Mutex::default() })
    }

    fn met(&self) -> MutexGuard<'_, HashMap<String, SocketAddr>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is heard from everywhere where another one may be, also from where one was met that is in no list just
    /// now. Takes three seconds at most.
    async fn greeted(&self, session: Option<&str>) -> Vec<(SocketAddr, Heard)> {
        let mut addresses = self.neighbours.addresses().await;
        addresses.extend(self.met().values());
        addresses.sort_unstable();
        addresses.dedup();
        let heard = join_all(addresses.iter().map(|address| self.greet(*address, session))).await;
        let heard: Vec<_> = addresses.into_iter().zip(heard).collect();
        remember(&mut self.met(), &heard);
        heard
    }

    async fn greet(&self, address: SocketAddr, session: Option<&str>) -> Heard {
        let hello = Hello { session: session.map(str::to_owned) };
        let Ok((number, letter)) = self.desks.hellos.write(&hello, Timestamp::now()) else {
            return Heard::Silence;
        };
        let asked = self.http.post(format!("http://{address}{HELLO}")).header(LETTER, letter);
        let answer = match asked.timeout(GREETED_WITHIN).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return Heard::Nobody,
            Err(_) => return Heard::Silence,
        };
        if !answer.status().is_success() {
            tracing::warn!(%address, status = %answer.status(), "another replica does not greet back: start all with the same token");
            return Heard::Nobody;
        }
        let Ok(sealed) = answer.text().await else { return Heard::Silence };
        let plain = self.desks.hellos.open_part(&number, "greeting", &sealed).ok();
        let greeting = plain.and_then(|plain| serde_json::from_slice::<Greeting>(&plain).ok());
        greeting.filter(|greeting| greeting.name != self.name).map_or(Heard::Nobody, Heard::Greeting)
    }

    /// What the first of the others that answers remembers of servers, as it was [plugged in](super::Desk::plug) there.
    pub async fn lists(&self) -> Option<Vec<u8>> {
        for address in self.neighbours.addresses().await {
            if let Some(lists) = self.lists_of(address).await {
                return Some(lists);
            }
        }
        None
    }

    async fn lists_of(&self, address: SocketAddr) -> Option<Vec<u8>> {
        let (number, letter) = self.desks.hellos.write(&Hello { session: None }, Timestamp::now()).ok()?;
        let asked = self.http.post(format!("http://{address}{LISTS}")).header(LETTER, letter);
        let answer = asked.send().await.ok().filter(|answer| answer.status().is_success())?;
        let mut sealed = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            sealed.extend_from_slice(&piece.ok()?);
            if sealed.len() > LARGEST_LISTS {
                tracing::warn!(%address, "what another replica remembers of servers is too large to be taken over");
                return None;
            }
        }
        self.desks.hellos.open_part(&number, "lists", std::str::from_utf8(&sealed).ok()?).ok()
    }

    async fn find(&self, replica: &str) -> Option<SocketAddr> {
        let known = || self.met().get(replica).copied();
        if let Some(address) = known() {
            return Some(address);
        }
        let heard = self.greeted(None).await;
        let is_silent = heard.iter().any(|(_, heard)| matches!(heard, Heard::Silence));
        if known().is_none() && is_silent {
            // It may be the one that had no time to answer. A session that is opened twice is worse than a wait.
            self.greeted(None).await;
        }
        known()
    }

    async fn sent(&self, replica: &str, parcel: Parcel) -> Result<Forwarded, String> {
        let Some(address) = self.find(replica).await else { return Ok(Forwarded::Gone) };
        let Parcel { cover, body } = parcel;
        let errand = Errand { to: replica.to_owned(), cover };
        let requests = &self.desks.requests;
        let (number, letter) =
            requests.write(&errand, Timestamp::now()).map_err(|error| error.to_string())?;
        let body = requests.seal_part(&number, "body", &body).map_err(|error| error.to_string())?;
        let sent = self.http.post(format!("http://{address}{REQUEST}")).header(LETTER, letter).body(body);
        let answer = match sent.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => {
                self.met().remove(replica);
                return Ok(Forwarded::Gone);
            }
            Err(error) => return Err(innermost(&error)),
        };
        match answer.status().as_u16() {
            200 => {}
            // Another process has its address, or it does not serve yet.
            421 | 503 => {
                self.met().remove(replica);
                return Ok(Forwarded::Gone);
            }
            403 => return Err("it does not take our key: start all replicas with the same token".to_owned()),
            other => return Err(format!("it answers {other}")),
        }
        let eye = Eye::new(requests.clone(), number);
        Unsealed { eye, pieces: answer.bytes_stream().boxed(), ready: Vec::new().into_iter() }.answer().await
    }
}

/// What came back from one address.
#[derive(Debug)]
enum Heard {
    Greeting(Greeting),
    /// Whoever is there has not answered in time.
    Silence,
    /// None of the others is there.
    Nobody,
}

/// Where each of the others is by now. Who is only slow is still where it was; those that are gone do not come back:
/// each process has a name of its own.
fn remember(met: &mut HashMap<String, SocketAddr>, heard: &[(SocketAddr, Heard)]) {
    let of = |at: &SocketAddr| heard.iter().find(|(address, _)| address == at).map(|(_, heard)| heard);
    met.retain(|_, at| matches!(of(at), Some(Heard::Silence) | None));
    met.extend(heard.iter().filter_map(|(at, heard)| match heard {
        Heard::Greeting(greeting) => Some((greeting.name.clone(), *at)),
        Heard::Silence | Heard::Nobody => None,
    }));
}

/// An answer of another replica, as it comes in.
struct Unsealed {
    eye: Eye,
    pieces: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    ready: std::vec::IntoIter<Frame>,
}

impl Unsealed {
    /// # Errors
    /// When it breaks off, or is not one of ours.
    async fn next(&mut self) -> Result<Frame, String> {
        loop {
            if let Some(frame) = self.ready.next() {
                return Ok(frame);
            }
            match self.pieces.next().await {
                Some(Ok(piece)) => self.ready = self.eye.push(&piece)?.into_iter(),
                Some(Err(error)) => return Err(innermost(&error)),
                None => return Err("it ended before its answer did".to_owned()),
            }
        }
    }

    async fn answer(mut self) -> Result<Forwarded, String> {
        let Head { status, headers } = loop {
            match self.next().await? {
                Frame::Beat => {}
                Frame::Head(head) => break head,
                Frame::Data(_) | Frame::End => return Err("its answer has no beginning".to_owned()),
            }
        };
        if status == 421 {
            return Ok(Forwarded::Gone);
        }
        let mut response = Response::builder().status(status);
        let is_stream = headers
            .iter()
            .any(|(name, value)| name == "content-type" && value.starts_with("text/event-stream"));
        for (name, value) in headers {
            response = response.header(name, value);
        }
        // Who waits for a document wants all of it or none.
        let body =
            if is_stream { Body::from_stream(self.data()) } else { Body::from(self.document().await?) };
        response.body(body).map(Forwarded::Answered).map_err(|error| error.to_string())
    }

    async fn document(mut self) -> Result<Vec<u8>, String> {
        let mut document = Vec::new();
        loop {
            match self.next().await? {
                Frame::Data(data) => document.extend_from_slice(&data),
                Frame::End => return Ok(document),
                Frame::Beat | Frame::Head(_) => {}
            }
        }
    }

    fn data(self) -> BoxStream<'static, Result<bytes::Bytes, String>> {
        let data = stream::unfold(Some(self), |unsealed| async {
            let mut unsealed = unsealed?;
            loop {
                match unsealed.next().await {
                    Ok(Frame::Data(data)) => return Some((Ok(data), Some(unsealed))),
                    Ok(Frame::Beat | Frame::Head(_)) => {}
                    Ok(Frame::End) => return None,
                    Err(why) => return Some((Err(why), None)),
                }
            }
        });
        data.boxed()
    }
}

/// What reqwest says itself repeats the URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

impl Elsewhere for Replica {
    fn here(&self) -> &str {
        &self.name
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn keeper<'a>(&'a self, session: &'a str, owner: &'a str, leaving: bool) -> BoxFuture<'a, Keeper> {
        Box::pin(async move {
            let heard = self.greeted(Some(session)).await.into_iter();
            let greetings = heard.filter_map(|(_, heard)| match heard {
                Heard::Greeting(greeting) => Some(greeting),
                Heard::Silence | Heard::Nobody => None,
            });
            keeper((self.name.as_str(), leaving), session, owner, greetings)
        })
    }

    fn forward<'a>(&'a self, replica: &'a str, parcel: Parcel) -> BoxFuture<'a, Forwarded> {
        Box::pin(async move {
            match self.sent(replica, parcel).await {
                Ok(forwarded) => forwarded,
                Err(why) => {
                    tracing::warn!(why, "a request that was sent to another replica has no answer");
                    Forwarded::Lost(why)
                }
            }
        })
    }
}

/// The owner when it is there after all; who has made it again already; or else the one whose turn it is. Whoever asks
/// finds the same. An owner that leaves has said already that it takes nothing more for that session.
fn keeper(
    (here, leaving): (&str, bool),
    session: &str,
    owner: &str,
    others: impl Iterator<Item = Greeting>,
) -> Keeper {
    let others: Vec<_> = others.collect();
    if others.iter().any(|other| other.name == owner && !other.is_leaving) {
        return Keeper::At(owner.to_owned());
    }
    if let Some(maker) = others.iter().find(|other| other.has_made) {
        return Keeper::At(maker.name.clone());
    }
    let turn = |name: &str| digest(&SHA256, format!("{session} {name}").as_bytes()).as_ref().to_vec();
    let staying = others.iter().filter(|other| !other.is_leaving).map(|other| other.name.as_str());
    let chosen = staying.chain((!leaving).then_some(here)).min_by_key(|name| turn(name));
    match chosen {
        Some(chosen) if chosen != here => Keeper::At(chosen.to_owned()),
        _ => Keeper::Here,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, net::SocketAddr};

    use super::{Greeting, Heard, keeper, remember};
    use crate::mcp::sessions::Keeper;

    fn greeting(name: &str) -> Greeting {
        Greeting { name: name.to_owned(), has_made: false, is_leaving: false }
    }

    fn others(here: &str) -> impl Iterator<Item = Greeting> {
        ["a", "b", "c"].into_iter().filter(move |name| *name != here).map(greeting)
    }

    #[test]
    fn all_replicas_find_the_same_keeper() {
        let mut chosen = std::collections::BTreeSet::new();
        for session in 0..50 {
            let session = session.to_string();
            let found: std::collections::BTreeSet<_> = ["a", "b", "c"]
                .into_iter()
                .map(|here| match keeper((here, false), &session, "gone", others(here)) {
                    Keeper::Here => here.to_owned(),
                    Keeper::At(other) => other,
                })
                .collect();
            assert_eq!(found.len(), 1, "{session}: {found:?}");
            chosen.extend(found);
        }
        assert_eq!(chosen.len(), 3, "no one gets all of them");
    }

    #[test]
    fn who_has_it_keeps_it_and_who_leaves_gets_nothing_new() {
        let made = Greeting { has_made: true, is_leaving: true, ..greeting("b") };
        let found = keeper(("a", false), "s", "gone", [greeting("c"), made].into_iter());
        assert_eq!(found, Keeper::At("b".to_owned()));
        for session in ["1", "2", "3", "4", "5", "6"] {
            let leaving = Greeting { is_leaving: true, ..greeting("b") };
            assert_eq!(keeper(("a", false), session, "gone", [leaving].into_iter()), Keeper::Here);
            let found = keeper(("a", true), session, "gone", [greeting("b")].into_iter());
            assert_eq!(found, Keeper::At("b".to_owned()));
        }
        let alone = keeper(("a", true), "s", "gone", std::iter::empty());
        assert_eq!(alone, Keeper::Here, "better here than nowhere");
    }

    #[test]
    fn an_owner_that_is_there_after_all_keeps_its_session() {
        let made = || Greeting { has_made: true, ..greeting("c") };
        for session in ["1", "2", "3", "4", "5", "6"] {
            let found = keeper(("a", false), session, "b", [made(), greeting("b")].into_iter());
            assert_eq!(found, Keeper::At("b".to_owned()), "also before a copy");
        }
        let leaving = Greeting { is_leaving: true, ..greeting("b") };
        let found = keeper(("a", false), "1", "b", [made(), leaving].into_iter());
        assert_eq!(found, Keeper::At("c".to_owned()));
    }

    #[test]
    fn who_is_slow_or_in_no_list_for_a_moment_is_still_where_it_was() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let names = ["slow", "unlisted", "gone", "replaced"];
        let mut met: HashMap<_, _> = names.into_iter().map(str::to_owned).zip((1..).map(at)).collect();
        let heard = [
            (at(1), Heard::Silence),
            (at(3), Heard::Nobody),
            (at(4), Heard::Greeting(greeting("next"))),
            (at(5), Heard::Silence),
        ];
        remember(&mut met, &heard);
        let mut left: Vec<_> = met.into_iter().collect();
        left.sort();
        let wanted = [("next", 4), ("slow", 1), ("unlisted", 2)];
        assert_eq!(left, wanted.map(|(name, port)| (name.to_owned(), at(port))));
    }
}
