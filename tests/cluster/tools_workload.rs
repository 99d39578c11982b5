//! Revisions, trees, releases and schemas of what really runs.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    kubectl,
    namespace::Scratch,
    tools::{call, toolbox},
    wait::until,
};

fn workload(kind: &str, namespace: &str, word: &str) -> String {
    let api = if kind == "StatefulSet" { "serviceName: web," } else { "" };
    format!(
        "---
apiVersion: apps/v1
kind: {kind}
metadata: {{ name: web-{}, namespace: {namespace}, annotations: {{ kubernetes.io/change-cause: say {word} }} }}
spec:
  {{ {api} selector: {{ matchLabels: {{ app: web-{0} }} }}, template: {{ metadata: {{ labels: {{ app: web-{0} }} }}, spec: {{ terminationGracePeriodSeconds: 0, containers: [
    {{ name: web, image: docker.io/pilothouse-test/busybox:1, imagePullPolicy: Never, command: [sh, -c, \"echo {word}; sleep 3600\"],
      envFrom: [{{ configMapRef: {{ name: settings, optional: true }} }}] }}] }} }} }}
",
        kind.to_lowercase()
    )
}

#[tokio::test]
async fn what_a_rollout_changed_is_said_for_each_kind_of_workload() {
    let space = Scratch::new("rollouts");
    let name = space.name();
    let tools = toolbox().await;
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        let manifests = |word: &str| workload(kind, name, word);
        let asked =
            json!({ "kind": kind, "namespace": name, "name": format!("web-{}", kind.to_lowercase()) });
        for (word, current) in [("first", "1 current"), ("second", "2 current")] {
            kubectl::apply(&manifests(word));
            let asked = asked.clone();
            until("the revision is kept", Duration::from_secs(60), || {
                let (tools, asked) = (&tools, asked.clone());
                async move {
                    let answer = call(tools, "rollout_history", asked).await;
                    answer.text.contains(current).then_some(())
                }
            })
            .await;
        }
        let text = call(&tools, "rollout_history", asked).await.text;
        assert!(text.contains("Pod template, revision 1 -> 2:\n"), "{text}");
        assert!(
            text.contains("command") && text.contains("echo first") && text.contains("echo second"),
            "{text}"
        );
        assert!(text.contains("say first") && text.contains("say second"), "{text}");
        assert_eq!(
            text.lines().filter(|line| line.starts_with("  ")).count(),
            1,
            "one field differs\n{text}"
        );
    }
}

#[tokio::test]
async fn a_tree_shows_what_a_running_deployment_hangs_together_with() {
    let space = Scratch::new("trees");
    let name = space.name();
    kubectl::apply(&format!(
        "{}---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: settings, namespace: {name} }}
---
apiVersion: v1
kind: Service
metadata: {{ name: web, namespace: {name} }}
spec: {{ selector: {{ app: web-deployment }}, ports: [{{ port: 80 }}] }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{ name: front, namespace: {name} }}
spec: {{ defaultBackend: {{ service: {{ name: web, port: {{ number: 80 }} }} }} }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{ name: budget, namespace: {name} }}
spec: {{ maxUnavailable: 1, selector: {{ matchLabels: {{ app: web-deployment }} }} }}
",
        workload("Deployment", name, "tree")
    ));
    kubectl::run(&["rollout", "status", "deployment/web-deployment", "-n", name, "--timeout=60s"]);
    let tools = toolbox().await;
    let asked = json!({ "kind": "deployment", "namespace": name, "name": "web-deployment" });
    let tree = until("the endpoint is ready", Duration::from_secs(30), || {
        let (tools, asked) = (&tools, asked.clone());
        async move {
            let tree = call(tools, "resource_tree", asked).await.text;
            tree.contains("endpoints 1/1").then_some(tree)
        }
    })
    .await;
    for line in [
        "\nDeployment web-deployment  ready 1/1\n",
        "\n  owns ReplicaSet web-deployment-",
        "\n    owns Pod web-deployment-",
        "\n  selected by Service web  endpoints 1/1\n",
        "\n    owns EndpointSlice web-",
        "\n    exposed by Ingress front",
        "\n  uses ConfigMap settings (environment)\n",
        "\n  guarded by PodDisruptionBudget budget",
    ] {
        assert!(tree.contains(line), "{line}\n{tree}");
    }
    let used = call(&tools, "resource_tree", json!({ "kind": "cm", "namespace": name, "name": "settings" }))
        .await
        .text;
    assert!(used.contains("ConfigMap settings\n  used by Deployment web-deployment"), "{used}");
    let source = json!({ "kind": "deploy", "namespace": name, "name": "web-deployment" });
    let source = call(&tools, "find_source", source).await.text;
    assert!(
        source.starts_with(&format!("Not known where Deployment {name}/web-deployment comes from")),
        "{source}"
    );
    assert!(
        source.contains("kubectl-client-side-apply") && source.contains("applied with kubectl"),
        "{source}"
    );
}

#[tokio::test]
async fn fields_of_built_in_kinds_definitions_and_wrong_paths_are_explained() {
    let tools = toolbox().await;
    let explain = async |arguments: Value| call(&tools, "explain_kind", arguments).await;
    let strategy = explain(json!({ "kind": "deployment.spec.strategy" })).await.text;
    assert!(strategy.starts_with("Deployment (apps/v1), spec.strategy: DeploymentStrategy\n"), "{strategy}");
    assert!(
        strategy.contains("rollingUpdate") && strategy.contains("one of Recreate, RollingUpdate"),
        "{strategy}"
    );
    let pod = explain(json!({ "kind": "po", "max_tokens": 2_000 })).await.text;
    let fields: Vec<&str> = pod.lines().skip_while(|line| !line.starts_with("FIELD")).collect();
    assert!(fields[1].starts_with("spec.containers") && fields[1].contains("required"), "{pod}");
    let image = explain(json!({ "kind": "deployment", "field": "spec.image" })).await;
    assert!(image.is_error && image.text.contains("`spec.template.spec.containers.image`"), "{}", image.text);
    let crd = explain(json!({ "kind": "crd", "field": "spec.names" })).await.text;
    assert!(crd.contains("plural") && crd.contains("required"), "{crd}");
    let unknown = explain(json!({ "kind": "deploymnet.spec" })).await;
    assert!(unknown.is_error && unknown.text.contains("nearest: deployments.apps"), "{}", unknown.text);
}

#[tokio::test]
async fn a_real_helm_release_is_listed_and_compared() {
    let helm =
        std::env::var("PARTS_HELM").expect("PARTS_HELM names helm: tests/cluster/harness/parts prints it");
    let space = Scratch::new("helm");
    let name = space.name();
    let folder = tempfile::tempdir().expect("a folder");
    let chart = folder.path().join("shop");
    std::fs::create_dir_all(chart.join("templates")).expect("a chart");
    std::fs::write(
        chart.join("Chart.yaml"),
        "apiVersion: v2\nname: shop\nversion: 1.4.2\nappVersion: \"7\"\n",
    )
    .expect("a chart");
    let template =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: shop }\ndata: { level: {{ .Values.level }} }\n";
    std::fs::write(chart.join("templates/shop.yaml"), template).expect("a chart");
    let run = |arguments: &[&str]| {
        let output =
            Command::new(&helm).args(arguments).args(["-n", name]).output().expect("helm can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let chart = chart.to_string_lossy();
    run(&["install", "shop", &chart, "--set", "level=info,db.rootPassword=hunter2-first"]);
    run(&["upgrade", "shop", &chart, "--set", "level=debug,db.rootPassword=hunter2-second"]);
    let tools = toolbox().await;
    let listed = call(&tools, "list_helm_releases", json!({ "namespace": name })).await.text;
    assert!(
        listed.contains("shop-1.4.2") && listed.contains("deployed") && listed.contains("1 Helm release in"),
        "{listed}"
    );
    let shown = call(&tools, "get_helm_release", json!({ "namespace": name, "name": "shop" })).await.text;
    assert!(shown.starts_with(&format!("{name}/shop is deployed, revision 2, chart shop-1.4.2")), "{shown}");
    assert!(shown.contains("Upgrade complete") && shown.contains("level: info -> debug"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let source =
        call(&tools, "find_source", json!({ "kind": "cm", "namespace": name, "name": "shop" })).await;
    assert!(
        source.text.contains(&format!("is applied by Helm: Helm release {name}/shop")),
        "{}",
        source.text
    );
    assert!(source.text.contains("chart shop, in the cluster 1.4.2"), "{}", source.text);
    assert_eq!(source.structured.expect("a record")["known"], false);
}
