//! An MCPServer as a downstream. Pure: the sentence of an error is for whoever wrote the manifest.

mod pool;
mod remote;
mod terms;

use std::{path::Path, time::Duration};

use http::HeaderValue;
use jiff::Timestamp;
use kube::{ResourceExt, api::ObjectMeta};

use super::secrets::Known;
use crate::{
    api::mcp_server::{GatewaySpec, MCPServer, MCPServerSpec, Transport as Declared},
    gateway::{Downstream, Endpoint, Prefix, Program, Refusal, ServerName, Target, Transport},
};
pub(super) use pool::{member, name as pool_name, pool};
use remote::{Headers, remote_target};
use terms::Declaration;

pub(super) use terms::APPROVED_TOOLS;

/// Where the bridge of a stdio server answers.
const BRIDGE_PATH: &str = "/mcp";

/// The name under which a manifest is known; without a namespace it is in `default`.
pub(super) fn name(server: &MCPServer) -> ServerName {
    ServerName {
        namespace: server.namespace().unwrap_or_else(|| "default".to_owned()),
        name: server.name_any(),
    }
}

/// A server of the cluster, whose usable pods are `endpoints`; `secrets` are those that were read for it.
///
/// # Errors
/// One sentence that names the field and the fix. The API server refuses most of this already; objects from
/// before a rule, or stored without it, come here.
pub(super) fn in_cluster(
    server: &MCPServer,
    endpoints: Vec<Endpoint>,
    secrets: &Known,
) -> Result<Downstream, Refusal> {
    let (transport, target) = reached_in_cluster(server, endpoints, secrets)?;
    Ok(common(&Declaration::of(server), transport, target)?)
}

fn reached_in_cluster(
    server: &MCPServer,
    endpoints: Vec<Endpoint>,
    secrets: &Known,
) -> Result<(Transport, Target), Refusal> {
    let spec = &server.spec;
    match (&spec.image, &spec.remote) {
        (Some(_), Some(_)) => {
            Err("spec.image and spec.remote exclude each other: remove one of them".to_owned().into())
        }
        (None, None) => Err("spec.image is missing: set spec.image or spec.remote.url".to_owned().into()),
        (None, Some(remote)) => {
            let namespace = &name(server).namespace;
            remote_target(spec, remote, Headers::OfCluster { namespace, secrets })
        }
        (Some(_), None) => Ok(pods_target(server, endpoints)?),
    }
}

/// A server of a folder: `command` as a local process in `directory`, or `remote.url`.
///
/// # Errors
/// One sentence that names the field and the fix.
pub(super) fn local(server: &MCPServer, directory: &Path) -> Result<Downstream, Refusal> {
    let spec = &server.spec;
    let (transport, target) = match (spec.command.split_first(), &spec.remote) {
        (Some(_), Some(_)) => {
            return Err("spec.command and spec.remote exclude each other: remove one of them"
                .to_owned()
                .into());
        }
        (None, Some(remote)) => remote_target(spec, remote, Headers::Nowhere)?,
        (Some((command, rest)), None) => process_target(spec, command, rest, directory)?,
        (None, None) => {
            return Err(
                "spec.command and spec.remote are missing: a folder runs spec.command as a local process or connects to spec.remote.url, it runs no image"
                    .to_owned()
                    .into(),
            );
        }
    };
    Ok(common(&Declaration::of(server), transport, target)?)
}

fn common(declaration: &Declaration<'_>, transport: Transport, target: Target) -> Result<Downstream, String> {
    let GatewaySpec { prefix, call_timeout, .. } = declaration.gateway;
    let name = declaration.name.clone();
    let prefix = match prefix {
        Some(prefix) => Prefix::parse(prefix).map_err(|reason| format!("spec.gateway.prefix: {reason}"))?,
        None => Prefix::from_name(&name.name),
    };
    Ok(Downstream {
        name,
        prefix,
        created: created(declaration.metadata),
        transport,
        target,
        tools: declaration.tools(),
        call_timeout: Duration::max(call_timeout.duration(), Duration::from_millis(1)),
        terms: declaration.terms(),
    })
}

/// What has no such time, like a manifest in a folder, is older than anything else.
pub(super) fn created(metadata: &ObjectMeta) -> Timestamp {
    metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

fn pods_target(server: &MCPServer, endpoints: Vec<Endpoint>) -> Result<(Transport, Target), String> {
    let spec = &server.spec;
    let (transport, path) = match spec.transport {
        Declared::StreamableHttp => (Transport::StreamableHttp, spec.endpoint_path()),
        Declared::Sse => (Transport::Sse, spec.endpoint_path()),
        Declared::Stdio => (Transport::StreamableHttp, BRIDGE_PATH),
    };
    if !path.starts_with('/') {
        return Err(format!("spec.path `{path}` must begin with /: write it like /mcp"));
    }
    let ServerName { namespace, name } = name(server);
    let host_header = match host_header(spec)? {
        Some(host) => host.to_owned(),
        None => format!("{name}.{namespace}.svc:{}", spec.port),
    };
    Ok((transport, Target::Endpoints { path: path.to_owned(), host_header, endpoints }))
}

fn process_target(
    spec: &MCPServerSpec,
    command: &str,
    rest: &[String],
    directory: &Path,
) -> Result<(Transport, Target), String> {
    if spec.transport != Declared::Stdio {
        return Err(format!(
            "spec.transport is {}, but a folder speaks to a local process over stdio: set spec.transport to stdio",
            spec.transport
        ));
    }
    if !spec.env_from.is_empty() {
        return Err(
            "spec.envFrom needs a cluster: in a folder write the variables as values in spec.env".to_owned()
        );
    }
    let mut env = Vec::new();
    for variable in &spec.env {
        if variable.value_from.is_some() {
            return Err(format!(
                "spec.env `{}` has valueFrom, which needs a cluster: in a folder write its value",
                variable.name
            ));
        }
        env.push((variable.name.clone(), variable.value.clone().unwrap_or_default()));
    }
    // A path is meant from the manifest's folder; a bare name is looked up in PATH.
    let command = if command.contains('/') {
        directory.join(command).display().to_string()
    } else {
        command.to_owned()
    };
    let args = rest.iter().chain(&spec.args).cloned().collect();
    Ok((
        Transport::Stdio,
        Target::Process(Program { command, args, env, directory: Some(directory.to_owned()) }),
    ))
}

fn host_header(spec: &MCPServerSpec) -> Result<Option<&str>, String> {
    let Some(host) = spec.gateway.host_header.as_deref() else { return Ok(None) };
    let legal = !host.is_empty() && !host.contains([' ', '/']) && HeaderValue::from_str(host).is_ok();
    if !legal {
        return Err(format!(
            "spec.gateway.hostHeader `{host}` is not a host name: write it like mcp.example.com:8080"
        ));
    }
    Ok(Some(host))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::{Path, PathBuf};

    use serde_json::{Value, json};

    use super::{Known, in_cluster, local};
    use crate::{
        api::MCPServer,
        caller::Audience,
        gateway::{Pinning, Program, Target, Terms, Transport},
    };

    fn server(spec: Value) -> MCPServer {
        serde_json::from_value(json!({
            "apiVersion": "pilothouse.dev/v1alpha1",
            "kind": "MCPServer",
            "metadata": { "name": "my-time", "namespace": "tools" },
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn pods_are_reached_by_the_services_name() {
        let found =
            in_cluster(&server(json!({ "image": "time:1", "port": 9000 })), Vec::new(), &Known::default())
                .unwrap();
        assert_eq!((found.prefix.as_str(), found.transport), ("mytime", Transport::StreamableHttp));
        let Target::Endpoints { path, host_header, endpoints } = found.target else { panic!() };
        assert_eq!((path.as_str(), host_header.as_str()), ("/mcp", "my-time.tools.svc:9000"));
        assert!(endpoints.is_empty());
    }

    #[test]
    fn a_stdio_server_in_a_pod_is_reached_at_its_bridge() {
        let spec = json!({ "image": "x", "transport": "stdio", "command": ["x"], "path": "/own" });
        let found = in_cluster(&server(spec), Vec::new(), &Known::default()).unwrap();
        assert_eq!(found.transport, Transport::StreamableHttp);
        assert!(matches!(found.target, Target::Endpoints { path, .. } if path == "/mcp"));
    }

    #[test]
    fn an_sse_server_and_its_own_host_header() {
        let spec = json!({ "image": "x", "transport": "sse", "gateway": { "hostHeader": "localhost:1" } });
        let found = in_cluster(&server(spec), Vec::new(), &Known::default()).unwrap();
        assert_eq!(found.transport, Transport::Sse);
        let Target::Endpoints { path, host_header, .. } = found.target else { panic!() };
        assert_eq!((path.as_str(), host_header.as_str()), ("/sse", "localhost:1"));
    }

    #[test]
    fn what_cannot_be_used_is_said_in_a_sentence() {
        for (spec, part) in [
            (json!({}), "spec.image is missing"),
            (json!({ "image": "x", "remote": { "url": "http://a/" } }), "exclude each other"),
            (json!({ "remote": { "url": "ftp://a/" } }), "spec.remote.url"),
            (json!({ "remote": { "url": "a b" } }), "spec.remote.url"),
            (json!({ "remote": { "url": "http://a/" }, "transport": "stdio" }), "spec.transport"),
            (json!({ "image": "x", "gateway": { "prefix": "A-b" } }), "spec.gateway.prefix"),
            (json!({ "image": "x", "gateway": { "prefix": "get" } }), "reserved"),
            (json!({ "image": "x", "gateway": { "hostHeader": "a/b" } }), "spec.gateway.hostHeader"),
            (json!({ "image": "x", "path": "mcp" }), "spec.path"),
        ] {
            let reason =
                in_cluster(&server(spec.clone()), Vec::new(), &Known::default()).unwrap_err().to_string();
            assert!(reason.contains(part), "{spec}: {reason}");
        }
    }

    #[test]
    fn a_folders_command_runs_in_the_manifests_folder() {
        let spec = json!({
            "transport": "stdio", "command": ["./bin/notes", "a"], "args": ["b"],
            "env": [{ "name": "NOTES", "value": "notes" }],
        });
        let found = local(&server(spec), Path::new("/srv/tools")).unwrap();
        let Target::Process(Program { command, args, env, directory }) = found.target else { panic!() };
        assert_eq!(command, "/srv/tools/./bin/notes");
        assert_eq!(args, ["a", "b"]);
        assert_eq!(env, [("NOTES".to_owned(), "notes".to_owned())]);
        assert_eq!(directory, Some(PathBuf::from("/srv/tools")));
    }

    #[test]
    fn what_a_folder_cannot_run_is_said_in_a_sentence() {
        let secret =
            json!([{ "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
        for (spec, part) in [
            (json!({ "image": "x" }), "it runs no image"),
            (json!({ "command": ["x"] }), "spec.transport"),
            (json!({ "transport": "stdio", "command": ["x"], "env": secret }), "`TOKEN` has valueFrom"),
            (
                json!({ "transport": "stdio", "command": ["x"], "envFrom": [{ "prefix": "A" }] }),
                "spec.envFrom",
            ),
            (json!({ "command": ["x"], "remote": { "url": "http://a/" } }), "exclude each other"),
        ] {
            let reason = local(&server(spec.clone()), Path::new("/")).unwrap_err().to_string();
            assert!(reason.contains(part), "{spec}: {reason}");
        }
    }

    #[test]
    fn the_terms_are_those_of_the_manifest() {
        let spec = json!({
            "image": "x",
            "rollout": { "drainTimeout": "5m" },
            "scaleToZero": { "idleAfter": "10s", "wakeTimeout": "30s" },
            "gateway": {
                "access": { "groups": ["payments"], "serviceAccounts": ["shop/bot"] },
                "maxConcurrentCalls": 3, "stateless": true, "redact": false, "pinning": "enforce",
                "tools": { "rename": { "a": "b" } },
            },
        });
        let mut server = self::server(spec);
        let approved = ("pilothouse.dev/approved-tools".to_owned(), "a=1, b=2".to_owned());
        server.metadata.annotations = Some([approved].into());
        server.status = Some(serde_json::from_value(json!({ "pins": { "a": "0" } })).unwrap());
        let found = in_cluster(&server, Vec::new(), &Known::default()).unwrap();
        let audience = Audience {
            groups: vec!["payments".to_owned()],
            users: vec![],
            service_accounts: vec!["shop/bot".to_owned()],
        };
        let expected = Terms {
            audience: Some(audience),
            at_once: std::num::NonZeroUsize::new(3),
            stateless: true,
            redact: false,
            pinning: Pinning::Enforce,
            approved: ["a=1".to_owned(), "b=2".to_owned()].into(),
            pins: [("a".to_owned(), "0".to_owned())].into(),
            drain: std::time::Duration::from_secs(300),
            wakes_within: Some(std::time::Duration::from_secs(30)),
        };
        assert_eq!(found.terms, expected);
        assert_eq!(found.tools.name("a"), "b");
        let plain = self::server(json!({ "image": "x" }));
        assert_eq!(in_cluster(&plain, Vec::new(), &Known::default()).unwrap().terms, Terms::default());
    }
}
