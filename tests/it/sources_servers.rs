//! Real PostgreSQL and Redis servers on loopback ports, each with a folder of its own; they end with the test.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{authority::Authority, parts};

/// Neither server runs as root.
const NOBODY: u32 = 65534;

/// What both write into their logs, whatever the case.
const READY: &str = "ready to accept connections";

pub(crate) const PASSWORD: &str = "hunter2-and-more";

pub(crate) struct Server {
    pub(crate) port: u16,
    child: Child,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that nobody may write in.
fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("pilothouse-source").tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    if is_root() {
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    folder
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", parts::debian_libraries()).current_dir("/").stdin(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    if is_root() {
        chown(file, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

impl Server {
    /// With the users `admin` (trusted over the socket alone), `scram`, `md5` and `clear`, which log in the way
    /// that they are called, and the databases `orders` and `stock`.
    pub(crate) fn postgresql(tls: Option<&Authority>) -> Self {
        let programs = parts::postgresql();
        let folder = folder();
        let data = folder.path().join("data");
        let data_arg = data.display().to_string();
        let initialised = command(&programs.join("initdb"))
            .args(["-D", &data_arg, "-U", "admin", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"])
            .output()
            .unwrap();
        assert!(initialised.status.success(), "{}", String::from_utf8_lossy(&initialised.stderr));
        let setup = format!(
            "CREATE ROLE scram LOGIN PASSWORD '{PASSWORD}';\nSET password_encryption = 'md5';\n\
             CREATE ROLE md5 LOGIN PASSWORD '{PASSWORD}';\nCREATE ROLE clear LOGIN PASSWORD '{PASSWORD}';\n\
             CREATE DATABASE orders;\nCREATE DATABASE stock;\n"
        );
        let script = folder.path().join("setup.sql");
        write(&script, &setup.replace(";\n", ";\n\n"));
        let set_up = command(&programs.join("postgres"))
            .args(["--single", "-j", "-D", &data_arg, "postgres"])
            .stdin(fs::File::open(&script).unwrap())
            .output()
            .unwrap();
        assert!(set_up.status.success(), "{}", String::from_utf8_lossy(&set_up.stderr));
        let over = if tls.is_some() { "hostssl" } else { "host" };
        write(
            &data.join("pg_hba.conf"),
            &format!(
                "{over} all scram 127.0.0.1/32 scram-sha-256\n{over} all md5 127.0.0.1/32 md5\n{over} all clear 127.0.0.1/32 password\n"
            ),
        );
        let port = free_port();
        let mut server = command(&programs.join("postgres"));
        server.args(["-D", &data_arg, "-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        server.args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=20"]);
        if let Some(authority) = tls {
            let (certificate, key) = authority.server("127.0.0.1");
            write(&data.join("server.crt"), &certificate);
            write(&data.join("server.key"), &key);
            server.args(["-c", "ssl=on"]);
        }
        Self::start(server, port, folder)
    }

    /// With the default user's password, and the user `reader`.
    pub(crate) fn redis(tls: Option<&Authority>) -> Self {
        let folder = folder();
        let port = free_port();
        let mut config = format!(
            "bind 127.0.0.1\nsave \"\"\ndir {}\nrequirepass {PASSWORD}\nuser reader on >{PASSWORD}-too ~* +@read\n",
            folder.path().display()
        );
        match tls {
            None => config.push_str(&format!("port {port}\n")),
            Some(authority) => {
                let (certificate, key) = authority.server("127.0.0.1");
                let (certificate_file, key_file) =
                    (folder.path().join("tls.crt"), folder.path().join("tls.key"));
                write(&certificate_file, &certificate);
                write(&key_file, &key);
                config.push_str(&format!(
                    "port 0\ntls-port {port}\ntls-auth-clients no\ntls-cert-file {}\ntls-key-file {}\n",
                    certificate_file.display(),
                    key_file.display()
                ));
            }
        }
        let file = folder.path().join("redis.conf");
        write(&file, &config);
        let mut server = command(&parts::redis().join("redis-server"));
        server.arg(&file);
        Self::start(server, port, folder)
    }

    /// Listening is not enough: PostgreSQL first says that it starts.
    fn start(mut server: Command, port: u16, folder: TempDir) -> Self {
        let log = folder.path().join("log");
        let to = fs::File::create(&log).unwrap();
        server.stdout(to.try_clone().unwrap()).stderr(to);
        let mut child = server.spawn().unwrap();
        let started = Instant::now();
        while !fs::read_to_string(&log).unwrap_or_default().to_lowercase().contains(READY) {
            let ended = child.try_wait().unwrap();
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "the server ended: {}", said());
            assert!(started.elapsed() < Duration::from_secs(20), "the server is not ready: {}", said());
            sleep(Duration::from_millis(50));
        }
        Self { port, child, _folder: folder }
    }
}
