//! Input that no tool can use, through the real calls: each is told in one line what to do instead.
//!
//! A namespace that the caller may not see needs a cluster's access rules: see
//! `a_namespace_that_may_not_be_seen_answers_like_one_that_is_not_there` in `tests/cluster/rights.rs`.

use pilothouse::{answer::Answer, caller::Caller, tools::Toolbox};
use serde_json::{Value, json};

use crate::{
    made_cluster::MadeCluster,
    recorded_shop::{call, cursor, folder, tools_on},
};

/// The sentence that an unusable call is answered with.
fn sentence(tool: &str, arguments: &Value, answer: Answer) -> String {
    let Answer { text, structured, is_error } = answer;
    assert!(is_error && structured.is_none(), "{tool} {arguments}: {text}");
    assert_eq!(text.lines().count(), 1, "{tool} {arguments}: {text}");
    assert!(text.len() < 400, "{tool} {arguments}: {text}");
    text
}

async fn refused(tools: &Toolbox, tool: &str, arguments: Value) -> String {
    let answer = call(tools, &Caller::process(), tool, arguments.clone()).await;
    sentence(tool, &arguments, answer)
}

/// Each tool that is asked for a kind, with what else it needs.
fn asking_for(kind: &str) -> Vec<(&'static str, Value)> {
    let named = json!({ "kind": kind, "name": "cart", "namespace": "shop" });
    let mut asked: Vec<(&str, Value)> = [
        "get_resource",
        "list_events",
        "resource_tree",
        "find_source",
        "rollout_history",
        "diagnose",
        "what_changed",
        "get_logs",
    ]
    .map(|tool| (tool, named.clone()))
    .into();
    asked.push(("list_resources", json!({ "kind": kind })));
    asked.push(("explain_kind", json!({ "kind": kind })));
    asked.push(("check_access", json!({ "kind": kind, "verb": "get" })));
    asked
}

#[tokio::test]
async fn an_unknown_kind_is_told_with_the_nearest_one() {
    let tools = tools_on(&folder());
    for (tool, arguments) in asking_for("deploymnt") {
        let told = refused(&tools, tool, arguments).await;
        let expected = "the cluster has no kind `deploymnt`, nearest: deployments.apps";
        assert!(told.contains(expected) && told.ends_with("`list_kinds` names all"), "{tool}: {told}");
    }
}

#[tokio::test]
async fn an_ambiguous_short_name_is_told_with_what_it_may_be() {
    let cluster = MadeCluster::of(&[]);
    for name in ["gdg", "gadget", "Gadgets"] {
        for (tool, arguments) in asking_for(name) {
            let told = refused(&cluster.tools(), tool, arguments).await;
            let expected = format!(
                "`{name}` is a kind in several groups: say which, gadgets.one.example.com or gadgets.two.example.com"
            );
            assert_eq!(told, expected, "{tool}");
        }
    }
    let one = cluster.ask("list_resources", json!({ "kind": "gdg.two.example.com" })).await;
    assert!(!one.is_error, "{}", one.text);
}

#[tokio::test]
async fn a_missing_namespace_is_asked_for_or_told_with_the_nearest_one() {
    let tools = tools_on(&folder());
    let cart = json!({ "kind": "deploy", "name": "cart" });
    for tool in ["get_resource", "resource_tree", "find_source", "diagnose", "what_changed"] {
        let told = refused(&tools, tool, cart.clone()).await;
        assert_eq!(told, "a Deployment needs a `namespace`: Deployment `cart` is in shop", "{tool}");
    }
    for (tool, arguments) in [
        ("rollout_history", cart.clone()),
        ("get_logs", json!({ "name": "cart", "kind": "deploy" })),
        ("get_helm_release", json!({ "name": "cart" })),
    ] {
        let told = refused(&tools, tool, arguments).await;
        assert!(told.starts_with(&format!("{tool} needs `namespace` (")), "{told}");
    }
    for (tool, arguments) in [
        ("list_resources", json!({ "kind": "pods" })),
        ("list_events", json!({})),
        ("cluster_overview", json!({})),
        ("diagnose", json!({})),
        ("what_changed", json!({})),
        ("get_logs", json!({ "labels": "app=cart" })),
        ("get_resource", cart.clone()),
        ("rollout_history", cart.clone()),
        ("resource_tree", cart.clone()),
        ("find_source", cart),
    ] {
        let mut arguments = arguments;
        arguments["namespace"] = json!("shpo");
        let told = refused(&tools, tool, arguments).await;
        assert!(
            told.to_lowercase().replace('`', "").contains("there is no namespace shpo")
                && told.contains("nearest: shop"),
            "{tool}: {told}"
        );
    }
}

#[tokio::test]
async fn a_bad_selector_is_told_with_the_part_that_is_bad() {
    let tools = tools_on(&folder());
    for (tool, arguments, told) in [
        ("list_resources", json!({ "kind": "pods", "labels": "a in b" }), "a in b"),
        ("list_resources", json!({ "kind": "pods", "labels": "=web" }), "=web"),
        ("list_resources", json!({ "kind": "pods", "labels": "app=web,!" }), "!"),
        ("list_resources", json!({ "kind": "pods", "labels": "app in (web" }), "app in (web"),
        ("list_resources", json!({ "kind": "pods", "fields": "spec.nodeNam=x" }), "spec.nodeName"),
        ("list_resources", json!({ "kind": "pods", "fields": "spec.nodeName" }), "spec.nodeName"),
        ("get_logs", json!({ "namespace": "shop", "labels": "a in b" }), "a in b"),
    ] {
        let said = refused(&tools, tool, arguments.clone()).await;
        assert!(said.contains(told), "{tool} {arguments}: {said}");
    }
}

#[tokio::test]
async fn a_regular_expression_that_does_not_compile_or_explodes_is_refused_at_once() {
    let tools = tools_on(&folder());
    let of = |grep: &str| json!({ "namespace": "shop", "labels": "app=cart", "grep": grep });
    for (grep, told) in [
        ("(", "not a regular expression"),
        ("[z-a]", "not a regular expression"),
        ("(?=x)", "not a regular expression"),
        ("((a{1000}){1000}){1000}", "is too large"),
    ] {
        let said = refused(&tools, "get_logs", of(grep)).await;
        assert!(said.contains(told), "{grep}: {said}");
    }
    // What makes other engines try for ever is a plain search here.
    let answer = call(&tools, &Caller::process(), "get_logs", of("(a+)+(a+)+(a+)+$x")).await;
    assert!(!answer.is_error, "{}", answer.text);
}

#[tokio::test]
async fn numbers_out_of_bounds_are_told_with_their_bounds() {
    let tools = tools_on(&folder());
    for (tool, arguments, told) in [
        (
            "get_logs",
            json!({ "namespace": "shop", "labels": "app=cart", "tail": -5 }),
            "`tail` of get_logs must be from 1 to 100000, got -5",
        ),
        (
            "get_logs",
            json!({ "namespace": "shop", "labels": "app=cart", "grep": "x", "around": -1 }),
            "`around` of get_logs must be from 0 to",
        ),
        (
            "list_events",
            json!({ "since_minutes": -1 }),
            "`since_minutes` of list_events must be at least 1, got -1",
        ),
        (
            "list_resources",
            json!({ "kind": "pods", "max_tokens": -1 }),
            "`max_tokens` of list_resources must be",
        ),
    ] {
        let said = refused(&tools, tool, arguments).await;
        assert!(said.starts_with(told), "{said}");
    }
}

#[tokio::test]
async fn a_cursor_is_of_one_tool_and_one_caller() {
    let tools = tools_on(&folder());
    let with = |mut arguments: Value, cursor: &str| {
        arguments["cursor"] = json!(cursor);
        arguments
    };
    let calls = [
        ("list_resources", json!({ "kind": "events", "max_tokens": 400 })),
        ("list_events", json!({ "max_tokens": 400 })),
        ("list_kinds", json!({ "max_tokens": 400 })),
        ("get_resource", json!({ "kind": "node", "name": "pilothouse", "max_tokens": 400 })),
        ("what_changed", json!({ "window": "90d", "max_tokens": 600 })),
    ];
    let mut cursors = Vec::new();
    for (tool, arguments) in &calls {
        let page = call(&tools, &Caller::process(), tool, arguments.clone()).await.text;
        cursors.push(cursor(&page).unwrap_or_else(|| panic!("{tool} has one page only\n{page}")));
    }
    for (at, (tool, arguments)) in calls.iter().enumerate() {
        let elsewhere = &cursors[(at + 1) % cursors.len()];
        let told = refused(&tools, tool, with(arguments.clone(), elsewhere)).await;
        assert!(told.starts_with("the cursor belongs to a call with other arguments: "), "{tool}: {told}");
        assert!(told.contains("leave `cursor` out"), "{tool}: {told}");

        let own = with(arguments.clone(), &cursors[at]);
        let ann = Caller { user: "ann".into(), ..Caller::static_token() };
        let told = sentence(tool, &own, call(&tools, &ann, tool, own.clone()).await);
        assert_eq!(
            told, "the cursor was given to another caller: call without `cursor` to start over",
            "{tool}"
        );

        let told = refused(&tools, tool, with(arguments.clone(), "made-up")).await;
        assert!(told.contains("not one this server gave out") && told.contains("without `cursor`"), "{told}");
        let more = call(&tools, &Caller::process(), tool, own).await;
        assert!(!more.is_error, "{tool}: {}", more.text);
    }
}
