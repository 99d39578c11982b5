//! What we make passes the rules of the common Gatekeeper library. Gatekeeper is not there: its rules are written here
//! as admission policies of one namespace, each of which is first shown to refuse a pod that breaks it.

mod rules;

use serde_json::{Value, json};

use crate::support::{
    kubectl,
    one_server::SOON,
    own_operator::{OwnOperator, solo},
    wait::until,
};
use rules::{OF_INGRESSES, OF_PODS, OF_SERVICES, Rule};

/// In force in one namespace until dropped.
struct Library {
    namespace: String,
}

impl Library {
    fn new(namespace: &str) -> Self {
        let library = Self { namespace: namespace.to_owned() };
        let kinds = [
            (OF_PODS, "", "pods"),
            (OF_SERVICES, "", "services"),
            (OF_INGRESSES, "networking.k8s.io", "ingresses"),
        ];
        let policies: Vec<String> = kinds
            .into_iter()
            .flat_map(|(rules, group, resource)| {
                rules.iter().flat_map(|rule| library.policy(rule, group, resource)).collect::<Vec<_>>()
            })
            .map(|policy| policy.to_string())
            .collect();
        kubectl::apply(&policies.join("\n"));
        library
    }

    fn policy(&self, rule: &Rule, group: &str, resource: &str) -> [Value; 2] {
        let name = format!("{}-{}", self.namespace, rule.name);
        let labels = json!({ "gatekeeper": self.namespace });
        let variables = json!([{
            "name": "all",
            "expression": "has(object.spec.containers) ? object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : []) : []",
        }]);
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}]},
                "matchConditions": [{
                    "name": "asked",
                    "expression": format!("object.metadata.?labels[?'{ONLY}'].orValue('{name}') == '{name}'", name = rule.name),
                }],
                "variables": if resource == "pods" { variables } else { json!([]) },
                "validations": [{"expression": rule.holds, "message": format!("[{}]", rule.name)}],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}},
            },
        });
        [policy, binding]
    }

    fn dry_run(&self, object: &Value) -> Result<String, String> {
        kubectl::ask(&["-n", &self.namespace, "create", "--dry-run=server", "-f", "-"], &object.to_string())
    }

    /// Each rule refuses an object that breaks it.
    async fn refuses(&self, good: &str, rules: &[Rule]) {
        for rule in rules {
            let bad = broken(good, rule);
            let what = format!("{} is in force", rule.name);
            let said = until(&what, SOON, || async { self.dry_run(&bad).err() }).await;
            // An API server that allows no privileged pod at all says so before it asks anybody.
            let is_refused_before = said.contains("privileged: Forbidden: disallowed by cluster policy");
            assert!(is_refused_before || said.contains(&format!("[{}]", rule.name)), "{}: {said}", rule.name);
        }
        self.dry_run(&object(good)).unwrap_or_else(|said| panic!("the good one is refused: {said}"));
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let label = format!("gatekeeper={}", self.namespace);
        let kinds = "validatingadmissionpolicybindings,validatingadmissionpolicies";
        let _ = kubectl::kubectl().args(["delete", kinds, "-l", &label]).output();
    }
}

fn object(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).expect("YAML")
}

/// Which of the policies looks at it; the others do not.
const ONLY: &str = "only";

fn broken(good: &str, rule: &Rule) -> Value {
    let mut bad = object(good);
    bad["metadata"]["labels"][ONLY] = json!(rule.name);
    let (path, value) = rule.broken;
    let (parent, key) = path.rsplit_once('/').expect("a path");
    let parent = bad.pointer_mut(parent).and_then(Value::as_object_mut).expect("its parent is there");
    match object(value) {
        Value::Null => drop(parent.remove(&key.replace("~1", "/"))),
        value => drop(parent.insert(key.to_owned(), value)),
    }
    bad
}

/// Servers of every sort, by what their specs say.
const SERVERS: [(&str, &str); 5] = [
    ("minimal", "{image: 'docker.io/pilothouse-test/busybox:1'}"),
    (
        "bridged",
        "{image: 'docker.io/pilothouse-test/python:1', transport: stdio, command: [mcp-server-time]}",
    ),
    ("gated", "{image: 'docker.io/pilothouse-test/busybox:1', rollout: {gate: contract, drainTimeout: 30s}}"),
    (
        "scaled",
        "{image: 'docker.io/pilothouse-test/busybox:1', replicas: 2, disruptionBudget: {minAvailable: 1}, podAntiAffinity: preferred}",
    ),
    (
        "full",
        "{image: 'docker.io/pilothouse-test/busybox:1', port: 3001, type: internal-api, \
          env: [{name: LEVEL, value: debug}], autoscaling: {min: 1, max: 3, cpu: 90}, \
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 500m, memory: 64Mi}}, \
          storage: [{mountPath: /cache, emptyDir: {sizeLimit: 10Mi}}], \
          security: {runAsUser: 1000, runAsGroup: 1000}, config: {files: {settings.yaml: 'level: debug'}}, \
          secrets: [{file: /run/secrets/token, optional: true, secretKeyRef: {name: keys, key: token}}], \
          probes: {liveness: {path: /healthz}}, networkPolicy: {egress: [{ports: [{port: 443}]}]}, \
          serviceAccount: {annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::1:role/mcp'}}, \
          ingress: {host: mcp.example.com, tlsSecretName: mcp-tls}, observability: {metrics: {port: 9090}}}",
    ),
];

#[tokio::test]
async fn every_child_of_every_sort_of_server_passes_the_common_library() {
    let scratch = solo("gatekeeper");
    let namespace = scratch.name();
    kubectl::run(&["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"]);
    // Made before those that are waited for below, so in force before them.
    let _library = Library::new(namespace);
    // Pod Security refuses most of these too: that each rule can refuse is shown where it is not enforced.
    let lax = solo("gatekeeper-lax");
    let elsewhere = Library::new(lax.name());
    elsewhere.refuses(rules::GOOD_POD, OF_PODS).await;
    elsewhere.refuses(rules::GOOD_SERVICE, OF_SERVICES).await;
    elsewhere.refuses(rules::GOOD_INGRESS, OF_INGRESSES).await;
    let operator = OwnOperator::start(namespace, "test").await;
    for (name, spec) in SERVERS {
        kubectl::apply(&format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
        ));
    }
    for (name, _) in SERVERS {
        // A refused pod shows in the Deployment; a refused child in the condition.
        let pod = until(&format!("a pod of {name}"), SOON, || async {
            let label = format!("app.kubernetes.io/instance={name}");
            let pods = kubectl::run(&["-n", namespace, "get", "pods", "-l", &label, "-o", "name"]);
            let refused = kubectl::run(&[
                "-n",
                namespace,
                "get",
                "deployments",
                "-l",
                &label,
                "-o",
                "jsonpath={.items[*].status.conditions[?(@.type==\"ReplicaFailure\")].message}",
            ]);
            assert_eq!(refused, "", "a pod of {name} is refused");
            (!pods.is_empty()).then_some(pods)
        })
        .await;
        assert!(pod.starts_with("pod/"), "{pod}");
        let accepted = "jsonpath={.status.conditions[?(@.type==\"Accepted\")].status}";
        let said = until(&format!("{name} is looked at"), SOON, || async {
            let said = kubectl::run(&["-n", namespace, "get", "mcpserver", name, "-o", accepted]);
            (!said.is_empty()).then_some(said)
        })
        .await;
        assert_eq!(said, "True", "{name}");
    }
    operator.stop().await;
}
