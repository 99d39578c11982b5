//! What git's complaints mean, as one sentence: what, where, what to do.

use crate::changes::config::Repository;

#[derive(Debug, thiserror::Error)]
pub(in crate::changes) enum GitError {
    #[error("git cannot be run ({source}): install git or put it into PATH")]
    NotRun { source: std::io::Error },
    #[error(
        "no working folder can be made in {path} ({source}): free the disk or give another folder with --data"
    )]
    Folder { path: String, source: std::io::Error },
    #[error("the token of repository {repository} cannot be read from {path} ({reason}): check tokenFile")]
    Token { repository: String, path: String, reason: String },
    #[error(
        "repository {repository} at {url} cannot be reached ({said}): check the address and the network, then ask again"
    )]
    Unreachable { repository: String, url: String, said: String },
    #[error(
        "the certificate of repository {repository} at {url} is not trusted here ({said}): name the certificates of its authority in forge.caFile, with type git"
    )]
    Untrusted { repository: String, url: String, said: String },
    #[error(
        "repository {repository} at {url} sends us to another address, where the token must not go ({said}): check url in the configuration"
    )]
    Elsewhere { repository: String, url: String, said: String },
    #[error(
        "repository {repository} at {url} refused us ({said}): check that the token in tokenFile is valid and may {command}"
    )]
    Denied { repository: String, url: String, command: String, said: String },
    #[error(
        "there is no repository {repository} at {url}, or the token may not see it ({said}): check url in the configuration"
    )]
    Missing { repository: String, url: String, said: String },
    #[error("repository {repository} has no branch {branch}: check branch in the configuration")]
    NoBranch { repository: String, branch: String },
    #[error("the branch was made by somebody else in repository {repository} meanwhile")]
    Raced { repository: String },
    #[error(
        "repository {repository} did not take the branch ({said}): its rules must allow branches pilothouse/*"
    )]
    Rejected { repository: String, said: String },
    #[error(
        "git {command} with repository {repository} took longer than {seconds} s: check the network, then ask again"
    )]
    Slow { repository: String, command: String, seconds: u64 },
    #[error(
        "repository {repository} has {files} files that could be manifests, more than {most}: narrow path in the configuration, or keep them in a repository of their own"
    )]
    TooMany { repository: String, files: usize, most: usize },
    #[error("git {command} failed for repository {repository} ({said})")]
    Other { repository: String, command: String, said: String },
}

/// Reads what git printed (in the C locale).
pub(super) fn say(repository: &Repository, command: &str, printed: &str) -> GitError {
    let lower = printed.to_lowercase();
    let has = |any: &[&str]| any.iter().any(|part| lower.contains(part));
    let (name, url) = (repository.name.clone(), repository.url.clone());
    let said = telling_line(printed);
    let command = command.to_owned();
    if has(&["couldn't find remote ref"]) {
        return GitError::NoBranch { repository: name, branch: repository.branch.clone() };
    }
    if command == "push" && has(&["stale info", "already exists", "cannot lock ref", "(fetch first)"]) {
        return GitError::Raced { repository: name };
    }
    if command == "push" && has(&["[remote rejected]", "hook declined", "protected branch"]) {
        return GitError::Rejected { repository: name, said };
    }
    if has(&["certificate"]) {
        return GitError::Untrusted { repository: name, url, said };
    }
    if has(&["error: 30", "redirection"]) {
        return GitError::Elsewhere { repository: name, url, said };
    }
    if has(&[
        "authentication failed",
        "could not read username",
        "could not read password",
        "terminal prompts disabled",
        "error: 401",
        "error: 403",
        "permission denied",
        "access denied",
        "host key verification failed",
    ]) {
        return GitError::Denied { repository: name, url, command, said };
    }
    if has(&[
        "repository not found",
        "does not appear to be a git repository",
        "error: 404",
        "' not found",
        "does not exist",
    ]) {
        return GitError::Missing { repository: name, url, said };
    }
    if has(&[
        "could not resolve",
        "failed to connect",
        "couldn't connect",
        "connection refused",
        "connection timed out",
        "timed out",
        "unable to access",
        "network is unreachable",
        "early eof",
        "hung up",
        "error: 5",
    ]) {
        return GitError::Unreachable { repository: name, url, said };
    }
    GitError::Other { repository: name, command, said }
}

/// The line that tells most, without git's own prefix; at most 300 characters.
fn telling_line(printed: &str) -> String {
    let lines = || printed.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines()
        .find(|line| line.contains("[remote rejected]"))
        .or_else(|| lines().find(|line| line.starts_with("fatal:")))
        .or_else(|| lines().find(|line| line.starts_with("error:")))
        .or_else(|| lines().next())
        .unwrap_or("it said nothing");
    let line = line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")).unwrap_or(line);
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::{GitError, say};
    use crate::changes::config::{Repository, Way};

    fn kind(command: &str, printed: &str) -> String {
        let repository = Repository {
            name: "deploy".into(),
            url: "https://git.example.com/d".into(),
            branch: "main".into(),
            prefix: String::new(),
            namespace: None,
            credentials: None,
            forge: Way::Git { ca_file: None },
            open_limit: 10,
            labels: Vec::new(),
            charts: Vec::new(),
        };
        match say(&repository, command, printed) {
            GitError::Unreachable { .. } => "unreachable",
            GitError::Untrusted { .. } => "untrusted",
            GitError::Elsewhere { .. } => "elsewhere",
            GitError::Denied { .. } => "denied",
            GitError::Missing { .. } => "missing",
            GitError::NoBranch { .. } => "no branch",
            GitError::Raced { .. } => "raced",
            GitError::Rejected { .. } => "rejected",
            _ => "other",
        }
        .to_owned()
    }

    #[test]
    fn complaints_are_told_apart() {
        for (command, printed, expected) in [
            ("fetch", "fatal: unable to access 'https://x/': Could not resolve host: x", "unreachable"),
            (
                "fetch",
                "fatal: unable to access 'http://x/': Failed to connect to x port 80: Connection refused",
                "unreachable",
            ),
            (
                "fetch",
                "fatal: unable to access 'https://x/': SSL certificate problem: unable to get local issuer certificate",
                "untrusted",
            ),
            (
                "fetch",
                "fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none CRLfile: none",
                "untrusted",
            ),
            (
                "fetch",
                "fatal: unable to access 'http://x/': The requested URL returned error: 302",
                "elsewhere",
            ),
            ("fetch", "fatal: could not read Username for 'http://x': terminal prompts disabled", "denied"),
            ("fetch", "fatal: Authentication failed for 'http://x/'", "denied"),
            ("push", "fatal: unable to access 'http://x/': The requested URL returned error: 403", "denied"),
            ("fetch", "fatal: repository 'http://x/' not found", "missing"),
            ("fetch", "fatal: '/nowhere' does not appear to be a git repository", "missing"),
            ("fetch", "fatal: couldn't find remote ref refs/heads/trunk", "no branch"),
            ("push", "!\tabc:refs/heads/b\t[rejected] (stale info)", "raced"),
            ("push", "!\tabc:refs/heads/b\t[remote rejected] (pre-receive hook declined)", "rejected"),
            ("commit-tree", "fatal: something new", "other"),
        ] {
            assert_eq!(kind(command, printed), expected, "{printed}");
        }
    }
}
