//! `docs/one-manifest.md`: one MCPServer beside the manifests that somebody would have to write without it, as they
//! are really made.

#![allow(clippy::unwrap_used)]

use std::{env, fs, path::Path};

use serde_json::Value;

use super::{labels::MANAGER, tests::children_of};
use crate::api::MCPServer;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
const ONE: &str = include_str!("../../../../docs/one-manifest.yaml");
/// Most lines that the one manifest may have.
const LINES: usize = 30;

/// `PILOTHOUSE_WRITE_DOCS=1 cargo test --lib one_manifest` writes it.
#[test]
fn the_page_shows_what_is_made() {
    let page = page();
    let file = Path::new(DOCS).join("one-manifest.md");
    if env::var_os("PILOTHOUSE_WRITE_DOCS").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let stored = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        stored == page,
        "docs/one-manifest.md is not current: run `PILOTHOUSE_WRITE_DOCS=1 cargo test --lib one_manifest`"
    );
}

fn page() -> String {
    let mut server: MCPServer = serde_saphyr::from_str(ONE).unwrap();
    server.metadata.uid = Some("uid".to_owned());
    let made: Vec<(String, String)> = children_of(&server)
        .list()
        .unwrap()
        .into_iter()
        .map(|child| {
            let mut object = serde_json::to_value(&child.object).unwrap();
            as_by_hand(&mut object);
            (child.kind.to_string(), serde_saphyr::to_string(&object).unwrap().trim_end().to_owned())
        })
        .collect();
    let lines = |text: &str| text.lines().count();
    let (one, all) = (lines(ONE), made.iter().map(|(_, text)| lines(text)).sum::<usize>());
    assert!(one <= LINES, "{one} lines");
    assert_eq!(made.len(), 7, "{:?}", made.iter().map(|(kind, _)| kind).collect::<Vec<_>>());
    let kinds = made.iter().map(|(kind, text)| format!("{kind} ({})", lines(text)));
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    let documents = made.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n---\n");
    format!(
        "# One manifest instead of seven\n\n\
         Left: an MCPServer of {one} lines. Right: the {all} lines in seven manifests that it is kept as: {kinds}.\n\
         They are what the operator makes of it, without the owner reference and the hashes that only an operator \
         needs.\n\n\
         What no manifest says comes on top: a change of `orders.toml` or of the Secret rolls the pods once, the \
         status tells whether the server speaks MCP and which tools it has, and its tools appear in every connected \
         client.\n\n\
         <table>\n<tr><th>one MCPServer, {one} lines</th><th>seven manifests, {all} lines</th></tr>\n\
         <tr valign=\"top\"><td>\n\n```yaml\n{}\n```\n\n</td><td>\n\n```yaml\n{documents}\n```\n\n</td></tr>\n</table>\n",
        ONE.trim_end()
    )
}

/// Takes away what nobody would write by hand.
fn as_by_hand(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("ownerReferences");
            if let Some(Value::Object(annotations)) = fields.get_mut("annotations") {
                annotations.retain(|name, _| !name.starts_with(MANAGER));
            }
            fields.retain(|name, value| {
                name != "annotations" || value.as_object().is_none_or(|all| !all.is_empty())
            });
            fields.values_mut().for_each(as_by_hand);
        }
        Value::Array(items) => items.iter_mut().for_each(as_by_hand),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
