//! Who asks, and how that was proven.

use std::collections::BTreeMap;

/// The one on whose behalf a request is answered. Made once, where the request comes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// User name as Kubernetes would know it, for example `system:serviceaccount:team-a:bot`.
    pub user: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
    pub proof: Proof,
}

/// What makes us believe that the caller is who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// The person who started this process and talks to it over its stdin: whoever the kubeconfig says.
    Process,
    /// Nobody was asked to prove anything: loopback, or `--allow-anonymous`.
    Anonymous,
    /// The static bearer token of this installation.
    StaticToken,
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

    fn named(user: &str, proof: Proof) -> Self {
        Self { user: user.to_owned(), groups: Vec::new(), extra: BTreeMap::new(), proof }
    }
}
