//! What runs or where it is, and how its tools appear.

use super::examples::Examples;

pub(super) const SOURCE: Examples = Examples {
    kind: "MCPServer",
    base: "",
    accepted: &[
        "image: 'registry.example:5000/a/b@sha256:0123'",
        "image: a, type: internal-api, transport: sse, port: 3001, path: /x/sse",
        "image: a, transport: stdio, command: [node, s.js]",
        "image: a, replicas: 0, env: [{name: A, value: b}], envFrom: [{configMapRef: {name: c}}]",
        "remote: {url: 'https://mcp.example.com:8443/mcp?x=1'}, type: external-saas",
        "remote: {url: 'http://b.example'}, litellm: {register: true}",
    ],
    refused: &[
        (
            "image: a, remote: {url: 'http://b.example/mcp'}",
            "spec.image and spec.remote exclude each other: remove one of them",
        ),
        (
            "replicas: 1",
            "spec.image is missing: set spec.image to run a server, or spec.remote.url to use one that is already there",
        ),
        (
            "image: a, transport: stdio",
            "spec.command is required when spec.transport is stdio: name the program the image would start, for example [\"node\", \"server.js\"]",
        ),
        (
            "image: a, transport: stdio, command: []",
            "spec.command is required when spec.transport is stdio: name the program the image would start, for example [\"node\", \"server.js\"]",
        ),
        (
            "remote: {url: 'http://b.example/mcp'}, transport: stdio",
            "spec.transport stdio has no meaning with spec.remote: use streamable-http or sse",
        ),
        (
            "remote: {url: 'http://b.example/mcp'}, config: {files: {a: b}}",
            "spec.remote is a server that is already there, so what describes a pod has no meaning: remove autoscaling, scaleToZero, disruptionBudget, storage, config, secrets, probes, rollout, security, serviceAccount, networkPolicy, ingress, observability, dataSources and where pods are placed",
        ),
        ("image: a, port: 0", "spec.port must be from 1 to 65535: set the port the server listens on"),
        ("image: a, port: 65536", "spec.port must be from 1 to 65535: set the port the server listens on"),
        ("image: a, path: mcp", "spec.path must begin with / and hold no space, ? or #: write it like /mcp"),
        ("image: a, replicas: 1001", "spec.replicas must be from 0 to 1000: set 0 to stop the server"),
        (
            "image: 'a b'",
            "spec.image must name an image without spaces, such as docker.io/mcp/everything:1: correct it",
        ),
    ],
};

pub(super) const REMOTE: Examples = Examples {
    kind: "MCPServer",
    base: "",
    accepted: &[
        "remote: {url: 'https://a.example/mcp', headersFrom: [{name: Authorization, secretKeyRef: {name: s, key: token}}, {name: X-Api-Key, secretKeyRef: {name: s.t, key: api_key.txt}}]}",
        "remote: {url: 'https://a.example/mcp', caBundle: \"-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n\"}",
    ],
    refused: &[
        (
            "remote: {url: 'ftp://b.example'}",
            "spec.remote.url must be an http or https URL with a host: write it like https://mcp.example.com/mcp",
        ),
        (
            "remote: {url: 'https://me:secret@b.example/mcp'}",
            "spec.remote.url must hold no user or password, since everybody who may read the MCPServer sees it: leave them out",
        ),
        (
            "remote: {url: 'https://a.example', headersFrom: [{name: 'X Api', secretKeyRef: {name: s, key: k}}]}",
            "spec.remote.headersFrom[].name must be the name of a header, letters, digits and dashes: write it like Authorization",
        ),
        (
            "remote: {url: 'https://a.example', headersFrom: [{name: Mcp-Session-Id, secretKeyRef: {name: s, key: k}}]}",
            "spec.remote.headersFrom[].name is a header that pilothouse sets itself: remove it, or use spec.gateway.hostHeader for Host",
        ),
        (
            "remote: {url: 'https://a.example', headersFrom: [{name: X-A, secretKeyRef: {name: S, key: k}}]}",
            "secretKeyRef.name must be the name of a Secret, lowercase letters, digits, dashes and dots: correct it",
        ),
        (
            "remote: {url: 'https://a.example', headersFrom: [{name: X-A, secretKeyRef: {name: s, key: 'a/b'}}]}",
            "secretKeyRef.key must be a key of a Secret, letters, digits, dashes, dots and underscores: correct it",
        ),
        (
            "remote: {url: 'https://a.example', caBundle: MIIB}",
            "spec.remote.caBundle must be the certificates as PEM text: begin it with -----BEGIN CERTIFICATE-----",
        ),
    ],
};

pub(super) const GATEWAY: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "gateway: {prefix: '', tools: {allow: [a], deny: [b], rename: {a_long_name: short, other: long}}, hostHeader: 'a.b:80', callTimeout: 5m}",
        "gateway: {access: {groups: ['team:a'], users: [ann@example.com], serviceAccounts: [team-a/bot]}, maxConcurrentCalls: 4, stateless: true, redact: false, pinning: enforce}",
        "gateway: {prefix: time, callTimeout: 500ms, pinning: report, redact: true}",
    ],
    refused: &[
        (
            "gateway: {prefix: My-Tools}",
            "spec.gateway.prefix must be a lowercase letter followed by at most 15 lowercase letters or digits, or \"\" for none: rename it",
        ),
        (
            "gateway: {prefix: abcdefghijklmnopq}",
            "spec.gateway.prefix must be a lowercase letter followed by at most 15 lowercase letters or digits, or \"\" for none: rename it",
        ),
        (
            "gateway: {prefix: get}",
            "spec.gateway.prefix is reserved for pilothouse's own tools: choose another",
        ),
        (
            "gateway: {callTimeout: soon}",
            "spec.gateway.callTimeout must be a number and a unit, such as 500ms, 60s or 5m, from 1ms to 24h: write it that way",
        ),
        (
            "gateway: {callTimeout: 25h}",
            "spec.gateway.callTimeout must be a number and a unit, such as 500ms, 60s or 5m, from 1ms to 24h: write it that way",
        ),
        (
            "gateway: {hostHeader: 'a b'}",
            "spec.gateway.hostHeader must be a host name, with a port if needed: write it like mcp.example.com:8080",
        ),
        (
            "gateway: {maxConcurrentCalls: 0}",
            "spec.gateway.maxConcurrentCalls must be from 1 to 10000: correct it",
        ),
        (
            "gateway: {tools: {rename: {a: 'b c'}}}",
            "spec.gateway.tools.rename must give names of 1 to 40 letters, digits, underscores and dashes: correct them",
        ),
        (
            "gateway: {tools: {rename: {a: c, b: c}}}",
            "spec.gateway.tools.rename gives one name to two tools: choose another for one of them",
        ),
        (
            "gateway: {access: {}}",
            "spec.gateway.access names nobody, so nobody could use the server: name groups, users or serviceAccounts, or remove it",
        ),
        (
            "gateway: {access: {serviceAccounts: [bot]}}",
            "spec.gateway.access.serviceAccounts must be written as namespace/name: correct them",
        ),
    ],
};

#[tokio::test]
async fn what_runs_or_where_it_is() {
    SOURCE.hold().await;
}

#[tokio::test]
async fn how_a_remote_server_is_reached() {
    REMOTE.hold().await;
}

#[tokio::test]
async fn how_tools_appear() {
    GATEWAY.hold().await;
}
