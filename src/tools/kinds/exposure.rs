//! The addresses that a load balancer or ingress controller gave: the status of Services and Ingresses.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Exposure {
    load_balancer: LoadBalancer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<Address>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    ip: String,
    hostname: String,
}

impl Exposure {
    /// Each by its IP, or by its host name where it has none.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &str> {
        let given = self.load_balancer.ingress.iter();
        given.map(|Address { ip, hostname }| if ip.is_empty() { hostname.as_str() } else { ip.as_str() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.load_balancer.ingress.is_empty()
    }
}
