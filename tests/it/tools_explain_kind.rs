//! explain_kind on recorded clusters, which document what their CRDs document.

use serde_json::{Value, json};

use crate::made_cluster::MadeCluster;

fn shop() -> MadeCluster {
    let size =
        json!({ "type": "integer", "minimum": 1, "default": 3, "description": "How large. More words." });
    let color = json!({ "type": "string", "enum": ["red", "blue"] });
    let spec = json!({ "type": "object", "required": ["color"], "properties": { "size": size, "color": color,
        "parts": { "type": "array", "items": { "type": "object", "properties": { "label": { "type": "string" } } } } } });
    let schema =
        json!({ "type": "object", "description": "A widget of the shop.", "properties": { "spec": spec } });
    MadeCluster::of(&[json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.shop.example.com" },
        "spec": { "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": schema } }] } })])
}

async fn explain(arguments: Value) -> (bool, String) {
    let answer = shop().ask("explain_kind", arguments).await;
    (answer.is_error, answer.text)
}

#[tokio::test]
async fn a_custom_resource_is_explained_by_its_definition() {
    let (_, text) = explain(json!({ "kind": "widget" })).await;
    assert!(text.starts_with("Widget (shop.example.com/v1), namespaced\nA widget of the shop.\n"), "{text}");
    let rows: Vec<&str> = text.lines().skip(3).collect();
    assert!(rows[0].starts_with("spec.color") && rows[0].contains("required; one of red, blue"), "{text}");
    assert!(
        text.contains("spec.size") && text.contains("default 3; at least 1") && text.contains("How large"),
        "{text}"
    );
    assert!(!text.contains("More words"), "{text}");
    let (_, text) = explain(json!({ "kind": "widgets.shop.example.com.spec.parts[0]" })).await;
    assert!(text.starts_with("Widget (shop.example.com/v1), spec.parts[0]: []object"), "{text}");
    assert!(text.contains("label  string"), "{text}");
}

#[tokio::test]
async fn wrong_paths_and_kinds_are_told_what_there_is() {
    for (arguments, told) in [
        (
            json!({ "kind": "widget", "field": "spec.colour" }),
            "Widget has no field `colour` in `spec`, nearest: color",
        ),
        (json!({ "kind": "widget.label" }), "there is `spec.parts.label`"),
        (json!({ "kind": "widgit" }), "nearest: widgets.shop.example.com"),
        (json!({ "kind": "deployment" }), "documents only the custom resources whose definitions it holds"),
        (json!({}), "explain_kind needs `kind`"),
    ] {
        let (is_error, text) = explain(arguments).await;
        assert!(is_error && text.contains(told) && text.lines().count() == 1, "{text}");
    }
}
