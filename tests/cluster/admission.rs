//! What the API server refuses of an MCPServer by itself: each refusal names the field and the fix.

mod basics;
mod complete;
mod contents;
mod examples;
mod other_kinds;
mod pods;
mod surroundings;
mod unlike_the_others;

use crate::support::{crd, kubectl, namespace::Scratch};

fn manifest(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

/// What is said when this spec is applied.
fn refusal(namespace: &str, name: &str, spec: &str) -> String {
    let output = kubectl::try_apply(&manifest(namespace, name, spec));
    assert!(!output.status.success(), "was accepted: {spec}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the schema says, before any rule is asked.
#[test]
fn what_is_not_in_the_schema_is_refused_by_kubectl() {
    crd::established();
    let scratch = Scratch::new("schema");
    let cases = [
        ("{image: a, transport: websocket}", "spec.transport: Unsupported value"),
        ("{image: a, imagge: b}", "unknown field \"spec.imagge\""),
        ("{image: a, env: [{name: A, value: b}, {name: A, value: c}]}", "spec.env"),
        (
            "{image: a, storage: [{mountPath: /a, emptyDir: {}}, {mountPath: /a, emptyDir: {}}]}",
            "spec.storage[1]: Duplicate value",
        ),
        (
            "{remote: {url: 'http://a.example', headersFrom: [{name: A, secretKeyRef: {name: a, key: b}}, {name: A, secretKeyRef: {name: a, key: b}}]}}",
            "spec.remote.headersFrom[1]: Duplicate value",
        ),
    ];
    for (spec, expected) in cases {
        let said = refusal(scratch.name(), "demo", spec);
        assert!(said.contains(expected), "{spec}: expected `{expected}`, got: {said}");
    }
}

#[test]
fn good_specs_pass_with_their_defaults() {
    crd::established();
    let scratch = Scratch::new("accepted");
    let specs = [
        ("plain", "{image: 'registry.example:5000/a/b@sha256:0123', replicas: 0}"),
        (
            "full",
            "{image: a, replicas: 0, transport: sse, port: 3001, path: /x/sse, imagePullPolicy: Never, imagePullSecrets: [{name: s}], command: [a], args: [b], env: [{name: A, value: b}], envFrom: [{configMapRef: {name: c}}], resources: {limits: {cpu: 1, memory: 1Gi}}, gateway: {prefix: '', tools: {allow: [a], deny: [b]}, hostHeader: 'a.b:80', callTimeout: 5m}}",
        ),
        ("stdio", "{image: a, replicas: 0, transport: stdio, command: [node, s.js]}"),
        ("remote", "{remote: {url: 'https://mcp.example.com:8443/mcp?x=1'}}"),
    ];
    for (name, spec) in specs {
        kubectl::apply(&manifest(scratch.name(), name, spec));
    }
    let path = "jsonpath={.spec.transport} {.spec.port} {.spec.gateway.callTimeout}";
    let said = kubectl::run(&["-n", scratch.name(), "get", "phs", "plain", "-o", path]);
    assert_eq!(said, "streamable-http 8080 60s");
    let columns = kubectl::run(&["-n", scratch.name(), "get", "phs"]);
    let head = columns.lines().next().unwrap_or_default();
    assert_eq!(
        head.split_whitespace().collect::<Vec<_>>(),
        ["NAME", "PHASE", "READY", "TOOLS", "TRANSPORT", "URL", "AGE"]
    );
}

#[test]
fn an_mcp_server_scales_like_a_deployment() {
    crd::established();
    let scratch = Scratch::new("scale");
    kubectl::apply(&manifest(scratch.name(), "demo", "{image: a, replicas: 0}"));
    kubectl::run(&["-n", scratch.name(), "scale", "mcpserver/demo", "--replicas=3"]);
    let said = kubectl::run(&["-n", scratch.name(), "get", "phs", "demo", "-o", "jsonpath={.spec.replicas}"]);
    assert_eq!(said, "3");
}
