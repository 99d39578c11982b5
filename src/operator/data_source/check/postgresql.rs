//! A PostgreSQL session as a client begins one: TLS, startup, authentication. Nothing is asked of the database.

use std::{
    error::Error as _,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_postgres::{
    Config,
    config::SslMode,
    error::SqlState,
    tls::{ChannelBinding, TlsConnect, TlsStream},
};

use super::dial::{Dial, DialError, secured};
use crate::operator::data_source::{
    credentials::Credentials,
    outcome::{Outcome, Reason},
    target::{Target, Trust},
};

pub(super) async fn check(dial: &Dial, target: &Target, credentials: &Credentials) -> Outcome {
    let stream = match dial.tcp(target).await {
        Ok(stream) => stream,
        Err(error) => return error.outcome(target),
    };
    let mut config = Config::new();
    let user = credentials.get("username").unwrap_or("pilothouse");
    config.user(user).application_name("pilothouse");
    config.dbname(target.database.as_deref().unwrap_or(user));
    config.ssl_mode(if target.tls.is_some() { SslMode::Require } else { SslMode::Disable });
    if let Some(password) = credentials.get("password") {
        config.password(password);
    }
    let (client, connection) = match config.connect_raw(stream, Tls { target: target.clone() }).await {
        Ok(session) => session,
        Err(error) => return refused(&error, target, credentials),
    };
    let version = connection.parameter("server_version").map(|version| credentials.scrub(version));
    // Says goodbye.
    drop(client);
    if let Err(error) = connection.await {
        tracing::debug!(
            place = target.place(),
            closed = error.is_closed(),
            "a PostgreSQL session did not end well"
        );
    }
    match version {
        // Only a server that lets everybody in got so far without the credentials that it should be tried with.
        Some(_) if credentials.is_empty() && target.has_credentials => Outcome::not_tried(target),
        Some(version) => Outcome::In(format!("PostgreSQL {version}")),
        None => Outcome::In("PostgreSQL".to_owned()),
    }
}

fn refused(error: &tokio_postgres::Error, target: &Target, credentials: &Credentials) -> Outcome {
    let place = target.place();
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let Some(said) = error.as_db_error() else {
        // What the library says when the server asks for a password and none was given.
        if cause == "password missing" {
            return Outcome::asks(target, "a password");
        }
        if let Some(failed) = error.source().and_then(|cause| cause.downcast_ref::<DialError>()) {
            return failed.outcome(target);
        }
        let said = credentials.scrub(&format!("{error}: {cause}"));
        if cause.contains("does not support TLS") {
            return Outcome::refused(
                Reason::TlsFailed,
                format!("{place} does not speak TLS: remove spec.tls, or switch TLS on in the server."),
            );
        }
        return Outcome::away(
            Reason::NotReachable,
            format!("{place} did not finish the handshake ({said})."),
        );
    };
    let words =
        format!("{place} says: {} (SQLSTATE {})", credentials.scrub(said.message()), said.code().code());
    let code = said.code();
    if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        if credentials.get("password").is_none() {
            return Outcome::asks(target, "other credentials");
        }
        let fix = "correct the Secrets that spec.credentials names";
        return Outcome::refused(Reason::CredentialsRefused, format!("{words}: {fix}."));
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        let fix = "create the database or correct spec.endpoint";
        return Outcome::refused(Reason::DatabaseMissing, format!("{words}: {fix}."));
    }
    // Full, starting, going down: it is there.
    Outcome::partly(Reason::NotAsExpected, format!("{words}."))
}

/// TLS when the server has agreed to it.
struct Tls {
    target: Target,
}

impl TlsConnect<TcpStream> for Tls {
    type Stream = Session;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Session, DialError>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let trust = self.target.tls.clone().unwrap_or(Trust::System);
            Ok(Session(secured(stream, &trust, &self.target).await?))
        })
    }
}

struct Session(tokio_rustls::client::TlsStream<TcpStream>);

impl TlsStream for Session {
    /// Without it SCRAM is done as over plain TCP.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Session {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Session {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
