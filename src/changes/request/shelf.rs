//! Where change requests are kept: ChangeRequest objects of the cluster, or files with the same text.

use futures::{future::BoxFuture, stream::BoxStream};

use crate::api::ChangeRequest;

/// Keeps the change requests of an installation. Every write names the version that was read.
pub trait Shelf: Send + Sync {
    /// # Errors
    /// [`ShelfError::Broken`].
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ChangeRequest>, ShelfError>>;

    /// Keeps other processes that may write to the same shelf from working on a request, as long as it is held. Where
    /// one process alone leads there are none.
    ///
    /// # Errors
    /// [`ShelfError::Broken`]. Nothing when another holds it and `wait` is false.
    fn hold<'a>(&'a self, _id: &'a str, _wait: bool) -> BoxFuture<'a, Result<Option<Held>, ShelfError>> {
        Box::pin(std::future::ready(Ok(Some(Held::default()))))
    }

    /// # Errors
    /// [`ShelfError::Broken`].
    fn list(&self) -> BoxFuture<'_, Result<Shelved, ShelfError>>;

    /// An item whenever this request may have become another, as long as the stream is held; also when it did not.
    fn news(&self, request: &ChangeRequest) -> BoxStream<'static, ()>;

    /// Stores one that is not there yet, and answers it as it is stored.
    ///
    /// # Errors
    /// [`ShelfError::Outdated`] when it is there already; see [`ShelfError`].
    fn create<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>>;

    /// Stores another status, and answers the whole as it is stored.
    ///
    /// # Errors
    /// [`ShelfError::Outdated`] when somebody stored another meanwhile; see [`ShelfError`].
    fn update<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>>;

    /// Tells people who look at the request where it is kept. What cannot be told is said in the log.
    fn tell<'a>(&'a self, _request: &'a ChangeRequest, _news: News) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Whether requests can be kept in that namespace, and are found there.
    fn reaches(&self, _namespace: &str) -> bool {
        true
    }

    /// As [`Self::update`], with another spec.
    ///
    /// # Errors
    /// As [`Self::update`].
    fn revise<'a>(&'a self, request: &'a ChangeRequest) -> BoxFuture<'a, Result<ChangeRequest, ShelfError>>;
}

/// A request that nobody else works on; given back when dropped.
#[derive(Debug, Default)]
pub struct Held {
    pub(super) _lock: Option<std::fs::File>,
}

/// What is on a shelf.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shelved {
    pub requests: Vec<ChangeRequest>,
    /// The names of those that cannot be read.
    pub broken: Vec<String>,
}

/// Something to tell people who look at the request itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub is_warning: bool,
    /// One CamelCase word.
    pub reason: &'static str,
    /// A sentence or two, without secrets.
    pub note: String,
}

/// Why something was not stored or found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShelfError {
    #[error("change request {0} was changed by somebody else meanwhile: ask again")]
    Outdated(String),
    #[error(
        "this replica does not lead any more, so nothing was done: ask again, the one that leads will answer"
    )]
    NotLeading,
    /// One sentence without its end: what, where, what to do.
    #[error("{0}")]
    Broken(String),
}
