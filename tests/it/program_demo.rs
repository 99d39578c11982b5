//! `pilothouse demo`: everything works from the binary alone.

use serde_json::json;

use crate::program::Served;

#[tokio::test]
async fn a_broken_cluster_and_two_servers_are_served_and_explained() {
    let demo = Served::start("demo", &[]).await;
    demo.until_listed(&["cluster_overview", "host_load", "notes_list"]).await;
    let said = demo.said();
    assert!(said.contains(&format!("{}/mcp", demo.origin)), "{said}");
    assert!(said.contains(&format!("{}/sse", demo.origin)) && said.contains("mcpServers"), "{said}");

    let (overview, error) = demo.call("cluster_overview", json!({})).await;
    assert!(!error, "{overview}");
    for fault in ["CrashLoopBackOff", "OOMKilled", "ImagePullBackOff", "selects no pod"] {
        assert!(overview.contains(fault), "{fault} is missing in:\n{overview}");
    }
    let (servers, _) = demo.call("list_mcp_servers", json!({})).await;
    assert!(servers.contains("host") && servers.contains("notes"), "{servers}");
}

#[tokio::test]
async fn the_second_port_tells_health_and_metrics() {
    let demo = Served::start("demo", &[]).await;
    demo.until_listed(&["host_load", "notes_list"]).await;
    for path in ["livez", "readyz"] {
        let answer = reqwest::get(format!("{}/{path}", demo.health)).await.unwrap();
        assert!(answer.status().is_success(), "{path}");
    }
    demo.call("host_load", json!({})).await;
    let metrics = reqwest::get(format!("{}/metrics", demo.health)).await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains(r#"pilothouse_downstream_ready{namespace="default",server="host"} 1"#),
        "{metrics}"
    );
    assert!(metrics.contains("pilothouse_downstream_calls_total"), "{metrics}");
}
