//! A real Gitea on a loopback port with a folder of its own; it ends with the test.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use pilothouse::changes::forge::Forge;
use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{authority::Authority, forge_connect::connect, parts};

/// Gitea refuses to be root.
const NOBODY: u32 = 65534;
const PASSWORD: &str = "correct-horse-battery";
/// Of this machine when others use it too.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Gitea {
    pub(crate) address: String,
    admin: String,
    http: Client,
    child: Child,
    folder: TempDir,
}

impl Drop for Gitea {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gitea {
    pub(crate) async fn start() -> Self {
        Self::over(None).await
    }

    /// Serves https by itself, with a certificate of this authority.
    pub(crate) async fn behind_tls(authority: &Authority) -> Self {
        Self::over(Some(authority)).await
    }

    async fn over(authority: Option<&Authority>) -> Self {
        let folder = tempfile::Builder::new().prefix("pilothouse-gitea").tempdir_in("/tmp").unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let scheme = if authority.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://127.0.0.1:{port}");
        let ini = folder.path().join("app.ini");
        fs::write(&ini, settings(folder.path(), scheme, port)).unwrap();
        if let Some(authority) = authority {
            let (certificate, key) = authority.server("127.0.0.1");
            for (name, text) in [("cert.pem", certificate), ("key.pem", key)] {
                fs::write(folder.path().join(name), text).unwrap();
                give(&folder.path().join(name));
            }
        }
        give(folder.path());
        give(&ini);
        run(&ini, folder.path(), &["migrate"]);
        let create = ["admin", "user", "create", "--admin", "--username", "root1", "--password", PASSWORD];
        let rest = ["--email", "root1@example.com", "--must-change-password=false"];
        run(&ini, folder.path(), &[&create[..], &rest[..]].concat());
        let token = ["admin", "user", "generate-access-token", "--username", "root1", "--token-name", "t"];
        let admin = run(&ini, folder.path(), &[&token[..], &["--scopes", "all", "--raw"]].concat());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut server = command(&ini, folder.path());
        let child = server.arg("web").stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let trusted = authority.map(|authority| Certificate::from_pem(authority.pem.as_bytes()).unwrap());
        let http = Client::builder().no_proxy().tls_certs_merge(trusted).build().unwrap();
        let mut gitea = Self { address, admin: admin.trim().to_owned(), http, child, folder };
        gitea.ready().await;
        gitea
    }

    async fn ready(&mut self) {
        let started = Instant::now();
        let health = format!("{}/api/healthz", self.address);
        loop {
            if self.http.get(&health).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            let said = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none(), "Gitea ended: {}", said());
            assert!(started.elapsed() < STARTS_WITHIN, "Gitea is not ready: {}", said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks the API as the owner of a token.
    pub(crate) async fn api(&self, token: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.request(method, format!("{}/api/v1/{path}", self.address));
        let answer =
            request.header("authorization", format!("token {token}")).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// As [`Self::api`], which must succeed.
    pub(crate) async fn done(&self, token: &str, method: Method, path: &str, body: Value) -> Value {
        let (status, said) = self.api(token, method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {said}");
        said
    }

    /// Makes a person; the token has the given scopes.
    pub(crate) async fn person(&self, name: &str, scopes: &[&str]) -> String {
        let mail = format!("{name}@example.com");
        let body =
            json!({"username": name, "email": mail, "password": PASSWORD, "must_change_password": false});
        self.done(&self.admin, Method::POST, "admin/users", body).await;
        self.token(name, scopes).await
    }

    pub(crate) async fn token(&self, name: &str, scopes: &[&str]) -> String {
        let url = format!("{}/api/v1/users/{name}/tokens", self.address);
        let body = json!({"name": format!("t-{}", uuid::Uuid::new_v4()), "scopes": scopes});
        let answer = self.http.post(url).basic_auth(name, Some(PASSWORD)).json(&body).send().await.unwrap();
        let said: Value = answer.json().await.unwrap();
        said["sha1"].as_str().unwrap_or_else(|| panic!("no token: {said}")).to_owned()
    }

    /// Makes a private repository of the admin, with files; `people` may write to it.
    pub(crate) async fn repository(
        &self,
        name: &str,
        files: &[(&str, &str)],
        people: &[&str],
    ) -> Repository<'_> {
        let body = json!({"name": name, "private": true, "auto_init": true, "default_branch": "main"});
        self.done(&self.admin, Method::POST, "user/repos", body).await;
        for person in people {
            let path = format!("repos/root1/{name}/collaborators/{person}");
            self.done(&self.admin, Method::PUT, &path, json!({"permission": "write"})).await;
        }
        let repository = Repository { gitea: self, path: format!("root1/{name}") };
        repository.write(files).await;
        repository
    }
}

/// A repository as its owner sees it.
pub(crate) struct Repository<'g> {
    pub(crate) gitea: &'g Gitea,
    pub(crate) path: String,
}

impl Repository<'_> {
    /// As its owner.
    pub(crate) async fn api(&self, method: Method, path: &str, body: Value) -> Value {
        let path = format!("repos/{}/{path}", self.path);
        self.gitea.done(&self.gitea.admin, method, &path, body).await
    }

    /// As the owner of a token, whatever comes of it.
    pub(crate) async fn api_as(&self, token: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.gitea.api(token, method, &format!("repos/{}/{path}", self.path), body).await
    }

    /// Merges a pull request as the owner of a token. Right after a push Gitea has not found out yet whether that
    /// goes, and says so.
    pub(crate) async fn merged(&self, token: &str, number: u64) {
        let begun = Instant::now();
        loop {
            let path = format!("pulls/{number}/merge");
            let (status, said) = self.api_as(token, Method::POST, &path, json!({"Do": "merge"})).await;
            let tells_later = said["message"].as_str().is_some_and(|text| text.contains("try again later"));
            if !tells_later || begun.elapsed() > STARTS_WITHIN {
                assert_eq!(status, 200, "{said}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// New files in `main`, as a person would make them.
    pub(crate) async fn write(&self, files: &[(&str, &str)]) {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| {
                json!({"operation": "upload", "path": path, "content": BASE64_STANDARD.encode(text)})
            })
            .collect();
        self.api(Method::POST, "contents", json!({"message": "By hand", "branch": "main", "files": files}))
            .await;
    }

    pub(crate) async fn text(&self, branch: &str, path: &str) -> String {
        let said = self.api(Method::GET, &format!("contents/{path}?ref={branch}"), json!({})).await;
        let packed = said["content"].as_str().unwrap();
        String::from_utf8(BASE64_STANDARD.decode(packed).unwrap()).unwrap()
    }

    /// What pilothouse is given: the repository with this token, reached at `address`.
    pub(crate) fn forge(&self, address: &str, token: &str) -> (Arc<dyn Forge>, TempDir) {
        self.hasty(address, token, 30)
    }

    /// As [`Self::forge`], where a request may take so many seconds.
    pub(crate) fn hasty(&self, address: &str, token: &str, seconds: u64) -> (Arc<dyn Forge>, TempDir) {
        connect(&format!("{address}/{}.git", self.path), token, "gitea", seconds)
    }
}

fn settings(folder: &Path, scheme: &str, port: u16) -> String {
    let user = if is_root() { "nobody".to_owned() } else { std::env::var("USER").unwrap_or_default() };
    format!(
        "RUN_USER = {user}\nRUN_MODE = prod\nWORK_PATH = {folder}\n\
         [server]\nPROTOCOL = {scheme}\nCERT_FILE = {folder}/cert.pem\nKEY_FILE = {folder}/key.pem\n\
         HTTP_ADDR = 127.0.0.1\nHTTP_PORT = {port}\nROOT_URL = {scheme}://127.0.0.1:{port}/\nDISABLE_SSH = true\nOFFLINE_MODE = true\nSTATIC_ROOT_PATH = {static_}\n\
         [database]\nDB_TYPE = sqlite3\nPATH = {folder}/gitea.db\nSQLITE_JOURNAL_MODE = WAL\n\
         [security]\nINSTALL_LOCK = true\nSECRET_KEY = test\n\
         [indexer]\nISSUE_INDEXER_TYPE = db\n\
         [actions]\nENABLED = false\n[packages]\nENABLED = false\n[cron]\nENABLED = false\n\
         [webhook]\nALLOWED_HOST_LIST = loopback\n\
         [log]\nLEVEL = Warn\n",
        folder = folder.display(),
        static_ = parts::gitea_static().display(),
    )
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn give(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn command(ini: &Path, folder: &Path) -> Command {
    let mut command = Command::new(parts::gitea());
    command.arg("-c").arg(ini).current_dir(folder).stdin(Stdio::null()).env("HOME", folder);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY).env("USER", "nobody");
    }
    command
}

fn run(ini: &Path, folder: &Path, arguments: &[&str]) -> String {
    let out = command(ini, folder).args(arguments).output().unwrap();
    let said =
        || [&out.stdout[..], &out.stderr[..]].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    assert!(out.status.success(), "gitea {arguments:?}: {}", said());
    String::from_utf8(out.stdout).unwrap()
}
