//! Prompts, resources and completions of the recorded broken shop, as a client gets them.

use serde_json::{Value, json};

use crate::program::{Piped, Served};

const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/snapshots/broken-shop");

#[tokio::test]
async fn an_object_is_read_as_yaml_by_its_address() {
    let served = Served::start("serve", &["--snapshot", SHOP]).await;
    let listed = served.ask("resources/templates/list", json!({})).await;
    let templates = listed["result"]["resourceTemplates"].as_array().unwrap();
    assert_eq!(templates[0]["uriTemplate"], "cluster://{context}/{namespace}/{kind}/{name}");

    let mut piped = Piped::start(&["--snapshot", SHOP]);
    let known =
        piped.ask("tools/call", json!({ "name": "list_resources", "arguments": { "kind": "deploy" } }));
    assert!(known["result"]["content"][0]["text"].as_str().unwrap().contains("shop"), "{known}");
    let uri = "cluster://_/shop/deployments.apps/cart";
    let read = piped.ask("resources/read", json!({ "uri": uri }));
    let contents = &read["result"]["contents"][0];
    assert_eq!(contents["uri"], uri);
    assert_eq!(contents["mimeType"], "application/yaml");
    let text = contents["text"].as_str().unwrap();
    assert!(text.contains("kind: Deployment") && !text.contains("managedFields"), "{text}");

    for (uri, told) in [
        ("cluster://_/shop/deployments.apps/crat", "nearest: cart"),
        ("cluster://_/shop/deploymints/cart", "deployments"),
        ("cluster://elsewhere/shop/pods/cart", "no context `elsewhere`"),
    ] {
        let read = piped.ask("resources/read", json!({ "uri": uri }));
        let message = read["error"]["message"].as_str().unwrap_or_else(|| panic!("{read}"));
        assert!(message.contains(told), "{uri}: {message}");
    }
}

#[tokio::test]
async fn prompts_are_filled_and_their_arguments_completed() {
    let mut piped = Piped::start(&["--snapshot", SHOP]);
    let listed = piped.ask("prompts/list", json!({}));
    let names: Vec<&str> =
        listed["result"]["prompts"].as_array().unwrap().iter().filter_map(|p| p["name"].as_str()).collect();
    assert!(names.contains(&"triage_cluster") && names.contains(&"investigate_workload"), "{names:?}");

    let arguments = json!({ "namespace": "shop", "name": "cart" });
    let filled = piped.ask("prompts/get", json!({ "name": "investigate_workload", "arguments": arguments }));
    let text = filled["result"]["messages"][0]["content"]["text"].as_str().unwrap();
    assert!(text.contains("Deployment shop/cart") && text.contains("diagnose"), "{text}");
    let missing = piped.ask("prompts/get", json!({ "name": "investigate_workload" }));
    assert_eq!(missing["error"]["code"], -32602, "{missing}");
    assert!(missing["error"]["message"].as_str().unwrap().contains("needs `namespace`"), "{missing}");

    let mut complete = |reference: Value, name: &str, value: &str, given: Value| {
        let answer = piped.ask(
            "completion/complete",
            json!({ "ref": reference, "argument": { "name": name, "value": value },
                "context": { "arguments": given } }),
        );
        let values =
            answer["result"]["completion"]["values"].as_array().unwrap_or_else(|| panic!("{answer}"));
        values.iter().map(|value| value.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let prompt = json!({ "type": "ref/prompt", "name": "investigate_workload" });
    assert_eq!(complete(prompt.clone(), "namespace", "sho", json!({})), ["shop"]);
    assert_eq!(complete(prompt, "name", "car", json!({ "namespace": "shop" })), ["cart"]);
    let object = json!({ "type": "ref/resource", "uri": "cluster://{context}/{namespace}/{kind}/{name}" });
    assert_eq!(complete(object.clone(), "kind", "statefuls", json!({})), ["statefulsets.apps"]);
    let given = json!({ "context": "_", "namespace": "shop", "kind": "services" });
    assert!(!complete(object, "name", "", given).is_empty());
}
