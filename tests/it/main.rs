//! Everything that needs no Kubernetes, one module a behaviour.

mod arrows;
mod release;
//! Integration tests: one module a behaviour, no cluster needed.

mod api_crds;
