//! The face: how clients reach pilothouse over stdio, Streamable HTTP and HTTP+SSE.
