//! Behaviour of the whole program, one module a behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod audit_full_disk;
mod audit_record;
mod changes_credentials;
mod changes_git_server;
mod changes_propose;
