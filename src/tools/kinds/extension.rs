//! What extends the API server: CustomResourceDefinitions, APIServices, webhooks.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Definition {
    metadata: Meta,
    spec: DefinitionSpec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DefinitionSpec {
    names: Names,
    scope: String,
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names {
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Version {
    name: String,
    served: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Option<Vec<Condition>>,
}

impl Status {
    fn is(&self, kind: &str, status: &str) -> Option<&Condition> {
        let conditions = self.conditions.as_deref().unwrap_or_default();
        Condition::find(conditions, kind).filter(|known| known.status == status)
    }
}

impl Shape for Definition {
    const COLUMNS: &'static [&'static str] = &["KIND", "SCOPE", "VERSIONS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let status = &self.status;
        if let Some(off) = status.is("NamesAccepted", "False").or(status.is("Established", "False")) {
            return Health::broken(format!("not served, {}", off.words()));
        }
        if let Some(going) = status.is("Terminating", "True") {
            return Health::warning(format!("being deleted, {}", going.words()));
        }
        match status.is("Established", "True") {
            Some(_) => Health::healthy(),
            None => Health::unknown(),
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let DefinitionSpec { names, scope, versions } = &self.spec;
        let served: Vec<&str> =
            versions.iter().filter(|version| version.served).map(|version| version.name.as_str()).collect();
        vec![names.kind.clone(), scope.clone(), served.join(",")]
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiService {
    metadata: Meta,
    spec: ServiceSpec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceSpec {
    service: Option<Service>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service {
    namespace: String,
    name: String,
}

impl Service {
    fn words(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Shape for ApiService {
    const COLUMNS: &'static [&'static str] = &["SERVICE", "AVAILABLE"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        match (self.status.is("Available", "False"), self.status.is("Available", "True")) {
            (Some(off), _) => Health::broken(off.words()),
            (None, Some(_)) => Health::healthy(),
            (None, None) => Health::unknown(),
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let available = self.status.is("Available", "True").map_or("no", |_| "yes");
        let service = self.spec.service.as_ref();
        vec![service.map_or_else(|| "the API server".to_owned(), Service::words), available.to_owned()]
    }
}

/// A ValidatingWebhookConfiguration or MutatingWebhookConfiguration.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Webhooks {
    metadata: Meta,
    webhooks: Option<Vec<Webhook>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Webhook {
    client_config: Client,
    failure_policy: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Client {
    service: Option<Service>,
    url: String,
}

impl Shape for Webhooks {
    const COLUMNS: &'static [&'static str] = &["WEBHOOKS", "CALLS", "ON-FAILURE"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    /// Whether what it calls answers is not said in it.
    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let webhooks = self.webhooks.as_deref().unwrap_or_default();
        let distinct = |words: fn(&Webhook) -> String| {
            let mut all: Vec<String> = webhooks.iter().map(words).collect();
            all.sort();
            all.dedup();
            all.join(",")
        };
        let called = |hook: &Webhook| {
            let Client { service, url } = &hook.client_config;
            service.as_ref().map_or_else(|| url.clone(), Service::words)
        };
        let count = webhooks.len().to_string();
        vec![count, distinct(called), distinct(|hook| hook.failure_policy.clone())]
    }
}
