//! What is checked, parsed once from a spec. Needs no client.

use std::time::Duration;

use url::{Host, Url};

use crate::api::{DataSourceSpec, data_source::Engine};

/// A source that can be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub engine: Engine,
    pub host: Host<String>,
    pub port: u16,
    pub tls: Option<Trust>,
    /// Name of the database or number of the Redis database: the path of the endpoint without its `/`.
    pub database: Option<String>,
    /// For http: what is asked for, with query.
    pub path: String,
    /// Names without a dot belong to this namespace.
    pub namespace: String,
    /// How long a check may take.
    pub timeout: Duration,
    /// The spec names credentials.
    pub has_credentials: bool,
}

/// Whose word is taken for the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    System,
    /// PEM text.
    Bundle(String),
}

/// Why a spec cannot be checked: the field and the fix. CEL refuses it already; here it holds for older objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidSource {
    #[error("spec.endpoint `{0}` is not a URL with a host: write it like postgresql://db.shop:5432/orders")]
    Endpoint(String),
    #[error(
        "spec.endpoint `{0}` has no port and its scheme has none of its own: write it like tcp://store:9000"
    )]
    NoPort(String),
    #[error("spec.endpoint holds a user or password: put them into spec.credentials")]
    Credentials,
}

impl Target {
    /// # Errors
    /// When the endpoint cannot be used.
    pub(crate) fn parse(spec: &DataSourceSpec, namespace: &str) -> Result<Self, InvalidSource> {
        let url = Url::parse(&spec.endpoint).map_err(|_| InvalidSource::Endpoint(spec.endpoint.clone()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidSource::Credentials);
        }
        // Of a scheme that the URL standard does not know, an address is parsed as a name.
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => {
                Host::parse(name).map_err(|_| InvalidSource::Endpoint(spec.endpoint.clone()))?
            }
            Some(Host::Ipv4(address)) => Host::Ipv4(address),
            Some(Host::Ipv6(address)) => Host::Ipv6(address),
            _ => return Err(InvalidSource::Endpoint(spec.endpoint.clone())),
        };
        let engine = spec.engine.unwrap_or_else(|| engine_of(url.scheme()));
        let port = url.port_or_known_default().or_else(|| default_port(url.scheme()));
        let database = url.path().trim_matches('/');
        let trust = spec.tls.as_ref().map(|tls| tls.ca_bundle.clone().map_or(Trust::System, Trust::Bundle));
        let by_scheme = matches!(url.scheme(), "https" | "rediss").then_some(Trust::System);
        let own_path = || match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            engine,
            host,
            port: port.ok_or_else(|| InvalidSource::NoPort(spec.endpoint.clone()))?,
            tls: trust.or(by_scheme),
            database: (!database.is_empty()).then(|| database.to_owned()),
            path: spec.health_check.path.clone().unwrap_or_else(own_path),
            namespace: namespace.to_owned(),
            timeout: spec.health_check.timeout.duration(),
            has_credentials: !spec.credentials.is_empty(),
        })
    }

    /// As a sentence names it: `db.shop:5432`.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

pub(crate) fn engine_of(scheme: &str) -> Engine {
    match scheme {
        "postgres" | "postgresql" => Engine::Postgresql,
        "redis" | "rediss" => Engine::Redis,
        "http" | "https" => Engine::Http,
        _ => Engine::Tcp,
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "postgres" | "postgresql" => Some(5432),
        "redis" | "rediss" => Some(6379),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use url::Host;

    use super::{InvalidSource, Target, Trust};
    use crate::api::data_source::Engine;

    fn parse(spec: &str) -> Result<Target, InvalidSource> {
        Target::parse(&serde_saphyr::from_str(spec).unwrap(), "shop")
    }

    #[test]
    fn scheme_says_engine_port_and_tls() {
        let database = parse("{type: database, endpoint: 'postgresql://db.shop/orders?x=1'}").unwrap();
        assert_eq!((database.engine, database.place().as_str()), (Engine::Postgresql, "db.shop:5432"));
        assert_eq!((database.database.as_deref(), database.tls), (Some("orders"), None));
        let cache = parse("{type: database, endpoint: 'rediss://cache'}").unwrap();
        assert_eq!((cache.port, cache.tls), (6379, Some(Trust::System)));
        let api = parse("{type: api, endpoint: 'https://api.test/v1?a=b'}").unwrap();
        assert_eq!((api.path.as_str(), api.port, api.tls), ("/v1?a=b", 443, Some(Trust::System)));
        let checked =
            parse("{type: api, endpoint: 'http://api.test/v1', healthCheck: {path: /healthz}}").unwrap();
        assert_eq!(checked.path, "/healthz");
    }

    #[test]
    fn an_address_is_an_address_whatever_the_scheme() {
        let v4 = parse("{type: storage, endpoint: 'tcp://10.0.0.7:9000'}").unwrap();
        assert_eq!(v4.host, Host::<String>::Ipv4([10, 0, 0, 7].into()));
        let v6 = parse("{type: storage, endpoint: 'redis://[fd00::7]'}").unwrap();
        assert_eq!(v6.place(), "[fd00::7]:6379");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_fix() {
        assert!(matches!(parse("{type: storage, endpoint: 'tcp://store'}"), Err(InvalidSource::NoPort(_))));
        assert!(matches!(parse("{type: storage, endpoint: nothing}"), Err(InvalidSource::Endpoint(_))));
        let secret = parse("{type: api, endpoint: 'https://me:hunter2@api.test'}").unwrap_err();
        assert!(!secret.to_string().contains("hunter2"), "{secret}");
    }
}
