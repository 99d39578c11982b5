//! What an installation allows, beyond what a spec can mean. Plain functions on values: the webhook and the
//! reconcile ask the same.
//!
//! ```yaml
//! operator:
//!   policy:
//!     images:
//!       repositories: [docker.io/mcp, "registry.example.com/*/mcp"]   # absent: any; empty: none
//!       requireTag: true                         # a tag that is not `latest`, or a digest
//!     resources:
//!       requireLimits: [cpu, memory]
//!     labels:
//!     - {key: team, values: [search, shop]}      # without values: any
//!     secretStores:                              # absent: any; empty: none
//!     - {kind: ClusterSecretStore, name: vault}
//!     identityAnnotations:                       # of the accounts that are made; absent: any; empty: none
//!     - {key: eks.amazonaws.com/role-arn, values: ["arn:aws:iam::123456789012:role/mcp-*"]}
//! ```

mod check;
mod image;
mod pattern;
mod rules;

pub(super) use check::Violation;
pub use rules::Policy;
