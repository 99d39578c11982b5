//! What diagnose says of the recorded broken shop. No cluster is needed.

use pilothouse::{
    answer::{Answer, Budget},
    caller::Caller,
    tools::Toolbox,
};
use serde_json::{Value, json};

use crate::recorded_shop::{call, folder, tools_on};

fn tools() -> Toolbox {
    tools_on(&folder())
}

async fn diagnose(arguments: Value) -> Answer {
    ask(&tools(), arguments).await
}

async fn ask(tools: &Toolbox, arguments: Value) -> Answer {
    call(tools, &Caller::process(), "diagnose", arguments).await
}

/// `cause object` of each, and its record.
fn named(answer: &Answer) -> Vec<(String, Value)> {
    let findings = answer.structured.as_ref().unwrap()["findings"].as_array().unwrap().clone();
    let name = |finding: &Value| {
        let object = &finding["object"];
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        format!("{} {}/{}", word(&finding["cause"]), word(&object["kind"]), word(&object["name"]))
    };
    findings.into_iter().map(|finding| (name(&finding), finding)).collect()
}

#[tokio::test]
async fn the_four_faults_of_the_shop_are_named_and_nothing_else() {
    let answer = diagnose(json!({ "namespace": "shop" })).await;
    assert!(answer.text.starts_with("Root cause 1 of 4: "), "{}", answer.text);
    let named = named(&answer);
    let mut causes: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    causes.sort_unstable();
    let expected = [
        "ImageNotPulled Deployment/payments",
        "NameResolutionFails Deployment/cart",
        "OutOfMemory Deployment/reports",
        "ServiceSelectsNothing Service/checkout",
    ];
    assert_eq!(causes, expected, "{}", answer.text);
    let record = |cause: &str| &named.iter().find(|(name, _)| name.starts_with(cause)).unwrap().1;
    let memory = record("OutOfMemory");
    assert!(memory["mechanism"].as_str().unwrap().contains("its limit of 24Mi"), "{memory}");
    let change = memory["change"]["what"].as_str().unwrap();
    assert!(
        change.starts_with("spec.template.spec.containers[name=reports].resources.limits.memory"),
        "{memory}"
    );
    let name = record("NameResolutionFails");
    assert!(name["mechanism"].as_str().unwrap().contains("redis.shop"), "{name}");
    assert_eq!(name["severity"], "critical");
    for (name, finding) in &named {
        assert!(!finding["evidence"].as_array().unwrap().is_empty(), "{name}");
        assert!(!finding["confirm"].as_str().unwrap().is_empty(), "{name}");
    }
    assert!(!answer.text.contains("not-a-real-password"), "{}", answer.text);
    let tokens = Budget::estimate(&answer.text) + Budget::estimate(&answer.structured.unwrap().to_string());
    assert!(tokens < 4_000, "{tokens}");
}

#[tokio::test]
async fn one_object_is_told_with_what_hangs_together_with_it() {
    let service = json!({ "namespace": "shop", "kind": "deployment", "name": "reports" });
    let answer = diagnose(service).await;
    assert!(answer.text.starts_with("Root cause: Deployment shop/reports: "), "{}", answer.text);
    assert_eq!(named(&answer).len(), 1, "{}", answer.text);
    let well = diagnose(json!({ "namespace": "shop", "kind": "sts", "name": "orders-db" })).await;
    assert!(well.text.starts_with("No problems found in StatefulSet shop/orders-db ("), "{}", well.text);
    assert_eq!(well.structured.unwrap()["healthy"], true);
    let missing = diagnose(json!({ "namespace": "shop", "kind": "Deployment", "name": "report" })).await;
    assert!(missing.is_error && missing.text.contains("nearest: reports"), "{}", missing.text);
}

#[tokio::test]
async fn a_healthy_namespace_is_called_healthy() {
    let answer = diagnose(json!({ "namespace": "kube-system" })).await;
    assert!(answer.text.starts_with("No problems found in namespace kube-system ("), "{}", answer.text);
    assert_eq!(answer.structured.unwrap()["findings"], json!([]));
}

#[tokio::test]
async fn a_small_budget_is_kept_and_the_cursor_goes_on() {
    let tools = tools();
    let mut told = Vec::new();
    let mut cursor = Value::Null;
    for _ in 0..9 {
        let answer = ask(&tools, json!({ "namespace": "shop", "max_tokens": 700, "cursor": cursor })).await;
        assert!(!answer.is_error, "{}", answer.text);
        told.extend(named(&answer).into_iter().map(|(name, _)| name));
        match answer.text.split("cursor=").nth(1) {
            Some(next) => cursor = json!(next.trim()),
            None => break,
        }
    }
    told.sort_unstable();
    assert_eq!(told.len(), 4, "{told:?}");
    told.dedup();
    assert_eq!(told.len(), 4, "{told:?}");
}
