//! What passes, what is refused, and in which words.

use serde_json::json;

use super::{SOON, Stage, policy};
use crate::support::{installation::permissions, kubectl, wait::until};

const LABELS: &str = "team: shop";
/// What every good server here begins with.
const BASE: &str = "image: 'docker.io/pilothouse-test/busybox:1', replicas: 0, resources: {limits: {cpu: 100m, memory: 64Mi}}";

impl Stage {
    fn server(&self, more: &str) -> Result<String, String> {
        self.dry_run(&self.manifest("MCPServer", "demo", &format!("{{{BASE}{more}}}"), LABELS))
    }

    /// Without a word of warning.
    fn passes(&self, manifest: &str) {
        let said = self.dry_run(manifest).unwrap_or_else(|said| panic!("refused: {said}: {manifest}"));
        assert!(!said.contains("Warning"), "{said}");
    }

    /// As kubectl prints what an API server finds invalid.
    fn refuses(&self, manifest: &str, kind: &str, name: &str, causes: &[&str]) {
        let said = self.dry_run(manifest).expect_err(manifest);
        let said: String = said.split_inclusive('\n').filter(|line| !line.starts_with("Warning: ")).collect();
        let expected = match causes {
            [one] => format!("The {kind} \"{name}\" is invalid: {one}\n"),
            many => {
                let lines: String = many.iter().map(|cause| format!("* {cause}\n")).collect();
                format!("The {kind} \"{name}\" is invalid: \n{lines}")
            }
        };
        assert_eq!(said, expected, "{manifest}");
    }
}

#[tokio::test]
async fn the_policy_is_held_with_one_answer_for_everything() {
    let stage = Stage::new("policy", json!({"policy": policy(), "webhook": {}})).await;
    let good = |spec: &str| stage.manifest("MCPServer", "demo", &format!("{{{BASE}{spec}}}"), LABELS);
    let limits = "resources: {limits: {cpu: 100m, memory: 64Mi}}";
    for image in [
        "docker.io/pilothouse-test/busybox@sha256:00",
        "pilothouse-test/a/b:2",
        "registry.example.com/shop/mcp/time:1",
    ] {
        stage.passes(&stage.manifest(
            "MCPServer",
            "demo",
            &format!("{{image: '{image}', {limits}}}"),
            "team: search",
        ));
    }
    stage.passes(&stage.manifest(
        "MCPServer",
        "demo",
        "{remote: {url: 'https://mcp.example.com/mcp'}}",
        LABELS,
    ));
    stage.passes(&good(
        ", serviceAccount: {annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::1:role/mcp-a'}}",
    ));
    let images = [
        (
            "docker.io/evil/time:1",
            "spec.image: Invalid value: \"docker.io/evil/time:1\": operator.policy.images.repositories does not allow the repository docker.io/evil/time: use an image from docker.io/pilothouse-test or registry.example.com/*/mcp",
        ),
        (
            "docker.io/pilothouse-test/busybox:latest",
            "spec.image: Invalid value: \"docker.io/pilothouse-test/busybox:latest\": operator.policy.images.requireTag does not allow the tag latest, which is another image tomorrow: name a version or a digest, such as docker.io/pilothouse-test/busybox:1.0.0 or docker.io/pilothouse-test/busybox@sha256:...",
        ),
        (
            "docker.io/pilothouse-test/busybox",
            "spec.image: Invalid value: \"docker.io/pilothouse-test/busybox\": operator.policy.images.requireTag requires a tag: name a version or a digest, such as docker.io/pilothouse-test/busybox:1.0.0 or docker.io/pilothouse-test/busybox@sha256:...",
        ),
    ];
    for (image, expected) in images {
        let spec = format!("{{image: '{image}', {limits}}}");
        stage.refuses(&stage.manifest("MCPServer", "demo", &spec, LABELS), "MCPServer", "demo", &[expected]);
    }
    let others = [
        (
            "serviceAccount: {annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::1:role/admin'}}",
            "spec.serviceAccount.annotations[eks.amazonaws.com/role-arn]: Invalid value: \"arn:aws:iam::1:role/admin\": operator.policy.identityAnnotations does not allow this value: set it to arn:aws:iam::1:role/mcp-*",
        ),
        (
            "serviceAccount: {annotations: {iam.gke.io/gcp-service-account: a}}",
            "spec.serviceAccount.annotations[iam.gke.io/gcp-service-account]: Invalid value: \"a\": operator.policy.identityAnnotations does not allow this annotation: remove it, or use eks.amazonaws.com/role-arn",
        ),
    ];
    for (spec, expected) in others {
        stage.refuses(&good(&format!(", {spec}")), "MCPServer", "demo", &[expected]);
    }
    let all = "{image: 'evil/time', resources: {limits: {memory: 64Mi}}, \
        secrets: [{env: A, external: {store: {name: mine}, key: a}}, {env: B, secretKeyRef: {name: b, key: b}}], \
        env: [{name: B, value: b}]}";
    stage.refuses(
        &stage.manifest("MCPServer", "demo", all, "team: none"),
        "MCPServer",
        "demo",
        &[
            "metadata.labels[team]: Invalid value: \"none\": operator.policy.labels does not allow this value: set it to shop or search",
            "spec.image: Invalid value: \"evil/time\": operator.policy.images.repositories does not allow the repository docker.io/evil/time: use an image from docker.io/pilothouse-test or registry.example.com/*/mcp",
            "spec.image: Invalid value: \"evil/time\": operator.policy.images.requireTag requires a tag: name a version or a digest, such as evil/time:1.0.0 or evil/time@sha256:...",
            "spec.resources.limits[cpu]: Required value: operator.policy.resources.requireLimits requires this limit: set it, for example to 500m",
            "spec.secrets[0].external.store: Invalid value: \"SecretStore/mine\": operator.policy.secretStores does not allow this store: use ClusterSecretStore/vault",
            "spec.secrets[1].env: Duplicate value: \"B\": spec.env sets this variable too: remove one of them",
        ],
    );
    let pool = "{selector: {matchLabels: {pool: a}}}";
    let required = "metadata.labels[team]: Required value: operator.policy.labels requires this label: set it to shop or search";
    stage.passes(&stage.manifest("MCPPool", "demo", pool, LABELS));
    stage.refuses(&stage.manifest("MCPPool", "demo", pool, ""), "MCPPool", "demo", &[required]);
    let source = |store: &str| {
        format!(
            "{{type: database, endpoint: 'postgresql://db:5432/a', credentials: [{{name: password, external: {{store: {store}, key: a}}}}]}}"
        )
    };
    stage.refuses(
        &stage.manifest("DataSource", "orders", &source("{name: vault}"), ""),
        "DataSource",
        "orders",
        &[
            required,
            "spec.credentials[0].external.store: Invalid value: \"SecretStore/vault\": operator.policy.secretStores does not allow this store: use ClusterSecretStore/vault",
        ],
    );
    let allowed =
        stage.manifest("DataSource", "orders", &source("{kind: ClusterSecretStore, name: vault}"), LABELS);
    assert!(stage.dry_run(&allowed).is_ok());
}

#[tokio::test]
async fn objects_of_others_are_seen() {
    let stage = Stage::new("others", json!({"webhook": {}})).await;
    let namespace = stage.namespace();
    let good = |name: &str, more: &str| stage.manifest("MCPServer", name, &format!("{{{BASE}{more}}}"), "");
    stage.passes(&good("demo", ""));
    kubectl::run(&["-n", namespace, "create", "service", "clusterip", "demo", "--tcp=80:80"]);
    kubectl::run(&["-n", namespace, "create", "configmap", "demo"]);
    let taken = |kind: &str| {
        format!(
            "metadata.name: Invalid value: \"demo\": {kind} {namespace}/demo exists already and belongs to somebody else: delete it or give this MCPServer another name"
        )
    };
    stage.refuses(&good("demo", ""), "MCPServer", "demo", &[&taken("Service")]);
    // Only what it would make itself is looked for.
    let both = [taken("ConfigMap"), taken("Service")];
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    stage.refuses(&good("demo", ", config: {files: {a: b}}"), "MCPServer", "demo", &both);
    stage.passes(&good("another", ""));
    kubectl::apply(&format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: theirs, namespace: {namespace}}}\n\
         spec: {{maxReplicas: 3, scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: another}}}}\n"
    ));
    let scaled = format!(
        "spec.autoscaling: Forbidden: HorizontalPodAutoscaler {namespace}/theirs scales the Deployment another, whose pods this MCPServer sets: let it scale the MCPServer another, or delete it"
    );
    stage.refuses(&good("another", ""), "MCPServer", "another", &[&scaled]);
    // The oldest keeps a contested prefix, and whoever comes later is told so.
    kubectl::apply(&good("first", ", gateway: {prefix: contested}"));
    let second = good("second", ", gateway: {prefix: contested}");
    let contested = format!(
        "The MCPServer \"second\" is invalid: spec.gateway.prefix: Duplicate value: \"contested\": MCPServer {namespace}/first has this prefix and keeps it, since it is older: set another\n"
    );
    until("the prefix is known", SOON, || async { stage.dry_run(&second).err() }).await;
    assert_eq!(stage.dry_run(&second), Err(contested));
    stage.passes(&good("second", ", gateway: {prefix: free}"));
    stage.passes(&good("first", ", gateway: {prefix: contested}, env: [{name: A, value: b}]"));
}

/// Applied in any order, as by GitOps: what may come later is warned of.
#[tokio::test]
async fn references_that_do_not_exist_are_warned_of() {
    let stage = Stage::new("warned", json!({"webhook": {}})).await;
    let namespace = stage.namespace();
    let said = stage.server(", envFrom: [{configMapRef: {name: settings}}]").expect("it is only a warning");
    let expected = format!(
        "Warning: spec.envFrom[0].configMapRef.name: Not found: \"settings\": ConfigMap {namespace}/settings does not exist: create it, or correct the name\n"
    );
    assert!(said.contains(&expected), "{said}");
    kubectl::run(&["-n", namespace, "create", "configmap", "settings", "--from-literal=a=b"]);
    let spec = format!("{{{BASE}, envFrom: [{{configMapRef: {{name: settings}}}}]}}");
    stage.passes(&stage.manifest("MCPServer", "demo", &spec, LABELS));
    // A server that belongs to an older pool stays there.
    kubectl::apply(&stage.manifest("MCPServer", "member", &format!("{{{BASE}}}"), "pool: search"));
    kubectl::apply(&stage.manifest("MCPPool", "old", "{selector: {matchLabels: {pool: search}}}", ""));
    let newer = stage.manifest("MCPPool", "zz-new", "{selector: {matchLabels: {pool: search}}}", "");
    let said = stage.dry_run(&newer).expect("it is only a warning");
    let expected = "Warning: spec.selector: Duplicate value: \"member\": it belongs to the MCPPool old, which is older: select others, or change its labels\n";
    assert!(said.contains(expected), "{said}");
}

#[tokio::test]
async fn references_that_do_not_exist_are_refused_where_that_is_configured() {
    let stage = Stage::new("denied", json!({"webhook": {"references": "deny"}})).await;
    let namespace = stage.namespace();
    let spec = format!(
        "{{{BASE}, serviceAccount: {{name: robot}}, imagePullSecrets: [{{name: registry}}], \
         env: [{{name: A, valueFrom: {{configMapKeyRef: {{name: settings, key: a}}}}}}, \
               {{name: O, valueFrom: {{configMapKeyRef: {{name: none, key: a, optional: true}}}}}}], \
         secrets: [{{env: B, secretKeyRef: {{name: keys, key: token}}}}, \
                   {{env: C, external: {{store: {{name: vault, kind: ClusterSecretStore}}, key: c}}}}], \
         storage: [{{mountPath: /data, claimName: data}}], dataSources: {{matchNames: [orders]}}}}"
    );
    let demo = stage.manifest("MCPServer", "demo", &spec, "");
    let missing = |field: &str, what: &str, name: &str| {
        format!(
            "{field}: Not found: \"{name}\": {what} {namespace}/{name} does not exist: create it, or correct the name"
        )
    };
    let store = "spec.secrets[1].external.store.name: Not found: \"vault\": ClusterSecretStore vault does not exist: create it, or correct the name".to_owned();
    let all = [
        missing("spec.env[0].valueFrom.configMapKeyRef.name", "ConfigMap", "settings"),
        missing("spec.secrets[0].secretKeyRef.name", "Secret", "keys"),
        store.clone(),
        missing("spec.imagePullSecrets[0].name", "Secret", "registry"),
        missing("spec.serviceAccount.name", "ServiceAccount", "robot"),
        missing("spec.storage[0].claimName", "PersistentVolumeClaim", "data"),
        missing("spec.dataSources.matchNames[0]", "DataSource", "orders"),
    ];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    stage.refuses(&demo, "MCPServer", "demo", &all);
    for create in [
        vec!["configmap", "settings", "--from-literal=b=c"],
        vec!["secret", "generic", "keys", "--from-literal=other=c"],
        vec!["secret", "generic", "registry"],
        vec!["serviceaccount", "robot"],
    ] {
        kubectl::run(&[vec!["-n", namespace, "create"], create].concat());
    }
    kubectl::apply(&format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data, namespace: {namespace}}}\n\
         spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n---\n{}",
        stage.manifest("DataSource", "orders", "{type: api, endpoint: 'http://a.example'}", "")
    ));
    let keys = [
        format!(
            "spec.env[0].valueFrom.configMapKeyRef.key: Not found: \"a\": ConfigMap {namespace}/settings has no such key: add it, or correct the key"
        ),
        format!(
            "spec.secrets[0].secretKeyRef.key: Not found: \"token\": Secret {namespace}/keys has no such key: add it, or correct the key"
        ),
        store,
    ];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    stage.refuses(&demo, "MCPServer", "demo", &keys);
    let good = spec.replace("key: a}}}, ", "key: b}}}, ").replace("key: token", "key: other");
    let good =
        good.replace(", {env: C, external: {store: {name: vault, kind: ClusterSecretStore}, key: c}}", "");
    stage.passes(&stage.manifest("MCPServer", "demo", &good, ""));
    let credentials = "{type: api, endpoint: 'http://a.example', credentials: [{name: token, secretKeyRef: {name: nowhere, key: token}}]}";
    let expected = missing("spec.credentials[0].secretKeyRef.name", "Secret", "nowhere");
    stage.refuses(&stage.manifest("DataSource", "hits", credentials, ""), "DataSource", "hits", &[&expected]);
}

/// The rights of the manifests are enough, and what they do not let it read is not spoken of.
#[tokio::test]
async fn it_works_with_its_own_rights_and_says_nothing_of_secrets_that_it_may_not_read() {
    let stage = Stage::with_its_rights("rights", json!({"webhook": {"references": "deny"}})).await;
    let namespace = stage.namespace();
    let spec = format!(
        "{{{BASE}, envFrom: [{{configMapRef: {{name: settings}}}}, {{secretRef: {{name: keys}}}}], \
         secrets: [{{env: C, external: {{store: {{name: vault}}, key: c}}}}]}}"
    );
    let demo = stage.manifest("MCPServer", "demo", &spec, "");
    let missing = |field: &str, what: &str, name: &str| {
        format!(
            "{field}: Not found: \"{name}\": {what} {namespace}/{name} does not exist: create it, or correct the name"
        )
    };
    let [map, secret, store] = [
        missing("spec.envFrom[0].configMapRef.name", "ConfigMap", "settings"),
        missing("spec.envFrom[1].secretRef.name", "Secret", "keys"),
        missing("spec.secrets[0].external.store.name", "SecretStore", "vault"),
    ];
    stage.refuses(&demo, "MCPServer", "demo", &[&map, &store]);
    let account = format!("--serviceaccount={namespace}:operator");
    let bind = ["create", "rolebinding", "pilothouse-secrets", "--clusterrole=pilothouse-secrets", &account];
    permissions();
    kubectl::run(&[&["-n", namespace], bind.as_slice()].concat());
    until("Secrets are readable", SOON, || async {
        stage.dry_run(&demo).err().filter(|said| said.contains("spec.envFrom[1]"))
    })
    .await;
    stage.refuses(&demo, "MCPServer", "demo", &[&map, &secret, &store]);
}
