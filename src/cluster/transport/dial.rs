//! Opens a connection to an API server: through a proxy where there is one, with TLS that offers HTTP/2.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{
    Connected, Connection, HttpConnector,
    proxy::{SocksV5, Tunnel},
};
use kube::{Config, client::ConfigExt};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tower::{BoxError, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

/// A dead peer of an HTTP/1.1 connection is noticed by this; HTTP/2 has its own pings.
const TCP_PROBES: Duration = Duration::from_secs(30);

/// Opens connections to one API server. Clones share what TLS remembers.
#[derive(Clone)]
pub(super) struct Dial(BoxCloneSyncService<Uri, Line, BoxError>);

impl Dial {
    /// # Errors
    /// When trust, login or proxy of the kubeconfig cannot be used.
    pub(super) fn new(config: &Config) -> Result<Self, kube::Error> {
        if CryptoProvider::get_default().is_none() {
            // Somebody may have been faster: then it is theirs.
            drop(aws_lc_rs::default_provider().install_default());
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_PROBES));
        let Some(proxy) = &config.proxy_url else { return over(tcp, config) };
        match proxy.scheme_str() {
            Some("socks5") => over(SocksV5::new(proxy.clone(), tcp), config),
            Some("http") => over(tunnel(proxy, tcp), config),
            // What is said to the proxy itself is HTTP/1.1.
            Some("https") => over(tunnel(proxy, config.rustls_https_connector_with_connector(tcp)?), config),
            _ => Err(kube::Error::ProxyProtocolUnsupported { proxy_url: Box::new(proxy.clone()) }),
        }
    }
}

impl Service<Uri> for Dial {
    type Response = Line;
    type Error = BoxError;
    type Future = <BoxCloneSyncService<Uri, Line, BoxError> as Service<Uri>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        self.0.call(to)
    }
}

fn over<C>(connector: C, config: &Config) -> Result<Dial, kube::Error>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let secured = secured(connector, config)?;
    let longest = config.connect_timeout;
    let dial = service_fn(move |to: Uri| {
        let dialling = secured.clone().oneshot(to);
        async move {
            let line = match longest {
                None => dialling.await?,
                Some(longest) => tokio::time::timeout(longest, dialling).await.map_err(|_| {
                    io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("no connection within {} s", longest.as_secs()),
                    )
                })??,
            };
            Ok::<_, BoxError>(Line(Box::pin(line)))
        }
    });
    Ok(Dial(BoxCloneSyncService::new(dial)))
}

/// kube's own [`ConfigExt::rustls_https_connector_with_connector`], but HTTP/2 is offered too.
fn secured<C>(connector: C, config: &Config) -> Result<HttpsConnector<C>, kube::Error> {
    let builder =
        HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    let builder = match &config.tls_server_name {
        None => builder,
        Some(name) => {
            let name = name.clone().try_into().map_err(|error| {
                kube::Error::RustlsTls(kube::client::RustlsTlsError::InvalidServerName(error))
            })?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
    };
    Ok(builder.enable_http1().enable_http2().wrap_connector(connector))
}

fn tunnel<C>(proxy: &Uri, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), connector);
    match credentials(proxy) {
        Some(credentials) => tunnel.with_auth(credentials),
        None => tunnel,
    }
}

/// What stands before the `@` of the proxy's address, as a header.
fn credentials(proxy: &Uri) -> Option<HeaderValue> {
    use base64::{Engine, prelude::BASE64_STANDARD};

    let (user, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let plain: Vec<u8> = percent_encoding::percent_decode_str(user).collect();
    // What base64 gives can stand in a header.
    HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(plain))).ok()
}

trait Wire: Connection + Read + Write + Send {}
impl<T: Connection + Read + Write + Send> Wire for T {}

/// An open connection, whatever it leads through.
pub(super) struct Line(Pin<Box<dyn Wire>>);

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

impl Read for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_read(cx, buffer)
    }
}

impl Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write_vectored(cx, pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::credentials;

    #[test]
    fn what_is_escaped_in_the_address_of_a_proxy_is_not_in_its_header() {
        let of = |address: &'static str| {
            let header = credentials(&http::Uri::from_static(address))?;
            Some(header.to_str().ok()?.to_owned())
        };
        // user:p@ss%
        assert_eq!(of("http://user:p%40ss%25@proxy:3128").as_deref(), Some("Basic dXNlcjpwQHNzJQ=="));
        assert_eq!(of("http://proxy:3128"), None);
    }
}
