//! Who asks, how that was proven, and what the cluster's own access rules let them do.

mod audience;
mod rights;

pub use audience::Audience;
pub use rights::{Need, Question, Rights, Rule};

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// The extra that differs with every token of the same service account (Kubernetes 1.30 and later).
const TOKEN_NUMBER: &str = "authentication.kubernetes.io/credential-id";

/// The one on whose behalf a request is answered. Made once, where the request comes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// User name as Kubernetes would know it, for example `system:serviceaccount:team-a:bot`.
    pub user: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
    pub proof: Proof,
}

/// What makes us believe that the caller is who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Proof {
    /// The person who started this process and talks to it over its stdin: whoever the kubeconfig says.
    Process,
    /// Nobody was asked to prove anything: loopback, or `--allow-anonymous`.
    Anonymous,
    /// The static bearer token of this installation.
    StaticToken,
    /// A static bearer token that the configuration maps to this user.
    MappedToken,
    /// A service account's token, which the API server has reviewed.
    TokenReview,
    /// A JWT of a trusted issuer.
    Oidc,
}

impl Caller {
    /// The person who started the process (stdio).
    pub fn process() -> Self {
        Self::named("process", Proof::Process)
    }

    /// A caller who proved nothing.
    pub fn anonymous() -> Self {
        Self::named("anonymous", Proof::Anonymous)
    }

    /// The holder of the installation's static token.
    pub fn static_token() -> Self {
        Self::named("static-token", Proof::StaticToken)
    }

    /// Whether this is one person or account, and not whoever came in without a name of their own.
    pub fn has_name(&self) -> bool {
        match self.proof {
            Proof::Process | Proof::Anonymous | Proof::StaticToken => false,
            Proof::MappedToken | Proof::TokenReview | Proof::Oidc => true,
        }
    }

    /// Whether the cluster is read as this caller, with nobody's rights but theirs. Others read as the account that
    /// the process reads with.
    pub fn is_impersonated(&self) -> bool {
        match self.proof {
            Proof::MappedToken | Proof::TokenReview | Proof::Oidc => true,
            Proof::Process | Proof::Anonymous | Proof::StaticToken => false,
        }
    }

    /// Whether it is the same one, be it with a newer token: among the extras the API server puts the number of
    /// each token.
    pub fn is_the_same(&self, other: &Self) -> bool {
        let Self { user, groups, extra: _, proof } = other;
        self.user == *user
            && self.groups == *groups
            && self.proof == *proof
            && self.lasting_extra() == other.lasting_extra()
    }

    /// Equal for [the same](Self::is_the_same) caller, in every process: 32 hex digits.
    pub fn fingerprint(&self) -> String {
        let Self { user, groups, extra: _, proof } = self;
        let text = serde_json::json!([user, groups, proof, self.lasting_extra()]).to_string();
        hex::encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
    }

    fn lasting_extra(&self) -> Vec<(&String, &Vec<String>)> {
        self.extra.iter().filter(|(key, _)| key.as_str() != TOKEN_NUMBER).collect()
    }

    /// The namespace of a service account; nothing for everybody else.
    pub fn home(&self) -> Option<&str> {
        let (namespace, _) = self.user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        (self.proof == Proof::TokenReview).then_some(namespace)
    }

    fn named(user: &str, proof: Proof) -> Self {
        Self { user: user.to_owned(), groups: Vec::new(), extra: BTreeMap::new(), proof }
    }
}

#[cfg(test)]
mod tests {
    use super::Caller;

    #[test]
    fn a_newer_token_makes_nobody_else() {
        let with = |key: &str, value: &str| {
            let mut caller = Caller::static_token();
            caller.extra.insert(key.to_owned(), vec![value.to_owned()]);
            caller
        };
        let (number, pod) =
            ("authentication.kubernetes.io/credential-id", "authentication.kubernetes.io/pod-name");
        assert!(with(number, "JTI=a").is_the_same(&with(number, "JTI=b")));
        assert_eq!(with(number, "JTI=a").fingerprint(), with(number, "JTI=b").fingerprint());
        assert!(with(number, "JTI=a").is_the_same(&Caller::static_token()));
        assert!(!with(pod, "a").is_the_same(&with(pod, "b")));
        assert_ne!(with(pod, "a").fingerprint(), with(pod, "b").fingerprint());
        assert!(!Caller::static_token().is_the_same(&Caller::anonymous()));
        assert_eq!(with(number, "JTI=a").fingerprint(), with(number, "JTI=b").fingerprint());
        assert_ne!(with(pod, "a").fingerprint(), with(pod, "b").fingerprint());
        assert_ne!(Caller::static_token().fingerprint(), Caller::anonymous().fingerprint());
    }
}
