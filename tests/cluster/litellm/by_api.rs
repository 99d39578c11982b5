//! The API of a real proxy, whose rows are in memory.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use super::{CONDITION, FINALIZER, SOON, delete, finalizers, gone, proxy::Proxy, registered, whole};
use crate::support::{
    own_operator::solo,
    wait::until,
    whole::{NAME, STARTED},
};

const CONFIG: &str = "general_settings:\n  master_key: os.environ/LITELLM_MASTER_KEY\n";
const SERVERS: &str = "/v1/mcp/server";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_proxy_is_told_and_asked_again() {
    let scratch = solo("litellm-api");
    let proxy = Proxy::with_table(CONFIG).await;
    let foreign = json!({ "server_name": "github", "url": "http://127.0.0.1:9/mcp", "transport": "http" });
    proxy.ask(Method::POST, SERVERS, Some(&foreign)).await.expect("a person registers a server");
    let foreign = proxy.server("github").await.expect("it is there");
    let key = proxy.folder.path().join("key");
    fs::write(&key, "sk-not-the-one").unwrap();
    let litellm = json!({ "api": { "url": proxy.url, "keyFile": key }, "owner": scratch.name(),
        "graceSeconds": 2, "lookEverySeconds": 5 });
    let whole = whole(scratch.name(), litellm).await;
    whole.create(registered(&["ops"])).await;
    let said = whole.condition_becomes(CONDITION, "False Refused", STARTED).await;
    assert!(said.contains("proxy admin") && !said.contains("not-the-one"), "{said}");

    // Keys are exchanged while we run.
    fs::write(&key, &proxy.key).unwrap();
    whole.condition_becomes(CONDITION, "True Registered", STARTED).await;
    let ours = proxy.server(NAME).await.expect("it is there");
    assert_eq!(ours["url"], format!("http://{NAME}.{}.svc:8080/mcp", scratch.name()));
    assert_eq!((&ours["mcp_access_groups"], &ours["auth_type"]), (&json!(["ops"]), &json!("none")));
    assert_eq!(finalizers(&whole).await, [FINALIZER]);

    whole.change(json!({ "litellm": { "allowedUserGroups": ["dev"] } })).await;
    let changed = until("its groups change", SOON, || async {
        proxy.server(NAME).await.filter(|server| server["mcp_access_groups"] == json!(["dev"]))
    })
    .await;
    assert_eq!(changed["server_id"], ours["server_id"], "it is changed, not made anew");
    remove(&proxy, &ours).await;
    let again = until("it is put back", SOON, || async { proxy.server(NAME).await }).await;
    let drifted = json!({ "server_id": again["server_id"], "url": "http://127.0.0.1:9/elsewhere",
        "transport": "http", "allowed_tools": ["look"] });
    proxy.ask(Method::PUT, SERVERS, Some(&drifted)).await.expect("a person changes it");
    let right = until("its URL is put right", SOON, || async {
        proxy.server(NAME).await.filter(|server| server["url"] == ours["url"])
    })
    .await;
    assert_eq!(right["allowed_tools"], json!(["look"]), "what others added stays");

    whole.change(json!({ "replicas": 0 })).await;
    until("a stopped server has no entry", SOON, || async {
        proxy.server(NAME).await.is_none().then_some(())
    })
    .await;
    whole.condition_becomes(CONDITION, "False NotReady", SOON).await;
    whole.change(json!({ "replicas": 1 })).await;
    until("it has one again", STARTED, || async { proxy.server(NAME).await }).await;
    delete(&whole).await;
    gone(&whole).await;
    assert!(proxy.server(NAME).await.is_none(), "its entry went with it");
    let mut after = proxy.server("github").await.expect("it is there");
    after["updated_at"] = foreign["updated_at"].clone();
    assert_eq!(after, foreign);
}

async fn remove(proxy: &Proxy, server: &Value) {
    let path = format!("{SERVERS}/{}", server["server_id"].as_str().expect("an id"));
    proxy.ask(Method::DELETE, &path, None).await.expect("a person removes it");
}
