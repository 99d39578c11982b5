//! Lists and single objects of the scope, some at once, and what of it could not be read.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::Resource as KubeResource;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::{NOT_ASKED, trim};
use crate::cluster::{Kinds, ListRequest, ReadError, Reader, Resource};

/// Requests that are under way at once.
const AT_ONCE: usize = 6;
/// Objects of one kind that are kept; what comes after makes the kind one that was not read to its end.
const MOST: usize = 3_000;

pub(super) struct Source<'a> {
    pub(super) reader: &'a Reader,
    pub(super) kinds: &'a Kinds,
    namespace: Option<String>,
    /// Nothing that is in a namespace is asked for.
    pub(super) is_of_cluster_alone: bool,
    gate: Semaphore,
    unread: Mutex<BTreeMap<&'static str, String>>,
}

impl<'a> Source<'a> {
    /// Of one namespace, or of all; or of no namespace at all.
    pub(super) fn new(
        reader: &'a Reader,
        kinds: &'a Kinds,
        namespace: Option<String>,
        is_of_cluster_alone: bool,
    ) -> Self {
        Self {
            reader,
            kinds,
            namespace,
            is_of_cluster_alone,
            gate: Semaphore::new(AT_ONCE),
            unread: Mutex::default(),
        }
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(super) fn into_unread(self) -> BTreeMap<&'static str, String> {
        self.unread.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cannot_read(&self, kind: &'static str, why: &str) {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, why.to_owned());
    }

    /// All objects of a kind.
    pub(super) fn all<'s, K>(&'s self, group: &'s str, kind: &'static str) -> BoxFuture<'s, Vec<K>>
    where
        K: KubeResource + DeserializeOwned + Clone + Send + 's,
    {
        self.some(group, kind, |_| true)
    }

    /// The objects of a kind that `keep`, which may also take from them what is not needed, wants.
    pub(super) fn some<'s, K>(
        &'s self,
        group: &'s str,
        kind: &'static str,
        mut keep: impl FnMut(&mut K) -> bool + Send + 's,
    ) -> BoxFuture<'s, Vec<K>>
    where
        K: KubeResource + DeserializeOwned + Clone + Send + 's,
    {
        Box::pin(async move {
            let (mut kept, mut left) = (Vec::new(), 0_usize);
            let each = |mut object: K| {
                trim::metadata(object.meta_mut());
                if !keep(&mut object) {
                    return;
                }
                if kept.len() < MOST {
                    kept.push(trim::close(&object));
                } else {
                    left += 1;
                }
            };
            self.each(group, kind, each).await;
            if left > 0 {
                self.cannot_read(kind, &format!("{left} of {} left out", MOST + left));
            }
            kept
        })
    }

    /// Gives `each` every object of a kind as it comes.
    pub(super) fn each<'s, K: DeserializeOwned + 's>(
        &'s self,
        group: &'s str,
        kind: &'static str,
        mut each: impl FnMut(K) + Send + 's,
    ) -> BoxFuture<'s, ()> {
        Box::pin(async move {
            let Some(resource) = self.kinds.of_kind(group, kind) else {
                return self.cannot_read(kind, "the cluster does not have this kind");
            };
            if self.is_of_cluster_alone && resource.namespaced {
                return self.cannot_read(kind, NOT_ASKED);
            }
            let mut strange = 0_usize;
            let mut one = |object: &RawValue| match serde_json::from_str(object.get()) {
                Ok(object) => each(object),
                Err(error) => {
                    strange += 1;
                    tracing::debug!(kind, %error, "an object is not what its kind promises");
                }
            };
            let read = self.list(resource, &mut one).await;
            match read {
                Ok(()) if strange == 0 => {}
                Ok(()) => self.cannot_read(kind, &format!("{strange} are not what their kind promises")),
                Err(error) => self.cannot_read(kind, &why(&error)),
            }
        })
    }

    // Boxed, as all that reads here: proving anew for each kind of object that a read may move between threads takes
    // the compiler minutes.
    pub(super) fn list<'s>(
        &'s self,
        resource: &'s Resource,
        each: &'s mut (dyn FnMut(&RawValue) + Send),
    ) -> BoxFuture<'s, Result<(), ReadError>> {
        Box::pin(async move {
            let _turn = self.gate.acquire().await;
            let request = ListRequest { namespace: self.namespace.clone(), ..ListRequest::default() };
            self.reader.list(resource, &request, each).await.map(|_| ())
        })
    }

    /// One object of any namespace.
    pub(super) fn one<'s>(
        &'s self,
        group: &'s str,
        kind: &'s str,
        namespace: &'s str,
        name: &'s str,
    ) -> BoxFuture<'s, Result<Box<RawValue>, ReadError>> {
        Box::pin(async move {
            let Some(resource) = self.kinds.of_kind(group, kind) else {
                return Err(ReadError::NotRecorded(kind.to_owned()));
            };
            let _turn = self.gate.acquire().await;
            self.reader.get(resource, Some(namespace), name).await
        })
    }

    /// All namespaces; the one of the scope for those who may not list them.
    pub(super) async fn namespaces(&self) -> Vec<Namespace> {
        let all = self.all("", "Namespace").await;
        let (true, Some(name)) = (all.is_empty(), self.namespace()) else { return all };
        let Ok(one) = self.one("", "Namespace", "", name).await else { return all };
        serde_json::from_str(one.get()).into_iter().collect()
    }
}

/// Runs them some at once; answers come in their order.
pub(super) fn together<'a, T: Send + 'a>(reads: Vec<BoxFuture<'a, T>>) -> BoxFuture<'a, Vec<T>> {
    stream::iter(reads).buffered(AT_ONCE).collect().boxed()
}

/// In a few words: the tail of an answer names them.
pub(super) fn why(error: &ReadError) -> String {
    match error {
        ReadError::Forbidden { .. } => "forbidden".to_owned(),
        ReadError::NotFound { .. } => "the cluster does not serve it".to_owned(),
        ReadError::NotRecorded(_) => "not in the recording".to_owned(),
        ReadError::Timeout { .. } => "no answer in time".to_owned(),
        other => other.to_string(),
    }
}
