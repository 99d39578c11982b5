//! The modules of pilothouse that read what strangers send, without the rest of the program.
#![allow(dead_code, unused_imports, unreachable_pub)]

#[path = "../../src/answer/mod.rs"]
pub mod answer;
#[path = "../../src/caller/mod.rs"]
pub mod caller;
pub mod gateway;
pub mod mcp;
