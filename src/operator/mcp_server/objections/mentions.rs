//! The objects that a spec names and that must exist, each with the field that names it. What is optional is not
//! among them.

use std::fmt;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVarSource};

use crate::api::{DataSource, External, MCPServer, SecretKeyRef, SecretStoreKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::operator::mcp_server) enum Sort {
    ConfigMap,
    Secret,
    ServiceAccount,
    Claim,
    DataSource,
    Store(SecretStoreKind),
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::ServiceAccount => "ServiceAccount",
            Self::Claim => "PersistentVolumeClaim",
            Self::DataSource => "DataSource",
            Self::Store(kind) => kind.as_str(),
        })
    }
}

/// An object of the server's namespace, or a ClusterSecretStore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator::mcp_server) struct Mention {
    /// The field that holds the name, without `.name`.
    pub field: String,
    pub sort: Sort,
    pub name: String,
    /// A key that it must have.
    pub key: Option<String>,
}

pub(in crate::operator::mcp_server) fn of_server(server: &MCPServer) -> Vec<Mention> {
    let spec = &server.spec;
    let mut all = Mentions::default();
    for (index, variable) in spec.env.iter().enumerate() {
        let field = format!("spec.env[{index}].valueFrom");
        let Some(EnvVarSource { config_map_key_ref, secret_key_ref, .. }) = &variable.value_from else {
            continue;
        };
        if let Some(from) = config_map_key_ref.as_ref().filter(|from| from.optional != Some(true)) {
            all.add(format!("{field}.configMapKeyRef"), Sort::ConfigMap, &from.name, Some(&from.key));
        }
        if let Some(from) = secret_key_ref.as_ref().filter(|from| from.optional != Some(true)) {
            all.add(format!("{field}.secretKeyRef"), Sort::Secret, &from.name, Some(&from.key));
        }
    }
    for (index, EnvFromSource { config_map_ref, secret_ref, prefix: _ }) in spec.env_from.iter().enumerate() {
        if let Some(from) = config_map_ref.as_ref().filter(|from| from.optional != Some(true)) {
            all.add(format!("spec.envFrom[{index}].configMapRef"), Sort::ConfigMap, &from.name, None);
        }
        if let Some(from) = secret_ref.as_ref().filter(|from| from.optional != Some(true)) {
            all.add(format!("spec.envFrom[{index}].secretRef"), Sort::Secret, &from.name, None);
        }
    }
    for (index, one) in spec.secrets.iter().enumerate() {
        let field = format!("spec.secrets[{index}]");
        if !one.optional {
            all.secret(&field, one.secret_key_ref.as_ref());
        }
        all.store(&field, one.external.as_ref());
    }
    for (index, secret) in spec.image_pull_secrets.iter().enumerate() {
        all.add(format!("spec.imagePullSecrets[{index}]"), Sort::Secret, &secret.name, None);
    }
    if let Some(name) = &spec.service_account.name {
        all.add("spec.serviceAccount".to_owned(), Sort::ServiceAccount, name, None);
    }
    for (index, mount) in spec.storage.iter().enumerate() {
        if let Some(name) = &mount.claim_name {
            all.push(format!("spec.storage[{index}].claimName"), Sort::Claim, name, None);
        }
    }
    if let Some(ingress) = &spec.ingress
        && let Some(name) = &ingress.tls_secret_name
        // Made by cert-manager, after the Ingress.
        && !ingress.annotations.keys().any(|key| key.starts_with("cert-manager.io/"))
    {
        all.push("spec.ingress.tlsSecretName".to_owned(), Sort::Secret, name, None);
    }
    for (index, header) in spec.remote.iter().flat_map(|remote| &remote.headers_from).enumerate() {
        all.secret(&format!("spec.remote.headersFrom[{index}]"), Some(&header.secret_key_ref));
    }
    // Elsewhere it may be in any of several namespaces.
    let sources = spec.data_sources.iter().filter(|sources| sources.namespaces.is_empty());
    for (index, name) in sources.flat_map(|sources| &sources.match_names).enumerate() {
        all.push(format!("spec.dataSources.matchNames[{index}]"), Sort::DataSource, name, None);
    }
    all.0
}

pub(super) fn of_source(source: &DataSource) -> Vec<Mention> {
    let mut all = Mentions::default();
    for (index, one) in source.spec.credentials.iter().enumerate() {
        let field = format!("spec.credentials[{index}]");
        all.secret(&field, one.secret_key_ref.as_ref());
        all.store(&field, one.external.as_ref());
    }
    all.0
}

#[derive(Default)]
struct Mentions(Vec<Mention>);

impl Mentions {
    fn push(&mut self, field: String, sort: Sort, name: &str, key: Option<&String>) {
        if !name.is_empty() {
            self.0.push(Mention { field, sort, name: name.to_owned(), key: key.cloned() });
        }
    }

    /// `field` holds it under `name`.
    fn add(&mut self, field: String, sort: Sort, name: &str, key: Option<&String>) {
        self.push(format!("{field}.name"), sort, name, key);
    }

    fn secret(&mut self, field: &str, from: Option<&SecretKeyRef>) {
        if let Some(SecretKeyRef { name, key }) = from {
            self.add(format!("{field}.secretKeyRef"), Sort::Secret, name, Some(key));
        }
    }

    fn store(&mut self, field: &str, from: Option<&External>) {
        if let Some(external) = from {
            let store = &external.store;
            self.add(format!("{field}.external.store"), Sort::Store(store.kind), &store.name, None);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Sort, of_server};
    use crate::operator::mcp_server::{
        fixture::server,
        references::{self, What},
        validate::{Runs, validate},
    };

    const SPEC: &str = "{image: a,
        env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: a}}},
              {name: B, valueFrom: {configMapKeyRef: {name: none, key: b, optional: true}}},
              {name: C, valueFrom: {secretKeyRef: {name: keys, key: c}}}],
        envFrom: [{configMapRef: {name: all}}, {secretRef: {name: more}}],
        secrets: [{env: D, secretKeyRef: {name: other, key: d}},
                  {env: O, optional: true, secretKeyRef: {name: none, key: d}},
                  {env: E, external: {store: {name: s, kind: ClusterSecretStore}, key: k}}],
        imagePullSecrets: [{name: registry}], serviceAccount: {name: robot},
        storage: [{mountPath: /data, claimName: data}, {mountPath: /new, size: 1Gi}],
        ingress: {host: a.example, tlsSecretName: tls}, dataSources: {matchNames: [orders]}}";

    #[test]
    fn every_field_that_names_an_object_is_known_by_its_path() {
        let said: Vec<String> = of_server(&server(SPEC))
            .into_iter()
            .map(|one| format!("{} {} {} {}", one.field, one.sort, one.name, one.key.unwrap_or_default()))
            .collect();
        let expected = [
            "spec.env[0].valueFrom.configMapKeyRef.name ConfigMap settings a",
            "spec.env[2].valueFrom.secretKeyRef.name Secret keys c",
            "spec.envFrom[0].configMapRef.name ConfigMap all ",
            "spec.envFrom[1].secretRef.name Secret more ",
            "spec.secrets[0].secretKeyRef.name Secret other d",
            "spec.secrets[2].external.store.name ClusterSecretStore s ",
            "spec.imagePullSecrets[0].name Secret registry ",
            "spec.serviceAccount.name ServiceAccount robot ",
            "spec.storage[0].claimName PersistentVolumeClaim data ",
            "spec.ingress.tlsSecretName Secret tls ",
            "spec.dataSources.matchNames[0] DataSource orders ",
        ];
        assert_eq!(said, expected);
    }

    /// What rolls the pods when it changes is also looked for before it is needed.
    #[test]
    fn what_the_pods_refer_to_is_among_them() {
        let demo = server(SPEC);
        let validated = validate(&demo, None).unwrap();
        let Runs::Workload(workload) = &validated.runs else { panic!("a workload was expected") };
        let mentioned = of_server(&demo);
        for (referent, used) in references::of(&validated.owner, workload) {
            let sort = match referent.what {
                What::ConfigMap => Sort::ConfigMap,
                What::Secret => Sort::Secret,
                What::Brought => continue,
            };
            let is_mentioned = mentioned.iter().any(|one| one.sort == sort && one.name == referent.name);
            assert_eq!(is_mentioned, !used.optional, "{referent}");
        }
    }
}
