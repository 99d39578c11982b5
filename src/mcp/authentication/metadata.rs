//! Where clients learn who gives tokens for us: OAuth 2.0 Protected Resource Metadata (RFC 9728).

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::{Auth, config::SafeUrl};

/// Before the path of the resource.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What is published; present where an issuer is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// The public address of `/mcp`; otherwise it follows from the request.
    pub(super) resource: Option<SafeUrl>,
    pub(super) issuers: Vec<String>,
    pub(super) scopes: Vec<String>,
}

/// Which of our two addresses a client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    Mcp,
    Sse,
}

impl Address {
    fn of(path: &str) -> Self {
        if path.trim_start_matches('/').starts_with("sse") || path.starts_with("/messages") {
            Self::Sse
        } else {
            Self::Mcp
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Mcp => "mcp",
            Self::Sse => "sse",
        }
    }
}

impl Metadata {
    /// Where the metadata is for who asked for `uri`.
    pub(super) fn address(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let resource = self.resource(Address::of(uri.path()), uri, headers)?;
        let (origin, path) = split(&resource)?;
        Some(format!("{origin}{WELL_KNOWN}{path}"))
    }

    /// The resource as its clients name it.
    fn resource(&self, address: Address, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let path = address.path();
        match &self.resource {
            Some(configured) if address == Address::Mcp => Some(configured.url().to_string()),
            Some(configured) => {
                let mut url = configured.url().clone();
                url.path_segments_mut().ok()?.pop().push(path);
                Some(url.to_string())
            }
            None => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
                let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()))?;
                // Only who sets it is told otherwise by it.
                let forwarded = headers.get("x-forwarded-proto").and_then(|scheme| scheme.to_str().ok());
                let scheme = if forwarded == Some("https") { "https" } else { "http" };
                Some(format!("{scheme}://{host}/{path}"))
            }
        }
    }

    /// The document at [`WELL_KNOWN`] followed by `path`; `None` when there is no such resource here.
    fn document(&self, path: &str, uri: &Uri, headers: &HeaderMap) -> Option<Value> {
        let address = match path.trim_matches('/') {
            "" | "mcp" => Address::Mcp,
            "sse" => Address::Sse,
            // Behind a proxy that puts something before our paths.
            other => *[Address::Mcp, Address::Sse].iter().find(|address| {
                let resource = self.resource(**address, uri, headers);
                resource.as_deref().and_then(split).is_some_and(|(_, path)| path.trim_matches('/') == other)
            })?,
        };
        let mut document = json!({
            "resource": self.resource(address, uri, headers)?,
            "authorization_servers": self.issuers,
            "bearer_methods_supported": ["header"],
            "resource_name": "pilothouse",
        });
        if !self.scopes.is_empty() {
            document["scopes_supported"] = json!(self.scopes);
        }
        Some(document)
    }
}

/// Origin and path.
fn split(url: &str) -> Option<(&str, &str)> {
    let after_scheme = url.find("://")? + 3;
    let path = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    Some(url.split_at(path))
}

/// Served to everybody: who has no token yet must be able to read it.
pub(in crate::mcp) fn router(auth: Auth) -> Router {
    Router::new()
        .route(WELL_KNOWN, get(publish))
        .route(&format!("{WELL_KNOWN}/{{*path}}"), get(publish))
        .with_state(auth)
}

async fn publish(State(auth): State<Auth>, request: Request) -> Response {
    let path = request.uri().path().strip_prefix(WELL_KNOWN).unwrap_or_default();
    let document =
        auth.metadata().and_then(|metadata| metadata.document(path, request.uri(), request.headers()));
    match document {
        Some(document) => Json(document).into_response(),
        None => (StatusCode::NOT_FOUND, "Not Found: no OAuth issuer gives tokens for this address\n")
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderMap, Uri, header};
    use serde_json::json;

    use super::Metadata;

    fn metadata(resource: Option<&str>) -> Metadata {
        Metadata {
            resource: resource.map(|url| url.to_owned().try_into().unwrap()),
            issuers: vec!["https://login.example".into()],
            scopes: vec!["read".into()],
        }
    }

    fn host(forwarded: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "pilothouse.ops.svc:8080".parse().unwrap());
        if let Some(scheme) = forwarded {
            headers.insert("x-forwarded-proto", scheme.parse().unwrap());
        }
        headers
    }

    #[test]
    fn without_configuration_the_host_says_who_we_are() {
        let seen = |path: &'static str, forwarded| {
            metadata(None).address(&Uri::from_static(path), &host(forwarded)).unwrap()
        };
        let known = "://pilothouse.ops.svc:8080/.well-known/oauth-protected-resource";
        assert_eq!(seen("/mcp", None), format!("http{known}/mcp"));
        assert_eq!(seen("/mcp", Some("https")), format!("https{known}/mcp"));
        assert_eq!(seen("/sse", None), format!("http{known}/sse"));
        assert_eq!(seen("/messages", None), format!("http{known}/sse"));
    }

    #[test]
    fn the_document_names_the_resource_its_address_was_made_of() {
        let uri = Uri::from_static("/x");
        let plain = metadata(None);
        assert_eq!(
            plain.document("/mcp", &uri, &host(None)).unwrap(),
            json!({
                "resource": "http://pilothouse.ops.svc:8080/mcp",
                "authorization_servers": ["https://login.example"],
                "bearer_methods_supported": ["header"],
                "resource_name": "pilothouse",
                "scopes_supported": ["read"],
            })
        );
        let behind = metadata(Some("https://tools.example/cluster/mcp"));
        let address = behind.address(&Uri::from_static("/mcp"), &host(None)).unwrap();
        assert_eq!(address, "https://tools.example/.well-known/oauth-protected-resource/cluster/mcp");
        for (path, resource) in [
            ("", "https://tools.example/cluster/mcp"),
            ("/mcp", "https://tools.example/cluster/mcp"),
            ("/cluster/mcp", "https://tools.example/cluster/mcp"),
            ("/cluster/sse", "https://tools.example/cluster/sse"),
        ] {
            assert_eq!(behind.document(path, &uri, &host(None)).unwrap()["resource"], resource, "{path}");
        }
        assert_eq!(behind.document("/other", &uri, &host(None)), None);
        assert_eq!(plain.document("/cluster/mcp", &uri, &host(None)), None);
    }
}
