#![allow(clippy::unwrap_used)]

use serde_json::{Map, Value, json};

use super::{Change, DocumentError, Layout};
use crate::operator::litellm::config::Format;

const CONFIG: &str = "# kept by the platform team\nmodel_list:\n  - model_name: gpt   # the usual one\n    litellm_params: {model: openai/gpt, api_key: os.environ/OPENAI}\n\nmcp_servers:\n  # by hand\n  github:\n    url: 'https://api.example/mcp'   # quoted so\n    auth_type: bearer_token\n    auth_value: os.environ/GITHUB\n\n# and the rest\ngeneral_settings:\n  master_key: os.environ/KEY\n  banner: |\n    mcp_servers:\n      not: one\n";

fn fields(url: &str) -> Map<String, Value> {
    json!({ "url": url, "access_groups": ["a"] }).as_object().unwrap().clone()
}

fn put(name: &str, url: &str) -> Change {
    Change::Put { name: name.to_owned(), fields: fields(url) }
}

fn remove(name: &str) -> Change {
    Change::Remove { name: name.to_owned() }
}

fn path(dotted: &str) -> Vec<String> {
    dotted.split('.').map(str::to_owned).collect()
}

fn edit(format: Format, at: &str, text: &str, changes: &[Change]) -> Result<String, DocumentError> {
    Layout { format, path: &path(at) }.edited(text, changes)
}

fn yaml(text: &str, changes: &[Change]) -> String {
    edit(Format::Yaml, "mcp_servers", text, changes).unwrap()
}

fn json(text: &str, changes: &[Change]) -> String {
    edit(Format::Json, "mcp_servers", text, changes).unwrap()
}

#[test]
fn an_entry_is_added_exchanged_and_taken_out_and_every_other_byte_stays() {
    let added = yaml(CONFIG, &[put("demo", "http://one")]);
    let ours = "  demo:\n    url: \"http://one\"\n    access_groups: [\"a\"]\n";
    assert_eq!(added.replace(ours, ""), CONFIG, "{added}");
    assert!(added.contains(&format!("os.environ/GITHUB\n{ours}\n# and")), "{added}");
    let changed = yaml(&added, &[put("demo", "http://two")]);
    assert_eq!(changed, added.replace("http://one", "http://two"));
    let names: Vec<String> = Layout { format: Format::Yaml, path: &path("mcp_servers") }
        .entries(&changed)
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["github", "demo"]);
    assert_eq!(yaml(&changed, &[remove("demo")]), CONFIG);
    assert_eq!(yaml(CONFIG, &[remove("demo")]), CONFIG);
    let several = yaml(CONFIG, &[put("b", "http://b"), put("a", "http://a"), remove("b")]);
    assert_eq!(several, yaml(CONFIG, &[put("a", "http://a")]));
}

#[test]
fn windows_line_ends_and_a_missing_last_one_stay() {
    let windows = CONFIG.replace('\n', "\r\n");
    let added = yaml(&windows, &[put("demo", "http://one")]);
    assert_eq!(added.matches('\n').count(), added.matches("\r\n").count());
    assert_eq!(yaml(&added, &[remove("demo")]), windows);
    let open = "mcp_servers:\n  a: {url: 'http://a'}";
    let added = yaml(open, &[put("demo", "http://one")]);
    assert_eq!(
        added,
        "mcp_servers:\n  a: {url: 'http://a'}\n  demo:\n    url: \"http://one\"\n    access_groups: [\"a\"]"
    );
    assert_eq!(yaml(&added, &[remove("demo")]), open);
}

#[test]
fn servers_are_begun_where_there_are_none() {
    let ours = "  demo:\n    url: \"http://one\"\n    access_groups: [\"a\"]\n";
    let change = [put("demo", "http://one")];
    for (before, after) in [
        ("", format!("mcp_servers:\n{ours}")),
        ("# nothing\n", format!("# nothing\nmcp_servers:\n{ours}")),
        ("a: 1\n\n# end\n", format!("a: 1\nmcp_servers:\n{ours}\n# end\n")),
        ("mcp_servers: {}  # none\na: 1\n", format!("mcp_servers: # none\n{ours}a: 1\n")),
        ("mcp_servers:\na: 1\n", format!("mcp_servers:\n{ours}a: 1\n")),
        ("\"mcp_servers\": null\n", format!("\"mcp_servers\":\n{ours}")),
        ("---\na: 1\n...\n", format!("---\na: 1\nmcp_servers:\n{ours}...\n")),
    ] {
        let edited = yaml(before, &change);
        let tidy = |text: &str| text.replace(":  #", ": #");
        assert_eq!(tidy(&edited), after, "{before}");
    }
    let nested = edit(Format::Yaml, "proxy.mcp", "proxy:\n    x: 1\nz: 2\n", &change).unwrap();
    assert!(nested.starts_with("proxy:\n    x: 1\n    mcp:\n      demo:\n        url:"), "{nested}");
    assert!(nested.ends_with("z: 2\n"));
}

#[test]
fn a_name_that_readers_take_for_no_text_is_quoted() {
    let added = yaml("", &[put("no", "http://one")]);
    assert!(added.contains("\n  \"no\":\n"), "{added}");
    assert_eq!(yaml(&added, &[remove("no")]), "mcp_servers:\n");
}

#[test]
fn what_cannot_be_edited_safely_is_refused() {
    let change = [put("demo", "http://one")];
    for (text, says) in [
        ("mcp_servers: {a: {url: x}}\n", "block style"),
        ("mcp_servers:\n- a\n", "a list"),
        ("mcp_servers: 5\n", "a single value"),
        ("- a\n", "a list"),
        ("a: [\n", "not YAML"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        ("{mcp_servers: {}}\n", "something else"),
    ] {
        let error = edit(Format::Yaml, "mcp_servers", text, &change).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    let secret = "key: sk-very-secret\nbroken: [\n";
    let error = edit(Format::Yaml, "mcp_servers", secret, &change).unwrap_err().to_string();
    assert!(!error.contains("sk-very-secret"), "{error}");
}

#[test]
fn json_is_edited_where_it_stands() {
    let pretty =
        "{\n  \"a\": [1,   2],\n  \"mcp_servers\": {\n    \"x\": {\"url\": \"http:\\/\\/x\"}\n  }\n}\n";
    let added = json(pretty, &[put("demo", "http://one")]);
    let ours = ",\n    \"demo\": {\"url\":\"http://one\",\"access_groups\":[\"a\"]}";
    assert_eq!(added.replace(ours, ""), pretty, "{added}");
    assert_eq!(json(&added, &[put("demo", "http://two")]), added.replace("one", "two"));
    assert_eq!(json(&added, &[remove("demo")]), pretty);
    let first = json(&added, &[remove("x")]);
    assert!(first.contains("\"mcp_servers\": {\n    \"demo\": {"), "{first}");
    for empty in ["", "{}", "{\"mcp_servers\": null}", "{\"b\": {\"c\": 1}}"] {
        let added = json(empty, &[put("demo", "http://one")]);
        let read: Value = serde_json::from_str(&added).unwrap();
        assert_eq!(read["mcp_servers"]["demo"]["url"], "http://one", "{added}");
        let gone: Value = serde_json::from_str(&json(&added, &[remove("demo")])).unwrap();
        assert_eq!(gone["mcp_servers"], json!({}));
    }
    let wrong = edit(Format::Json, "mcp_servers", "{\"mcp_servers\": []}", &[put("a", "b")]);
    assert!(wrong.unwrap_err().to_string().contains("a list"));
}
