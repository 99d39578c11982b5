//! Rules that are not of the spec as it is written once: names, changes, sizes.

use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use pilothouse::api::GROUP;
use serde_json::{Value, json};

use super::examples::{ask, without_value};
use crate::support::{client, crd, namespace::Scratch};

/// Kind, smallest spec, what is said of the name `demo.v1`.
pub(super) const NAMES: [(&str, &str, &str); 3] = [
    (
        "MCPServer",
        "{image: a}",
        "metadata.name must be a lowercase letter followed by at most 62 lowercase letters, digits or dashes, because a Service gets this name: rename the MCPServer",
    ),
    (
        "MCPPool",
        "{selector: {matchLabels: {a: b}}}",
        "metadata.name must be a lowercase letter followed by at most 62 lowercase letters, digits or dashes, since its tools are named after it: rename the MCPPool",
    ),
    (
        "DataSource",
        "{type: api, endpoint: 'https://a.example'}",
        "metadata.name must be a lowercase letter followed by at most 62 lowercase letters, digits or dashes, since variables are named after it: rename the DataSource",
    ),
];

/// What becomes of `{mountPath: /data, size: 1Gi, storageClassName: slow}`, and what is said; nothing when it may.
pub(super) const CHANGES: [(&str, bool, &str); 5] = [
    ("{mountPath: /data, size: 2Gi, storageClassName: slow}", true, ""),
    ("{mountPath: /other, size: 1Gi, storageClassName: fast}", true, ""),
    (
        "{mountPath: /data, size: 1Gi, storageClassName: fast}",
        false,
        "spec.storage[].storageClassName of a claim cannot change: keep it, or use another mountPath",
    ),
    (
        "{mountPath: /data, size: 1Gi}",
        false,
        "spec.storage[].storageClassName of a claim cannot change: keep it, or use another mountPath",
    ),
    (
        "{mountPath: /data, size: 1Gi, storageClassName: slow, accessMode: ReadWriteMany}",
        false,
        "spec.storage[].accessMode of a claim cannot change: keep it, or use another mountPath",
    ),
];

pub(super) const TOO_LARGE: &str = "spec.config.files hold more than 900000 characters, more than a ConfigMap can: put large files into the image or a volume";

#[tokio::test]
async fn names_that_children_could_not_have() {
    crd::established();
    let client = client::admin().await;
    for (kind, spec, says) in NAMES {
        let spec: Value = serde_saphyr::from_str(spec).unwrap();
        assert_eq!(ask(&client, kind, "demo", spec.clone()).await, Vec::<String>::new(), "{kind}");
        assert_eq!(ask(&client, kind, "demo.v1", spec).await, [says], "{kind}");
    }
}

#[tokio::test]
async fn files_that_no_config_map_holds() {
    crd::established();
    let client = client::admin().await;
    let files = |count: usize| {
        let files: serde_json::Map<String, Value> =
            (0..count).map(|at| (format!("f{at}"), Value::from("x".repeat(250_000)))).collect();
        json!({ "image": "a", "config": { "files": files } })
    };
    assert_eq!(ask(&client, "MCPServer", "demo", files(3)).await, Vec::<String>::new());
    assert_eq!(ask(&client, "MCPServer", "demo", files(4)).await, [TOO_LARGE]);
}

#[tokio::test]
async fn a_claim_only_grows() {
    crd::established();
    let scratch = Scratch::new("claims");
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1alpha1", "MCPServer"));
    let servers = Api::<DynamicObject>::namespaced_with(client::admin().await, scratch.name(), &resource);
    let storage = |entry: &str| {
        let entry: Value = serde_saphyr::from_str(entry).unwrap();
        json!({ "spec": { "image": "a", "replicas": 0, "storage": [entry] } })
    };
    let first = storage("{mountPath: /data, size: 1Gi, storageClassName: slow}");
    let stored = DynamicObject::new("demo", &resource).data(first);
    servers.create(&PostParams::default(), &stored).await.unwrap();
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    for (entry, passes, says) in CHANGES {
        let outcome = servers.patch("demo", &dry_run, &Patch::Merge(storage(entry))).await;
        match outcome {
            Ok(_) => assert!(passes, "{entry} passed"),
            Err(kube::Error::Api(status)) => {
                let causes = status.details.iter().flat_map(|details| &details.causes);
                let said: Vec<_> = causes.filter_map(|cause| without_value(&cause.message)).collect();
                assert_eq!(said, [says], "{entry}");
            }
            Err(other) => panic!("{entry}: {other}"),
        }
    }
}
