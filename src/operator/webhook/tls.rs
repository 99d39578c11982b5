//! Connections by TLS. A client that does not end its handshake holds up nobody else.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::Listener;
use rustls::{ServerConfig, crypto::CryptoProvider};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::certificate::Presented;

const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes under way at once; a further client waits.
const HANDSHAKES: usize = 64;

pub(super) struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    /// None: it failed or took too long.
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl TlsListener {
    /// # Errors
    /// When the provider speaks no version of TLS that is safe.
    pub(super) fn new(
        listener: TcpListener,
        presented: Arc<Presented>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_no_client_auth().with_cert_resolver(presented);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), handshakes: JoinSet::new() })
    }

    fn greet(&mut self, stream: TcpStream, from: SocketAddr) {
        let handshake = self.acceptor.accept(stream);
        self.handshakes.spawn(async move {
            match timeout(HANDSHAKE, handshake).await {
                Ok(Ok(stream)) => Some((stream, from)),
                Ok(Err(error)) => {
                    tracing::debug!(%from, %error, "a client of the webhook did not get through its handshake");
                    None
                }
                Err(_) => None,
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if self.handshakes.len() < HANDSHAKES => match accepted {
                    Ok((stream, from)) => self.greet(stream, from),
                    // Too many open files, for example: it may pass.
                    Err(error) => {
                        tracing::warn!(%error, "a connection to the webhook was not accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(done) = self.handshakes.join_next(), if !self.handshakes.is_empty() => {
                    if let Ok(Some(connected)) = done {
                        return connected;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
