#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{
    draw::draw,
    grow::{World, grow},
    thing::Thing,
};
use crate::answer::Rank;

fn thing(group: &str, kind: &str, name: &str, owner: &str, spec: Value) -> Thing {
    let owners = if owner.is_empty() { json!([]) } else { json!([{ "uid": owner }]) };
    let labels = json!({ "app": "cart" });
    let meta = json!({ "name": name, "uid": name, "labels": labels, "ownerReferences": owners });
    Thing::of(group, kind, &json!({ "metadata": meta, "spec": spec }))
}

fn template() -> Value {
    json!({ "template": { "metadata": { "labels": { "app": "cart" } }, "spec": { "serviceAccountName": "bot",
        "containers": [{ "envFrom": [{ "configMapRef": { "name": "gone" } }, { "secretRef": { "name": "unseen" } }] }] } } })
}

fn pod(name: &str, owner: &str, rank: Rank) -> Thing {
    let pod = thing("", "Pod", name, owner, json!({ "containers": [{}] }));
    Thing {
        rank: Some(rank),
        why: if rank == Rank::Broken { "CrashLoopBackOff".into() } else { String::new() },
        ..pod
    }
}

fn shop() -> World {
    let mut things = vec![
        thing("apps", "Deployment", "cart", "", template()),
        thing("apps", "ReplicaSet", "cart-a", "cart", template()),
        thing("", "Service", "cart-svc", "", json!({ "selector": { "app": "cart" } })),
        thing("", "Service", "other", "", json!({ "selector": { "app": "other" } })),
        thing("discovery.k8s.io", "EndpointSlice", "cart-svc-x", "cart-svc", json!({})),
        thing(
            "networking.k8s.io",
            "Ingress",
            "front",
            "",
            json!({ "defaultBackend": { "service": { "name": "cart-svc" } } }),
        ),
        thing(
            "autoscaling",
            "HorizontalPodAutoscaler",
            "scale",
            "",
            json!({ "scaleTargetRef": { "kind": "Deployment", "name": "cart" } }),
        ),
        thing(
            "policy",
            "PodDisruptionBudget",
            "budget",
            "",
            json!({ "selector": { "matchLabels": { "app": "cart" } } }),
        ),
        thing("networking.k8s.io", "NetworkPolicy", "deny", "", json!({ "podSelector": {} })),
        pod("cart-a-0", "cart-a", Rank::Broken),
    ];
    things.extend((1..7).map(|at| pod(&format!("cart-a-{at}"), "cart-a", Rank::Healthy)));
    World {
        things,
        there: [("ServiceAccount".to_owned(), "bot".to_owned())].into(),
        known: ["ConfigMap", "ServiceAccount"].map(str::to_owned).into(),
    }
}

#[test]
fn a_pod_is_shown_with_all_that_hangs_together_unhealthy_first() {
    let tree = grow(&shop(), "cart-a-3").unwrap();
    let text = draw(&tree, 4_000);
    assert_eq!(
        text,
        "\
Deployment cart
  owns ReplicaSet cart-a
    owns Pod cart-a-0  Broken: CrashLoopBackOff
    owns Pod cart-a-3  <- asked for
    owns Pod cart-a-1
    owns Pod cart-a-2
    owns Pod cart-a-4
    owns 2 more Pods, nothing wrong
  uses ConfigMap gone (environment)  missing  Broken
  selected by Service cart-svc
    owns EndpointSlice cart-svc-x
    exposed by Ingress front
  scaled by HorizontalPodAutoscaler scale
  uses Secret unseen (environment)
  uses ServiceAccount bot (identity)
  guarded by PodDisruptionBudget budget
  limited by NetworkPolicy deny
"
    );
}

#[test]
fn other_beginnings_lead_to_the_workload() {
    let told = |uid: &str| draw(&grow(&shop(), uid).unwrap(), 4_000);
    let service = told("cart-svc");
    assert!(service.starts_with("Service cart-svc\n"), "{service}");
    assert!(service.contains("  selects Deployment cart\n    owns ReplicaSet cart-a\n"), "{service}");
    assert!(
        service.contains("  exposed by Ingress front\n") && !service.contains("NetworkPolicy"),
        "{service}"
    );
    let ingress = told("front");
    assert!(
        ingress.contains("Ingress front\n  leads to Service cart-svc\n    selects Deployment cart\n"),
        "{ingress}"
    );
    let mut world = shop();
    world.things.push(thing("", "ConfigMap", "gone", "", json!({})));
    let used = draw(&grow(&world, "gone").unwrap(), 4_000);
    assert!(used.starts_with("ConfigMap gone\n  used by Deployment cart\n"), "{used}");
}

#[test]
fn a_circle_of_owners_ends() {
    let world = World {
        things: vec![thing("x", "A", "a", "b", json!({})), thing("x", "B", "b", "a", json!({}))],
        ..World::default()
    };
    let text = draw(&grow(&world, "a").unwrap(), 4_000);
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn a_tree_that_does_not_fit_folds_and_then_counts() {
    let mut world = shop();
    world.things.extend((10..2_000).map(|at| pod(&format!("cart-a-{at}"), "cart-a", Rank::Healthy)));
    let text = draw(&grow(&world, "cart").unwrap(), 700);
    assert!(text.len() <= 700 && text.contains("1993 more Pods, nothing wrong"), "{text}");
    world.things.extend((2_000..4_000).map(|at| pod(&format!("cart-a-{at}"), "cart-a", Rank::Broken)));
    let text = draw(&grow(&world, "cart").unwrap(), 1_000);
    assert!(text.len() <= 1_000 && text.contains("more lines: raise max_tokens"), "{text}");
    assert!(text.contains("CrashLoopBackOff"), "{text}");
}
