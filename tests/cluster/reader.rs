//! The reader against a real API server: any kind, pages of one state, nothing that stores.
#![allow(clippy::expect_used)]

use std::{collections::BTreeSet, fmt::Write as _};

use pilothouse::{
    answer::{Answer, Budget, Sealer},
    caller::Caller,
    cluster::{ConnectOptions, Connection, Contexts, ReadError, connect},
    tools::{Parts, Toolbox, standard},
};
use serde_json::{Value, json, value::to_raw_value};

use crate::support::{kubectl, namespace::Scratch};

async fn connection() -> Connection {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    connect(&ConnectOptions::default()).await.expect("KUBECONFIG names a cluster")
}

async fn toolbox() -> Toolbox {
    let reader = connection().await.reader;
    let sealer = Sealer::random().expect("random bytes");
    standard(Parts {
        contexts: Contexts::one(reader),
        fleet: None,
        changes: None,
        leader: None,
        metrics: None,
        budget: Budget::DEFAULT,
        sealer,
    })
}

async fn call(toolbox: &Toolbox, tool: &str, arguments: Value) -> Answer {
    let arguments = to_raw_value(&arguments).expect("JSON");
    toolbox.get(tool).expect("a tool of ours").call(&Caller::process(), Some(&arguments)).await
}

fn cursor(text: &str) -> Option<String> {
    text.split("cursor=").nth(1).map(|rest| rest.trim().to_owned())
}

#[tokio::test]
async fn a_custom_resource_is_listed_with_its_own_columns_and_conditions() {
    let space = Scratch::new("kinds");
    // A group of its own, so that tests at the same time do not meet.
    let group = format!("{}.example.com", space.name());
    kubectl::apply(&format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{ name: widgets.{group} }}
spec:
  group: {group}
  scope: Namespaced
  names: {{ plural: widgets, singular: widget, kind: Widget, shortNames: [wdg] }}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {{ name: Color, type: string, jsonPath: .spec.color }}
    schema:
      openAPIV3Schema:
        type: object
        x-kubernetes-preserve-unknown-fields: true
"
    ));
    kubectl::run(&["wait", "--for=condition=Established", &format!("crd/widgets.{group}"), "--timeout=30s"]);
    let tools = toolbox().await;
    let object = |name: &str, ready: &str| {
        format!(
            "---
apiVersion: {group}/v1
kind: Widget
metadata: {{ name: {name}, namespace: {} }}
spec: {{ color: teal }}
status: {{ conditions: [{{ type: Ready, status: \"{ready}\", reason: Because, message: of rust }}] }}
",
            space.name()
        )
    };
    kubectl::apply(&format!("{}{}", object("a-fine", "True"), object("b-bad", "False")));

    let short = format!("wdg.{group}");
    let listed = call(&tools, "list_resources", json!({ "kind": short, "namespace": space.name() })).await;
    let rows: Vec<&str> = listed.text.lines().collect();
    assert!(rows[0].starts_with("NAME") && rows[0].contains("COLOR"), "{}", listed.text);
    assert!(
        rows[1].starts_with("b-bad") && rows[1].contains("teal") && rows[1].contains("of rust"),
        "{}",
        listed.text
    );
    assert!(rows[2].starts_with("a-fine"), "{}", listed.text);

    let one = json!({ "kind": format!("Widget.{group}"), "namespace": space.name(), "name": "b-bad" });
    let one = call(&tools, "get_resource", one).await;
    assert!(one.text.starts_with("Broken: Ready=False Because: of rust"), "{}", one.text);
    assert!(one.text.contains("color: teal") && !one.text.contains("managedFields"), "{}", one.text);
    kubectl::run(&["delete", "crd", &format!("widgets.{group}"), "--wait=false"]);
}

#[tokio::test]
async fn pages_show_one_state_while_others_write() {
    const OBJECTS: usize = 700;
    let space = Scratch::new("pages");
    let config_map =
        |name: &str| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\n");
    let manifests = (0..OBJECTS).fold(String::new(), |mut text, at| {
        let _ = write!(text, "{}", config_map(&format!("map-{at:04}")));
        text
    });
    create(&space, &manifests);

    let tools = toolbox().await;
    let mut seen = Vec::new();
    let mut next = None;
    let mut pages = 0;
    loop {
        let mut arguments = json!({ "kind": "configmaps", "namespace": space.name(), "labels": "!injected", "max_tokens": 2_000 });
        if let Some(next) = next {
            arguments["cursor"] = Value::String(next);
        }
        let page = call(&tools, "list_resources", arguments).await;
        assert!(!page.is_error, "{}", page.text);
        assert!(Budget::estimate(&page.text) <= 2_000, "{} tokens", Budget::estimate(&page.text));
        let names = page.text.lines().filter_map(|line| line.split_whitespace().next());
        seen.extend(names.filter(|name| name.starts_with("map-")).map(str::to_owned));
        pages += 1;
        // Between the pages others add in front and behind and take away.
        create(
            &space,
            &format!(
                "{}{}",
                config_map(&format!("map-0000-new-{pages}")),
                config_map(&format!("map-9999-new-{pages}"))
            ),
        );
        kubectl::run(&[
            "delete",
            "configmap",
            "-n",
            space.name(),
            &format!("map-{:04}", 690 + pages % 10),
            "--ignore-not-found",
        ]);
        next = cursor(&page.text);
        if next.is_none() {
            break;
        }
        assert!(pages < 100, "the pages come to an end");
    }
    assert!(pages > 2, "{pages} pages");
    let distinct: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "a row is on one page only");
    let expected: Vec<String> = (0..OBJECTS).map(|at| format!("map-{at:04}")).collect();
    assert_eq!(seen, expected);
}

fn create(space: &Scratch, manifests: &str) {
    use std::io::Write as _;
    let mut child = kubectl::kubectl()
        .args(["create", "-n", space.name(), "-f", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("kubectl can be started");
    child.stdin.take().expect("a stdin").write_all(manifests.as_bytes()).expect("kubectl reads");
    assert!(child.wait().expect("kubectl ends").success());
}

#[tokio::test]
async fn a_missing_object_says_what_there_is() {
    let space = Scratch::new("missing");
    create(&space, "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\n");
    let tools = toolbox().await;
    let get = |kind: &str, namespace: &str, name: &str| json!({ "kind": kind, "namespace": namespace, "name": name });
    let typo = call(&tools, "get_resource", get("cm", space.name(), "setings")).await;
    assert!(typo.is_error && typo.text.contains("nearest: settings"), "{}", typo.text);
    let elsewhere = call(&tools, "get_resource", get("cm", "no-such-space", "settings")).await;
    assert!(elsewhere.text.contains("there is no namespace no-such-space"), "{}", elsewhere.text);
    let kind = call(&tools, "list_resources", json!({ "kind": "configmpas" })).await;
    assert!(kind.is_error && kind.text.contains("nearest: configmaps"), "{}", kind.text);
}

#[tokio::test]
async fn the_readers_door_lets_reviews_pass_and_nothing_that_stores() {
    let reader = connection().await.reader;
    let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": { "verb": "list", "resource": "pods" } } });
    let answer = reader.review("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await;
    assert_eq!(answer.expect("the review is answered")["status"]["allowed"], true);
    let stored =
        reader.review("/api/v1/namespaces/default/configmaps", &json!({ "metadata": { "name": "x" } })).await;
    assert!(matches!(stored, Err(ReadError::NotARead(_))), "{stored:?}");
}
