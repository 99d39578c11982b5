//! Opens a connection to a source: name, address, TCP, TLS.
//!
//! Whoever may make a DataSource chooses where the operator connects to. So it never connects to addresses that
//! mean something else to it than to the pods of that namespace: link-local ones (where clouds keep the identity
//! of a node) and, inside a cluster, loopback, which is the operator's own pod.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hickory_resolver::TokioResolver;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Host;

use crate::operator::data_source::target::{Target, Trust};

#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("its name cannot be resolved ({0})")]
    Resolve(String),
    #[error("the address {0} is not one that pilothouse connects to: name another in spec.endpoint")]
    NotAllowed(IpAddr),
    #[error("no connection can be made ({0})")]
    Connect(io::Error),
    #[error("the TLS handshake failed ({0})")]
    Tls(io::Error),
    #[error("spec.tls.caBundle cannot be used ({0}): write certificates as PEM text")]
    Bundle(String),
}

/// Whether this machine's own addresses are among those that may be connected to: outside a cluster they are the
/// user's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loopback {
    Allowed,
    Refused,
}

/// What is spoken over.
pub(crate) trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

pub(crate) struct Dial {
    resolver: TokioResolver,
    loopback: Loopback,
}

impl Dial {
    /// # Errors
    /// When `/etc/resolv.conf` cannot be read.
    pub(crate) fn new(loopback: Loopback) -> Result<Self, String> {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        let resolver = resolver.map_err(|error| format!("names cannot be resolved ({error})"))?;
        Ok(Self { resolver, loopback })
    }

    /// TCP, and TLS where the source has it from the first byte.
    pub(super) async fn line(&self, target: &Target) -> Result<Box<dyn Line>, DialError> {
        let stream = self.tcp(target).await?;
        match &target.tls {
            None => Ok(Box::new(stream)),
            Some(trust) => Ok(Box::new(secured(stream, trust, target).await?)),
        }
    }

    pub(super) async fn tcp(&self, target: &Target) -> Result<TcpStream, DialError> {
        let mut last = None;
        for address in self.addresses(target).await? {
            match TcpStream::connect(SocketAddr::new(address, target.port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| DialError::Resolve("it has no address".to_owned()), DialError::Connect))
    }

    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, DialError> {
        let all = match &target.host {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => self.resolve(name, &target.namespace).await?,
        };
        let all: Vec<IpAddr> = all.into_iter().map(|address| address.to_canonical()).collect();
        match all.iter().find(|address| !is_allowed(**address, self.loopback)) {
            Some(refused) => Err(DialError::NotAllowed(*refused)),
            None => Ok(all),
        }
    }

    /// A name without a dot is a Service of the source's namespace, not of ours.
    async fn resolve(&self, name: &str, namespace: &str) -> Result<Vec<IpAddr>, DialError> {
        if !name.contains('.')
            && name != "localhost"
            && let Ok(found) = self.resolver.lookup_ip(format!("{name}.{namespace}.svc")).await
        {
            return Ok(found.iter().collect());
        }
        match self.resolver.lookup_ip(name).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) => Err(DialError::Resolve(error.to_string())),
        }
    }
}

fn is_allowed(address: IpAddr, loopback: Loopback) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let nowhere = link_local || address.is_unspecified() || address.is_multicast();
    !nowhere && (loopback == Loopback::Allowed || !address.is_loopback())
}

/// TLS over a stream, checked against what the source trusts.
pub(super) async fn secured(
    stream: TcpStream,
    trust: &Trust,
    target: &Target,
) -> Result<TlsStream<TcpStream>, DialError> {
    let name = match &target.host {
        Host::Domain(name) => {
            ServerName::try_from(name.clone()).map_err(|error| DialError::Resolve(error.to_string()))?
        }
        Host::Ipv4(address) => ServerName::from(IpAddr::V4(*address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::V6(*address)),
    };
    let connector = TlsConnector::from(Arc::new(config(trust)?));
    connector.connect(name, stream).await.map_err(DialError::Tls)
}

fn config(trust: &Trust) -> Result<ClientConfig, DialError> {
    let failed = |error: rustls::Error| DialError::Tls(io::Error::other(error));
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    match trust {
        Trust::System => Ok(builder.with_platform_verifier().map_err(failed)?.with_no_client_auth()),
        Trust::Bundle(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| DialError::Bundle(error.to_string()))?;
                roots.add(certificate).map_err(|error| DialError::Bundle(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(DialError::Bundle("it holds no certificate".to_owned()));
            }
            Ok(builder.with_root_certificates(roots).with_no_client_auth())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::IpAddr;

    use super::{Loopback, is_allowed};

    #[test]
    fn a_source_is_never_the_node_or_the_operator_itself() {
        let allowed =
            |address: &str, loopback| is_allowed(address.parse::<IpAddr>().unwrap().to_canonical(), loopback);
        for address in ["169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "::ffff:169.254.169.254"]
        {
            assert!(!allowed(address, Loopback::Allowed), "{address}");
        }
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(!allowed(address, Loopback::Refused), "{address}");
            assert!(allowed(address, Loopback::Allowed), "{address}");
        }
        for address in ["10.0.0.1", "93.184.216.34", "fd00::1"] {
            assert!(allowed(address, Loopback::Refused), "{address}");
        }
    }
}
