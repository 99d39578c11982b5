//! OpenShift's kinds on a real API server: Route and ClusterOperator by their real definitions, stand-ins for the rest.

use serde_json::{Value, json};

use crate::support::{
    kubectl,
    namespace::Scratch,
    openshift::{apply_with_status, established},
    tools::{call, toolbox},
};

const BROKEN: &str = "---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: { name: api }
spec: { replicas: 2, selector: { app: api } }
status: { latestVersion: 3, availableReplicas: 0, conditions: [{ type: Progressing, status: \"False\", reason: ProgressDeadlineExceeded }] }
---
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: { name: base }
status: { tags: [{ tag: latest, items: null, conditions: [{ type: ImportSuccess, status: \"False\", reason: Unauthorized, message: you may not pull }] }] }
---
apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: { name: api }
spec: { source: { type: Git, git: { uri: https://git.example/api, ref: main } }, strategy: { type: Docker }, output: { to: { kind: ImageStreamTag, name: \"api:latest\" } } }
status: { lastVersion: 2 }
---
apiVersion: build.openshift.io/v1
kind: Build
metadata: { name: api-2, labels: { openshift.io/build-config.name: api } }
spec: { strategy: { type: Docker } }
status: { phase: Failed, reason: DockerBuildFailed, message: Dockerfile build strategy has failed }
";

fn routes(namespace: &str) -> String {
    let route = |name: &str, admitted: &str, reason: &str| {
        format!(
            "---
apiVersion: route.openshift.io/v1
kind: Route
metadata: {{ name: {name}, namespace: {namespace} }}
spec: {{ host: {name}.example, to: {{ kind: Service, name: web, weight: 100 }}, tls: {{ termination: edge }} }}
status: {{ ingress: [{{ host: {name}.example, routerName: default, conditions: [{{ type: Admitted, status: \"{admitted}\", {reason} }}] }}] }}
"
        )
    };
    route("fine", "True", "reason: Admitted")
        + &route("taken", "False", "reason: HostAlreadyClaimed, message: another route has the host")
}

#[tokio::test]
async fn openshifts_kinds_are_listed_and_shown_with_their_health() {
    established();
    let space = Scratch::new("openshift");
    let name = space.name();
    apply_with_status(&routes(name));
    kubectl::apply(&BROKEN.replace("metadata: {", &format!("metadata: {{ namespace: {name},")));
    let tools = toolbox().await;
    for (kind, object, columns, why) in [
        (
            "route",
            "taken",
            "SERVICES",
            "router default refuses it: HostAlreadyClaimed: another route has the host",
        ),
        ("dc", "api", "REVISION", "0/2 available, ProgressDeadlineExceeded"),
        ("is", "base", "TAGS", "tag latest cannot be imported: Unauthorized: you may not pull"),
        (
            "builds.build.openshift.io",
            "api-2",
            "STATUS",
            "DockerBuildFailed: Dockerfile build strategy has failed",
        ),
        ("bc", "api", "LATEST", ""),
    ] {
        let listed = call(&tools, "list_resources", json!({ "kind": kind, "namespace": name })).await.text;
        let mut rows = listed.lines();
        assert!(rows.next().unwrap().contains(columns), "{listed}");
        let first = rows.next().unwrap();
        assert!(first.starts_with(object) && first.contains(why), "{listed}");
        let one = json!({ "kind": kind, "namespace": name, "name": object });
        let shown = call(&tools, "get_resource", one).await.text;
        assert!(why.is_empty() || shown.starts_with(&format!("Broken: {why}")), "{shown}");
        assert!(shown.contains(&format!("name: {object}")), "{shown}");
    }
    let routes = call(&tools, "list_resources", json!({ "kind": "routes", "namespace": name })).await.text;
    assert!(routes.contains("fine.example") && routes.contains("2 routes.route.openshift.io"), "{routes}");

    let overview = call(&tools, "cluster_overview", json!({ "namespace": name })).await;
    for object in ["DeploymentConfig", "ImageStream", "Build", "Route"] {
        assert!(overview.text.contains(&format!("{object} {name}/")), "{}", overview.text);
    }
}

#[tokio::test]
async fn a_degraded_operator_and_a_project_that_goes_are_told() {
    established();
    let space = Scratch::new("operators");
    let name = space.name();
    apply_with_status(&format!(
        "---
apiVersion: config.openshift.io/v1
kind: ClusterOperator
metadata: {{ name: {name} }}
spec: {{}}
status:
  versions: [{{ name: operator, version: 4.20.1 }}]
  conditions:
  - {{ type: Available, status: \"True\", lastTransitionTime: \"2026-01-01T00:00:00Z\" }}
  - {{ type: Degraded, status: \"True\", reason: SyncError, message: no route to the console, lastTransitionTime: \"2026-01-01T00:00:00Z\" }}
"
    ));
    kubectl::apply(&format!(
        "---
apiVersion: project.openshift.io/v1
kind: Project
metadata: {{ name: {name} }}
status: {{ phase: Active }}
"
    ));
    let tools = toolbox().await;
    let shown = call(&tools, "get_resource", json!({ "kind": "co", "name": name })).await.text;
    assert!(shown.starts_with("Broken: degraded, SyncError: no route to the console"), "{shown}");
    let fields = json!({ "kind": "co", "fields": format!("metadata.name={name}") });
    let listed = call(&tools, "list_resources", fields).await.text;
    assert!(listed.contains("4.20.1") && listed.contains("DEGRADED"), "{listed}");
    let project =
        call(&tools, "get_resource", json!({ "kind": "project.project.openshift.io", "name": name }))
            .await
            .text;
    assert!(project.starts_with("Healthy"), "{project}");
    kubectl::run(&["delete", "clusteroperator", name, "--wait=false"]);
    kubectl::run(&["delete", "projects.project.openshift.io", name, "--wait=false"]);
}

#[tokio::test]
async fn a_route_is_explained_and_its_tree_leads_to_its_pods() {
    established();
    let space = Scratch::new("routes");
    let name = space.name();
    apply_with_status(&routes(name));
    let tools = toolbox().await;
    let explained = call(&tools, "explain_kind", json!({ "kind": "route.spec.tls.termination" })).await;
    assert!(explained.text.contains("one of edge, reencrypt, passthrough"), "{}", explained.text);
    let wrong =
        call(&tools, "explain_kind", json!({ "kind": "route", "field": "spec.tls.terminaton" })).await;
    assert!(wrong.is_error && wrong.text.contains("nearest: termination"), "{}", wrong.text);
    kubectl::apply(&format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: web, namespace: {name} }}\nspec: {{ selector: {{ app: web }}, ports: [{{ port: 80 }}] }}\n"
    ));
    let tree: Value = json!({ "kind": "route", "namespace": name, "name": "taken" });
    let tree = call(&tools, "resource_tree", tree).await.text;
    assert!(tree.contains("Route taken  host taken.example  Broken: router default refuses it"), "{tree}");
    assert!(
        tree.contains("\n  leads to Service web  endpoints 0/0  Broken: selects no pod: app=web"),
        "{tree}"
    );
    assert!(tree.contains("exposed by Route fine"), "{tree}");
}
