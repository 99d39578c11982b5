//! Whether the objects that a spec names exist. Needs a client; stores nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, ServiceAccount};
use kube::{
    Api, Client, Resource,
    core::{ApiResource, DynamicObject, GroupVersionKind, NamespaceResourceScope, PartialObjectMeta},
};
use serde::de::DeserializeOwned;

use super::mentions::{Mention, Sort};
use crate::{
    api::{DataSource, SecretStoreKind},
    operator::field_error::{FieldError, Problem},
};

/// Versions in which stores may be served, the newest first.
const STORE_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sight {
    /// With its keys, where it has some.
    There(BTreeSet<String>),
    Absent,
    /// It may not be read, or was not answered.
    Unknown,
}

/// What is named and not there, in the order in which it is named. Each object is asked for once.
pub(in crate::operator::mcp_server) async fn missing(
    client: &Client,
    namespace: &str,
    mentions: &[Mention],
) -> Vec<FieldError> {
    let objects: BTreeSet<(Sort, &str)> =
        mentions.iter().map(|mention| (mention.sort, mention.name.as_str())).collect();
    let looks = objects.into_iter().map(|(sort, name)| async move {
        let sight = look(client, namespace, sort, name).await.unwrap_or_else(|error| {
            tracing::debug!(%error, %sort, name, "not known whether it exists");
            Sight::Unknown
        });
        ((sort, name), sight)
    });
    let seen: BTreeMap<(Sort, &str), Sight> = join_all(looks).await.into_iter().collect();
    mentions
        .iter()
        .filter_map(|mention| wrong(namespace, mention, seen.get(&(mention.sort, mention.name.as_str()))?))
        .collect()
}

fn wrong(namespace: &str, mention: &Mention, sight: &Sight) -> Option<FieldError> {
    let Mention { field, sort, name, key } = mention;
    let whole = match sort {
        Sort::Store(SecretStoreKind::ClusterSecretStore) => name.clone(),
        _ => format!("{namespace}/{name}"),
    };
    match (sight, key) {
        (Sight::Absent, _) => Some(FieldError::new(
            field,
            Problem::NotFound(name.clone()),
            format!("{sort} {whole} does not exist: create it, or correct the name"),
        )),
        (Sight::There(keys), Some(key)) if !keys.contains(key) => {
            let field = format!("{}.key", field.trim_end_matches(".name"));
            let detail = format!("{sort} {whole} has no such key: add it, or correct the key");
            Some(FieldError::new(field, Problem::NotFound(key.clone()), detail))
        }
        (Sight::There(_) | Sight::Unknown, _) => None,
    }
}

async fn look(client: &Client, namespace: &str, sort: Sort, name: &str) -> Result<Sight, kube::Error> {
    match sort {
        Sort::ConfigMap => {
            let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
            sight(api.get_opt(name).await, |found| {
                let keys = found.data.into_iter().flatten().map(|(key, _)| key);
                keys.chain(found.binary_data.into_iter().flatten().map(|(key, _)| key)).collect()
            })
        }
        Sort::Secret => {
            let api = Api::<Secret>::namespaced(client.clone(), namespace);
            sight(api.get_opt(name).await, |found| {
                found.data.into_iter().flatten().map(|(key, _)| key).collect()
            })
        }
        Sort::ServiceAccount => exists::<ServiceAccount>(client, namespace, name).await,
        Sort::Claim => exists::<PersistentVolumeClaim>(client, namespace, name).await,
        Sort::DataSource => exists::<DataSource>(client, namespace, name).await,
        Sort::Store(kind) => store(client, namespace, kind, name).await,
    }
}

async fn exists<K>(client: &Client, namespace: &str, name: &str) -> Result<Sight, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    sight(api.get_metadata_opt(name).await, |_: PartialObjectMeta<K>| BTreeSet::new())
}

/// Where the kind itself is not served there is no such object either.
async fn store(
    client: &Client,
    namespace: &str,
    kind: SecretStoreKind,
    name: &str,
) -> Result<Sight, kube::Error> {
    for version in STORE_VERSIONS {
        let kind_of = GroupVersionKind::gvk("external-secrets.io", version, kind.as_str());
        let resource = ApiResource::from_gvk(&kind_of);
        let api: Api<DynamicObject> = match kind {
            SecretStoreKind::SecretStore => Api::namespaced_with(client.clone(), namespace, &resource),
            SecretStoreKind::ClusterSecretStore => Api::all_with(client.clone(), &resource),
        };
        let found = sight(api.get_metadata_opt(name).await, |_| BTreeSet::new())?;
        if found != Sight::Absent {
            return Ok(found);
        }
    }
    Ok(Sight::Absent)
}

fn sight<K>(
    answer: Result<Option<K>, kube::Error>,
    keys: impl FnOnce(K) -> BTreeSet<String>,
) -> Result<Sight, kube::Error> {
    match answer {
        Ok(Some(found)) => Ok(Sight::There(keys(found))),
        Ok(None) => Ok(Sight::Absent),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Sight::Unknown),
        // The kind itself is not served.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Sight::Absent),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{Mention, Sight, Sort, wrong};

    fn said(key: Option<&str>, sight: &Sight) -> Option<String> {
        let mention = Mention {
            field: "spec.env[0].valueFrom.configMapKeyRef.name".to_owned(),
            sort: Sort::ConfigMap,
            name: "settings".to_owned(),
            key: key.map(str::to_owned),
        };
        wrong("team-a", &mention, sight).map(|error| error.to_string())
    }

    #[test]
    fn what_is_not_there_is_told_and_what_is_not_known_is_not() {
        let there = Sight::There(["a".to_owned()].into());
        assert_eq!(
            said(Some("a"), &Sight::Absent).as_deref(),
            Some(
                "spec.env[0].valueFrom.configMapKeyRef.name: Not found: \"settings\": ConfigMap team-a/settings does not exist: create it, or correct the name"
            )
        );
        assert_eq!(
            said(Some("b"), &there).as_deref(),
            Some(
                "spec.env[0].valueFrom.configMapKeyRef.key: Not found: \"b\": ConfigMap team-a/settings has no such key: add it, or correct the key"
            )
        );
        assert_eq!(said(Some("a"), &there), None);
        assert_eq!(said(None, &there), None);
        assert_eq!(said(Some("b"), &Sight::Unknown), None);
    }
}
