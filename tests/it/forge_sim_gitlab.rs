//! GitLab's API as far as pilothouse uses it, over a real repository. No registry has GitLab's OpenAPI description, so
//! what goes over the wire is held to the types of `@gitbeaker/core`, its best known client.

use std::{
    fmt::Write,
    fs,
    process::Command,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;
use pilothouse::changes::forge::Forge;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    forge_bare::{Bare, Pull, State as Standing},
    forge_connect::connect,
    parts,
};

pub(crate) const TOKEN: &str = "glpat-simulated";
const US: &str = "pilothouse";

pub(crate) struct GitLab {
    pub(crate) address: String,
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) bare: Bare,
    pulls: Mutex<Vec<Pull>>,
    /// What went over the wire, each with the name of its type.
    typed: Mutex<Vec<(&'static str, Value)>>,
}

impl GitLab {
    pub(crate) async fn start(files: &[(&str, &str)]) -> Self {
        let shared =
            Arc::new(Shared { bare: Bare::new(files), pulls: Mutex::default(), typed: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    pub(crate) fn forge(&self) -> (Arc<dyn Forge>, TempDir) {
        self.forge_at(&self.address)
    }

    /// What pilothouse is given, reached at `address`.
    pub(crate) fn forge_at(&self, address: &str) -> (Arc<dyn Forge>, TempDir) {
        connect(&format!("{address}/a/b/deploy.git"), TOKEN, "gitlab", 30)
    }

    pub(crate) fn pulls(&self) -> Vec<Pull> {
        self.shared.pulls.lock().unwrap().clone()
    }

    /// What a person does with a merge request.
    pub(crate) fn person(&self, number: u64, act: impl FnOnce(&Bare, &mut Pull)) {
        let mut pulls = self.shared.pulls.lock().unwrap();
        let pull = pulls.iter_mut().find(|pull| pull.number == number).unwrap();
        act(&self.shared.bare, pull);
    }

    /// What the TypeScript compiler says against what went over the wire.
    pub(crate) fn wrong_types(&self) -> String {
        wrong_types(&self.shared.typed.lock().unwrap())
    }
}

/// Fields that are left out are fine; those that the type does not have, or has otherwise, are not.
pub(crate) fn wrong_types(typed: &[(&'static str, Value)]) -> String {
    let mut text = String::from(
        "import type * as G from '@gitbeaker/core';\n\
         type Known<T> = { [K in keyof T as string extends K ? never : K]: T[K] };\n\
         type Part<T> = T extends (infer I)[] ? Part<I>[] : T extends object ? { [K in keyof Known<T>]?: Part<Known<T>[K]> } : T;\n",
    );
    for (number, (name, value)) in typed.iter().enumerate() {
        writeln!(text, "export const v{number}: Part<{name}> = {value};").unwrap();
    }
    // Below the packages, so that they are found.
    let folder = tempfile::Builder::new().prefix("check-").tempdir_in(parts::forges()).unwrap();
    let file = folder.path().join("wire.ts");
    fs::write(&file, text).unwrap();
    let out = Command::new(parts::node())
        .arg(parts::forges().join("node_modules/typescript/bin/tsc"))
        .args(["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.success(), said.is_empty(), "{said}");
    said
}

/// The keys as the client's options have them.
fn camel(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(camel).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, field)| {
                    let mut words = name.split('_');
                    let mut made = words.next().unwrap().to_owned();
                    for word in words {
                        made.push_str(&word[..1].to_uppercase());
                        made.push_str(&word[1..]);
                    }
                    (made, camel(field))
                })
                .collect::<Map<_, _>>(),
        ),
        other => other.clone(),
    }
}

fn without(value: &Value, names: &[&str]) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().retain(|name, _| !names.contains(&name.as_str()));
    value
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
        return (StatusCode::UNAUTHORIZED, r#"{"message":"401 Unauthorized"}"#).into_response();
    }
    let sent: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    // A slash inside a part comes escaped.
    let path = uri.path().strip_prefix("/api/v4/projects/a%2Fb%2Fdeploy/").unwrap_or_else(|| panic!("{uri}"));
    let parts: Vec<String> =
        path.split('/').map(|part| percent_decode_str(part).decode_utf8().unwrap().into_owned()).collect();
    let parts: Vec<_> = parts.iter().map(String::as_str).collect();
    if let ("GET", ["repository", "archive.tar.gz"]) = (method.as_str(), &parts[..]) {
        assert_eq!(query[0].0, "sha");
        return shared.bare.archive(&query[0].1).unwrap().into_response();
    }
    let (status, body) = match parts[0] {
        "repository" => shared.repository(method.as_str(), &parts[1..], &query, &sent),
        "merge_requests" => shared.requests(method.as_str(), &parts[1..], &query, &sent),
        other => panic!("nobody asks GitLab for {other}"),
    };
    let status = StatusCode::from_u16(status).unwrap();
    if body.is_null() { status.into_response() } else { (status, axum::Json(body)).into_response() }
}

fn missing(what: &str) -> (u16, Value) {
    (404, json!({"message": format!("404 {what} Not Found")}))
}

impl Shared {
    fn saw(&self, name: &'static str, value: &Value) {
        self.typed.lock().unwrap().push((name, value.clone()));
    }

    fn said(&self, name: &'static str, status: u16, body: Value) -> (u16, Value) {
        self.saw(name, &body);
        (status, body)
    }

    fn commit(&self, id: &str) -> Value {
        let (_, parents, message) = self.bare.commit(id).unwrap();
        json!({"id": id, "short_id": id[..8], "parent_ids": parents, "message": message})
    }

    fn repository(
        &self,
        method: &str,
        path: &[&str],
        query: &[(String, String)],
        sent: &Value,
    ) -> (u16, Value) {
        match (method, path) {
            ("GET", ["branches", branch]) => match self.bare.head(branch) {
                Some(head) => {
                    let body = json!({"name": branch, "commit": self.commit(&head), "protected": false});
                    self.said("G.BranchSchema", 200, body)
                }
                None => missing("Branch"),
            },
            ("DELETE", ["branches", branch]) => {
                if self.bare.remove(branch) {
                    (204, Value::Null)
                } else {
                    missing("Branch")
                }
            }
            ("GET", ["commits", id]) if self.bare.commit(id).is_some() => {
                self.said("G.CommitSchema", 200, self.commit(id))
            }
            ("GET", ["commits", _]) => missing("Commit"),
            ("GET", ["files", path]) => {
                assert_eq!(query[0].0, "ref");
                let commit = &query[0].1;
                let Some(blob) = self.bare.blob_id(commit, path) else { return missing("File") };
                let body = json!({"file_path": path, "blob_id": blob, "ref": commit, "commit_id": commit,
                    "last_commit_id": self.last(commit, path)});
                self.said("G.RepositoryFileExpandedSchema", 200, body)
            }
            ("GET", ["merge_base"]) => {
                let refs: Vec<_> = query.iter().filter(|(name, _)| name == "refs[]").collect();
                match self.bare.merge_base(&refs[0].1, &refs[1].1) {
                    Some(base) => self.said("G.CommitSchema", 200, self.commit(&base)),
                    None => missing("Merge Base"),
                }
            }
            ("POST", ["commits"]) => self.write(sent),
            _ => panic!("nobody asks GitLab for {method} {path:?}"),
        }
    }

    /// The last commit that changed a file.
    fn last(&self, commit: &str, path: &str) -> String {
        self.bare.git(&["log", "-1", "--format=%H", commit, "--", path])
    }

    fn write(&self, sent: &Value) -> (u16, Value) {
        self.saw("G.CommitAction[]", &camel(&sent["actions"]));
        let options = without(&camel(sent), &["branch", "commitMessage", "actions"]);
        self.saw("G.CreateCommitOptions", &options);
        let bad = |message: &str| (400, json!({"message": message}));
        let branch = sent["branch"].as_str().unwrap();
        let head = self.bare.head(branch);
        let (parent, expected) = match (sent["start_sha"].as_str(), &head, sent["force"] == true) {
            (Some(_), Some(_), false) => {
                return bad(&format!(
                    "A branch called '{branch}' already exists. Switch to that branch in order to make changes"
                ));
            }
            (Some(start), head, _) => (start.to_owned(), head.clone()),
            (None, Some(head), _) => (head.clone(), Some(head.clone())),
            (None, None, _) => return bad("You can only create or edit files when you are on a branch"),
        };
        let mut entries = Vec::new();
        for action in sent["actions"].as_array().unwrap() {
            let path = action["file_path"].as_str().unwrap();
            let is_there = self.bare.blob_id(&parent, path).is_some();
            match (action["action"].as_str().unwrap(), is_there) {
                ("create", true) => return bad("A file with this name already exists"),
                ("update", false) => return bad("A file with this name doesn't exist"),
                ("create", false) => {}
                ("update", true) if action["last_commit_id"] == self.last(&parent, path).as_str() => {}
                ("update", true) => return bad("You are attempting to update a file that has changed since"),
                (other, _) => panic!("nobody asks GitLab to {other}"),
            }
            let blob = self.bare.make_blob(action["content"].as_str().unwrap().as_bytes());
            entries.push(("100644".to_owned(), blob, path.to_owned()));
        }
        let tree = self.bare.make_tree(&parent, &entries);
        let id = self.bare.make_commit(&tree, &[&parent], sent["commit_message"].as_str().unwrap());
        if !self.bare.move_branch(branch, &id, expected.as_deref()) {
            return bad("Could not update refs");
        }
        self.said("G.CommitSchema", 201, self.commit(&id))
    }

    fn requests(
        &self,
        method: &str,
        path: &[&str],
        query: &[(String, String)],
        sent: &Value,
    ) -> (u16, Value) {
        let mut pulls = self.pulls.lock().unwrap();
        match (method, path) {
            ("GET", []) => {
                let asked = |name: &str| {
                    query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
                };
                let options: Map<_, _> = query
                    .iter()
                    .filter(|(name, _)| name != "per_page" && name != "page")
                    .map(|(name, value)| (name.clone(), json!(value)))
                    .collect();
                self.saw("G.AllMergeRequestsOptions", &camel(&Value::Object(options)));
                assert_eq!((asked("order_by"), asked("sort")), (Some("created_at"), Some("desc")));
                let found: Vec<_> = pulls
                    .iter()
                    .rev()
                    .filter(|pull| asked("source_branch").is_none_or(|branch| branch == pull.branch))
                    .filter(|pull| asked("state").is_none() || pull.state == Standing::Open)
                    .map(|pull| self.shown(pull))
                    .take(asked("per_page").map_or(20, |size| size.parse().unwrap()))
                    .collect();
                self.said("G.MergeRequestSchema[]", 200, json!(found))
            }
            ("POST", []) => {
                let options = without(&camel(sent), &["sourceBranch", "targetBranch"]);
                self.saw("G.CreateMergeRequestOptions", &options);
                let branch = sent["source_branch"].as_str().unwrap();
                let Some(head) = self.bare.head(branch) else {
                    return (400, json!({"message": ["Source branch does not exist"]}));
                };
                let is_open = |pull: &&Pull| pull.branch == branch && pull.state == Standing::Open;
                if let Some(open) = pulls.iter().find(is_open) {
                    let said = format!(
                        "Another open merge request already exists for this source branch: !{}",
                        open.number
                    );
                    return (409, json!({"message": [said]}));
                }
                let (title, body) = (sent["title"].as_str().unwrap(), sent["description"].as_str().unwrap());
                let mut pull = Pull::new(pulls.len() as u64 + 1, branch, title, body, head);
                pull.labels = sent["labels"].as_str().unwrap().split(',').map(ToOwned::to_owned).collect();
                let said = self.shown(&pull);
                pulls.push(pull);
                self.said("G.ExpandedMergeRequestSchema", 201, said)
            }
            (_, [number, rest @ ..]) => {
                let number: u64 = number.parse().unwrap();
                match pulls.iter_mut().find(|pull| pull.number == number) {
                    Some(pull) => self.one(method, rest, pull, sent),
                    None => missing("Not found"),
                }
            }
            _ => panic!("nobody asks GitLab for {method} {path:?}"),
        }
    }

    fn one(&self, method: &str, path: &[&str], pull: &mut Pull, sent: &Value) -> (u16, Value) {
        match (method, path) {
            ("GET", []) => self.said("G.ExpandedMergeRequestSchema", 200, self.shown(pull)),
            ("PUT", []) => {
                self.saw("G.EditMergeRequestOptions", &camel(sent));
                if let Some(title) = sent["title"].as_str() {
                    title.clone_into(&mut pull.title);
                }
                if let Some(labels) = sent["add_labels"].as_str() {
                    let new =
                        labels.split(',').filter(|label| !pull.labels.iter().any(|known| known == label));
                    let new: Vec<_> = new.map(ToOwned::to_owned).collect();
                    pull.labels.extend(new);
                }
                if sent["state_event"] == "close" {
                    pull.state = Standing::Closed { by: US.to_owned() };
                }
                self.said("G.ExpandedMergeRequestSchema", 200, self.shown(pull))
            }
            ("GET", ["approvals"]) => {
                let by = pull.reviews.iter().filter(|(_, approves, _)| *approves);
                let by: Vec<_> = by.map(|(name, _, _)| json!({"user": {"username": name}})).collect();
                let body = json!({"iid": pull.number, "approved_by": by});
                self.said("G.MergeRequestLevelMergeRequestApprovalSchema", 200, body)
            }
            ("GET", ["versions"]) => {
                let head = self.bare.head(&pull.branch).unwrap_or_else(|| pull.head.clone());
                let base = self.bare.head("main").unwrap_or_default();
                let body = json!([{
                    "id": 1, "head_commit_sha": head, "base_commit_sha": base, "start_commit_sha": base,
                    "created_at": "2026-11-22T01:02:02.000Z", "merge_request_id": 1, "state": "collected",
                    "real_size": "1",
                }]);
                self.said("G.MergeRequestDiffVersionsSchema[]", 200, body)
            }
            ("GET", ["reviewers"]) => {
                let all = pull.reviews.iter().map(|(name, approves, _)| {
                    let state = if *approves { "approved" } else { "requested_changes" };
                    json!({"user": {"username": name}, "state": state, "created_at": "2026-11-22T01:02:03.000Z"})
                });
                self.said("G.MergeRequestReviewerSchema[]", 200, all.collect())
            }
            ("GET", ["notes"]) => {
                let all =
                    pull.comments.iter().rev().map(|text| json!({"id": 1, "body": text, "system": false}));
                self.said("G.MergeRequestNoteSchema[]", 200, all.collect())
            }
            ("POST", ["notes"]) => {
                let text = sent["body"].as_str().unwrap();
                pull.comments.push(text.to_owned());
                self.said("G.MergeRequestNoteSchema", 201, json!({"id": 1, "body": text}))
            }
            _ => panic!("nobody asks GitLab for {method} {path:?}"),
        }
    }

    fn shown(&self, pull: &Pull) -> Value {
        let user = |name: &str| json!({"id": 1, "username": name});
        let (state, commit, merged_by, closed_by) = match &pull.state {
            Standing::Open => ("opened", Value::Null, Value::Null, Value::Null),
            Standing::Merged { commit, by } => ("merged", json!(commit), user(by), Value::Null),
            Standing::Closed { by } => ("closed", Value::Null, Value::Null, user(by)),
        };
        json!({
            "iid": pull.number, "title": pull.title, "description": pull.body, "state": state,
            "web_url": format!("https://gitlab.com/a/b/deploy/-/merge_requests/{}", pull.number),
            "source_project_id": 1, "target_project_id": 1,
            "source_branch": pull.branch, "target_branch": "main", "author": user(US), "labels": pull.labels,
            "sha": self.bare.head(&pull.branch).unwrap_or_else(|| pull.head.clone()),
            "merged_at": if state == "merged" { json!("2026-11-22T01:02:03.456Z") } else { Value::Null },
            "merged_by": merged_by, "merge_commit_sha": commit, "squash_commit_sha": null, "closed_by": closed_by,
        })
    }
}
