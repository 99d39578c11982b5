//! What the API server refuses of an MCPServer by itself: each refusal names the field and the fix.

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

#[test]
fn a_wrong_spec_is_refused_with_the_field_and_the_fix() {
    crd::established();
    let scratch = Scratch::new("cel");
    let remote = "remote: {url: 'http://b.example/mcp'}";
    let cases = [
        (format!("{{image: a, {remote}}}"), "spec.image and spec.remote exclude each other: remove one"),
        ("{replicas: 1}".to_owned(), "spec.image is missing: set spec.image"),
        (
            "{image: a, transport: stdio}".to_owned(),
            "spec.command is required when spec.transport is stdio: name",
        ),
        ("{image: a, transport: stdio, command: []}".to_owned(), "spec.command is required"),
        (
            format!("{{{remote}, transport: stdio}}"),
            "spec.transport stdio has no meaning with spec.remote: use",
        ),
        ("{image: a, port: 0}".to_owned(), "spec.port must be from 1 to 65535: set"),
        ("{image: a, port: 65536}".to_owned(), "spec.port must be from 1 to 65535: set"),
        ("{image: a, path: mcp}".to_owned(), "spec.path must begin with /"),
        ("{image: a, replicas: -1}".to_owned(), "spec.replicas must be from 0 to 1000: set"),
        ("{image: 'a b'}".to_owned(), "spec.image must name an image without spaces"),
        (
            "{image: a, gateway: {prefix: My-Tools}}".to_owned(),
            "spec.gateway.prefix must be a lowercase letter",
        ),
        ("{image: a, gateway: {prefix: abcdefghijklmnopq}}".to_owned(), "spec.gateway.prefix must be"),
        ("{image: a, gateway: {prefix: get}}".to_owned(), "spec.gateway.prefix is reserved"),
        ("{image: a, gateway: {callTimeout: soon}}".to_owned(), "spec.gateway.callTimeout must be a number"),
        ("{image: a, gateway: {callTimeout: 25h}}".to_owned(), "spec.gateway.callTimeout must be a number"),
        (
            "{image: a, gateway: {hostHeader: 'a b'}}".to_owned(),
            "spec.gateway.hostHeader must be a host name",
        ),
        ("{remote: {url: 'ftp://b.example'}}".to_owned(), "spec.remote.url must be an http or https URL"),
        ("{remote: {url: 'b.example'}}".to_owned(), "spec.remote.url must be an http or https URL"),
        ("{image: a, transport: websocket}".to_owned(), "spec.transport: Unsupported value"),
        ("{image: a, imagge: b}".to_owned(), "unknown field \"spec.imagge\""),
        ("{image: a, env: [{name: A, value: b}, {name: A, value: c}]}".to_owned(), "spec.env"),
    ];
    for (spec, expected) in cases {
        let said = refusal(scratch.name(), "demo", &spec);
        assert!(said.contains(expected), "{spec}: expected `{expected}`, got: {said}");
    }
    let said = refusal(scratch.name(), "demo.v1", "{image: a}");
    assert!(said.contains("metadata.name must be a lowercase letter"), "{said}");
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
