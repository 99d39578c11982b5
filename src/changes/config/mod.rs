//! The repositories that changes may be proposed to, as the configuration file says them:
//!
//! ```yaml
//! changes:
//!   repositories:
//!     - name: deploy
//!       url: https://git.example.com/team/deploy.git
//!       branch: main              # default
//!       path: clusters/prod       # default: the whole repository
//!       namespace: shop           # of documents that name none
//!       tokenFile: /run/secrets/deploy-token
//!       forge:                    # default: told from github.com and gitlab.com, else git alone
//!         type: gitea             # github, gitlab, gitea, forgejo, git
//!         api: https://git.example.com/api/v1
//!         caFile: /etc/ca.pem   # default: the certificates of the system
//!       openLimit: 10             # default: open pull requests of ours at one time
//!       labels: [pilothouse]      # default: none
//!   people: {octo: ann@example.com}   # user of the forge: user of the cluster
//!   look: 30s                     # default: how often an open change is looked after
//!   policies: []                  # see `checks/policy`
//!   dryRun: {serviceAccount: pilothouse/pilothouse-dryrun}   # or {tokenFile: ...}; default: not dry-run
//!   charts:                       # releases that nobody in the cluster says the source of
//!     - repository: deploy
//!       path: charts/shop
//!       release: shop
//!       namespace: shop
//!       values: [values-prod.yaml]   # after the chart's own; from the chart's folder, or /from/the/root
//!   renderers: {}                 # see `render`
//! ```
//!
//! [`hosted`] reads the forge part.

mod hosted;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;
use url::Url;

use super::{
    checks::policy::Policy,
    render::RenderersConfig,
    source::{Chart, Standing, Values, paths::join},
};
use crate::api::Span;

pub use hosted::{ForgeConfig, ForgeType};
pub(super) use hosted::{Hosted, Software, Way};

/// The `changes` part of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ChangesConfig {
    pub repositories: Vec<RepositoryConfig>,
    /// Which user of the forge is which user of the cluster. Without an entry, the same name is the same person.
    pub people: BTreeMap<String, String>,
    /// How often an open change is looked after; seldomer while nothing happens to it.
    pub look: Option<Span>,
    /// What a change of this installation must keep to.
    pub policies: Vec<Policy>,
    /// As whom the API server is asked whether it would take a change; absent: it is not asked.
    pub dry_run: Option<DryRunConfig>,
    pub charts: Vec<ChartConfig>,
    pub renderers: RenderersConfig,
}

/// The identity of dry-runs. It must be one that may do nothing else: `pilothouse manifests --dry-run-identity` has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DryRunConfig {
    /// `namespace/name` of a service account that this process may impersonate.
    ServiceAccount(ServiceAccountName),
    /// Holds a token of its own; read again for every use.
    TokenFile(PathBuf),
}

/// `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ServiceAccountName {
    pub namespace: String,
    pub name: String,
}

impl TryFrom<String> for ServiceAccountName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let word = |part: &str| {
            let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            (1..=253).contains(&part.len()) && part.chars().all(label)
        };
        match text.split_once('/') {
            Some((namespace, name)) if word(namespace) && word(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("{text:?} is no service account: write it like pilothouse/pilothouse-dryrun")),
        }
    }
}

/// A release of a chart that stands in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ChartConfig {
    /// By its name under `repositories`.
    pub repository: String,
    /// The chart's folder.
    pub path: String,
    pub release: String,
    pub namespace: String,
    /// Values files, a later one wins; from the chart's folder, or from the repository's root with a slash.
    #[serde(default)]
    pub values: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RepositoryConfig {
    /// How callers and answers name it.
    pub name: String,
    /// `https://`, `http://`, `ssh://`, `file://`, `user@host:path` or an absolute path; without credentials.
    pub url: String,
    /// What changes are proposed against.
    #[serde(default = "main_branch")]
    pub branch: String,
    /// The folder that is searched, relative to the repository.
    #[serde(default = "whole")]
    pub path: String,
    /// The namespace of documents that name none themselves.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Holds the token or password; read again for every use, so it may be rotated.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The user name that goes with the token.
    #[serde(default = "token_user")]
    pub username: String,
    /// Allows the token to be sent over `http://` to a host that is not loopback.
    #[serde(default)]
    pub insecure_http: bool,
    /// Whose API opens the pull requests.
    #[serde(default)]
    pub forge: Option<ForgeConfig>,
    /// Pull requests of ours that may be open at one time.
    #[serde(default = "open_limit")]
    pub open_limit: usize,
    /// What each pull request of ours is labelled with.
    #[serde(default)]
    pub labels: Vec<String>,
}

fn main_branch() -> String {
    "main".to_owned()
}

fn whole() -> String {
    ".".to_owned()
}

fn token_user() -> String {
    "x-access-token".to_owned()
}

fn open_limit() -> usize {
    10
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes.{list}[{position}].{field} in the configuration: {problem}")]
pub struct ConfigError {
    list: &'static str,
    position: usize,
    field: &'static str,
    problem: String,
}

impl ChangesConfig {
    /// The repositories, checked as [`super::ChangeRequests::new`] checks them.
    ///
    /// # Errors
    /// When the configuration does not hold together: which field of which repository, and what fits.
    pub fn checked(self) -> Result<Vec<Repository>, ConfigError> {
        let Self { repositories, charts, .. } = self;
        check(repositories, charts)
    }
}

/// A repository whose configuration holds together. Made only by [`check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) branch: String,
    /// With a slash at its end; empty for the whole repository.
    pub(super) prefix: String,
    pub(super) namespace: Option<String>,
    pub(super) credentials: Option<Credentials>,
    pub(super) forge: Way,
    pub(super) open_limit: usize,
    pub(super) labels: Vec<String>,
    /// Releases of charts in it.
    pub(super) charts: Vec<Chart>,
}

impl Repository {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Pull requests of ours that may be open at one time.
    pub fn open_limit(&self) -> usize {
        self.open_limit
    }

    /// What each pull request of ours is labelled with.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) token_file: PathBuf,
}

impl Credentials {
    /// The token as it is now: it may be exchanged at any time.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else than one word.
    pub(super) fn token(&self) -> Result<String, io::Error> {
        let text = fs::read_to_string(&self.token_file)?;
        let token = text.trim();
        if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(io::Error::other("it does not hold one token on one line"));
        }
        Ok(token.to_owned())
    }
}

pub(super) fn check(
    repositories: Vec<RepositoryConfig>,
    charts: Vec<ChartConfig>,
) -> Result<Vec<Repository>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut checked = Vec::with_capacity(repositories.len());
    for (position, repository) in repositories.into_iter().enumerate() {
        let refused = |(field, problem)| ConfigError { list: "repositories", position, field, problem };
        let repository = check_one(repository).map_err(refused)?;
        if !names.insert(repository.name.clone()) {
            let problem = format!("{:?} is used twice; names must differ", repository.name);
            return Err(refused(("name", problem)));
        }
        checked.push(repository);
    }
    for (position, chart) in charts.into_iter().enumerate() {
        let refused = |(field, problem)| ConfigError { list: "charts", position, field, problem };
        add_chart(&mut checked, chart).map_err(refused)?;
    }
    Ok(checked)
}

fn add_chart(repositories: &mut [Repository], config: ChartConfig) -> Result<(), Problem> {
    let ChartConfig { repository: name, path, release, namespace, values } = config;
    let known: Vec<_> = repositories.iter().map(|repository| repository.name.clone()).collect();
    let repository = repositories.iter_mut().find(|repository| repository.name == name).ok_or_else(|| {
        ("repository", format!("{name:?} is none of the repositories {}", known.join(", ")))
    })?;
    let outside = |path: &str| format!("{path:?} does not stay inside the repository");
    let folder = prefix(&path).ok_or_else(|| ("path", outside(&path)))?;
    let dns = |text: &str| {
        !text.is_empty()
            && text.len() <= 63
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
            && !text.starts_with(['-', '.'])
    };
    for (field, text) in [("release", &release), ("namespace", &namespace)] {
        if !dns(text) {
            return Err((field, format!("{text:?} is not one; use small letters, digits and dashes")));
        }
    }
    let file = |path: &String| {
        let from = if path.starts_with('/') { "" } else { folder.as_str() };
        join(from, path).map(Values::File).ok_or_else(|| ("values", outside(path)))
    };
    let values = values.iter().map(file).collect::<Result<_, _>>()?;
    let by = format!("changes.charts names the release {release}");
    repository.charts.push(Chart { at: Standing::Folder(folder.clone()), release, namespace, values, by });
    Ok(())
}

type Problem = (&'static str, String);

fn check_one(config: RepositoryConfig) -> Result<Repository, Problem> {
    let RepositoryConfig {
        name,
        url,
        branch,
        path,
        namespace,
        token_file,
        username,
        insecure_http,
        forge,
        open_limit,
        labels,
    } = config;
    let label = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 63 || !name.chars().all(label) || name.starts_with(['-', '.']) {
        return Err(("name", format!("{name:?} is not a name; use letters, digits and dashes")));
    }
    let transport = transport(&url).map_err(|problem| ("url", problem))?;
    if !branch_is_plain(&branch) {
        return Err(("branch", format!("{branch:?} is not a branch name")));
    }
    let prefix = prefix(&path).ok_or_else(|| {
        ("path", format!("{path:?} does not stay inside the repository; write it like clusters/prod"))
    })?;
    if let (Some(_), Transport::Http { loopback: false }, false) = (&token_file, &transport, insecure_http) {
        let problem = "a token would go over plain http; use https, or say insecureHttp: true";
        return Err(("tokenFile", problem.to_owned()));
    }
    let forge =
        hosted::check(forge, &hosted::Beside { url: &url, has_token: token_file.is_some(), insecure_http })?;
    // To a forge's API the token goes over https, whatever the repository's own address is.
    if token_file.is_some() && matches!((&transport, &forge), (Transport::Other, Way::Git { .. })) {
        return Err(("tokenFile", "a token is only sent over https or http".to_owned()));
    }
    if !(1..=1000).contains(&open_limit) {
        return Err(("openLimit", format!("{open_limit} is not within 1 and 1000")));
    }
    // GitLab parts labels by commas.
    let label = |label: &String| {
        !label.trim().is_empty() && label.len() <= 50 && !label.contains(|c: char| c == ',' || c.is_control())
    };
    if labels.len() > 10 || !labels.iter().all(label) {
        let problem = "use at most 10 labels of 1 to 50 characters without commas";
        return Err(("labels", problem.to_owned()));
    }
    if username.is_empty() || username.contains(|c: char| c == ':' || c.is_control()) {
        return Err(("username", "it must not be empty or hold a colon".to_owned()));
    }
    let credentials = token_file.map(|token_file| Credentials { username, token_file });
    let charts = Vec::new();
    Ok(Repository { name, url, branch, prefix, namespace, credentials, forge, open_limit, labels, charts })
}

enum Transport {
    Https,
    Http { loopback: bool },
    Other,
}

fn transport(url: &str) -> Result<Transport, String> {
    let known = "use https://, http://, ssh://, file://, user@host:path or an absolute path";
    if url.starts_with('-') || url.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(format!("{url:?} is not the address of a repository; {known}"));
    }
    if Path::new(url).is_absolute() {
        return Ok(Transport::Other);
    }
    let Some((scheme, _)) = url.split_once("://") else {
        // git's own `ext::` runs commands; only host:path is let through.
        let scp_like = url.split_once(':').is_some_and(|(host, path)| {
            !host.is_empty() && !host.contains('/') && !path.is_empty() && !path.starts_with(':')
        });
        return if scp_like {
            Ok(Transport::Other)
        } else {
            Err(format!("{url:?} is not an address; {known}"))
        };
    };
    // A parse error would repeat the address, which may hold a password.
    let parsed = Url::parse(url).map_err(|_| format!("it is not an address; {known}"))?;
    let user_is_normal = scheme == "ssh" && parsed.password().is_none();
    if !(user_is_normal || parsed.username().is_empty() && parsed.password().is_none()) {
        return Err("it holds credentials; put the token into a file and name it as tokenFile".to_owned());
    }
    match scheme {
        "https" => Ok(Transport::Https),
        "http" => Ok(Transport::Http { loopback: hosted::is_loopback(&parsed) }),
        "ssh" | "file" => Ok(Transport::Other),
        other => Err(format!("{other}:// is not supported; {known}")),
    }
}

fn branch_is_plain(branch: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    !branch.is_empty()
        && !branch.starts_with(['-', '/', '.'])
        && !branch.ends_with(['/', '.'])
        && !branch.contains("..")
        && !branch.contains("//")
        && !branch.contains("@{")
        && !branch.contains(forbidden)
}

fn prefix(path: &str) -> Option<String> {
    let mut prefix = String::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => {
                prefix.push_str(name.to_str()?);
                prefix.push('/');
            }
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => return None,
        }
    }
    Some(prefix)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::{ChangesConfig, check};

    fn read(yaml: &str) -> Result<Vec<super::Repository>, String> {
        let config: ChangesConfig = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        check(config.repositories, config.charts).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_few_and_plain() {
        let read = read("repositories: [{name: deploy, url: 'https://git.example.com/d.git'}]").unwrap();
        assert_eq!((read[0].branch.as_str(), read[0].prefix.as_str()), ("main", ""));
        let read = super::check(Vec::new(), Vec::new()).unwrap();
        assert!(read.is_empty());
    }

    #[test]
    fn dry_runs_have_one_identity() {
        let read =
            |text: &str| serde_saphyr::from_str::<ChangesConfig>(text).map_err(|error| error.to_string());
        let config = read("dryRun: {serviceAccount: pilothouse/pilothouse-dryrun}").unwrap();
        assert!(matches!(config.dry_run, Some(super::DryRunConfig::ServiceAccount(_))));
        assert!(read("dryRun: {tokenFile: /run/t}").is_ok());
        for wrong in ["{serviceAccount: me}", "{serviceAccount: a/b, tokenFile: /t}", "{user: me}"] {
            assert!(read(&format!("dryRun: {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_does_not_hold_together_is_said() {
        let one = |rest: &str| read(&format!("repositories: [{{name: d, {rest}}}]")).unwrap_err();
        for (rest, says) in [
            ("url: 'https://me:secret@git.example.com/d'", "tokenFile"),
            ("url: 'ext::sh -c id'", "is not"),
            ("url: 'ext::id'", "is not"),
            ("url: '--upload-pack=id'", "is not"),
            ("url: 'gopher://x/y'", "gopher:// is not supported"),
            ("url: 'http://git.example.com/d', tokenFile: /t", "plain http"),
            ("url: 'ssh://git@h/d', tokenFile: /t", "only sent over https"),
            ("url: /srv/d.git, branch: 'a..b'", "branch"),
            ("url: /srv/d.git, path: ../x", "inside the repository"),
            ("url: /srv/d.git, colour: red", "colour"),
            ("url: /srv/d.git, openLimit: 0", "openLimit"),
            ("url: /srv/d.git, labels: ['a,b']", "without commas"),
            ("url: 'https://g.example.com/t/d', forge: {type: gitea}", "tokenFile"),
            ("url: 'https://g.example.com/t/d', tokenFile: /t, forge: {type: gitea, api: x}", "forge.api"),
        ] {
            let said = one(rest);
            assert!(said.contains(says), "{rest}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
        let twice = "repositories: [{name: d, url: /a}, {name: d, url: /b}]";
        assert!(read(twice).unwrap_err().contains("repositories[1].name"));
        let chart = |rest: &str| {
            read(&format!(
                "{{repositories: [{{name: d, url: /a}}], charts: [{{release: r, namespace: n, {rest}}}]}}"
            ))
        };
        assert_eq!(
            chart("repository: d, path: c, values: [v.yaml, /w.yaml]").unwrap()[0].charts[0].values.len(),
            2
        );
        assert!(chart("repository: x, path: c").unwrap_err().contains("charts[0].repository"));
        assert!(chart("repository: d, path: ../c").unwrap_err().contains("charts[0].path"));
    }
}
