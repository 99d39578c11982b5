//! The YAML documents of one file as MCPServers. Pure.

use std::sync::LazyLock;

use kube::CustomResourceExt;
use serde_json::Value;

use crate::api::MCPServer;

/// What one file holds.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// With the line on which the document begins, from 1.
    pub(super) servers: Vec<(u64, MCPServer)>,
    pub(super) wrong: Vec<Wrong>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Line and column in the file, from 1.
    pub(super) at: Option<(u64, u64)>,
    pub(super) what: String,
}

/// Reads each document for itself, so that a wrong one does not hide the next.
pub(super) fn read(text: &str) -> Documents {
    let mut documents = Documents::default();
    for (line, document) in split(text) {
        match server(document) {
            Ok(None) => {}
            Ok(Some(server)) => documents.servers.push((line, server)),
            Err(Wrong { at, what }) => {
                let at = at.map_or((line, 1), |(row, column)| (line + row - 1, column));
                documents.wrong.push(Wrong { at: Some(at), what });
            }
        }
    }
    documents
}

/// The documents with the lines on which they begin. `---` ends one only at the start of a line, where YAML
/// allows it in no value of one.
fn split(text: &str) -> Vec<(u64, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first_line, mut offset) = (0, 1, 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let bare = line.trim_end();
        if bare == "---" || bare.starts_with("--- ") {
            documents.push((first_line, &text[start..offset]));
            start = offset;
            first_line = number;
        }
        offset += line.len();
    }
    documents.push((first_line, &text[start..]));
    documents
}

/// `None`: an empty document.
fn server(document: &str) -> Result<Option<MCPServer>, Wrong> {
    let value: Value = serde_saphyr::from_str(document).map_err(|error| wrong(&error))?;
    if value.is_null() {
        return Ok(None);
    }
    let plain = |what: String| Wrong { at: None, what };
    let said = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("nothing").to_owned();
    let (version, kind) = (said("apiVersion"), said("kind"));
    if (version.as_str(), kind.as_str()) == ("pilothouse.dev/v1alpha1", "MCPPool") {
        return Err(plain(
            "an MCPPool is acted on in a cluster only: in a folder each MCPServer appears by itself"
                .to_owned(),
        ));
    }
    if (version.as_str(), kind.as_str()) != ("pilothouse.dev/v1alpha1", "MCPServer") {
        return Err(plain(format!(
            "{kind} of {version} is no server: this folder may hold MCPServers of pilothouse.dev/v1alpha1 only"
        )));
    }
    if value.pointer("/metadata/name").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(plain("metadata.name is missing: give the server a name".to_owned()));
    }
    if let Some(path) = unknown_field(&value) {
        return Err(plain(format!("{path} is not a field of an MCPServer: correct or remove it")));
    }
    serde_saphyr::from_str(document).map(Some).map_err(|error| wrong(&error))
}

fn wrong(error: &serde_saphyr::Error) -> Wrong {
    let at = error.location().map(|location| (location.line(), location.column()));
    let text = error.to_string();
    // Below the first line is a picture of the place, which line and column say as well.
    let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Wrong { at, what }
}

/// The CRD's schema of `spec`.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(MCPServer::crd()).unwrap_or_default();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").cloned().unwrap_or_default()
});

/// The first field of `spec` that the CRD does not have. An API server would say so, too, when kubectl asks.
fn unknown_field(value: &Value) -> Option<String> {
    unknown("spec", value.get("spec")?, &SCHEMA)
}

fn unknown(path: &str, value: &Value, schema: &Value) -> Option<String> {
    match (value, schema.get("properties"), schema.get("items")) {
        (Value::Object(fields), Some(properties), _) => fields.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match properties.get(name) {
                Some(schema) => unknown(&path, value, schema),
                None => Some(path),
            }
        }),
        (Value::Array(values), _, Some(items)) => {
            values.iter().enumerate().find_map(|(at, value)| unknown(&format!("{path}[{at}]"), value, items))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    const GOOD: &str = "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata:\n  name: good\nspec:\n  transport: stdio\n  command: [sh, good.sh]\n";

    #[test]
    fn a_wrong_document_does_not_hide_the_next_and_is_named_by_its_place() {
        let text = format!(
            "# servers\n---\n{}\n---\n{GOOD}",
            GOOD.replace("command: [", "port: nine\n  command: [")
        );
        let found = read(&text);
        assert_eq!(found.servers.len(), 1);
        assert_eq!(found.servers[0].0, 12);
        let [wrong] = &found.wrong[..] else { panic!("{:?}", found.wrong) };
        assert_eq!(wrong.at.map(|at| at.0), Some(9), "{wrong:?}");
    }

    #[test]
    fn half_a_document_another_kind_and_unknown_fields_are_wrong() {
        for (text, part) in [
            ("apiVersion: [", ""),
            ("kind: Pod\napiVersion: v1\nmetadata: {name: x}", "Pod of v1 is no server"),
            ("just text", "nothing of nothing"),
            ("kind: MCPPool\napiVersion: pilothouse.dev/v1alpha1\nmetadata: {name: x}", "in a cluster only"),
            (&GOOD.replace("  name: good", "  labels: {}"), "metadata.name is missing"),
            (&GOOD.replace("command", "comand"), "spec.comand is not a field"),
            (&format!("{GOOD}  env: [{{nam: X}}]\n"), "spec.env[0].nam is not a field"),
            (&GOOD.replace("stdio", "telepathy"), "telepathy"),
        ] {
            let found = read(text);
            assert!(found.servers.is_empty(), "{text}");
            let [wrong] = &found.wrong[..] else { panic!("{text}: {:?}", found.wrong) };
            assert!(wrong.what.contains(part) && wrong.at.is_some(), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn comments_and_empty_documents_are_nothing() {
        let found = read("# nothing\n---\n---\n# more nothing\n");
        assert!(found.servers.is_empty() && found.wrong.is_empty(), "{found:?}");
    }
}
