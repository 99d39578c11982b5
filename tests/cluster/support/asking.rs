//! Our tools on the cluster of `KUBECONFIG`, asked as somebody.

use std::{collections::BTreeMap, sync::Arc};

use pilothouse::{
    answer::{Answer, Budget, Sealer},
    caller::{Caller, Proof},
    cluster::{ConnectOptions, Contexts, connect},
    tools::{Metrics, Parts, Toolbox, standard},
};
use serde_json::{Value, value::to_raw_value};

/// All tools; those over metrics only with a backend.
pub(crate) async fn toolbox(metrics: Option<Arc<dyn Metrics>>) -> Toolbox {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let reader = connect(&ConnectOptions::default()).await.expect("KUBECONFIG names a cluster").reader;
    standard(Parts {
        contexts: Contexts::one(reader),
        fleet: None,
        changes: None,
        leader: None,
        metrics,
        budget: Budget::DEFAULT,
        sealer: Sealer::random().expect("random bytes"),
    })
}

/// Somebody who has proven to be this user, and is read as.
pub(crate) fn user(name: &str) -> Caller {
    Caller { user: name.to_owned(), groups: Vec::new(), extra: BTreeMap::new(), proof: Proof::TokenReview }
}

pub(crate) async fn ask(tools: &Toolbox, caller: &Caller, tool: &str, arguments: Value) -> Answer {
    let arguments = to_raw_value(&arguments).expect("JSON");
    tools.get(tool).expect("a tool of ours").call(caller, Some(&arguments)).await
}
