//! Every field of an MCPServer at once, in a namespace that enforces Pod Security `restricted`, with a pod that
//! looks itself whether everything has reached it.

use serde_json::{Value, json};

use crate::support::{
    kubectl,
    one_server::{NAME, OneServer, SOON},
    own_operator::{OwnOperator, solo},
    wait::until,
};

/// Ends unless everything is where it was declared to be; else it listens.
const LOOK: &str = "set -eu
test \"$LEVEL\" = debug
test \"$FROM_MAP\" = yes
test \"$TOKEN\" = secret-1
test \"$OTEL_EXPORTER_OTLP_ENDPOINT\" = http://collector.monitoring:4318
test \"$(cat /etc/mcp/settings.yaml)\" = 'level: debug'
test \"$(cat /run/secrets/token)\" = secret-1
test \"$(id -u):$(id -g)\" = 1000:1000
test ! -e /var/run/secrets/kubernetes.io/serviceaccount/token
if touch /forbidden; then exit 9; fi
touch /cache/written /tmp/written
test -d /data
exec httpd -f -p 3001 -h /etc/mcp";

/// The disk of the claim: the test's cluster has nobody who makes one.
struct Disk(String);

impl Disk {
    fn new(namespace: &str) -> Self {
        let name = format!("disk-{namespace}");
        kubectl::apply(&format!(
            "---\n{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: {name}}}, spec: {{\
             capacity: {{storage: 1Gi}}, accessModes: [ReadWriteMany], storageClassName: {name}, \
             hostPath: {{path: '/tmp/{name}', type: DirectoryOrCreate}}}}}}"
        ));
        Self(name)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = kubectl::kubectl().args(["delete", "pv", &self.0, "--wait=false"]).output();
    }
}

fn whole(disk: &Disk) -> Value {
    json!({
        "image": "docker.io/pilothouse-test/busybox:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", LOOK],
        "port": 3001,
        "env": [{"name": "LEVEL", "value": "debug"}],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "autoscaling": {"min": 1, "max": 3, "cpu": 90},
        "disruptionBudget": {"maxUnavailable": 1},
        "storage": [
            {"mountPath": "/data", "size": "1Gi", "storageClassName": disk.0, "accessMode": "ReadWriteMany"},
            {"mountPath": "/cache", "emptyDir": {"sizeLimit": "10Mi"}}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "podAntiAffinity": "preferred",
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}],
        "podLabels": {"tier": "tools"},
        "podAnnotations": {"example.com/note": "by hand"},
        "security": {"runAsUser": 1000, "runAsGroup": 1000},
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/mcp"}},
        "config": {"files": {"settings.yaml": "level: debug"}},
        "secrets": [
            {"env": "TOKEN", "secretKeyRef": {"name": "keys", "key": "token"}},
            {"file": "/run/secrets/token", "secretKeyRef": {"name": "keys", "key": "token"}},
            {"env": "ABSENT", "optional": true, "secretKeyRef": {"name": "none", "key": "none"}}],
        "probes": {"liveness": {"tcp": true}},
        "networkPolicy": {"egress": [{"ports": [{"port": 443}]}]},
        "ingress": {"host": "mcp.example.com", "tlsSecretName": "mcp-tls"},
        "observability": {
            "metrics": {"port": 9090},
            "tracing": {"endpoint": "http://collector.monitoring:4318", "sampling": 0.5}},
    })
}

#[tokio::test]
async fn a_server_that_uses_every_field_runs_where_restricted_is_enforced() {
    let scratch = solo("fields");
    kubectl::run(&["label", "namespace", scratch.name(), "pod-security.kubernetes.io/enforce=restricted"]);
    kubectl::run(&["-n", scratch.name(), "create", "configmap", "settings", "--from-literal=FROM_MAP=yes"]);
    kubectl::run(&[
        "-n",
        scratch.name(),
        "create",
        "secret",
        "generic",
        "keys",
        "--from-literal=token=secret-1",
    ]);
    let disk = Disk::new(scratch.name());
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = OneServer::new(&operator.client, scratch.name());
    demo.create(whole(&disk)).await;
    demo.says("Available", "True PodsReady").await;
    demo.says("Accepted", "True").await;
    demo.says("SecretsNotReadable", "False Readable").await;
    let status = demo.servers.get(NAME).await.expect("it is there").status.expect("it has a status");
    let endpoints = status.endpoints.expect("it has endpoints");
    assert_eq!(endpoints.external.as_deref(), Some("https://mcp.example.com/mcp"));
    let metrics = format!("http://demo.{}.svc:9090/metrics", scratch.name());
    assert_eq!(endpoints.metrics, Some(metrics));
    for kind in [
        "v1/ServiceAccount",
        "v1/ConfigMap",
        "v1/Service",
        "networking.k8s.io/v1/NetworkPolicy",
        "policy/v1/PodDisruptionBudget",
        "autoscaling/v2/HorizontalPodAutoscaler",
        "networking.k8s.io/v1/Ingress",
    ] {
        demo.exists(kind, NAME).await;
    }
    // What an autoscaler chose stays, also when something else changes.
    kubectl::run(&["-n", scratch.name(), "scale", "deployment", NAME, "--replicas=2"]);
    demo.change(json!({"disruptionBudget": {"maxUnavailable": null, "minAvailable": 1}})).await;
    until("the budget is another", SOON, || async {
        let budget = demo.kind("policy/v1/PodDisruptionBudget").get(NAME).await.ok()?;
        (budget.data["spec"]["minAvailable"] == 1).then_some(())
    })
    .await;
    let deployment = demo.deployments.get(NAME).await.expect("it is there");
    assert_eq!(deployment.spec.and_then(|spec| spec.replicas), Some(2), "the autoscaler's choice");
    // What is no longer declared goes; data goes with the server alone.
    demo.change(json!({"autoscaling": null, "disruptionBudget": null, "ingress": null, "config": null,
        "storage": null, "networkPolicy": {"enabled": false, "egress": null}, "command": ["sh", "-c", "sleep 9999"],
        "serviceAccount": {"annotations": null, "create": false}}))
        .await;
    for kind in [
        "v1/ServiceAccount",
        "v1/ConfigMap",
        "networking.k8s.io/v1/NetworkPolicy",
        "policy/v1/PodDisruptionBudget",
        "autoscaling/v2/HorizontalPodAutoscaler",
        "networking.k8s.io/v1/Ingress",
    ] {
        demo.gone(kind, NAME).await;
    }
    let claims = kubectl::run(&["-n", scratch.name(), "get", "pvc", "-o", "name"]);
    assert!(claims.contains("demo-data-"), "{claims}");
    operator.stop().await;
}
