//! Pools and data sources.

use super::examples::Examples;

pub(super) const POOL: Examples = Examples {
    kind: "MCPPool",
    base: "selector: {matchLabels: {pool: search}}",
    accepted: &[
        "gateway: {prefix: docs, maxConcurrentCalls: 10}",
        "selector: {matchExpressions: [{key: pool, operator: In, values: [a, b]}]}",
    ],
    refused: &[
        (
            "selector: {}",
            "spec.selector selects every MCPServer of the namespace: name a label in matchLabels, such as pool: search",
        ),
        (
            "gateway: {prefix: get}",
            "spec.gateway.prefix is reserved for pilothouse's own tools: choose another",
        ),
    ],
};

pub(super) const SOURCE: Examples = Examples {
    kind: "DataSource",
    base: "type: database, endpoint: 'postgresql://db.shop:5432/orders'",
    accepted: &[
        "credentials: [{name: username, secretKeyRef: {name: db, key: user}}, {name: password, external: {store: {name: vault}, key: db, property: password}}]",
        "endpoint: 'rediss://cache.shop', tls: {caBundle: \"-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n\"}, type: storage",
        "type: search, endpoint: 'https://search.example.com:9200/_cluster', engine: http, healthCheck: {interval: 1m, timeout: 5s, path: /_health}",
        "type: storage, endpoint: 'tcp://[fd00::1]:9000', allowedNamespaces: ['*']",
        "type: database, endpoint: 'mysql://db.shop:3306/orders?ssl=true', engine: tcp, allowedNamespaces: [team-a, team-b]",
        "endpoint: 'https://a.example', engine: tcp",
        "type: api, endpoint: 'https://api.example.com/v1', engine: http, credentials: [{name: token, external: {store: {name: all, kind: ClusterSecretStore}, key: api, refresh: 30s}}]",
        "engine: postgresql, tls: {}, healthCheck: {}",
        "endpoint: 'redis://cache.shop:6379/1', engine: redis, credentials: []",
    ],
    refused: &[
        (
            "type: queue",
            "Unsupported value: \"queue\": supported values: \"database\", \"search\", \"storage\", \"api\"",
        ),
        (
            "endpoint: 'tcp://queue.shop:5672', engine: amqp",
            "Unsupported value: \"amqp\": supported values: \"postgresql\", \"redis\", \"http\", \"tcp\"",
        ),
        (
            "endpoint: db.shop:5432",
            "spec.endpoint must be a URL with a host: write it like postgresql://db.shop:5432/orders, https://api.example.com or tcp://store:9000",
        ),
        (
            "endpoint: 'postgresql://ann:secret@db.shop:5432/orders'",
            "spec.endpoint must hold no user or password, since everybody who may read the DataSource sees it: put them into spec.credentials",
        ),
        (
            "endpoint: 'tcp://store'",
            "spec.endpoint needs a port, since its scheme has none of its own: write it like tcp://store:9000",
        ),
        (
            "engine: http",
            "spec.engine http goes with an endpoint that begins with http:// or https://, and no other engine does: correct one of them",
        ),
        (
            "endpoint: 'https://a.example', engine: redis",
            "spec.engine http goes with an endpoint that begins with http:// or https://, and no other engine does: correct one of them",
        ),
        (
            "endpoint: 'http://a.example', tls: {}",
            "spec.tls has no meaning with an http endpoint: write spec.endpoint with https://, or remove spec.tls",
        ),
        (
            "tls: {caBundle: MIIB}",
            "spec.tls.caBundle must be the certificates as PEM text: begin it with -----BEGIN CERTIFICATE-----",
        ),
        (
            "credentials: [{name: user-name, secretKeyRef: {name: a, key: b}}]",
            "spec.credentials[].name must be a lowercase letter followed by letters and digits: write it like username or accessKey",
        ),
        (
            "credentials: [{name: username}]",
            "spec.credentials[] must hold exactly one of secretKeyRef and external: say where it is kept",
        ),
        (
            "credentials: [{name: username, secretKeyRef: {name: a, key: b}, external: {store: {name: vault}, key: k}}]",
            "spec.credentials[] must hold exactly one of secretKeyRef and external: say where it is kept",
        ),
        (
            "credentials: [{name: token, external: {store: {name: vault}, key: k, refresh: 1s}}]",
            "external.refresh must be a number and a unit, such as 500ms, 60s or 5m, from 10s to 24h: write it that way",
        ),
        (
            "healthCheck: {interval: 1s}",
            "spec.healthCheck.interval must be a number and a unit, such as 500ms, 60s or 5m, from 10s to 24h: write it that way",
        ),
        (
            "healthCheck: {timeout: 2m}",
            "spec.healthCheck.timeout must be a number and a unit, such as 500ms, 60s or 5m, from 1s to 60s: write it that way",
        ),
        (
            "healthCheck: {path: health}",
            "spec.healthCheck.path must begin with / and hold no space, ? or #: write it like /healthz",
        ),
        (
            "allowedNamespaces: ['team-*']",
            "spec.allowedNamespaces must hold names of namespaces, or \"*\" for all: write them like team-a",
        ),
    ],
};

#[tokio::test]
async fn which_servers_a_pool_holds() {
    POOL.hold().await;
}

#[tokio::test]
async fn where_data_is() {
    SOURCE.hold().await;
}
