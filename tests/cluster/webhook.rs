//! The API server asks pilothouse before it stores: every check with an object that passes and one that is refused,
//! and what is said, word by word.

mod certificate;
mod checks;
mod installed;
mod without;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    kubectl,
    namespace::Scratch,
    own_operator::solo,
    wait::until,
    webhook::{Asked, Configured, Registered},
};

const SOON: Duration = Duration::from_secs(60);

/// What the tests allow.
fn policy() -> Value {
    json!({
        "images": {"repositories": ["docker.io/pilothouse-test", "registry.example.com/*/mcp"], "requireTag": true},
        "resources": {"requireLimits": ["cpu", "memory"]},
        "labels": [{"key": "team", "values": ["shop", "search"]}],
        "secretStores": [{"kind": "ClusterSecretStore", "name": "vault"}],
        "identityAnnotations": [{"key": "eks.amazonaws.com/role-arn", "values": ["arn:aws:iam::1:role/mcp-*"]}],
    })
}

/// One namespace in which the API server asks one process.
struct Stage {
    // In the order in which they must end: nobody is asked before nobody answers.
    registered: Registered,
    asked: Asked,
    scratch: Scratch,
}

impl Stage {
    /// Once it answers. `operator` is as in the configuration.
    async fn new(purpose: &str, operator: Value) -> Self {
        Self::started(purpose, operator, Asked::start).await
    }

    /// As [`Self::new`], with the rights of the manifests.
    async fn with_its_rights(purpose: &str, operator: Value) -> Self {
        Self::started(purpose, operator, Asked::start_with_its_rights).await
    }

    async fn started(
        purpose: &str,
        mut operator: Value,
        start: impl FnOnce(Configured<'_>) -> Asked,
    ) -> Self {
        let scratch = solo(purpose);
        let namespace = scratch.name();
        operator["webhook"]["configuration"] = json!(Registered::name(namespace));
        if operator["webhook"]["certificate"].is_null() {
            operator["webhook"]["certificate"] = json!({"names": ["127.0.0.1"]});
        }
        let asked = start(Configured { namespace, name: namespace, operator });
        let registered = Registered::new(namespace, &[&asked.url], "Fail");
        let stage = Self { registered, asked, scratch };
        stage.answers().await;
        stage
    }

    fn namespace(&self) -> &str {
        self.scratch.name()
    }

    /// Until the certificate is trusted every object is refused, as this test wants it.
    async fn answers(&self) {
        let probe =
            self.manifest("MCPPool", "probe", "{selector: {matchLabels: {pool: none}}}", "team: shop");
        until("the webhook answers", SOON, || async { self.dry_run(&probe).is_ok().then_some(()) }).await;
    }

    fn manifest(&self, kind: &str, name: &str, spec: &str, labels: &str) -> String {
        let namespace = self.namespace();
        format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: {kind}\n\
             metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}\nspec: {spec}\n"
        )
    }

    /// What kubectl prints, or why it is refused. Nothing is stored.
    fn dry_run(&self, manifest: &str) -> Result<String, String> {
        kubectl::ask(&["apply", "--dry-run=server", "-f", "-"], manifest)
    }
}
