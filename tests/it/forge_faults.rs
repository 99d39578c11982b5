//! Fifty changes at once, each by two replicas, at a forge that fails at random, before or after it did what it was
//! asked: none is lost, and none is there twice.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures::{
    future::{join, join_all},
    stream,
};
use pilothouse::changes::forge::{Committed, Forge, NewPullRequest, Snapshot};
use reqwest::Client;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    forge_between::pass,
    forge_gitea_server::Gitea,
    forge_sim_github::GitHub,
    forge_stage::{commit, request},
};

const CHANGES: usize = 50;
const SEED: u64 = 6;
/// Of a request, as pilothouse is configured. Longer than the forge takes, however busy it is.
const PATIENCE: Duration = Duration::from_secs(20);
/// Somebody asks again when he is told to.
const ASKED: usize = 20;

/// Stands before a forge and spoils some of its answers.
pub(crate) struct Spoiler {
    forge: String,
    http: Client,
    count: AtomicU64,
    spoiled: AtomicUsize,
    /// Longer than the client waits.
    late: Duration,
}

enum Fault {
    None,
    /// The forge never hears of it.
    Says(u16),
    LostBefore,
    /// The forge has done it.
    SaysAfter(u16),
    LostAfter,
    /// The forge does it when nobody waits any longer.
    Late,
}

impl Spoiler {
    pub(crate) async fn start(forge: &str, late: Duration) -> (String, Arc<Self>) {
        let spoiler = Arc::new(Self {
            forge: forge.to_owned(),
            http: Client::builder().no_proxy().build().unwrap(),
            count: AtomicU64::new(0),
            spoiled: AtomicUsize::new(0),
            late,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&spoiler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, spoiler)
    }

    fn fault(&self, method: &Method) -> Fault {
        // SplitMix64 of the request's number.
        let mut x =
            SEED.wrapping_add(self.count.fetch_add(1, Ordering::SeqCst)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let fault = match ((x ^ (x >> 31)) % 100, *method == Method::GET) {
            (0..3, _) => Fault::Says(500),
            (3..6, _) => Fault::LostBefore,
            (6..9, _) => Fault::LostAfter,
            (9..10, _) => Fault::Says(429),
            (10..15, false) => Fault::SaysAfter(500),
            (15..20, false) => Fault::LostAfter,
            (20..24, false) => Fault::Says(409),
            (24..28, false) => Fault::Says(422),
            (28..30, false) => Fault::Late,
            _ => return Fault::None,
        };
        self.spoiled.fetch_add(1, Ordering::SeqCst);
        fault
    }

    async fn pass(&self, method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Response {
        pass(&self.http, &self.forge, method, uri, headers, body).await
    }
}

/// Begins and breaks off.
fn lost() -> Response {
    Body::from_stream(stream::iter([Ok("{"), Err(io::Error::other("broken"))])).into_response()
}

fn says(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("retry-after", "1")], r#"{"message":"spoiled"}"#).into_response()
}

async fn serve(
    State(spoiler): State<Arc<Spoiler>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match spoiler.fault(&method) {
        Fault::None => spoiler.pass(method, &uri, headers, body).await,
        Fault::Says(status) => says(status),
        Fault::LostBefore => lost(),
        Fault::SaysAfter(status) => {
            spoiler.pass(method, &uri, headers, body).await;
            says(status)
        }
        Fault::LostAfter => {
            spoiler.pass(method, &uri, headers, body).await;
            lost()
        }
        // In a task of its own: it goes on when the client is gone.
        Fault::Late => {
            let late = tokio::spawn(async move {
                tokio::time::sleep(spoiler.late).await;
                spoiler.pass(method, &uri, headers, body).await
            });
            late.await.unwrap()
        }
    }
}

fn branch(number: usize) -> String {
    format!("pilothouse/change-{number}")
}

/// Labels are another matter, and fifty times three more requests.
fn unlabelled(branch: &str) -> NewPullRequest {
    NewPullRequest { labels: Vec::new(), ..request(branch) }
}

/// Commits and opens, asking again as somebody would who is told that the forge is unavailable.
async fn propose(forge: &dyn Forge, snapshot: &Snapshot, number: usize) -> u64 {
    let branch = branch(number);
    let text = format!("number: {number}\n");
    let new = commit(snapshot, &branch, &[("web.yaml", text.as_str())]);
    let mut said = String::new();
    for _ in 0..ASKED {
        match forge.commit(&new).await {
            Ok(Committed::Done { .. }) => match forge.open(&unlabelled(&branch)).await {
                Ok(opened) => return opened.number,
                Err(error) => said = error.to_string(),
            },
            Ok(Committed::Moved) => panic!("{branch} moved, and nobody moved it"),
            Err(error) => said = error.to_string(),
        }
    }
    panic!("{branch} was given up: {said}");
}

async fn base(forge: &dyn Forge) -> Snapshot {
    let mut said = String::new();
    for _ in 0..ASKED {
        match forge.snapshot().await {
            Ok(snapshot) => return snapshot,
            Err(error) => said = error.to_string(),
        }
    }
    panic!("no snapshot: {said}");
}

/// By two replicas, which know nothing of each other, and each change by both at once, as when one is not aware yet
/// that it leads no more.
async fn all(replicas: [&dyn Forge; 2]) -> Vec<u64> {
    let snapshot = base(replicas[0]).await;
    let proposed = (0..CHANGES).map(|number| {
        let [one, other] = replicas.map(|replica| propose(replica, &snapshot, number));
        async move { join(one, other).await }
    });
    let numbers = join_all(proposed).await;
    numbers
        .into_iter()
        .map(|(one, other)| {
            assert_eq!(one, other, "both mean the same");
            one
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_at_a_real_forge() {
    let gitea = Gitea::start().await;
    let ours = gitea.person("pilot", &["write:repository", "write:issue", "read:user"]).await;
    let repository = gitea.repository("deploy", &[("web.yaml", "number: none\n")], &["pilot"]).await;
    let base = repository.api(Method::GET, "branches/main", json!({})).await["commit"]["id"].clone();
    let (address, spoiler) = Spoiler::start(&gitea.address, PATIENCE + Duration::from_secs(1)).await;
    let [(one, _folder), (other, _other)] =
        [(); 2].map(|()| repository.hasty(&address, &ours, PATIENCE.as_secs()));

    let numbers = all([one.as_ref(), other.as_ref()]).await;

    // As the forge itself says it. Gitea looks for another one and makes one in two steps: what both replicas made in
    // the same moment is there twice, and all but the first are closed.
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut twice = 0;
    for page in 1.. {
        let path = format!("pulls?state=all&limit=50&page={page}");
        let pulls = repository.api(Method::GET, &path, json!({})).await;
        let pulls = pulls.as_array().unwrap();
        for pull in pulls {
            let branch = pull["head"]["ref"].as_str().unwrap().to_owned();
            let found = found.entry(branch).or_default();
            if pull["state"] == "open" {
                found.push(pull["number"].as_u64().unwrap());
            } else {
                twice += 1;
            }
        }
        if pulls.is_empty() {
            break;
        }
    }
    let expected: BTreeMap<_, _> =
        numbers.into_iter().enumerate().map(|(number, pull)| (branch(number), vec![pull])).collect();
    assert_eq!(found, expected, "each once");
    assert!(twice < CHANGES / 2, "{twice} were made twice");
    for number in 0..CHANGES {
        let head = repository.api(Method::GET, &format!("branches/{}", branch(number)), json!({})).await;
        let id = head["commit"]["id"].as_str().unwrap();
        let made = repository.api(Method::GET, &format!("git/commits/{id}"), json!({})).await;
        assert_eq!((&made["parents"][0]["sha"], made["parents"].as_array().unwrap().len()), (&base, 1));
        assert_eq!(repository.text(&branch(number), "web.yaml").await, format!("number: {number}\n"));
    }
    assert!(spoiler.spoiled.load(Ordering::SeqCst) > CHANGES, "many answers were spoiled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_at_a_simulated_github() {
    let github = GitHub::start(&[("web.yaml", "number: none\n")]).await;
    let (address, spoiler) = Spoiler::start(&github.address, PATIENCE + Duration::from_secs(1)).await;
    let [(one, _folder), (other, _other)] = [(); 2].map(|()| github.forge(&address, PATIENCE.as_secs()));

    let numbers = all([one.as_ref(), other.as_ref()]).await;

    let found: BTreeMap<_, _> = github.pulls().into_iter().map(|pull| (pull.branch, pull.number)).collect();
    assert_eq!((found.len(), github.pulls().len()), (CHANGES, CHANGES));
    for (number, pull) in numbers.into_iter().enumerate() {
        assert_eq!(found.get(&branch(number)), Some(&pull));
        let head = github.shared.bare.head(&branch(number)).unwrap();
        assert_eq!(github.shared.bare.text(&head, "web.yaml"), Some(format!("number: {number}\n")));
        assert_eq!(github.shared.bare.commit(&head).unwrap().1, [github.shared.bare.head("main").unwrap()]);
    }
    assert!(spoiler.spoiled.load(Ordering::SeqCst) > CHANGES, "many answers were spoiled");
}
