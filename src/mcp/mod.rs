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
pub mod sessions;
pub mod stdio;

mod announce;
mod conversations;
mod face;
mod form;
mod large;
mod links;
mod manners;
mod outgoing;
mod params;
mod progress;
mod rate;
mod rejected;
mod resources;
mod session;
mod sse;
mod subscriptions;
pub mod trace;
mod turned_away;
mod upward;
mod view;
mod words;

pub use access::Access;
pub use authentication::Auth;
pub use face::Face;
pub use http::{BackDoor, HttpSettings};
pub use large::entries as search_entries;
pub use manners::Manners;
pub use own::{Asked, Offer, Own};
pub use rate::RateLimit;
pub use turned_away::recorded;

/// Comments that keep streams open through proxies come this often.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(15);
