//! Everything that needs a real Kubernetes, one module a behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admission;
mod contexts;
mod fleet;
mod lease;
mod logs;
mod main_job;
mod operator_children;
mod operator_unparsable;
mod rbac;
mod reader;
mod redaction;
mod rights;
mod scale;
mod subscriptions;
mod support;
mod tools_recording;
