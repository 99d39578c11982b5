//! The only client that stores anything. Every write first looks whether this replica still leads, and is given
//! up at the moment from which another replica may lead.

use std::{
    fmt::Debug,
    future::Future,
    sync::{Mutex, PoisonError},
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        autoscaling::v1::{Scale, ScaleSpec},
        core::v1::{ObjectReference, Pod},
        events::v1::Event,
    },
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{
        ApiResource, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams, Preconditions,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    deeds::{Deed, Deeds, Verb},
    events::{Happening, Ledger, Telling},
    lease::Leadership,
    metrics::Metrics,
    settings::FIELD_MANAGER,
};

#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("this replica does not hold the lease any more, nothing was written")]
    NotLeading,
    /// The object was changed, re-made or deleted since it was read.
    #[error("{0} changed meanwhile, it is read again")]
    Outdated(String),
    #[error("{what}: {source}")]
    Refused { what: String, source: Box<kube::Error> },
}

/// An object of a namespace that the writer can store.
pub(super) trait Stored:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

impl<K> Stored for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

pub(super) struct Writer {
    client: Client,
    leadership: watch::Receiver<Leadership>,
    /// Who tells events: this process.
    identity: String,
    events: Mutex<Ledger>,
    deeds: Mutex<Deeds>,
    metrics: Metrics,
}

impl Writer {
    pub(super) fn new(
        client: Client,
        leadership: watch::Receiver<Leadership>,
        identity: &str,
        metrics: Metrics,
    ) -> Self {
        let identity = identity.to_owned();
        Self { client, leadership, identity, events: Mutex::default(), deeds: Mutex::default(), metrics }
    }

    /// To read with.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// POST: fails as outdated when the object exists already. None: its kind or namespace is not there any more.
    pub(super) async fn create_child(
        &self,
        resource: &ApiResource,
        object: &DynamicObject,
    ) -> Result<Option<DynamicObject>, WriteError> {
        let what = what_child("create", resource, object);
        let api = self.children(resource, object);
        let create = async {
            match api.create(&params(false), object).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
                created => created.map(Some),
            }
        };
        let created = self.guarded(what, create).await?;
        if created.is_some() {
            self.done(&resource.kind, object.meta(), Verb::Create);
        }
        Ok(created)
    }

    /// PUT: the object carries uid and resourceVersion of the one that was read.
    pub(super) async fn replace_child(
        &self,
        resource: &ApiResource,
        object: &DynamicObject,
    ) -> Result<DynamicObject, WriteError> {
        let replaced = self.note_child(resource, object).await?;
        self.done(&resource.kind, object.meta(), Verb::Replace);
        Ok(replaced)
    }

    /// PUT of an object that has no namespace and is no child, as it was read.
    pub(super) async fn replace_everywhere(
        &self,
        resource: &ApiResource,
        object: &DynamicObject,
    ) -> Result<(), WriteError> {
        let what = format!("cannot update {} {}", resource.kind, object.name_any());
        let api = Api::<DynamicObject>::all_with(self.client.clone(), resource);
        self.guarded(what, api.replace(&object.name_any(), &params(false), object)).await?;
        self.done(&resource.kind, object.meta(), Verb::Replace);
        Ok(())
    }

    /// As [`Self::replace_child`], for an object on which only a note of ours changed: it is no event.
    pub(super) async fn note_child(
        &self,
        resource: &ApiResource,
        object: &DynamicObject,
    ) -> Result<DynamicObject, WriteError> {
        let what = what_child("update", resource, object);
        let api = self.children(resource, object);
        self.guarded(what, api.replace(&object.name_any(), &params(false), object)).await
    }

    /// PUT of an object that others own and we hold a part of, as it was read.
    pub(super) async fn replace_shared(
        &self,
        resource: &ApiResource,
        object: &DynamicObject,
    ) -> Result<DynamicObject, WriteError> {
        let replaced = self.note_child(resource, object).await?;
        self.metrics.wrote(Verb::Replace, &resource.kind);
        Ok(replaced)
    }

    /// A write to another program than the API server, under the same lease.
    pub(super) async fn elsewhere<T>(&self, write: impl Future<Output = T>) -> Result<T, WriteError> {
        self.guarded(String::new(), async { Ok(write.await) }).await
    }

    /// Sets the finalizers of the object with this metadata; fails as outdated when it is another version by now.
    pub(super) async fn finalizers<K: Stored>(
        &self,
        meta: &ObjectMeta,
        finalizers: &[String],
    ) -> Result<ObjectMeta, WriteError> {
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let name = meta.name.as_deref().unwrap_or_default();
        let what = format!("cannot set the finalizers of {} {namespace}/{name}", K::kind(&()));
        let patch = json!({ "metadata": {
            "uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": finalizers,
        } });
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let (patch, params) = (Patch::Merge(patch), PatchParams::default());
        // The metadata alone: the rest may be what we cannot read.
        let patched = self.guarded(what, api.patch_metadata(name, &params, &patch)).await?;
        Ok(ObjectMeta { managed_fields: None, ..patched.metadata })
    }

    /// What [`Self::replace_child`] would leave behind; nothing is stored.
    pub(super) async fn rehearse_child(
        &self,
        resource: &ApiResource,
        object: &DynamicObject,
    ) -> Result<DynamicObject, WriteError> {
        let what = what_child("rehearse the update of", resource, object);
        let api = self.children(resource, object);
        self.guarded(what, api.replace(&object.name_any(), &params(true), object)).await
    }

    /// Deletes exactly the object that was read.
    pub(super) async fn delete_child(
        &self,
        resource: &ApiResource,
        object: &DynamicObject,
    ) -> Result<(), WriteError> {
        let what = what_child("delete", resource, object);
        let api = self.children(resource, object);
        let exactly = DeleteParams::background().preconditions(Preconditions {
            uid: object.metadata.uid.clone(),
            resource_version: object.metadata.resource_version.clone(),
        });
        self.guarded(what, api.delete(&object.name_any(), &exactly)).await?;
        self.done(&resource.kind, object.meta(), Verb::Delete);
        Ok(())
    }

    /// Sets the replicas of the workload as it was read.
    pub(super) async fn scale<K: Stored>(&self, object: &K, replicas: i32) -> Result<(), WriteError> {
        let what = what("scale", object);
        let api = self.api::<K>(object);
        let scale = Scale {
            metadata: ObjectMeta {
                name: object.meta().name.clone(),
                namespace: object.meta().namespace.clone(),
                uid: object.meta().uid.clone(),
                resource_version: object.meta().resource_version.clone(),
                ..ObjectMeta::default()
            },
            spec: Some(ScaleSpec { replicas: Some(replicas) }),
            status: None,
        };
        self.guarded(what, api.replace_scale(name(object), &params(false), &scale)).await?;
        self.done(&K::kind(&()), object.meta(), Verb::Scale { replicas });
        Ok(())
    }

    /// POST of an object of our own kinds, without its status; fails as outdated when it exists already.
    pub(super) async fn create<K: Stored>(&self, object: &K) -> Result<K, WriteError> {
        let what = what("create", object);
        let created = self.guarded(what, self.api::<K>(object).create(&params(false), object)).await?;
        self.metrics.wrote(Verb::Create, &K::kind(&()));
        Ok(created)
    }

    /// PUT of an object of our own kinds as it was read, but for its spec.
    pub(super) async fn replace<K: Stored>(&self, object: &K) -> Result<K, WriteError> {
        let what = what("update", object);
        let api = self.api::<K>(object);
        let replaced = self.guarded(what, api.replace(name(object), &params(false), object)).await?;
        self.metrics.wrote(Verb::Replace, &K::kind(&()));
        Ok(replaced)
    }

    /// Stores the status of the object as it was read; answers the version that it has now.
    pub(super) async fn status<K: Stored>(&self, object: &K) -> Result<Option<String>, WriteError> {
        let what = what("write the status of", object);
        let api = self.api::<K>(object);
        let stored = self.guarded(what, api.replace_status(name(object), &params(false), object)).await?;
        Ok(stored.meta().resource_version.clone())
    }

    /// Sets a condition of a pod to true, as its readiness gate waits for. Fails as outdated when it is another pod by
    /// now. The kubelet writes the same status: only this condition is touched.
    pub(super) async fn let_pass(&self, pod: &Pod, condition: &str, message: &str) -> Result<(), WriteError> {
        let what = what("open the gate of", pod);
        let api = self.api::<Pod>(pod);
        let patch = json!({
            "metadata": { "uid": pod.metadata.uid },
            "status": { "conditions": [{
                "type": condition,
                "status": "True",
                "reason": "ContractKept",
                "message": message,
                "lastTransitionTime": Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default(),
            }] },
        });
        let (patch, params) = (Patch::Strategic(patch), PatchParams::default());
        self.guarded(what, api.patch_status(name(pod), &params, &patch)).await.map(drop)
    }

    /// What was written to the children of the object with this uid since it was last asked.
    pub(super) fn take_deeds(&self, owner: &str) -> Vec<Deed> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner).take(owner)
    }

    fn done(&self, kind: &str, object: &ObjectMeta, verb: Verb) {
        let kind = kind.to_owned();
        self.metrics.wrote(verb, &kind);
        let owners = object.owner_references.iter().flatten();
        if let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) {
            let mut deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
            deeds.apply(&owner.uid, Deed { verb, kind });
        }
    }

    /// An event about an object; equal ones are counted, not repeated.
    pub(super) async fn tell(
        &self,
        about: &ObjectReference,
        happening: &Happening,
    ) -> Result<(), WriteError> {
        let what = format!("record an event about {}", about.name.as_deref().unwrap_or_default());
        let namespace = about.namespace.as_deref().unwrap_or_default();
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        // Told anew when the event that was to be counted up has expired meanwhile.
        loop {
            match self.ledger(|ledger| ledger.apply(about, happening, &self.identity, Timestamp::now())) {
                Telling::Counted => return Ok(()),
                Telling::New(event) => {
                    let written = self.guarded(what, api.create(&params(false), &event)).await;
                    if written.is_err() {
                        self.ledger(|ledger| ledger.forget(about, happening));
                    }
                    return written.map(drop);
                }
                Telling::Again { name, patch } => {
                    let (patch, params) = (Patch::Merge(patch), PatchParams::default());
                    match self.guarded(what.clone(), api.patch(&name, &params, &patch)).await {
                        Err(WriteError::Outdated(_)) => self.ledger(|ledger| ledger.forget(about, happening)),
                        written => return written.map(drop),
                    }
                }
            }
        }
    }

    fn ledger<T>(&self, work: impl FnOnce(&mut Ledger) -> T) -> T {
        work(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn children(&self, resource: &ApiResource, object: &DynamicObject) -> Api<DynamicObject> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }

    fn api<K: Stored>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.client.clone(), object.meta().namespace.as_deref().unwrap_or_default())
    }

    async fn guarded<T>(
        &self,
        what: String,
        write: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        let Leadership::Leading { until } = *self.leadership.borrow() else {
            return Err(WriteError::NotLeading);
        };
        if Instant::now() >= until {
            return Err(WriteError::NotLeading);
        }
        match timeout_at(until, write).await {
            Err(_) => Err(WriteError::NotLeading),
            Ok(Ok(value)) => Ok(value),
            Ok(Err(kube::Error::Api(status)))
                if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
            {
                tracing::debug!(what, reason = %status.message, "written by somebody else first");
                Err(WriteError::Outdated(what))
            }
            Ok(Err(error)) => Err(WriteError::Refused { what, source: Box::new(error) }),
        }
    }
}

fn params(dry_run: bool) -> PostParams {
    PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) }
}

fn name<K: Stored>(object: &K) -> &str {
    object.meta().name.as_deref().unwrap_or_default()
}

fn what_child(verb: &str, resource: &ApiResource, object: &DynamicObject) -> String {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    format!("cannot {verb} {} {namespace}/{}", resource.kind, object.name_any())
}

fn what<K: Stored>(verb: &str, object: &K) -> String {
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    format!("cannot {verb} {} {namespace}/{}", K::kind(&()), name(object))
}
