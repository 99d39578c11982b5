//! Running a renderer: no network, no plugins, nobody's settings, a deadline and a limit.

use std::{ffi::OsString, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

use super::Workspace;
use crate::changes::process_group::ProcessGroup;

const DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of one rendering.
const MOST: u64 = 32 << 20;
const MOST_SAID: u64 = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub(in crate::changes) enum RunError {
    #[error("{name} cannot be started ({source}): check changes.renderers.{name} in the configuration")]
    NotStarted { name: &'static str, source: std::io::Error },
    #[error("{name} was not done after {seconds} s and was stopped: what it renders is too large")]
    Slow { name: &'static str, seconds: u64 },
    #[error("{name} wrote more than {most} bytes and was stopped: what it renders is too large")]
    Large { name: &'static str, most: u64 },
    #[error("{name} refuses it: {said}")]
    Refused { name: &'static str, said: String },
}

/// One run of a renderer.
pub(super) struct Run<'a> {
    pub(super) name: &'static str,
    pub(super) file: &'a Path,
    pub(super) arguments: Vec<OsString>,
    pub(super) workspace: &'a Workspace,
}

impl Run<'_> {
    /// What it writes.
    ///
    /// # Errors
    /// When it cannot be started, fails, or goes beyond a limit; then it is killed with its children.
    pub(super) async fn output(self) -> Result<Vec<u8>, RunError> {
        let Self { name, file, arguments, workspace } = self;
        let not_started = |source| RunError::NotStarted { name, source };
        let mut child = command(file, workspace).args(arguments).spawn().map_err(not_started)?;
        let group = ProcessGroup::of(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let talk = async {
            let (out, said) = tokio::join!(limited(stdout, MOST), limited(stderr, MOST_SAID));
            let out = out.map_err(not_started)?;
            if out.len() as u64 > MOST {
                return Err(RunError::Large { name, most: MOST });
            }
            let status = child.wait().await.map_err(not_started)?;
            Ok((out, said.unwrap_or_default(), status))
        };
        let slow = |_| RunError::Slow { name, seconds: DEADLINE.as_secs() };
        let (out, said, status) = tokio::time::timeout(DEADLINE, talk).await.map_err(slow)??;
        group.ended();
        if status.success() {
            return Ok(out);
        }
        Err(RunError::Refused { name, said: short(&String::from_utf8_lossy(&said), workspace) })
    }
}

/// Up to one byte more than `most`; the rest stays where it is.
async fn limited(from: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    if let Some(from) = from {
        from.take(most + 1).read_to_end(&mut read).await?;
    }
    Ok(read)
}

fn command(file: &Path, workspace: &Workspace) -> Command {
    let home = workspace.home();
    let mut command = Command::new(file);
    command
        .env_clear()
        // Nobody is found by name: neither git, which fetches remote bases, nor plugins.
        .env("PATH", home.join("none"))
        .env("HOME", &home)
        .env("TMPDIR", &home)
        .env("LC_ALL", "C")
        .env("KUBECONFIG", home.join("none"))
        .env("HELM_PLUGINS", home.join("none"))
        .current_dir(&home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for name in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
        command.env(name, &home);
    }
    // What would still go out finds a port where nobody listens.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env(name, "http://127.0.0.1:9");
    }
    command
}

/// The last words, on one line, with paths as the repository has them.
fn short(said: &str, workspace: &Workspace) -> String {
    const LONGEST: usize = 600;
    let said = workspace.unplaced(said);
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_start_matches("Error: ").trim_start_matches("error: ").to_owned();
    if line.is_empty() {
        return "it failed without a word".to_owned();
    }
    if line.chars().count() <= LONGEST { line } else { line.chars().take(LONGEST).chain(['…']).collect() }
}
