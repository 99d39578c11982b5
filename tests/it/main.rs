//! Everything that needs no Kubernetes, one module a behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod api_crds;
mod arrows;
mod audit_full_disk;
mod audit_record;
mod bridge_limits;
mod bridge_process;
mod bridge_serving;
mod fleet_examples;
mod fleet_folder;
mod fleet_gateway;
mod release;
