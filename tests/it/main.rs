//! Everything that needs no Kubernetes, one module a behaviour.

mod arrows;
mod release;
//! Integration tests: one module a behaviour, no cluster needed.

mod api_crds;
//! Behaviour of the whole program, one module a behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod audit_full_disk;
mod audit_record;
