//! The token is where git needs it and nowhere else.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{Router, http::HeaderMap};
use http::StatusCode;
use pilothouse::{
    audit::Audit,
    caller::Caller,
    changes::{ChangeRequests, ChangesConfig},
    tools::{Changes, Modification, Proposal},
};
use serde_json::json;
use tokio::net::TcpListener;
use tracing::{Dispatch, subscriber::DefaultGuard};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    changes_git_server::GitServer,
    forge_sim_github::{self, GitHub},
    forge_sim_gitlab::{self, GitLab},
};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn texts(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push_str(&texts(&path));
        } else {
            all.push_str(&String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
    all
}

impl Captured {
    /// Takes down what this thread logs. Of a single subscriber tracing asks in which thread a place is reached first,
    /// which may be another test's, and never again; of two it asks both.
    fn listen(&self) -> (DefaultGuard, Dispatch) {
        let everything = || tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        let other = Dispatch::new(everything().with_writer(io::sink).finish());
        let ours = everything().with_writer(self.clone()).finish();
        (tracing::subscriber::set_default(ours), other)
    }
}

const MANIFEST: &str = "kind: ConfigMap\nmetadata: {name: a}\ndata: {x: y}\n";

fn ask(new: &str) -> Proposal {
    Proposal {
        kind: "ConfigMap".into(),
        namespace: None,
        name: "a".into(),
        change: Modification::Edits(vec![("data.x".into(), json!(new))]),
        reason: "try".into(),
        repository: None,
    }
}

#[tokio::test]
async fn the_token_is_in_no_argv_answer_file_or_log() {
    let log = Captured::default();
    let _listening = log.listen();

    let server = GitServer::start(&[("a.yaml", MANIFEST)]).await;
    let data = tempfile::tempdir().unwrap();
    let token_file = server.folder.path().join("token");
    fs::write(&token_file, &server.token).unwrap();
    let yaml = format!(
        "repositories:\n- name: deploy\n  url: {}\n  tokenFile: {}\n",
        server.url(),
        token_file.display()
    );
    let config: ChangesConfig = serde_saphyr::from_str(&yaml).unwrap();
    let audit = Audit::open(data.path()).unwrap();
    let changes = ChangeRequests::new(config, data.path(), audit.clone()).unwrap();
    let answer = changes.propose(&Caller::process(), ask("z")).await;
    assert!(!answer.is_error, "{}", answer.text);
    server.refuse_pushes(true);
    let failed = changes.propose(&Caller::process(), ask("w")).await;
    assert!(failed.text.starts_with("Kept as"), "{}", failed.text);
    audit.close().await.unwrap();

    assert_eq!(server.command_lines_with_token(), Vec::<String>::new());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("git"), "the log was captured");
    let basic =
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("x-access-token:{}", server.token));
    for (place, text) in [
        ("the log", log),
        ("the data folder", texts(data.path())),
        ("an answer", format!("{answer:?}{failed:?}")),
        ("the repository", texts(&server.bare())),
    ] {
        assert!(!text.contains(&server.token) && !text.contains(&basic), "the token is in {place}");
    }
}

/// A forge that says in each answer what it was given.
async fn telltale(status: StatusCode) -> String {
    let say = move |headers: HeaderMap| async move {
        let given = ["authorization", "private-token"].map(|name| headers.get(name).cloned());
        let given: Vec<_> = given.iter().flatten().filter_map(|value| value.to_str().ok()).collect();
        (status, json!({ "message": format!("not with {}", given.join(" ")), "error": given }).to_string())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(say)).await });
    address
}

#[tokio::test]
async fn the_token_for_an_api_is_in_no_log_answer_or_file() {
    const PLAIN: &str = "3f9c1d7b5e2a8046_no_known_form";
    let log = Captured::default();
    let _listening = log.listen();
    let github = GitHub::start(&[("a.yaml", MANIFEST)]).await;
    let gitlab = GitLab::start(&[("a.yaml", MANIFEST)]).await;
    let mut at = vec![
        ("github", format!("{}/team/deploy.git", github.address), forge_sim_github::TOKEN, true),
        ("gitlab", format!("{}/a/b/deploy.git", gitlab.address), forge_sim_gitlab::TOKEN, true),
    ];
    for software in ["github", "gitlab", "gitea"] {
        for status in [StatusCode::UNAUTHORIZED, StatusCode::UNPROCESSABLE_ENTITY] {
            at.push((software, format!("{}/team/deploy.git", telltale(status).await), PLAIN, false));
        }
    }
    for (software, url, token, works) in at {
        let (data, secret) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let token_file = secret.path().join("token");
        fs::write(&token_file, token).unwrap();
        let yaml = format!(
            "repositories: [{{name: deploy, url: '{url}', tokenFile: '{}', forge: {{type: {software}}}}}]",
            token_file.display()
        );
        let config: ChangesConfig = serde_saphyr::from_str(&yaml).unwrap();
        let audit = Audit::open(data.path()).unwrap();
        let changes = ChangeRequests::new(config, data.path(), audit.clone()).unwrap();
        let answer = changes.propose(&Caller::process(), ask("z")).await;
        assert!(!works || !answer.is_error, "{software}: {}", answer.text);
        assert!(works || !answer.text.starts_with("Proposed"), "{software}: {}", answer.text);
        audit.close().await.unwrap();
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(!log.is_empty(), "the log was captured");
        for (place, text) in [
            ("the log", log),
            ("the data folder", texts(data.path())),
            ("the answer", format!("{answer:?}")),
            ("the repository", if works { all_of(software, &github, &gitlab) } else { String::new() }),
        ] {
            assert!(!text.contains(token), "the token of {software} is in {place}: {url}");
        }
    }
}

/// Commits, pull requests and comments.
fn all_of(software: &str, github: &GitHub, gitlab: &GitLab) -> String {
    let (bare, pulls) = match software {
        "github" => (&github.shared.bare, github.pulls()),
        _ => (&gitlab.shared.bare, gitlab.pulls()),
    };
    assert_eq!(pulls.len(), 1, "it was opened");
    format!("{}{pulls:?}", bare.git(&["log", "--all", "-p"]))
}
