//! What the operator asked of the API server, out of that one's own record.

use std::collections::{BTreeMap, HashSet};

use anyhow::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::support::audit_log;

/// One request.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) at: Timestamp,
    verb: String,
    /// `pods`, `mcpservers/status`.
    resource: String,
    uri: String,
    name: String,
}

/// Of this user, whose name nobody else has.
pub(crate) fn of(user: &str) -> anyhow::Result<Vec<Request>> {
    let events = audit_log::events(&[user]).context(
        "the API server's record is not beside the kubeconfig: requests can be counted in the cluster of tests/run",
    )?;
    let mut seen = HashSet::new();
    let mut requests = Vec::new();
    for event in &events {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        // A watch is told when it begins and when it ends.
        if text("/impersonatedUser/username") != user || !seen.insert(text("/auditID").to_owned()) {
            continue;
        }
        let (resource, part) = (text("/objectRef/resource"), text("/objectRef/subresource"));
        let resource = if part.is_empty() { resource.to_owned() } else { format!("{resource}/{part}") };
        requests.push(Request {
            at: text("/requestReceivedTimestamp").parse()?,
            verb: text("/verb").to_owned(),
            resource,
            uri: text("/requestURI").to_owned(),
            name: text("/objectRef/name").to_owned(),
        });
    }
    Ok(requests)
}

impl Request {
    /// Tries to store something. A review stores nothing, the lease is not counted.
    pub(crate) fn writes(&self) -> bool {
        !["get", "list", "watch"].contains(&self.verb.as_str())
            && !self.is_of_lease()
            && !self.resource.ends_with("reviews")
            && !self.knocks()
    }

    pub(crate) fn is_of_lease(&self) -> bool {
        self.resource == "leases"
    }

    /// The gateway of the same process tries to reach a pod; in a cluster that is no request.
    pub(crate) fn knocks(&self) -> bool {
        self.resource == "pods/portforward"
    }

    /// Is for that server: its object, one of its children, or a list of what has its label.
    pub(crate) fn is_of(&self, server: &str) -> bool {
        self.name.starts_with(server) || self.uri.contains(server)
    }

    pub(crate) fn what(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }
}

/// Most frequent first.
pub(crate) fn counted<'a>(requests: impl Iterator<Item = &'a Request>) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<String, usize>::new();
    for request in requests {
        *counts.entry(request.what()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
