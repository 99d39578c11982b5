//! Use and metrics from a real metrics-server and a real Prometheus, and who gets to see them.
#![allow(clippy::expect_used)]

use std::{sync::Arc, time::Duration};

use pilothouse::{
    caller::Caller,
    metrics::{Backend, MetricsConfig},
    tools::{Metrics, Toolbox},
};
use serde_json::json;

use crate::support::{
    asking::{ask, toolbox, user},
    kubectl,
    namespace::Scratch,
    prometheus::Monitoring,
    wait::until,
};

const LONG: Duration = Duration::from_secs(120);

fn sleeper(namespace: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Pod
metadata: {{name: sleeper, namespace: {namespace}}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: sleeper, image: 'docker.io/pilothouse-test/busybox:1', command: [sleep, '3600']}}]
"
    )
}

/// A user who may read the pods of one namespace and nothing else.
fn reader_of(namespace: &str) -> Caller {
    let name = format!("reader-of-{namespace}");
    kubectl::run(&["-n", namespace, "create", "role", "reads-pods", "--verb=get,list", "--resource=pods"]);
    kubectl::run(&[
        "-n",
        namespace,
        "create",
        "rolebinding",
        "reads-pods",
        "--role=reads-pods",
        "--user",
        &name,
    ]);
    user(&name)
}

#[tokio::test]
async fn top_shows_who_is_near_its_limit_first() {
    let space = Scratch::new("top");
    let namespace = space.name();
    kubectl::apply(&format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: eater, namespace: {namespace}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: eater
    image: docker.io/pilothouse-test/python:1
    command: [python3, -c, 'x = bytearray(b\"x\") * (89 << 20); import time; time.sleep(3600)']
    resources: {{requests: {{memory: 50Mi}}, limits: {{memory: 100Mi}}}}
{}",
        sleeper(namespace)
    ));
    let tools = toolbox(None).await;
    let text = until("values of both pods", LONG, async || {
        let answer = ask(&tools, &Caller::process(), "top", json!({ "namespace": namespace })).await;
        assert!(
            !answer.is_error,
            "is the metrics API there (tests/cluster/harness/parts metrics-server)? {}",
            answer.text
        );
        (answer.text.contains("2 pods") && answer.text.contains("OOMKilled")).then_some(answer.text)
    })
    .await;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("POD") && lines[0].ends_with("WHY"), "{text}");
    assert!(
        lines[1].starts_with("eater") && lines[1].contains("of its limit 100Mi: will be OOMKilled"),
        "{text}"
    );
    assert!(lines[2].starts_with("sleeper"), "{text}");
    assert!(text.contains("2 pods, 1 near a limit"), "{text}");

    let containers = json!({ "namespace": namespace, "containers": true, "sort": "memory" });
    let text = ask(&tools, &Caller::process(), "top", containers).await.text;
    let first: Vec<&str> = text.lines().nth(1).unwrap_or_default().split_whitespace().take(2).collect();
    assert_eq!(first, ["eater", "eater"], "{text}");
    let nodes = ask(&tools, &Caller::process(), "top", json!({ "of": "nodes" })).await.text;
    assert!(nodes.starts_with("NODE") && nodes.contains("%"), "{nodes}");

    // As its caller: one namespace, and no nodes.
    let reader = reader_of(namespace);
    let refused = ask(&tools, &reader, "top", json!({ "of": "nodes" })).await;
    assert!(refused.is_error && refused.text.starts_with("you may not list nodes"), "{}", refused.text);
}

/// `NAMESPACES` stands for those of the test.
const RULES: &str = r#"  - alert: SleeperSleeps
    expr: container_memory_working_set_bytes{container="sleeper",namespace=~"NAMESPACES"} > 0
    labels: {severity: critical}
    annotations: {summary: "{{ $labels.pod }} sleeps", runbook_url: "https://runbooks.example.com/sleeper"}
  - alert: ApiUp
    expr: up{job="apiserver"} == 1
    for: 1h
    labels: {severity: info}
  - alert: Watchdog
    expr: vector(1)
    labels: {severity: none}
"#;

async fn with_metrics(monitoring: &Monitoring, alertmanager: bool) -> Toolbox {
    let mut config = json!({ "prometheus": { "url": monitoring.prometheus } });
    if alertmanager {
        config["alertmanager"] = json!({ "url": monitoring.alertmanager });
    }
    let config: MetricsConfig = serde_json::from_value(config).expect("a configuration");
    let backend = Backend::new(&config).expect("it can be used").expect("it is configured");
    toolbox(Some(Arc::new(backend) as Arc<dyn Metrics>)).await
}

#[tokio::test]
async fn metrics_and_alerts_are_those_of_the_callers_namespaces() {
    let (ours, theirs) = (Scratch::new("metrics"), Scratch::new("metrics"));
    let (our, their) = (ours.name(), theirs.name());
    kubectl::apply(&format!("{}{}", sleeper(our), sleeper(their)));
    let monitoring = Monitoring::start(&RULES.replace("NAMESPACES", &format!("{our}|{their}")));
    let tools = with_metrics(&monitoring, false).await;
    let all = Caller::process();
    let query = json!({ "query": "container_memory_working_set_bytes{container=\"sleeper\"}" });
    until("values of both namespaces", LONG, async || {
        let text = ask(&tools, &all, "query_metrics", query.clone()).await.text;
        (text.contains(our) && text.contains(their)).then_some(())
    })
    .await;

    // Confined by the call: one series, and labels above the table.
    let mut confined = query.clone();
    confined["namespace"] = json!(our);
    let text = ask(&tools, &all, "query_metrics", confined.clone()).await.text;
    assert!(text.contains(&format!("namespace=\"{our}\"")) && text.contains("1 series"), "{text}");
    assert!(!text.contains(their), "{text}");

    // Confined by their rights.
    let reader = reader_of(our);
    let refused = ask(&tools, &reader, "query_metrics", query.clone()).await;
    assert!(refused.is_error && refused.text.contains("give `namespace`"), "{}", refused.text);
    let text = ask(&tools, &reader, "query_metrics", confined.clone()).await.text;
    assert!(text.contains("1 series") && text.contains("sleeper"), "{text}");
    for namespace in [their, "no-such-namespace"] {
        let refused = json!({ "query": "up", "namespace": namespace });
        let refused = ask(&tools, &reader, "query_metrics", refused).await;
        let expected =
            format!("there is no namespace `{namespace}` whose pods you may read: name one of yours");
        assert_eq!((refused.is_error, refused.text), (true, expected));
    }
    for sly in [
        format!("up or container_memory_working_set_bytes{{namespace=\"{their}\"}}"),
        format!(
            "label_replace(container_memory_working_set_bytes{{namespace=~\"{their}|{our}\"}}, \"x\", \"$1\", \"namespace\", \"(.*)\")"
        ),
        "topk(scalar(count(container_memory_working_set_bytes)), container_memory_working_set_bytes)"
            .to_owned(),
        "count by (namespace) ({__name__=~\".+\"})".to_owned(),
        format!("max_over_time(container_memory_working_set_bytes{{namespace=\"{their}\"}}[5m:1s])"),
    ] {
        let text =
            ask(&tools, &reader, "query_metrics", json!({ "query": sly, "namespace": our })).await.text;
        let (_, shown) = text.split_once("\nat ").unwrap_or(("", text.as_str()));
        assert!(!shown.contains(their), "{text}");
    }

    // A course, and Prometheus' own words on what is wrong, for both kinds of callers.
    let course = json!({ "query": "sum(rate(apiserver_request_total[30s]))", "range": "5m", "step": "1m" });
    let text = until("rates", LONG, async || {
        let text = ask(&tools, &all, "query_metrics", course.clone()).await.text;
        text.contains("1 series").then_some(text)
    })
    .await;
    assert!(
        text.contains("6 steps from old to new") && text.contains("OVER TIME") && text.contains('▁'),
        "{text}"
    );
    for (caller, arguments) in [
        (&all, json!({ "query": "sum(rate(up[5m])" })),
        (&reader, json!({ "query": "sum(rate(up[5m])", "namespace": our })),
    ] {
        let refused = ask(&tools, caller, "query_metrics", arguments).await;
        assert!(
            refused.is_error && refused.text.starts_with("Prometheus refuses the query: "),
            "{}",
            refused.text
        );
        assert!(refused.text.contains("parse error"), "{}", refused.text);
    }

    let text = until("the alerts", LONG, async || {
        let text = ask(&tools, &all, "list_alerts", json!({})).await.text;
        (text.contains(our) && text.contains(their) && text.contains("pending")).then_some(text)
    })
    .await;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("firing") && lines[1].contains("SleeperSleeps"), "{text}");
    assert!(lines[1].ends_with("sleeper sleeps  https://runbooks.example.com/sleeper"), "{text}");
    assert!(lines[3].starts_with("pending") && lines[4].contains("Watchdog"), "{text}");
    let text = ask(&tools, &reader, "list_alerts", json!({})).await.text;
    assert!(text.contains(our) && !text.contains(their) && !text.contains("Watchdog"), "{text}");

    // With Alertmanager: what is silenced is last.
    let with_both = with_metrics(&monitoring, true).await;
    let silence = json!({ "matchers": [{ "name": "namespace", "value": our, "isRegex": false, "isEqual": true }],
        "startsAt": jiff::Timestamp::now().to_string(), "endsAt": "2126-01-01T00:00:00Z", "createdBy": "test", "comment": "test" });
    let silenced = reqwest::Client::new()
        .post(format!("{}/api/v2/silences", monitoring.alertmanager))
        .json(&silence)
        .send()
        .await
        .expect("Alertmanager answers");
    assert!(silenced.status().is_success(), "{silenced:?}");
    let text = until("the silence", LONG, async || {
        let text = ask(&with_both, &all, "list_alerts", json!({})).await.text;
        (text.contains("silenced") && text.contains(their)).then_some(text)
    })
    .await;
    let silenced = text.lines().find(|line| line.starts_with("silenced")).unwrap_or_default();
    assert!(silenced.contains(our) && !silenced.contains(their), "{text}");
}
