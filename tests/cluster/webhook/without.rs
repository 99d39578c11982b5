//! While the webhook does not answer: everything is stored, and what it would have said stands in conditions.

use serde_json::json;

use super::{SOON, policy};
use crate::support::{
    client, kubectl,
    one_server::{NAME, OneServer},
    own_operator::solo,
    wait::until,
    webhook::{Asked, Configured, Registered},
};

const GOOD: &str = "docker.io/pilothouse-test/busybox:1";

#[tokio::test]
async fn the_same_violation_ends_in_the_condition_and_what_runs_is_left_alone() {
    let scratch = solo("without");
    let namespace = scratch.name();
    let operator = json!({"policy": policy(), "webhook": {
        "configuration": Registered::name(namespace), "certificate": {"names": ["127.0.0.1"]}}});
    let asked = Asked::start(Configured { namespace, name: namespace, operator });
    // Nobody listens there.
    let registered = Registered::new(namespace, &["https://127.0.0.1:1/validate"], "Ignore");
    let demo = OneServer::new(&client::admin().await, namespace);
    let manifest = |image: &str| {
        format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\n\
             metadata: {{name: {NAME}, namespace: {namespace}, labels: {{team: shop}}}}\n\
             spec: {{image: '{image}', replicas: 0, resources: {{limits: {{cpu: 100m, memory: 64Mi}}}}}}\n"
        )
    };
    kubectl::apply(&manifest(GOOD));
    demo.says("Accepted", "True").await;
    let image = || async {
        let deployment = demo.deployments.get_opt(NAME).await.ok()??;
        deployment.spec?.template.spec?.containers.first()?.image.clone()
    };
    assert_eq!(until("the Deployment is made", SOON, image).await, GOOD);
    kubectl::apply(&manifest("docker.io/evil/time:latest"));
    let said = demo.says("Accepted", "False PolicyViolated").await;
    assert_eq!(
        said,
        "False PolicyViolated: spec.image: Invalid value: \"docker.io/evil/time:latest\": operator.policy.images.repositories does not allow the repository docker.io/evil/time: use an image from docker.io/pilothouse-test or registry.example.com/*/mcp; spec.image: Invalid value: \"docker.io/evil/time:latest\": operator.policy.images.requireTag does not allow the tag latest, which is another image tomorrow: name a version or a digest, such as docker.io/evil/time:1.0.0 or docker.io/evil/time@sha256:..."
    );
    demo.settled().await;
    assert_eq!(image().await.as_deref(), Some(GOOD), "what runs is neither changed nor deleted");
    kubectl::apply(&manifest("docker.io/pilothouse-test/busybox:2"));
    demo.says("Accepted", "True Valid").await;
    until("it is changed again", SOON, || async {
        (image().await.as_deref() == Some("docker.io/pilothouse-test/busybox:2")).then_some(())
    })
    .await;
    drop(registered);
    assert!(asked.said().contains("serving the webhook"), "{}", asked.said());
}
