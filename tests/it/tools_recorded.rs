//! Every tool on the recorded broken shop: what a reader sees. No cluster is needed.

use std::sync::Arc;

use futures::{future::BoxFuture, stream::BoxStream};
use pilothouse::{
    answer::{Answer, Budget},
    caller::Caller,
    cluster::{Reader, recorded},
    tools::{Changes, Parts, Proposal, Revision, Toolbox, standard},
};
use serde_json::{Value, json};

use crate::recorded_shop::{Fleet, call, parts, shop};

fn tools_of(reader: Reader) -> Toolbox {
    standard(Parts { fleet: Some(Arc::new(Fleet)), ..parts(reader) })
}

async fn ask(tool: &str, arguments: Value) -> Answer {
    call(&tools_of(shop()), &Caller::process(), tool, arguments).await
}

#[tokio::test]
async fn the_overview_names_what_is_broken_and_why() {
    let answer = ask("cluster_overview", json!({})).await;
    let text = &answer.text;
    assert!(text.contains("4 broken"), "{text}");
    let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("`{needle}` is not in\n{text}"));
    let crash = at("Deployment shop/cart");
    let pull = at("Deployment shop/payments");
    let memory = at("Deployment shop/reports");
    let service = at("Service shop/checkout");
    // Causes in pods before the Service, the crash loop first.
    assert!(crash < pull && pull < memory && memory < service, "{text}");
    at("CrashLoopBackOff, last exit 1 Error");
    at("ImagePullBackOff");
    at("last exit 137 OOMKilled");
    at("selects no pod: app=chekout");
    assert!(!text.contains("shop/web "), "healthy workloads are only counted\n{text}");
    let record = answer.structured.unwrap();
    assert_eq!(record["healthy"], false);
    assert_eq!(record["problems"].as_array().unwrap().len(), 4);
    assert_eq!(record["problems"][0]["object"], "Deployment shop/cart");
}

#[tokio::test]
async fn a_healthy_namespace_is_said_to_be_healthy() {
    let answer = ask("cluster_overview", json!({ "namespace": "kube-system" })).await;
    assert!(answer.text.contains("Healthy"), "{}", answer.text);
    assert_eq!(answer.structured.unwrap()["healthy"], true);
    let missing = ask("cluster_overview", json!({ "namespace": "kube-sistem" })).await;
    assert!(missing.is_error && missing.text.contains("nearest: kube-system"), "{}", missing.text);
}

#[tokio::test]
async fn pods_are_listed_with_the_broken_ones_first() {
    let text = ask("list_resources", json!({ "kind": "po", "namespace": "shop" })).await.text;
    let names: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names[0].starts_with("cart-") && names[1].starts_with("cart-"), "{text}");
    assert!(names[2].starts_with("payments-") && names[3].starts_with("reports-"), "{text}");
    assert!(text.contains("\n10 pods in shop (ages as of the recording, 20"), "{text}");
}

#[tokio::test]
async fn a_service_that_selects_nothing_stands_out() {
    let text = ask("list_resources", json!({ "kind": "services", "namespace": "shop" })).await.text;
    let first = text.lines().nth(1).unwrap();
    assert!(first.starts_with("checkout") && first.contains("0/0"), "{text}");
    assert!(text.contains("2/2"), "{text}");
}

#[tokio::test]
async fn every_kind_the_recording_knows_can_be_listed() {
    let reader = shop();
    let kinds = reader.kinds().await.unwrap();
    let tools = tools_of(reader);
    let mut listed = 0;
    for resource in kinds.iter().filter(|resource| resource.can("list")) {
        let answer =
            call(&tools, &Caller::process(), "list_resources", json!({ "kind": resource.id() })).await;
        assert!(!answer.is_error || answer.text.contains("left out of this recording"), "{}", answer.text);
        listed += usize::from(!answer.is_error);
    }
    assert!(listed > 40, "{listed} kinds");
}

#[tokio::test]
async fn secrets_are_refused_and_not_shown_as_none() {
    for (tool, kind) in
        [("list_resources", "secrets"), ("list_resources", "leases"), ("get_resource", "apiservices")]
    {
        let mut arguments = json!({ "kind": kind });
        if tool == "get_resource" {
            arguments["name"] = json!("v1.");
        }
        let answer = ask(tool, arguments).await;
        assert!(answer.is_error && answer.text.contains("left out of this recording"), "{}", answer.text);
        assert!(answer.text.contains(kind) && !answer.text.contains("rights"), "{}", answer.text);
    }
    let kinds = ask("list_kinds", json!({})).await.text;
    let left_out = kinds.lines().next().unwrap();
    assert!(left_out.starts_with("Left out of this recording: ") && left_out.contains("secrets"), "{kinds}");
    assert!(!kinds.lines().any(|line| line.starts_with("secrets ")), "{kinds}");
}

#[tokio::test]
async fn a_field_that_none_can_be_selected_by_is_an_error_and_no_empty_list() {
    for (kind, fields, known) in [
        ("pods", "spec.nodeNam=pilothouse", "spec.nodeName"),
        ("deployments", "status.phase=Running", "metadata.name, metadata.namespace"),
    ] {
        let answer = ask("list_resources", json!({ "kind": kind, "fields": fields })).await;
        assert!(answer.is_error && answer.text.contains(known), "{}", answer.text);
        assert!(answer.text.contains(fields.split('=').next().unwrap()), "{}", answer.text);
    }
    let of = json!({ "kind": "pods", "fields": "spec.nodeName=pilothouse,metadata.namespace=shop" });
    let text = ask("list_resources", of).await.text;
    assert!(text.contains("\n10 pods"), "{text}");
}

#[tokio::test]
async fn a_recording_says_of_when_its_ages_are() {
    for (tool, arguments) in [
        ("list_events", json!({ "namespace": "shop" })),
        ("list_resources", json!({ "kind": "nodes" })),
        ("get_resource", json!({ "kind": "deployment", "namespace": "shop", "name": "cart" })),
    ] {
        let text = ask(tool, arguments).await.text;
        assert_eq!(text.matches("ages as of the recording, 20").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn kinds_are_found_by_part_of_a_name() {
    let text = ask("list_kinds", json!({ "search": "deploy" })).await.text;
    assert!(text.contains("deployments.apps") && text.contains("1 kind with"), "{text}");
    let all = ask("list_kinds", json!({})).await.text;
    assert!(all.contains("pods") && all.contains("po "), "{all}");
}

#[tokio::test]
async fn one_object_comes_with_its_reason_its_events_and_without_noise() {
    let text =
        ask("get_resource", json!({ "kind": "deploy", "namespace": "shop", "name": "cart" })).await.text;
    assert!(text.starts_with("Broken: 0/2 available"), "{text}");
    assert!(text.contains("Available=False"), "{text}");
    for noise in ["managedFields", "last-applied"] {
        assert!(!text.contains(noise), "{text}");
    }
    let yaml = text.split("not instructions\n").nth(1).unwrap();
    let object: Value = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(object["spec"]["replicas"], 2);
    let env = &object["spec"]["template"]["spec"]["containers"][0]["env"];
    assert!(env[0]["value"].as_str().unwrap().starts_with("<redacted:"), "{text}");
    assert_eq!(env[1]["value"], "30m");
}

#[tokio::test]
async fn a_workload_says_why_its_pods_do_not_run() {
    let cause = "container cart: CrashLoopBackOff, last exit 1";
    for kind in ["deployments", "replicasets"] {
        let text = ask("list_resources", json!({ "kind": kind, "namespace": "shop" })).await.text;
        let cart = text.lines().find(|line| line.starts_with("cart")).unwrap();
        assert!(cart.contains("; 2 pods, worst cart-") && cart.contains(cause), "{text}");
    }
    let cart = json!({ "kind": "deploy", "namespace": "shop", "name": "cart" });
    let text = ask("get_resource", cart.clone()).await.text;
    assert!(text.lines().next().unwrap().contains(cause), "{text}");
    let text = ask("list_events", cart).await.text;
    assert!(text.contains("Pod/cart-") && text.contains("Deployment/cart"), "{text}");
    assert!(!text.contains("Pod/reports"), "{text}");
}

#[tokio::test]
async fn a_service_that_selects_no_pod_names_the_label_that_was_meant() {
    for (tool, arguments) in [
        ("cluster_overview", json!({})),
        ("get_resource", json!({ "kind": "service", "namespace": "shop", "name": "checkout" })),
        ("list_resources", json!({ "kind": "services" })),
    ] {
        let text = ask(tool, arguments).await.text;
        assert!(text.contains("selects no pod: app=chekout, nearest: app=checkout, 1 pod"), "{text}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_said_in_one_sentence() {
    for (tool, arguments, told) in [
        ("list_resources", json!({ "kind": "pods", "namespace": "shpo" }), "there is no Namespace `shpo`"),
        ("list_events", json!({ "namespace": "shpo" }), "there is no Namespace `shpo`"),
        (
            "list_events",
            json!({ "namespace": "shop", "kind": "deploy", "name": "nothing" }),
            "there is no Deployment `nothing`",
        ),
        ("list_mcp_servers", json!({ "namespace": "shpo" }), "no MCP server in namespace shpo"),
    ] {
        let answer = ask(tool, arguments).await;
        assert!(answer.is_error && answer.text.contains(told), "{}", answer.text);
        assert!(!answer.text.contains("But"), "{}", answer.text);
    }
}

#[tokio::test]
async fn one_is_not_many_and_what_cannot_be_ill_has_no_health() {
    let text = ask("list_resources", json!({ "kind": "nodes" })).await.text;
    assert!(text.contains("\n1 node "), "{text}");
    let settings = json!({ "kind": "cm", "namespace": "shop", "name": "shop-settings" });
    let text = ask("get_resource", settings).await.text;
    assert!(!text.to_lowercase().contains("health"), "{text}");
    let text = ask("list_resources", json!({ "kind": "endpointslices", "namespace": "shop" })).await.text;
    assert!(text.contains("ADDRESSES  READY  PORTS"), "{text}");
}

#[tokio::test]
async fn events_of_replicas_are_one_row_and_warnings_come_first() {
    let text = ask("list_events", json!({ "namespace": "shop" })).await.text;
    assert!(text.lines().nth(1).unwrap().starts_with("Warning"), "{text}");
    assert_eq!(text.matches("Pod/cart-").count(), 1, "{text}");
    assert!(text.contains("and 1 more"), "{text}");
    assert!(text.contains("normal and not listed yet: "), "{text}");
    let of = ask("list_events", json!({ "namespace": "shop", "kind": "deploy", "name": "web" })).await.text;
    assert!(of.contains("ScalingReplicaSet") && !of.contains("cart"), "{of}");
}

#[tokio::test]
async fn the_fleet_is_listed_with_the_silent_servers_first() {
    let text = ask("list_mcp_servers", json!({})).await.text;
    let first = text.lines().nth(1).unwrap();
    assert!(first.contains("git") && first.contains("connection refused"), "{text}");
    assert!(!text.contains("hunter22"), "{text}");
    let one = ask("get_mcp_server", json!({ "name": "clock" })).await;
    assert!(
        one.text.contains("2 tools, about 320 tokens") && one.text.contains("clock_now (120)"),
        "{}",
        one.text
    );
    assert_eq!(one.structured.unwrap()["tools"], json!(["clock_now", "clock_convert"]));
    let missing = ask("get_mcp_server", json!({ "name": "clok" })).await;
    assert!(missing.is_error && missing.text.contains("nearest: clock"), "{}", missing.text);
}

#[tokio::test]
async fn without_a_cluster_a_tool_says_how_to_give_one() {
    let reader = Reader::absent("there is no cluster: give a kubeconfig with --kubeconfig");
    let tools = tools_of(reader);
    for (tool, arguments) in [
        ("cluster_overview", json!({})),
        ("list_resources", json!({ "kind": "pods" })),
        ("get_logs", json!({ "namespace": "a", "name": "b" })),
    ] {
        let answer = call(&tools, &Caller::process(), tool, arguments).await;
        assert!(answer.is_error && answer.text.starts_with("there is no cluster"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_folder_that_is_no_recording_is_told_so() {
    let empty = tempfile::tempdir().unwrap();
    let error = recorded::open(empty.path()).unwrap_err().to_string();
    assert!(
        error.contains("is not a recorded cluster") && error.contains("pilothouse snapshot DIR"),
        "{error}"
    );
    std::fs::write(empty.path().join("snapshot.json"), "{\"format\":").unwrap();
    let error = recorded::open(empty.path()).unwrap_err().to_string();
    assert!(error.contains("snapshot.json"), "{error}");
}

struct Nowhere;

impl Changes for Nowhere {
    fn propose<'a>(&'a self, _: &'a Caller, proposal: Proposal) -> BoxFuture<'a, Answer> {
        Box::pin(async move { Answer::text(format!("{proposal:?}")) })
    }
    fn get<'a>(&'a self, _: &'a Caller, id: &'a str) -> BoxFuture<'a, Answer> {
        Box::pin(async move { Answer::text(id) })
    }
    fn list<'a>(&'a self, _: &'a Caller) -> BoxFuture<'a, Answer> {
        Box::pin(async { Answer::text("none") })
    }
    fn updates<'a>(
        &'a self,
        _: &'a Caller,
        _: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, ()>, String>> {
        Box::pin(async { Err("there is none".to_owned()) })
    }
    fn revise<'a>(&'a self, _: &'a Caller, id: &'a str, _: Revision) -> BoxFuture<'a, Answer> {
        Box::pin(async move { Answer::text(id) })
    }
    fn withdraw<'a>(&'a self, _: &'a Caller, id: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Answer> {
        Box::pin(async move { Answer::text(id) })
    }
}

#[tokio::test]
async fn definitions_are_small_strict_and_true() {
    let (fleet, changes) = (Some(Arc::new(Fleet) as _), Some(Arc::new(Nowhere) as _));
    let tools = standard(Parts { fleet, changes, ..parts(shop()) });
    let definitions: Vec<Value> = tools.definitions().collect();
    assert!((12..=40).contains(&definitions.len()), "{} tools", definitions.len());
    let tokens = Budget::estimate(&serde_json::to_string(&definitions).unwrap());
    assert!(tokens <= 8_000, "{tokens} tokens");
    for tool in definitions {
        let name = tool["name"].as_str().unwrap();
        assert!((3..=40).contains(&name.len()), "{name}");
        assert!(tool["description"].as_str().unwrap().len() < 1_024, "{name}");
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
        let reads = !["propose_change", "revise_change", "withdraw_change"].contains(&name);
        let (takes, open) = (name == "withdraw_change", name.contains("_change") && name != "what_changed");
        assert_eq!(
            tool["annotations"],
            json!({ "readOnlyHint": reads, "destructiveHint": takes, "idempotentHint": true, "openWorldHint": open }),
            "{name}"
        );
        for property in tool["inputSchema"]["properties"].as_object().unwrap().values() {
            assert!(
                property["description"].is_string() && property["type"].is_string(),
                "{name}: {property}"
            );
        }
    }
}

#[tokio::test]
async fn tools_without_their_backend_are_not_listed() {
    let tools = standard(parts(shop()));
    assert!(tools.get("cluster_overview").is_some() && tools.get("check_access").is_some());
    assert!(tools.get("propose_change").is_none() && tools.get("list_mcp_servers").is_none());
}
