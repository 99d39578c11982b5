//! The face: pilothouse as an MCP server, over stdio, Streamable HTTP and HTTP+SSE, in both eras.
//!
//! A request comes in through a transport, gets its [`Caller`](crate::caller::Caller), and is answered by the
//! one [`Face`]: from this caller's [view] of the catalogue it finds the route, then [`Own`] or the gateway
//! answers. README.md says how the parts lie around rmcp.

pub mod access;
pub mod admission;
pub mod authentication;
pub mod http;
pub mod listener;
pub mod own;
pub mod stdio;

mod announce;
mod face;
mod outgoing;
mod owners;
mod session;
mod sse;
mod subscriptions;
mod upward;
mod view;
mod words;

pub use access::Access;
pub use authentication::Auth;
pub use face::Face;
pub use http::HttpSettings;
pub use own::{Asked, Offer, Own};

/// Comments that keep streams open through proxies come this often.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(15);
