//! Everything that needs a real Kubernetes, one module a behaviour.

mod fleet;
mod main_job;
mod support;
