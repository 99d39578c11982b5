//! An issuer of tokens on a loopback port: discovery document, keys, and a hand that signs.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    },
};
use axum::{Router, extract::State, routing::get, serve::Listener};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use pilothouse::mcp::listener;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

/// The audience of all tokens that are meant for us here.
pub(crate) const AUDIENCE: &str = "https://pilothouse.example/mcp";

pub(crate) struct TestIssuer {
    pub(crate) url: String,
    published: Arc<Published>,
    stop: CancellationToken,
}

struct Published {
    url: String,
    keys: Mutex<Vec<Value>>,
    down: AtomicBool,
    fetched: AtomicUsize,
}

impl TestIssuer {
    pub(crate) async fn start(keys: &[&SigningKey]) -> Self {
        Self::start_over(keys, None).await
    }

    /// Over TLS, if this says with which certificate.
    pub(crate) async fn start_over(keys: &[&SigningKey], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let published = Arc::new(Published {
            url: url.clone(),
            keys: Mutex::default(),
            down: AtomicBool::new(false),
            fetched: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(set))
            .with_state(published.clone());
        let stop = CancellationToken::new();
        match tls {
            None => drop(tokio::spawn(listener::serve(listener, router, stop.clone()))),
            Some(tls) => {
                let listener = OverTls { listener, tls };
                let served =
                    axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
                tokio::spawn(served.into_future());
            }
        }
        let issuer = Self { url, published, stop };
        issuer.publish(keys);
        issuer
    }

    /// These and no others are its keys from now on.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        *self.published.keys.lock().unwrap() = keys.iter().map(|key| key.jwk.clone()).collect();
    }

    /// Whether it answers 500 from now on.
    pub(crate) fn is_down(&self, down: bool) {
        self.published.down.store(down, Ordering::Relaxed);
    }

    /// How often its keys were asked for.
    pub(crate) fn fetched(&self) -> usize {
        self.published.fetched.load(Ordering::Relaxed)
    }

    /// Claims of a token that is good for an hour.
    pub(crate) fn claims(&self, user: &str) -> Value {
        json!({"iss": self.url, "aud": AUDIENCE, "sub": user, "exp": Timestamp::now().as_second() + 3600})
    }

    /// The same with some of them replaced; null takes one away.
    pub(crate) fn claims_but(&self, user: &str, changes: Value) -> Value {
        let mut claims = self.claims(user);
        let all = claims.as_object_mut().unwrap();
        for (key, value) in changes.as_object().unwrap() {
            all.insert(key.clone(), value.clone());
        }
        all.retain(|_, value| !value.is_null());
        claims
    }
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Connections whose client trusts the certificate.
struct OverTls {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for OverTls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn discovery(State(published): State<Arc<Published>>) -> Result<String, StatusCode> {
    let url = &published.url;
    answer(&published, json!({"issuer": url, "jwks_uri": format!("{url}/keys")}))
}

async fn set(State(published): State<Arc<Published>>) -> Result<String, StatusCode> {
    published.fetched.fetch_add(1, Ordering::Relaxed);
    let keys = published.keys.lock().unwrap().clone();
    answer(&published, json!({ "keys": keys }))
}

fn answer(published: &Published, document: Value) -> Result<String, StatusCode> {
    match published.down.load(Ordering::Relaxed) {
        true => Err(StatusCode::INTERNAL_SERVER_ERROR),
        false => Ok(document.to_string()),
    }
}

pub(crate) struct SigningKey {
    header: Header,
    key: EncodingKey,
    jwk: Value,
}

impl SigningKey {
    pub(crate) fn es256(id: &str) -> Self {
        Self::ecdsa(id, Algorithm::ES256, &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(crate) fn es384(id: &str) -> Self {
        Self::ecdsa(id, Algorithm::ES384, &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    fn ecdsa(id: &str, algorithm: Algorithm, of: &'static EcdsaSigningAlgorithm) -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(of, &SystemRandom::new()).unwrap();
        Self::made(id, algorithm, EncodingKey::from_ec_der(pkcs8.as_ref()))
    }

    pub(crate) fn rs256(id: &str) -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().unwrap();
        // The key itself, which PKCS#8 wraps in 26 bytes.
        Self::made(id, Algorithm::RS256, EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]))
    }

    fn made(id: &str, algorithm: Algorithm, key: EncodingKey) -> Self {
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        let header = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
        Self { header, key, jwk: serde_json::to_value(jwk).unwrap() }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        encode(&self.header, claims, &self.key).unwrap()
    }

    /// Signed all the same, by a header that says something else.
    pub(crate) fn sign_with_header(&self, change: impl FnOnce(&mut Header), claims: &Value) -> String {
        let mut header = self.header.clone();
        change(&mut header);
        encode(&header, claims, &self.key).unwrap()
    }

    /// The old trick: a symmetric signature, made with what everybody knows of the key.
    pub(crate) fn sign_with_the_public_half(&self, claims: &Value) -> String {
        let header = Header { alg: Algorithm::HS256, ..self.header.clone() };
        encode(&header, claims, &EncodingKey::from_secret(self.jwk.to_string().as_bytes())).unwrap()
    }

    /// No signature at all, and a header that says so.
    pub(crate) fn unsigned(&self, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(claims))
    }
}
