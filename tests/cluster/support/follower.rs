//! A client that was not written here follows one tool: connected, appeared, answer, gone.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::kubectl;

/// A running witness; it ends when this is dropped.
pub(crate) struct Follower {
    name: String,
    child: Child,
    events: Receiver<Value>,
    stderr: Receiver<String>,
}

/// What a witness waits for and calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) tool: &'a str,
    /// As JSON.
    pub(crate) arguments: &'a str,
    /// How long it calls; `0` is once.
    pub(crate) seconds: &'a str,
}

/// Which SDK over which transport.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Witness {
    /// Python `mcp` over Streamable HTTP, the newest revision.
    PythonModern,
    /// TypeScript client 2.4 over Streamable HTTP, held to the old revisions.
    TypescriptLegacy,
    /// TypeScript sdk 1.32 over HTTP+SSE.
    TypescriptSse,
}

pub(crate) const WITNESSES: [Witness; 3] =
    [Witness::PythonModern, Witness::TypescriptLegacy, Witness::TypescriptSse];

impl Follower {
    /// Runs inside the cluster, in the `clients` pod of `namespace`, and reaches pilothouse by Service name.
    pub(crate) fn in_cluster(namespace: &str, witness: Witness, wanted: Wanted<'_>) -> Self {
        let service = "http://pilothouse.pilothouse.svc";
        let Wanted { tool, arguments, seconds } = wanted;
        let mut command = kubectl::kubectl();
        command.args(["-n", namespace, "exec", "-i", "clients", "--"]);
        let (path, script) = match witness {
            Witness::PythonModern => {
                command.args(["python3", "-", "--mode", "auto", "--tool", tool]);
                command.args(["--arguments", arguments, "--seconds", seconds]);
                ("mcp", "follow.py")
            }
            Witness::TypescriptLegacy => {
                command.args(["node", "--input-type=module", "-"]);
                command.args(["http", "legacy", tool, arguments, seconds]);
                ("mcp", "follow.mjs")
            }
            Witness::TypescriptSse => {
                command.args(["node", "--input-type=module", "-", "sse", "-", tool, arguments, seconds]);
                ("sse", "follow.mjs")
            }
        };
        command.arg(format!("{service}/{path}"));
        Self::start(format!("{witness:?}"), command, Some(script))
    }

    /// Calls `tool` again and again from inside the cluster; `how` is an option of `calls.py`.
    pub(crate) fn calls(namespace: &str, tool: &str, arguments: &str, how: [&str; 2]) -> Self {
        let mut command = kubectl::kubectl();
        command.args(["-n", namespace, "exec", "-i", "clients", "--", "python3", "-", "--tool", tool]);
        command.args(["--arguments", arguments]).args(how).arg("http://pilothouse.pilothouse.svc/mcp");
        Self::start(format!("calls of {tool}"), command, Some("calls.py"))
    }

    /// Runs on this machine; pilothouse is its child, with the kubeconfig of the tests, over stdio.
    pub(crate) fn on_laptop(wanted: Wanted<'_>, more: &[&str]) -> Self {
        let Wanted { tool, arguments, seconds } = wanted;
        let parts = std::env::var_os("PARTS_PYTHON").map(PathBuf::from).expect(
            "PARTS_PYTHON must name the folder of the Python parts: run `tests/run cluster`, which installs them",
        );
        let binary = std::env::var("PILOTHOUSE_BINARY")
            .expect("PILOTHOUSE_BINARY must name the program: run `tests/run cluster`, which builds it");
        let mut command = Command::new(parts.join("bin/python3"));
        command.arg(scripts().join("follow.py"));
        command.args(["--mode", "auto", "--tool", tool, "--arguments", arguments, "--seconds", seconds]);
        command.args(["--", &binary, "serve"]).args(more);
        Self::start("stdio".to_owned(), command, None)
    }

    fn start(name: String, mut command: Command, script: Option<&str>) -> Self {
        let stdin = match script {
            Some(script) => Stdio::from(File::open(scripts().join(script)).expect("the script is there")),
            None => Stdio::null(),
        };
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let events = lines(child.stdout.take(), |line| serde_json::from_str(&line).ok());
        let stderr = lines(child.stderr.take(), Some);
        Self { name, child, events, stderr }
    }

    /// Waits for the next event, which must be `event`, and gives it.
    pub(crate) fn expect(&self, event: &str, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(seen) if seen["event"] == event => seen,
            Ok(seen) => panic!("{}: {event} was expected, this came: {seen}", self.name),
            Err(RecvTimeoutError::Timeout) => {
                panic!("{}: no `{event}` within {within:?}; it said: {}", self.name, self.said())
            }
            Err(RecvTimeoutError::Disconnected) => {
                panic!("{}: ended before `{event}`; it said: {}", self.name, self.said())
            }
        }
    }

    fn said(&self) -> String {
        self.stderr.try_iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pod with the SDKs, for [`Follower::in_cluster`].
pub(crate) fn clients_pod(namespace: &str, token: &str) {
    kubectl::apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: clients, namespace: {namespace}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: clients\n    \
         image: docker.io/pilothouse-test/clients:1\n    imagePullPolicy: IfNotPresent\n    \
         command: [sleep, '3600']\n    workingDir: /\n    \
         env: [{{name: PILOTHOUSE_TOKEN, value: {token}}}]\n"
    ));
    kubectl::run(&["-n", namespace, "wait", "pod/clients", "--for=condition=Ready", "--timeout=120s"]);
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parts/clients")
}

fn lines<T: Send + 'static>(
    from: Option<impl Read + Send + 'static>,
    take: impl Fn(String) -> Option<T> + Send + 'static,
) -> Receiver<T> {
    let (send, receive) = channel();
    if let Some(from) = from {
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if let Some(taken) = take(line)
                    && send.send(taken).is_err()
                {
                    break;
                }
            }
        });
    }
    receive
}
