//! resource_tree of a workload with many pods: its pages show one state while the pods change.

use std::{collections::BTreeSet, time::Duration};

use pilothouse::answer::Budget;
use serde_json::json;

use crate::support::{
    kubectl,
    namespace::Scratch,
    tools::{call, toolbox},
    wait::until,
};

const PODS: usize = 200;
const TOKENS: usize = 2_000;

/// Pods that no scheduler looks at: they are there and never run.
fn crowd(namespace: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: crowd, namespace: {namespace}}}\nspec:\n  \
         replicas: {PODS}\n  selector: {{matchLabels: {{app: crowd}}}}\n  template:\n    \
         metadata: {{labels: {{app: crowd}}}}\n    spec:\n      schedulerName: nobody\n      \
         containers: [{{name: c, image: 'docker.io/pilothouse-test/busybox:1'}}]\n"
    )
}

fn pods(namespace: &str) -> BTreeSet<String> {
    let names = kubectl::run(&["-n", namespace, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}"]);
    names.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn each_pod_is_on_one_page_while_others_come_and_go() {
    let space = Scratch::new("tree-pages");
    kubectl::apply(&crowd(space.name()));
    let there = until("the pods are there", Duration::from_secs(90), || async {
        let there = pods(space.name());
        (there.len() == PODS).then_some(there)
    })
    .await;
    let tools = toolbox().await;
    let mut asked =
        json!({ "kind": "deploy", "name": "crowd", "namespace": space.name(), "max_tokens": TOKENS });
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = call(&tools, "resource_tree", asked.clone()).await;
        assert!(!page.is_error, "page {pages}: {}", page.text);
        assert!(Budget::estimate(&page.text) <= TOKENS, "{}", page.text);
        let lines = page.text.lines().filter_map(|line| line.trim().strip_prefix("owns Pod "));
        seen.extend(lines.map(|line| line.split(' ').next().expect("a name").to_owned()));
        pages += 1;
        assert!(pages < PODS, "the pages come to an end");
        let Some(next) = page.text.split("cursor=").nth(1) else { break };
        asked["cursor"] = next.trim().into();
        // The ReplicaSet makes another for each that goes.
        let gone = pods(space.name()).into_iter().take(3);
        let mut delete =
            vec!["-n".to_owned(), space.name().to_owned(), "delete".to_owned(), "pods".to_owned()];
        delete.extend(gone);
        kubectl::run(&delete.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert!(pages > 2, "{pages} pages");
    let distinct: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!((distinct.len(), seen.len()), (PODS, PODS), "each pod is on one page");
    assert_eq!(distinct, there);
}
