//! ChangeRequests as the API server keeps them: who may make one, and what of it may change.

use pilothouse::operator;
use serde_json::{Value, json};

use crate::support::{kubectl, own_operator::solo};

const ID: &str = "00ff00ff00ff00ff";

fn request(namespace: &str, requested_by: &str) -> Value {
    json!({
        "apiVersion": "pilothouse.dev/v1alpha1", "kind": "ChangeRequest",
        "metadata": { "name": ID, "namespace": namespace, "labels": { "changes-kept": "true" } },
        "spec": {
            "target": { "kind": "Deployment", "namespace": namespace, "name": "web" },
            "edits": [{ "path": "spec.replicas", "new": 3 }, { "path": "spec.paused" }],
            "reason": "Too few.", "requestedBy": requested_by,
        },
    })
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_stands_fast_does_and_what_is_asked_may_be_revised() {
    let scratch = solo("changes-kept");
    let mut made = request(scratch.name(), "ann");
    kubectl::apply(&made.to_string());
    made["spec"]["edits"][0]["new"] = json!({ "any": ["thing", null, 3] });
    made["spec"]["reason"] = json!("Other.");
    kubectl::apply(&made.to_string());
    let kept = kubectl::run(&["-n", scratch.name(), "get", "phcr", ID, "-o", "json"]);
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(kept["spec"]["edits"], made["spec"]["edits"], "nothing of a value is pruned");

    for (pointer, new, says) in [
        ("/spec/target/name", "other", "spec.target cannot change"),
        ("/spec/requestedBy", "bob", "spec.requestedBy cannot change"),
        ("/metadata/name", "web", "16 digits"),
    ] {
        let mut wrong = made.clone();
        *wrong.pointer_mut(pointer).expect("a field") = json!(new);
        let refused = kubectl::try_apply(&wrong.to_string());
        assert!(said(&refused).contains(says), "{pointer}: {}", said(&refused));
    }
}

/// The shipped policy, for this test's objects alone.
fn policy(name: &str) -> String {
    let all = operator::manifests().expect("the manifests");
    let ours = all.split("\n---\n").filter(|document| {
        document.contains("name: pilothouse-change-requesters\n")
            || document.contains("policyName: pilothouse-change-requesters\n")
    });
    let bound = format!(
        "  validationActions: [Deny]\n  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}}}"
    );
    let own: Vec<_> = ours
        .map(|document| {
            document
                .replace("pilothouse-change-requesters", &format!("test-{name}"))
                .replace("  validationActions: [Deny]", &bound)
        })
        .collect();
    assert_eq!(own.len(), 2, "the policy and its binding");
    own.join("\n---\n")
}

#[test]
fn nobody_asks_in_anothers_name() {
    let scratch = solo("changes-names");
    let name = scratch.name();
    let policy = policy(name);
    kubectl::apply(&policy);
    kubectl::run(&[
        "-n",
        name,
        "create",
        "role",
        "asks",
        "--verb=create,get,update,patch",
        "--resource=changerequests.pilothouse.dev",
    ]);
    kubectl::run(&["-n", name, "create", "rolebinding", "asks", "--role=asks", "--user=ann"]);
    let tried = |requested_by: &str| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), request(name, requested_by).to_string()).expect("it is written");
        let create = kubectl::kubectl()
            .args(["--as=ann", "create", "--dry-run=server", "-f"])
            .arg(file.path())
            .output()
            .expect("kubectl can be started");
        said(&create)
    };
    // A policy takes effect in a moment.
    let begun = std::time::Instant::now();
    loop {
        let refused = tried("bob");
        if refused.contains("your own user name") {
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{refused}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    // Who may not see the object learns nothing of it.
    assert!(tried("ann").contains("you may not get the object"), "{}", tried("ann"));
    let sees = ["-n", name, "create", "role", "sees", "--verb=get", "--resource=deployments.apps"];
    kubectl::run(&sees);
    kubectl::run(&["-n", name, "create", "rolebinding", "sees", "--role=sees", "--user=ann"]);
    let begun = std::time::Instant::now();
    while !tried("ann").is_empty() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{}", tried("ann"));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let elsewhere = request(name, "ann").to_string().replace(
        &format!("\"namespace\":\"{name}\",\"name\":\"web\""),
        "\"namespace\":\"kube-system\",\"name\":\"web\"",
    );
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &elsewhere).expect("it is written");
    let create =
        kubectl::kubectl().args(["--as=ann", "create", "-f"]).arg(file.path()).output().expect("kubectl");
    if elsewhere.contains("kube-system") {
        assert!(said(&create).contains("namespace of its object"), "{}", said(&create));
    }
    // Who may ask for others, as pilothouse's own account may.
    kubectl::apply(&request(name, "somebody").to_string());
    let names: Vec<_> = ["validatingadmissionpolicybinding", "validatingadmissionpolicy"]
        .iter()
        .map(|kind| format!("{kind}/test-{name}"))
        .collect();
    let mut delete = vec!["delete"];
    delete.extend(names.iter().map(String::as_str));
    kubectl::run(&delete);
}
