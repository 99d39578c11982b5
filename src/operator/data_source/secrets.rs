//! Reads the credentials of a source where the operator may read Secrets in its namespace. Needs a client.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};

use super::credentials::Credentials;
use crate::api::{DataSource, SecretKeyRef, data_source::Credential};

/// The credentials of a source, as far as they can be had.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    Readable(Credentials),
    /// The role `pilothouse-secrets` is not bound in the namespace.
    NotReadable,
    /// A Secret or a key in it does not exist, or is no text: a sentence that says which.
    Missing(String),
}

/// What was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub keys: Keys,
    /// Of each Secret: another where one came, went or was written.
    pub versions: Vec<String>,
}

/// The ExternalSecret of a source, and the Secret that it fills, with a key for each external credential.
pub(crate) fn brought(source: &str) -> String {
    format!("{source}-datasource")
}

/// Where the kubelet, and the operator where it may, finds a credential.
pub(crate) fn place(source: &str, credential: &Credential) -> SecretKeyRef {
    match &credential.secret_key_ref {
        Some(place) => place.clone(),
        None => SecretKeyRef { name: brought(source), key: credential.name.clone() },
    }
}

/// # Errors
/// When the API server does not answer. That it refuses is [`Keys::NotReadable`].
pub(crate) async fn read(client: &Client, source: &DataSource) -> Result<Read, kube::Error> {
    let namespace = source.metadata.namespace.as_deref().unwrap_or_default();
    let name = source.metadata.name.as_deref().unwrap_or_default();
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let mut secrets: BTreeMap<String, Option<Secret>> = BTreeMap::new();
    for credential in &source.spec.credentials {
        let place = place(name, credential);
        if secrets.contains_key(&place.name) {
            continue;
        }
        match api.get_opt(&place.name).await {
            Ok(secret) => secrets.insert(place.name, secret),
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                return Ok(Read { keys: Keys::NotReadable, versions: Vec::new() });
            }
            Err(error) => return Err(error),
        };
    }
    let versions = secrets.values().flatten().map(version).collect();
    Ok(Read { keys: take(name, namespace, &source.spec.credentials, &secrets), versions })
}

/// Which Secret it is, and in which version.
pub(crate) fn version(secret: &Secret) -> String {
    format!("{}@{}", secret.uid().unwrap_or_default(), secret.resource_version().unwrap_or_default())
}

fn take(
    source: &str,
    namespace: &str,
    wanted: &[Credential],
    secrets: &BTreeMap<String, Option<Secret>>,
) -> Keys {
    let mut values = Vec::new();
    for credential in wanted {
        let SecretKeyRef { name, key } = place(source, credential);
        let Some(secret) = secrets.get(&name).and_then(Option::as_ref) else {
            return Keys::Missing(match credential.external {
                Some(_) => format!(
                    "Secret {namespace}/{name} with the external value `{}` does not exist yet: the condition SecretsSynced says why.",
                    credential.name
                ),
                None => format!(
                    "Secret {namespace}/{name} does not exist: create it or correct spec.credentials."
                ),
            });
        };
        let Some(value) = secret.data.as_ref().and_then(|data| data.get(&key)) else {
            return Keys::Missing(format!(
                "Secret {namespace}/{name} has no key `{key}`: add it or correct spec.credentials."
            ));
        };
        let Ok(value) = String::from_utf8(value.0.clone()) else {
            return Keys::Missing(format!(
                "`{key}` of Secret {namespace}/{name} is not UTF-8 text: correct it."
            ));
        };
        values.push((credential.name.clone(), value));
    }
    Keys::Readable(values.into_iter().collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use k8s_openapi::{ByteString, api::core::v1::Secret};

    use super::{Keys, take};
    use crate::api::data_source::Credential;

    fn secret(data: &[(&str, &[u8])]) -> Secret {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    fn took(secrets: &[(&str, Option<Secret>)]) -> Keys {
        let wanted: Vec<Credential> = serde_saphyr::from_str(
            "[{name: username, secretKeyRef: {name: login, key: user}}, {name: password, external: {store: {name: vault}, key: k}}]",
        )
        .unwrap();
        let secrets: BTreeMap<String, Option<Secret>> =
            secrets.iter().map(|(name, secret)| ((*name).to_owned(), secret.clone())).collect();
        take("orders", "shop", &wanted, &secrets)
    }

    #[test]
    fn values_come_from_their_keys_and_what_is_missing_is_named() {
        let login = || Some(secret(&[("user", b"reader")]));
        let brought = || Some(secret(&[("password", b"hunter22")]));
        match took(&[("login", login()), ("orders-datasource", brought())]) {
            Keys::Readable(known) => {
                assert_eq!((known.get("username"), known.get("password")), (Some("reader"), Some("hunter22")))
            }
            other => panic!("{other:?}"),
        }
        let said = |secrets: &[(&str, Option<Secret>)]| match took(secrets) {
            Keys::Missing(said) => said,
            other => panic!("{other:?}"),
        };
        assert!(said(&[("login", None)]).starts_with("Secret shop/login does not exist: create it"));
        assert!(said(&[("login", Some(secret(&[])))]).contains("shop/login has no key `user`"));
        assert!(said(&[("login", Some(secret(&[("user", b"\xff")])))]).contains("not UTF-8"));
        assert!(
            said(&[("login", login())])
                .contains("value `password` does not exist yet: the condition Secrets")
        );
    }
}
