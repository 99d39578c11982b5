//! OpenShift's Routes: which host leads to which Service, and whether a router has taken them.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Route {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    host: String,
    path: String,
    to: Target,
    alternate_backends: Vec<Target>,
    port: Option<Port>,
    tls: Option<Tls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    name: String,
    weight: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    target_port: serde_json::Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tls {
    termination: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    ingress: Option<Vec<Taken>>,
}

/// What one router says of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Taken {
    host: String,
    router_name: String,
    conditions: Vec<Condition>,
}

impl Shape for Route {
    const COLUMNS: &'static [&'static str] = &["HOST", "SERVICES", "PORT", "TLS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let routers = self.status.ingress.as_deref().unwrap_or_default();
        let admitted =
            |status: &str| routers.iter().find_map(|router| Some((router, router.admitted(status)?)));
        match (admitted("True"), admitted("False")) {
            (None, Some((router, refused))) => {
                Health::broken(format!("router {} refuses it: {}", router.router_name, refused.words()))
            }
            (Some(_), Some((router, refused))) => {
                Health::warning(format!("router {} refuses it: {}", router.router_name, refused.words()))
            }
            (Some(_), None) => Health::healthy(),
            (None, None) => Health::warning("no router has admitted it"),
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let Spec { host, path, to, alternate_backends, port, tls } = &self.spec;
        let given = self.status.ingress.iter().flatten().map(|router| router.host.as_str());
        let host = given.into_iter().find(|host| !host.is_empty()).unwrap_or(host);
        let shared = !alternate_backends.is_empty();
        let services: Vec<String> = std::iter::once(to)
            .chain(alternate_backends)
            .map(|Target { name, weight }| match weight {
                Some(weight) if shared => format!("{name}={weight}"),
                _ => name.clone(),
            })
            .collect();
        let port = port.as_ref().map(|port| &port.target_port);
        let port = port.map(|port| port.as_str().map_or_else(|| port.to_string(), str::to_owned));
        vec![
            format!("{host}{path}"),
            services.join(","),
            port.unwrap_or_default(),
            tls.as_ref().map(|tls| tls.termination.clone()).unwrap_or_default(),
        ]
    }
}

impl Taken {
    fn admitted(&self, status: &str) -> Option<&Condition> {
        Condition::find(&self.conditions, "Admitted").filter(|known| known.status == status)
    }
}
