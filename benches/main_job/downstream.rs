//! The fastest MCP server there can be: it answers from memory, so that what is measured is the way to it.

use std::net::SocketAddr;

use crate::wire;

/// Serves the newest revision at `/mcp`; its tool `echo` answers some 200 bytes.
pub(crate) fn serve() -> anyhow::Result<SocketAddr> {
    wire::serve(answer)
}

/// Parses no JSON: it looks for the method and repeats the id.
fn answer(request: &str) -> String {
    let id =
        request.split_once(r#""id":"#).and_then(|(_, rest)| rest.split([',', '}']).next()).unwrap_or("null");
    let asks = |method: &str| request.contains(&format!(r#""method":"{method}""#));
    let result = if asks("tools/call") {
        format!(
            r#"{{"resultType":"complete","content":[{{"type":"text","text":"{}"}}]}}"#,
            "ahoy ".repeat(30)
        )
    } else if asks("tools/list") {
        r#"{"resultType":"complete","ttlMs":60000,"cacheScope":"public","tools":[{"name":"echo","description":"Says it again.","inputSchema":{"type":"object"}}]}"#.to_owned()
    } else if asks("server/discover") {
        r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":60000,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"bare","version":"1"}}}"#.to_owned()
    } else {
        return format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"not here"}}}}"#);
    };
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}
