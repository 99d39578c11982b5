//! Where a link leads: one pod, one URL, or one process.

use http::{HeaderName, HeaderValue, header::HOST};
use url::Url;

use crate::gateway::{
    downstream::{Endpoint, Program, ServerName, Target, Transport},
    members::Part,
    slots::Grouped,
};

/// Equal places are the same connection; a place that changes is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway) struct Place {
    /// The MCPServer that answers there.
    pub(in crate::gateway) server: ServerName,
    pub(in crate::gateway) at: At,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum At {
    Http {
        /// The pod's name; empty for a URL.
        id: String,
        url: Url,
        /// `Host` and what the user wants sent with every request.
        headers: Vec<(HeaderName, HeaderValue)>,
        /// PEM text of the authorities that its certificate is checked against.
        authorities: Option<String>,
        /// HTTP+SSE instead of Streamable HTTP.
        sse: bool,
    },
    Process(Program),
}

impl Place {
    /// The same wherever this pod is meant, on every replica; of a URL or a process, whatever its MCPServer is.
    pub(in crate::gateway) fn mark(&self) -> String {
        let pod = match &self.at {
            At::Http { id, .. } => id.as_str(),
            At::Process(_) => "",
        };
        format!("{} {pod}", self.server)
    }
}

impl Grouped for Place {
    fn is_of_group_of(&self, other: &Self) -> bool {
        self.server == other.server
    }
}

/// The places where an MCPServer can be reached for new calls: all endpoints that are not terminating.
///
/// # Errors
/// One sentence when its values do not go together.
pub(in crate::gateway) fn places(part: &Part<'_>) -> Result<Vec<Place>, String> {
    let sse = part.transport == Transport::Sse;
    let at = |at| Place { server: part.server.clone(), at };
    match part.target {
        Target::Members(_) => Ok(Vec::new()),
        Target::Process(program) => Ok(vec![at(At::Process(program.clone()))]),
        _ if part.transport == Transport::Stdio => {
            Err("transport stdio needs a process: give a command, or another transport".to_owned())
        }
        Target::Url { url, host_header, headers, authorities } => {
            let mut headers = headers.clone();
            if let Some(host) = host_header {
                headers.push((HOST, host_value(host)?));
            }
            let authorities = authorities.clone();
            Ok(vec![at(At::Http { id: String::new(), url: url.clone(), headers, authorities, sse })])
        }
        Target::Endpoints { path, host_header, endpoints } => {
            let host = host_value(host_header)?;
            let lasting = endpoints.iter().filter(|endpoint| !endpoint.terminating);
            lasting
                .map(|Endpoint { id, address, terminating: _ }| {
                    let url = Url::parse(&format!("http://{address}{path}")).map_err(|error| {
                        format!("path `{path}` makes no URL ({error}): begin it with `/`")
                    })?;
                    let headers = vec![(HOST, host.clone())];
                    Ok(at(At::Http { id: id.clone(), url, headers, authorities: None, sse }))
                })
                .collect()
        }
    }
}

fn host_value(host: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(host)
        .map_err(|_| format!("host header `{}` is not one: use a host name", host.escape_debug()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::{At, places};
    use crate::gateway::{Downstream, Endpoint, Prefix, ServerName, Target, Terms, ToolPolicy, Transport};

    fn downstream(target: Target) -> Downstream {
        Downstream {
            name: ServerName { namespace: "shop".to_owned(), name: "git".to_owned() },
            prefix: Prefix::parse("git").unwrap(),
            created: jiff::Timestamp::UNIX_EPOCH,
            transport: Transport::StreamableHttp,
            target,
            tools: ToolPolicy::default(),
            call_timeout: Duration::from_secs(60),
            terms: Terms::default(),
        }
    }

    #[test]
    fn a_terminating_pod_gets_nothing_new() {
        let endpoint = |id: &str, port: u16, terminating| Endpoint {
            id: id.to_owned(),
            address: ([127, 0, 0, 1], port).into(),
            terminating,
        };
        let endpoints = vec![endpoint("a", 1, false), endpoint("b", 2, true)];
        let target =
            Target::Endpoints { path: "/mcp".to_owned(), host_header: "git.shop".to_owned(), endpoints };
        let one = downstream(target);
        let places = places(&one.part(&one.name).unwrap()).unwrap();
        let [place] = places.as_slice() else { panic!("{places:?}") };
        let At::Http { id, url, .. } = &place.at else { panic!("{place:?}") };
        assert_eq!((id.as_str(), url.as_str()), ("a", "http://127.0.0.1:1/mcp"));
    }

    #[test]
    fn stdio_without_a_process_says_what_to_do() {
        let url = "http://localhost/mcp".parse().unwrap();
        let mut wrong =
            downstream(Target::Url { url, host_header: None, headers: vec![], authorities: None });
        wrong.transport = Transport::Stdio;
        assert!(places(&wrong.part(&wrong.name).unwrap()).unwrap_err().contains("give a command"));
    }
}
