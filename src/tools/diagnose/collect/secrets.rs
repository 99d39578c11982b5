//! The Secrets that are referred to: whether they are there and which keys they have. Values are read past; of a TLS
//! Secret's certificate only its end is kept.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::FutureExt;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Source,
    source::{together, why},
};
use crate::{
    cluster::ReadError,
    tools::diagnose::{
        picture::{Picture, SecretFacts},
        pods::is_unwell,
        references::{Referred, references},
    },
};

/// Secrets that are asked for, those of unwell pods first.
const MOST: usize = 60;

type Name = (String, String);

pub(super) async fn read(source: &Source<'_>, picture: &Picture) -> BTreeMap<Name, SecretFacts> {
    let wanted = wanted(picture);
    let reads = wanted.into_iter().map(|name| one(source, name).boxed()).collect();
    together(reads).await.into_iter().collect()
}

fn wanted(picture: &Picture) -> Vec<Name> {
    let mut pods: Vec<_> = picture.pods.iter().collect();
    pods.sort_by_key(|pod| !is_unwell(pod, picture.now));
    let of_pods = pods.into_iter().flat_map(|pod| {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let references = pod.spec.as_ref().map(references).unwrap_or_default();
        references
            .into_iter()
            .filter(|reference| reference.what != Referred::ConfigMap)
            .map(move |reference| (namespace.clone(), reference.name))
    });
    let of_ingresses = picture.ingresses.iter().flat_map(|ingress| {
        let namespace = ingress.metadata.namespace.clone().unwrap_or_default();
        let tls = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten());
        tls.filter_map(move |tls| Some((namespace.clone(), tls.secret_name.clone()?)))
    });
    let mut seen = BTreeSet::new();
    of_ingresses.chain(of_pods).filter(|name| seen.insert(name.clone())).take(MOST).collect()
}

async fn one(source: &Source<'_>, (namespace, name): Name) -> (Name, SecretFacts) {
    let facts = match source.one("", "Secret", &namespace, &name).await {
        Ok(secret) => facts(&secret),
        Err(ReadError::NotFound { .. }) => SecretFacts::Missing,
        Err(error) => {
            source.cannot_read("Secret", &why(&error));
            SecretFacts::Unknown
        }
    };
    ((namespace, name), facts)
}

fn facts(secret: &RawValue) -> SecretFacts {
    #[derive(Deserialize)]
    struct Secret<'a> {
        #[serde(borrow, default)]
        data: Option<BTreeMap<String, &'a RawValue>>,
        #[serde(default, rename = "type")]
        kind: String,
    }
    let Ok(Secret { data, kind }) = serde_json::from_str::<Secret<'_>>(secret.get()) else {
        return SecretFacts::Unknown;
    };
    let data = data.unwrap_or_default();
    let certificate = data.get("tls.crt").filter(|_| kind == "kubernetes.io/tls");
    let certificate_ends = certificate.and_then(|value| end_of(value));
    SecretFacts::There { keys: data.into_keys().collect(), certificate_ends }
}

/// When the first certificate of the chain, the server's own, ends.
fn end_of(value: &RawValue) -> Option<Timestamp> {
    let text: String = serde_json::from_str(value.get()).ok()?;
    let pem = STANDARD.decode(text).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{json, value::to_raw_value};

    use super::{SecretFacts, facts};

    #[test]
    fn only_the_names_of_keys_are_kept() {
        let secret = json!({ "type": "Opaque", "data": { "PASSWORD": "c2VjcmV0", "USER": "YQ==" } });
        let facts = facts(&to_raw_value(&secret).unwrap());
        let SecretFacts::There { keys, certificate_ends } = &facts else { panic!("{facts:?}") };
        assert_eq!(keys.iter().collect::<Vec<_>>(), ["PASSWORD", "USER"]);
        assert_eq!(*certificate_ends, None);
        assert!(!format!("{facts:?}").contains("c2VjcmV0"));
    }
}
