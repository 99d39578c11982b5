use serde_json::{Value, json};

use super::shown;
use crate::answer::Rank;

fn route(ingress: Value) -> (Rank, String, Vec<String>) {
    let spec = json!({ "host": "shop.example", "path": "/api", "to": { "kind": "Service", "name": "web", "weight": 80 },
        "alternateBackends": [{ "kind": "Service", "name": "web-b", "weight": 20 }],
        "port": { "targetPort": "http" }, "tls": { "termination": "edge" } });
    shown("route.openshift.io", "Route", &json!({ "spec": spec, "status": { "ingress": ingress } }))
}

#[test]
fn a_route_is_as_its_routers_say() {
    let router = |name: &str, admitted: &str| {
        json!({ "routerName": name, "host": "shop.example", "conditions": [{ "type": "Admitted", "status": admitted,
            "reason": "HostAlreadyClaimed", "message": "route b has it" }] })
    };
    let (rank, _, cells) = route(json!([router("default", "True")]));
    assert_eq!(rank, Rank::Healthy);
    assert_eq!(cells, ["shop.example/api", "web=80,web-b=20", "http", "edge"]);
    let refused = "router default refuses it: HostAlreadyClaimed: route b has it";
    let (rank, why, _) = route(json!([router("default", "False")]));
    assert_eq!((rank, why.as_str()), (Rank::Broken, refused));
    let (rank, why, _) = route(json!([router("inner", "True"), router("default", "False")]));
    assert_eq!((rank, why.as_str()), (Rank::Warning, refused));
    let (rank, why, _) = route(Value::Null);
    assert_eq!((rank, why.as_str()), (Rank::Warning, "no router has admitted it"));
}

#[test]
fn an_image_stream_names_the_tag_that_is_not_imported() {
    let judge = |items: Value| {
        let failed = json!({ "type": "ImportSuccess", "status": "False", "reason": "Unauthorized", "message": "no pull" });
        let tags = json!([{ "tag": "1", "items": [{ "created": "2026-01-01T00:00:00Z" }] },
            { "tag": "2", "items": items, "conditions": [failed] }]);
        shown("image.openshift.io", "ImageStream", &json!({ "status": { "tags": tags } }))
    };
    let (rank, why, cells) = judge(Value::Null);
    assert_eq!((rank, why.as_str()), (Rank::Broken, "tag 2 cannot be imported: Unauthorized: no pull"));
    assert_eq!(cells, ["", "1,2", "60m"]);
    assert_eq!(judge(json!([{ "created": "2026-01-01T00:30:00Z" }])).0, Rank::Warning);
}

#[test]
fn builds_say_why_they_failed() {
    let build = |status: Value| {
        let spec = json!({ "strategy": { "type": "Docker" },
            "source": { "type": "Git", "git": { "uri": "https://git.example/shop", "ref": "main" } } });
        shown("build.openshift.io", "Build", &json!({ "spec": spec, "status": status }))
    };
    let failed = json!({ "phase": "Failed", "reason": "DockerBuildFailed", "message": "Docker build failed",
        "logSnippet": "step 3\nerror: no such file\n", "startTimestamp": "2026-01-01T00:00:00Z",
        "completionTimestamp": "2026-01-01T00:01:00Z" });
    let (rank, why, cells) = build(failed);
    let told = "DockerBuildFailed: Docker build failed, last line: error: no such file";
    assert_eq!((rank, why.as_str()), (Rank::Broken, told));
    assert_eq!(cells, ["Docker", "https://git.example/shop#main", "Failed", "60s"]);
    let waiting = json!({ "phase": "New", "reason": "InvalidOutputReference", "message": "no such stream" });
    assert_eq!(build(waiting).0, Rank::Warning);
    assert_eq!(build(json!({ "phase": "Cancelled", "reason": "CancelledBuild" })).0, Rank::Neutral);
    assert_eq!(build(json!({ "phase": "Complete" })).0, Rank::Healthy);
    let config = json!({ "metadata": { "name": "api" }, "status": { "lastVersion": 7 } });
    assert_eq!(shown("build.openshift.io", "BuildConfig", &config).2[3], "api-7");
}

#[test]
fn deployment_configs_are_judged_as_deployments() {
    let judge = |spec: Value, status: Value| {
        let (rank, why, _) =
            shown("apps.openshift.io", "DeploymentConfig", &json!({ "spec": spec, "status": status }));
        (rank, why)
    };
    let two = || json!({ "replicas": 2 });
    assert_eq!(judge(json!({}), json!({})).0, Rank::Healthy);
    assert_eq!(judge(two(), json!({ "latestVersion": 3 })), (Rank::Broken, "0/2 available".into()));
    let stuck = json!({ "latestVersion": 3, "availableReplicas": 1,
        "conditions": [{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }] });
    assert_eq!(judge(two(), stuck), (Rank::Broken, "1/2 available, ProgressDeadlineExceeded".into()));
    assert_eq!(judge(two(), json!({})).0, Rank::Warning);
    let ready = json!({ "latestVersion": 3, "availableReplicas": 2, "readyReplicas": 2 });
    assert_eq!(judge(two(), ready).0, Rank::Healthy);
}

#[test]
fn cluster_operators_are_broken_when_off_or_degraded() {
    let judge = |available: &str, degraded: &str| {
        let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "reason": "R", "message": "m" });
        let status = json!({ "versions": [{ "name": "operator", "version": "4.20.1" }],
            "conditions": [condition("Available", available), condition("Degraded", degraded),
                condition("Progressing", "True")] });
        shown("config.openshift.io", "ClusterOperator", &json!({ "status": status }))
    };
    let (rank, _, cells) = judge("True", "False");
    assert_eq!(rank, Rank::Healthy);
    assert_eq!(cells, ["4.20.1", "True", "True", "False"]);
    let (rank, why, _) = judge("False", "True");
    assert_eq!((rank, why.as_str()), (Rank::Broken, "not available, R: m"));
    assert_eq!(judge("True", "True").0, Rank::Broken);
    assert_eq!(judge("Unknown", "False").0, Rank::Warning);
}

#[test]
fn a_project_that_is_going_away_says_so() {
    let (rank, why, _) = shown(
        "project.openshift.io",
        "Project",
        &json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" }, "status": { "phase": "Terminating" } }),
    );
    assert_eq!((rank, why.as_str()), (Rank::Warning, "being deleted for 60m"));
}
