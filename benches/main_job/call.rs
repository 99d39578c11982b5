//! One call of the tool of the fastest server there can be, in the newest revision.

use anyhow::bail;

use crate::wire::Connection;

pub(crate) const DIRECT: &str = "echo";
pub(crate) const THROUGH: &str = "bare_echo";

pub(crate) fn call(connection: &mut Connection, tool: &str) -> anyhow::Result<()> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"message":"ahoy"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"1"}}}}}}}}"#
    );
    let answer = connection.post("tools/call", tool, &body)?;
    if !answer.contains("ahoy ahoy") {
        bail!("{tool} answered {answer}");
    }
    Ok(())
}
