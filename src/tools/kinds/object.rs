//! What all kinds have.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::tools) struct Meta {
    pub(in crate::tools) name: String,
    pub(in crate::tools) namespace: String,
    pub(in crate::tools) creation_timestamp: Option<Timestamp>,
    pub(in crate::tools) deletion_timestamp: Option<Timestamp>,
    pub(in crate::tools) labels: BTreeMap<String, String>,
    pub(in crate::tools) owner_references: Vec<Owner>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::tools) struct Owner {
    pub(in crate::tools) kind: String,
    pub(in crate::tools) name: String,
    pub(in crate::tools) controller: bool,
}

impl Meta {
    pub(in crate::tools) fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Kind and name of the workload that a pod belongs to: the Deployment or DeploymentConfig rather than its
    /// replicas' controller.
    pub(in crate::tools) fn workload(&self) -> Option<(String, String)> {
        let Owner { kind, name, controller: _ } = self.controller()?;
        if let Some(config) = self.labels.get("deploymentconfig").filter(|_| kind == "ReplicationController")
        {
            return Some(("DeploymentConfig".to_owned(), config.clone()));
        }
        let hash = self.labels.get("pod-template-hash").filter(|_| kind == "ReplicaSet");
        let deployment = hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
        Some(match deployment {
            Some(deployment) => ("Deployment".to_owned(), deployment.to_owned()),
            None => (kind.clone(), name.clone()),
        })
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Condition {
    pub(super) fn find<'a>(all: &'a [Self], kind: &str) -> Option<&'a Self> {
        all.iter().find(|condition| condition.kind == kind)
    }

    /// `Reason: message`, as far as they are there.
    pub(super) fn words(&self) -> String {
        match (self.reason.is_empty(), self.message.is_empty()) {
            (_, true) => self.reason.clone(),
            (true, false) => self.message.clone(),
            (false, false) => format!("{}: {}", self.reason, self.message),
        }
    }
}

/// `5m`, `3h12m`, `2d4h`, `45d`: as kubectl says it.
pub(in crate::tools) fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map_or_else(String::new, |since| duration(now.as_second() - since.as_second()))
}

pub(in crate::tools) fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |big: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ => format!("{days}d"),
    }
}
