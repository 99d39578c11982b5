//! One server: where it is, how it is trusted, and how much of its answer is read.

use std::{error::Error, fs, path::PathBuf, time::Duration};

use futures::StreamExt;
use reqwest::{Certificate, Client, StatusCode, redirect};
use url::Url;

use super::config::{MetricsConfigError, ServerConfig};
use crate::{redact, tools::MetricsError};

/// Of one request, connecting included.
const DEADLINE: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);
/// More is not read to its end.
const LARGEST_MEGABYTES: usize = 16;

pub(super) struct Server {
    /// With the address, for messages.
    name: String,
    base: Url,
    token_file: Option<PathBuf>,
    http: Client,
}

impl Server {
    pub(super) fn new(server: &'static str, config: &ServerConfig) -> Result<Self, MetricsConfigError> {
        let ServerConfig { url, token_file, ca_file } = config;
        let mut base = url.clone();
        let usable = ["http", "https"].contains(&base.scheme())
            && base.has_host()
            && base.password().is_none()
            && base.username().is_empty()
            && base.query().is_none();
        if !usable {
            return Err(MetricsConfigError::Url { server, url: redact::shown(url.as_str()) });
        }
        // A path without a slash at its end would be replaced by what is joined to it.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", url.path()));
        }
        // A token is for the server that is configured, and for no other that it might name.
        let mut builder =
            Client::builder().timeout(DEADLINE).connect_timeout(CONNECT).redirect(redirect::Policy::none());
        if let Some(path) = ca_file {
            let unusable = |reason: String| MetricsConfigError::Authority {
                server,
                path: path.display().to_string(),
                reason,
            };
            let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
            if certificates.is_empty() {
                return Err(unusable("it holds none".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder
            .build()
            .map_err(|error| MetricsConfigError::Client { server, reason: error.to_string() })?;
        let name = format!("{server} at {}", url.as_str().trim_end_matches('/'));
        Ok(Self { name, base, token_file: token_file.clone(), http })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The body of an answer that says yes, or of one that says why not in Prometheus' words.
    pub(super) async fn get(&self, path: &str, query: &str) -> Result<Vec<u8>, MetricsError> {
        let mut url = self.base.join(path).map_err(|error| self.unreachable(error.to_string()))?;
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let mut request = self.http.get(url);
        if let Some(path) = &self.token_file {
            let token = tokio::fs::read_to_string(path).await.map_err(|error| {
                self.unreachable(format!("its token file {} cannot be read: {error}", path.display()))
            })?;
            request = request.bearer_auth(token.trim());
        }
        let response = request.send().await.map_err(|error| self.unreachable(reason(&error)))?;
        let status = response.status();
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status) {
            return Err(MetricsError::Unauthorized { server: self.name.clone(), status: status.as_u16() });
        }
        let mut body = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| self.unreachable(reason(&error)))?;
            if body.len() + piece.len() > LARGEST_MEGABYTES << 20 {
                return Err(MetricsError::TooLarge {
                    server: self.name.clone(),
                    megabytes: LARGEST_MEGABYTES,
                });
            }
            body.extend_from_slice(&piece);
        }
        // 400, 422 and 503 carry a sentence on the query; others come from what stands between.
        let speaks = status.is_success() || body.first() == Some(&b'{');
        if speaks { Ok(body) } else { Err(self.unreachable(format!("it answers {status}"))) }
    }

    fn unreachable(&self, reason: String) -> MetricsError {
        MetricsError::Unreachable { server: self.name.clone(), reason }
    }
}

/// The innermost cause: the outer ones repeat the address.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", DEADLINE.as_secs());
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
