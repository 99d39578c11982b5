//! How callers prove who they are, as the configuration file says it:
//!
//! ```yaml
//! identity:
//!   resource: https://mcp.example.com/mcp   # our public address, for OAuth; default: by the Host header
//!   serviceAccounts:                        # tokens of service accounts, reviewed by the API server
//!     audience: [pilothouse]                # default
//!   oidc:                                   # tokens of issuers, checked here
//!     - issuer: https://login.example.com
//!       audience: [https://mcp.example.com/mcp]
//!       algorithms: [RS256, ES256]          # default; none symmetric
//!       jwksUri: https://login.example.com/keys   # default: what the issuer's discovery document says
//!       usernameClaim: sub                  # default
//!       usernamePrefix: "corp:"             # default as with kube-apiserver: `ISSUER#`, none for `email`
//!       groupsClaim: groups                 # default: no groups
//!       groupsPrefix: "corp:"               # default: none
//!       requiredScopes: [cluster:read]      # default: none
//!       caFile: /etc/pilothouse/ca.pem      # trusted beside the system's certificates
//!   tokens:                                 # static tokens that stand for a user
//!     - user: build
//!       groups: [team-a]
//!       tokenFile: /run/secrets/build-token # or tokenEnv: BUILD_TOKEN
//! ```
//!
//! Values are checked while they are read, so that an error has its line and column.

use std::{fmt, path::PathBuf};

use jsonwebtoken::Algorithm;
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use url::{Host, Url};

use super::names;
use crate::caller::Proof;

/// The `identity` part of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct IdentityConfig {
    /// The address by which clients know `/mcp`.
    pub resource: Option<SafeUrl>,
    /// Present: service accounts' tokens let in.
    pub service_accounts: Option<ServiceAccounts>,
    pub oidc: Vec<IssuerConfig>,
    pub tokens: Vec<TokenConfig>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ServiceAccounts {
    /// A token must be for one of these.
    pub audience: Audiences,
}

/// An issuer of JSON Web Tokens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IssuerConfig {
    /// Exactly as the tokens' `iss` names it.
    pub issuer: IssuerUrl,
    /// A token must be for one of these.
    pub audience: Audiences,
    /// Where its keys are; otherwise where its discovery document says.
    #[serde(default)]
    pub jwks_uri: Option<SafeUrl>,
    /// What its tokens may be signed with; with none, none are accepted.
    #[serde(default = "usual_algorithms")]
    pub algorithms: Vec<SigningAlgorithm>,
    #[serde(default = "subject")]
    pub username_claim: String,
    /// Before every user name of this issuer; see [`IssuerConfig::username_prefix`].
    #[serde(default)]
    username_prefix: Option<String>,
    /// The claim that lists groups; without it callers have none.
    #[serde(default)]
    pub groups_claim: Option<String>,
    #[serde(default)]
    pub groups_prefix: String,
    /// A token must have all of these scopes.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// Certificates in PEM, trusted beside the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl IssuerConfig {
    /// As kube-apiserver does it, so that the same person has the same name here and there: nothing before an
    /// email address, otherwise the issuer, since two issuers may know the same subject.
    pub(super) fn username_prefix(&self) -> String {
        match &self.username_prefix {
            Some(prefix) => prefix.clone(),
            None if self.username_claim == "email" => String::new(),
            None => format!("{}#", self.issuer.as_str()),
        }
    }
}

/// A static token and whom it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawToken")]
pub struct TokenConfig {
    pub user: String,
    pub groups: Vec<String>,
    pub source: TokenSource,
}

/// Where a static token is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawToken {
    user: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    token_file: Option<PathBuf>,
    #[serde(default)]
    token_env: Option<String>,
}

impl TryFrom<RawToken> for TokenConfig {
    type Error = String;

    fn try_from(raw: RawToken) -> Result<Self, String> {
        let RawToken { user, groups, token_file, token_env } = raw;
        let source = match (token_file, token_env) {
            (Some(file), None) => TokenSource::File(file),
            (None, Some(variable)) => TokenSource::Variable(variable),
            _ => return Err(format!("the token of `{user}` needs either tokenFile or tokenEnv")),
        };
        names::may_come(&user, &groups, Proof::MappedToken)?;
        Ok(Self { user, groups, source })
    }
}

/// At least one name; one alone may stand without a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audiences {
    first: String,
    all: Vec<String>,
}

impl Audiences {
    pub(super) fn first(&self) -> &str {
        &self.first
    }

    pub(super) fn as_slice(&self) -> &[String] {
        &self.all
    }

    fn of(all: Vec<String>) -> Result<Self, String> {
        match all.first().cloned() {
            Some(first) if all.iter().all(|name| !name.trim().is_empty()) => Ok(Self { first, all }),
            _ => Err("audience must name at least one audience, and none may be empty".to_owned()),
        }
    }
}

impl Default for Audiences {
    fn default() -> Self {
        let first = "pilothouse".to_owned();
        Self { all: vec![first.clone()], first }
    }
}

impl<'de> Deserialize<'de> for Audiences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Vec<String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an audience or a list of them")
            }

            fn visit_str<E: de::Error>(self, one: &str) -> Result<Vec<String>, E> {
                Ok(vec![one.to_owned()])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<Vec<String>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(many))
            }
        }

        Self::of(deserializer.deserialize_any(OneOrMany)?).map_err(de::Error::custom)
    }
}

/// `https://`, or `http://` to this machine; without user, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SafeUrl(Url);

impl SafeUrl {
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it is on this machine: reached without a proxy, and without TLS if need be.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }
}

impl TryFrom<String> for SafeUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let url: Url = text.parse().map_err(|error| format!("`{text}` is not a URL: {error}"))?;
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
        if !is_safe {
            return Err(format!("`{text}` must begin with https:// (http:// only to this machine)"));
        }
        let plain = url.username().is_empty() && url.password().is_none();
        if !plain || url.query().is_some() || url.fragment().is_some() {
            return Err(format!(
                "{} must have no user, query or fragment",
                url.origin().ascii_serialization()
            ));
        }
        Ok(Self(url))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A [`SafeUrl`] that is compared as the text it was written as: a final slash makes another issuer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct IssuerUrl {
    text: String,
    url: SafeUrl,
}

impl IssuerUrl {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn safe(&self) -> &SafeUrl {
        &self.url
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for IssuerUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(Self { url: text.clone().try_into()?, text })
    }
}

/// Algorithms of which the issuer alone has the signing half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SigningAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl From<SigningAlgorithm> for Algorithm {
    fn from(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::RS256 => Self::RS256,
            SigningAlgorithm::RS384 => Self::RS384,
            SigningAlgorithm::RS512 => Self::RS512,
            SigningAlgorithm::PS256 => Self::PS256,
            SigningAlgorithm::PS384 => Self::PS384,
            SigningAlgorithm::PS512 => Self::PS512,
            SigningAlgorithm::ES256 => Self::ES256,
            SigningAlgorithm::ES384 => Self::ES384,
            SigningAlgorithm::EdDSA => Self::EdDSA,
        }
    }
}

fn usual_algorithms() -> Vec<SigningAlgorithm> {
    vec![SigningAlgorithm::RS256, SigningAlgorithm::ES256]
}

fn subject() -> String {
    "sub".to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{IdentityConfig, TokenSource};

    fn read(text: &str) -> Result<IdentityConfig, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_few_and_safe() {
        let text = "serviceAccounts: {}\noidc: [{issuer: 'https://i.example', audience: a}]\ntokens: [{user: ci, tokenEnv: CI}]";
        let IdentityConfig { resource, service_accounts, oidc, tokens } = read(text).unwrap();
        assert_eq!(resource, None);
        assert_eq!(service_accounts.unwrap().audience.as_slice(), ["pilothouse"]);
        assert_eq!(oidc[0].username_prefix(), "https://i.example#");
        assert_eq!((oidc[0].username_claim.as_str(), oidc[0].algorithms.len()), ("sub", 2));
        assert_eq!(tokens[0].source, TokenSource::Variable("CI".into()));
    }

    #[test]
    fn an_email_needs_no_prefix_and_one_that_is_said_is_taken() {
        let prefix = |more: &str| {
            let text = format!("oidc: [{{issuer: 'https://i', audience: [a], {more}}}]");
            read(&text).unwrap().oidc[0].username_prefix()
        };
        assert_eq!(prefix("usernameClaim: email"), "");
        assert_eq!(prefix("usernamePrefix: ''"), "");
        assert_eq!(prefix("usernamePrefix: 'corp:'"), "corp:");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let issuer = "oidc:\n  - audience: [a]\n    issuer: https://i.example\n";
        for (text, line, says) in [
            ("serviceAccount: {}\n".to_owned(), "line 1", "serviceAccount"),
            ("serviceAccounts:\n  audience: []\n".to_owned(), "line 2", "at least one audience"),
            (format!("{issuer}    algorithms: [HS256]\n"), "line 4", "HS256"),
            (format!("{issuer}    algorithms: [none]\n"), "line 4", "none"),
            (format!("{issuer}    jwksUri: http://i.example/keys\n"), "line 4", "https://"),
            ("oidc:\n  - audience: [a]\n    issuer: http://i.example\n".to_owned(), "line 3", "https://"),
            ("resource: https://h/mcp?x=y\n".to_owned(), "line 1", "query"),
            ("tokens:\n  - user: ci\n".to_owned(), "line 2", "tokenFile or tokenEnv"),
            ("tokens:\n  - {user: 'system:admin', tokenEnv: X}\n".to_owned(), "line 2", "name of the system"),
            (
                "tokens:\n  - {user: a, groups: ['system:masters'], tokenEnv: X}\n".to_owned(),
                "line 2",
                "group",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(line) && error.contains(says), "{text}: {error}");
        }
    }
}
