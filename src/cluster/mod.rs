//! Reading a cluster. Nothing in this room can store anything.
//!
//! [`connect`] gives a [`Connection`]; its [`Reader`] is all that tools get. A recorded cluster
//! ([`recorded::open`]) is a `Connection` like any other.

mod connect;
mod contexts;
mod discovery;
mod error;
mod guard;
mod identity;
mod log_stream;
mod reader;
pub mod record;
pub mod recorded;
mod resource;
mod selector;
mod snapshot;

pub use connect::{ConnectError, ConnectOptions, Connection, connect};
pub use contexts::Contexts;
pub use discovery::{Kinds, Unresolved};
pub use error::ReadError;
pub use log_stream::{LogLine, LogStream};
pub use reader::{ListHead, ListRequest, LogRequest, Reader};
pub use resource::Resource;
