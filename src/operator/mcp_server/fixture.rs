//! MCPServers as the API server would hand them out, for unit tests.

#![allow(clippy::unwrap_used)]

use crate::api::MCPServer;

/// `spec` is YAML.
pub(super) fn server(spec: &str) -> MCPServer {
    let mut server = MCPServer::new("demo", serde_saphyr::from_str(spec).unwrap());
    server.metadata.namespace = Some("team-a".to_owned());
    server.metadata.uid = Some("uid-of-demo".to_owned());
    server.metadata.generation = Some(3);
    server
}
