//! Everything that needs no Kubernetes, one module a behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod arrows;
mod bridge_limits;
mod bridge_process;
mod bridge_serving;
mod release;
//! Integration tests: one module a behaviour, no cluster needed.

mod api_crds;
//! Behaviour of the whole program, one module a behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod audit_full_disk;
mod audit_record;
