//! The Helm tools on recorded clusters that hold release Secrets.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::made_cluster::{MadeCluster, call};

fn release(name: &str, revision: u32, status: &str, config: &Value) -> Value {
    let release = json!({ "name": name, "namespace": "shop", "version": revision,
        "info": { "status": status, "description": format!("{status} by hand"), "last_deployed": "2026-01-01T11:00:00Z",
            "notes": "Open\nhttps://shop.example with token=hunter2-notes" },
        "chart": { "metadata": { "name": "cart", "version": format!("1.0.{revision}"), "appVersion": "7" } },
        "config": config, "manifest": "x".repeat(50_000) });
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(release.to_string().as_bytes()).unwrap();
    let packed = STANDARD.encode(STANDARD.encode(packed.finish().unwrap()));
    json!({ "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
        "metadata": { "name": format!("sh.helm.release.v1.{name}.v{revision}"), "namespace": "shop",
            "creationTimestamp": "2026-01-01T11:00:00Z",
            "labels": { "owner": "helm", "name": name, "version": revision.to_string(), "status": status } },
        "data": { "release": packed } })
}

fn shop() -> MadeCluster {
    let values = |tag: &str, password: &str| json!({ "image": { "tag": tag }, "db": { "rootPassword": password, "existingSecret": "db" } });
    MadeCluster::of(&[
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }),
        release("cart", 1, "superseded", &values("1", "hunter2-a")),
        release("cart", 2, "failed", &values("2", "hunter2-b")),
        release("api", 1, "deployed", &Value::Null),
        release("stuck", 4, "pending-upgrade", &Value::Null),
    ])
}

#[tokio::test]
async fn releases_that_failed_or_hang_come_first() {
    let text = shop().ask("list_helm_releases", json!({})).await.text;
    let rows: Vec<&str> = text.lines().collect();
    assert!(
        rows[1].contains(" cart ") && rows[1].contains("cart-1.0.2") && rows[1].contains("failed by hand"),
        "{text}"
    );
    assert!(
        rows[2].contains(" stuck ") && rows[2].contains("pending-upgrade for 60m: interrupted"),
        "{text}"
    );
    assert!(rows[3].contains(" api ") && rows[3].contains("deployed"), "{text}");
    assert!(text.contains("3 Helm releases\n"), "{text}");
}

#[tokio::test]
async fn one_release_says_its_history_and_what_changed() {
    let text = shop().ask("get_helm_release", json!({ "name": "cart", "namespace": "shop" })).await.text;
    assert!(
        text.starts_with(
            "Broken: shop/cart is failed, revision 2, chart cart-1.0.2, updated 60m ago: failed by hand\n"
        ),
        "{text}"
    );
    assert!(text.contains("Chart since revision 1: cart-1.0.1 -> cart-1.0.2"), "{text}");
    assert!(text.contains("  image.tag: 1 -> 2\n") && text.contains("db.rootPassword: <redacted:"), "{text}");
    assert!(text.contains("existingSecret: db\n") && !text.contains("hunter2"), "{text}");
    let earlier = json!({ "name": "cart", "namespace": "shop", "revision": 1 });
    let text = shop().ask("get_helm_release", earlier).await.text;
    assert!(text.contains("revision 1") && text.contains("tag: \"1\""), "{text}");
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_is() {
    for (arguments, told) in [
        (
            json!({ "name": "crat", "namespace": "shop" }),
            "there is no Helm release `crat` in namespace shop, nearest: cart",
        ),
        (json!({ "name": "cart", "namespace": "shpo" }), "there is no Namespace `shpo`"),
        (json!({ "name": "cart", "namespace": "shop", "revision": 9 }), "keeps no revision 9: it has 2, 1"),
        (json!({ "name": "cart" }), "needs `namespace`"),
    ] {
        let answer = shop().ask("get_helm_release", arguments).await;
        assert!(answer.is_error && answer.text.contains(told), "{}", answer.text);
    }
    let none = MadeCluster::of(&[]).ask("list_helm_releases", json!({})).await;
    assert!(none.is_error && none.text.contains("left out of this recording"), "{}", none.text);
}

#[tokio::test]
async fn many_releases_are_walked_to_the_end_within_the_budget() {
    let names: Vec<String> = (0..150).map(|at| format!("r{at:03}")).collect();
    let releases: Vec<Value> = names.iter().map(|name| release(name, 1, "deployed", &Value::Null)).collect();
    let tools = MadeCluster::of(&releases).tools();
    let (mut asked, mut seen) = (json!({ "namespace": "shop", "max_tokens": 1_500 }), Vec::new());
    loop {
        let page = call(&tools, "list_helm_releases", asked.clone()).await;
        assert!(!page.is_error && page.text.len() <= 5_400, "{}", page.text);
        for row in page.text.lines().filter(|row| row.starts_with("shop ")) {
            assert!(row.contains("cart-1.0.1"), "every row that is shown has its chart\n{}", page.text);
            seen.push(row.split_whitespace().nth(1).unwrap().to_owned());
        }
        let Some(next) = page.text.split("cursor=").nth(1) else { break };
        asked["cursor"] = json!(next.lines().next().unwrap());
    }
    assert_eq!(seen, names);
}
