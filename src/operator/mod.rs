//! The operator: keeps what an MCPServer declares true. The only holder of a writing client.
