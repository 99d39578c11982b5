//! The token is where git needs it and nowhere else.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
};

use pilothouse::{
    audit::Audit,
    caller::Caller,
    changes::{ChangeRequests, ChangesConfig},
    tools::{Changes, Modification, Proposal},
};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::changes_git_server::GitServer;

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

#[tokio::test]
async fn the_token_is_in_no_argv_answer_file_or_log() {
    let log = Captured::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let server =
        GitServer::start(&[("a.yaml", "kind: ConfigMap\nmetadata: {name: a}\ndata: {x: y}\n")]).await;
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
    let ask = |new: &str| Proposal {
        kind: "ConfigMap".into(),
        namespace: None,
        name: "a".into(),
        change: Modification::Edits(vec![("data.x".into(), json!(new))]),
        reason: "try".into(),
        repository: None,
    };

    let answer = changes.propose(&Caller::process(), ask("z")).await;
    assert!(!answer.is_error, "{}", answer.text);
    server.refuse_pushes(true);
    let failed = changes.propose(&Caller::process(), ask("w")).await;
    assert!(failed.is_error, "{}", failed.text);
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
