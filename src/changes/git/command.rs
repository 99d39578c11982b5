//! Running git: a clean environment, a deadline, and the credentials where nobody reads them.

use std::{env, process::Stdio, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{Folder, GitError, LOCAL, failure::say};
use crate::changes::{
    config::{Credentials, Repository, Way},
    process_group::ProcessGroup,
};

/// What git may take from our own environment: how to find programs and the way out, nothing that configures it.
const INHERITED: [&str; 13] = [
    "PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_EXEC_PATH",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

const NAME: &str = "pilothouse";
const MAIL: &str = "noreply@pilothouse.dev";

pub(super) struct Git<'r> {
    repository: &'r Repository,
    folder: Folder,
    /// In the order git counts them: `GIT_CONFIG_KEY_0` and so on.
    settings: Vec<(String, String)>,
    /// Never shown; taken out of everything that git says.
    secrets: Vec<String>,
}

impl<'r> Git<'r> {
    pub(super) fn new(repository: &'r Repository, folder: Folder) -> Result<Self, GitError> {
        let mut settings: Vec<(String, String)> = [
            ("core.hooksPath", "/dev/null"),
            ("core.autocrlf", "false"),
            ("core.quotePath", "false"),
            ("credential.helper", ""),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("fetch.recurseSubmodules", "false"),
            ("push.recurseSubmodules", "no"),
            ("commit.gpgSign", "false"),
            // A redirect would carry the token to whoever the server names.
            ("http.followRedirects", "false"),
            ("http.lowSpeedLimit", "1000"),
            ("http.lowSpeedTime", "30"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let mut secrets = Vec::new();
        if let Some(credentials) = &repository.credentials {
            let token = token(repository, credentials)?;
            let basic = BASE64_STANDARD.encode(format!("{}:{token}", credentials.username));
            settings.push((
                format!("http.{}.extraHeader", repository.url),
                format!("Authorization: Basic {basic}"),
            ));
            secrets = vec![token, basic];
        }
        Ok(Self { repository, folder, settings, secrets })
    }

    pub(super) fn url(&self) -> &str {
        &self.repository.url
    }

    /// One line that git prints.
    pub(super) async fn line(&self, arguments: &[&str]) -> Result<String, GitError> {
        let out = self.run(arguments, LOCAL).await?;
        Ok(String::from_utf8_lossy(&out).trim().to_owned())
    }

    pub(super) async fn run(&self, arguments: &[&str], deadline: Duration) -> Result<Vec<u8>, GitError> {
        self.feed(arguments, Vec::new(), deadline).await
    }

    /// Runs git in the folder with `input` on its stdin.
    pub(super) async fn feed(
        &self,
        arguments: &[&str],
        input: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, GitError> {
        let name = arguments.first().copied().unwrap_or_default();
        let mut command = self.command();
        command.args(arguments);
        tracing::debug!(repository = %self.repository.name, command = name, "git");
        let mut child = command.spawn().map_err(|source| GitError::NotRun { source })?;
        // git's own children (git-remote-https) are in its group and end with it.
        let group = ProcessGroup::of(&child);
        let stdin = child.stdin.take();
        let talk = async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // git may end before it has read everything; its exit says why.
                    let _ = stdin.write_all(&input).await;
                }
            };
            tokio::join!(write, child.wait_with_output()).1
        };
        let output = match tokio::time::timeout(deadline, talk).await {
            Ok(output) => output.map_err(|source| GitError::NotRun { source })?,
            Err(_) => {
                return Err(GitError::Slow {
                    repository: self.repository.name.clone(),
                    command: name.to_owned(),
                    seconds: deadline.as_secs(),
                });
            }
        };
        group.ended();
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = [output.stderr, output.stdout].map(|bytes| self.scrub(&String::from_utf8_lossy(&bytes)));
        tracing::debug!(repository = %self.repository.name, command = name, said = %said.join(" "), "git failed");
        Err(say(self.repository, name, &said.join("\n")))
    }

    pub(super) fn odd(&self, command: &str, about: &str) -> GitError {
        GitError::Other {
            repository: self.repository.name.clone(),
            command: command.to_owned(),
            said: format!("its answer for {about} was cut"),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .envs(INHERITED.into_iter().filter_map(|name| Some((name, env::var_os(name)?))))
            .env("HOME", self.folder.path())
            .env("LC_ALL", "C")
            .env("GIT_DIR", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "https:http:ssh:file")
            .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
            .env("GIT_AUTHOR_NAME", NAME)
            .env("GIT_AUTHOR_EMAIL", MAIL)
            .env("GIT_COMMITTER_NAME", NAME)
            .env("GIT_COMMITTER_EMAIL", MAIL)
            .env("GIT_CONFIG_COUNT", self.settings.len().to_string())
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Way::Git { ca_file: Some(path) } = &self.repository.forge {
            command.env("GIT_SSL_CAINFO", path);
        }
        for (number, (key, value)) in self.settings.iter().enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{number}"), key)
                .env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        command
    }

    fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "[token]"))
    }
}

fn token(repository: &Repository, credentials: &Credentials) -> Result<String, GitError> {
    credentials.token().map_err(|error| GitError::Token {
        repository: repository.name.clone(),
        path: credentials.token_file.display().to_string(),
        reason: error.to_string(),
    })
}
