//! The API server tells a process on this machine who writes what in one namespace.

use std::process::Stdio;

use pilothouse::operator::witness_manifests;
use serde_json::{Value, json};

use super::kubectl;

/// The configuration that the manifests print, for one namespace and a process on this machine; gone when dropped.
pub(crate) struct Registered(String);

impl Registered {
    /// `name` ends in `-witness`: the process that serves `url` puts its certificate's authority there.
    pub(crate) fn new(namespace: &str, name: &str, url: &str) -> Self {
        let printed =
            witness_manifests().split("\n---\n").find(|text| text.contains("\nkind: ValidatingWebhook"));
        let mut configuration: Value =
            serde_saphyr::from_str(printed.expect("it is among the manifests")).expect("it is YAML");
        configuration["metadata"] = json!({ "name": name });
        let webhook = &mut configuration["webhooks"][0];
        webhook["clientConfig"] = json!({ "url": format!("{url}/witness") });
        webhook["namespaceSelector"] = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
        kubectl::apply(&configuration.to_string());
        Self(name.to_owned())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let delete = ["delete", "validatingwebhookconfiguration", &self.0, "--ignore-not-found"];
        let _ = kubectl::kubectl().args(delete).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
