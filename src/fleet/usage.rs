//! How one process uses the servers that may sleep, as it tells the replica that leads: names and numbers, nothing of
//! what was asked.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::gateway::{Gateway, ServerName};

/// Where a replica serves it, on its health port.
pub const USE_PATH: &str = "/use";

/// Every server with `scaleToZero` that this process has heard of. One that is missing may be used all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    servers: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    namespace: String,
    name: String,
    /// Whole seconds, rounded down; absent while it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_seconds: Option<u64>,
    /// Calls wait for it to wake.
    #[serde(default)]
    waited_for: bool,
    /// Its tools were read.
    #[serde(default)]
    known: bool,
}

/// How a server is used in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerUse {
    /// How long nobody has called it or held a session with it; nothing while somebody does.
    pub idle_for: Option<Duration>,
    /// Calls wait for it to wake.
    pub is_waited_for: bool,
    /// Its tools stay listed without it.
    pub is_known: bool,
}

impl ServerUse {
    /// In the process of this gateway.
    pub fn of(gateway: &Gateway, server: &ServerName) -> Self {
        Self {
            idle_for: gateway.idle_for(server),
            is_waited_for: gateway.parked().borrow().contains(server),
            is_known: !gateway.definitions(server).is_empty(),
        }
    }
}

impl Usage {
    /// In the process of this gateway.
    pub fn of(gateway: &Gateway) -> Self {
        let entry = |server: ServerName| {
            let ServerUse { idle_for, is_waited_for, is_known } = ServerUse::of(gateway, &server);
            let ServerName { namespace, name } = server;
            let idle_seconds = idle_for.map(|idle| idle.as_secs());
            Entry { namespace, name, idle_seconds, waited_for: is_waited_for, known: is_known }
        };
        Self { servers: gateway.sleepers().into_iter().map(entry).collect() }
    }

    pub fn by_server(self) -> BTreeMap<ServerName, ServerUse> {
        let of = |Entry { namespace, name, idle_seconds, waited_for, known }| {
            let idle_for = idle_seconds.map(Duration::from_secs);
            let usage = ServerUse { idle_for, is_waited_for: waited_for, is_known: known };
            (ServerName { namespace, name }, usage)
        };
        self.servers.into_iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::{ServerUse, Usage};
    use crate::gateway::ServerName;

    #[test]
    fn what_is_not_said_of_a_server_keeps_it_awake() {
        let text = r#"{"servers":[{"namespace":"a","name":"b"},{"namespace":"a","name":"c","idleSeconds":7,"known":true}]}"#;
        let usage = serde_json::from_str::<Usage>(text).unwrap();
        let servers = usage.by_server();
        let of = |name: &str| servers[&ServerName { namespace: "a".into(), name: name.into() }];
        assert_eq!(of("b"), ServerUse { idle_for: None, is_waited_for: false, is_known: false });
        let idle = Some(Duration::from_secs(7));
        assert_eq!(of("c"), ServerUse { idle_for: idle, is_waited_for: false, is_known: true });
    }
}
