//! Logs of a pod that writes more than anybody reads: answered within the budget.
#![allow(clippy::expect_used)]

use std::time::Duration;

use pilothouse::{
    answer::{Budget, Sealer},
    caller::Caller,
    cluster::{ConnectOptions, Contexts, connect},
    tools::{Parts, Toolbox, standard},
};
use serde_json::{Value, json, value::to_raw_value};

use crate::support::{kubectl, namespace::Scratch, wait};

const LINES: usize = 200_000;

async fn toolbox() -> Toolbox {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let connection = connect(&ConnectOptions::default()).await.expect("KUBECONFIG names a cluster");
    standard(Parts {
        contexts: Contexts::one(connection.reader),
        fleet: None,
        changes: None,
        leader: None,
        metrics: None,
        budget: Budget::DEFAULT,
        sealer: Sealer::random().expect("random bytes"),
    })
}

async fn text(tools: &Toolbox, arguments: &Value) -> String {
    let arguments = to_raw_value(arguments).expect("JSON");
    tools.get("get_logs").expect("a tool of ours").call(&Caller::process(), Some(&arguments)).await.text
}

fn pod(space: &Scratch, name: &str, script: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {}, labels: {{app: talker}}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  initContainers:\n  - {{name: before, image: docker.io/pilothouse-test/busybox:1, \
         imagePullPolicy: IfNotPresent, command: [echo, prepared]}}\n  containers:\n  - name: talker\n    \
         image: docker.io/pilothouse-test/busybox:1\n    imagePullPolicy: IfNotPresent\n    \
         command: [sh, -c, \"{script}\"]\n",
        space.name()
    )
}

#[tokio::test]
async fn two_hundred_thousand_lines_cost_no_more_than_the_budget() {
    let space = Scratch::new("logs");
    let script = format!(
        "seq 1 {LINES} | sed 's/.*/INFO request & of user42 took 3ms/; s/^INFO request 77777 .*/ERROR request 77777 was lost/'; sleep 3600"
    );
    kubectl::apply(&pod(&space, "talker", &script));
    let last = json!({ "namespace": space.name(), "name": "talker", "container": "talker", "tail": 1 });
    let tools = toolbox().await;
    wait::until("all lines are written", Duration::from_secs(120), || async {
        text(&tools, &last).await.contains(&format!("request {LINES} of")).then_some(())
    })
    .await;
    let of = |arguments: Value| {
        let mut arguments = arguments;
        arguments["namespace"] = json!(space.name());
        arguments
    };
    let shown = text(&tools, &of(json!({ "name": "talker" }))).await;
    assert!(shown.contains("==> talker before (") && shown.contains("\n| prepared\n"), "{shown}");
    assert!(shown.contains(&format!("| INFO request {LINES} of user42")), "{shown}");
    for (arguments, told) in [
        (json!({ "name": "talker", "tail": 100_000 }), "Older lines are left out. Next page:"),
        (json!({ "labels": "app=talker", "digest": true }), "200001 lines of 2 logs"),
        (
            json!({ "name": "talker", "grep": "was lost", "around": 1 }),
            "| ERROR request 77777 was lost\n: INFO request 77778",
        ),
        (json!({ "name": "talker", "grep": "request 1$" }), "none of the last 200000 lines match"),
    ] {
        let text = text(&tools, &of(arguments)).await;
        let lines = text.lines().take(5).collect::<Vec<_>>().join("\n");
        assert!(text.contains(told), "{lines}");
        assert!(Budget::estimate(&text) <= 8_000, "{} tokens", Budget::estimate(&text));
    }
    let digest = text(&tools, &of(json!({ "name": "talker", "digest": true }))).await;
    assert!(digest.lines().nth(1).expect("a kind").contains("x error "), "{digest}");
    assert!(
        digest.contains("199999x info ") && digest.contains("INFO request <*> of user<*> took <*>"),
        "{digest}"
    );
}

#[tokio::test]
async fn a_container_that_crashed_is_read_in_the_run_before() {
    let space = Scratch::new("crash");
    kubectl::apply(&pod(&space, "crash", "test -e /tmp/x || echo FATAL no settings; exit 3"));
    let tools = toolbox().await;
    let previous =
        json!({ "namespace": space.name(), "name": "crash", "container": "talker", "previous": true });
    let found = wait::until("the container was restarted", Duration::from_secs(120), || async {
        Some(text(&tools, &previous).await).filter(|text| text.contains("FATAL"))
    })
    .await;
    assert!(
        found.contains("previous container, exit 3 Error") && found.contains("| FATAL no settings"),
        "{found}"
    );
    let all = json!({ "namespace": space.name(), "name": "crash", "container": "talker", "all": true });
    let all = text(&tools, &all).await;
    assert!(all.contains("| FATAL no settings"), "{all}");
}
