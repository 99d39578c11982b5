//! What a pod waits for besides its probes, where a rollout is gated.

use k8s_openapi::api::core::v1::PodReadinessGate;

use crate::{api::mcp_server::Gate, operator::mcp_server::rollout::VERIFIED};

pub(super) fn build(gate: Option<Gate>) -> Option<Vec<PodReadinessGate>> {
    gate.map(|Gate::Contract| vec![PodReadinessGate { condition_type: VERIFIED.to_owned() }])
}
