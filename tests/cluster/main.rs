//! Everything that needs a real Kubernetes, one module a behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod admission;
mod bridge;
mod capture;
mod changes_checks;
mod changes_end_to_end;
mod changes_found_leader;
mod changes_kept;
mod changes_timeline;
mod connections;
mod contexts;
mod dry_run;
mod emergency;
mod faults;
mod fleet;
mod fleet_headers;
mod fleet_real;
mod gatekeeper;
mod identity_tokens;
mod leader_kills;
mod leadership;
mod lease;
mod litellm;
mod logs;
mod main_job;
mod metrics;
mod openshift;
mod operator_children;
mod operator_drift;
mod operator_external_secrets;
mod operator_fields;
mod operator_kinds;
mod operator_monitors;
mod operator_rotation;
mod operator_sources;
mod operator_status;
mod operator_unparsable;
mod pool;
mod rbac;
mod reader;
mod redaction;
mod rights;
mod rights_at_the_door;
mod rollout_gate;
mod scale;
mod scale_to_zero;
mod scale_to_zero_replicas;
mod subscriptions;
mod support;
mod tools_recording;
mod tools_workload;
mod tree_pages;
mod webhook;
mod whole_run;

/// Real PostgreSQL and Redis servers, as the integration tests have them.
#[allow(dead_code)]
#[path = "../it/authority.rs"]
mod authority;
#[allow(dead_code)]
#[path = "../it/changes_git_server.rs"]
mod changes_git_server;
#[allow(dead_code)]
#[path = "../it/forge_bare.rs"]
mod forge_bare;
/// A real forge.
#[path = "../it/forge_connect.rs"]
mod forge_connect;
#[allow(dead_code)]
#[path = "../it/forge_gitea_server.rs"]
mod forge_gitea_server;
#[allow(dead_code)]
#[path = "../it/forge_stage.rs"]
mod forge_stage;
#[allow(dead_code)]
#[path = "../it/parts.rs"]
mod parts;
#[allow(dead_code)]
#[path = "../it/sources_servers.rs"]
mod sources_servers;
