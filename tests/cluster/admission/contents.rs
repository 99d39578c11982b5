//! What is in the pods: files, secrets, probes, and how a new revision comes.

use super::examples::Examples;

pub(super) const CONFIG: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "config: {files: {settings.yaml: 'a: b', _.env: ''}}",
        "config: {mountPath: /srv/app/config, files: {a: b}}",
    ],
    refused: &[
        (
            "config: {files: {}}",
            "spec.config.files is empty: name a file with its text, or remove spec.config",
        ),
        (
            "config: {files: {a/b: c}}",
            "spec.config.files must be named with letters, digits, dashes, dots and underscores, without folders: write them like settings.yaml",
        ),
        (
            "config: {mountPath: etc, files: {a: b}}",
            "spec.config.mountPath must be an absolute path without `:`, spaces, `.` or `..`, with no / at its end and outside /proc, /sys, /dev and /bridge-bin: write it like /etc/mcp",
        ),
        (
            "config: {mountPath: /tmp, files: {a: b}}",
            "spec.config.mountPath must not be /tmp, which the server writes to: write it like /etc/mcp",
        ),
    ],
};

pub(super) const SECRETS: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "secrets: [{env: API_TOKEN, secretKeyRef: {name: a, key: b}}, {file: /run/secrets/token, optional: true, secretKeyRef: {name: a, key: b}}]",
        "secrets: [{env: A, external: {store: {name: vault}, key: kv/a}}, {env: B, external: {store: {name: vault, kind: ClusterSecretStore}, key: kv/a, property: b, refresh: 5m}}]",
    ],
    refused: &[
        (
            "secrets: [{secretKeyRef: {name: a, key: b}}]",
            "spec.secrets[] must hold exactly one of env and file: say where the server finds it",
        ),
        (
            "secrets: [{env: A}]",
            "spec.secrets[] must hold exactly one of secretKeyRef and external: say where it is kept",
        ),
        (
            "secrets: [{env: 1A, secretKeyRef: {name: a, key: b}}]",
            "spec.secrets[].env must be the name of an environment variable, letters, digits and underscores and no digit first: write it like API_TOKEN",
        ),
        (
            "secrets: [{file: token, secretKeyRef: {name: a, key: b}}]",
            "spec.secrets[].file must be an absolute path without `:`, spaces, `.` or `..`, with no / at its end and outside /proc, /sys, /dev and /bridge-bin: write it like /run/secrets/token",
        ),
        (
            "secrets: [{env: A, secretKeyRef: {name: a, key: b}}, {env: A, secretKeyRef: {name: a, key: c}}]",
            "spec.secrets gives one env or file to two secrets: choose another for one of them",
        ),
        (
            "secrets: [{env: A, secretKeyRef: {name: 'a/b', key: b}}]",
            "secretKeyRef.name must be the name of a Secret, lowercase letters, digits, dashes and dots: correct it",
        ),
        (
            "secrets: [{env: A, external: {store: {name: vault}, key: a, refresh: 1s}}]",
            "external.refresh must be a number and a unit, such as 500ms, 60s or 5m, from 10s to 24h: write it that way",
        ),
        (
            "secrets: [{env: A, external: {store: {name: Vault}, key: a}}]",
            "external.store.name must be the name of a SecretStore or ClusterSecretStore, lowercase letters, digits, dashes and dots: correct it",
        ),
        (
            "secrets: [{file: /etc/mcp/token, secretKeyRef: {name: a, key: b}}], config: {files: {a: b}}",
            "spec.secrets[].file is inside spec.config.mountPath, whose files come from the ConfigMap alone: choose another folder",
        ),
    ],
};

pub(super) const PROBES: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "probes: {startup: {path: /healthz, period: 1s, timeout: 2s, failureThreshold: 300}, readiness: {tcp: true, port: 9000}, liveness: {disabled: true}}",
        "probes: {readiness: {period: 1m}}",
    ],
    refused: &[
        (
            "probes: {startup: {path: /a, tcp: true}}",
            "spec.probes: path asks by HTTP and tcp only connects: remove one of them",
        ),
        (
            "probes: {liveness: {disabled: true, path: /a}}",
            "spec.probes: disabled excludes everything else of a probe: remove disabled or the rest",
        ),
        (
            "probes: {liveness: {path: a}}",
            "spec.probes: path must begin with / and hold no space, ? or #: write it like /healthz",
        ),
        (
            "probes: {readiness: {port: 0}}",
            "spec.probes: port must be from 1 to 65535: set the port that is listened on",
        ),
        (
            "probes: {readiness: {period: 500ms}}",
            "spec.probes: period must be whole seconds, minutes or hours, from 1s to 1h: write it like 10s",
        ),
        (
            "probes: {readiness: {timeout: 2h}}",
            "spec.probes: timeout must be whole seconds, minutes or hours, from 1s to 1h: write it like 10s",
        ),
        (
            "probes: {readiness: {failureThreshold: 0}}",
            "spec.probes: failureThreshold must be from 1 to 1000: correct it",
        ),
    ],
};

pub(super) const ROLLOUT: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "rollout: {gate: contract, allowBreaking: true, drainTimeout: 5m}",
        "rollout: {allowBreaking: false}",
    ],
    refused: &[
        (
            "rollout: {allowBreaking: true}",
            "spec.rollout.allowBreaking has no meaning without a gate: set spec.rollout.gate to contract, or remove it",
        ),
        (
            "rollout: {drainTimeout: 2h}",
            "spec.rollout.drainTimeout must be a number and a unit, such as 500ms, 60s or 5m, from 1s to 1h: write it that way",
        ),
    ],
};

#[tokio::test]
async fn which_files() {
    CONFIG.hold().await;
}

#[tokio::test]
async fn which_secrets() {
    SECRETS.hold().await;
}

#[tokio::test]
async fn when_a_pod_is_well() {
    PROBES.hold().await;
}

#[tokio::test]
async fn how_a_new_revision_comes() {
    ROLLOUT.hold().await;
}
