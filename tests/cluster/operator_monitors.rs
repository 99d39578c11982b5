//! The ServiceMonitor of a server, read as the Prometheus operator reads it, leads a real Prometheus to the metrics of
//! the server's pods.

use std::time::Duration;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::support::{
    one_server::{NAME, OneServer},
    operator_crds::OperatorCrds,
    own_operator::{OwnOperator, solo},
    prometheus::Monitoring,
    wait::until,
};

const MONITOR: &str = "monitoring.coreos.com/v1/ServiceMonitor";
const LONG: Duration = Duration::from_secs(60);

/// What the Prometheus operator writes into `scrape_configs` for each endpoint of a ServiceMonitor: the Endpoints of the
/// Services that it selects, and of these the port that it names.
fn scraped(monitor: &DynamicObject) -> Vec<Value> {
    let spec = &monitor.data["spec"];
    let labels = spec["selector"]["matchLabels"].as_object().expect("labels");
    let by_label = labels.iter().map(|(key, value)| {
        let key: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        json!({"action": "keep", "source_labels": [format!("__meta_kubernetes_service_label_{key}")], "regex": value})
    });
    let rules: Vec<Value> = by_label.collect();
    let endpoints = spec["endpoints"].as_array().expect("endpoints").iter().enumerate();
    let of_endpoint = endpoints.map(|(number, endpoint)| {
        let mut rules = rules.clone();
        rules.push(json!({"action": "keep", "source_labels": ["__meta_kubernetes_endpoint_port_name"],
            "regex": endpoint["port"]}));
        for (from, to) in [("namespace", "namespace"), ("service_name", "service"), ("pod_name", "pod")] {
            rules.push(json!({"source_labels": [format!("__meta_kubernetes_{from}")], "target_label": to}));
        }
        json!({
            "job_name": format!("serviceMonitor/{number}"),
            "metrics_path": endpoint["path"],
            "scrape_interval": endpoint["interval"],
            "scrape_timeout": endpoint["interval"],
            "kubernetes_sd_configs": [{
                "role": "endpoints",
                "kubeconfig_file": std::env::var("KUBECONFIG").expect("KUBECONFIG names the cluster"),
                "namespaces": {"names": spec["namespaceSelector"]["matchNames"]},
            }],
            "relabel_configs": rules,
        })
    });
    of_endpoint.collect()
}

/// Labels and value of every series.
async fn query(monitoring: &Monitoring, query: &str) -> Option<Vec<(Value, String)>> {
    let url = reqwest::Url::parse_with_params(
        &format!("{}/api/v1/query", monitoring.prometheus),
        [("query", query)],
    );
    let answer: Value = reqwest::get(url.ok()?).await.ok()?.json().await.ok()?;
    let series = answer["data"]["result"].as_array()?.iter();
    let found: Vec<(Value, String)> = series
        .map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap_or_default().to_owned()))
        .collect();
    (!found.is_empty()).then_some(found)
}

/// Its metrics have a port, a path and an interval of their own; the other port is there too and not asked.
#[tokio::test]
async fn a_prometheus_finds_the_metrics_of_a_server_by_its_monitor() {
    let _crds = OperatorCrds::present().await;
    let scratch = solo("monitors");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = OneServer::new(&operator.client, scratch.name());
    let serve = "mkdir -p /tmp/w/of; echo 'demo_calls_total{tool=\"add\"} 42' >/tmp/w/of/demo; \
                 httpd -p 9090 -h /tmp/w; exec httpd -f -p 3001 -h /etc";
    demo.create(json!({
        "image": "docker.io/pilothouse-test/busybox:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", serve],
        "port": 3001,
        "observability": {"metrics": {
            "port": 9090, "path": "/of/demo", "interval": "1s", "serviceMonitor": {"labels": {"release": "p"}}}},
    }))
    .await;
    demo.says("Available", "True PodsReady").await;
    demo.says("ServiceMonitorReady", "True Made").await;
    let monitor = demo.exists(MONITOR, NAME).await;
    let scrapes = scraped(&monitor);
    assert_eq!(scrapes.len(), 1, "{monitor:?}");
    let monitoring = Monitoring::start_scraping("  []\n", &scrapes);
    let found = until("the metric of the pod", LONG, || query(&monitoring, "demo_calls_total")).await;
    let [(labels, value)] = found.as_slice() else { panic!("one series was expected: {found:?}") };
    assert_eq!(value, "42");
    assert_eq!((labels["namespace"].as_str(), labels["tool"].as_str()), (Some(scratch.name()), Some("add")));
    assert!(labels["pod"].as_str().is_some_and(|pod| pod.starts_with("demo-")), "{labels}");
    let up = query(&monitoring, "up{job=\"serviceMonitor/0\"}").await.expect("it is scraped");
    assert_eq!(up.len(), 1, "no other port is asked: {up:?}");
    assert_eq!(up[0].1, "1");
    operator.stop().await;
}
