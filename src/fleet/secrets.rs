//! The Secrets that MCPServers name for the headers of remote servers. Each is watched by its name, as this process
//! itself: only where the role `pilothouse-secrets` is bound does the API server let it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SecretName {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}/{}", self.namespace, self.name)
    }
}

/// What is known of one Secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Found {
    Values(BTreeMap<String, Vec<u8>>),
    Missing,
    /// The API server does not let us read it.
    Forbidden,
    /// This process reads no Secrets.
    Never,
}

impl fmt::Debug for Found {
    /// Values do not reach logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Values(_) => "Values",
            Self::Missing => "Missing",
            Self::Forbidden => "Forbidden",
            Self::Never => "Never",
        })
    }
}

/// The Secrets that were looked at.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<SecretName, Found>);

impl Known {
    /// Whether that was news.
    pub(super) fn apply(&mut self, name: SecretName, found: Found) -> bool {
        self.0.get(&name) != Some(&found) && {
            self.0.insert(name, found);
            true
        }
    }

    pub(super) fn retain(&mut self, wanted: &BTreeSet<SecretName>) {
        self.0.retain(|name, _| wanted.contains(name));
    }

    /// # Errors
    /// What follows the field's name in a sentence: why there is no value, and what to do.
    pub(super) fn value(&self, secret: &SecretName, key: &str) -> Result<&[u8], String> {
        match self.0.get(secret) {
            Some(Found::Values(values)) => values.get(key).map(Vec::as_slice).ok_or_else(|| {
                let keys: Vec<&str> = values.keys().map(String::as_str).collect();
                format!("{secret} has no key {key}: it has {}", keys.join(", "))
            }),
            Some(Found::Missing) => Err(format!("{secret} does not exist: create it")),
            Some(Found::Forbidden) => Err(format!(
                "{secret} may not be read: bind the ClusterRole pilothouse-secrets to pilothouse's account in namespace {}",
                secret.namespace
            )),
            Some(Found::Never) => Err(format!(
                "{secret} is not read from outside the cluster: use the pilothouse that runs in it"
            )),
            None => Err(format!("{secret} was not read yet: wait a moment")),
        }
    }
}

/// Watches as many Secrets as are wanted.
pub(super) struct Watches {
    client: Client,
    open: BTreeMap<SecretName, DropGuard>,
    tell: mpsc::Sender<(SecretName, Found)>,
}

impl Watches {
    pub(super) fn new(client: Client, tell: mpsc::Sender<(SecretName, Found)>) -> Self {
        Self { client, open: BTreeMap::new(), tell }
    }

    /// Begins to watch what is new among them and ends what is not wanted any more.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<SecretName>) {
        self.open.retain(|name, _| wanted.contains(name));
        for name in wanted {
            if !self.open.contains_key(name) {
                let stop = CancellationToken::new();
                let watching = watch(self.client.clone(), name.clone(), self.tell.clone());
                tokio::spawn(stop.clone().run_until_cancelled_owned(watching));
                self.open.insert(name.clone(), stop.drop_guard());
            }
        }
    }
}

/// Until nobody listens. What may not be read is asked for again, ever less often: the role may be bound later.
async fn watch(client: Client, name: SecretName, tell: mpsc::Sender<(SecretName, Found)>) {
    let secrets: Api<Secret> = Api::namespaced(client, &name.namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", name.name));
    let mut events = watcher(secrets, config).default_backoff().boxed();
    let mut listed = None;
    while let Some(event) = events.next().await {
        let found = match event {
            Ok(watcher::Event::Init) => {
                listed = None;
                continue;
            }
            Ok(watcher::Event::InitApply(secret)) => {
                listed = Some(values(secret));
                continue;
            }
            Ok(watcher::Event::InitDone) => listed.take().unwrap_or(Found::Missing),
            Ok(watcher::Event::Apply(secret)) => values(secret),
            Ok(watcher::Event::Delete(_)) => Found::Missing,
            Err(error) if is_refusal(&error) => Found::Forbidden,
            Err(error) => {
                tracing::debug!(secret = %name, %error, "cannot be watched, trying again");
                continue;
            }
        };
        if tell.send((name.clone(), found)).await.is_err() {
            return;
        }
    }
}

fn is_refusal(error: &watcher::Error) -> bool {
    let inner = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        watcher::Error::WatchError(status) => return status.code == 403,
        _ => return false,
    };
    matches!(inner, kube::Error::Api(status) if status.code == 403)
}

fn values(secret: Secret) -> Found {
    let data = secret.data.unwrap_or_default();
    Found::Values(data.into_iter().map(|(key, value)| (key, value.0)).collect())
}
