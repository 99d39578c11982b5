//! The clusters of a kubeconfig: chosen call by call, never switched for all.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{ReadError, Reader, connect::shared};

/// All clusters that a call may name. Cheap to clone; each is connected to with its first read and kept.
#[derive(Clone)]
pub struct Contexts {
    inner: Arc<Inner>,
}

struct Inner {
    current: String,
    reader: Reader,
    /// Absent where there is only one cluster.
    kubeconfig: Option<Kubeconfig>,
    opened: Mutex<BTreeMap<String, Reader>>,
}

impl Contexts {
    /// The one cluster there is.
    pub fn one(reader: Reader) -> Self {
        Self::made(String::new(), reader, None)
    }

    pub(super) fn of_kubeconfig(current: String, reader: Reader, kubeconfig: Kubeconfig) -> Self {
        Self::made(current, reader, Some(kubeconfig))
    }

    fn made(current: String, reader: Reader, kubeconfig: Option<Kubeconfig>) -> Self {
        Self { inner: Arc::new(Inner { current, reader, kubeconfig, opened: Mutex::default() }) }
    }

    /// Names of the contexts, sorted; none where there is nothing to choose.
    pub fn names(&self) -> Vec<&str> {
        let named = self.inner.kubeconfig.iter().flat_map(|kubeconfig| &kubeconfig.contexts);
        let mut names: Vec<&str> = named.map(|context| context.name.as_str()).collect();
        names.sort_unstable();
        if names.len() < 2 { Vec::new() } else { names }
    }

    /// The one that is meant without a word; empty where there is nothing to choose.
    pub fn current(&self) -> &str {
        &self.inner.current
    }

    /// The cluster of that context; the current one without a name.
    ///
    /// # Errors
    /// [`ReadError::NoContext`] when there is none of that name, [`ReadError::NoCluster`] when it cannot be used.
    pub async fn reader(&self, asked: Option<&str>) -> Result<Reader, ReadError> {
        let Inner { current, reader, kubeconfig, opened } = &*self.inner;
        let Some(asked) = asked.filter(|asked| asked != current) else { return Ok(reader.clone()) };
        let known = |name: &str| opened.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(reader) = known(asked) {
            return Ok(reader);
        }
        let has = |kubeconfig: &&Kubeconfig| kubeconfig.contexts.iter().any(|context| context.name == asked);
        let Some(kubeconfig) = kubeconfig.as_ref().filter(has) else {
            let known = self.names().join(", ");
            return Err(ReadError::NoContext { asked: crate::redact::shown(asked), known });
        };
        let options = KubeConfigOptions { context: Some(asked.to_owned()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await.map_err(|error| {
            ReadError::NoCluster(format!("the context `{asked}` of the kubeconfig cannot be used: {error}"))
        })?;
        let server = config.cluster_url.to_string();
        let opened_now = Reader::new(shared(config), &server);
        let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(opened.entry(asked.to_owned()).or_insert(opened_now).clone())
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contexts").field("names", &self.names()).finish_non_exhaustive()
    }
}
