//! Servers in a LiteLLM proxy: what is to stand there, what stands there, and the one task that makes the two the same.
//!
//! A reconcile declares what its server wants ([`Registrar::declare`]) and says in its status how it stands. `README.md`
//! says why so.

mod api;
mod config;
mod config_map;
mod document;
mod entry;
mod plan;
mod registrar;
mod teller;

pub use config::{
    Address, ApiConfig, ConfigMapConfig, Format, KeySecretRef, LitellmConfig, LitellmConfigError,
    LitellmSettings, RestartConfig,
};
pub(super) use entry::{Entry, Transport, description};
#[cfg(test)]
pub(super) use plan::Failure;
pub(super) use plan::{FailureKind, Standing};
pub(super) use registrar::{Declaration, Registrar};
pub(super) use teller::Teller;
