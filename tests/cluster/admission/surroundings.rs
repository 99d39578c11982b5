//! Who reaches the server, what it reaches, and where it is registered.

use super::examples::Examples;

pub(super) const NETWORK: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "networkPolicy: {enabled: false}",
        "networkPolicy: {ingressFrom: [{namespaceSelector: {matchLabels: {a: b}}, podSelector: {}}], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 5432, protocol: TCP}]}, {}]}",
        "ingress: {host: mcp.example.com}",
        "ingress: {host: '*.example.com', path: /mcp, className: nginx, tlsSecretName: mcp-tls, annotations: {cert-manager.io/cluster-issuer: a}}",
    ],
    refused: &[
        (
            "networkPolicy: {enabled: false, egress: [{}]}",
            "spec.networkPolicy.enabled is false, so ingressFrom and egress have no meaning: enable it or remove them",
        ),
        (
            "ingress: {host: 'https://mcp.example.com'}",
            "spec.ingress.host must be a host name in lowercase: write it like mcp.example.com",
        ),
        (
            "ingress: {host: a.example, path: mcp}",
            "spec.ingress.path must begin with / and hold no space, ? or #: write it like /",
        ),
        (
            "ingress: {host: a.example, className: Nginx}",
            "spec.ingress.className must be the name of an IngressClass, lowercase letters, digits, dashes and dots: correct it",
        ),
        (
            "ingress: {host: a.example, tlsSecretName: a/b}",
            "spec.ingress.tlsSecretName must be the name of a Secret, lowercase letters, digits, dashes and dots: correct it",
        ),
    ],
};

pub(super) const OBSERVABILITY: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "observability: {metrics: {}}",
        "observability: {metrics: {port: 9090, path: /stats, interval: 15s, serviceMonitor: {labels: {release: prometheus}, namespace: monitoring}}, tracing: {endpoint: 'http://collector.monitoring:4318', sampling: 0.1}}",
        "observability: {tracing: {endpoint: 'https://otlp.example.com/v1', sampling: 1}}",
    ],
    refused: &[
        (
            "observability: {metrics: {port: 70000}}",
            "spec.observability.metrics.port must be from 1 to 65535: set the port that is listened on",
        ),
        (
            "observability: {metrics: {path: stats}}",
            "spec.observability.metrics.path must begin with / and hold no space, ? or #: write it like /metrics",
        ),
        (
            "observability: {metrics: {interval: 100ms}}",
            "spec.observability.metrics.interval must be a number and a unit, such as 500ms, 60s or 5m, from 1s to 1h: write it that way",
        ),
        (
            "observability: {metrics: {serviceMonitor: {labels: {release: 'a b'}}}}",
            "spec.observability.metrics.serviceMonitor.labels must be labels, at most 63 letters, digits, dashes, dots and underscores on each side, beginning and ending with a letter or digit: write them like team: search",
        ),
        (
            "observability: {metrics: {serviceMonitor: {namespace: Monitoring}}}",
            "spec.observability.metrics.serviceMonitor.namespace must be the name of a namespace, lowercase letters, digits, dashes and dots: correct it",
        ),
        (
            "observability: {tracing: {endpoint: 'collector:4317'}}",
            "spec.observability.tracing.endpoint must be an http or https URL with a host and without user or password: write it like http://collector.monitoring:4318",
        ),
        (
            "observability: {tracing: {endpoint: 'http://a:4318', sampling: 10}}",
            "spec.observability.tracing.sampling must be from 0 to 1: write 0.1 for every tenth trace",
        ),
    ],
};

pub(super) const CONNECTED: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "dataSources: {matchLabels: {team: shop}}",
        "dataSources: {matchNames: [orders], namespaces: [shop, billing], policy: {readOnly: false, maxRows: 50}, template: {format: toml, text: a, mountPath: /etc/mcp-sources/sources.toml}}",
        "litellm: {register: true, allowedUserGroups: [shop-team, 'ops:all']}",
        "litellm: {}",
    ],
    refused: &[
        ("dataSources: {}", "spec.dataSources selects nothing: set matchLabels or matchNames"),
        (
            "dataSources: {matchLabels: {}}",
            "spec.dataSources.matchLabels is empty: name a label, or remove it",
        ),
        (
            "dataSources: {matchLabels: {team: '-'}}",
            "spec.dataSources.matchLabels must be labels, at most 63 letters, digits, dashes, dots and underscores on each side, beginning and ending with a letter or digit: write them like team: search",
        ),
        (
            "dataSources: {matchNames: []}",
            "spec.dataSources.matchNames is empty: name a DataSource, or remove it",
        ),
        (
            "dataSources: {matchNames: [a], namespaces: [Shop]}",
            "spec.dataSources.namespaces must hold names of namespaces: write them like team-a",
        ),
        (
            "dataSources: {matchNames: [a], policy: {maxRows: 0}}",
            "spec.dataSources.policy.maxRows must be from 1 to 1000000: correct it",
        ),
        (
            "dataSources: {matchNames: [a], template: {format: json, text: a, mountPath: sources.json}}",
            "spec.dataSources.template.mountPath must be an absolute path without `:`, spaces, `.` or `..`, with no / at its end and outside /proc, /sys, /dev and /bridge-bin: write it like /etc/mcp-sources/sources.toml",
        ),
        (
            "dataSources: {matchNames: [a], template: {format: json, text: a, mountPath: /etc/mcp/sources.json}}, config: {files: {a: b}}",
            "spec.dataSources.template.mountPath is inside spec.config.mountPath, whose files come from the ConfigMap alone: choose another folder",
        ),
        (
            "litellm: {allowedUserGroups: [a]}",
            "spec.litellm.allowedUserGroups has no meaning while register is false: set register to true, or remove it",
        ),
        (
            "litellm: {register: true, allowedUserGroups: ['a,b']}",
            "spec.litellm.allowedUserGroups must hold names without spaces and commas: correct them",
        ),
    ],
};

#[tokio::test]
async fn who_reaches_it() {
    NETWORK.hold().await;
}

#[tokio::test]
async fn how_it_is_observed() {
    OBSERVABILITY.hold().await;
}

#[tokio::test]
async fn what_it_is_connected_to() {
    CONNECTED.hold().await;
}
