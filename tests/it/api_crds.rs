//! The CRDs that `crds/` holds are those of the code, fit into the API server, and document every field.

use std::{collections::BTreeSet, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use pilothouse::api;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");

/// `PILOTHOUSE_WRITE_CRDS=1 cargo test --test it api_crds` writes them.
#[test]
fn the_checked_in_crds_are_current() {
    let write = std::env::var_os("PILOTHOUSE_WRITE_CRDS").is_some();
    let mut generated = BTreeSet::new();
    for (name, text) in api::crd_files().unwrap() {
        let file = Path::new(FOLDER).join(&name);
        if write {
            std::fs::write(&file, &text).unwrap();
        }
        let stored = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            stored == text,
            "crds/{name} is not current: run `PILOTHOUSE_WRITE_CRDS=1 cargo test --test it api_crds`"
        );
        generated.insert(name);
    }
    let entries = std::fs::read_dir(FOLDER).unwrap();
    let stored: BTreeSet<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(stored, generated, "crds/ holds a file of no kind of ours");
}

#[test]
fn every_crd_is_under_200_kb() {
    for (name, text) in api::crd_files().unwrap() {
        assert!(text.len() < 200_000, "{name} is {} bytes: shorten descriptions", text.len());
    }
}

#[test]
fn the_yaml_is_the_crd_of_the_types() {
    let stream = api::crds().unwrap();
    let parsed: Vec<CustomResourceDefinition> =
        stream.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
    assert_eq!(
        parsed,
        [
            api::ChangeRequest::crd(),
            api::DataSource::crd(),
            api::EmergencyChange::crd(),
            api::MCPPool::crd(),
            api::MCPServer::crd()
        ]
    );
}

fn columns(crd: &CustomResourceDefinition) -> Vec<String> {
    let columns = crd.spec.versions[0].additional_printer_columns.iter().flatten();
    columns.map(|column| column.name.to_uppercase()).collect()
}

#[test]
fn kubectl_shows_the_promised_columns() {
    let server = api::MCPServer::crd();
    assert_eq!(columns(&server), ["PHASE", "READY", "TOOLS", "TRANSPORT", "URL", "AGE"]);
    assert_eq!(server.spec.names.short_names, Some(vec!["phs".to_owned()]));
    assert!(
        server.spec.versions[0]
            .subresources
            .as_ref()
            .is_some_and(|s| s.scale.is_some() && s.status.is_some())
    );
    assert_eq!(columns(&api::MCPPool::crd()), ["PHASE", "READY", "MEMBERS", "TOOLS", "AGE"]);
    assert_eq!(
        columns(&api::ChangeRequest::crd()),
        ["PHASE", "KIND", "OBJECT", "REQUESTER", "PULL REQUEST", "MESSAGE", "AGE"]
    );
    let emergency = columns(&api::EmergencyChange::crd());
    assert_eq!(emergency[..5], ["PHASE", "INCIDENT", "SEVERITY", "BY", "UNSANCTIONED"]);
    assert_eq!(columns(&api::DataSource::crd()), ["TYPE", "PHASE", "ENDPOINT", "CHECKED", "MESSAGE", "AGE"]);
}

#[test]
fn every_field_is_documented() {
    let mut undocumented = Vec::new();
    let crds = [
        api::ChangeRequest::crd(),
        api::DataSource::crd(),
        api::EmergencyChange::crd(),
        api::MCPPool::crd(),
        api::MCPServer::crd(),
    ];
    for crd in crds {
        let schema =
            crd.spec.versions[0].schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref()).unwrap();
        walk(schema, &crd.spec.names.kind, &mut undocumented);
    }
    assert!(undocumented.is_empty(), "without a description: {undocumented:?}");
}

/// Nothing that Pod Security `restricted` refuses has a field.
#[test]
fn an_mcp_server_cannot_leave_restricted() {
    const REFUSED: [&str; 16] = [
        "allowPrivilegeEscalation",
        "appArmorProfile",
        "capabilities",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostPath",
        "hostPort",
        "hostProcess",
        "hostUsers",
        "privileged",
        "procMount",
        "runAsNonRoot",
        "seLinuxOptions",
        "sysctls",
        "windowsOptions",
    ];
    let text = serde_json::to_string(&api::MCPServer::crd()).unwrap();
    for field in REFUSED {
        assert!(!text.contains(&format!("\"{field}\":")), "{field} is a field");
    }
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
