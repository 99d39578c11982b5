//! How a commit comes to be at Gitea: README.md says why in so many steps.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Gitea, Sha};
use crate::changes::forge::{
    ForgeError, NewCommit, Snapshot, gathering,
    hosted::{Api, Attempt},
    rest::{Call, Effect, Trouble},
};

impl Gitea {
    /// How the files of a commit stand in its parent, as the operations that replace them.
    pub(super) async fn operations(
        &self,
        new: &NewCommit,
        old: Option<&Snapshot>,
    ) -> Result<Vec<Value>, ForgeError> {
        let mut operations = Vec::with_capacity(new.files.len());
        for (path, text) in &new.files {
            let call = self.get_of(&format!("contents/{path}")).with("ref", &new.parent);
            let there = match self.rest.maybe(&call).await? {
                Some(answer) => Some(answer.json::<Content>()?.sha),
                None => None,
            };
            gathering::same(old, path, there.as_deref())
                .map_err(|why| ForgeError::Unsupported(format!("{}: {why}", self.rest.where_())))?;
            let content = BASE64_STANDARD.encode(text);
            operations.push(match there {
                Some(sha) => json!({"operation": "update", "path": path, "content": content, "sha": sha}),
                None => json!({"operation": "create", "path": path, "content": content}),
            });
        }
        Ok(operations)
    }

    /// A commit of these files on the newest of `from`. `to` is the branch that gets it, made for that, or made anew.
    async fn commit(
        &self,
        new: &NewCommit,
        files: &[Value],
        from: &str,
        to: Option<(&str, Anew)>,
    ) -> Result<Attempt<Parent>, ForgeError> {
        let mut body = json!({"message": new.message, "files": files, "branch": from});
        if let Some((to, anew)) = to {
            body["new_branch"] = json!(to);
            body["force_push"] = json!(anew == Anew::Yes);
        }
        let call = Call::new(Method::POST, self.path("contents"), Effect::Once).sending(body);
        Attempt::of(&self.rest, &call, |answer| Ok(answer.json::<Written>()?.commit)).await
    }

    pub(super) async fn write_new(
        &self,
        new: &NewCommit,
        files: &[Value],
    ) -> Result<Attempt<String>, ForgeError> {
        let done = self.commit(new, files, &self.base, Some((new.branch.as_str(), Anew::No))).await?;
        if let Attempt::Done(commit) = &done
            && !commit.stands_on(&new.parent)
        {
            // Nobody has seen this branch yet.
            self.remove(&new.branch).await?;
            return Ok(Attempt::No(moved(&self.base)));
        }
        Ok(done.map(|commit| commit.sha))
    }

    /// The commit is made on a branch of its own; then the branch that is there is moved to it.
    pub(super) async fn write_over(
        &self,
        new: &NewCommit,
        expected: &str,
        files: &[Value],
    ) -> Result<Attempt<String>, ForgeError> {
        let from = if expected == new.parent { &new.branch } else { &self.base };
        let aside = format!("{}.next", new.branch);
        // Left over from a crash, it is made anew: nobody but us commits there.
        let made = match self.commit(new, files, from, Some((aside.as_str(), Anew::Yes))).await? {
            Attempt::Done(made) => made,
            other => {
                self.remove(&aside).await?;
                return Ok(other.map(|commit| commit.sha));
            }
        };
        let done = if made.stands_on(&new.parent) {
            self.move_branch(&new.branch, expected, &made.sha).await
        } else {
            Ok(Some(Attempt::No(moved(from))))
        };
        self.remove(&aside).await?;
        match done? {
            Some(done) => Ok(done.map(|()| made.sha)),
            None => self.write_unguarded(new, expected, files).await,
        }
    }

    /// `None` when this forge cannot move a branch from where it must be.
    async fn move_branch(
        &self,
        branch: &str,
        expected: &str,
        commit: &str,
    ) -> Result<Option<Attempt<()>>, ForgeError> {
        let body = json!({"new_commit_id": commit, "old_commit_id": expected, "force": true});
        let path = format!("branches/{branch}");
        let call = Call::new(Method::PUT, self.path(&path), Effect::Once).sending(body);
        Ok(match self.rest.ask(&call).await {
            Ok(answer) if answer.is_success() => Some(Attempt::Done(())),
            Ok(answer) if matches!(answer.status().as_u16(), 404 | 405) => None,
            Ok(answer) => Some(Attempt::No(self.rest.said(&answer))),
            Err(Trouble::Unsure(why)) => Some(Attempt::Unsure(why)),
            Err(trouble) => return Err(trouble.into()),
        })
    }

    /// Where the branch is, is looked at right before; what somebody else commits in that moment is below ours when it
    /// stands on itself, and then it is not taken as done.
    async fn write_unguarded(
        &self,
        new: &NewCommit,
        expected: &str,
        files: &[Value],
    ) -> Result<Attempt<String>, ForgeError> {
        if self.head(&new.branch).await?.as_deref() != Some(expected) {
            return Ok(Attempt::No(moved(&new.branch)));
        }
        let (from, to) = if expected == new.parent {
            (&new.branch, None)
        } else {
            (&self.base, Some((new.branch.as_str(), Anew::Yes)))
        };
        let done = self.commit(new, files, from, to).await?;
        Ok(match done {
            Attempt::Done(commit) if !commit.stands_on(&new.parent) => Attempt::No(moved(from)),
            // Forgejo knows no `force_push`.
            Attempt::No(said) if to.is_some() => Attempt::No(format!(
                "{said}; if it cannot bring a branch to the newest {}, withdraw the change and propose it again",
                self.base
            )),
            done => done.map(|commit| commit.sha),
        })
    }
}

/// Whether a branch that is there may be made anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anew {
    No,
    Yes,
}

fn moved(branch: &str) -> String {
    format!("somebody else committed to {branch} meanwhile")
}

#[derive(Deserialize)]
struct Content {
    sha: String,
}

#[derive(Deserialize)]
struct Written {
    commit: Parent,
}

#[derive(Deserialize)]
struct Parent {
    sha: String,
    parents: Vec<Sha>,
}

impl Parent {
    fn stands_on(&self, commit: &str) -> bool {
        self.parents.first().is_some_and(|first| first.sha == commit)
    }
}
