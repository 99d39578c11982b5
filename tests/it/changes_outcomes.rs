//! How an object is with its change, on recorded clusters.

use pilothouse::{
    api::change_request::ChangeTarget,
    tools::{Outcome, Outcomes},
};
use serde_json::{Value, json};

use crate::made_cluster::MadeCluster;

fn deployment() -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "shop", "uid": "d", "generation": 2 },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [] } } },
        "status": { "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
            "availableReplicas": 1 } })
}

async fn of(cluster: &MadeCluster) -> Result<Outcome, String> {
    let target = ChangeTarget {
        kind: "Deployment".into(),
        group: None,
        namespace: Some("shop".into()),
        name: "web".into(),
    };
    cluster.outcomes().outcome(&target).await
}

#[tokio::test]
async fn what_cannot_be_read_is_no_word_of_health() {
    let well = of(&MadeCluster::of(&[deployment()])).await.unwrap();
    assert!(well.object.is_some() && well.unhealthy.is_none(), "{well:?}");
    let unread = of(&MadeCluster::of(&[deployment()]).without("pods")).await;
    assert!(unread.is_err(), "{unread:?}");
}
