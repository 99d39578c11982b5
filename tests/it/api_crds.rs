//! The CRDs that `crds/` holds are those of the code, fit into the API server, and document every field.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use pilothouse::api;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds/mcpservers.pilothouse.dev.yaml");

#[test]
fn the_checked_in_crds_are_current() {
    let generated = api::crds().unwrap();
    let stored = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        stored == generated,
        "crds/ is not current: run `cargo run -- crds > crds/mcpservers.pilothouse.dev.yaml`"
    );
}

#[test]
fn every_crd_is_under_200_kb() {
    let size = api::crds().unwrap().len();
    assert!(size < 200_000, "the CRDs are {size} bytes: shorten descriptions");
}

#[test]
fn the_yaml_is_the_crd_of_the_types() {
    let parsed: CustomResourceDefinition = serde_saphyr::from_str(&api::crds().unwrap()).unwrap();
    assert_eq!(parsed, api::MCPServer::crd());
}

#[test]
fn kubectl_shows_the_promised_columns() {
    let crd = api::MCPServer::crd();
    let version = &crd.spec.versions[0];
    let columns: Vec<String> = version
        .additional_printer_columns
        .iter()
        .flatten()
        .map(|column| column.name.to_uppercase())
        .collect();
    assert_eq!(columns, ["PHASE", "READY", "TOOLS", "TRANSPORT", "URL", "AGE"]);
    assert_eq!(crd.spec.names.short_names, Some(vec!["phs".to_owned()]));
    assert!(version.subresources.as_ref().is_some_and(|s| s.scale.is_some() && s.status.is_some()));
}

#[test]
fn every_field_is_documented() {
    let crd = api::MCPServer::crd();
    let schema = crd.spec.versions[0].schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref()).unwrap();
    let mut undocumented = Vec::new();
    walk(schema, "", &mut undocumented);
    assert!(undocumented.is_empty(), "without a description: {undocumented:?}");
}

fn walk(schema: &JSONSchemaProps, path: &str, undocumented: &mut Vec<String>) {
    for (name, property) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        if property.description.as_ref().is_none_or(|text| text.len() < 8) {
            undocumented.push(path.clone());
        }
        walk(property, &path, undocumented);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(items, &format!("{path}[]"), undocumented);
    }
}
