//! Looks at the objects that pods refer to, and wakes the servers when one of them changes. Needs a client.
//!
//! Only namespaces in which a server refers to something are watched, and of what is watched only metadata is
//! kept. Secrets are read only where `pilothouse-secrets` is bound, which the API server is asked about: again every
//! 30 s while it is not.

mod index;
mod place;
mod rights;
mod watching;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Secret};
use kube::{Api, Client, ResourceExt, api::ListParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    build::fingerprint,
    references::{Keys, References, Referent, Use, What},
    rotation::Sight,
};
use crate::fleet::ServerName;
use place::{Place, Store};
use watching::Shared;

/// What ExternalSecrets say when they wrote another value; an equal one they do not write.
const WRITTEN: &str = "Updated";

/// What was seen for one server.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub sights: BTreeMap<String, Sight>,
    /// Secrets that may not be read; changes of these are not seen.
    pub hidden: Vec<String>,
    /// Secrets that are referred to and may be read.
    pub readable: usize,
    /// There are Secrets of which only what ExternalSecrets tell is seen.
    pub by_events: bool,
}

/// Version and content of an object, for the keys that one server uses.
type Known = HashMap<(ServerName, Referent), (String, String)>;

pub(super) struct Referred {
    client: Client,
    shared: Arc<Shared>,
    known: Mutex<Known>,
    /// One a place; ends with the term as leader.
    tasks: Mutex<JoinSet<()>>,
}

impl Referred {
    pub(super) fn new(client: Client) -> Self {
        Self { client, shared: Arc::default(), known: Mutex::default(), tasks: Mutex::default() }
    }

    /// Servers that should be looked at.
    pub(super) fn wakes(&self) -> UnboundedReceiver<ServerName> {
        let (sender, receiver) = unbounded();
        self.shared.listen(sender);
        receiver
    }

    pub(super) fn forget(&self, server: &ServerName) {
        self.shared.index().set(server, &References::new());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(of, _), _| of != server);
    }

    /// # Errors
    /// When the API server does not answer.
    pub(super) async fn look(
        &self,
        server: &ServerName,
        references: &References,
    ) -> Result<Looks, kube::Error> {
        self.shared.index().set(server, references);
        let mut looks = Looks::default();
        for (referent, used) in references {
            let sight = self.sight(server, referent, used).await?;
            match (referent.what, &sight) {
                (What::Secret, Sight::Hidden) => looks.hidden.push(referent.name.clone()),
                (What::Secret, _) => looks.readable += 1,
                (What::Brought, _) => {
                    let place = Place { store: Store::Secrets, namespace: server.namespace.clone() };
                    looks.by_events |= self.shared.readable(&place) == Some(false);
                }
                (What::ConfigMap, _) => {}
            }
            looks.sights.insert(referent.to_string(), sight);
        }
        Ok(looks)
    }

    async fn sight(
        &self,
        server: &ServerName,
        referent: &Referent,
        used: &Use,
    ) -> Result<Sight, kube::Error> {
        let store = match referent.what {
            What::ConfigMap => Store::ConfigMaps,
            What::Secret | What::Brought => Store::Secrets,
        };
        let place = Place { store, namespace: server.namespace.clone() };
        if !self.is_readable(place).await? {
            return match referent.what {
                What::Brought => self.written(server, &referent.name).await,
                What::ConfigMap | What::Secret => Ok(Sight::Hidden),
            };
        }
        let object = match store {
            Store::ConfigMaps => {
                let api = Api::<ConfigMap>::namespaced(self.client.clone(), &server.namespace);
                api.get_opt(&referent.name)
                    .await
                    .map(|found| found.map(|it| (it.resource_version(), json!([it.data, it.binary_data]))))
            }
            Store::Secrets => {
                let api = Api::<Secret>::namespaced(self.client.clone(), &server.namespace);
                api.get_opt(&referent.name)
                    .await
                    .map(|found| found.map(|it| (it.resource_version(), json!([it.data]))))
            }
        };
        let (version, content) = match object {
            Ok(Some((version, content))) => (version.unwrap_or_default(), content),
            Ok(None) => return Ok(Sight::Absent { optional: used.optional }),
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(Sight::Hidden),
            Err(error) => return Err(error),
        };
        let content = used_content(&content, &used.keys);
        let content = fingerprint(&content).map_err(kube::Error::SerdeError)?;
        let same_as = self.compare(server, referent, &version, content);
        Ok(Sight::Version { version, same_as })
    }

    /// The version that was seen before, when its content was the same.
    fn compare(
        &self,
        server: &ServerName,
        referent: &Referent,
        version: &str,
        content: String,
    ) -> Option<String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (version.to_owned(), content.clone());
        let before = known.insert((server.clone(), referent.clone()), now);
        before.filter(|(_, same)| *same == content).map(|(version, _)| version)
    }

    /// Without the right to read Secrets: the last event that says that another value was written.
    async fn written(&self, server: &ServerName, name: &str) -> Result<Sight, kube::Error> {
        let about = format!("involvedObject.kind=ExternalSecret,involvedObject.name={name},reason={WRITTEN}");
        let api = Api::<Event>::namespaced(self.client.clone(), &server.namespace);
        let events = api.list(&ListParams::default().fields(&about)).await?.items;
        let newest = events.into_iter().max_by_key(|event| {
            event.last_timestamp.as_ref().map(|time| time.0).or(event.event_time.as_ref().map(|time| time.0))
        });
        // Events are kept for an hour.
        Ok(match newest.and_then(|event| event.resource_version()) {
            Some(version) => Sight::Version { version, same_as: None },
            None => Sight::Quiet,
        })
    }

    async fn is_readable(&self, place: Place) -> Result<bool, kube::Error> {
        if let Some(known) = self.shared.readable(&place) {
            return Ok(known);
        }
        let readable = rights::may_watch(&self.client, &place).await?;
        if self.shared.begin(&place, readable) {
            let watching = watching::run(self.client.clone(), self.shared.clone(), place, readable);
            self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(watching);
        }
        Ok(readable)
    }
}

/// What of `[data, binaryData]` the pods use.
fn used_content(content: &Value, keys: &Keys) -> Value {
    match keys {
        Keys::All => content.clone(),
        Keys::Only(keys) => {
            let maps = content.as_array().into_iter().flatten();
            let kept = maps.map(|map| {
                keys.iter().map(|key| map.get(key).cloned().unwrap_or_default()).collect::<Vec<_>>()
            });
            json!(kept.collect::<Vec<_>>())
        }
    }
}
