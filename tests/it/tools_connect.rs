//! A kubeconfig that cannot be used, and an API server that is not there: one clear sentence each.

use std::{fs, path::PathBuf, time::Instant};

use pilothouse::cluster::{ConnectOptions, ReadError, connect};
use tempfile::TempDir;

fn kubeconfig(text: &str) -> (TempDir, PathBuf) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn config(server: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: here
contexts:
- name: here
  context: {{ cluster: c, user: u, namespace: shop }}
clusters:
- name: c
  cluster: {{ server: \"{server}\" }}
users:
- name: u
  user: {{ token: hunter22hunter22 }}
"
    )
}

async fn refused(text: &str, context: Option<&str>) -> String {
    let (_dir, path) = kubeconfig(text);
    let options = ConnectOptions { kubeconfig: Some(path), context: context.map(str::to_owned) };
    connect(&options).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_is_wrong_with_a_kubeconfig_is_said() {
    let missing = ConnectOptions { kubeconfig: Some("/nowhere/config".into()), context: None };
    let error = connect(&missing).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/config") && error.contains("No such file"), "{error}");
    let error = refused(&config("https://127.0.0.1:1"), Some("there")).await;
    assert!(error.contains("no context `there`") && error.contains("it has here"), "{error}");
    let error = refused(&config("https://127.0.0.1:1").replace("current-context: here", ""), None).await;
    assert!(error.contains("no current context") && error.contains("--context"), "{error}");
    let error = refused("contexts: [", None).await;
    assert!(error.contains("cannot be used") && error.lines().count() == 1, "{error}");
    for error in [refused("{}", None).await, refused("apiVersion: v1\nkind: Config\ncontexts: 7", None).await]
    {
        assert!(error.lines().count() == 1 && !error.is_empty(), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_when_asked_and_not_before() {
    // A port that was free a moment ago and that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_dir, path) = kubeconfig(&config(&format!("https://{free}")));
    let began = Instant::now();
    let connection = connect(&ConnectOptions { kubeconfig: Some(path), context: None }).await.unwrap();
    assert!(began.elapsed().as_millis() < 500, "connecting waits for nothing");
    assert_eq!(connection.namespace, "shop");
    assert!(!connection.in_cluster);
    let error = connection.reader.version().await.unwrap_err();
    assert!(matches!(error, ReadError::Unreachable { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(&free.to_string()) && said.contains("refused"), "{said}");
    assert!(!said.contains("hunter22"), "{said}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    // Accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_dir, path) = kubeconfig(&config(&format!("http://{}", silent.local_addr().unwrap())));
    let connection = connect(&ConnectOptions { kubeconfig: Some(path), context: None }).await.unwrap();
    let reader = connection.reader;
    let began = Instant::now();
    let one = async { (reader.version().await.unwrap_err(), began.elapsed()) };
    // Whoever waits for the kinds meanwhile gives up with the first and not one after the other.
    let ((error, once), first, second, third) =
        tokio::join!(one, reader.kinds(), reader.kinds(), reader.kinds());
    assert!(matches!(error, ReadError::Timeout { seconds: 10, .. }), "{error:?}");
    for kinds in [first, second, third] {
        assert!(matches!(kinds, Err(ReadError::Timeout { .. })));
    }
    assert!(began.elapsed() < once * 3 / 2, "{:?} against {once:?}", began.elapsed());
}
