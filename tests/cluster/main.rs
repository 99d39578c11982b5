//! Everything that needs a real Kubernetes, one module a behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fleet;
mod main_job;
mod reader;
mod support;
