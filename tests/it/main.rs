//! Everything that needs no Kubernetes, one module a behaviour. Real third-party parts are found through
//! `PARTS_NODE` and `PARTS_PYTHON`, the release through `PILOTHOUSE_BINARY`: `tests/run` sets them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod api_crds;
mod arrows;
mod audit_full_disk;
mod audit_record;
mod bridge_limits;
mod bridge_process;
mod bridge_serving;
mod changes_credentials;
mod changes_git_server;
mod changes_propose;
mod conformance;
mod face_changes;
mod face_clients;
mod face_http;
mod face_sse;
mod face_stdio;
mod fleet_examples;
mod fleet_folder;
mod fleet_gateway;
mod gateway_endpoints;
mod gateway_envelopes;
mod gateway_neighbours;
mod gateway_odd;
mod gateway_parts;
mod gateway_processes;
mod gateway_support;
mod operator_manifests;
mod parts;
mod program;
mod program_change;
mod program_demo;
mod program_end;
mod program_envelope;
mod program_input;
mod release;
mod stage;
mod tools_connect;
mod tools_logs;
mod tools_recorded;
