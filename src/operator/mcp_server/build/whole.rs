//! A server that uses every field, and its children as they are applied.

#![allow(clippy::unwrap_used)]

use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::tests::children_of;
use crate::operator::mcp_server::{child::Child, fixture::server, kind::Kind};

pub(super) const WHOLE: &str = include_str!("whole.yaml");

fn children(spec: &str) -> Vec<Child> {
    let mut server = server(spec);
    server.metadata.labels = Some([("team".to_owned(), "search".to_owned())].into());
    children_of(&server).list().unwrap()
}

fn objects(kind: Kind, spec: &str) -> Vec<DynamicObject> {
    let of_kind = children(spec).into_iter().filter(|child| child.kind == kind);
    of_kind.map(|child| child.object).collect()
}

fn one(kind: Kind, spec: &str) -> Value {
    let all = objects(kind, spec);
    assert_eq!(all.len(), 1, "{kind}: {spec}");
    serde_json::to_value(&all[0]).unwrap()
}

#[test]
fn every_child_of_a_server_that_uses_every_field() {
    let documents: Vec<String> = children(WHOLE)
        .iter()
        .map(|child| format!("# {}\n{}", child.kind, serde_saphyr::to_string(&child.object).unwrap()))
        .collect();
    insta::assert_snapshot!(documents.join("---\n"));
}

/// Field by field: the spec beside `image: a`, the child it must reach, where, and what must be there.
#[test]
fn each_field_reaches_its_child() {
    const POD: &str = "/spec/template/spec";
    const CONTAINER: &str = "/spec/template/spec/containers/0";
    use Kind::{
        Autoscaler, Claim, ConfigMap, Deployment, DisruptionBudget, ExternalSecret, Ingress, NetworkPolicy,
        Service, ServiceAccount, ServiceMonitor,
    };
    let at = |base: &str, path: &str| format!("{base}{path}");
    let table: Vec<(&str, Kind, String, Value)> = vec![
        ("imagePullPolicy: Always", Deployment, at(CONTAINER, "/imagePullPolicy"), json!("Always")),
        ("imagePullSecrets: [{name: pull}]", Deployment, at(POD, "/imagePullSecrets/0/name"), json!("pull")),
        ("command: [node]", Deployment, at(CONTAINER, "/command"), json!(["node"])),
        ("args: [x]", Deployment, at(CONTAINER, "/args"), json!(["x"])),
        ("port: 3001", Service, "/spec/ports/0/port".to_owned(), json!(3001)),
        ("port: 3001", Deployment, at(CONTAINER, "/ports/0/containerPort"), json!(3001)),
        ("replicas: 3", Deployment, "/spec/replicas".to_owned(), json!(3)),
        (
            "env: [{name: A, value: b}]",
            Deployment,
            at(CONTAINER, "/env/0"),
            json!({"name": "A", "value": "b"}),
        ),
        (
            "envFrom: [{configMapRef: {name: s}}]",
            Deployment,
            at(CONTAINER, "/envFrom"),
            json!([{"configMapRef": {"name": "s"}}]),
        ),
        ("resources: {limits: {cpu: '1'}}", Deployment, at(CONTAINER, "/resources/limits/cpu"), json!("1")),
        ("autoscaling: {max: 4}", Autoscaler, "/spec/maxReplicas".to_owned(), json!(4)),
        ("autoscaling: {min: 2, max: 4}", Autoscaler, "/spec/minReplicas".to_owned(), json!(2)),
        ("autoscaling: {min: 2, max: 4}", Deployment, "/spec/replicas".to_owned(), json!(2)),
        (
            "autoscaling: {max: 4}",
            Autoscaler,
            "/spec/metrics".to_owned(),
            json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]),
        ),
        (
            "autoscaling: {max: 4, memory: 70}",
            Autoscaler,
            "/spec/metrics/0/resource".to_owned(),
            json!({"name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}}),
        ),
        ("disruptionBudget: {minAvailable: 1}", DisruptionBudget, "/spec/minAvailable".to_owned(), json!(1)),
        (
            "disruptionBudget: {maxUnavailable: 50%}",
            DisruptionBudget,
            "/spec/maxUnavailable".to_owned(),
            json!("50%"),
        ),
        (
            "storage: [{mountPath: /data, claimName: kept}]",
            Deployment,
            at(POD, "/volumes/1/persistentVolumeClaim/claimName"),
            json!("kept"),
        ),
        (
            "storage: [{mountPath: /data, emptyDir: {sizeLimit: 1Gi, medium: Memory}}]",
            Deployment,
            at(POD, "/volumes/1/emptyDir"),
            json!({"medium": "Memory", "sizeLimit": "1Gi"}),
        ),
        (
            "storage: [{mountPath: /data, claimName: kept, readOnly: true, subPath: a}]",
            Deployment,
            at(CONTAINER, "/volumeMounts/1"),
            json!({"mountPath": "/data", "name": "storage-0", "readOnly": true, "subPath": "a"}),
        ),
        (
            "storage: [{mountPath: /tmp, emptyDir: {}}]",
            Deployment,
            at(CONTAINER, "/volumeMounts"),
            json!([{"mountPath": "/tmp", "name": "storage-0"}]),
        ),
        (
            "storage: [{mountPath: /data, size: 1Gi, storageClassName: fast, accessMode: ReadWriteMany}]",
            Claim,
            "/spec".to_owned(),
            json!({"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}},
                "storageClassName": "fast"}),
        ),
        (
            "storage: [{mountPath: /data, size: 1Gi}]",
            Deployment,
            "/spec/strategy/type".to_owned(),
            json!("Recreate"),
        ),
        (
            "storage: [{mountPath: /data, size: 1Gi}]",
            Deployment,
            at(POD, "/securityContext/fsGroup"),
            json!(65532),
        ),
        ("nodeSelector: {disk: ssd}", Deployment, at(POD, "/nodeSelector"), json!({"disk": "ssd"})),
        ("tolerations: [{key: gpu}]", Deployment, at(POD, "/tolerations/0/key"), json!("gpu")),
        ("affinity: {nodeAffinity: {}}", Deployment, at(POD, "/affinity"), json!({"nodeAffinity": {}})),
        (
            "podAntiAffinity: required",
            Deployment,
            at(POD, "/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/topologyKey"),
            json!("kubernetes.io/hostname"),
        ),
        (
            "podAntiAffinity: preferred",
            Deployment,
            at(POD, "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/weight"),
            json!(100),
        ),
        (
            "topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]",
            Deployment,
            at(POD, "/topologySpreadConstraints/0/labelSelector/matchLabels/app.kubernetes.io~1instance"),
            json!("demo"),
        ),
        ("podLabels: {tier: a}", Deployment, "/spec/template/metadata/labels/tier".to_owned(), json!("a")),
        (
            "podAnnotations: {a/b: c}",
            Deployment,
            "/spec/template/metadata/annotations/a~1b".to_owned(),
            json!("c"),
        ),
        ("security: {runAsUser: 1000}", Deployment, at(POD, "/securityContext/runAsUser"), json!(1000)),
        ("security: {runAsGroup: 1001}", Deployment, at(POD, "/securityContext/runAsGroup"), json!(1001)),
        ("security: {fsGroup: 1002}", Deployment, at(POD, "/securityContext/fsGroup"), json!(1002)),
        (
            "security: {supplementalGroups: [7]}",
            Deployment,
            at(POD, "/securityContext/supplementalGroups"),
            json!([7]),
        ),
        (
            "security: {readOnlyRootFilesystem: false}",
            Deployment,
            at(CONTAINER, "/securityContext/readOnlyRootFilesystem"),
            json!(false),
        ),
        (
            "security: {mountServiceAccountToken: true}",
            Deployment,
            at(POD, "/automountServiceAccountToken"),
            json!(true),
        ),
        (
            "security: {seccompProfile: {type: Localhost, localhostProfile: p.json}}",
            Deployment,
            at(POD, "/securityContext/seccompProfile"),
            json!({"type": "Localhost", "localhostProfile": "p.json"}),
        ),
        ("serviceAccount: {name: kept}", Deployment, at(POD, "/serviceAccountName"), json!("kept")),
        ("serviceAccount: {create: false}", Deployment, at(POD, "/serviceAccountName"), json!("default")),
        (
            "serviceAccount: {annotations: {eks.amazonaws.com/role-arn: r}}",
            ServiceAccount,
            "/metadata/annotations/eks.amazonaws.com~1role-arn".to_owned(),
            json!("r"),
        ),
        (
            "config: {mountPath: /etc/x, files: {a.yaml: text}}",
            ConfigMap,
            "/data".to_owned(),
            json!({"a.yaml": "text"}),
        ),
        (
            "config: {mountPath: /etc/x, files: {a.yaml: text}}",
            Deployment,
            at(CONTAINER, "/volumeMounts/1"),
            json!({"mountPath": "/etc/x", "name": "config", "readOnly": true}),
        ),
        (
            "secrets: [{env: TOKEN, optional: true, secretKeyRef: {name: s, key: k}}]",
            Deployment,
            at(CONTAINER, "/env/0/valueFrom/secretKeyRef"),
            json!({"name": "s", "key": "k", "optional": true}),
        ),
        (
            "secrets: [{file: /run/x, secretKeyRef: {name: s, key: k}}]",
            Deployment,
            at(POD, "/volumes/1/projected/sources/0/secret"),
            json!({"name": "s", "items": [{"key": "k", "path": "0"}]}),
        ),
        (
            "secrets: [{file: /run/x, secretKeyRef: {name: s, key: k}}]",
            Deployment,
            at(CONTAINER, "/volumeMounts/1"),
            json!({"mountPath": "/run/x", "name": "secrets", "readOnly": true, "subPath": "0"}),
        ),
        (
            "secrets: [{env: TOKEN, external: {store: {name: vault, kind: ClusterSecretStore}, key: k, property: p, refresh: 5m}}]",
            ExternalSecret,
            "/spec".to_owned(),
            json!({"refreshInterval": "300s", "secretStoreRef": {"kind": "ClusterSecretStore", "name": "vault"},
                "target": {"name": "demo-token-f981", "creationPolicy": "Owner"},
                "data": [{"secretKey": "value", "remoteRef": {"key": "k", "property": "p"}}]}),
        ),
        (
            "secrets: [{env: TOKEN, external: {store: {name: vault}, key: k}}]",
            Deployment,
            at(CONTAINER, "/env/0/valueFrom/secretKeyRef"),
            json!({"name": "demo-token-f981", "key": "value"}),
        ),
        (
            "probes: {readiness: {path: /ready, port: 81, period: 7s, timeout: 2s, failureThreshold: 9}}",
            Deployment,
            at(CONTAINER, "/readinessProbe"),
            json!({"httpGet": {"path": "/ready", "port": 81, "scheme": "HTTP"}, "periodSeconds": 7,
                "timeoutSeconds": 2, "failureThreshold": 9}),
        ),
        (
            "probes: {liveness: {tcp: true}}",
            Deployment,
            at(CONTAINER, "/livenessProbe/tcpSocket/port"),
            json!("mcp"),
        ),
        (
            "networkPolicy: {ingressFrom: [{ipBlock: {cidr: 10.0.0.0/8}}]}",
            NetworkPolicy,
            "/spec/ingress/0/from/1".to_owned(),
            json!({"ipBlock": {"cidr": "10.0.0.0/8"}}),
        ),
        (
            "networkPolicy: {egress: [{ports: [{port: 443}]}]}",
            NetworkPolicy,
            "/spec/egress/1/ports/0/port".to_owned(),
            json!(443),
        ),
        (
            "ingress: {host: a.example.com, className: nginx}",
            Ingress,
            "/spec/ingressClassName".to_owned(),
            json!("nginx"),
        ),
        (
            "ingress: {host: a.example.com, path: /x, tlsSecretName: t, annotations: {a/b: c}}",
            Ingress,
            "/spec/tls".to_owned(),
            json!([{"hosts": ["a.example.com"], "secretName": "t"}]),
        ),
        (
            "ingress: {host: a.example.com, annotations: {a/b: c}}",
            Ingress,
            "/metadata/annotations/a~1b".to_owned(),
            json!("c"),
        ),
        (
            "ingress: {host: a.example.com, path: /x}",
            Ingress,
            "/spec/rules/0/http/paths/0/path".to_owned(),
            json!("/x"),
        ),
        (
            "observability: {metrics: {port: 9090}}",
            Service,
            "/spec/ports/1".to_owned(),
            json!({"name": "metrics", "port": 9090, "targetPort": "metrics", "protocol": "TCP"}),
        ),
        (
            "observability: {metrics: {port: 9090}}",
            Deployment,
            at(CONTAINER, "/ports/1/containerPort"),
            json!(9090),
        ),
        (
            "observability: {metrics: {port: 9090}}",
            NetworkPolicy,
            "/spec/ingress/1/ports/0/port".to_owned(),
            json!(9090),
        ),
        (
            "observability: {metrics: {path: /m, interval: 15s, serviceMonitor: {labels: {release: p}}}}",
            ServiceMonitor,
            "/spec/endpoints".to_owned(),
            json!([{"port": "mcp", "path": "/m", "interval": "15s"}]),
        ),
        (
            "observability: {metrics: {serviceMonitor: {labels: {release: p}}}}",
            ServiceMonitor,
            "/metadata/labels/release".to_owned(),
            json!("p"),
        ),
        (
            "observability: {metrics: {serviceMonitor: {namespace: monitoring}}}",
            ServiceMonitor,
            "/metadata/namespace".to_owned(),
            json!("monitoring"),
        ),
        (
            "observability: {tracing: {endpoint: 'http://collector.monitoring:4318'}}",
            Deployment,
            at(CONTAINER, "/env/0"),
            json!({"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector.monitoring:4318"}),
        ),
        (
            "observability: {tracing: {endpoint: 'http://collector.monitoring:4318', sampling: 0.1}}",
            Deployment,
            at(CONTAINER, "/env/5"),
            json!({"name": "OTEL_TRACES_SAMPLER_ARG", "value": "0.1"}),
        ),
    ];
    for (field, kind, path, expected) in table {
        let child = one(kind, &format!("image: a\n{field}"));
        assert_eq!(child.pointer(&path), Some(&expected), "{field} in {kind} {path}: {child}");
    }
}

#[test]
fn what_is_not_declared_is_not_made() {
    let none =
        |kind, spec: &str| assert_eq!(objects(kind, &format!("image: a\n{spec}")), [], "{kind}: {spec}");
    none(Kind::ServiceAccount, "serviceAccount: {name: kept}");
    none(Kind::ServiceAccount, "serviceAccount: {create: false}");
    none(Kind::NetworkPolicy, "networkPolicy: {enabled: false}");
    none(Kind::ServiceMonitor, "observability: {metrics: {port: 1}}");
    none(Kind::Claim, "storage: [{mountPath: /a, emptyDir: {}}]");
    none(Kind::ExternalSecret, "secrets: [{env: A, secretKeyRef: {name: a, key: b}}]");
    for kind in [Kind::ConfigMap, Kind::Autoscaler, Kind::DisruptionBudget, Kind::Ingress] {
        none(kind, "port: 1");
    }
    let probes = "image: a\nprobes: {startup: {disabled: true}, readiness: {disabled: true}}";
    let deployment = one(Kind::Deployment, probes);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert!(container.get("startupProbe").is_none() && container.get("readinessProbe").is_none());
}

#[test]
fn what_changes_no_pod_rolls_no_pod() {
    let hash = |spec: &str| {
        let deployment = one(Kind::Deployment, &format!("image: a\n{spec}"));
        deployment["spec"]["template"]["metadata"]["annotations"]["pilothouse.dev/config-hash"].clone()
    };
    let before = hash("port: 8080");
    for same in [
        "autoscaling: {max: 9}",
        "disruptionBudget: {minAvailable: 1}",
        "networkPolicy: {enabled: false}",
        "ingress: {host: a.example.com}",
        "serviceAccount: {annotations: {a/b: c}}",
    ] {
        assert_eq!(hash(same), before, "{same}");
    }
    for other in [
        "config: {files: {a: b}}",
        "secrets: [{env: A, secretKeyRef: {name: a, key: b}}]",
        "storage: [{mountPath: /a, emptyDir: {}}]",
        "security: {runAsUser: 7}",
        "serviceAccount: {name: other}",
        "podLabels: {a: b}",
        "nodeSelector: {a: b}",
        "probes: {liveness: {tcp: true}}",
    ] {
        assert_ne!(hash(other), before, "{other}");
    }
    assert_eq!(
        hash("storage: [{mountPath: /a, size: 1Gi}]"),
        hash("storage: [{mountPath: /a, size: 2Gi}]"),
        "a claim that grows rolls no pod"
    );
}

/// Made by the version before these fields: another hash would roll every pod at an upgrade.
#[test]
fn servers_that_use_no_new_field_keep_their_hash() {
    let cases = [
        ("", "image: a", "9f9b38c7b3038359"),
        (
            "team",
            "{image: 'registry:5000/a/b:1.2', imagePullPolicy: Always, imagePullSecrets: [{name: pull}], port: 3001,
              command: [node], args: [x], env: [{name: A, value: b}], envFrom: [{configMapRef: {name: settings}}],
              resources: {limits: {cpu: '1'}}}",
            "c8928a801f96b7d0",
        ),
        ("", "{image: a, transport: stdio, command: [node, s.js], args: [--x]}", "ad616cb056ee140a"),
    ];
    for (label, spec, expected) in cases {
        let mut server = server(spec);
        if !label.is_empty() {
            server.metadata.labels = Some([(label.to_owned(), "search".to_owned())].into());
        }
        let children = children_of(&server);
        for kind in [Kind::ServiceAccount, Kind::Service, Kind::Deployment] {
            let all = children.list().unwrap();
            let child = all.into_iter().find(|child| child.kind == kind).unwrap();
            let inputs = super::DesiredHash::of(&child.object).unwrap().inputs;
            assert_eq!(inputs, expected, "{kind}: {spec}");
        }
    }
}

#[test]
fn a_monitor_in_another_namespace_names_its_server() {
    let monitor =
        one(Kind::ServiceMonitor, "image: a\nobservability: {metrics: {serviceMonitor: {namespace: m}}}");
    assert_eq!(monitor["metadata"]["name"], "team-a-demo");
    assert!(monitor["metadata"].get("ownerReferences").is_none());
    let owner = &monitor["metadata"]["annotations"]["pilothouse.dev/owner"];
    assert_eq!(owner, "team-a/demo/uid-of-demo");
}
