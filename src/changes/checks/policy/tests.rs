#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{Check, Outcome, Policies, Policy};
use crate::changes::checks::pairs;

fn read(yaml: &str) -> Result<Policies, String> {
    let policies: Vec<Policy> = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    Ok(Policies::new(policies))
}

fn policy(expression: &str) -> Policies {
    read(&format!("- name: tags\n  expression: \"{expression}\"\n  message: give every image a tag\n")).unwrap()
}

fn web(image: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "name": "web", "image": image }] } } } })
}

async fn judged(policies: &Policies, before: &[Value], after: &[Value]) -> Vec<Check> {
    policies.judge(&pairs::of(before, after)).await
}

const TAGS: &str = "object.spec.template.spec.containers.all(c, !c.image.endsWith(':latest'))";

#[tokio::test]
async fn an_object_is_judged_as_it_will_be() {
    let checks = judged(&policy(TAGS), &[web("a:1")], &[web("a:2")]).await;
    assert_eq!((checks[0].outcome, checks[0].name.as_str()), (Outcome::Passed, "policy tags"));
    let checks = judged(&policy(TAGS), &[web("a:1")], &[web("a:latest")]).await;
    assert_eq!(checks[0].outcome, Outcome::Failed);
    assert_eq!(checks[0].said, "Deployment shop/web: give every image a tag");
}

#[tokio::test]
async fn what_was_there_is_seen_too() {
    let not_halved = "oldObject == null || object.spec.replicas * 2 > oldObject.spec.replicas";
    let mut less = web("a:1");
    less["spec"]["replicas"] = json!(1);
    assert_eq!(judged(&policy(not_halved), &[], &[web("a:1")]).await[0].outcome, Outcome::Passed);
    assert_eq!(judged(&policy(not_halved), &[web("a:1")], &[less]).await[0].outcome, Outcome::Failed);
}

#[tokio::test]
async fn what_cannot_be_judged_does_not_pass() {
    let checks = judged(&policy("object.spec.nothing.here == 1"), &[], &[web("a:1")]).await;
    assert_eq!(checks[0].outcome, Outcome::Failed);
    assert!(checks[0].said.contains("cannot be judged"), "{}", checks[0].said);
    let checks = judged(&policy("object.spec.replicas"), &[], &[web("a:1")]).await;
    assert!(checks[0].said.contains("neither true nor false"), "{}", checks[0].said);
}

#[tokio::test]
async fn only_what_is_matched_is_judged() {
    let of = |matching: &str| {
        read(&format!("- name: a\n  match: {matching}\n  expression: 'false'\n  message: no\n")).unwrap()
    };
    for (matching, met) in [
        ("{}", 1),
        ("{kinds: [deployment]}", 1),
        ("{kinds: [Deployment.apps]}", 1),
        ("{kinds: [Deployment.extensions]}", 0),
        ("{kinds: [Service]}", 0),
        ("{namespaces: [sh*]}", 1),
        ("{namespaces: [other]}", 0),
    ] {
        assert_eq!(judged(&of(matching), &[], &[web("a")]).await.len(), met, "{matching}");
    }
}

#[test]
fn what_cannot_be_meant_refuses_the_configuration_with_its_place() {
    let one = |expression: &str| {
        read(&format!("- name: a\n  expression: {expression}\n  message: no\n")).unwrap_err()
    };
    let nested = "object.a.all(a, a.all(b, b.all(c, c.all(d, d))))";
    for (expression, says) in [
        ("'object.spec.'", "column"),
        ("'object.a = 1'", "is no CEL at line 1"),
        ("'request.user == 1'", "names `request`, which is not there"),
        (nested, "4 loops inside of each other"),
    ] {
        let said = one(expression);
        assert!(said.contains(says) && said.contains("policy a"), "{expression}: {said}");
        assert!(said.contains("line"), "{said}");
    }
    assert!(read("- {name: 'a b', expression: 'true', message: no}").unwrap_err().contains("no name of a policy"));
    assert!(read("- {name: a, expression: 'true', message: ' '}").unwrap_err().contains("no message"));
    assert!(read("- {name: a, expression: 'true', message: no, colour: red}").unwrap_err().contains("colour"));
    assert!(read("- {name: a, expression: 'has(object.a) && object.a.exists(x, x > int(1))', message: no}").is_ok());
}

#[tokio::test]
async fn what_would_take_too_long_is_not_begun() {
    let large: Vec<Value> = (0..600).map(Value::from).collect();
    let mut object = web("a");
    object["spec"]["large"] = Value::Array(large);
    let slow = "object.spec.large.all(a, object.spec.large.all(b, object.spec.large.all(c, a + b + c >= 0)))";
    let checks = judged(&policy(slow), &[], &[object]).await;
    assert_eq!(checks[0].outcome, Outcome::Failed);
    assert!(checks[0].said.contains("too many steps"), "{}", checks[0].said);
}
