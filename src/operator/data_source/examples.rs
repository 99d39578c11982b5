//! The files of `examples/datasources` do what they say: each is selected, rendered, filled in with the worst
//! credentials, and read as its format.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, convert::Infallible, fs, path::Path};

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::{
    connected::{ConnectedSources, Usable, connect},
    select::{place, select},
};
use crate::{
    api::{
        DataSource, MCPServer,
        mcp_server::TemplateFormat,
        variables::{self, PREFIX},
    },
    fleet::ServerName,
};

/// In place of each credential, with its name.
const WORST: &str = "\"\\'\n${X}#: ";

/// What the server reads, and what its pod is given.
fn filled(file: &str) -> (Value, ConnectedSources) {
    filled_of(&read(&format!("examples/datasources/{file}")))
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn filled_of(text: &str) -> (Value, ConnectedSources) {
    let (mut sources, mut servers): (Vec<DataSource>, Vec<MCPServer>) = (Vec::new(), Vec::new());
    for document in text.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(document).unwrap();
        match object["kind"].as_str().unwrap() {
            "DataSource" => sources.push(serde_json::from_value(object).unwrap()),
            "MCPServer" => servers.push(serde_json::from_value(object).unwrap()),
            _ => {}
        }
    }
    for source in &mut sources {
        source.metadata.namespace.get_or_insert_with(|| "shop".to_owned());
    }
    let server = servers.pop().unwrap();
    let spec = server.spec.data_sources.unwrap();
    let name = ServerName { namespace: "shop".to_owned(), name: server.metadata.name.unwrap() };
    let selection = select(&spec, "shop", sources);
    assert_eq!(selection.unmatched, [""; 0]);
    let usable: Vec<Usable> = selection.sources.into_iter().map(usable).collect();
    let connected = connect(&name, &spec, &usable, "pilothouse:1").unwrap();
    let rendered = &connected.config_map.as_ref().unwrap().data.as_ref().unwrap()["sources"];
    let env = connected.init_container.iter().flat_map(|container| container.env.iter().flatten());
    let known: Vec<String> =
        env.map(|variable| variable.name.strip_prefix(PREFIX).unwrap().to_owned()).collect();
    let value = |name: &str| {
        Ok::<_, Infallible>(known.iter().any(|known| known == name).then(|| format!("{name}{WORST}")))
    };
    let text = variables::fill(rendered, value).unwrap();
    let read = match spec.template.unwrap().format {
        TemplateFormat::Toml => toml::from_str(&text).unwrap(),
        TemplateFormat::Json => serde_json::from_str(&text).unwrap(),
        TemplateFormat::Yaml => serde_saphyr::from_str(&text).unwrap(),
    };
    (read, connected)
}

fn usable(source: DataSource) -> Usable {
    let copied = if place(&source).0 == "shop" {
        BTreeMap::new()
    } else {
        let names = source.spec.credentials.iter().map(|credential| credential.name.clone());
        names.map(|name| (name, ByteString(b"x".to_vec()))).collect()
    };
    Usable { source, copied, versions: Vec::new() }
}

fn worst(name: &str) -> String {
    format!("{name}{WORST}")
}

#[test]
fn two_databases_in_toml() {
    let (read, connected) = filled("database.yaml");
    let source = |id: &str| {
        json!({"id": id, "host": "db", "port": 5432, "database": id,
            "user": worst(&format!("{}_USERNAME", id.to_uppercase())),
            "password": worst(&format!("{}_PASSWORD", id.to_uppercase()))})
    };
    assert_eq!(
        read,
        json!({"read_only": true, "max_rows": 500, "source": [source("orders"), source("stock")]})
    );
    assert_eq!((connected.count, connected.secret), (2, None), "the kubelet reads the Secrets itself");
}

#[test]
fn a_search_engine_in_yaml() {
    let (read, _) = filled("search.yaml");
    assert_eq!(
        read,
        json!({"limit": 1000, "indices": [{"name": "products", "url": "https://search.example.com:9200",
            "headers": {"Authorization": format!("Bearer {}", worst("PRODUCTS_TOKEN"))}}]})
    );
}

#[test]
fn an_object_store_in_json() {
    let (read, _) = filled("storage.yaml");
    let store = &read["stores"][0];
    assert_eq!(
        (&store["name"], &store["type"], &store["port"]),
        (&json!("invoices"), &json!("storage"), &json!(9000))
    );
    assert_eq!(store["credentials"]["accessKey"], worst("INVOICES_ACCESS_KEY"));
    assert_eq!((read["stores"].as_array().unwrap().len(), &read["readOnly"]), (1, &json!(true)));
}

#[test]
fn an_api_of_another_namespace_in_yaml() {
    let (read, connected) = filled("api.yaml");
    let encoded = variables::percent_encoded;
    let url = format!(
        "https://{}:{}@invoices.billing.svc/v2",
        encoded(&worst("BILLING_INVOICES_USERNAME")),
        encoded(&worst("BILLING_INVOICES_PASSWORD"))
    );
    assert_eq!(read, json!({"apis": {"invoices": {"url": url}}}));
    let copied: Vec<String> = connected.secret.unwrap().data.unwrap().into_keys().collect();
    assert_eq!(copied, ["BILLING_INVOICES_PASSWORD", "BILLING_INVOICES_USERNAME"]);
}

#[test]
fn the_database_of_the_readme() {
    let readme = read("README.md");
    let mut blocks = readme.split("```yaml\n").filter_map(|block| block.split("```").next());
    let (read, connected) = filled_of(blocks.find(|block| block.contains("kind: DataSource\n")).unwrap());
    let [database] = read["databases"].as_array().unwrap().as_slice() else { panic!("{read}") };
    assert_eq!((&database["name"], &database["host"]), (&json!("orders"), &json!("db.shop")));
    assert_eq!(database["credentials"]["password"], worst("ORDERS_PASSWORD"));
    assert_eq!(connected.brought.into_iter().collect::<Vec<_>>(), ["orders-datasource"]);
}
