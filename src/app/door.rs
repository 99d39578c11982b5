//! Who may come in over HTTP: decided once, at start.

use std::{fs, net::SocketAddr};

use anyhow::{Context, bail};
use aws_lc_rs::hmac;
use http::uri::Authority;

use crate::{
    cli::DoorArgs,
    mcp::{Auth, admission::Admission, authentication::StaticToken},
};

/// The token itself; a file is the better place, since the environment of a process can be read by others.
const TOKEN: &str = "PILOTHOUSE_TOKEN";

/// The name of our Service, for the Host headers of clients in the cluster.
const SERVICE: &str = "PILOTHOUSE_SERVICE";

/// What follows from the token of this installation, or from having none.
pub(super) struct Door {
    /// How callers prove who they are.
    pub(super) auth: Auth,
    /// Seals cursors; replicas with the same token open each other's.
    pub(super) cursor_key: Option<[u8; 32]>,
}

/// What lets callers in at `address`.
///
/// # Errors
/// When the address can be reached from elsewhere and neither a token nor `--allow-anonymous` is given, or the
/// token cannot be read or is too short.
pub(super) fn door(arguments: &DoorArgs, address: SocketAddr) -> anyhow::Result<Door> {
    decide(arguments, address, std::env::var(TOKEN).ok())
}

fn decide(door: &DoorArgs, address: SocketAddr, from_environment: Option<String>) -> anyhow::Result<Door> {
    let token =
        match &door.token_file {
            Some(file) => Some(fs::read_to_string(file).with_context(|| {
                format!("the token file {} (--token-file) cannot be read", file.display())
            })?),
            None => from_environment,
        };
    match token {
        Some(token) => {
            let token = token.trim();
            let auth = Auth::StaticToken(StaticToken::new(token).map_err(anyhow::Error::msg)?);
            Ok(Door { auth, cursor_key: Some(cursor_key(token)) })
        }
        None if door.allow_anonymous || address.ip().is_loopback() => {
            Ok(Door { auth: Auth::Open, cursor_key: None })
        }
        None => bail!(
            "{address} can be reached from other machines and no token is set: give --token-file FILE, set \
             {TOKEN}, or say --allow-anonymous"
        ),
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
    use crate::{cli::DoorArgs, mcp::Auth};

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
    const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8080);

    #[test]
    fn loopback_needs_no_token() {
        assert!(matches!(decide(&DoorArgs::default(), LOOPBACK, None), Ok(Door { auth: Auth::Open, .. })));
    }

    #[test]
    fn an_open_address_without_a_token_is_refused_with_the_ways_on() {
        let Err(error) = decide(&DoorArgs::default(), ANYWHERE, None) else { panic!("must be refused") };
        let message = error.to_string();
        assert!(message.contains("--token-file") && message.contains("--allow-anonymous"), "{message}");
    }

    #[test]
    fn a_token_is_asked_for_wherever_it_is_set() {
        let token = Some("0123456789abcdef\n".to_owned());
        assert!(matches!(
            decide(&DoorArgs::default(), LOOPBACK, token),
            Ok(Door { auth: Auth::StaticToken(_), .. })
        ));
    }

    #[test]
    fn anonymous_must_be_said() {
        let door = DoorArgs { allow_anonymous: true, ..DoorArgs::default() };
        assert!(matches!(decide(&door, ANYWHERE, None), Ok(Door { auth: Auth::Open, .. })));
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
