//! DataSources are checked against real servers, with right, wrong, missing and unreadable credentials. Whatever a
//! server says, no credential comes into the status.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use pilothouse::{
    api::{
        DataSource, DataSourceStatus,
        data_source::DataSourcePhase::{self, Connected, Degraded, Failed},
    },
    operator::check_source,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    authority::Authority,
    sources_servers::{PASSWORD, Server},
};

fn source(spec: &str) -> DataSource {
    let mut source = DataSource::new("orders", serde_saphyr::from_str(spec).unwrap());
    source.metadata.namespace = Some("shop".to_owned());
    source
}

fn known(values: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    Some(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

const WITH_LOGIN: &str = "credentials: [{name: username, secretKeyRef: {name: a, key: u}}, {name: password, secretKeyRef: {name: a, key: p}}]";

/// Phase, reason of Connected, and message; no credential is in any of it.
async fn checked(
    spec: &str,
    credentials: Option<BTreeMap<String, String>>,
) -> (DataSourcePhase, String, String) {
    let status = check_source(&source(spec), credentials.clone()).await.unwrap();
    let whole = serde_json::to_string(&status).unwrap();
    for value in credentials.iter().flat_map(BTreeMap::values).filter(|value| value.len() > 3) {
        assert!(!whole.contains(value.as_str()), "{whole}");
    }
    let DataSourceStatus { phase, message, conditions, .. } = status;
    let connected = conditions.into_iter().find(|condition| condition.type_ == "Connected").unwrap();
    (phase.unwrap(), connected.reason, message.unwrap())
}

#[tokio::test]
async fn a_postgresql_lets_in_by_every_way_of_logging_in() {
    let server = Server::postgresql(None);
    let endpoint = format!("type: database, endpoint: 'postgresql://127.0.0.1:{}/orders'", server.port);
    let spec = format!("{{{endpoint}, {WITH_LOGIN}}}");
    for user in ["scram", "md5", "clear"] {
        let (phase, reason, message) =
            checked(&spec, known(&[("username", user), ("password", PASSWORD)])).await;
        assert_eq!((phase, reason.as_str()), (Connected, "Connected"), "{user}: {message}");
        assert!(message.starts_with("PostgreSQL 15"), "{message}");
        let (phase, reason, message) =
            checked(&spec, known(&[("username", user), ("password", "not-the-one")])).await;
        assert_eq!((phase, reason.as_str()), (Failed, "CredentialsRefused"), "{message}");
        assert!(message.contains("28P01") && message.contains("correct the Secrets"), "{message}");
    }
    // A second database of the same server, and one that is not there.
    let stock = spec.replace("/orders", "/stock");
    assert_eq!(checked(&stock, known(&[("username", "scram"), ("password", PASSWORD)])).await.0, Connected);
    let none = spec.replace("/orders", "/nothing");
    let (phase, reason, message) =
        checked(&none, known(&[("username", "scram"), ("password", PASSWORD)])).await;
    assert_eq!((phase, reason.as_str()), (Failed, "DatabaseMissing"), "{message}");
    // Nobody may read the credentials: it is there, and that is all that is known.
    let (phase, reason, message) = checked(&spec, None).await;
    assert_eq!((phase, reason.as_str()), (Degraded, "CredentialsNotTried"), "{message}");
    // None are named.
    let (phase, reason, message) = checked(&format!("{{{endpoint}}}"), known(&[])).await;
    assert_eq!((phase, reason.as_str()), (Failed, "CredentialsRefused"), "{message}");
    assert!(message.contains("spec.credentials names none"), "{message}");
    // TLS is asked for and not there.
    let (phase, reason, message) = checked(
        &format!("{{{endpoint}, tls: {{}}}}"),
        known(&[("username", "scram"), ("password", PASSWORD)]),
    )
    .await;
    assert_eq!((phase, reason.as_str()), (Failed, "TlsFailed"), "{message}");
    assert!(message.contains("does not speak TLS"), "{message}");
}

#[tokio::test]
async fn a_postgresql_over_tls_is_believed_by_the_bundle_alone() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = Server::postgresql(Some(&ours));
    let login = || known(&[("username", "scram"), ("password", PASSWORD)]);
    let spec = |authority: &Authority| {
        let pem = serde_json::to_string(&authority.pem).unwrap();
        format!(
            "{{type: database, endpoint: 'postgresql://127.0.0.1:{}/orders', tls: {{caBundle: {pem}}}, {WITH_LOGIN}}}",
            server.port
        )
    };
    let (phase, _, message) = checked(&spec(&ours), login()).await;
    assert_eq!(phase, Connected, "{message}");
    let (phase, reason, message) = checked(&spec(&other), login()).await;
    assert_eq!((phase, reason.as_str()), (Failed, "TlsFailed"), "{message}");
    assert!(message.contains("certificate"), "{message}");
    // Without TLS the server refuses everybody.
    let plain = format!(
        "{{type: database, endpoint: 'postgresql://127.0.0.1:{}/orders', {WITH_LOGIN}}}",
        server.port
    );
    assert_eq!(checked(&plain, login()).await.1, "CredentialsRefused");
}

#[tokio::test]
async fn a_redis_lets_in_its_users() {
    let server = Server::redis(None);
    let spec = format!("{{type: database, endpoint: 'redis://127.0.0.1:{}', {WITH_LOGIN}}}", server.port);
    let (phase, _, message) = checked(&spec, known(&[("password", PASSWORD)])).await;
    assert_eq!((phase, message.as_str()), (Connected, "Redis let us in."));
    // This one may not even PING.
    let too = format!("{PASSWORD}-too");
    let (phase, _, message) = checked(&spec, known(&[("username", "reader"), ("password", &too)])).await;
    assert_eq!(phase, Connected, "{message}");
    let (phase, reason, message) = checked(&spec, known(&[("password", "not-the-one")])).await;
    assert_eq!((phase, reason.as_str()), (Failed, "CredentialsRefused"), "{message}");
    assert!(message.contains("WRONGPASS"), "{message}");
    assert_eq!(checked(&spec, None).await.1, "CredentialsNotTried");
    let (_, reason, message) = checked(&spec.replace(&format!(", {WITH_LOGIN}"), ""), known(&[])).await;
    assert!(reason == "CredentialsRefused" && message.contains("asks for a password"), "{message}");
}

#[tokio::test]
async fn a_redis_over_tls() {
    let ours = Authority::new();
    let server = Server::redis(Some(&ours));
    let pem = serde_json::to_string(&ours.pem).unwrap();
    let endpoint = format!("type: database, endpoint: 'rediss://127.0.0.1:{}', {WITH_LOGIN}", server.port);
    let (phase, _, message) =
        checked(&format!("{{{endpoint}, tls: {{caBundle: {pem}}}}}"), known(&[("password", PASSWORD)])).await;
    assert_eq!(phase, Connected, "{message}");
    let (phase, reason, message) =
        checked(&format!("{{{endpoint}}}"), known(&[("password", PASSWORD)])).await;
    assert_eq!((phase, reason.as_str()), (Failed, "TlsFailed"), "{message}");
}

/// Answers everybody with `answer`, after they have said something.
async fn says(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 4096];
                if stream.read(&mut heard).await.is_ok() && stream.write_all(answer).await.is_ok() {
                    // Until the client has gone.
                    while matches!(stream.read(&mut heard).await, Ok(1..)) {}
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn an_http_api_is_asked_with_its_token_and_only_the_status_counts() {
    use wiremock::{
        Mock, MockServer, ResponseTemplate,
        matchers::{header, path},
    };
    let server = MockServer::start().await;
    let right = header("authorization", "Bearer tok-123456");
    Mock::given(path("/healthz")).and(right).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    Mock::given(path("/healthz"))
        .respond_with(ResponseTemplate::new(401).set_body_string("tok-123456 tok-wrong1"))
        .mount(&server)
        .await;
    Mock::given(path("/busy")).respond_with(ResponseTemplate::new(503)).mount(&server).await;
    Mock::given(path("/moved"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:1/"))
        .mount(&server)
        .await;
    let spec = |path: &str| {
        format!(
            "{{type: api, endpoint: '{}', healthCheck: {{path: {path}}}, credentials: [{{name: token, secretKeyRef: {{name: a, key: t}}}}]}}",
            server.uri()
        )
    };
    let token = || known(&[("token", "tok-123456")]);
    assert_eq!(checked(&spec("/healthz"), token()).await.0, Connected);
    let (phase, reason, message) = checked(&spec("/healthz"), known(&[("token", "tok-wrong1")])).await;
    assert_eq!((phase, reason.as_str()), (Failed, "CredentialsRefused"), "{message}");
    assert!(message.contains("answers /healthz with 401 Unauthorized"), "{message}");
    assert_eq!(checked(&spec("/healthz"), None).await.1, "CredentialsNotTried");
    assert_eq!(checked(&spec("/busy"), token()).await.1, "NotAsExpected");
    let (_, _, message) = checked(&spec("/nowhere"), token()).await;
    assert!(message.contains("set spec.healthCheck.path"), "{message}");
    assert_eq!(checked(&spec("/moved"), token()).await.0, Connected, "it is not followed");
}

#[tokio::test]
async fn servers_that_say_the_password_back_are_not_quoted() {
    let port = says(b"-ERR invalid AUTH hunter2-and-more aHVudGVyMi1hbmQtbW9yZQ==\r\n").await;
    let spec = format!("{{type: database, endpoint: 'redis://127.0.0.1:{port}', {WITH_LOGIN}}}");
    let (phase, _, message) = checked(&spec, known(&[("password", PASSWORD)])).await;
    assert!(phase == Failed && message.contains("<password> <password>"), "{message}");
    // Too short to be found: nothing that it says is shown.
    let (_, _, message) = checked(&spec, known(&[("password", "ER")])).await;
    assert!(!message.contains("invalid"), "{message}");
}

#[tokio::test]
async fn what_is_not_there_or_something_else_is_said_within_the_timeout() {
    let closed = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let away = format!("{{type: storage, endpoint: 'tcp://127.0.0.1:{closed}'}}");
    let (phase, reason, message) = checked(&away, known(&[])).await;
    assert_eq!((phase, reason.as_str()), (Failed, "NotReachable"), "{message}");
    assert!(message.contains(&format!("127.0.0.1:{closed}")) && message.contains("refused"), "{message}");
    // It listens and says nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let spec =
        format!("{{type: database, endpoint: 'redis://127.0.0.1:{port}', healthCheck: {{timeout: 1s}}}}");
    let started = Instant::now();
    let (phase, reason, message) = checked(&spec, known(&[])).await;
    assert_eq!((phase, reason.as_str()), (Failed, "NoAnswer"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(5), "{message}");
    // A connection is all that tcp asks for.
    let tcp = format!("{{type: storage, endpoint: 'tcp://127.0.0.1:{port}'}}");
    assert_eq!(checked(&tcp, known(&[])).await.0, Connected);
    // Something else listens there.
    let port = says(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    for scheme in ["redis", "http", "postgresql"] {
        let spec = format!(
            "{{type: database, endpoint: '{scheme}://127.0.0.1:{port}', healthCheck: {{timeout: 2s}}}}"
        );
        let (phase, _, message) = checked(&spec, known(&[])).await;
        assert!(phase != Connected, "{scheme}: {message}");
    }
    let (phase, reason, message) =
        checked("{type: api, endpoint: 'http://nothing.invalid'}", known(&[])).await;
    assert_eq!((phase, reason.as_str()), (Failed, "NameNotResolved"), "{message}");
    let (phase, reason, message) =
        checked("{type: api, endpoint: 'http://169.254.169.254/latest'}", known(&[])).await;
    assert_eq!((phase, reason.as_str()), (Failed, "AddressNotAllowed"), "{message}");
}

#[tokio::test]
async fn what_answered_before_is_degraded_first() {
    let closed = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut source = source(&format!("{{type: storage, endpoint: 'tcp://127.0.0.1:{closed}'}}"));
    source.status = Some(DataSourceStatus { phase: Some(Connected), ..DataSourceStatus::default() });
    let status = check_source(&source, known(&[])).await.unwrap();
    assert_eq!(status.phase, Some(Degraded));
    assert!(status.message.unwrap().contains("It answered before"));
}
