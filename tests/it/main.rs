//! Everything that needs no Kubernetes, one module a behaviour.

mod arrows;
mod release;
