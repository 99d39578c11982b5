//! ChangeRequests: how far each is. A subscription tells of every phase.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape};
use crate::answer::Rank;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ChangeRequest {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    target: Target,
    requested_by: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    kind: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    message: String,
    pull_request: PullRequest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PullRequest {
    url: String,
}

impl Shape for ChangeRequest {
    const COLUMNS: &'static [&'static str] = &["PHASE", "OBJECT", "REQUESTER", "PULL REQUEST"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let Status { phase, message, .. } = &self.status;
        match phase.as_str() {
            "Verified" => Health::healthy(),
            "Failed" => Health::broken(message.clone()),
            _ => Health { rank: Rank::Neutral, why: phase.clone() },
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let Spec { target: Target { kind, name }, requested_by } = &self.spec;
        let Status { phase, pull_request, .. } = &self.status;
        vec![phase.clone(), format!("{kind} {name}"), requested_by.clone(), pull_request.url.clone()]
    }
}
