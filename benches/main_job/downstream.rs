//! The fastest MCP server there can be: it answers from memory, so that what is measured is the way to it.

use std::net::SocketAddr;

use axum::{Json, Router, routing::post};
use serde_json::{Value, json};

/// Serves the newest revision at `/mcp`; its tool `echo` answers some 200 bytes.
pub(crate) async fn serve() -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Without it an answer waits for the reader's acknowledgement.
        let _ = stream.set_nodelay(true);
    });
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/mcp", post(answer))).await });
    Ok(address)
}

async fn answer(Json(request): Json<Value>) -> Json<Value> {
    let result = match request["method"].as_str().unwrap_or_default() {
        "server/discover" => json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
            "ttlMs": 60_000, "cacheScope": "public",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "bare", "version": "1"}}
        }),
        "tools/list" => json!({
            "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public",
            "tools": [{"name": "echo", "description": "Says it again.", "inputSchema": {"type": "object"}}]
        }),
        "tools/call" => json!({
            "resultType": "complete", "content": [{"type": "text", "text": "ahoy ".repeat(30)}]
        }),
        method => {
            let error = json!({"code": -32601, "message": format!("no {method} here")});
            return Json(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}));
        }
    };
    Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
}

/// A request of the newest revision, as a client sends it.
pub(crate) fn request(
    client: &reqwest::Client,
    url: &str,
    method: &str,
    name: Option<&str>,
    mut params: Value,
) -> reqwest::RequestBuilder {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"}
    });
    let request = client
        .post(url)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method)
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}));
    match name {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}
