//! Our tools on the cluster that `KUBECONFIG` names.

use pilothouse::{
    answer::{Answer, Budget, Sealer},
    caller::Caller,
    cluster::{ConnectOptions, Contexts, connect},
    tools::{Parts, Toolbox, standard},
};
use serde_json::{Value, value::to_raw_value};

pub(crate) async fn toolbox() -> Toolbox {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let reader = connect(&ConnectOptions::default()).await.expect("KUBECONFIG names a cluster").reader;
    standard(Parts {
        contexts: Contexts::one(reader),
        fleet: None,
        emergencies: None,
        gitops: None,
        leader: None,
        changes: None,
        metrics: None,
        budget: Budget::DEFAULT,
        sealer: Sealer::random().expect("random bytes"),
    })
}

/// As the kubeconfig's user.
pub(crate) async fn call(toolbox: &Toolbox, tool: &str, arguments: Value) -> Answer {
    let arguments = to_raw_value(&arguments).expect("JSON");
    toolbox.get(tool).expect("a tool of ours").call(&Caller::process(), Some(&arguments)).await
}
