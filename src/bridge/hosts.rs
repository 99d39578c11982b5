//! Which `Host` and `Origin` a request may name.

/// The names given with `--allow-host`; loopback is always allowed, and any name when none was given.
#[derive(Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(allowed: Vec<String>) -> Self {
        Self(allowed.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// `host` as in the header, with or without a port.
    pub(super) fn allows(&self, host: &str) -> bool {
        self.0.is_empty() || self.names(host)
    }

    /// Only browsers send `Origin`, and none has business here: it must name loopback or an allowed host.
    pub(super) fn allows_origin(&self, origin: &str) -> bool {
        origin.split_once("://").is_some_and(|(_, host)| self.names(host))
    }

    fn names(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let name = without_port(&host);
        loopback(name) || self.0.iter().any(|allowed| *allowed == host || allowed == name)
    }
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(at) if !host[at..].contains(']') => &host[..at],
        _ => host,
    }
}

fn loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::Hosts;

    #[test]
    fn named_hosts_and_loopback_pass_others_do_not() {
        let hosts = Hosts::new(vec!["Time.tools.svc".to_owned(), "time:9000".to_owned()]);
        for good in
            ["time.tools.svc", "TIME.tools.svc:8080", "time:9000", "localhost:1", "127.0.0.1", "[::1]:80"]
        {
            assert!(hosts.allows(good), "{good}");
        }
        for bad in ["evil.example", "time", "time:9001", "time.tools.svc.evil.example", "localhost.evil", ""]
        {
            assert!(!hosts.allows(bad), "{bad}");
        }
    }

    #[test]
    fn without_names_any_host_passes_but_no_foreign_origin() {
        let hosts = Hosts::new(Vec::new());
        assert!(hosts.allows("anything.example:80"));
        assert!(!hosts.allows_origin("http://evil.example"));
        assert!(!hosts.allows_origin("null"));
        assert!(hosts.allows_origin("http://localhost:6274"));
    }
}
