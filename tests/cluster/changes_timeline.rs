//! Things really change, one breaks, and the timeline says which change came just before.
#![allow(clippy::expect_used)]

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use pilothouse::{caller::Caller, tools::Toolbox};
use serde_json::{Value, json};

use crate::support::{
    asking::{ask, toolbox},
    kubectl,
    namespace::Scratch,
    wait::until,
};

const LONG: Duration = Duration::from_secs(90);

fn deployment(namespace: &str, name: &str) -> String {
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: {name}
        image: docker.io/pilothouse-test/busybox:1
        command: [sleep, '3600']
        envFrom: [{{configMapRef: {{name: {name}-settings}}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}-settings, namespace: {namespace}}}
data: {{LEVEL: info, MODE: fast}}
"
    )
}

/// `helm ARGUMENTS` in a namespace, as a person has it.
fn helm(namespace: &str, arguments: &[&str]) {
    let program = std::env::var_os("PARTS_HELM").expect(
        "PARTS_HELM must name helm: run `tests/run cluster`, which sets what `tests/cluster/harness/parts` prints",
    );
    let output = Command::new(program).args(["-n", namespace]).args(arguments).output().expect("helm starts");
    assert!(output.status.success(), "helm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn chart(at: &Path) {
    fs::create_dir(at.join("templates")).expect("a folder");
    fs::write(at.join("Chart.yaml"), "apiVersion: v2\nname: store\nversion: 1.0.0\n").expect("written");
    let template =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: store}\ndata: {color: {{ .Values.color }}}\n";
    fs::write(at.join("templates/map.yaml"), template).expect("written");
    fs::write(at.join("values.yaml"), "color: teal\n").expect("written");
}

async fn changes(tools: &Toolbox, arguments: Value) -> String {
    let answer = ask(tools, &Caller::process(), "what_changed", arguments).await;
    assert!(!answer.is_error, "{}", answer.text);
    answer.text
}

/// The rows below the heading.
fn rows(text: &str) -> Vec<&str> {
    let table = text.lines().skip_while(|line| !line.starts_with("TIME"));
    table.skip(1).take_while(|line| line.starts_with("20")).collect()
}

#[tokio::test]
async fn the_change_just_before_it_broke_comes_first() {
    let space = Scratch::new("changes");
    let namespace = space.name();
    let tools = toolbox(None).await;
    kubectl::apply(&format!("{}{}", deployment(namespace, "web"), deployment(namespace, "db")));
    for name in ["web", "db"] {
        let name = format!("deployment/{name}");
        kubectl::run(&["-n", namespace, "rollout", "status", &name, "--timeout=90s"]);
    }
    let chart_folder = tempfile::tempdir().expect("a folder");
    chart(chart_folder.path());
    let store = chart_folder.path().to_str().expect("a path");
    helm(namespace, &["install", "store", store]);
    helm(namespace, &["upgrade", "store", store, "--set", "color=red"]);
    kubectl::run(&["-n", namespace, "scale", "deployment/web", "--replicas=2"]);
    kubectl::run(&["-n", namespace, "rollout", "status", "deployment/web", "--timeout=90s"]);
    let in_namespace = json!({ "namespace": namespace });
    let text = changes(&tools, in_namespace.clone()).await;
    assert!(text.starts_with("Nothing is unhealthy now"), "{text}");

    let patch =
        ["patch", "configmap", "web-settings", "--field-manager=anna", "-p", r#"{"data":{"LEVEL":"debug"}}"#];
    kubectl::run(&[&["-n", namespace][..], &patch].concat());
    kubectl::run(&[
        "-n",
        namespace,
        "set",
        "image",
        "deployment/web",
        "web=docker.io/pilothouse-test/no-such:2",
    ]);
    let text = until("the break", LONG, async || {
        let text = changes(&tools, in_namespace.clone()).await;
        text.contains("ImagePullBackOff").then_some(text)
    })
    .await;

    assert!(text.starts_with("Unhealthy now:\n  Deployment web since "), "{text}");
    let found = rows(&text);
    let first = found[0];
    assert!(first.contains("before Deployment web") && first.contains("kubectl-set"), "{text}");
    assert!(
        first.contains("rolled out revision 2 (before: 1): containers[name=web].image: docker.io/pilothouse-test/busybox:1 -> docker.io/pilothouse-test/no-such:2"),
        "{text}"
    );
    let at = |needle: &str| {
        found
            .iter()
            .position(|row| row.contains(needle))
            .unwrap_or_else(|| panic!("`{needle}` is not in\n{text}"))
    };
    let (config, scaled, release) =
        (at("changed data.LEVEL"), at("scaled from 1 to 2"), at("revision 2 deployed"));
    assert!(config <= 2 && config < scaled, "{text}");
    assert!(found[config].contains("ConfigMap web-settings") && found[config].contains("anna"), "{text}");
    assert!(found[release].contains("HelmRelease store"), "{text}");
    at("revision 1 deployed, superseded since");
    at("warning Failed");
    for noise in ["Lease", "kube-root-ca", "EndpointSlice"] {
        assert!(!found.iter().any(|row| row.contains(noise)), "{noise} in\n{text}");
    }

    // What bears on one object.
    let text = changes(&tools, json!({ "namespace": namespace, "kind": "deploy", "name": "web" })).await;
    assert!(text.contains("web-settings") && text.contains("no-such:2"), "{text}");
    assert!(!text.contains("Deployment db") && !text.contains("HelmRelease"), "{text}");

    // Back again.
    kubectl::run(&["-n", namespace, "rollout", "undo", "deployment/web"]);
    let text = until("the way back", LONG, async || {
        let text = changes(&tools, in_namespace.clone()).await;
        text.contains("went back to an earlier template as revision 3").then_some(text)
    })
    .await;
    assert!(text.contains("no-such:2 -> docker.io/pilothouse-test/busybox:1"), "{text}");

    // In small pieces it is the same.
    kubectl::run(&["-n", namespace, "rollout", "status", "deployment/web", "--timeout=90s"]);
    until("the end of the failing pod", LONG, async || {
        changes(&tools, in_namespace.clone()).await.starts_with("Nothing is unhealthy now").then_some(())
    })
    .await;
    let mut cursor = None;
    let mut seen = Vec::new();
    loop {
        let mut arguments = json!({ "namespace": namespace, "max_tokens": 700 });
        if let Some(cursor) = &cursor {
            arguments["cursor"] = json!(cursor);
        }
        let text = changes(&tools, arguments).await;
        seen.extend(rows(&text).iter().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")));
        cursor =
            text.split("cursor=").nth(1).and_then(|rest| rest.split_whitespace().next()).map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let distinct: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "{seen:#?}");
    assert!(seen.len() >= 6, "{seen:#?}");
}
