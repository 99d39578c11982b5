//! How the reader's requests travel: many callers on one HTTP/2 connection, and what that must not cost them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures::future::{self, join_all, try_join_all};
use http::Version;
use pilothouse::{
    caller::{Caller, Proof},
    cluster::{ConnectOptions, Connection, LogRequest, LogStream, ReadError, Reader, Resource, connect},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};

use crate::{
    loopback::{ApiServer, Asked, LATE, LINE, Speaks},
    relay::Relay,
};

/// Far less than a request may take.
const AT_ONCE: Duration = Duration::from_secs(3);
/// For what is work for an unoptimized build.
const LONG: Duration = Duration::from_secs(30);

async fn connection(scheme: &str, address: SocketAddr, cluster: &str) -> Connection {
    connection_as(scheme, address, cluster, "").await
}

/// `as_` says whom the kubeconfig impersonates.
async fn connection_as(scheme: &str, address: SocketAddr, cluster: &str, as_: &str) -> Connection {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let config = format!(
        "apiVersion: v1
kind: Config
current-context: here
contexts: [{{ name: here, context: {{ cluster: c, user: u }} }}]
clusters: [{{ name: c, cluster: {{ server: \"{scheme}://{address}\", {cluster} }} }}]
users: [{{ name: u, user: {{ token: hunter22hunter22{as_} }} }}]
"
    );
    std::fs::write(&path, config).unwrap();
    connect(&ConnectOptions { kubeconfig: Some(path), context: None }).await.unwrap()
}

/// Over a relay before the server.
async fn reader(server: &ApiServer, relay: &Relay) -> Reader {
    connection("https", relay.address, &server.trust().join(", ")).await.reader
}

fn caller(number: usize) -> Caller {
    let user = format!("ann-{number}");
    Caller { user, groups: Vec::new(), extra: BTreeMap::new(), proof: Proof::Oidc }
}

/// As many callers, all at the same time.
async fn callers(reader: &Reader, number: usize) {
    let readers: Vec<Reader> = (0..number).map(|at| reader.for_caller(&caller(at)).unwrap()).collect();
    for version in try_join_all(readers.iter().map(Reader::version)).await.unwrap() {
        assert_eq!(version, "v1.34.0");
    }
}

/// Logs that were begun and that nobody reads, though they would never end.
async fn unread_logs(reader: &Reader, number: usize) -> Vec<LogStream> {
    let request = LogRequest::default();
    let opening = (0..number).map(async |_| reader.log_lines("shop", "cart", &request).await);
    timeout(AT_ONCE, try_join_all(opening)).await.expect("all are opened").unwrap()
}

fn connections(asked: &[Asked]) -> BTreeSet<usize> {
    asked.iter().map(|asked| asked.connection).collect()
}

#[tokio::test]
async fn callers_share_one_connection() {
    let server = ApiServer::start(Speaks::Http1AndHttp2).await;
    let relay = Relay::to(server.address).await;
    let reader = reader(&server, &relay).await;
    callers(&reader, 60).await;
    callers(&reader, 60).await;
    assert_eq!(relay.accepted(), 1, "also the first ones, who all came before there was a connection");
    let asked = server.asked();
    assert_eq!(asked.len(), 120);
    let users: BTreeSet<_> = asked.iter().map(|asked| asked.headers["impersonate-user"].clone()).collect();
    assert_eq!(users.len(), 60, "each as itself");
    for Asked { version, headers, .. } in &asked {
        assert_eq!(*version, Version::HTTP_2);
        assert_eq!(headers["authorization"], "Bearer hunter22hunter22");
        assert_eq!(headers["accept-encoding"], "gzip");
        assert!(headers["user-agent"].to_str().unwrap().starts_with("pilothouse-reader/"));
    }
}

/// Of all `Impersonate-Group` headers Kubernetes makes one list: a caller must not get the kubeconfig's.
#[tokio::test]
async fn whom_the_kubeconfig_impersonates_is_named_for_itself_and_never_beside_a_caller() {
    let server = ApiServer::start(Speaks::Plain).await;
    let as_ = ", as: boss, as-groups: [system:masters], as-user-extra: {scopes: [all]}";
    let reader = connection_as("http", server.address, "", as_).await.reader;
    let ann = Caller { groups: vec!["team-a".to_owned()], ..caller(1) };
    reader.for_caller(&ann).unwrap().version().await.unwrap();
    reader.version().await.unwrap();
    let said = |asked: &Asked| -> Vec<String> {
        let named = asked.headers.iter().filter(|(name, _)| name.as_str().starts_with("impersonate-"));
        let mut said: Vec<_> =
            named.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        said.sort();
        said
    };
    let asked = server.asked();
    let via = "impersonate-extra-pilothouse.dev%2fvia: reader";
    assert_eq!(said(&asked[0]), [via, "impersonate-group: team-a", "impersonate-user: ann-1"]);
    assert_eq!(
        said(&asked[1]),
        ["impersonate-extra-scopes: all", "impersonate-group: system:masters", "impersonate-user: boss"]
    );
}

#[tokio::test]
async fn a_server_of_http_1_alone_is_read_as_well() {
    for (speaks, scheme) in [(Speaks::Http1, "https"), (Speaks::Plain, "http")] {
        let server = ApiServer::start(speaks).await;
        let cluster = if speaks == Speaks::Plain { String::new() } else { server.trust().join(", ") };
        let reader = connection(scheme, server.address, &cluster).await.reader;
        callers(&reader, 20).await;
        callers(&reader, 20).await;
        let logs = unread_logs(&reader, 5).await;
        callers(&reader, 20).await;
        drop(logs);
        let asked = server.asked();
        assert!(asked.iter().all(|asked| asked.version == Version::HTTP_11), "{speaks:?}");
        assert!(connections(&asked).len() < 45, "{speaks:?}: connections are used again");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_unless_the_kubeconfig_says_otherwise() {
    let server = ApiServer::start(Speaks::Http1AndHttp2).await;
    let [authority, _name] = server.trust();
    let refused = connection("https", server.address, &authority).await.reader;
    let error = refused.version().await.unwrap_err();
    assert!(
        matches!(&error, ReadError::Unreachable { reason, .. } if reason.contains("certificate")),
        "{error}"
    );
    let lax = connection("https", server.address, "insecure-skip-tls-verify: true").await.reader;
    callers(&lax, 2).await;
    assert_eq!(server.asked()[0].version, Version::HTTP_2);
}

#[tokio::test]
async fn logs_that_nobody_reads_hold_up_nobody() {
    let server = ApiServer::start(Speaks::Http1AndHttp2).await;
    let relay = Relay::to(server.address).await;
    let reader = reader(&server, &relay).await;
    let mut logs = unread_logs(&reader, 60).await;
    let mut another = unread_logs(&reader, 1).await.remove(0);
    // The server sends to all in turn: then the others have got what may lie unread.
    let read = async {
        for _ in 0..8_000_000 / LINE {
            another.next().await.unwrap().unwrap();
        }
    };
    timeout(LONG, read).await.expect("one that is read goes on");
    timeout(AT_ONCE, callers(&reader, 20)).await.expect("calls go on");
    timeout(AT_ONCE, unread_logs(&reader, 5)).await.expect("logs can be opened");
    assert_eq!(relay.accepted(), 2, "one connection for calls and one for logs");
    logs.clear();
    timeout(AT_ONCE, callers(&reader, 20)).await.expect("calls go on");
}

#[tokio::test]
async fn more_streams_than_a_server_lets_onto_a_connection_open_another() {
    let server = ApiServer::start(Speaks::Http1AndHttp2).await;
    let relay = Relay::to(server.address).await;
    let reader = reader(&server, &relay).await;
    let logs = unread_logs(&reader, 250).await;
    assert_eq!(relay.accepted(), 4, "80 on each");
    timeout(AT_ONCE, callers(&reader, 20)).await.expect("calls go on");
    assert_eq!(relay.accepted(), 5);
    drop(logs);
    let logs = unread_logs(&reader, 60).await;
    assert_eq!(relay.accepted(), 5, "places are free again");
    drop(logs);
}

#[tokio::test]
async fn a_connection_that_leads_nowhere_is_left_before_a_call_is_given_up() {
    let server = ApiServer::start(Speaks::Http1AndHttp2).await;
    let relay = Relay::to(server.address).await;
    let reader = reader(&server, &relay).await;
    callers(&reader, 3).await;
    relay.silence();
    let began = Instant::now();
    // All of them: what they asked is asked again over a connection that leads somewhere.
    callers(&reader, 10).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(relay.accepted(), 2);
}

#[tokio::test]
async fn a_connection_that_breaks_fails_no_call() {
    for speaks in [Speaks::Http1, Speaks::Http1AndHttp2] {
        let server = ApiServer::start(speaks).await;
        let relay = Relay::to(server.address).await;
        let reader = reader(&server, &relay).await;
        for _ in 0..20 {
            callers(&reader, 3).await;
            relay.cut();
        }
        let pods =
            Resource { version: "v1".into(), plural: "pods".into(), namespaced: true, ..Resource::default() };
        let waits_for_its_answer = async {
            while !server.asked().iter().any(|asked| asked.path == LATE) {
                tokio::task::yield_now().await;
            }
            relay.cut();
        };
        let late = reader.get(&pods, Some("shop"), "late");
        let (late, ()) =
            timeout(AT_ONCE, future::join(late, waits_for_its_answer)).await.expect("asked again");
        late.unwrap();
        // A log that was begun cannot be begun again unseen.
        let mut log = unread_logs(&reader, 1).await.remove(0);
        relay.cut();
        let broken = async {
            while log.next().await?.is_some() {}
            Ok::<_, ReadError>(())
        };
        let error = timeout(AT_ONCE, broken).await.expect("an end").unwrap_err();
        assert!(matches!(error, ReadError::Unreachable { .. }), "{error:?}");
    }
}

/// Answers one CONNECT and then carries; tells the head of the request.
async fn proxy() -> (SocketAddr, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(near.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        tell.send(head).unwrap();
        let mut far = TcpStream::connect(target).await.unwrap();
        near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut near, &mut far).await;
    });
    (address, told)
}

/// As [`proxy`], in SOCKS5 without a password.
async fn socks() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 3];
        near.read_exact(&mut greeting).await.unwrap();
        assert_eq!(greeting, [5, 1, 0]);
        near.write_all(&[5, 0]).await.unwrap();
        // Version, connect, nothing, IPv4; address and port.
        let mut wanted = [0; 10];
        near.read_exact(&mut wanted).await.unwrap();
        assert_eq!(wanted[..4], [5, 1, 0, 1]);
        let [.., a, b, c, d, high, low] = wanted;
        let mut far = TcpStream::connect(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low]))))
            .await
            .unwrap();
        near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let _ = copy_bidirectional(&mut near, &mut far).await;
    });
    address
}

#[tokio::test]
async fn a_proxy_leads_to_the_same_connection() {
    let server = ApiServer::start(Speaks::Http1AndHttp2).await;
    let (address, told) = proxy().await;
    let cluster = format!("{}, proxy-url: \"http://ann:p%40ss@{address}\"", server.trust().join(", "));
    callers(&connection("https", server.address, &cluster).await.reader, 10).await;
    let head = told.await.unwrap();
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.address)), "{head}");
    // ann:p@ss
    assert!(head.to_lowercase().contains("proxy-authorization: basic yw5uonbac3m=\r\n"), "{head}");

    let cluster = format!("{}, proxy-url: \"socks5://{}\"", server.trust().join(", "), socks().await);
    callers(&connection("https", server.address, &cluster).await.reader, 10).await;
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.version == Version::HTTP_2));
    assert_eq!(connections(&asked).len(), 2);

    let cluster = format!("{}, proxy-url: \"ftp://127.0.0.1:1\"", server.trust().join(", "));
    let error = connection("https", server.address, &cluster).await.reader.version().await.unwrap_err();
    assert!(error.to_string().contains("ftp://127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_first_burst_that_finds_no_server_is_told_so_at_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let reader = connection("https", free, "insecure-skip-tls-verify: true").await.reader;
    let all = timeout(AT_ONCE, join_all((0..30).map(async |_| reader.version().await))).await.expect("told");
    for error in all {
        assert!(matches!(error, Err(ReadError::Unreachable { .. })), "{error:?}");
    }
}
