#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use std::collections::BTreeSet;

use super::{
    draw::draw,
    grow::{self, World, grow},
    thing::Thing,
};
use crate::answer::Rank;

/// The first page.
fn first(tree: &grow::Node, bytes: usize) -> String {
    draw(tree, None, bytes).page(0, bytes).text
}

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
    let text = first(&tree, 4_000);
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
    let told = |uid: &str| first(&grow(&shop(), uid).unwrap(), 4_000);
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
    let used = first(&grow(&world, "gone").unwrap(), 4_000);
    assert!(used.starts_with("ConfigMap gone\n  used by Deployment cart\n"), "{used}");
}

#[test]
fn a_circle_of_owners_ends() {
    let world = World {
        things: vec![thing("x", "A", "a", "b", json!({})), thing("x", "B", "b", "a", json!({}))],
        ..World::default()
    };
    let text = first(&grow(&world, "a").unwrap(), 4_000);
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn a_tree_that_does_not_fit_folds_and_then_counts() {
    let mut world = shop();
    world.things.extend((10..2_000).map(|at| pod(&format!("cart-a-{at}"), "cart-a", Rank::Healthy)));
    let text = first(&grow(&world, "cart").unwrap(), 700);
    assert!(text.len() <= 700 && text.contains("1993 more Pods, nothing wrong"), "{text}");
    world.things.extend((2_000..4_000).map(|at| pod(&format!("cart-a-{at}"), "cart-a", Rank::Broken)));
    let text = first(&grow(&world, "cart").unwrap(), 1_000);
    assert!(text.len() <= 1_000 && text.contains("CrashLoopBackOff"), "{text}");
}

#[test]
fn the_pages_of_a_tree_hold_each_object_once() {
    let mut world = shop();
    world.things.extend((10..300).map(|at| pod(&format!("cart-a-{at}"), "cart-a", Rank::Healthy)));
    world.things.extend((300..400).map(|at| pod(&format!("cart-a-{at}"), "cart-a", Rank::Broken)));
    // A healthy sibling that has something below it.
    for at in 0..9 {
        let name = format!("cart-old-{at}");
        world.things.push(thing("apps", "ReplicaSet", &name, "cart", template()));
        world.things.push(pod(&format!("{name}-0"), &name, Rank::Healthy));
    }
    let tree = grow(&world, "cart").unwrap();
    for bytes in [0, 700, 4_000, 20_000, 1_000_000] {
        let begun = draw(&tree, None, bytes);
        let (mut from, mut seen, mut total) = (0, Vec::new(), 0);
        loop {
            let page = draw(&tree, Some(begun.named), bytes).page(from, bytes);
            assert!(page.text.len() <= bytes + 200, "{bytes}: {}", page.text);
            assert_eq!(page.before, total, "{bytes}");
            total += page.shown;
            let objects = page
                .text
                .lines()
                .filter(|line| !line.contains(", nothing wrong") && !line.starts_with("below "));
            seen.extend(objects.map(|line| line.trim().to_owned()));
            let Some(next) = page.next else {
                assert_eq!(page.total, total, "{bytes}");
                break;
            };
            assert!(next > from);
            from = next;
        }
        let names: BTreeSet<&String> = seen.iter().collect();
        assert_eq!((names.len(), seen.len()), (total, total), "{bytes}");
        let pods = seen.iter().filter(|line| line.starts_with("owns Pod ")).count();
        assert_eq!(pods, 7 + 390 + 9, "{bytes}");
    }
}

#[test]
fn another_tree_has_another_digest() {
    let drawn = |world: &World| draw(&grow(world, "cart").unwrap(), Some(3), 0);
    let mut world = shop();
    let before = drawn(&world);
    world.things[9].why = "ImagePullBackOff".to_owned();
    assert_eq!(before.digest(5), drawn(&world).digest(5), "what is said of an object may change");
    world.things.retain(|thing| thing.name != "cart-a-0");
    assert_ne!(before.digest(5), drawn(&world).digest(5));
    assert_eq!(before.digest(1), drawn(&world).digest(1), "what comes later may change");
}

#[test]
fn of_pods_that_were_just_made_it_is_said_how_they_are() {
    let mut world = shop();
    world.things.extend((10..20).map(|at| {
        let state = if at < 18 { "ready 0/1" } else { "ready 1/1" };
        Thing { state: state.into(), ..pod(&format!("cart-a-{at}"), "cart-a", Rank::Neutral) }
    }));
    let text = first(&grow(&world, "cart").unwrap(), 4_000);
    assert!(
        text.contains("owns 13 more Pods, nothing known to be wrong (6 ready 0/1, 2 ready 1/1)\n"),
        "{text}"
    );
}
