//! Tests without a cluster, one module a behaviour. Real third-party parts are found through `PARTS_NODE` and
//! `PARTS_PYTHON` (see `tests/parts/install`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod conformance;
mod face_changes;
mod face_http;
mod face_sse;
mod face_stdio;
mod parts;
mod stage;
