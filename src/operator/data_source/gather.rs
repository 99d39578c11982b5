//! Finds the DataSources of one MCPServer, and reads what has to be copied of them. Needs a client.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::ListParams,
    core::{DeserializeGuard, ObjectList},
};

use super::{
    connected::Usable,
    secrets,
    select::{self, Selection},
};
use crate::{
    api::{DataSource, mcp_server::DataSources},
    fleet::ServerName,
};

/// What was found, and what could not be used: a sentence each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Gathered {
    pub usable: Vec<Usable>,
    pub troubles: Vec<String>,
}

/// # Errors
/// When the API server does not answer. What it refuses is a trouble.
pub(crate) async fn gather(
    client: &Client,
    server: &ServerName,
    spec: &DataSources,
) -> Result<Gathered, kube::Error> {
    let mut gathered = Gathered::default();
    let mut all = Vec::new();
    for namespace in select::namespaces(spec, &server.namespace) {
        let api = Api::<DeserializeGuard<DataSource>>::namespaced(client.clone(), &namespace);
        let found: ObjectList<DeserializeGuard<DataSource>> = match api.list(&ListParams::default()).await {
            Ok(found) => found,
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                let role = "give pilothouse the right to list datasources there";
                gathered
                    .troubles
                    .push(format!("DataSources of namespace {namespace} cannot be read: {role}."));
                continue;
            }
            Err(error) => return Err(error),
        };
        // One that does not parse is dropped alone; its own event says why.
        all.extend(found.items.into_iter().filter_map(|guard| guard.0.ok()));
    }
    let Selection { sources, unmatched } = select::select(spec, &server.namespace, all);
    for name in unmatched {
        gathered.troubles.push(format!(
            "No DataSource `{name}` may be used: it does not exist, has other labels, or does not name {} in allowedNamespaces.",
            server.namespace
        ));
    }
    for source in sources {
        let is_own = select::place(&source).0 == server.namespace;
        if is_own || source.spec.credentials.is_empty() {
            // The kubelet reads them.
            gathered.usable.push(Usable { source, copied: BTreeMap::new(), versions: Vec::new() });
            continue;
        }
        match copied(client, &source).await? {
            Ok((copied, versions)) => gathered.usable.push(Usable { source, copied, versions }),
            Err(trouble) => gathered.troubles.push(trouble),
        }
    }
    Ok(gathered)
}

type Copied = (BTreeMap<String, ByteString>, Vec<String>);

/// The credentials of a source of another namespace and the versions of their Secrets, or why they cannot be had.
async fn copied(client: &Client, source: &DataSource) -> Result<Result<Copied, String>, kube::Error> {
    let (namespace, name) = select::place(source);
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let mut read: BTreeMap<String, Option<Secret>> = BTreeMap::new();
    let mut values = BTreeMap::new();
    for credential in &source.spec.credentials {
        let place = secrets::place(name, credential);
        if !read.contains_key(&place.name) {
            match api.get_opt(&place.name).await {
                Ok(secret) => read.insert(place.name.clone(), secret),
                Err(kube::Error::Api(status)) if status.is_forbidden() => {
                    return Ok(Err(format!(
                        "DataSource {namespace}/{name} is left out: bind the ClusterRole pilothouse-secrets in {namespace}, since its credentials have to be copied."
                    )));
                }
                Err(error) => return Err(error),
            };
        }
        let data = read.get(&place.name).and_then(Option::as_ref).and_then(|secret| secret.data.as_ref());
        let Some(value) = data.and_then(|data| data.get(&place.key)) else {
            // The name of a Secret of another namespace is not for everybody here.
            return Ok(Err(format!(
                "DataSource {namespace}/{name} is left out: its credential `{}` does not exist; its own status says more.",
                credential.name
            )));
        };
        values.insert(credential.name.clone(), value.clone());
    }
    Ok(Ok((values, read.values().flatten().map(secrets::version).collect())))
}
