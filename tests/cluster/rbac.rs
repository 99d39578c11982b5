//! Reading never writes: what the reader sends is refused by the API server itself, whoever it acts for.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::support::{client, installation, kubectl, namespace::Scratch, wait::until};

const VIEWER: &str = "system:serviceaccount:pilothouse:pilothouse-viewer";
const SOON: Duration = Duration::from_secs(20);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Identity {
    Viewer,
    ClusterAdmin,
}

/// A client that sends what the reader sends for this identity; `via` as the reader does, or without it.
async fn reader(identity: Identity, via: bool) -> Client {
    let mut headers = match identity {
        Identity::Viewer => vec![("impersonate-user", VIEWER)],
        Identity::ClusterAdmin => {
            vec![("impersonate-user", "tester"), ("impersonate-group", "system:masters")]
        }
    };
    if via {
        headers.push(("impersonate-extra-pilothouse.dev%2fvia", "reader"));
    }
    with_headers(client::config().await, &headers)
}

fn with_headers(mut config: Config, headers: &[(&'static str, &str)]) -> Client {
    for (name, value) in headers {
        let value = value.parse().expect("a header value");
        config.headers.push((http::HeaderName::from_static(name), value));
    }
    Client::try_from(config).expect("a client")
}

/// Status and message of the answer.
async fn send(client: &Client, method: &Method, path: &str, body: &Value) -> (StatusCode, String) {
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).expect("JSON") };
    let kind = if *method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body.into());
    let answer = client.send(request.expect("a request")).await.expect("an answer");
    let status = answer.status();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// A namespace with a ConfigMap, a Service, and a pod that no node takes.
fn with_objects(purpose: &str) -> Scratch {
    installation::permissions();
    let scratch = Scratch::new(purpose);
    let namespace = scratch.name();
    kubectl::apply(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: there, namespace: {namespace}}}\ndata: {{a: b}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: there, namespace: {namespace}}}\nspec: {{ports: [{{port: 1}}]}}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {{name: there, namespace: {namespace}}}\nspec:\n  \
         nodeSelector: {{no: node}}\n  containers: [{{name: a, image: registry.invalid/a}}]\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: there, namespace: {namespace}}}\nspec:\n  replicas: 0\n  \
         selector: {{matchLabels: {{a: b}}}}\n  template:\n    metadata: {{labels: {{a: b}}}}\n    \
         spec: {{containers: [{{name: a, image: registry.invalid/a}}]}}\n"
    ));
    scratch
}

/// Every kind of request that could change something or reach into a pod, each on an object that is there.
fn writes(namespace: &str) -> Vec<(Method, String, Value)> {
    let core = format!("/api/v1/namespaces/{namespace}");
    let apps = format!("/apis/apps/v1/namespaces/{namespace}");
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "there"}, "data": {"a": "c"}});
    let new = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "new-"}});
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-new-"}});
    let server = json!({"apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer",
        "metadata": {"generateName": "new-"}, "spec": {"image": "a", "replicas": 0}});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "there"}});
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "there"},
        "target": {"kind": "Node", "name": "none"}});
    let dry = "dryRun=All";
    vec![
        (Method::POST, format!("{core}/configmaps"), new.clone()),
        (Method::POST, format!("{core}/configmaps?{dry}"), new),
        (Method::PUT, format!("{core}/configmaps/there"), map),
        (Method::PATCH, format!("{core}/configmaps/there"), json!({"data": {"a": "d"}})),
        (Method::DELETE, format!("{core}/configmaps/there?{dry}"), Value::Null),
        (Method::DELETE, format!("{core}/configmaps?{dry}"), Value::Null),
        (Method::POST, "/api/v1/namespaces?dryRun=All".to_owned(), space),
        (Method::POST, format!("/apis/pilothouse.dev/v1alpha1/namespaces/{namespace}/mcpservers"), server),
        (Method::PATCH, format!("{apps}/deployments/there"), json!({"spec": {"paused": true}})),
        (Method::PATCH, format!("{apps}/deployments/there/scale"), json!({"spec": {"replicas": 0}})),
        (Method::POST, format!("{core}/pods/there/eviction?{dry}"), eviction),
        (Method::POST, format!("{core}/pods/there/binding?{dry}"), binding),
        (Method::POST, format!("{core}/serviceaccounts/default/token"), token),
        (Method::GET, format!("{core}/pods/there/exec?command=id&stdout=true"), Value::Null),
        (Method::POST, format!("{core}/pods/there/exec?command=id&stdout=true"), Value::Null),
        (Method::GET, format!("{core}/pods/there/attach?stdout=true"), Value::Null),
        (Method::POST, format!("{core}/pods/there/attach?stdout=true"), Value::Null),
        (Method::GET, format!("{core}/pods/there/portforward?ports=80"), Value::Null),
        (Method::POST, format!("{core}/pods/there/portforward?ports=80"), Value::Null),
        (Method::GET, format!("{core}/pods/there/proxy/"), Value::Null),
        (Method::GET, format!("{core}/services/there/proxy/"), Value::Null),
        (Method::GET, "/api/v1/nodes/none/proxy/".to_owned(), Value::Null),
    ]
}

#[tokio::test]
async fn nothing_that_changes_passes_whoever_the_reader_acts_for() {
    let scratch = with_objects("rbac-write");
    let admin = reader(Identity::ClusterAdmin, true).await;
    // The policy takes effect a moment after it was made.
    let writes = writes(scratch.name());
    let (method, path, body) = &writes[1];
    until("the admission policy takes effect", SOON, || async {
        (send(&admin, method, path, body).await.0 == StatusCode::FORBIDDEN).then_some(())
    })
    .await;
    kubectl::run(&["-n", scratch.name(), "wait", "serviceaccount/default", "--for=create", "--timeout=20s"]);
    let mut passed = Vec::new();
    for identity in [Identity::Viewer, Identity::ClusterAdmin] {
        let client = reader(identity, true).await;
        for (method, path, body) in &writes {
            let (status, said) = send(&client, method, path, body).await;
            let by_policy = said.contains("pilothouse reads and never writes");
            if status != StatusCode::FORBIDDEN || (identity == Identity::ClusterAdmin && !by_policy) {
                passed.push(format!("{identity:?} {method} {path}: {status} {said}"));
            }
        }
    }
    assert!(passed.is_empty(), "not refused by the policy:\n{}", passed.join("\n"));
}

/// Without the mark of the reader the same requests are allowed: it is the policy that refuses them.
#[tokio::test]
async fn the_same_requests_without_the_readers_mark_are_not_refused() {
    let scratch = with_objects("rbac-control");
    kubectl::run(&["-n", scratch.name(), "wait", "serviceaccount/default", "--for=create", "--timeout=20s"]);
    let admin = reader(Identity::ClusterAdmin, false).await;
    for (method, path, body) in writes(scratch.name()) {
        let (status, said) = send(&admin, &method, &path, &body).await;
        assert!(status != StatusCode::FORBIDDEN, "{method} {path}: {status} {said}");
    }
}

#[tokio::test]
async fn reads_and_reviews_pass() {
    let scratch = with_objects("rbac-read");
    let core = format!("/api/v1/namespaces/{}", scratch.name());
    let review = |kind: &str, spec: Value| json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
    let attributes = json!({"resourceAttributes": {"verb": "list", "resource": "pods"}});
    let reads = [
        (Method::GET, format!("{core}/pods"), Value::Null),
        (Method::GET, format!("{core}/configmaps/there"), Value::Null),
        (Method::GET, format!("{core}/events"), Value::Null),
        (Method::GET, "/api/v1/pods?limit=1".to_owned(), Value::Null),
        (Method::GET, "/api/v1/nodes".to_owned(), Value::Null),
        (Method::GET, "/api/v1/persistentvolumes".to_owned(), Value::Null),
        (Method::GET, "/apis/apps/v1/deployments?limit=1".to_owned(), Value::Null),
        (Method::GET, "/apis/storage.k8s.io/v1/storageclasses".to_owned(), Value::Null),
        (Method::GET, "/apis/discovery.k8s.io/v1/endpointslices?limit=1".to_owned(), Value::Null),
        (Method::GET, "/apis/pilothouse.dev/v1alpha1/mcpservers".to_owned(), Value::Null),
        (
            Method::GET,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?limit=1".to_owned(),
            Value::Null,
        ),
        (
            Method::POST,
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(),
            review("SelfSubjectAccessReview", attributes),
        ),
        (
            Method::POST,
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews".to_owned(),
            review("SelfSubjectRulesReview", json!({"namespace": scratch.name()})),
        ),
        (
            Method::POST,
            "/apis/authentication.k8s.io/v1/selfsubjectreviews".to_owned(),
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}),
        ),
    ];
    for identity in [Identity::Viewer, Identity::ClusterAdmin] {
        let client = reader(identity, true).await;
        for (method, path, body) in &reads {
            // The API server learns of a new role binding a moment later.
            until(&format!("{identity:?} {method} {path} passes"), SOON, || async {
                send(&client, method, path, body).await.0.is_success().then_some(())
            })
            .await;
        }
        let logs = send(&client, &Method::GET, &format!("{core}/pods/there/log"), &Value::Null).await;
        assert_ne!(logs.0, StatusCode::FORBIDDEN, "{identity:?} {}", logs.1);
    }
    let viewer = reader(Identity::Viewer, true).await;
    for path in [format!("{core}/secrets"), "/api/v1/secrets".to_owned()] {
        let (status, said) = send(&viewer, &Method::GET, &path, &Value::Null).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "the viewer reads no Secret: {path} {said}");
    }
}

/// As the process in the cluster: with the token of its own account.
async fn operator_account(headers: &[(&'static str, &str)]) -> Client {
    let token = kubectl::run(&["-n", "pilothouse", "create", "token", "pilothouse"]);
    let mut config = client::config().await;
    config.auth_info = serde_json::from_value(json!({"token": token.trim()})).expect("a token");
    with_headers(config, headers)
}

#[tokio::test]
async fn the_operator_may_act_as_the_viewer_and_as_nobody_else() {
    let scratch = with_objects("rbac-operator");
    let via = ("impersonate-extra-pilothouse.dev%2fvia", "reader");
    let pods = format!("/api/v1/namespaces/{}/pods", scratch.name());
    let viewer = operator_account(&[("impersonate-user", VIEWER), via]).await;
    until("the operator reads as the viewer", SOON, || async {
        send(&viewer, &Method::GET, &pods, &Value::Null).await.0.is_success().then_some(())
    })
    .await;
    let refused = [
        vec![("impersonate-user", "tester")],
        vec![("impersonate-user", "system:serviceaccount:kube-system:default")],
        vec![("impersonate-user", "system:serviceaccount:pilothouse:default"), via],
        vec![("impersonate-user", VIEWER), ("impersonate-group", "system:masters")],
        vec![("impersonate-user", VIEWER), ("impersonate-extra-pilothouse.dev%2fvia", "other")],
    ];
    for headers in refused {
        let client = operator_account(&headers).await;
        let (status, said) = send(&client, &Method::GET, &pods, &Value::Null).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{headers:?}: {said}");
    }
    let itself = operator_account(&[]).await;
    let namespace = scratch.name();
    for (method, path) in [
        (Method::GET, format!("/api/v1/namespaces/{namespace}/secrets")),
        (Method::GET, format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles")),
        (Method::POST, format!("/api/v1/namespaces/{namespace}/pods")),
        (Method::GET, format!("/api/v1/namespaces/{namespace}/pods/there/exec?command=id")),
        (Method::PATCH, "/apis/rbac.authorization.k8s.io/v1/clusterroles/pilothouse-operator".to_owned()),
    ] {
        let (status, said) = send(&itself, &method, &path, &json!({})).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "the operator may {method} {path}: {said}");
    }
}
