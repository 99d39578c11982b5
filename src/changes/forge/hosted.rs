//! What is alike for all forges with an API: a commit, a pull request and a comment come to be once, although an
//! answer may be lost, be it before or after the forge did what it was asked; and a snapshot is read once a commit.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;

use super::{
    Committed, Forge, ForgeError, NewCommit, NewPullRequest, PullRequest, Snapshot,
    rest::{Answer, Call, Rest, Trouble},
};

/// Before each try, and before the last look. The first looks at what is there already.
const PAUSES: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// A forge that says no for a reason that stays says it again.
const REFUSALS: usize = 3;

/// What came of asking for something that must not be there twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt<T> {
    Done(T),
    /// Nothing was done; why, in the forge's words.
    No(String),
    /// Nothing was done because the forge does not see the branch: it may not do so yet.
    NotYet(String),
    /// It may have been done; why that is not known.
    Unsure(String),
}

impl<T> Attempt<T> {
    pub(super) fn map<U>(self, with: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Self::Done(done) => Attempt::Done(with(done)),
            Self::No(why) => Attempt::No(why),
            Self::NotYet(why) => Attempt::NotYet(why),
            Self::Unsure(why) => Attempt::Unsure(why),
        }
    }

    /// Of a request that has [`super::rest::Effect::Once`].
    pub(super) async fn of(
        rest: &Rest,
        call: &Call,
        read: impl FnOnce(&Answer) -> Result<T, ForgeError>,
    ) -> Result<Self, ForgeError> {
        match rest.ask(call).await {
            Ok(answer) if answer.is_success() => read(&answer).map(Self::Done),
            Ok(answer) if answer.is_missing() => Ok(Self::NotYet(rest.said(&answer))),
            Ok(answer) => Ok(Self::No(rest.said(&answer))),
            Err(Trouble::Unsure(why)) => Ok(Self::Unsure(why)),
            Err(trouble) => Err(trouble.into()),
        }
    }
}

/// A commit as the forge has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) parents: Vec<String>,
    pub(super) message: String,
}

/// One kind of forge: what it is asked for each thing, and nothing about trying again.
pub(super) trait Api: Send + Sync + 'static {
    fn rest(&self) -> &Rest;

    /// The base branch.
    fn base(&self) -> &str;

    fn head(&self, branch: &str) -> impl Future<Output = Result<Option<String>, ForgeError>> + Send;

    /// The files of a commit.
    fn read(&self, commit: String) -> impl Future<Output = Result<Snapshot, ForgeError>> + Send;

    fn made(&self, commit: &str) -> impl Future<Output = Result<Made, ForgeError>> + Send;

    /// Makes the commit and moves the branch. `old` is what was read of the parent, where that is known.
    fn write(
        &self,
        new: &NewCommit,
        old: Option<&Snapshot>,
    ) -> impl Future<Output = Result<Attempt<String>, ForgeError>> + Send;

    /// The numbers of the open pull requests from this branch to the base, the oldest first.
    fn open_from(&self, branch: &str) -> impl Future<Output = Result<Vec<u64>, ForgeError>> + Send;

    /// The number of the newest one from this branch to the base, open or not.
    fn newest_from(&self, branch: &str) -> impl Future<Output = Result<Option<u64>, ForgeError>> + Send;

    /// The branches of all open ones to the base.
    fn open_branches(&self) -> impl Future<Output = Result<Vec<String>, ForgeError>> + Send;

    fn post(&self, new: &NewPullRequest) -> impl Future<Output = Result<Attempt<u64>, ForgeError>> + Send;

    /// Sees to it that it has these labels.
    fn label(&self, number: u64, labels: &[String]) -> impl Future<Output = Result<(), ForgeError>> + Send;

    fn edit(
        &self,
        number: u64,
        title: &str,
        body: &str,
    ) -> impl Future<Output = Result<(), ForgeError>> + Send;

    fn get(&self, number: u64) -> impl Future<Output = Result<PullRequest, ForgeError>> + Send;

    fn say(&self, number: u64, text: &str) -> impl Future<Output = Result<Attempt<()>, ForgeError>> + Send;

    /// The newest comments.
    fn said(&self, number: u64) -> impl Future<Output = Result<Vec<String>, ForgeError>> + Send;

    fn shut(&self, number: u64) -> impl Future<Output = Result<(), ForgeError>> + Send;

    /// One that is not there is no error.
    fn remove(&self, branch: &str) -> impl Future<Output = Result<(), ForgeError>> + Send;

    fn contains(&self, of: &str, commit: &str) -> impl Future<Output = Result<bool, ForgeError>> + Send;
}

/// A forge with an API, and the snapshot that was last read.
pub(super) struct Kept<A> {
    api: A,
    last: Mutex<Option<Arc<Snapshot>>>,
}

impl<A: Api> Kept<A> {
    pub(super) fn new(api: A) -> Self {
        Self { api, last: Mutex::new(None) }
    }

    fn last(&self, commit: &str) -> Option<Arc<Snapshot>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|last| last.commit == commit)
    }

    async fn base_head(&self) -> Result<String, ForgeError> {
        let base = self.api.base();
        self.api.head(base).await?.ok_or_else(|| {
            ForgeError::Missing(format!(
                "{} has no branch {base}: check branch in the configuration",
                self.api.rest().where_()
            ))
        })
    }

    async fn try_commit(&self, new: &NewCommit) -> Result<Committed, ForgeError> {
        let (mut refusals, mut why) = (0, String::new());
        for pause in PAUSES {
            tokio::time::sleep(pause).await;
            let head = self.api.head(&new.branch).await?;
            if head != new.expected {
                // Perhaps it is this one, from a try whose answer was lost.
                return Ok(match head {
                    Some(head) if is(&self.api.made(&head).await?, new) => Committed::Done { commit: head },
                    _ => Committed::Moved,
                });
            }
            if new.expected.as_ref() != Some(&new.parent) && self.base_head().await? != new.parent {
                return Ok(Committed::Moved);
            }
            if refusals == REFUSALS {
                break;
            }
            let old = self.last(&new.parent);
            match self.api.write(new, old.as_deref()).await? {
                Attempt::Done(commit) => return Ok(Committed::Done { commit }),
                Attempt::No(said) => (refusals, why) = (refusals + 1, said),
                Attempt::NotYet(said) | Attempt::Unsure(said) => why = said,
            }
        }
        let place = self.api.rest().where_();
        Err(if refusals == REFUSALS {
            ForgeError::Refused(format!(
                "{place} does not take the commit ({why}): its rules must let the token make branches like {}",
                new.branch
            ))
        } else {
            ForgeError::Unavailable(format!("{place} did not take the commit ({why}): ask again later"))
        })
    }

    async fn try_open(&self, new: &NewPullRequest) -> Result<PullRequest, ForgeError> {
        let (mut refusals, mut why) = (0, String::new());
        for pause in PAUSES {
            tokio::time::sleep(pause).await;
            if let Some(number) = self.only(&new.branch).await? {
                return self.labelled(number, &new.labels).await;
            }
            if refusals == REFUSALS {
                break;
            }
            match self.api.post(new).await? {
                Attempt::Done(number) => {
                    // An earlier try may have been slow and not lost; another replica may have asked in the same moment.
                    let number = self.only(&new.branch).await?.unwrap_or(number);
                    return self.labelled(number, &new.labels).await;
                }
                Attempt::Unsure(said) => why = said,
                Attempt::No(said) => (refusals, why) = (refusals + 1, said),
                // A forge may need a moment to see a new branch; one that is not there it never sees.
                Attempt::NotYet(said) => match self.api.head(&new.branch).await? {
                    Some(_) => why = said,
                    None => {
                        return Err(ForgeError::Missing(format!(
                            "{} has no branch {} to open a pull request from: propose the change again",
                            self.api.rest().where_(),
                            new.branch
                        )));
                    }
                },
            }
        }
        let place = self.api.rest().where_();
        Err(if refusals == REFUSALS {
            ForgeError::Refused(format!(
                "{place} does not open a pull request from {} ({why}): check that pull requests are allowed there",
                new.branch
            ))
        } else {
            ForgeError::Unavailable(format!("{place} did not open the pull request ({why}): ask again later"))
        })
    }

    /// The open pull request from this branch. Should a slow request have made a second one, only the first stays.
    async fn only(&self, branch: &str) -> Result<Option<u64>, ForgeError> {
        let all = self.api.open_from(branch).await?;
        let Some((first, others)) = all.split_first() else { return Ok(None) };
        for other in others {
            tracing::warn!(place = %self.api.rest().where_(), number = other, "a pull request that is there twice is closed");
            self.api.shut(*other).await?;
        }
        Ok(Some(*first))
    }

    async fn labelled(&self, number: u64, labels: &[String]) -> Result<PullRequest, ForgeError> {
        if !labels.is_empty()
            && let Err(error) = self.api.label(number, labels).await
        {
            // Without its labels it still is what was asked for.
            tracing::warn!(%error, number, "a pull request has not got its labels");
        }
        self.api.get(number).await
    }

    async fn try_comment(&self, number: u64, text: &str) -> Result<(), ForgeError> {
        let mut why = String::new();
        for (attempt, pause) in PAUSES.into_iter().enumerate() {
            tokio::time::sleep(pause).await;
            if attempt > 0 && self.api.said(number).await?.iter().any(|said| said.trim() == text.trim()) {
                return Ok(());
            }
            match self.api.say(number, text).await? {
                Attempt::Done(()) => return Ok(()),
                Attempt::Unsure(said) => why = said,
                Attempt::No(said) | Attempt::NotYet(said) => {
                    return Err(ForgeError::Refused(format!(
                        "{} does not take a comment on {number} ({said}): check the token's rights",
                        self.api.rest().where_()
                    )));
                }
            }
        }
        Err(ForgeError::Unavailable(format!(
            "{} did not take a comment on {number} ({why}): ask again later",
            self.api.rest().where_()
        )))
    }
}

/// Whether a commit is the one that was to be made; forges end messages as they like.
fn is(made: &Made, new: &NewCommit) -> bool {
    made.parents.first() == Some(&new.parent) && made.message.trim() == new.message.trim()
}

impl<A: Api> Forge for Kept<A> {
    fn has_pull_requests(&self) -> bool {
        true
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Snapshot, ForgeError>> {
        Box::pin(async move {
            let commit = self.base_head().await?;
            if let Some(last) = self.last(&commit) {
                return Ok(Snapshot::clone(&last));
            }
            let read = self.api.read(commit).await?;
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(read.clone()));
            Ok(read)
        })
    }

    fn head<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, Result<Option<String>, ForgeError>> {
        Box::pin(self.api.head(branch))
    }

    fn commit<'a>(&'a self, commit: &'a NewCommit) -> BoxFuture<'a, Result<Committed, ForgeError>> {
        Box::pin(self.try_commit(commit))
    }

    fn find<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, Result<Option<PullRequest>, ForgeError>> {
        Box::pin(async move {
            match self.api.newest_from(branch).await? {
                Some(number) => self.api.get(number).await.map(Some),
                None => Ok(None),
            }
        })
    }

    fn open_branches<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, ForgeError>> {
        Box::pin(async move {
            let mut branches = self.api.open_branches().await?;
            branches.retain(|branch| branch.starts_with(prefix));
            Ok(branches)
        })
    }

    fn open<'a>(&'a self, new: &'a NewPullRequest) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(self.try_open(new))
    }

    fn update<'a>(
        &'a self,
        number: u64,
        title: &'a str,
        body: &'a str,
    ) -> BoxFuture<'a, Result<(), ForgeError>> {
        Box::pin(self.api.edit(number, title, body))
    }

    fn get(&self, number: u64) -> BoxFuture<'_, Result<PullRequest, ForgeError>> {
        Box::pin(self.api.get(number))
    }

    fn comment<'a>(&'a self, number: u64, text: &'a str) -> BoxFuture<'a, Result<(), ForgeError>> {
        Box::pin(self.try_comment(number, text))
    }

    fn close<'a>(
        &'a self,
        number: u64,
        branch: &'a str,
        head: &'a str,
    ) -> BoxFuture<'a, Result<bool, ForgeError>> {
        Box::pin(async move {
            if number > 0 {
                self.api.shut(number).await?;
            }
            // No forge removes a branch only from where it must be: it is looked at right before.
            match self.api.head(branch).await? {
                None => Ok(true),
                Some(now) if now == head => self.api.remove(branch).await.map(|()| true),
                Some(_) => Ok(false),
            }
        })
    }

    fn files<'a>(
        &'a self,
        _: &'a str,
        head: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ForgeError>> {
        Box::pin(async move { Ok(Some(self.api.read(head.to_owned()).await?.files)) })
    }

    fn parent<'a>(&'a self, _: &'a str, head: &'a str) -> BoxFuture<'a, Result<Option<String>, ForgeError>> {
        Box::pin(async move { Ok(self.api.made(head).await?.parents.into_iter().next()) })
    }

    fn contains<'a>(&'a self, of: &'a str, commit: &'a str) -> BoxFuture<'a, Result<bool, ForgeError>> {
        Box::pin(async move { if of == commit { Ok(true) } else { self.api.contains(of, commit).await } })
    }
}
