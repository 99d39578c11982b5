//! Which hosts and origins may speak to us: the defence against DNS rebinding and foreign web pages.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri, header, uri::Authority};

use super::turned_away::TurnedAway;

/// Host names and origins that are served. Everything else gets 403.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// `name` (any port) or `name:port`; IPv6 addresses in brackets.
    pub hosts: Vec<String>,
    /// `scheme://name:port`, `scheme://name:*`, or `scheme://name` for the scheme's own port. Requests without
    /// an Origin do not come from a web page and pass.
    pub origins: Vec<String>,
}

impl Default for Admission {
    /// This machine only.
    fn default() -> Self {
        let own = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Self {
            hosts: own(&["localhost", "127.0.0.1", "[::1]"]),
            origins: own(&[
                "http://localhost:*",
                "https://localhost:*",
                "http://127.0.0.1:*",
                "https://127.0.0.1:*",
                "http://[::1]:*",
            ]),
        }
    }
}

impl Admission {
    /// # Errors
    /// One sentence that names the header and what to do.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        let host = match headers.get(header::HOST) {
            Some(host) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
            None => uri.authority().cloned(),
        };
        let Some(host) = host else { return Err("the Host header is missing or malformed".to_owned()) };
        if !self.hosts.iter().any(|allowed| host_matches(allowed, &host)) {
            return Err(format!("Host `{host}` is not allowed: add it to the allowed hosts if it is yours"));
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let text = String::from_utf8_lossy(origin.as_bytes());
        if self.origins.iter().any(|allowed| origin_matches(allowed, &text)) {
            Ok(())
        } else {
            Err(format!("Origin `{text}` is not allowed: add it to the allowed origins if it is yours"))
        }
    }
}

fn host_matches(allowed: &str, host: &Authority) -> bool {
    let Ok(allowed) = allowed.parse::<Authority>() else { return false };
    allowed.host().eq_ignore_ascii_case(host.host())
        && (allowed.port_u16().is_none() || allowed.port_u16() == host.port_u16())
}

fn origin_matches(allowed: &str, origin: &str) -> bool {
    let split = |text: &str| {
        let (scheme, rest) = text.split_once("://")?;
        Some((scheme.to_ascii_lowercase(), rest.to_ascii_lowercase()))
    };
    let (Some((scheme, allowed)), Some((origin_scheme, origin))) = (split(allowed), split(origin)) else {
        return false;
    };
    let Ok(origin) = origin.parse::<Authority>() else { return false };
    let own_port = if scheme == "https" { 443 } else { 80 };
    let origin_port = origin.port_u16().unwrap_or(own_port);
    scheme == origin_scheme
        && match allowed.strip_suffix(":*") {
            Some(name) => origin.host() == name,
            None => allowed.parse::<Authority>().is_ok_and(|allowed| {
                allowed.host() == origin.host() && allowed.port_u16().unwrap_or(own_port) == origin_port
            }),
        }
}

pub(super) async fn admit(State(admission): State<Arc<Admission>>, request: Request, next: Next) -> Response {
    match admission.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => {
            tracing::warn!(why, "a request was refused");
            let response = (StatusCode::FORBIDDEN, format!("Forbidden: {why}\n")).into_response();
            TurnedAway { reason: "host-or-origin", why, caller: None }.with(response)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderMap, Uri, header};

    use super::Admission;

    fn admits(host: &str, origin: Option<&str>) -> bool {
        let admission = Admission {
            hosts: vec!["localhost".into(), "[::1]".into(), "mcp.example.com:8080".into()],
            origins: vec!["http://localhost:*".into(), "https://app.example.com".into()],
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        admission.check(&Uri::from_static("/mcp"), &headers).is_ok()
    }

    #[test]
    fn listed_hosts_pass_and_others_do_not() {
        assert!(admits("localhost:3000", None));
        assert!(admits("LOCALHOST", None));
        assert!(admits("[::1]:80", None));
        assert!(admits("mcp.example.com:8080", None));
        assert!(!admits("mcp.example.com", None));
        assert!(!admits("evil.example.com", None));
        assert!(!admits("localhost.evil.example.com", None));
        assert!(!admits("", None));
    }

    #[test]
    fn listed_origins_pass_and_others_do_not() {
        assert!(admits("localhost", Some("http://localhost:5173")));
        assert!(admits("localhost", Some("https://app.example.com")));
        assert!(admits("localhost", Some("https://app.example.com:443")));
        assert!(!admits("localhost", Some("https://app.example.com:444")));
        assert!(!admits("localhost", Some("http://app.example.com")));
        assert!(!admits("localhost", Some("http://localhost.evil.example.com")));
        assert!(!admits("localhost", Some("null")));
    }
}
