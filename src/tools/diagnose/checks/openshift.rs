//! OpenShift's own kinds: Routes that the router refuses, builds and image imports that fail, DeploymentConfigs that do
//! not come up, and the cluster's own operators. The backends of Routes are in `backends.rs`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::tools::{
    diagnose::{
        cause::Cause,
        customs::{self, Condition, conditions, list, text},
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::reference,
        picture::Picture,
        routing::ROUTE_GROUP,
    },
    kinds::age,
};

/// A rollout or an upgrade of an operator passes such states.
const LASTING_SECONDS: i64 = 60;

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    findings.extend(customs::of(picture, ROUTE_GROUP, "Route").filter_map(route));
    findings.extend(builds(picture));
    findings.extend(customs::of(picture, "image.openshift.io", "ImageStream").filter_map(imports));
    let configs = customs::of(picture, "apps.openshift.io", "DeploymentConfig");
    findings.extend(configs.filter_map(|config| deployment_config(picture, config)));
    let operators = customs::of(picture, "config.openshift.io", "ClusterOperator");
    findings.extend(operators.filter_map(|operator| cluster_operator(picture, operator)));
}

fn route(route: &Value) -> Option<Finding> {
    let object = customs::reference(route);
    let refused = list(route, "/status/ingress").iter().find_map(|ingress| {
        let condition = conditions(ingress, "/conditions")
            .find(|known| known.kind == "Admitted" && known.status == "False")?;
        Some((text(ingress, "/routerName"), condition))
    });
    let (router, condition) = refused?;
    let mechanism = format!(
        "Route {} ({}) is refused by router {router}: {}",
        object.name,
        text(route, "/spec/host"),
        condition.words()
    );
    let change = match condition.reason {
        "HostAlreadyClaimed" => "spec.host: one that no other Route has",
        _ => "what the router names",
    };
    let confirm = format!("get_resource Route {} in {}: status.ingress", object.name, object.namespace);
    let finding =
        Finding::new(Severity::Critical, Cause::RouteNotAdmitted, &object, mechanism, confirm, change);
    let path = "status.ingress[].conditions[type=Admitted].status";
    Some(finding.shown_by([Evidence::field(&object, path, format!("False {}", condition.reason))]))
}

/// The newest build of each BuildConfig speaks for it.
fn builds(picture: &Picture) -> Vec<Finding> {
    let mut newest: BTreeMap<ObjectRef, &Value> = BTreeMap::new();
    for build in customs::of(picture, "build.openshift.io", "Build") {
        let config = text(build, "/status/config/name");
        let this = customs::reference(build);
        let maker =
            if config.is_empty() { this } else { ObjectRef::new("BuildConfig", &this.namespace, config) };
        let made = |build: &Value| (number(build), text(build, "/metadata/creationTimestamp").to_owned());
        newest
            .entry(maker)
            .and_modify(|known| {
                if made(build) > made(known) {
                    *known = build
                }
            })
            .or_insert(build);
    }
    newest.into_iter().filter_map(|(maker, build)| failed(&maker, build)).collect()
}

/// OpenShift numbers the builds of a config: `web-2`.
fn number(build: &Value) -> Option<u64> {
    text(build, "/metadata/name").rsplit_once('-')?.1.parse().ok()
}

fn failed(maker: &ObjectRef, build: &Value) -> Option<Finding> {
    let phase = text(build, "/status/phase");
    if !matches!(phase, "Failed" | "Error") {
        return None;
    }
    let this = customs::reference(build);
    let (reason, message) = (text(build, "/status/reason"), text(build, "/status/message"));
    let tail = text(build, "/status/logSnippet").lines().last().unwrap_or_default();
    let mechanism =
        format!("the last build of {}, {}, ended {phase}: {reason}: {message}", maker.words(), this.name);
    let confirm = format!("get_logs of pod {}-build in {}", this.name, this.namespace);
    let change = "what the build's log names: its source, its strategy, or where it pushes to";
    let finding = Finding::new(Severity::Critical, Cause::BuildFailed, maker, mechanism, confirm, change);
    let evidence = Evidence::field(&this, "status.phase", format!("{phase} {reason}"));
    let log = (!tail.is_empty()).then(|| Evidence::field(&this, "status.logSnippet", tail));
    // The pod that built has failed with it.
    let pod = ObjectRef::new("Pod", &this.namespace, &format!("{}-build", this.name));
    Some(finding.shown_by([evidence]).shown_by(log).affecting([this, pod]))
}

fn imports(stream: &Value) -> Option<Finding> {
    let object = customs::reference(stream);
    let (tag, condition) = list(stream, "/status/tags").iter().find_map(|tag| {
        let bad = |known: &Condition<'_>| known.kind == "ImportSuccess" && known.status == "False";
        Some((text(tag, "/tag"), conditions(tag, "/conditions").find(bad)?))
    })?;
    let from = list(stream, "/spec/tags").iter().find(|known| text(known, "/name") == tag);
    let from = from.map_or("", |known| text(known, "/from/name"));
    let of = if from.is_empty() { String::new() } else { format!(" from {from}") };
    let mechanism =
        format!("ImageStream {} cannot import its tag {tag}{of}: {}", object.name, condition.words());
    let confirm = format!("get_resource ImageStream {} in {}: status.tags", object.name, object.namespace);
    let change = format!("spec.tags[name={tag}].from: an image that is there, or a pull secret for it");
    let finding =
        Finding::new(Severity::Critical, Cause::ImageImportFailed, &object, mechanism, confirm, change);
    let path = format!("status.tags[tag={tag}].conditions[type=ImportSuccess]");
    let tagged = ObjectRef::new("ImageStreamTag", &object.namespace, &format!("{}:{tag}", object.name));
    Some(finding.shown_by([Evidence::field(&object, &path, condition.words())]).affecting([tagged]))
}

fn deployment_config(picture: &Picture, config: &Value) -> Option<Finding> {
    let object = customs::reference(config);
    let wanted = config.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let bad = conditions(config, "/status/conditions").find(|known| {
        ["Available", "Progressing"].contains(&known.kind)
            && known.status == "False"
            && known.seconds(picture.now) >= LASTING_SECONDS
    });
    let bad = bad.filter(|_| wanted > 0 && config.pointer("/spec/paused") != Some(&Value::Bool(true)))?;
    let available = config.pointer("/status/availableReplicas").and_then(Value::as_i64).unwrap_or(0);
    let mechanism = format!(
        "DeploymentConfig {} has {available} of {wanted} pods available: {}",
        object.name,
        bad.words()
    );
    let confirm =
        format!("list_resources pods in {} with labels deploymentconfig={}", object.namespace, object.name);
    let change = "what ails its pods";
    let finding = Finding::new(Severity::Critical, Cause::RolloutStuck, &object, mechanism, confirm, change);
    let mine = picture.pods.iter().filter(|pod| {
        let labels = pod.metadata.labels.as_ref();
        pod.metadata.namespace.as_ref() == Some(&object.namespace)
            && labels.and_then(|labels| labels.get("deploymentconfig")) == Some(&object.name)
    });
    // Pods of a DeploymentConfig are made by ReplicationControllers, which nobody changes.
    let follows = mine.flat_map(|pod| [reference("Pod", &pod.metadata), picture.owner_of(pod)]);
    let follows: Vec<ObjectRef> = follows.filter(|follows| *follows != object).collect();
    let path = format!("status.conditions[type={}].status", bad.kind);
    Some(finding.shown_by([Evidence::field(&object, &path, "False")]).following(follows))
}

fn cluster_operator(picture: &Picture, operator: &Value) -> Option<Finding> {
    let object = customs::reference(operator);
    let bad = conditions(operator, "/status/conditions").find(|known| {
        let is_bad = (known.kind == "Degraded" && known.status == "True")
            || (known.kind == "Available" && known.status == "False");
        is_bad && known.seconds(picture.now) >= LASTING_SECONDS
    })?;
    let since = bad.since.map_or_else(String::new, |since| format!(" for {}", age(Some(since), picture.now)));
    let state = if bad.kind == "Degraded" { "degraded" } else { "not available" };
    let mechanism = format!("cluster operator {} is {state}{since}: {}", object.name, bad.words());
    let related = list(operator, "/status/relatedObjects")
        .iter()
        .find(|known| text(known, "/resource") == "namespaces");
    let namespace = related.map_or("", |known| text(known, "/name"));
    let confirm = if namespace.is_empty() {
        format!("get_resource ClusterOperator {}", object.name)
    } else {
        format!("diagnose namespace {namespace}")
    };
    let severity = if bad.kind == "Degraded" { Severity::Warning } else { Severity::Critical };
    let change = "what the operator names";
    let finding = Finding::new(severity, Cause::ClusterOperatorDegraded, &object, mechanism, confirm, change);
    let path = format!("status.conditions[type={}].status", bad.kind);
    Some(finding.shown_by([Evidence::field(&object, &path, bad.status)]))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const NONE: [&str; 0] = [];

    #[test]
    fn a_route_that_the_router_refuses() {
        let with = |status: &str| {
            format!(
                "apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {{ name: web }}\nspec: {{ host: a.example }}\nstatus: {{ ingress: [{{ routerName: default, conditions: [{{ type: Admitted, status: '{status}', reason: HostAlreadyClaimed, message: taken by shop/old }}] }}] }}"
            )
        };
        assert_eq!(
            findings(check, &with("False"))[0].mechanism,
            "Route web (a.example) is refused by router default: HostAlreadyClaimed: taken by shop/old"
        );
        assert_eq!(found(check, &with("True")), NONE);
    }

    #[test]
    fn the_newest_build_speaks_for_its_config() {
        let build = |name: &str, made: &str, phase: &str| {
            format!(
                "apiVersion: build.openshift.io/v1\nkind: Build\nmetadata: {{ name: {name}, creationTimestamp: '2026-01-01T{made}:00Z' }}\nstatus: {{ phase: {phase}, reason: GenericBuildFailed, message: 'it failed', config: {{ name: web }} }}\n---\n"
            )
        };
        assert_eq!(
            found(check, &(build("web-1", "10:00", "Complete") + &build("web-2", "11:00", "Failed"))),
            ["BuildFailed BuildConfig shop/web"]
        );
        assert_eq!(
            found(check, &(build("web-1", "10:00", "Failed") + &build("web-2", "11:00", "Complete"))),
            NONE
        );
    }

    #[test]
    fn imports_configs_and_operators() {
        let stream = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: { name: web }\nspec: { tags: [{ name: v1, from: { name: 'quay.example/web:v1' } }] }\nstatus: { tags: [{ tag: v1, conditions: [{ type: ImportSuccess, status: 'False', reason: NotFound, message: gone }] }] }";
        assert_eq!(
            findings(check, stream)[0].mechanism,
            "ImageStream web cannot import its tag v1 from quay.example/web:v1: NotFound: gone"
        );
        let config = "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata: { name: web }\nspec: { replicas: 1 }\nstatus: { conditions: [{ type: Available, status: 'False', message: no minimum }] }";
        assert_eq!(found(check, config), ["RolloutStuck DeploymentConfig shop/web"]);
        assert_eq!(found(check, &config.replace("replicas: 1", "replicas: 0")), NONE);
        let operator = "apiVersion: config.openshift.io/v1\nkind: ClusterOperator\nmetadata: { name: dns }\nstatus: { conditions: [{ type: Degraded, status: 'True', message: pods down }, { type: Available, status: 'True' }] }";
        assert_eq!(found(check, operator), ["ClusterOperatorDegraded ClusterOperator dns"]);
        assert_eq!(found(check, &operator.replacen("'True'", "'False'", 1)), NONE);
    }
}
