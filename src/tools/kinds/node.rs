//! Nodes.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    unschedulable: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Vec<Condition>,
    node_info: Info,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Info {
    kubelet_version: String,
}

impl Node {
    fn ready(&self) -> Option<&Condition> {
        Condition::find(&self.status.conditions, "Ready")
    }
}

impl Shape for Node {
    const COLUMNS: &'static [&'static str] = &["STATUS", "ROLES", "VERSION"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        match self.ready() {
            Some(ready) if ready.status == "True" => {}
            Some(ready) => return Health::broken(format!("not ready, {}", ready.words())),
            None => return Health::broken("its kubelet has never reported"),
        }
        let pressed =
            self.status.conditions.iter().find(|known| known.kind != "Ready" && known.status == "True");
        match pressed {
            Some(pressed) => Health::warning(format!("{}, {}", pressed.kind, pressed.words())),
            None if self.spec.unschedulable => Health::warning("cordoned: takes no new pods"),
            None => Health::healthy(),
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let ready = self.ready().is_some_and(|ready| ready.status == "True");
        let roles: Vec<&str> = self
            .metadata
            .labels
            .keys()
            .filter_map(|label| label.strip_prefix("node-role.kubernetes.io/"))
            .collect();
        vec![
            if ready { "Ready" } else { "NotReady" }.to_owned(),
            roles.join(","),
            self.status.node_info.kubelet_version.clone(),
        ]
    }
}
