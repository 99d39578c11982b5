//! A server that is already there.

use http::{HeaderName, HeaderValue};
use url::Url;

use super::host_header;
use crate::{
    api::mcp_server::{HeaderFrom, MCPServerSpec, Remote, Transport as Declared},
    fleet::secrets::{Known, SecretName},
    gateway::{Refusal, Target, Transport},
};

/// Where the values of headers come from.
pub(super) enum Headers<'a> {
    /// A folder has no Secrets.
    Nowhere,
    /// From the Secrets of the MCPServer's namespace that were read.
    OfCluster { namespace: &'a str, secrets: &'a Known },
}

pub(super) fn remote_target(
    spec: &MCPServerSpec,
    remote: &Remote,
    from: Headers<'_>,
) -> Result<(Transport, Target), Refusal> {
    let Remote { url, headers_from, ca_bundle } = remote;
    let wrong =
        |why: &str| format!("spec.remote.url `{url}` {why}: write it like https://mcp.example.com/mcp");
    let transport = match spec.transport {
        Declared::StreamableHttp => Transport::StreamableHttp,
        Declared::Sse => Transport::Sse,
        Declared::Stdio => {
            let why = "spec.transport stdio has no meaning with spec.remote: use streamable-http or sse";
            return Err(why.to_owned().into());
        }
    };
    let url = Url::parse(url).map_err(|error| wrong(&format!("is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("is not an http or https URL with a host").into());
    }
    let host_header = host_header(spec)?.map(ToOwned::to_owned);
    let headers = headers_from.iter().map(|header| from.header(header)).collect::<Result<_, _>>();
    let headers = headers.map_err(Refusal::Headers)?;
    Ok((transport, Target::Url { url, host_header, headers, authorities: ca_bundle.clone() }))
}

impl Headers<'_> {
    fn header(&self, from: &HeaderFrom) -> Result<(HeaderName, HeaderValue), String> {
        let HeaderFrom { name, secret_key_ref } = from;
        let of = format!("spec.remote.headersFrom `{name}`");
        let Self::OfCluster { namespace, secrets } = self else {
            return Err(format!("{of} needs a Secret of a cluster: a folder has none, so remove it"));
        };
        let secret = SecretName { namespace: (*namespace).to_owned(), name: secret_key_ref.name.clone() };
        let value = secrets.value(&secret, &secret_key_ref.key).map_err(|why| format!("{of}: {why}"))?;
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{of} is not the name of a header: write it like Authorization"))?;
        // Files and `kubectl create secret --from-file` end with a newline.
        let mut value = HeaderValue::from_bytes(value.trim_ascii()).map_err(|_| {
            format!("{of}: key {} of {secret} is not one line of text: correct it", secret_key_ref.key)
        })?;
        value.set_sensitive(true);
        Ok((header, value))
    }
}
