//! GitLab: `/api/v4`.
//!
//! A commit is one request that holds all files. A new branch begins at a given commit; one that is there gets the
//! commit on top, each file guarded by the id of the last commit that changed it.

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ForgeError, NewCommit, NewPullRequest, PullRequest, PullRequestState, Review, Snapshot, Verdict, archive,
    gathering,
    hosted::{Api, Attempt, Made},
    rest::{Call, Effect, LARGEST_ARCHIVE, Rest},
    reviews::{Given, counting},
};

pub(super) struct GitLab {
    rest: Rest,
    /// With all groups.
    project: String,
    base: String,
}

impl GitLab {
    pub(super) fn new(rest: Rest, project: String, base: String) -> Self {
        Self { rest, project, base }
    }

    /// The path of something in the project. Names with slashes must be parts of their own: they are escaped.
    fn path<'p>(&'p self, below: &[&'p str]) -> Vec<&'p str> {
        [&["projects", self.project.as_str()], below].concat()
    }

    fn get_of(&self, below: &[&str]) -> Call {
        Call::get(self.path(below))
    }

    fn posting(&self, below: &[&str], body: Value) -> Call {
        Call::new(Method::POST, self.path(below), Effect::Once).sending(body)
    }

    async fn put(&self, number: u64, body: Value) -> Result<(), ForgeError> {
        let number = number.to_string();
        let call =
            Call::new(Method::PUT, self.path(&["merge_requests", &number]), Effect::Same).sending(body);
        self.rest.expect(&call).await.map(drop)
    }

    /// How the files of a commit are written over those of its parent.
    async fn actions(&self, new: &NewCommit, old: Option<&Snapshot>) -> Result<Vec<Value>, ForgeError> {
        let mut actions = Vec::with_capacity(new.files.len());
        for (path, text) in &new.files {
            let call = self.get_of(&["repository", "files", path]).with("ref", &new.parent);
            let there = match self.rest.maybe(&call).await? {
                Some(answer) => Some(answer.json::<File>()?),
                None => None,
            };
            gathering::same(old, path, there.as_ref().map(|file| file.blob_id.as_str()))
                .map_err(|why| ForgeError::Unsupported(format!("{}: {why}", self.rest.where_())))?;
            actions.push(match there {
                Some(file) => json!({
                    "action": "update", "file_path": path, "content": text, "encoding": "text",
                    "last_commit_id": file.last_commit_id,
                }),
                None => json!({"action": "create", "file_path": path, "content": text, "encoding": "text"}),
            });
        }
        Ok(actions)
    }

    async fn listed(&self, call: &Call) -> Result<Vec<Listed>, ForgeError> {
        let mut requests: Vec<Listed> = self.rest.pages(call, "per_page").await?;
        requests.retain(Listed::is_of_project);
        Ok(requests)
    }

    /// Of every state, unless narrowed; the newest first.
    fn requests(&self) -> Call {
        let call = self.get_of(&["merge_requests"]).with("target_branch", &self.base);
        call.with("order_by", "created_at").with("sort", "desc")
    }
}

impl Api for GitLab {
    fn rest(&self) -> &Rest {
        &self.rest
    }

    fn base(&self) -> &str {
        &self.base
    }

    async fn head(&self, branch: &str) -> Result<Option<String>, ForgeError> {
        let answer = self.rest.maybe(&self.get_of(&["repository", "branches", branch])).await?;
        Ok(match answer {
            Some(answer) => Some(answer.json::<Branch>()?.commit.id),
            None => None,
        })
    }

    async fn read(&self, commit: String) -> Result<Snapshot, ForgeError> {
        let call =
            self.get_of(&["repository", "archive.tar.gz"]).with("sha", &commit).archive(LARGEST_ARCHIVE);
        let packed = self.rest.expect(&call).await?.bytes();
        let files = gathering::apart(move || archive::files(&packed)).await;
        let files = files.map_err(|why| gathering::too_much(&self.rest.where_(), &why))?;
        Ok(Snapshot { commit, files })
    }

    async fn made(&self, commit: &str) -> Result<Made, ForgeError> {
        let call = self.get_of(&["repository", "commits", commit]);
        let Commit { id: _, parent_ids, message } = self.rest.expect(&call).await?.json()?;
        Ok(Made { parents: parent_ids, message })
    }

    async fn write(&self, new: &NewCommit, old: Option<&Snapshot>) -> Result<Attempt<String>, ForgeError> {
        let mut body = json!({
            "branch": new.branch, "commit_message": new.message, "actions": self.actions(new, old).await?,
        });
        if new.expected.as_ref() != Some(&new.parent) {
            body["start_sha"] = json!(new.parent);
            if new.expected.is_some() {
                body["force"] = json!(true);
            }
        }
        let call = self.posting(&["repository", "commits"], body);
        let moved = || Attempt::No(format!("somebody else committed to {} meanwhile", new.branch));
        // Nothing that can be sent says where the branch must be. So it is looked at right before, since the files took
        // their time, and afterwards what is below.
        if new.expected.is_some() && self.head(&new.branch).await? != new.expected {
            return Ok(moved());
        }
        let done = Attempt::of(&self.rest, &call, |answer| answer.json::<Commit>()).await?;
        Ok(match done {
            Attempt::Done(commit) if commit.parent_ids.first() != Some(&new.parent) => moved(),
            done => done.map(|commit| commit.id),
        })
    }

    async fn open_from(&self, branch: &str) -> Result<Vec<u64>, ForgeError> {
        let call = self.requests().with("state", "opened").with("source_branch", branch);
        let mut numbers: Vec<_> = self.listed(&call).await?.into_iter().map(|request| request.iid).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn newest_from(&self, branch: &str) -> Result<Option<u64>, ForgeError> {
        let call = self.requests().with("source_branch", branch);
        Ok(self.listed(&call).await?.into_iter().map(|request| request.iid).max())
    }

    async fn open_branches(&self) -> Result<Vec<String>, ForgeError> {
        let requests = self.listed(&self.requests().with("state", "opened")).await?;
        Ok(requests.into_iter().map(|request| request.source_branch).collect())
    }

    async fn post(&self, new: &NewPullRequest) -> Result<Attempt<u64>, ForgeError> {
        let NewPullRequest { branch, title, body, labels } = new;
        let body = json!({
            "source_branch": branch, "target_branch": self.base, "title": title, "description": body,
            "labels": labels.join(","), "remove_source_branch": true,
        });
        let call = self.posting(&["merge_requests"], body);
        Attempt::of(&self.rest, &call, |answer| Ok(answer.json::<Listed>()?.iid)).await
    }

    async fn label(&self, number: u64, labels: &[String]) -> Result<(), ForgeError> {
        // Makes those that are not there.
        self.put(number, json!({"add_labels": labels.join(",")})).await
    }

    async fn edit(&self, number: u64, title: &str, body: &str) -> Result<(), ForgeError> {
        self.put(number, json!({"title": title, "description": body})).await
    }

    async fn get(&self, number: u64) -> Result<PullRequest, ForgeError> {
        let number = number.to_string();
        let of = ["merge_requests", number.as_str()];
        let request: Request = self.rest.expect(&self.get_of(&of)).await?.json()?;
        let approvals = self.get_of(&[of[0], of[1], "approvals"]);
        let approvals: Approvals = self.rest.expect(&approvals).await?.json()?;
        let reviewers: Vec<Reviewer> =
            self.rest.pages(&self.get_of(&[of[0], of[1], "reviewers"]), "per_page").await?;
        // What was approved must be told by when: an approval stays when somebody pushes.
        let versions: Vec<Version> = match approvals.approved_by.is_empty() {
            true => Vec::new(),
            false => self.rest.pages(&self.get_of(&[of[0], of[1], "versions"]), "per_page").await?,
        };
        Ok(request.shown(approvals, &versions, reviewers))
    }

    async fn say(&self, number: u64, text: &str) -> Result<Attempt<()>, ForgeError> {
        let call = self.posting(&["merge_requests", &number.to_string(), "notes"], json!({"body": text}));
        Attempt::of(&self.rest, &call, |_| Ok(())).await
    }

    async fn said(&self, number: u64) -> Result<Vec<String>, ForgeError> {
        let call = self.get_of(&["merge_requests", &number.to_string(), "notes"]);
        let notes: Vec<Note> = self.rest.expect(&call.with("per_page", 50)).await?.json()?;
        Ok(notes.into_iter().map(|note| note.body).collect())
    }

    async fn shut(&self, number: u64) -> Result<(), ForgeError> {
        self.put(number, json!({"state_event": "close"})).await
    }

    async fn remove(&self, branch: &str) -> Result<(), ForgeError> {
        let path = self.path(&["repository", "branches", branch]);
        self.rest.maybe(&Call::new(Method::DELETE, path, Effect::Same)).await.map(drop)
    }

    async fn contains(&self, of: &str, commit: &str) -> Result<bool, ForgeError> {
        if self.rest.maybe(&self.get_of(&["repository", "commits", commit])).await?.is_none() {
            return Ok(false);
        }
        let call = self.get_of(&["repository", "merge_base"]).with("refs[]", of).with("refs[]", commit);
        // None in common: 404, or 400 in older versions.
        let answer = self.rest.ask(&call).await?;
        match answer.status().as_u16() {
            200 => Ok(answer.json::<Id>()?.id == commit),
            _ => self.made(of).await.map(|_| false),
        }
    }
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Branch {
    commit: Id,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
    parent_ids: Vec<String>,
    message: String,
}

#[derive(Deserialize)]
struct File {
    blob_id: String,
    last_commit_id: String,
}

#[derive(Deserialize)]
struct Note {
    body: String,
}

#[derive(Deserialize)]
struct Listed {
    iid: u64,
    source_branch: String,
    /// Null when the fork is gone.
    source_project_id: Option<u64>,
    target_project_id: u64,
}

impl Listed {
    /// A fork may have a branch of the same name, and it may be anybody's.
    fn is_of_project(&self) -> bool {
        self.source_project_id == Some(self.target_project_id)
    }
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Request {
    iid: u64,
    web_url: String,
    source_branch: String,
    /// Null when the branch is gone before it was read.
    sha: Option<String>,
    state: String,
    author: User,
    merged_at: Option<Timestamp>,
    merge_user: Option<User>,
    /// Its name in older versions; newer ones have both.
    #[serde(default)]
    merged_by: Option<User>,
    merge_commit_sha: Option<String>,
    squash_commit_sha: Option<String>,
    closed_by: Option<User>,
}

#[derive(Deserialize)]
struct Approvals {
    approved_by: Vec<Approval>,
}

#[derive(Deserialize)]
struct Approval {
    user: User,
    /// Newer versions say it.
    #[serde(default)]
    approved_at: Option<Timestamp>,
}

/// What the request held from then on; the newest first.
#[derive(Deserialize)]
struct Version {
    head_commit_sha: String,
    created_at: Timestamp,
}

impl Approval {
    /// The commit that was newest when it was given. Where the forge does not say when that was, the oldest.
    fn commit(&self, versions: &[Version]) -> Option<String> {
        let seen =
            versions.iter().find(|version| self.approved_at.is_some_and(|at| version.created_at <= at));
        seen.or(versions.last()).map(|version| version.head_commit_sha.clone())
    }
}

#[derive(Deserialize)]
struct Reviewer {
    user: User,
    state: String,
}

impl Request {
    fn shown(self, approvals: Approvals, versions: &[Version], reviewers: Vec<Reviewer>) -> PullRequest {
        let state = match self.state.as_str() {
            "merged" => PullRequestState::Merged {
                // A merge that made no commit of its own brought the branch's.
                commit: [self.merge_commit_sha, self.squash_commit_sha, self.sha.clone()]
                    .into_iter()
                    .flatten()
                    .next()
                    .unwrap_or_default(),
                at: self.merged_at,
                by: self.merge_user.or(self.merged_by).map(|user| user.username),
            },
            "closed" => PullRequestState::Closed { by: self.closed_by.map(|user| user.username) },
            // `locked` is open, while it is merged.
            _ => PullRequestState::Open,
        };
        let objections =
            reviewers.into_iter().filter(|reviewer| reviewer.state == "requested_changes").map(|reviewer| {
                Review {
                    user: reviewer.user.username,
                    verdict: Verdict::ChangesRequested,
                    commit: None,
                    at: None,
                }
            });
        let approvals = approvals.approved_by.into_iter().map(|approval| Review {
            commit: approval.commit(versions),
            user: approval.user.username,
            verdict: Verdict::Approved,
            at: approval.approved_at,
        });
        // Who objects has taken the approval back.
        let given = approvals.chain(objections).map(|review| Given { review, dismissed: false });
        PullRequest {
            number: self.iid,
            url: self.web_url,
            branch: self.source_branch,
            head: self.sha.unwrap_or_default(),
            state,
            author: self.author.username,
            reviews: counting(given),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::{Value, json};

    use super::{Approval, Approvals, Listed, Request, Version};
    use crate::changes::forge::{PullRequestState, Verdict};

    fn request(changed: Value) -> Request {
        let mut request = json!({
            "iid": 7, "web_url": "https://gitlab.com/t/d/-/merge_requests/7", "source_branch": "pilothouse/x", "sha": "c",
            "state": "opened", "author": {"username": "bot"}, "merged_at": null, "merge_user": null,
            "merge_commit_sha": null, "squash_commit_sha": null, "closed_by": null
        });
        request.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        serde_json::from_value(request).unwrap()
    }

    fn shown(changed: Value) -> PullRequestState {
        request(changed).shown(Approvals { approved_by: Vec::new() }, &[], Vec::new()).state
    }

    #[test]
    fn states_are_told_apart() {
        assert_eq!(shown(json!({})), PullRequestState::Open);
        assert_eq!(shown(json!({"state": "locked"})), PullRequestState::Open);
        let closed = shown(json!({"state": "closed", "closed_by": {"username": "ann"}}));
        assert_eq!(closed, PullRequestState::Closed { by: Some("ann".to_owned()) });
        for (how, expected) in [
            (json!({"merge_commit_sha": "m", "squash_commit_sha": "s"}), "m"),
            (json!({"squash_commit_sha": "s"}), "s"),
            (json!({}), "c"),
        ] {
            let mut how = how;
            how["state"] = json!("merged");
            how["merged_at"] = json!("2026-11-22T02:02:03.123+01:00");
            how["merge_user"] = json!({"username": "bob"});
            let at = Some("2026-11-22T01:02:03.123Z".parse().unwrap());
            let expected =
                PullRequestState::Merged { commit: expected.to_owned(), at, by: Some("bob".to_owned()) };
            assert_eq!(shown(how), expected);
        }
    }

    #[test]
    fn a_merge_request_from_a_fork_is_not_ours() {
        let listed = |from| -> Listed {
            let request =
                json!({"iid": 7, "source_branch": "b", "source_project_id": from, "target_project_id": 1});
            serde_json::from_value(request).unwrap()
        };
        assert!(listed(json!(1)).is_of_project());
        assert!(!listed(json!(2)).is_of_project() && !listed(json!(null)).is_of_project());
    }

    #[test]
    fn an_objection_counts_more_than_an_earlier_approval() {
        let approvals = json!({"approved_by": [
            {"user": {"username": "ann"}}, {"user": {"username": "bob"}, "approved_at": "2026-11-22T01:02:03Z"}
        ]});
        let reviewers = json!([
            {"user": {"username": "ann"}, "state": "requested_changes"}, {"user": {"username": "eve"}, "state": "unreviewed"}
        ]);
        let approvals = serde_json::from_value(approvals).unwrap();
        let reviewers = serde_json::from_value(reviewers).unwrap();
        let reviews = request(json!({})).shown(approvals, &[], reviewers).reviews;
        let reviews: Vec<_> = reviews.iter().map(|review| (review.user.as_str(), review.verdict)).collect();
        assert_eq!(reviews, [("bob", Verdict::Approved), ("ann", Verdict::ChangesRequested)]);
    }

    #[test]
    fn an_approval_is_of_what_was_pushed_before_it() {
        let versions = |all: &[(&str, &str)]| -> Vec<Version> {
            let all = all.iter().map(|(sha, at)| json!({"head_commit_sha": sha, "created_at": at}));
            serde_json::from_value(all.collect()).unwrap()
        };
        let revised = versions(&[("new", "2026-11-22T02:00:00Z"), ("old", "2026-11-22T01:00:00Z")]);
        let once = versions(&[("new", "2026-11-22T02:00:00Z")]);
        for (at, versions, seen) in [
            (Some("2026-11-22T01:30:00Z"), &revised, "old"),
            (Some("2026-11-22T02:00:00Z"), &revised, "new"),
            // Older versions of GitLab do not say when.
            (None, &revised, "old"),
            (None, &once, "new"),
        ] {
            let approval: Approval =
                serde_json::from_value(json!({"user": {"username": "bob"}, "approved_at": at})).unwrap();
            assert_eq!(approval.commit(versions).as_deref(), Some(seen), "{at:?}");
        }
    }
}
