//! How a configured repository is spoken to: the `git` binary alone, or the API of the forge that keeps it.

use std::{path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::{Host, Url};

use super::Problem;

/// The `forge` part of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ForgeConfig {
    #[serde(rename = "type")]
    pub software: ForgeType,
    /// Where its API is; found from the repository's address when absent.
    #[serde(default)]
    pub api: Option<String>,
    /// Certificates (PEM) that are trusted beside those of the system; by git alone, in their place.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Of one request. Seconds.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
}

fn timeout_seconds() -> u64 {
    30
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForgeType {
    /// Also GitHub Enterprise.
    Github,
    Gitlab,
    Gitea,
    Forgejo,
    /// No forge: branches are pushed by the `git` binary, and there are no pull requests.
    Git,
}

impl ForgeType {
    pub(in crate::changes) fn name(self) -> &'static str {
        match self {
            Self::Github => "GitHub",
            Self::Gitlab => "GitLab",
            Self::Gitea => "Gitea",
            Self::Forgejo => "Forgejo",
            Self::Git => "git",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Way {
    Git { ca_file: Option<PathBuf> },
    Api(Hosted),
}

/// A repository at a forge with an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) struct Hosted {
    pub(in crate::changes) software: Software,
    /// With a slash at its end; the only place that the token is sent to.
    pub(in crate::changes) api: Url,
    /// `owner/name`; for GitLab with all groups.
    pub(in crate::changes) project: String,
    pub(in crate::changes) ca_file: Option<PathBuf>,
    pub(in crate::changes) timeout: Duration,
}

/// A [`ForgeType`] that has an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Software {
    GitHub,
    GitLab,
    Gitea,
    Forgejo,
}

/// What of the rest of the repository's configuration counts here.
pub(super) struct Beside<'a> {
    pub(super) url: &'a str,
    pub(super) has_token: bool,
    pub(super) insecure_http: bool,
}

pub(super) fn check(config: Option<ForgeConfig>, beside: &Beside<'_>) -> Result<Way, Problem> {
    let address = Address::of(beside.url);
    let config = match config {
        Some(config) => config,
        // Without a token nothing can be opened there, but a push over ssh may work.
        None => match address.as_ref().map(|address| address.host.as_str()) {
            Some("github.com") if beside.has_token => of_type(ForgeType::Github),
            Some("gitlab.com") if beside.has_token => of_type(ForgeType::Gitlab),
            _ => return Ok(Way::Git { ca_file: None }),
        },
    };
    let ForgeConfig { software: kind, api, ca_file, timeout_seconds } = config;
    let software = match kind {
        ForgeType::Github => Software::GitHub,
        ForgeType::Gitlab => Software::GitLab,
        ForgeType::Gitea => Software::Gitea,
        ForgeType::Forgejo => Software::Forgejo,
        ForgeType::Git if api.is_some() => {
            let problem = "git alone has no API: remove api, or say which forge it is in type";
            return Err(("forge", problem.to_owned()));
        }
        ForgeType::Git if ca_file.is_some() && !beside.url.starts_with("https://") => {
            let problem = "certificates count only for https: remove caFile, or give an https address as url";
            return Err(("forge.caFile", problem.to_owned()));
        }
        ForgeType::Git => return Ok(Way::Git { ca_file }),
    };
    if !(1..=300).contains(&timeout_seconds) {
        return Err(("forge.timeoutSeconds", format!("{timeout_seconds} is not within 1 and 300")));
    }
    if !beside.has_token {
        let problem = format!("{} is only spoken to with a token: name the file that holds it", kind.name());
        return Err(("tokenFile", problem));
    }
    let address = address.ok_or_else(|| {
        let problem = format!("{:?} does not say which repository of {} it is", beside.url, kind.name());
        ("url", problem)
    })?;
    let given = api.map(|api| read_api(&api)).transpose().map_err(|problem| ("forge.api", problem))?;
    let (project, below) = address.project(software, given.as_ref()).ok_or_else(|| {
        let problem =
            format!("its path is not that of a repository of {}, such as /team/deploy", kind.name());
        ("url", problem)
    })?;
    let api = match given {
        Some(api) => api,
        None => address.api(software, &below).ok_or_else(|| {
            ("forge.api", "it cannot be told from url: say the address of the API".to_owned())
        })?,
    };
    if api.scheme() == "http" && !is_loopback(&api) && !beside.insecure_http {
        let problem = "the token would go over plain http; use https, or say insecureHttp: true";
        return Err(("forge.api", problem.to_owned()));
    }
    Ok(Way::Api(Hosted { software, api, project, ca_file, timeout: Duration::from_secs(timeout_seconds) }))
}

fn of_type(software: ForgeType) -> ForgeConfig {
    ForgeConfig { software, api: None, ca_file: None, timeout_seconds: timeout_seconds() }
}

fn read_api(api: &str) -> Result<Url, String> {
    // What cannot be read is not repeated: it may hold a password.
    let mut url = Url::parse(api).map_err(|_| "it is not an address; write https://HOST/PATH".to_owned())?;
    let usable = ["http", "https"].contains(&url.scheme())
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !usable {
        return Err("it must be http:// or https:// without user, password, query and fragment".to_owned());
    }
    // A path without a slash at its end would be replaced by what is joined to it.
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What an address of a repository tells about the forge behind it.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    host: String,
    /// `https://host:port/`; https on the usual port for what is reached over ssh.
    origin: Option<Url>,
    /// Of the path, `.git` left out.
    segments: Vec<String>,
}

impl Address {
    fn of(url: &str) -> Option<Self> {
        let (host, origin, path) = match url.split_once("://") {
            Some((scheme @ ("https" | "http" | "ssh"), _)) => {
                let parsed = Url::parse(url).ok()?;
                let host = parsed.host_str()?.to_owned();
                let origin = if scheme == "ssh" {
                    Url::parse(&format!("https://{host}/")).ok()
                } else {
                    parsed.join("/").ok()
                };
                (host, origin, percent_decode_str(parsed.path()).decode_utf8().ok()?.into_owned())
            }
            Some(_) => return None,
            None => {
                let (host, path) = url.split_once(':')?;
                let host = host.rsplit('@').next()?.to_owned();
                if host.contains('/') {
                    return None;
                }
                let origin = Url::parse(&format!("https://{host}/")).ok();
                (host, origin, path.to_owned())
            }
        };
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let segments = path.split('/').filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect();
        Some(Self { host: host.to_ascii_lowercase(), origin, segments })
    }

    /// The project's path, and the folder below which the forge is served. None when no project is named.
    fn project(&self, software: Software, api: Option<&Url>) -> Option<(String, Vec<String>)> {
        let below = match software {
            Software::GitHub => 0,
            // Groups may be nested, so only the API's address tells where they begin.
            Software::GitLab => api.map_or(0, |api| self.shared_with(api)),
            Software::Gitea | Software::Forgejo => self.segments.len().checked_sub(2)?,
        };
        let (below, project) = self.segments.split_at(below);
        let word = |part: &String| {
            !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'))
        };
        let fits = project.iter().all(word)
            && match software {
                Software::GitLab => project.len() >= 2,
                Software::GitHub | Software::Gitea | Software::Forgejo => project.len() == 2,
            };
        fits.then(|| (project.join("/"), below.to_vec()))
    }

    /// How many of the first parts of the path are those of the API's address too.
    fn shared_with(&self, api: &Url) -> usize {
        if api.host_str() != Some(self.host.as_str()) {
            return 0;
        }
        let path: Vec<_> = api.path_segments().into_iter().flatten().collect();
        self.segments.iter().zip(&path).take_while(|(own, api)| own == *api && **api != "api").count()
    }

    fn api(&self, software: Software, below: &[String]) -> Option<Url> {
        if software == Software::GitHub && self.host == "github.com" {
            return Url::parse("https://api.github.com/").ok();
        }
        let mut url = self.origin.clone()?;
        let version = match software {
            Software::GitHub => "v3",
            Software::GitLab => "v4",
            Software::Gitea | Software::Forgejo => "v1",
        };
        let below = below.iter().map(String::as_str);
        url.path_segments_mut().ok()?.pop_if_empty().extend(below).extend(["api", version, ""]);
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::{Beside, ForgeConfig, Way, check};

    fn read(yaml: &str, url: &str) -> Result<String, String> {
        let config: Option<ForgeConfig> = match yaml {
            "" => None,
            yaml => Some(serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?),
        };
        let way = check(config, &Beside { url, has_token: true, insecure_http: false });
        match way.map_err(|(field, problem)| format!("{field}: {problem}"))? {
            Way::Git { .. } => Ok("git".to_owned()),
            Way::Api(hosted) => Ok(format!("{:?} {} {}", hosted.software, hosted.api, hosted.project)),
        }
    }

    #[test]
    fn the_api_and_the_project_are_read_from_the_address() {
        for (yaml, url, expected) in [
            ("", "https://github.com/team/deploy.git", "GitHub https://api.github.com/ team/deploy"),
            ("", "git@github.com:team/deploy.git", "GitHub https://api.github.com/ team/deploy"),
            ("", "https://gitlab.com/a/b/deploy", "GitLab https://gitlab.com/api/v4/ a/b/deploy"),
            ("", "https://git.example.com/team/deploy.git", "git"),
            ("", "/srv/deploy.git", "git"),
            ("{type: git}", "https://github.com/team/deploy", "git"),
            ("{type: github}", "https://ghe.example.com/t/d", "GitHub https://ghe.example.com/api/v3/ t/d"),
            ("{type: gitea}", "http://127.0.0.1:3300/t/d.git", "Gitea http://127.0.0.1:3300/api/v1/ t/d"),
            ("{type: forgejo}", "https://x.example/git/t/d", "Forgejo https://x.example/git/api/v1/ t/d"),
            ("{type: gitea}", "ssh://git@x.example:2222/t/d", "Gitea https://x.example/api/v1/ t/d"),
            (
                "{type: gitlab, api: 'https://x.example/lab/api/v4'}",
                "https://x.example/lab/a/b/c.git",
                "GitLab https://x.example/lab/api/v4/ a/b/c",
            ),
        ] {
            assert_eq!(read(yaml, url).as_deref(), Ok(expected), "{yaml} {url}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (yaml, url, says) in [
            ("{type: gitea}", "/srv/deploy.git", "does not say which repository"),
            ("{type: gitea}", "https://x.example/deploy", "its path is not that of a repository of Gitea"),
            ("{type: github}", "https://x.example/a/b/c", "its path is not that of a repository of GitHub"),
            ("{type: gitea, api: 'https://u:hunter2@x/'}", "https://x/a/b", "without user, password"),
            ("{type: gitea, api: 'http://x.example/api/v1'}", "https://x/a/b", "plain http"),
            ("{type: git, api: 'https://x/'}", "https://x/a/b", "git alone has no API"),
            ("{type: git, caFile: /ca.pem}", "ssh://git@x/a/b", "only for https"),
            ("{type: gitea, timeoutSeconds: 0}", "https://x/a/b", "within 1 and 300"),
            ("{type: svn}", "https://x/a/b", "svn"),
        ] {
            let said = read(yaml, url).unwrap_err();
            assert!(said.contains(says), "{yaml} {url}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        let tokenless = Beside { url: "https://x/a/b", has_token: false, insecure_http: false };
        let config = serde_saphyr::from_str("{type: gitea}").unwrap();
        assert_eq!(check(Some(config), &tokenless).unwrap_err().0, "tokenFile");
        let github = Beside { url: "git@github.com:a/b", has_token: false, insecure_http: false };
        assert_eq!(check(None, &github), Ok(Way::Git { ca_file: None }), "pushes over ssh go on as before");
    }
}
