//! A real bare repository behind `git http-backend`, served over HTTP with a token.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode, header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::BodyExt;
use tokio::{io::AsyncWriteExt, net::TcpListener};

pub(crate) struct GitServer {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: String,
    pub(crate) token: String,
    state: Arc<Shared>,
}

type Look = Box<dyn FnMut(usize) + Send>;

struct Shared {
    root: PathBuf,
    authorization: String,
    token: String,
    /// Answers pushes with 503.
    refuse_pushes: AtomicBool,
    /// Answers everything with 503.
    down: AtomicBool,
    pushes: AtomicUsize,
    /// Command lines of living processes that held the token while a request was served.
    seen: Mutex<Vec<String>>,
    /// Run before each look at the branches (one a fetch, one a listing), with its number from 1.
    before_look: Mutex<Option<Look>>,
    looks: AtomicUsize,
    /// Run once, just before a push is handed on: what somebody else does meanwhile.
    before_push: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl GitServer {
    /// Serves `repo.git` whose branch `main` holds `files`.
    pub(crate) async fn start(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("srv");
        fs::create_dir(&root).unwrap();
        git(&root, &["init", "--quiet", "--bare", "--initial-branch=main", "repo.git"]);
        git(&root.join("repo.git"), &["config", "http.receivepack", "true"]);
        let token = format!("tok-{}", uuid::Uuid::new_v4().simple());
        let basic = BASE64_STANDARD.encode(format!("x-access-token:{token}"));
        let state = Arc::new(Shared {
            root,
            authorization: format!("Basic {basic}"),
            token: token.clone(),
            refuse_pushes: AtomicBool::new(false),
            down: AtomicBool::new(false),
            pushes: AtomicUsize::new(0),
            seen: Mutex::new(Vec::new()),
            before_look: Mutex::new(None),
            looks: AtomicUsize::new(0),
            before_push: Mutex::new(None),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let server = Self { folder, address, token, state };
        server.commit(files, "Start");
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/repo.git", self.address)
    }

    pub(crate) fn bare(&self) -> PathBuf {
        self.state.root.join("repo.git")
    }

    /// Commits files to `main`, as a person would from elsewhere.
    pub(crate) fn commit(&self, files: &[(&str, &str)], message: &str) {
        commit(&self.bare(), files, message);
    }

    /// What git says about the served repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.bare(), arguments)
    }

    pub(crate) fn branches(&self) -> Vec<String> {
        let all = self.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/pilothouse"]);
        all.lines().map(ToOwned::to_owned).collect()
    }

    pub(crate) fn refuse_pushes(&self, refuse: bool) {
        self.state.refuse_pushes.store(refuse, Ordering::SeqCst);
    }

    pub(crate) fn down(&self, is_down: bool) {
        self.state.down.store(is_down, Ordering::SeqCst);
    }

    pub(crate) fn pushes(&self) -> usize {
        self.state.pushes.load(Ordering::SeqCst)
    }

    /// Looks are counted anew from here.
    pub(crate) fn before_look(&self, act: impl FnMut(usize) + Send + 'static) {
        self.state.looks.store(0, Ordering::SeqCst);
        *self.state.before_look.lock().unwrap() = Some(Box::new(act));
    }

    pub(crate) fn before_push(&self, act: impl FnOnce() + Send + 'static) {
        *self.state.before_push.lock().unwrap() = Some(Box::new(act));
    }

    pub(crate) fn command_lines_with_token(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().clone()
    }
}

pub(crate) fn commit(bare: &Path, files: &[(&str, &str)], message: &str) {
    let work = tempfile::tempdir().unwrap();
    let at = work.path();
    git(at, &["clone", "--quiet", &bare.display().to_string(), "."]);
    git(at, &["checkout", "--quiet", "-B", "main"]);
    for (path, text) in files {
        fs::create_dir_all(at.join(path).parent().unwrap()).unwrap();
        fs::write(at.join(path), text).unwrap();
    }
    git(at, &["-c", "core.autocrlf=false", "add", "."]);
    git(at, &["commit", "--quiet", "-m", message]);
    git(at, &["push", "--quiet", "origin", "main"]);
}

pub(crate) fn git(at: &Path, arguments: &[&str]) -> String {
    let out = Command::new("git")
        .args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
        .args(arguments)
        .current_dir(at)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(out.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    if shared.down.load(Ordering::SeqCst) {
        return Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).body(Body::empty()).unwrap();
    }
    let (parts, body) = request.into_parts();
    let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given != Some(shared.authorization.as_str()) {
        let body = Body::from("who are you?");
        let answer = Response::builder().status(StatusCode::UNAUTHORIZED);
        return answer.header(header::WWW_AUTHENTICATE, "Basic realm=\"git\"").body(body).unwrap();
    }
    // Our git client waits for this answer, so it and its children are alive now.
    shared
        .seen
        .lock()
        .unwrap()
        .extend(command_lines(&[&shared.token, &shared.authorization["Basic ".len()..]]));
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    if path.ends_with("/info/refs") && query.ends_with("git-upload-pack") {
        let number = shared.looks.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(act) = shared.before_look.lock().unwrap().as_mut() {
            act(number);
        }
    }
    if path.ends_with("/git-receive-pack") {
        shared.pushes.fetch_add(1, Ordering::SeqCst);
        let act = shared.before_push.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
        if shared.refuse_pushes.load(Ordering::SeqCst) {
            return Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).body(Body::empty()).unwrap();
        }
    }
    let body = body.collect().await.unwrap().to_bytes();
    cgi(&shared, parts.method.as_str(), &path, &query, &parts.headers, body).await
}

/// `secrets` are the token and the form that goes over the wire.
fn command_lines(secrets: &[&str]) -> Vec<String> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| secrets.iter().any(|secret| line.contains(secret)))
        .collect()
}

async fn cgi(
    shared: &Shared,
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "somebody")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let write = async move {
        let _ = stdin.write_all(&body).await;
    };
    let ((), out) = tokio::join!(write, child.wait_with_output());
    let out = out.unwrap().stdout;
    let split = out.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(out[..split].to_vec()).unwrap();
    let mut answer = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        answer = match name {
            "Status" => answer.status(value[..3].parse::<u16>().unwrap()),
            name => answer.header(name, value),
        };
    }
    answer.body(Body::from(out[split + 4..].to_vec())).unwrap()
}
