//! Whether two addresses mean the same repository. What the cluster names is only ever compared, never used.

/// An address as it is compared: `host/path`, however it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) struct Address(String);

impl Address {
    /// Scheme, user, password, port of the scheme, a slash or `.git` at the end and the case of the host make no
    /// difference.
    pub(in crate::changes) fn of(text: &str) -> Self {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => (String::new(), text),
        };
        if scheme == "file" || (scheme.is_empty() && rest.starts_with('/')) {
            return Self(ended(rest));
        }
        let (host, path) = if scheme.is_empty() {
            // `git@host:path`; without a colon it is a host and a path all the same.
            rest.split_once(':').or_else(|| rest.split_once('/')).unwrap_or((rest, ""))
        } else {
            rest.split_once('/').unwrap_or((rest, ""))
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host).to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "https" => ":443",
            "http" => ":80",
            "ssh" | "git+ssh" => ":22",
            _ => "",
        };
        let host = host.strip_suffix(usual).unwrap_or(&host);
        Self(format!("{host}/{}", ended(path.trim_start_matches('/'))))
    }
}

fn ended(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/').to_owned()
}

/// Without what could be a credential.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn one_repository_however_it_is_written() {
        let same = [
            "https://git.example.com/team/shop.git",
            "https://bot:hunter2@GIT.example.com/team/shop",
            "https://git.example.com:443/team/shop/",
            "ssh://git@git.example.com/team/shop.git",
            "ssh://git@git.example.com:22/team/shop",
            "git@git.example.com:team/shop.git",
            "http://git.example.com/team/shop",
        ];
        for text in same {
            assert_eq!(Address::of(text), Address::of(same[0]), "{text}");
            assert_eq!(Address::of(text).to_string(), "git.example.com/team/shop");
        }
        assert_eq!(Address::of("file:///srv/shop.git"), Address::of("/srv/shop"));
    }

    #[test]
    fn another_repository_is_another() {
        let one = Address::of("https://git.example.com/team/shop");
        for other in [
            "https://git.example.com/team/shop2",
            "https://git.example.com/team/Shop",
            "https://git.example.com.evil.example/team/shop",
            "https://evil.example/git.example.com/team/shop",
            "https://git.example.com:8443/team/shop",
            "https://git.example.com@evil.example/team/shop",
            "",
        ] {
            assert_ne!(Address::of(other), one, "{other}");
        }
    }
}
