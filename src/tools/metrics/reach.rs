//! Whose metrics a caller may see: asked of the API server, as the caller.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use serde_json::json;

use crate::{
    answer::Answer,
    caller::{Caller, Proof},
    cluster::ReadError,
    tools::desk::{Desk, failed},
};

/// What a caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tools) enum Reach {
    /// May list the pods of all namespaces.
    Cluster,
    /// May not; each namespace is asked for.
    Namespaces,
}

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// Reviews at the same time.
const AT_ONCE: usize = 8;

impl Reach {
    /// # Errors
    /// An error answer when it cannot be asked, or the call is about another cluster than the metrics.
    pub(in crate::tools) async fn of(desk: &Desk, caller: &Caller) -> Result<Self, Answer> {
        if !desk.context.is_empty() {
            return Err(Answer::error(format!(
                "the configured Prometheus is that of the current context and not of `{}`: leave `context` out",
                crate::redact::shown(&desk.context)
            )));
        }
        match may(desk, "list", "").await {
            Ok(true) => Ok(Self::Cluster),
            Ok(false) => Ok(Self::Namespaces),
            // Who started this process without a cluster has configured the metrics, too.
            Err(ReadError::NoCluster(_)) if caller.proof == Proof::Process => Ok(Self::Cluster),
            Err(_) if caller.proof == Proof::Process && desk.reader.recorded_at().is_some() => {
                Ok(Self::Cluster)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// # Errors
    /// An error answer, the same for a namespace that may not be seen and one that does not exist.
    pub(in crate::tools) async fn namespace(&self, desk: &Desk, namespace: &str) -> Result<(), Answer> {
        if !is_name(namespace) {
            return Err(Answer::error(format!(
                "`{}` cannot be the name of a namespace",
                crate::redact::shown(namespace)
            )));
        }
        match self {
            Self::Cluster => match desk.known_namespace(Some(namespace)).await {
                // Without a cluster nothing is known of namespaces, and nothing need be.
                Err(answer) if crate::tools::target::is_missing(&answer) => Err(answer),
                Ok(()) | Err(_) => Ok(()),
            },
            Self::Namespaces => match may(desk, "get", namespace).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Answer::error(format!(
                    "there is no namespace `{namespace}` whose pods you may read: name one of yours"
                ))),
                Err(error) => Err(failed(&error)),
            },
        }
    }

    /// Those of `namespaces` that the caller may see.
    ///
    /// # Errors
    /// An error answer when it cannot be asked.
    pub(in crate::tools) async fn seen(
        &self,
        desk: &Desk,
        namespaces: BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Answer> {
        if *self == Self::Cluster {
            return Ok(namespaces);
        }
        let asked: BTreeMap<String, Result<bool, ReadError>> = stream::iter(namespaces)
            .filter(|namespace| std::future::ready(is_name(namespace)))
            .map(async |namespace| {
                let may = may(desk, "get", &namespace).await;
                (namespace, may)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut seen = BTreeSet::new();
        for (namespace, may) in asked {
            if may.map_err(|error| failed(&error))? {
                seen.insert(namespace);
            }
        }
        Ok(seen)
    }
}

/// Of a namespace; nothing else reaches a review or a query.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(plain)
}

/// Whether the caller may do this to all pods of a namespace; of all of them, for the empty one.
async fn may(desk: &Desk, verb: &str, namespace: &str) -> Result<bool, ReadError> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": { "verb": verb, "resource": "pods", "namespace": namespace } },
    });
    let answer = desk.reader.review(REVIEWS, &review).await?;
    Ok(answer["status"]["allowed"].as_bool().unwrap_or(false))
}
