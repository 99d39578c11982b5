//! Tests of the whole program without a cluster: one module a behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod gateway_endpoints;
mod gateway_envelopes;
mod gateway_neighbours;
mod gateway_odd;
mod gateway_parts;
mod gateway_processes;
mod gateway_support;
