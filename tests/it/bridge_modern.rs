//! A server that knows no handshake, which is what comes after 2025-11-25.

use pilothouse::gateway::Gateway;
use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    bridge_process::{Bridge, INITIALIZE, descendants},
    gateway_support::{at_url, call_tool, ready, tools},
};

/// Answers each call with its process id.
const SERVER: &str = r#"
while IFS= read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32022,"message":"too old","data":{"supported":["2026-07-28"]}}}\n' "$id" ;;
    *'"method":"server/discover"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"sh","version":"1"}}}}\n' "$id" ;;
    *'"method":"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","tools":[{"name":"hello","inputSchema":{"type":"object"}}],"ttlMs":60000,"cacheScope":"private"}}\n' "$id" ;;
    *'"id":'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","content":[],"pid":%s}}\n' "$id" "$$" ;;
  esac
done
"#;

fn server() -> Vec<String> {
    ["sh", "-c", SERVER].map(str::to_owned).to_vec()
}

async fn discover(bridge: &Bridge) -> (StatusCode, Value) {
    let discover = r#"{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let asked = bridge.post(None, discover).header("mcp-protocol-version", "2026-07-28");
    let answer = asked.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test]
async fn it_is_found_out_when_it_refuses_a_handshake() {
    let bridge = Bridge::start(&[], &server());
    assert_eq!(discover(&bridge).await.1["error"]["code"], -32601, "most servers want to be initialized");
    let refused = bridge.post(None, INITIALIZE).send().await.unwrap();
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], -32022);
    let (status, found) = discover(&bridge).await;
    assert_eq!((status, &found["id"]), (StatusCode::OK, &"d".into()));
    assert_eq!(found["result"]["supportedVersions"][0], "2026-07-28");
}

#[tokio::test]
async fn it_is_used_through_the_gateway_and_one_process_answers() {
    for options in [&[][..], &["--shared"]] {
        let bridge = Bridge::start(options, &server());
        let gateway = Gateway::new(Vec::new());
        gateway.apply(at_url("one", &bridge.url("/mcp")));
        let seen = ready(&gateway, "one").await;
        assert_eq!(seen.server.unwrap().protocol_version, "2026-07-28");
        assert_eq!(tools(&gateway), ["one_hello"]);
        let mut processes = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let answer = call_tool(&gateway, "one", "hello").await.unwrap();
            processes.insert(serde_json::from_str::<Value>(answer.get()).unwrap()["pid"].to_string());
        }
        assert_eq!(processes.len(), 1, "{processes:?}");
        assert_eq!(descendants(bridge.server().await).len(), 1);
    }
}
