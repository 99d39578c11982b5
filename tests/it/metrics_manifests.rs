//! The dashboard and the alerts ask for metrics that the program has.

use std::{collections::BTreeSet, fs, path::Path};

use promql_parser::{
    label::MatchOp,
    parser::{self, Expr, VectorSelector},
    util::{ExprVisitor, walk_expr},
};
use serde_json::Value;

use crate::program::Served;

fn manifest(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests").join(name);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Every string under a key `expr`.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value.as_str() {
                    Some(text) if key == "expr" => found.push(text.to_owned()),
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

fn of_dashboard() -> Vec<String> {
    let mut found = Vec::new();
    expressions(&serde_json::from_str(&manifest("grafana-dashboard.json")).unwrap(), &mut found);
    // Grafana's own variable.
    found.into_iter().map(|expression| expression.replace("$__rate_interval", "5m")).collect()
}

fn of_rules() -> Vec<String> {
    let mut found = Vec::new();
    for document in manifest("prometheus-rule.yaml").split("\n---\n") {
        expressions(&serde_saphyr::from_str(document).unwrap(), &mut found);
    }
    found
}

#[derive(Default)]
struct Selectors(Vec<VectorSelector>);

impl ExprVisitor for Selectors {
    type Error = String;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, String> {
        match expression {
            Expr::VectorSelector(selector) => self.0.push(selector.clone()),
            Expr::MatrixSelector(matrix) => self.0.push(matrix.vs.clone()),
            _ => {}
        }
        Ok(true)
    }
}

fn selectors(expression: &str) -> Vec<VectorSelector> {
    let parsed = parser::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let mut selectors = Selectors::default();
    walk_expr(&mut selectors, &parsed).unwrap();
    assert!(!selectors.0.is_empty(), "{expression}: it asks for nothing");
    selectors.0
}

/// The names that a Prometheus would store, from the program's own types.
fn series(metrics: &str) -> BTreeSet<String> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .flat_map(|(name, kind)| match kind {
            "counter" => vec![format!("{name}_total")],
            "histogram" => ["bucket", "count", "sum"].map(|part| format!("{name}_{part}")).to_vec(),
            _ => vec![name.to_owned()],
        })
        .collect()
}

const NOWHERE: &str = "{apiVersion: v1, kind: Config, current-context: nowhere, users: [{name: me, user: {}}], \
    clusters: [{name: nowhere, cluster: {server: 'http://127.0.0.1:9'}}], \
    contexts: [{name: nowhere, context: {cluster: nowhere, user: me}}]}";

/// Of a program that reconciles, captures what people write, and does not reach its cluster.
async fn metrics() -> String {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig").display().to_string();
    fs::write(&kubeconfig, NOWHERE).unwrap();
    let config = folder.path().join("config.yaml").display().to_string();
    fs::write(&config, "emergency: {}\n").unwrap();
    let arguments =
        ["--allow-anonymous", "--operator", "on", "--kubeconfig", &kubeconfig, "--config", &config];
    let served = Served::start("serve", &arguments).await;
    reqwest::get(format!("{}/metrics", served.health)).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn every_metric_that_is_asked_for_is_there() {
    let metrics = metrics().await;
    let series = series(&metrics);
    for expression in of_dashboard().into_iter().chain(of_rules()) {
        for selector in selectors(&expression) {
            let name = selector.name.clone().unwrap_or_default();
            assert!(series.contains(&name), "{expression}: there is no {name} among {series:?}");
            for matcher in selector.matchers.matchers {
                let is_exact = matches!(matcher.op, MatchOp::Equal) && matcher.name != "__name__";
                let label = format!("{}=\"{}\"", matcher.name, matcher.value);
                let is_there = metrics.lines().any(|line| line.starts_with(&name) && line.contains(&label));
                assert!(!is_exact || is_there, "{expression}: no {name} has {label}");
            }
        }
    }
}

#[tokio::test]
async fn without_its_api_server_the_operator_tells_that_it_does_not_lead() {
    let metrics = metrics().await;
    for line in ["pilothouse_operator_leads 0", "pilothouse_operator_queue_depth 0"] {
        assert!(metrics.lines().any(|said| said == line), "{line}:\n{metrics}");
    }
}

#[test]
fn every_alert_says_what_it_means_and_how_bad_it_is() {
    let mut count = 0;
    for document in manifest("prometheus-rule.yaml").split("\n---\n") {
        let object: Value = serde_saphyr::from_str(document).unwrap();
        let groups = object["spec"]["groups"].as_array().cloned().unwrap_or_default();
        for rule in groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()) {
            count += 1;
            for pointer in
                ["/alert", "/expr", "/labels/severity", "/annotations/summary", "/annotations/description"]
            {
                assert!(rule.pointer(pointer).is_some_and(Value::is_string), "{pointer} of {rule}");
            }
        }
    }
    assert!(count >= 18, "{count} alerts");
}
