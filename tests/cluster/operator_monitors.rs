//! The ServiceMonitor of a server, read as the Prometheus operator reads it, leads a real Prometheus to the metrics of
//! the server's pods.
//!
//! Debian's Prometheus is built without the discovery of Kubernetes, so the test tells it, in a file, every port of every
//! Endpoints of the namespace, with the labels that its discovery has for them. Which of them are asked, and how, it finds out
//! by the rules made from the ServiceMonitor.

use std::{fs, time::Duration};

use k8s_openapi::api::core::v1::Endpoints;
use kube::{Api, ResourceExt, api::ListParams, core::DynamicObject};
use serde_json::{Map, Value, json};

use crate::support::{
    kubectl,
    one_server::{NAME, OneServer},
    operator_crds::OperatorCrds,
    own_operator::{OwnOperator, solo},
    prometheus::Monitoring,
    wait::until,
};

const MONITOR: &str = "monitoring.coreos.com/v1/ServiceMonitor";
const LONG: Duration = Duration::from_secs(60);

/// As a label's name is written in Prometheus.
fn underlined(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What the discovery of Kubernetes finds in a namespace by the role `endpoints`.
async fn discovered(demo: &OneServer) -> Vec<Value> {
    let all = Api::<Endpoints>::namespaced(demo.client.clone(), &demo.namespace);
    let mut found = Vec::new();
    for endpoints in all.list(&ListParams::default()).await.expect("they can be listed").items {
        let mut labels = Map::new();
        let mut label = |name: &str, value: &str| {
            labels.insert(format!("__meta_kubernetes_{name}"), json!(value));
        };
        label("namespace", &demo.namespace);
        label("service_name", &endpoints.name_any());
        for (key, value) in endpoints.labels() {
            label(&format!("service_label_{}", underlined(key)), value);
        }
        for subset in endpoints.subsets.iter().flatten() {
            for (address, port) in subset
                .addresses
                .iter()
                .flatten()
                .flat_map(|address| subset.ports.iter().flatten().map(move |port| (address, port)))
            {
                let mut labels = labels.clone();
                let pod = address.target_ref.as_ref().and_then(|pod| pod.name.clone());
                labels.insert("__meta_kubernetes_pod_name".to_owned(), json!(pod));
                labels.insert("__meta_kubernetes_endpoint_port_name".to_owned(), json!(port.name));
                found.push(json!({"targets": [format!("{}:{}", address.ip, port.port)], "labels": labels}));
            }
        }
    }
    found
}

/// What the Prometheus operator writes into `scrape_configs` for each endpoint of a ServiceMonitor: of the Endpoints of
/// the Services that it selects the port that it names.
fn scraped(monitor: &DynamicObject, discovery: &str) -> Vec<Value> {
    let spec = &monitor.data["spec"];
    let labels = spec["selector"]["matchLabels"].as_object().expect("labels");
    let by_label = labels.iter().map(|(key, value)| {
        let label = format!("__meta_kubernetes_service_label_{}", underlined(key));
        json!({"action": "keep", "source_labels": [label], "regex": value})
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
            "file_sd_configs": [{"files": [discovery]}],
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

/// A Service before the same pods that is not the server's.
const ANOTHER: &str = "---
{apiVersion: v1, kind: Service, metadata: {name: another}, spec: {
  selector: {app.kubernetes.io/instance: demo}, ports: [{name: metrics, port: 9090}]}}
";

/// Its metrics have a port, a path and an interval of their own; its other port and another Service before the same pods
/// are there too and not asked.
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
    assert_eq!(monitor.data["spec"]["namespaceSelector"]["matchNames"], json!([scratch.name()]));
    kubectl::apply_in(scratch.name(), ANOTHER);
    let all = until("all ports of both Services", LONG, || async {
        Some(discovered(&demo).await).filter(|found| found.len() == 3)
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let discovery = folder.path().join("discovery.json");
    fs::write(&discovery, json!(all).to_string()).expect("written");
    let scrapes = scraped(&monitor, &discovery.display().to_string());
    assert_eq!(scrapes.len(), 1, "{monitor:?}");
    let monitoring = Monitoring::start_scraping("  - {record: nothing, expr: vector(0)}\n", &scrapes);
    let found = until("the metric of the pod", LONG, || query(&monitoring, "demo_calls_total")).await;
    let [(labels, value)] = found.as_slice() else { panic!("one series was expected: {found:?}") };
    assert_eq!(value, "42");
    assert_eq!((labels["namespace"].as_str(), labels["tool"].as_str()), (Some(scratch.name()), Some("add")));
    assert!(labels["pod"].as_str().is_some_and(|pod| pod.starts_with("demo-")), "{labels}");
    let up = query(&monitoring, "up{job=\"serviceMonitor/0\"}").await.expect("it is scraped");
    assert_eq!(up.len(), 1, "nothing else is asked: {up:?}");
    assert_eq!(up[0].1, "1");
    operator.stop().await;
}
