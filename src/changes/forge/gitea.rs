//! Gitea and Forgejo: `/api/v1`.
//!
//! A commit is one request that holds all files, each with the id of what it replaces. It stands on the newest commit
//! of a branch, so the parent is looked at afterwards. A branch that is there is moved in a step of its own, from where
//! it must be, where the forge has that step (Gitea since 1.26); README.md says what is done where it has not.

mod write;

use std::collections::BTreeMap;

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    ForgeError, NewCommit, NewPullRequest, PullRequest, Review, Snapshot, Verdict, archive, gathering,
    hosted::{Api, Attempt, Made},
    rest::{Call, Effect, LARGEST_ARCHIVE, Rest},
    reviews::{Given, counting},
    state::Told,
};

/// Of labels that are made; blue.
const COLOUR: &str = "#1d76db";

pub(super) struct Gitea {
    rest: Rest,
    /// `owner/name`.
    project: String,
    base: String,
    /// The labels that were found or made, by name. Gitea takes two of one name, so one is made at a time.
    labels: Mutex<BTreeMap<String, u64>>,
}

impl Gitea {
    pub(super) fn new(rest: Rest, project: String, base: String) -> Self {
        Self { rest, project, base, labels: Mutex::default() }
    }

    /// The path of something in the repository, whose parts are parted by slashes.
    fn path<'p>(&'p self, below: &'p str) -> impl Iterator<Item = &'p str> {
        ["repos"].into_iter().chain(self.project.split('/')).chain(below.split('/'))
    }

    fn get_of(&self, below: &str) -> Call {
        Call::get(self.path(below))
    }

    async fn pulls(&self, state: &str) -> Result<Vec<Pull>, ForgeError> {
        let call = self.get_of("pulls").with("state", state).with("base_branch", &self.base);
        let mut pulls: Vec<Pull> = self.rest.pages(&call, "limit").await?;
        // Older ones do not know the parameter for the base branch.
        pulls.retain(|pull| pull.base.label == self.base && pull.is_of_repository());
        Ok(pulls)
    }

    async fn numbers(&self, state: &str, branch: &str) -> Result<Vec<u64>, ForgeError> {
        let pulls = self.pulls(state).await?;
        let mut numbers: Vec<_> =
            pulls.iter().filter(|pull| pull.branch() == branch).map(|pull| pull.number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn closed_by(&self, number: u64) -> Result<Option<String>, ForgeError> {
        let call = self.get_of(&format!("issues/{number}/timeline"));
        let events: Vec<Event> = self.rest.pages(&call, "limit").await?;
        Ok(events
            .into_iter()
            .rev()
            .find(|event| event.kind == "close")
            .and_then(|event| Some(event.user?.login)))
    }

    async fn read_labels(&self, into: &mut BTreeMap<String, u64>) -> Result<(), ForgeError> {
        let of_repository: Vec<Label> = self.rest.pages(&self.get_of("labels"), "limit").await?;
        let owner = self.project.split('/').next().unwrap_or_default();
        // A person's account has none, and to those of an organization the token may have no right.
        let of_owner: Vec<Label> =
            match self.rest.maybe(&Call::get(["orgs", owner, "labels"]).with("limit", 50)).await {
                Ok(Some(answer)) => answer.json()?,
                Ok(None) | Err(ForgeError::Refused(_)) => Vec::new(),
                Err(error) => return Err(error),
            };
        into.extend(of_owner.into_iter().chain(of_repository).map(|Label { id, name }| (name, id)));
        Ok(())
    }

    async fn ids(&self, wanted: &[String]) -> Result<Vec<u64>, ForgeError> {
        let mut known = self.labels.lock().await;
        if !wanted.iter().all(|name| known.contains_key(name)) {
            self.read_labels(&mut known).await?;
        }
        let mut ids = Vec::with_capacity(wanted.len());
        for name in wanted {
            if !known.contains_key(name) {
                let body = json!({"name": name, "color": COLOUR});
                let call = Call::new(Method::POST, self.path("labels"), Effect::Once).sending(body);
                match Attempt::of(&self.rest, &call, |answer| Ok(answer.json::<Label>()?.id)).await? {
                    Attempt::Done(id) => {
                        known.insert(name.clone(), id);
                    }
                    Attempt::Unsure(_) => self.read_labels(&mut known).await?,
                    Attempt::No(said) | Attempt::NotYet(said) => return Err(ForgeError::Refused(said)),
                }
            }
            ids.extend(known.get(name));
        }
        Ok(ids)
    }
}

impl Api for Gitea {
    fn rest(&self) -> &Rest {
        &self.rest
    }

    fn base(&self) -> &str {
        &self.base
    }

    async fn head(&self, branch: &str) -> Result<Option<String>, ForgeError> {
        // As git has it: the list of branches may be behind.
        let call = self.get_of(&format!("git/refs/heads/{branch}"));
        let answer = self.rest.ask(&call).await?;
        match answer.status().as_u16() {
            200 => Ok(head(answer.json()?, branch)),
            // 409: the repository has no commit yet.
            404 | 409 => Ok(None),
            _ => Err(self.rest.unexpected(&call, &answer)),
        }
    }

    async fn read(&self, commit: String) -> Result<Snapshot, ForgeError> {
        let call = self.get_of(&format!("archive/{commit}.tar.gz")).archive(LARGEST_ARCHIVE);
        let packed = self.rest.expect(&call).await?.bytes();
        let files = gathering::apart(move || archive::files(&packed)).await;
        let files = files.map_err(|why| gathering::too_much(&self.rest.where_(), &why))?;
        Ok(Snapshot { commit, files })
    }

    async fn made(&self, commit: &str) -> Result<Made, ForgeError> {
        let call = self.get_of(&format!("git/commits/{commit}"));
        let call = call.with("stat", false).with("verification", false).with("files", false);
        let Commit { commit: Message { message }, parents, sha: _ } =
            self.rest.expect(&call).await?.json()?;
        Ok(Made { parents: parents.into_iter().map(|parent| parent.sha).collect(), message })
    }

    async fn write(&self, new: &NewCommit, old: Option<&Snapshot>) -> Result<Attempt<String>, ForgeError> {
        let files = self.operations(new, old).await?;
        match &new.expected {
            None => self.write_new(new, &files).await,
            Some(expected) => self.write_over(new, expected, &files).await,
        }
    }

    async fn open_from(&self, branch: &str) -> Result<Vec<u64>, ForgeError> {
        self.numbers("open", branch).await
    }

    async fn newest_from(&self, branch: &str) -> Result<Option<u64>, ForgeError> {
        if let Some(open) = self.numbers("open", branch).await?.pop() {
            return Ok(Some(open));
        }
        // Any one of them, since it is found without a list; most often there is none.
        let path = self.path("pulls").chain([self.base.as_str()]).chain(branch.split('/'));
        let Some(answer) = self.rest.maybe(&Call::get(path)).await? else { return Ok(None) };
        let any = answer.json::<Pull>()?.number;
        Ok(Some(self.numbers("closed", branch).await?.pop().map_or(any, |newest| newest.max(any))))
    }

    async fn open_branches(&self) -> Result<Vec<String>, ForgeError> {
        Ok(self.pulls("open").await?.iter().map(|pull| pull.branch().to_owned()).collect())
    }

    async fn post(&self, new: &NewPullRequest) -> Result<Attempt<u64>, ForgeError> {
        let NewPullRequest { branch, title, body, labels: _ } = new;
        let body = json!({"title": title, "body": body, "head": branch, "base": self.base});
        let call = Call::new(Method::POST, self.path("pulls"), Effect::Once).sending(body);
        Attempt::of(&self.rest, &call, |answer| Ok(answer.json::<Pull>()?.number)).await
    }

    async fn label(&self, number: u64, labels: &[String]) -> Result<(), ForgeError> {
        let body = json!({"labels": self.ids(labels).await?});
        let path = format!("issues/{number}/labels");
        self.rest
            .expect(&Call::new(Method::POST, self.path(&path), Effect::Same).sending(body))
            .await
            .map(drop)
    }

    async fn edit(&self, number: u64, title: &str, body: &str) -> Result<(), ForgeError> {
        let path = format!("pulls/{number}");
        let body = json!({"title": title, "body": body});
        self.rest
            .expect(&Call::new(Method::PATCH, self.path(&path), Effect::Same).sending(body))
            .await
            .map(drop)
    }

    async fn get(&self, number: u64) -> Result<PullRequest, ForgeError> {
        let pull: Pull = self.rest.expect(&self.get_of(&format!("pulls/{number}"))).await?.json()?;
        let call = self.get_of(&format!("pulls/{number}/reviews"));
        let reviews: Vec<Reviewed> = self.rest.pages(&call, "limit").await?;
        let closed_by =
            if pull.state == "closed" && !pull.merged { self.closed_by(number).await? } else { None };
        Ok(pull.shown(reviews, closed_by))
    }

    async fn say(&self, number: u64, text: &str) -> Result<Attempt<()>, ForgeError> {
        let path = format!("issues/{number}/comments");
        let call = Call::new(Method::POST, self.path(&path), Effect::Once).sending(json!({"body": text}));
        Attempt::of(&self.rest, &call, |_| Ok(())).await
    }

    async fn said(&self, number: u64) -> Result<Vec<String>, ForgeError> {
        let call = self.get_of(&format!("issues/{number}/comments"));
        let comments: Vec<Comment> = self.rest.expect(&call).await?.json()?;
        Ok(comments.into_iter().map(|comment| comment.body).collect())
    }

    async fn shut(&self, number: u64) -> Result<(), ForgeError> {
        let path = format!("pulls/{number}");
        let call =
            Call::new(Method::PATCH, self.path(&path), Effect::Same).sending(json!({"state": "closed"}));
        self.rest.expect(&call).await.map(drop)
    }

    async fn remove(&self, branch: &str) -> Result<(), ForgeError> {
        let call = Call::new(Method::DELETE, self.path(&format!("branches/{branch}")), Effect::Same);
        self.rest.maybe(&call).await.map(drop)
    }

    async fn contains(&self, of: &str, commit: &str) -> Result<bool, ForgeError> {
        let call = self.get_of(&format!("git/commits/{commit}")).with("stat", false).with("files", false);
        if self.rest.maybe(&call).await?.is_none() {
            return Ok(false);
        }
        // What `commit` has and `of` has not.
        let call = self.get_of(&format!("compare/{of}...{commit}"));
        let call = call.with("verification", false).with("files", false);
        Ok(self.rest.expect(&call).await?.json::<Compared>()?.total_commits == 0)
    }
}

/// The one of this name: Gitea answers with all that begin alike.
fn head(refs: Refs, branch: &str) -> Option<String> {
    let refs = match refs {
        Refs::Several(refs) => refs,
        Refs::One(one) => vec![one],
    };
    refs.into_iter()
        .find(|found| found.name.strip_prefix("refs/heads/") == Some(branch))
        .map(|found| found.object.sha)
}

/// Some versions leave the list away when there is one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Refs {
    Several(Vec<Ref>),
    One(Ref),
}

#[derive(Deserialize)]
struct Ref {
    #[serde(rename = "ref")]
    name: String,
    object: Sha,
}

#[derive(Deserialize)]
struct Sha {
    sha: String,
}

#[derive(Deserialize)]
struct Commit {
    #[allow(dead_code, reason = "tells this answer from others")]
    sha: String,
    commit: Message,
    parents: Vec<Sha>,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

#[derive(Deserialize)]
struct Compared {
    total_commits: usize,
}

#[derive(Deserialize)]
struct Label {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct Comment {
    body: String,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    user: Option<User>,
}

#[derive(Deserialize)]
struct End {
    /// The branch, also when it is no longer there.
    label: String,
    sha: String,
    repo_id: i64,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    user: User,
    state: String,
    merged: bool,
    merged_at: Option<Timestamp>,
    merge_commit_sha: Option<String>,
    merged_by: Option<User>,
    base: End,
    head: End,
}

#[derive(Deserialize)]
struct Reviewed {
    /// Absent for the review of a team that was asked.
    user: Option<User>,
    state: String,
    commit_id: Option<String>,
    submitted_at: Option<Timestamp>,
    dismissed: bool,
}

impl Pull {
    /// A fork may have a branch of the same name, and it may be anybody's.
    fn is_of_repository(&self) -> bool {
        self.head.repo_id == self.base.repo_id
    }

    fn branch(&self) -> &str {
        &self.head.label
    }

    fn shown(self, reviews: Vec<Reviewed>, closed_by: Option<String>) -> PullRequest {
        let state = Told {
            is_open: self.state == "open",
            is_merged: self.merged,
            merge: self.merge_commit_sha,
            at: self.merged_at,
            by: self.merged_by.map(|user| user.login),
        };
        PullRequest {
            number: self.number,
            url: self.html_url,
            branch: self.head.label,
            head: self.head.sha,
            state: state.state(closed_by),
            author: self.user.login,
            reviews: counting(reviews.into_iter().filter_map(Reviewed::given)),
        }
    }
}

impl Reviewed {
    fn given(self) -> Option<Given> {
        let Self { user, state, commit_id, submitted_at, dismissed } = self;
        let verdict = match state.as_str() {
            "APPROVED" => Verdict::Approved,
            "REQUEST_CHANGES" => Verdict::ChangesRequested,
            _ => return None,
        };
        let commit = commit_id.filter(|commit| !commit.is_empty());
        Some(Given { review: Review { user: user?.login, verdict, commit, at: submitted_at }, dismissed })
    }
}

#[cfg(test)]
#[path = "gitea_tests.rs"]
mod tests;
