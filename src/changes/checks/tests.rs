#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Check, Outcome, policy::Policies, run, stopped};
use crate::{
    caller::Caller,
    tools::{ClusterChecks, DryRun, Live},
};

/// A cluster that knows Deployments, and says what it is told to say of dry-runs.
struct Knows(DryRun);

fn deployment() -> Value {
    json!({ "$ref": "#/components/schemas/Deployment", "components": { "schemas": {
        "Deployment": { "type": "object", "properties": {
            "apiVersion": { "type": "string" }, "kind": { "type": "string" },
            "metadata": { "type": "object" },
            "spec": { "allOf": [{ "$ref": "#/components/schemas/Spec" }], "default": {} } } },
        "Spec": { "type": "object", "required": ["template"], "properties": {
            "replicas": { "type": "integer", "format": "int32" },
            "paused": { "type": "boolean", "nullable": true },
            "maxSurge": { "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] },
            "port": { "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] },
            "strategy": { "type": "string", "enum": ["Recreate", "RollingUpdate"] },
            "limits": { "type": "object", "additionalProperties": { "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity" } },
            "template": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } },
        "io.k8s.apimachinery.pkg.api.resource.Quantity": { "type": "string" } } } })
}

impl ClusterChecks for Knows {
    fn live<'a>(
        &'a self,
        _: &'a Caller,
        kind: &'a str,
        _: Option<&'a str>,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Live, String>> {
        Box::pin(async move { Err(format!("there is no {kind} `{name}`")) })
    }

    fn schema<'a>(
        &'a self,
        _: &'a Caller,
        _: &'a str,
        kind: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<Value>>, String>> {
        Box::pin(async move { Ok((kind == "Deployment").then(|| Arc::new(deployment()))) })
    }

    fn dry_run<'a>(&'a self, _: Option<&'a Value>, _: &'a Value) -> BoxFuture<'a, DryRun> {
        Box::pin(async { self.0.clone() })
    }
}

fn object(kind: &str, spec: Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": "web", "namespace": "shop", "creationTimestamp": null }, "spec": spec })
}

async fn checked(before: Value, after: Value) -> Vec<Check> {
    let cluster = Knows(DryRun::Accepted { warnings: Vec::new() });
    run(Some(&cluster), &Policies::default(), &Caller::process(), &[before], &[after]).await
}

async fn schema_of(spec: Value) -> Check {
    let before = object("Deployment", json!({ "template": {} }));
    checked(before, object("Deployment", spec)).await.remove(0)
}

#[tokio::test]
async fn what_the_schema_takes_passes() {
    let spec = json!({ "template": { "anything": [1] }, "replicas": 2, "paused": null, "maxSurge": "25%", "port": 80,
        "limits": { "cpu": 1, "memory": "1Gi" }, "strategy": "Recreate" });
    let check = schema_of(spec).await;
    assert_eq!((check.outcome, check.said.as_str()), (Outcome::Passed, "1 object as the API server documents them"));
    assert_eq!(schema_of(json!({ "template": {}, "maxSurge": 1, "port": "http" })).await.outcome, Outcome::Passed);
}

#[tokio::test]
async fn what_it_does_not_is_said_with_its_place() {
    for (spec, says) in [
        (json!({ "template": {}, "replicas": "two" }), "spec.replicas: the value is not of type \"integer\""),
        (json!({ "template": {}, "replcas": 2 }), "no field `replcas` in spec: did you mean replicas?"),
        (json!({ "template": {}, "strategy": "Rolling" }), "spec.strategy: the value is not one of"),
        (json!({ "replicas": 1 }), "\"template\" is a required property"),
        (json!({ "template": {}, "maxSurge": true }), "spec.maxSurge"),
        (json!({ "template": {}, "limits": { "cpu": [] } }), "spec.limits.cpu"),
    ] {
        let check = schema_of(spec).await;
        assert_eq!(check.outcome, Outcome::Failed, "{}", check.said);
        assert!(check.said.starts_with("Deployment shop/web: ") && check.said.contains(says), "{}", check.said);
    }
}

#[tokio::test]
async fn faults_of_before_are_not_this_changes() {
    let odd = |replicas: u32| object("Deployment", json!({ "template": {}, "oddity": 1, "replicas": replicas }));
    let check = checked(odd(1), odd(2)).await.remove(0);
    assert_eq!(check.outcome, Outcome::Passed);
    assert!(check.said.contains("1 faults that were there before"), "{}", check.said);
}

#[tokio::test]
async fn what_nothing_documents_is_not_run() {
    let widget = object("Widget", json!({}));
    let check = checked(widget.clone(), widget).await.remove(0);
    assert_eq!(check.outcome, Outcome::NotRun);
    assert!(check.said.contains("nothing documents Widget"), "{}", check.said);
}

#[tokio::test]
async fn the_api_servers_word_decides() {
    let web = [object("Deployment", json!({ "template": {} }))];
    let run = async |answer: DryRun| {
        let cluster = Knows(answer);
        run(Some(&cluster), &Policies::default(), &Caller::process(), &web, &web).await
    };
    let refused = run(DryRun::Refused { said: "exceeded quota: pods".to_owned() }).await;
    assert_eq!(refused[1].outcome, Outcome::Failed);
    let stopped = stopped(&refused).unwrap();
    assert!(stopped.contains("the check dry-run failed") && stopped.contains("exceeded quota"), "{stopped}");

    let not_run = run(DryRun::NotRun { why: "no identity is configured for it".to_owned() }).await;
    assert_eq!(not_run[1].outcome, Outcome::NotRun);
    assert!(not_run[1].said.starts_with("not dry-run"), "{}", not_run[1].said);
    assert_eq!(super::stopped(&not_run), None);

    let warned = run(DryRun::Accepted { warnings: vec!["would violate PodSecurity".to_owned()] }).await;
    assert_eq!(warned[1].outcome, Outcome::Passed);
    assert!(warned[1].said.contains("would violate PodSecurity"), "{}", warned[1].said);
}

#[tokio::test]
async fn without_a_cluster_only_policies_are_judged() {
    let web = [object("Deployment", json!({}))];
    let checks = run(None, &Policies::default(), &Caller::process(), &web, &web).await;
    let outcomes: Vec<_> = checks.iter().map(|check| check.outcome).collect();
    assert_eq!(outcomes, [Outcome::NotRun, Outcome::NotRun]);
}
