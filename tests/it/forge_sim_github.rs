//! GitHub's API as far as pilothouse uses it, over a real repository. Answers are GitHub's own examples with the real
//! values put in; all that goes over the wire is kept, to be held to GitHub's descriptions.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use pilothouse::changes::forge::Forge;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    forge_bare::{Bare, Pull, State as Standing},
    forge_connect::connect,
    forge_contract::{Exchange, example},
};

pub(crate) const TOKEN: &str = "ghs_simulated";
const US: &str = "pilothouse[bot]";
const REPO: &str = "/repos/{owner}/{repo}";

pub(crate) struct GitHub {
    pub(crate) address: String,
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) bare: Bare,
    pulls: Mutex<Vec<Pull>>,
    exchanges: Mutex<Vec<Exchange>>,
    queries: Mutex<Vec<Value>>,
}

impl GitHub {
    /// Served as GitHub Enterprise is: `/api/v3`, and GraphQL beside it.
    pub(crate) async fn start(files: &[(&str, &str)]) -> Self {
        let shared = Arc::new(Shared {
            bare: Bare::new(files),
            pulls: Mutex::default(),
            exchanges: Mutex::default(),
            queries: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    /// What pilothouse is given, reached at `address`; a request may take so many seconds.
    pub(crate) fn forge(&self, address: &str, seconds: u64) -> (Arc<dyn Forge>, TempDir) {
        connect(&format!("{address}/team/deploy.git"), TOKEN, "github", seconds)
    }

    pub(crate) fn exchanges(&self) -> (Vec<Exchange>, Vec<Value>) {
        (self.shared.exchanges.lock().unwrap().clone(), self.shared.queries.lock().unwrap().clone())
    }

    pub(crate) fn pulls(&self) -> Vec<Pull> {
        self.shared.pulls.lock().unwrap().clone()
    }

    /// What a person does with a pull request.
    pub(crate) fn person(&self, number: u64, act: impl FnOnce(&Bare, &mut Pull)) {
        let mut pulls = self.shared.pulls.lock().unwrap();
        let pull = pulls.iter_mut().find(|pull| pull.number == number).unwrap();
        act(&self.shared.bare, pull);
    }
}

/// What is answered, and the operation of the description that it is.
struct Answer {
    template: &'static str,
    status: u16,
    body: Value,
}

fn answer(template: &'static str, status: u16, body: Value) -> Answer {
    Answer { template, status, body }
}

/// An error as GitHub says it.
fn error(template: &'static str, status: u16, message: &str) -> Answer {
    let mut body = json!({"message": message, "documentation_url": "https://docs.github.com/rest"});
    if status == 422 {
        body["errors"] = json!([{"resource": "PullRequest", "code": "custom", "message": message}]);
    }
    answer(template, status, body)
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    if given != Some(&format!("Bearer {TOKEN}")) {
        return (StatusCode::UNAUTHORIZED, r#"{"message":"Bad credentials"}"#).into_response();
    }
    let sent: Option<Value> = (!body.is_empty()).then(|| serde_json::from_slice(&body).unwrap());
    if uri.path() == "/api/graphql" {
        let sent = sent.unwrap();
        let said = shared.graphql(&sent);
        shared.queries.lock().unwrap().push(sent);
        return axum::Json(said).into_response();
    }
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let path = uri.path().strip_prefix("/api/v3/repos/team/deploy").unwrap_or_else(|| panic!("{uri}"));
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let Answer { template, status, body } = shared.rest(&method, &parts, &query, sent.as_ref());
    shared.exchanges.lock().unwrap().push(Exchange {
        method: method.to_string(),
        template,
        query,
        sent,
        status,
        said: body.clone(),
    });
    let status = StatusCode::from_u16(status).unwrap();
    if body.is_null() { status.into_response() } else { (status, axum::Json(body)).into_response() }
}

impl Shared {
    fn rest(
        &self,
        method: &Method,
        path: &[&str],
        query: &[(String, String)],
        sent: Option<&Value>,
    ) -> Answer {
        let text = |name: &str| sent.and_then(|sent| sent[name].as_str()).unwrap_or_default();
        match (method.as_str(), path) {
            ("GET", [""]) => answer(REPO, 200, example(REPO, "GET", 200)),
            ("GET", ["git", "ref", "heads", branch @ ..]) => {
                const OF: &str = "/repos/{owner}/{repo}/git/ref/{ref}";
                match self.bare.head(&branch.join("/")) {
                    Some(head) => answer(OF, 200, reference(&branch.join("/"), &head)),
                    None => error(OF, 404, "Not Found"),
                }
            }
            ("GET", ["git", "trees", commit]) => self.tree(commit),
            ("GET", ["git", "blobs", blob]) => {
                const OF: &str = "/repos/{owner}/{repo}/git/blobs/{file_sha}";
                let bytes = self.bare.bytes(blob).unwrap();
                let mut body = example(OF, "GET", 200);
                body["content"] = json!(BASE64_STANDARD.encode(bytes));
                answer(OF, 200, body)
            }
            ("GET", ["git", "commits", id]) => {
                const OF: &str = "/repos/{owner}/{repo}/git/commits/{commit_sha}";
                match self.bare.commit(id) {
                    Some((tree, parents, message)) => answer(OF, 200, commit(id, &tree, &parents, &message)),
                    None => error(OF, 404, "Not Found"),
                }
            }
            ("POST", ["git", "blobs"]) => {
                const OF: &str = "/repos/{owner}/{repo}/git/blobs";
                let id = self.bare.make_blob(&BASE64_STANDARD.decode(text("content")).unwrap());
                answer(OF, 201, json!({"url": "https://api.github.com/blob", "sha": id}))
            }
            ("POST", ["git", "trees"]) => {
                const OF: &str = "/repos/{owner}/{repo}/git/trees";
                let entries: Vec<_> = sent.unwrap()["tree"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|entry| ["mode", "sha", "path"].map(|name| entry[name].as_str().unwrap().to_owned()))
                    .map(|[mode, sha, path]| (mode, sha, path))
                    .collect();
                let id = self.bare.make_tree(text("base_tree"), &entries);
                answer(
                    OF,
                    201,
                    json!({"sha": id, "url": "https://api.github.com/tree", "truncated": false, "tree": []}),
                )
            }
            ("POST", ["git", "commits"]) => {
                const OF: &str = "/repos/{owner}/{repo}/git/commits";
                let parents: Vec<String> = serde_json::from_value(sent.unwrap()["parents"].clone()).unwrap();
                let refs: Vec<_> = parents.iter().map(String::as_str).collect();
                let id = self.bare.make_commit(text("tree"), &refs, text("message"));
                answer(OF, 201, commit(&id, text("tree"), &parents, text("message")))
            }
            ("POST", ["git", "refs"]) => {
                const OF: &str = "/repos/{owner}/{repo}/git/refs";
                let branch = text("ref").strip_prefix("refs/heads/").unwrap();
                if self.bare.move_branch(branch, text("sha"), None) {
                    answer(OF, 201, reference(branch, text("sha")))
                } else {
                    error(OF, 422, "Reference already exists")
                }
            }
            ("DELETE", ["git", "refs", "heads", branch @ ..]) => {
                const OF: &str = "/repos/{owner}/{repo}/git/refs/{ref}";
                let gone = self.bare.remove(&branch.join("/"));
                if gone { answer(OF, 204, Value::Null) } else { error(OF, 422, "Reference does not exist") }
            }
            ("GET", ["compare", between]) => {
                const OF: &str = "/repos/{owner}/{repo}/compare/{basehead}";
                let (base, head) = between.split_once("...").unwrap();
                let common = self.bare.merge_base(base, head).unwrap();
                let status = match (common == base, common == head) {
                    (true, true) => "identical",
                    (true, false) => "ahead",
                    (false, true) => "behind",
                    (false, false) => "diverged",
                };
                let mut body = example(OF, "GET", 200);
                body["status"] = json!(status);
                answer(OF, 200, body)
            }
            (_, ["pulls" | "issues", rest @ ..]) => {
                self.people(method.as_str(), path[0] == "pulls", rest, query, sent)
            }
            _ => panic!("nobody asks GitHub for {method} {path:?}"),
        }
    }

    fn tree(&self, commit: &str) -> Answer {
        const OF: &str = "/repos/{owner}/{repo}/git/trees/{tree_sha}";
        let Some(files) = self.bare.tree(commit) else { return error(OF, 404, "Not Found") };
        let entries: Vec<_> = files
            .iter()
            .map(|file| {
                let mut entry = json!({"path": file.path, "mode": file.mode, "type": file.kind, "sha": file.sha,
                    "url": "https://api.github.com/object"});
                if let Some(size) = file.size {
                    entry["size"] = json!(size);
                }
                entry
            })
            .collect();
        let body =
            json!({"sha": commit, "url": "https://api.github.com/tree", "truncated": false, "tree": entries});
        answer(OF, 200, body)
    }

    fn people(
        &self,
        method: &str,
        is_pull: bool,
        path: &[&str],
        query: &[(String, String)],
        sent: Option<&Value>,
    ) -> Answer {
        let asked = |name| {
            let found = query.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let mut pulls = self.pulls.lock().unwrap();
        match (method, path) {
            ("GET", []) => {
                const OF: &str = "/repos/{owner}/{repo}/pulls";
                let found: Vec<_> = pulls
                    .iter()
                    .rev()
                    .filter(|pull| asked("head").is_none_or(|head| head == format!("team:{}", pull.branch)))
                    .filter(|pull| asked("state") == Some("all") || pull.state == Standing::Open)
                    .map(|pull| listed(self, pull))
                    .take(asked("per_page").map_or(30, |size| size.parse().unwrap()))
                    .collect();
                answer(OF, 200, json!(found))
            }
            ("POST", []) => {
                const OF: &str = "/repos/{owner}/{repo}/pulls";
                let sent = sent.unwrap();
                let branch = sent["head"].as_str().unwrap();
                let Some(head) = self.bare.head(branch) else {
                    return error(OF, 422, "head is invalid");
                };
                if pulls.iter().any(|pull| pull.branch == branch && pull.state == Standing::Open) {
                    return error(OF, 422, &format!("A pull request already exists for team:{branch}."));
                }
                let number = pulls.len() as u64 + 1;
                let (title, body) = (sent["title"].as_str().unwrap(), sent["body"].as_str().unwrap());
                let pull = Pull::new(number, branch, title, body, head);
                let said = shown(self, &pull);
                pulls.push(pull);
                answer(OF, 201, said)
            }
            (_, [number, rest @ ..]) => {
                let number: u64 = number.parse().unwrap();
                let Some(pull) = pulls.iter_mut().find(|pull| pull.number == number) else {
                    return error("/repos/{owner}/{repo}/pulls/{pull_number}", 404, "Not Found");
                };
                self.one(method, is_pull, rest, pull, sent)
            }
            _ => panic!("nobody asks GitHub for {method} pulls"),
        }
    }

    fn one(
        &self,
        method: &str,
        is_pull: bool,
        path: &[&str],
        pull: &mut Pull,
        sent: Option<&Value>,
    ) -> Answer {
        const PULL: &str = "/repos/{owner}/{repo}/pulls/{pull_number}";
        const COMMENTS: &str = "/repos/{owner}/{repo}/issues/{issue_number}/comments";
        match (method, is_pull, path) {
            ("GET", true, []) => answer(PULL, 200, shown(self, pull)),
            ("PATCH", true, []) => {
                let sent = sent.unwrap();
                if let Some(title) = sent["title"].as_str() {
                    title.clone_into(&mut pull.title);
                }
                if let Some(body) = sent["body"].as_str() {
                    body.clone_into(&mut pull.body);
                }
                if sent["state"] == "closed" {
                    pull.state = Standing::Closed { by: US.to_owned() };
                }
                answer(PULL, 200, shown(self, pull))
            }
            ("GET", true, ["reviews"]) => {
                const OF: &str = "/repos/{owner}/{repo}/pulls/{pull_number}/reviews";
                let example = example(OF, "GET", 200)[0].clone();
                let reviews = pull.reviews.iter().map(|(user, approves, commit)| {
                    let mut review = example.clone();
                    review["user"]["login"] = json!(user);
                    review["state"] = json!(if *approves { "APPROVED" } else { "CHANGES_REQUESTED" });
                    review["commit_id"] = json!(commit);
                    review
                });
                answer(OF, 200, reviews.collect())
            }
            ("GET", false, []) => {
                const OF: &str = "/repos/{owner}/{repo}/issues/{issue_number}";
                let mut issue = example(OF, "GET", 200);
                if let Standing::Closed { by } = &pull.state {
                    issue["state"] = json!("closed");
                    issue["closed_by"] = user(by);
                }
                answer(OF, 200, issue)
            }
            ("POST", false, ["labels"]) => {
                const OF: &str = "/repos/{owner}/{repo}/issues/{issue_number}/labels";
                pull.labels = serde_json::from_value(sent.unwrap()["labels"].clone()).unwrap();
                answer(OF, 200, example(OF, "POST", 200))
            }
            ("GET", false, ["comments"]) => {
                let example = example(COMMENTS, "GET", 200)[0].clone();
                let comments = pull.comments.iter().map(|text| {
                    let mut comment = example.clone();
                    comment["body"] = json!(text);
                    comment
                });
                answer(COMMENTS, 200, comments.collect())
            }
            ("POST", false, ["comments"]) => {
                let text = sent.unwrap()["body"].as_str().unwrap().to_owned();
                pull.comments.push(text);
                answer(COMMENTS, 201, example(COMMENTS, "POST", 201))
            }
            _ => panic!("nobody asks GitHub for {method} {path:?}"),
        }
    }

    fn graphql(&self, sent: &Value) -> Value {
        let variables = &sent["variables"];
        if sent["query"].as_str().unwrap().starts_with("query Texts(") {
            assert_eq!((&variables["owner"], &variables["name"]), (&json!("team"), &json!("deploy")));
            let mut texts = serde_json::Map::new();
            for (number, id) in (0..).map_while(|number| Some((number, variables.get(format!("o{number}"))?)))
            {
                let bytes = self.bare.bytes(id.as_str().unwrap()).unwrap();
                let text = String::from_utf8(bytes).ok();
                texts.insert(format!("t{number}"), json!({"text": text}));
            }
            return json!({"data": {"repository": texts}});
        }
        let update = &variables["input"]["refUpdates"][0];
        let text = |name: &str| update[name].as_str().unwrap();
        let branch = text("name").strip_prefix("refs/heads/").unwrap();
        if self.bare.move_branch(branch, text("afterOid"), Some(text("beforeOid"))) {
            let mut pulls = self.pulls.lock().unwrap();
            for pull in pulls.iter_mut().filter(|pull| pull.branch == branch) {
                text("afterOid").clone_into(&mut pull.head);
            }
            json!({"data": {"updateRefs": {"clientMutationId": null}}})
        } else {
            json!({"data": {"updateRefs": null}, "errors": [{"type": "UNPROCESSABLE", "path": ["updateRefs"],
                "message": "Reference cannot be updated: beforeOid is not where it is"}]})
        }
    }
}

fn reference(branch: &str, head: &str) -> Value {
    let mut body = example("/repos/{owner}/{repo}/git/ref/{ref}", "GET", 200);
    body["ref"] = json!(format!("refs/heads/{branch}"));
    body["object"]["sha"] = json!(head);
    body
}

fn commit(id: &str, tree: &str, parents: &[String], message: &str) -> Value {
    let mut body = example("/repos/{owner}/{repo}/git/commits", "POST", 201);
    let parent = body["parents"][0].clone();
    body["sha"] = json!(id);
    body["message"] = json!(message);
    body["tree"]["sha"] = json!(tree);
    body["parents"] = parents
        .iter()
        .map(|id| {
            let mut parent = parent.clone();
            parent["sha"] = json!(id);
            parent
        })
        .collect();
    body
}

fn user(login: &str) -> Value {
    let mut user = example("/repos/{owner}/{repo}/pulls/{pull_number}", "GET", 200)["user"].clone();
    user["login"] = json!(login);
    user
}

fn listed(shared: &Shared, pull: &Pull) -> Value {
    fill(shared, pull, example("/repos/{owner}/{repo}/pulls", "GET", 200)[0].clone())
}

fn shown(shared: &Shared, pull: &Pull) -> Value {
    let mut body = fill(shared, pull, example("/repos/{owner}/{repo}/pulls/{pull_number}", "GET", 200));
    body["merged"] = json!(matches!(pull.state, Standing::Merged { .. }));
    body["merged_by"] = match &pull.state {
        Standing::Merged { by, .. } => user(by),
        Standing::Open | Standing::Closed { .. } => Value::Null,
    };
    body
}

fn fill(shared: &Shared, pull: &Pull, mut body: Value) -> Value {
    let head = shared.bare.head(&pull.branch).unwrap_or_else(|| pull.head.clone());
    body["number"] = json!(pull.number);
    body["title"] = json!(pull.title);
    body["body"] = json!(pull.body);
    body["html_url"] = json!(format!("https://github.com/team/deploy/pull/{}", pull.number));
    body["user"]["login"] = json!(US);
    body["head"]["ref"] = json!(pull.branch);
    body["head"]["sha"] = json!(head);
    body["head"]["repo"]["full_name"] = json!("team/deploy");
    body["base"]["ref"] = json!("main");
    body["state"] = json!(if pull.state == Standing::Open { "open" } else { "closed" });
    (body["merge_commit_sha"], body["merged_at"]) = match &pull.state {
        Standing::Merged { commit, .. } => (json!(commit), json!("2026-11-22T01:02:03Z")),
        // GitHub's try to merge.
        Standing::Open | Standing::Closed { .. } => (json!(head), Value::Null),
    };
    body
}
