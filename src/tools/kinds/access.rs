//! Who may do what: ServiceAccounts, roles, and what binds them. They cannot be ill by themselves.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceAccount {
    metadata: Meta,
    image_pull_secrets: Option<Vec<Named>>,
    automount_service_account_token: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

impl Shape for ServiceAccount {
    const COLUMNS: &'static [&'static str] = &["PULL-SECRETS", "TOKEN"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let secrets: Vec<&str> =
            self.image_pull_secrets.iter().flatten().map(|secret| secret.name.as_str()).collect();
        let token =
            if self.automount_service_account_token == Some(false) { "not mounted" } else { "mounted" };
        vec![secrets.join(","), token.to_owned()]
    }
}

/// A Role or ClusterRole.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    metadata: Meta,
    // The API server writes `null` for none.
    rules: Option<Vec<Rule>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    verbs: Vec<String>,
    resources: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    urls: Vec<String>,
}

/// Verbs and resources named of one rule, and rules of one role.
const NAMED: usize = 4;

impl Rule {
    fn words(&self) -> String {
        let Self { verbs, resources, urls } = self;
        let resources: Vec<String> = resources.iter().chain(urls).cloned().collect();
        format!("{} {}", first(verbs, ","), first(&resources, ","))
    }
}

fn first(all: &[String], between: &str) -> String {
    let named = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(between);
    if all.len() > NAMED { format!("{named}{between}and {} more", all.len() - NAMED) } else { named }
}

impl Shape for Role {
    const COLUMNS: &'static [&'static str] = &["ALLOWS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let rules: Vec<String> = self.rules.iter().flatten().map(Rule::words).collect();
        vec![if rules.is_empty() { "nothing".to_owned() } else { first(&rules, "; ") }]
    }
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Binding {
    metadata: Meta,
    role_ref: Reference,
    subjects: Option<Vec<Reference>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    kind: String,
    namespace: String,
    name: String,
}

impl Shape for Binding {
    const COLUMNS: &'static [&'static str] = &["ROLE", "SUBJECTS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let Reference { kind, name, .. } = &self.role_ref;
        let subject = |Reference { kind, namespace, name }: &Reference| match kind.as_str() {
            "ServiceAccount" => format!("ServiceAccount {namespace}/{name}"),
            _ => format!("{kind} {name}"),
        };
        let subjects: Vec<String> = self.subjects.iter().flatten().map(subject).collect();
        let subjects = if subjects.is_empty() { "nobody".to_owned() } else { first(&subjects, ", ") };
        vec![format!("{kind}/{name}"), subjects]
    }
}
