//! GitHub and GitHub Enterprise: REST, and GraphQL for what REST cannot do: many files in one answer, and moving a
//! branch only from where it was expected.
//!
//! A commit is made of blobs, a tree and a commit that nobody sees before the branch points to it. It has no author of
//! its own, so GitHub signs it when the token is that of an app.

mod graphql;
mod pull;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ForgeError, NewCommit, NewPullRequest, PullRequest, Snapshot,
    gathering::{self, Gathering, blob_id, is_wanted},
    hosted::{Api, Attempt, Made},
    rest::{Call, Effect, Rest},
};
use pull::{Issue, Listed, Pull, Reviewed};

/// Of one look at many texts.
const TEXTS: usize = 100;
const TEXT_BYTES: u64 = 4 << 20;

pub(super) struct GitHub {
    rest: Rest,
    /// `owner/name`.
    project: String,
    base: String,
    /// The texts of the newest snapshot by their ids: most files do not change from one commit to the next.
    texts: Mutex<BTreeMap<String, String>>,
}

/// Who has the same tree entry keeps its mode.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Entry {
    path: String,
    mode: String,
    sha: String,
    #[serde(default)]
    size: u64,
}

impl Entry {
    fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }
}

impl GitHub {
    pub(super) fn new(rest: Rest, project: String, base: String) -> Self {
        Self { rest, project, base, texts: Mutex::default() }
    }

    fn path<'p>(&'p self, below: &'p str) -> impl Iterator<Item = &'p str> {
        ["repos"]
            .into_iter()
            .chain(self.project.split('/'))
            .chain(below.split('/'))
            .filter(|part| !part.is_empty())
    }

    fn get_of(&self, below: &str) -> Call {
        Call::get(self.path(below))
    }

    fn posting(&self, below: &str, effect: Effect, body: Value) -> Call {
        Call::new(Method::POST, self.path(below), effect).sending(body)
    }

    fn owner(&self) -> &str {
        self.project.split('/').next().unwrap_or_default()
    }

    async fn tree(&self, commit: &str) -> Result<Vec<Entry>, ForgeError> {
        let call = self.get_of(&format!("git/trees/{commit}")).with("recursive", 1);
        let Tree { tree, truncated, sha: _ } = self.rest.expect(&call).await?.json()?;
        if truncated {
            return Err(gathering::too_much(&self.rest.where_(), "holds more files than GitHub lists"));
        }
        Ok(tree)
    }

    /// What a commit of the new files is made of; nobody sees it yet.
    async fn object(&self, new: &NewCommit) -> Result<String, ForgeError> {
        let there = self.tree(&new.parent).await?;
        let mut tree = Vec::with_capacity(new.files.len());
        for (path, text) in &new.files {
            let body = json!({"content": BASE64_STANDARD.encode(text), "encoding": "base64"});
            let blob: Sha = self.rest.expect(&self.posting("git/blobs", Effect::Same, body)).await?.json()?;
            let old = there.iter().find(|entry| entry.path == *path);
            if old.is_some_and(|old| !old.is_file()) {
                return Err(ForgeError::Unsupported(format!(
                    "{path} in {} is no ordinary file: change it by hand",
                    self.rest.where_()
                )));
            }
            let mode = old.map_or("100644", |old| old.mode.as_str());
            tree.push(json!({"path": path, "mode": mode, "type": "blob", "sha": blob.sha}));
        }
        // A tree is named by the commit that has it.
        let parent: Commit =
            self.rest.expect(&self.get_of(&format!("git/commits/{}", new.parent))).await?.json()?;
        let body = json!({"base_tree": parent.tree.sha, "tree": tree});
        let tree: Sha = self.rest.expect(&self.posting("git/trees", Effect::Same, body)).await?.json()?;
        let body = json!({"message": new.message, "tree": tree.sha, "parents": [new.parent]});
        let commit: Sha = self.rest.expect(&self.posting("git/commits", Effect::Same, body)).await?.json()?;
        Ok(commit.sha)
    }

    /// Reads texts that are not known yet, as many at a time as fit.
    async fn fetch(
        &self,
        wanted: Vec<&Entry>,
        known: &mut BTreeMap<String, String>,
    ) -> Result<(), ForgeError> {
        for batch in batches(&wanted) {
            let ids: Vec<_> = batch.iter().map(|entry| entry.sha.as_str()).collect();
            let texts = self.texts_of(&ids).await?;
            for (entry, text) in batch.iter().zip(texts) {
                match text {
                    Some(text) if blob_id(text.as_bytes(), &entry.sha) == entry.sha => {
                        known.insert(entry.sha.clone(), text);
                    }
                    // Cut, or no text: the bytes tell.
                    Some(_) => {
                        let call = self.get_of(&format!("git/blobs/{}", entry.sha));
                        let blob: Blob = self.rest.expect(&call).await?.json()?;
                        if let Some(text) = blob.text() {
                            known.insert(entry.sha.clone(), text);
                        }
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }
}

/// Parts of at most so many files and bytes.
fn batches<'e>(entries: &[&'e Entry]) -> Vec<Vec<&'e Entry>> {
    let mut batches: Vec<Vec<&Entry>> = Vec::new();
    let mut bytes = 0;
    for &entry in entries {
        bytes += entry.size;
        match batches.last_mut() {
            Some(last) if last.len() < TEXTS && bytes <= TEXT_BYTES => last.push(entry),
            _ => {
                bytes = entry.size;
                batches.push(vec![entry]);
            }
        }
    }
    batches
}

impl Api for GitHub {
    fn rest(&self) -> &Rest {
        &self.rest
    }

    fn base(&self) -> &str {
        &self.base
    }

    async fn head(&self, branch: &str) -> Result<Option<String>, ForgeError> {
        let call = self.get_of(&format!("git/ref/heads/{branch}"));
        let answer = self.rest.ask(&call).await?;
        match answer.status().as_u16() {
            200 => Ok(Some(answer.json::<Ref>()?.object.sha)),
            // 409: the repository has no commit yet.
            404 | 409 => Ok(None),
            _ => Err(self.rest.unexpected(&call, &answer)),
        }
    }

    async fn read(&self, commit: String) -> Result<Snapshot, ForgeError> {
        let mut entries = self.tree(&commit).await?;
        entries.retain(|entry| entry.is_file() && is_wanted(&entry.path, entry.size));
        let mut known = self.texts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unknown = entries.iter().filter(|entry| !known.contains_key(&entry.sha)).collect();
        self.fetch(unknown, &mut known).await?;
        let mut all = Gathering::default();
        for entry in &entries {
            if let Some(text) = known.get(&entry.sha) {
                let added = all.add(&entry.path, text.clone().into_bytes());
                added.map_err(|why| gathering::too_much(&self.rest.where_(), &why))?;
            }
        }
        known.retain(|id, _| entries.iter().any(|entry| entry.sha == *id));
        *self.texts.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(Snapshot { commit, files: all.files() })
    }

    async fn made(&self, commit: &str) -> Result<Made, ForgeError> {
        let Commit { message, parents, tree: _ } =
            self.rest.expect(&self.get_of(&format!("git/commits/{commit}"))).await?.json()?;
        Ok(Made { parents: parents.into_iter().map(|parent| parent.sha).collect(), message })
    }

    async fn write(&self, new: &NewCommit, _: Option<&Snapshot>) -> Result<Attempt<String>, ForgeError> {
        let commit = self.object(new).await?;
        let name = format!("refs/heads/{}", new.branch);
        let moved = match &new.expected {
            None => {
                let call = self.posting("git/refs", Effect::Once, json!({"ref": name, "sha": commit}));
                Attempt::of(&self.rest, &call, |_| Ok(())).await?
            }
            Some(expected) => self.move_branch(&name, expected, &commit).await?,
        };
        Ok(moved.map(|()| commit))
    }

    async fn open_from(&self, branch: &str) -> Result<Vec<u64>, ForgeError> {
        let call = self.get_of("pulls").with("state", "open").with("base", &self.base);
        let call = call.with("head", format!("{}:{branch}", self.owner()));
        let mut numbers: Vec<_> = self.listed(&call).await?.into_iter().map(|pull| pull.number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn newest_from(&self, branch: &str) -> Result<Option<u64>, ForgeError> {
        let call = self.get_of("pulls").with("state", "all").with("base", &self.base);
        let call = call.with("head", format!("{}:{branch}", self.owner()));
        Ok(self.listed(&call).await?.into_iter().map(|pull| pull.number).max())
    }

    async fn open_branches(&self) -> Result<Vec<String>, ForgeError> {
        let call = self.get_of("pulls").with("state", "open").with("base", &self.base);
        Ok(self.listed(&call).await?.into_iter().map(|pull| pull.head.name).collect())
    }

    async fn post(&self, new: &NewPullRequest) -> Result<Attempt<u64>, ForgeError> {
        let NewPullRequest { branch, title, body, labels: _ } = new;
        let body = json!({"title": title, "body": body, "head": branch, "base": self.base});
        let call = self.posting("pulls", Effect::Once, body);
        Attempt::of(&self.rest, &call, |answer| Ok(answer.json::<Listed>()?.number)).await
    }

    async fn label(&self, number: u64, labels: &[String]) -> Result<(), ForgeError> {
        // Makes those that are not there.
        let path = format!("issues/{number}/labels");
        self.rest.expect(&self.posting(&path, Effect::Same, json!({"labels": labels}))).await.map(drop)
    }

    async fn edit(&self, number: u64, title: &str, body: &str) -> Result<(), ForgeError> {
        self.patch(number, json!({"title": title, "body": body})).await
    }

    async fn get(&self, number: u64) -> Result<PullRequest, ForgeError> {
        let pull: Pull = self.rest.expect(&self.get_of(&format!("pulls/{number}"))).await?.json()?;
        let call = self.get_of(&format!("pulls/{number}/reviews"));
        let reviews: Vec<Reviewed> = self.rest.pages(&call, "per_page").await?;
        let closed_by = if pull.was_closed() {
            let issue: Issue = self.rest.expect(&self.get_of(&format!("issues/{number}"))).await?.json()?;
            issue.closed_by.map(|user| user.login)
        } else {
            None
        };
        Ok(pull.shown(reviews, closed_by))
    }

    async fn say(&self, number: u64, text: &str) -> Result<Attempt<()>, ForgeError> {
        let path = format!("issues/{number}/comments");
        let call = self.posting(&path, Effect::Once, json!({"body": text}));
        Attempt::of(&self.rest, &call, |_| Ok(())).await
    }

    async fn said(&self, number: u64) -> Result<Vec<String>, ForgeError> {
        let call = self.get_of(&format!("issues/{number}/comments"));
        let comments: Vec<Comment> = self.rest.pages(&call, "per_page").await?;
        Ok(comments.into_iter().filter_map(|comment| comment.body).collect())
    }

    async fn shut(&self, number: u64) -> Result<(), ForgeError> {
        self.patch(number, json!({"state": "closed"})).await
    }

    async fn remove(&self, branch: &str) -> Result<(), ForgeError> {
        let call = Call::new(Method::DELETE, self.path(&format!("git/refs/heads/{branch}")), Effect::Same);
        let answer = self.rest.ask(&call).await?;
        match answer.status().as_u16() {
            // 422 "Reference does not exist" is GitHub's 404 here.
            204 | 404 | 422 => Ok(()),
            _ => Err(self.rest.unexpected(&call, &answer)),
        }
    }

    async fn contains(&self, of: &str, commit: &str) -> Result<bool, ForgeError> {
        if self.rest.maybe(&self.get_of(&format!("git/commits/{commit}"))).await?.is_none() {
            return Ok(false);
        }
        let call = self.get_of(&format!("compare/{commit}...{of}")).with("per_page", 1);
        let Compared { status } = self.rest.expect(&call).await?.json()?;
        Ok(matches!(status.as_str(), "ahead" | "identical"))
    }
}

impl GitHub {
    async fn listed(&self, call: &Call) -> Result<Vec<Listed>, ForgeError> {
        let mut pulls: Vec<Listed> = self.rest.pages(call, "per_page").await?;
        pulls.retain(|pull| pull.is_of(&self.project));
        Ok(pulls)
    }

    async fn patch(&self, number: u64, body: Value) -> Result<(), ForgeError> {
        let path = format!("pulls/{number}");
        let call = Call::new(Method::PATCH, self.path(&path), Effect::Same).sending(body);
        self.rest.expect(&call).await.map(drop)
    }
}

#[derive(Deserialize)]
struct Sha {
    sha: String,
}

#[derive(Deserialize)]
struct Ref {
    object: Sha,
}

#[derive(Deserialize)]
struct Tree {
    #[allow(dead_code, reason = "tells this answer from others")]
    sha: String,
    tree: Vec<Entry>,
    truncated: bool,
}

#[derive(Deserialize)]
struct Commit {
    message: String,
    parents: Vec<Sha>,
    tree: Sha,
}

#[derive(Deserialize)]
struct Blob {
    /// Base64 in lines.
    content: String,
}

impl Blob {
    fn text(&self) -> Option<String> {
        let packed: String = self.content.split_whitespace().collect();
        String::from_utf8(BASE64_STANDARD.decode(packed).ok()?).ok()
    }
}

#[derive(Deserialize)]
struct Comment {
    body: Option<String>,
}

#[derive(Deserialize)]
struct Compared {
    status: String,
}

#[cfg(test)]
mod tests {
    use super::{Blob, Entry, batches};

    #[test]
    fn many_texts_are_asked_for_in_parts() {
        let entry =
            |size| Entry { path: "a".to_owned(), mode: "100644".to_owned(), sha: "s".to_owned(), size };
        let sizes = |sizes: &[u64]| {
            let all: Vec<_> = sizes.iter().map(|size| entry(*size)).collect();
            batches(&all.iter().collect::<Vec<_>>()).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[1; 250]), [100, 100, 50]);
        assert_eq!(sizes(&[3 << 20, 1 << 20, 1, 5 << 20, 1]), [2, 1, 1, 1]);
        assert!(sizes(&[]).is_empty());
    }

    #[test]
    fn blobs_come_in_lines() {
        assert_eq!(Blob { content: "aGVs\nbG8K\n".to_owned() }.text().as_deref(), Some("hello\n"));
        assert_eq!(Blob { content: "/w==".to_owned() }.text(), None, "no text");
    }
}
