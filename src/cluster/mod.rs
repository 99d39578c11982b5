//! Reading a cluster. Nothing in this room can store anything.
//!
//! [`connect`] gives a [`Connection`]; its [`Reader`] is all that tools get. A recorded cluster
//! ([`recorded::open`]) is a `Connection` like any other.

pub mod access;
mod connect;
mod contexts;
mod discovery;
mod error;
mod guard;
mod identity;
mod listing;
mod log_stream;
mod reader;
pub mod record;
pub mod recorded;
mod resource;
mod schema;
mod selector;
mod snapshot;
mod transport;
mod watch;

pub use connect::{ConnectError, ConnectOptions, Connection, connect};
pub use contexts::Contexts;
pub use discovery::{Kinds, Unresolved};
pub use error::ReadError;
pub use identity::CallerHeaders;
pub use listing::{ListHead, ListRequest};
pub use log_stream::{LogLine, LogRequest, LogStream};
pub use reader::Reader;
pub use resource::Resource;
pub use schema::Schema;
pub use watch::{Change, Event};
