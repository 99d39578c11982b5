//! `pilothouse bridge`: a stdio MCP server served as Streamable HTTP, inside the server's own pod.
