#![allow(clippy::unwrap_used)]

use serde_json::{Value, json, value::to_raw_value};

use super::{
    field::{Walked, fields, limits, walk},
    missing, of_kind,
};
use crate::cluster::{Resource, Schema};

fn schema() -> Schema {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/k8s.{name}") });
    let document = json!({ "components": { "schemas": {
        "k8s.Deployment": { "type": "object", "description": "Deployment enables updates.",
            "x-kubernetes-group-version-kind": [{ "group": "apps", "kind": "Deployment", "version": "v1" }],
            "properties": { "kind": { "type": "string" }, "spec": { "allOf": [reference("Spec")], "default": {} }, "status": { "type": "object" } } },
        "k8s.Spec": { "type": "object", "required": ["template"], "properties": {
            "replicas": { "type": "integer", "format": "int32", "default": 1, "description": "Number of pods. Defaults to 1." },
            "template": { "allOf": [reference("Template")], "description": "What pods are made of." },
            "labels": { "type": "object", "additionalProperties": { "type": "string" } } } },
        "k8s.Template": { "type": "object", "properties": { "containers": { "type": "array", "items": reference("Container") } } },
        "k8s.Container": { "type": "object", "required": ["name"], "properties": {
            "image": { "type": "string" }, "name": { "type": "string", "maxLength": 63 },
            "pull": { "type": "string", "enum": ["Always", "Never"] },
            "port": { "x-kubernetes-int-or-string": true },
            "nested": reference("Template"),
            "memory": reference("Quantity") } },
        "k8s.Quantity": { "type": "string" } } } });
    Schema::of_document(document.to_string().as_bytes(), &resource()).unwrap().unwrap()
}

fn resource() -> Resource {
    Resource { group: "apps".into(), version: "v1".into(), kind: "Deployment".into(), ..Resource::default() }
}

fn found(path: &str) -> (Value, String) {
    match walk(&schema(), path) {
        Walked::Found { node, kind } => (node, kind),
        missing @ Walked::Missing { .. } => unreachable!("{path}: {missing:?}"),
    }
}

#[test]
fn a_path_leads_through_references_lists_and_maps() {
    for (path, kind) in [
        ("spec", "Spec"),
        ("spec.replicas", "integer (int32)"),
        ("spec.labels", "map of string"),
        ("spec.labels.anything", "string"),
        ("spec.template.containers", "[]Container"),
        ("spec.template.containers[name=web].image", "string"),
        ("spec.template.containers[*].port", "integer or string"),
        (".spec.template.containers.nested.containers.memory", "string (Quantity)"),
    ] {
        assert_eq!(found(path).1, kind, "{path}");
    }
    assert_eq!(found("spec.template").0["description"], "What pods are made of.");
}

#[test]
fn fields_say_type_limits_and_what_is_required() {
    let (node, _) = found("spec.template.containers");
    let told: Vec<(String, bool, String)> = fields(&schema(), &node)
        .into_iter()
        .map(|field| (field.name, field.required, field.limits.join("; ")))
        .collect();
    assert_eq!(told[0], ("name".into(), true, "characters at most 63".into()));
    assert!(told.contains(&("pull".into(), false, "one of Always, Never".into())));
    assert_eq!(limits(&found("spec.replicas").0), ["default 1"]);
    assert!(limits(&found("spec").0).is_empty());
    let rule = json!({ "x-kubernetes-validations": [{ "rule": "self.a > 1", "message": "a must be large" }, { "rule": "has(self.b)" }] });
    assert_eq!(limits(&rule), ["rule: a must be large", "rule: has(self.b)"]);
}

#[test]
fn of_a_whole_kind_the_fields_of_its_spec_are_shown() {
    let names: Vec<String> =
        of_kind(&schema(), &schema().root()).into_iter().map(|field| field.name).collect();
    assert_eq!(names, ["spec.template", "spec.replicas", "spec.labels", "status"]);
}

#[test]
fn a_wrong_path_is_told_the_nearest_and_where_the_name_is() {
    let told = |path: &str| match walk(&schema(), path) {
        Walked::Missing { right, wrong, known, elsewhere } => {
            missing(&resource(), &right, &wrong, &known, &elsewhere).text
        }
        Walked::Found { .. } => unreachable!("{path} is wrong"),
    };
    assert_eq!(told("spec.replica"), "Deployment has no field `replica` in `spec`, nearest: replicas");
    let image = told("spec.image");
    assert!(image.contains("there is `spec.template.containers.image`"), "{image}");
    assert_eq!(told("zzz"), "Deployment has no field `zzz`: it has kind, spec, status");
    assert!(told("spec.replicas.zzz").contains("it has no documented fields"));
}

#[test]
fn a_definition_of_a_custom_resource_is_walked_alike() {
    let crd = json!({ "spec": { "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": { "type": "object",
        "properties": { "spec": { "type": "object", "properties": { "size": { "type": "integer", "minimum": 1 } } } } } } }] } });
    let schema = Schema::of_crd(&to_raw_value(&crd).unwrap(), "v1").unwrap();
    let Walked::Found { node, kind } = walk(&schema, "spec.size") else { unreachable!("it is there") };
    assert_eq!((kind.as_str(), limits(&node)), ("integer", vec!["at least 1".to_owned()]));
}
