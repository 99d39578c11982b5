//! The parts of the gateway under test, and what they name of the others.

#[path = "../../../src/gateway/canonical.rs"]
mod canonical;
#[path = "../../../src/gateway/client.rs"]
mod client;
#[path = "../../../src/gateway/downstream.rs"]
pub mod downstream;
#[path = "../../../src/gateway/names.rs"]
mod names;
#[path = "../../../src/gateway/observation.rs"]
mod observation;
pub mod rounds;
#[path = "../../../src/gateway/wire/mod.rs"]
pub mod wire;

use std::sync::Arc;

use self::{
    client::Client,
    downstream::{Prefix, ServerName},
    wire::{Era, Raw},
};

/// As the gateway has it.
pub struct Request {
    pub server: ServerName,
    pub method: String,
    pub params: Option<Raw>,
    pub era: Era,
    pub seats: Option<Arc<Seats>>,
}

impl Request {
    fn client(&self) -> Option<&Client> {
        self.seats.as_deref()?.client()
    }
}

/// Of nobody: whose they are does not matter here.
pub struct Seats(Option<Client>);

impl Seats {
    pub(crate) fn client(&self) -> Option<&Client> {
        self.0.as_ref()
    }
}

/// What clients see as the name of a tool.
pub fn shown(prefix: &Prefix, original: &str) -> String {
    names::shown(prefix, original)
}

/// How long that may be.
pub const LONGEST: usize = names::LONGEST;
