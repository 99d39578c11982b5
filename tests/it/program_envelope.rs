//! The whole way from a client through the program to a downstream: what the client gets is what the downstream
//! said, but for the rewritten names, and one bad tool does not hide the others.

use pilothouse::gateway::wire::{
    Era,
    text::{Fields, Head},
};

use crate::{
    gateway_odd::{Odd, Reply},
    program::Served,
};

const TOOLS: &str = r#"{"tools":[
  {"title":"first","name":"bare","x":18446744073709551617},
  {"name":"odd","inputSchema":{"$defs":{"a":{"const":2.50}},"type":"object"},"icons":[{"src":"https://x/y","sizes":"any"}],"execution":{"taskSupport":"odd"}},
  {"title":"nameless"}, 7]}"#;

const RESULT: &str = r#"{"content":[{"type":"hologram","n":2.50},{"type":"text","text":"\u00e4\n","x":null}],"n":1e3,"big":18446744073709551617,"tools":[],"structuredContent":null,"_meta":{"x":[1.0]},"resultType":"complete"}"#;

fn script(method: &str, params: &str) -> Reply {
    match method {
        "tools/list" => Reply::Result(TOOLS.to_owned()),
        "tools/call" => {
            assert!(params.contains(r#""name":"odd""#), "the downstream is asked by its own name: {params}");
            assert!(params.contains(r#""arguments":{"n":1.0,"big":12345678901234567890123}"#), "{params}");
            Reply::Result(RESULT.to_owned())
        }
        _ => Reply::Error(r#"{"code":-32601,"message":"none"}"#.to_owned()),
    }
}

#[tokio::test]
async fn entries_and_answers_are_those_of_the_downstream() {
    let odd = Odd::start(Era::Modern, script);
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: strange}}\n\
         spec: {{remote: {{url: '{}'}}}}\n",
        odd.url()
    );
    std::fs::write(folder.path().join("strange.yaml"), manifest).unwrap();
    let served = Served::start("serve", &["--servers", &folder.path().display().to_string()]).await;
    served.until_listed(&["strange_bare", "strange_odd"]).await;

    let listed = served.ask_text("tools/list", "{}").await;
    let bare = r#"{"title":"first","name":"strange_bare","x":18446744073709551617}"#;
    assert!(listed.contains(bare), "a tool without a schema, with odd numbers: {listed}");
    let odd_tool = r#"{"name":"strange_odd","inputSchema":{"$defs":{"a":{"const":2.50}},"type":"object"},"icons":[{"src":"https://x/y","sizes":"any"}],"execution":{"taskSupport":"odd"}}"#;
    assert!(listed.contains(odd_tool), "{listed}");

    let params = r#"{"name":"strange_odd","arguments":{"n":1.0,"big":12345678901234567890123}}"#;
    let answer = served.ask_text("tools/call", params).await;
    let result = Head::parse(&answer).unwrap().result.unwrap_or_else(|| panic!("{answer}"));
    let mut got = Fields::parse(result.get()).unwrap();
    let mut said = Fields::parse(RESULT).unwrap();
    // Text for text; `_meta` is compared alone, since we may add to it.
    got.remove("_meta");
    said.remove("_meta");
    assert_eq!(got.to_raw().get(), said.to_raw().get());
    assert!(result.get().contains(r#""x":[1.0]"#), "{answer}");
}
