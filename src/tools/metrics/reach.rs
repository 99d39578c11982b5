//! Whose metrics a caller may see: asked of the API server, as the caller.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};

use crate::{
    answer::Answer,
    caller::{Caller, Question},
    cluster::{ReadError, access::Age},
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
        if desk.reader.recorded_at().is_some() {
            return Self::unasked(caller, "the cluster is a recording");
        }
        match may(desk, "list", None).await {
            Ok(true) => Ok(Self::Cluster),
            Ok(false) => Ok(Self::Namespaces),
            Err(ReadError::NoCluster(_)) => Self::unasked(caller, "there is no cluster"),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Without a cluster that knows its callers, only those see metrics who see what this process sees: it was
    /// started with both.
    fn unasked(caller: &Caller, why: &str) -> Result<Self, Answer> {
        if caller.is_impersonated() {
            return Err(Answer::error(format!(
                "{why}, so nobody can say which metrics you may see: ask at a live one"
            )));
        }
        Ok(Self::Cluster)
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
            Self::Namespaces => match may(desk, "get", Some(namespace)).await {
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
                let may = may(desk, "get", Some(&namespace)).await;
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

/// Whether the caller may do this to the pods of a namespace, or of all.
async fn may(desk: &Desk, verb: &str, namespace: Option<&str>) -> Result<bool, ReadError> {
    let question = Question::new(verb, "", "pods");
    let question = namespace.map_or(question.clone(), |namespace| question.in_namespace(namespace));
    desk.reader.may(&question, Age::Call).await
}
