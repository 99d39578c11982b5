//! Who may come in over HTTP: decided once, at start.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

use anyhow::{Context, bail};
use aws_lc_rs::hmac;
use futures::future::BoxFuture;
use http::uri::Authority;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use serde_json::json;

use crate::{
    caller::{Caller, Proof},
    cli::DoorArgs,
    cluster::{Connection, Reader},
    mcp::{
        Auth,
        admission::Admission,
        authentication::{
            Issuer, Methods, Reviewer, StaticToken, StaticTokens, TokenReviews,
            config::{Audiences, IdentityConfig, ServiceAccounts, TokenConfig, TokenSource},
        },
    },
};

/// The token itself; a file is the better place, since the environment of a process can be read by others.
const TOKEN: &str = "PILOTHOUSE_TOKEN";

/// The name of our Service, for the Host headers of clients in the cluster.
const SERVICE: &str = "PILOTHOUSE_SERVICE";

/// What follows from the command line and the configuration, before the cluster is known.
pub(super) struct Door {
    /// Seals cursors; replicas with the same token open each other's.
    pub(super) cursor_key: Option<[u8; 32]>,
    methods: Methods,
    /// Present when the API server is to review tokens for these.
    reviewed: Option<Audiences>,
}

/// What lets callers in at `address`. Reads the files and variables that tokens and certificates are in.
///
/// # Errors
/// When the address can be reached from elsewhere and there is neither a way to prove who one is nor
/// `--allow-anonymous`, or a token cannot be read or is too short.
pub(super) fn door(
    arguments: &DoorArgs,
    address: SocketAddr,
    identity: IdentityConfig,
) -> anyhow::Result<Door> {
    decide(arguments, address, identity, |name| std::env::var(name).ok())
}

fn decide(
    door: &DoorArgs,
    address: SocketAddr,
    identity: IdentityConfig,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Door> {
    let IdentityConfig { resource, service_accounts, oidc, tokens: mapped } = identity;
    let token = match &door.token_file {
        Some(file) => Some(token_in(file, "--token-file")?),
        None => variable(TOKEN),
    };
    let mut tokens = StaticTokens::default();
    let mut add = |token: &str, caller: Caller| {
        StaticToken::new(token.trim()).and_then(|token| tokens.add(token, caller)).map_err(anyhow::Error::msg)
    };
    if let Some(token) = &token {
        add(token, Caller::static_token())?;
    }
    for TokenConfig { user, groups, source } in mapped {
        let token = match &source {
            TokenSource::File(file) => token_in(file, "identity.tokens")?,
            TokenSource::Variable(name) => variable(name).with_context(|| {
                format!("the environment variable {name} (identity.tokens) is not set: it must hold the token of `{user}`")
            })?,
        };
        let caller = Caller { user: user.clone(), groups, extra: BTreeMap::new(), proof: Proof::MappedToken };
        add(&token, caller).with_context(|| format!("the token of `{user}` (identity.tokens)"))?;
    }
    let mut issuers = Vec::new();
    for config in oidc {
        let name = config.issuer.to_string();
        if issuers.iter().any(|(known, _)| *known == name) {
            bail!("identity.oidc names the issuer {name} twice: merge the two");
        }
        let ca = config.ca_file.as_deref().map(|file| {
            let named = || format!("the certificates {} (identity.oidc) cannot be read", file.display());
            fs::read(file).with_context(named)
        });
        let issuer = Issuer::new(config, ca.transpose()?.as_deref()).map_err(anyhow::Error::msg);
        let issuer = issuer.with_context(|| format!("the issuer {name} (identity.oidc) cannot be used"))?;
        issuers.push((name, issuer));
    }
    let issuers = issuers.into_iter().map(|(_, issuer)| issuer).collect();
    let methods = Methods { tokens, reviews: None, issuers, resource };
    let reviewed = service_accounts.map(|ServiceAccounts { audience }| audience);
    let nobody = methods.is_empty() && reviewed.is_none();
    if nobody && !door.allow_anonymous && !address.ip().is_loopback() {
        bail!(
            "{address} can be reached from other machines and nobody need prove who they are: give --token-file \
             FILE, set {TOKEN}, configure `identity`, or say --allow-anonymous"
        );
    }
    Ok(Door { cursor_key: token.map(|token| cursor_key(token.trim())), methods, reviewed })
}

fn token_in(file: &Path, named_by: &str) -> anyhow::Result<String> {
    fs::read_to_string(file)
        .with_context(|| format!("the token file {} ({named_by}) cannot be read", file.display()))
}

impl Door {
    /// # Errors
    /// When the API server is to review tokens and there is none.
    pub(super) fn auth(self, live: bool, cluster: Result<&Connection, &String>) -> anyhow::Result<Auth> {
        let Self { cursor_key: _, mut methods, reviewed } = self;
        if let Some(audiences) = reviewed {
            methods.reviews = match cluster {
                Ok(connection) if live => {
                    Some(TokenReviews::new(ApiServer(connection.reader.clone()), audiences))
                }
                Ok(_) => bail!("identity.serviceAccounts needs a live cluster, and this is a recorded one"),
                Err(why) => bail!("identity.serviceAccounts needs a cluster to review tokens: {why}"),
            };
        }
        Ok(if methods.is_empty() { Auth::Open } else { Auth::Bearer(methods.into()) })
    }
}

/// Asks as the account that the process reads with; it needs the ClusterRole `pilothouse-token-review`.
struct ApiServer(Reader);

impl Reviewer for ApiServer {
    fn review(&self, spec: TokenReviewSpec) -> BoxFuture<'_, Result<TokenReviewStatus, String>> {
        Box::pin(async move {
            let path = "/apis/authentication.k8s.io/v1/tokenreviews";
            let review =
                json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
            let answer = self.0.review(path, &review).await.map_err(|error| error.to_string())?;
            let review: TokenReview = serde_json::from_value(answer).map_err(|error| error.to_string())?;
            review.status.ok_or_else(|| "the API server answered a TokenReview without a status".to_owned())
        })
    }
}

fn cursor_key(token: &str) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&key, b"pilothouse cursors").as_ref());
    out
}

/// Names and origins that are served: loopback's, those of the command line, and our Service's in `namespace`.
///
/// # Errors
/// When a name or origin of the command line could never match.
pub(super) fn admission(door: &DoorArgs, namespace: Option<&str>) -> anyhow::Result<Admission> {
    let mut admission = Admission::default();
    for host in &door.hosts {
        if host.contains('/') || host.parse::<Authority>().is_err() {
            bail!("`{host}` is not a host name: give --allow-host as NAME or NAME:PORT");
        }
        admission.hosts.push(host.clone());
    }
    for origin in &door.origins {
        let named = origin.split_once("://").is_some_and(|(scheme, rest)| {
            matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.contains('/')
        });
        if !named {
            bail!(
                "`{origin}` is not an origin: give --allow-origin as https://NAME, with :PORT or :* if need be"
            );
        }
        admission.origins.push(origin.clone());
    }
    if let Some(namespace) = namespace {
        let service = std::env::var(SERVICE).unwrap_or_else(|_| "pilothouse".to_owned());
        admission.hosts.extend([
            service.clone(),
            format!("{service}.{namespace}"),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ]);
    }
    Ok(admission)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{Door, admission, decide};
    use crate::{
        cli::DoorArgs,
        mcp::{Auth, authentication::config::IdentityConfig},
    };

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
    const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8080);

    fn door(
        arguments: &DoorArgs,
        address: SocketAddr,
        identity: &str,
        variables: &[(&str, &str)],
    ) -> Result<Door, String> {
        let identity: IdentityConfig = serde_saphyr::from_str(identity).map_err(|error| error.to_string())?;
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        decide(arguments, address, identity, variable).map_err(|error| format!("{error:#}"))
    }

    fn is_open(door: Result<Door, String>) -> Option<bool> {
        let auth = door.ok()?.auth(true, Err(&String::new())).ok()?;
        Some(matches!(auth, Auth::Open))
    }

    #[test]
    fn loopback_needs_no_token() {
        assert_eq!(is_open(door(&DoorArgs::default(), LOOPBACK, "{}", &[])), Some(true));
    }

    #[test]
    fn an_open_address_without_a_way_to_prove_oneself_is_refused_with_the_ways_on() {
        let error = door(&DoorArgs::default(), ANYWHERE, "{}", &[]).err().unwrap_or_default();
        for way in ["--token-file", "--allow-anonymous", "`identity`"] {
            assert!(error.contains(way), "{error}");
        }
        let issuer = "oidc: [{issuer: 'https://i.example', audience: a}]";
        assert_eq!(is_open(door(&DoorArgs::default(), ANYWHERE, issuer, &[])), Some(false));
    }

    #[test]
    fn a_token_is_asked_for_wherever_it_is_set() {
        let token = [("PILOTHOUSE_TOKEN", "0123456789abcdef\n")];
        assert_eq!(is_open(door(&DoorArgs::default(), LOOPBACK, "{}", &token)), Some(false));
        let mapped = "tokens: [{user: ci, tokenEnv: CI_TOKEN}]";
        let token = [("CI_TOKEN", "0123456789abcdef")];
        assert_eq!(is_open(door(&DoorArgs::default(), LOOPBACK, mapped, &token)), Some(false));
    }

    #[test]
    fn anonymous_must_be_said() {
        let arguments = DoorArgs { allow_anonymous: true, ..DoorArgs::default() };
        assert_eq!(is_open(door(&arguments, ANYWHERE, "{}", &[])), Some(true));
    }

    #[test]
    fn what_identity_lacks_is_said_in_one_sentence() {
        let mapped = "tokens: [{user: ci, tokenEnv: CI_TOKEN}]";
        let same = [("PILOTHOUSE_TOKEN", "0123456789abcdef"), ("CI_TOKEN", "0123456789abcdef")];
        let issuer = "{issuer: 'https://i.example', audience: a}";
        for (identity, variables, says) in [
            (mapped.to_owned(), &[][..], "CI_TOKEN"),
            (mapped.to_owned(), &[("CI_TOKEN", "short")], "at least 16"),
            (mapped.to_owned(), &same, "same static token"),
            (format!("oidc: [{issuer}, {issuer}]"), &[], "twice"),
            ("tokens: [{user: ci, tokenFile: /no/such/file}]".to_owned(), &[], "/no/such/file"),
            (
                "oidc: [{issuer: 'https://i', audience: a, caFile: /no/such/ca}]".to_owned(),
                &[],
                "/no/such/ca",
            ),
        ] {
            let error = door(&DoorArgs::default(), LOOPBACK, &identity, variables).err().unwrap_or_default();
            assert!(error.contains(says), "{identity}: {error}");
        }
    }

    #[test]
    fn reviews_need_a_cluster() {
        let door = door(&DoorArgs::default(), LOOPBACK, "serviceAccounts: {}", &[]);
        let error = door.map(|door| door.auth(true, Err(&"there is no cluster".to_owned())).err());
        assert!(matches!(error, Ok(Some(error)) if error.to_string().contains("there is no cluster")));
    }

    #[test]
    fn in_a_cluster_the_service_is_known_by_all_its_names() {
        let admission = admission(&DoorArgs::default(), Some("ops")).unwrap_or_default();
        assert!(admission.hosts.contains(&"pilothouse.ops.svc".to_owned()), "{admission:?}");
    }

    #[test]
    fn names_that_could_never_match_are_refused() {
        for (hosts, origins) in
            [(vec!["http://x".to_owned()], vec![]), (vec![], vec!["x.example".to_owned()])]
        {
            let door = DoorArgs { hosts, origins, ..DoorArgs::default() };
            assert!(admission(&door, None).is_err());
        }
    }
}
