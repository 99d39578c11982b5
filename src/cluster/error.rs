//! Why a read failed, as one sentence each: what, where, and what to do.

use std::error::Error;

use serde::Deserialize;

#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// There is no cluster: the sentence says how to give one.
    #[error("{0}")]
    NoCluster(String),
    #[error("{message}")]
    NotFound { message: String },
    /// The same sentence whether the namespace is there or not.
    #[error("{message}")]
    Forbidden { message: String },
    #[error("`{0}` were left out of this recording: it holds none, whatever the cluster had")]
    NotRecorded(String),
    #[error("{server} does not accept our credentials ({message}): log in again, or renew the kubeconfig")]
    Unauthorized { server: String, message: String },
    /// The state that a cursor or continuation belongs to is compacted away.
    #[error(
        "the cluster no longer keeps the state this page belongs to (it does so for about five minutes): call again without `cursor` to start over"
    )]
    Gone,
    #[error(
        "{server} did not answer within {seconds} s: check that it is reachable and not overloaded, then try again"
    )]
    Timeout { server: String, seconds: u64 },
    #[error("{server} cannot be reached ({reason}): check the address in the kubeconfig and the network")]
    Unreachable { server: String, reason: String },
    #[error("the API server refused the request with {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("the answer of {server} to {path} is not what the API promises ({reason})")]
    Garbled { server: String, path: String, reason: String },
    #[error(
        "the answer of {server} to {path} is larger than {megabytes} MB: ask for less, one object or fewer"
    )]
    TooLarge { server: String, path: String, megabytes: usize },
    #[error("`{0}` cannot be the name of an object: names hold no `/`, `?`, `#`, `%` or space")]
    BadName(String),
    #[error("the cluster cannot be read as this caller: {0}")]
    NotImpersonable(String),
    #[error("there is no context `{asked}` here: use one of {known}, or leave `context` out")]
    NoContext { asked: String, known: String },
    #[error("the reader does not send {0}: it reads, and asks for reviews, and nothing else")]
    NotARead(String),
}

impl ReadError {
    /// A kind may not be listed over all namespaces.
    pub(super) fn everywhere(kind: &str) -> Self {
        Self::Forbidden {
            message: format!("you may not list {kind} in all namespaces at once: name a `namespace`"),
        }
    }

    pub(super) fn of_status(status: http::StatusCode, body: &[u8], server: &str) -> Self {
        #[derive(Deserialize)]
        struct Status {
            message: Option<String>,
        }
        let message = serde_json::from_slice::<Status>(body).ok().and_then(|status| status.message);
        let message = message.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(body);
            text.trim().chars().take(300).collect()
        });
        let message = crate::redact::shown(&message);
        match status.as_u16() {
            401 => Self::Unauthorized { server: server.to_owned(), message },
            403 => denied(&message),
            404 => Self::NotFound { message },
            410 => Self::Gone,
            status => Self::Refused { status, message },
        }
    }

    pub(super) fn of_client(error: &kube::Error, server: &str) -> Self {
        if let kube::Error::Api(status) = error {
            let code = http::StatusCode::from_u16(status.code).unwrap_or(http::StatusCode::BAD_GATEWAY);
            return Self::of_status(code, status.message.as_bytes(), server);
        }
        Self::Unreachable { server: server.to_owned(), reason: reason(error) }
    }
}

/// What the API server's authorizer refused, read from its message.
struct Denial<'a> {
    verb: &'a str,
    resource: &'a str,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

impl<'a> Denial<'a> {
    /// Of `pods "x" is forbidden: User "ann" cannot get resource "pods" in API group "" in the namespace "shop"`.
    /// What follows may name roles of that namespace.
    fn parse(message: &'a str) -> Option<Self> {
        let (head, tail) = message.rsplit_once(" cannot ")?;
        let (verb, tail) = tail.split_once(" resource \"")?;
        let (resource, tail) = tail.split_once("\" in API group \"")?;
        let (_, place) = tail.split_once("\" ")?;
        let namespace = match place.strip_prefix("in the namespace \"") {
            Some(rest) => Some(rest.split_once('"')?.0),
            None => place.starts_with("at the cluster scope").then_some(None)?,
        };
        let name = head.split_once("\" is forbidden").and_then(|(head, _)| Some(head.split_once('"')?.1));
        Some(Self { verb, resource, namespace, name })
    }
}

/// Says the same of a namespace that is there and of one that is not: the API server's own words may hold more.
fn denied(message: &str) -> ReadError {
    let Some(Denial { verb, resource, namespace, name }) = Denial::parse(message) else {
        return ReadError::Forbidden {
            message: format!("the API server does not let you read this ({message}): ask for the rights"),
        };
    };
    match (verb, namespace) {
        ("impersonate", _) => {
            let name = name.unwrap_or_default();
            let role = match (resource, namespace) {
                ("serviceaccounts", Some(namespace)) => {
                    format!("the ClusterRole pilothouse-impersonator in namespace {namespace}")
                }
                _ => format!("a ClusterRole that lets it impersonate {resource} `{name}`"),
            };
            ReadError::NotImpersonable(format!(
                "pilothouse may not impersonate {resource} `{name}`: bind {role} to pilothouse's own account (docs/access.md)"
            ))
        }
        (_, Some(namespace)) => ReadError::Forbidden {
            message: format!(
                "namespace `{namespace}` is not there or you may not {verb} {resource} in it: check_access says what you may do"
            ),
        },
        (_, None) => ReadError::Forbidden {
            message: format!(
                "you may not {verb} {resource} in the whole cluster: check_access says what you may do"
            ),
        },
    }
}

/// The innermost cause says most; the outer layers only say that something failed below them.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let text = crate::redact::shown(text.trim());
    if text.is_empty() { "no reason given".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::{ReadError, denied};

    #[test]
    fn a_denial_says_nothing_of_what_is_there() {
        let of = |namespace: &str, tail: &str| {
            let message = format!(
                "pods \"x\" is forbidden: User \"ann\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"{namespace}\"{tail}"
            );
            denied(&message).to_string().replace(namespace, "NS")
        };
        let there = of("team-b", ": RBAC: role.rbac.authorization.k8s.io \"hidden\" not found");
        assert_eq!(there, of("nope", ""));
        assert_eq!(
            there,
            "namespace `NS` is not there or you may not get pods/log in it: check_access says what you may do"
        );
    }

    #[test]
    fn a_missing_impersonation_says_what_to_bind() {
        let error = denied(
            "serviceaccounts \"bot\" is forbidden: User \"system:serviceaccount:pilothouse:pilothouse\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"team-a\"",
        );
        assert!(matches!(&error, ReadError::NotImpersonable(_)));
        assert!(
            error.to_string().contains("bind the ClusterRole pilothouse-impersonator in namespace team-a")
        );
        let error = denied(
            "users \"ann\" is forbidden: User \"p\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
        );
        assert!(error.to_string().contains("lets it impersonate users `ann`"), "{error}");
    }
}
