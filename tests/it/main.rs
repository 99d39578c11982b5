//! Integration tests: one module a behaviour, no cluster needed.

mod api_crds;
