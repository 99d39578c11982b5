//! Emergencies are offered where something captures what people write, and nowhere else.

use std::fs;

use crate::program::Served;

const NOWHERE: &str = "{apiVersion: v1, kind: Config, current-context: nowhere, users: [{name: me, user: {}}], \
    clusters: [{name: nowhere, cluster: {server: 'http://127.0.0.1:9'}}], \
    contexts: [{name: nowhere, context: {cluster: nowhere, user: me}}]}";

#[tokio::test]
async fn without_an_operator_no_emergency_can_be_opened_and_the_log_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("kubeconfig"), NOWHERE).unwrap();
    fs::write(path("config.yaml"), "emergency: {}\n").unwrap();
    for (operator, offered) in [("on", true), ("off", false)] {
        let arguments = ["--allow-anonymous", "--operator", operator, "--kubeconfig", &path("kubeconfig")];
        let served =
            Served::start("serve", &[&arguments[..], &["--config", &path("config.yaml")]].concat()).await;
        let tools = served.tools().await;
        for tool in ["open_emergency", "get_emergency", "close_emergency"] {
            assert_eq!(tools.iter().any(|name| name == tool), offered, "--operator {operator}: {tools:?}");
        }
        let said = served.said();
        assert_eq!(said.contains("emergency in the configuration has no effect"), !offered, "{said}");
    }
}
