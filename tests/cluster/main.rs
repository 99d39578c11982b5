//! Everything that needs a real Kubernetes, one module a behaviour.

mod main_job;
mod reader;
mod support;
