//! Two servers with resources of the same URIs, through the face: the older one's stay, the younger one's name it,
//! wherever they stand.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use pilothouse::{
    gateway::{Gateway, wire::Era},
    mcp::HttpSettings,
    tools::Toolbox,
};
use serde_json::{Value, json};

use crate::{
    face_talk::Talk,
    gateway_odd::{Odd, Reply},
    gateway_support::{at_url, ready},
    stage::{Served, Stage},
};

/// Both are the same program, which knows who it is.
fn server(era: Era, me: &'static str) -> Odd {
    Odd::start(era, move |method, params| {
        let params: Value = serde_json::from_str(params).unwrap();
        let links = json!([
            { "type": "resource_link", "uri": "x://1", "name": "listed" },
            { "type": "resource_link", "uri": format!("x://only-{me}"), "name": "its own" },
            { "type": "resource_link", "uri": "f:///a", "name": "made" },
            { "type": "resource_link", "uri": "https://example.com/x", "name": "a page" },
            { "type": "resource", "resource": { "uri": "x://1", "text": "x://1" } },
        ]);
        let mut result = match method {
            "tools/list" => json!({ "tools": [{ "name": "link" }] }),
            "prompts/list" => json!({ "prompts": [{ "name": "ask" }] }),
            "resources/list" => {
                json!({ "resources": [{ "uri": "x://1", "name": me }, { "uri": format!("x://only-{me}") }] })
            }
            "resources/templates/list" => {
                json!({ "resourceTemplates": [{ "uriTemplate": "f:///{path}", "name": me }] })
            }
            "resources/read" => json!({ "contents": [{ "uri": params["uri"], "text": me }] }),
            "tools/call" => json!({ "content": links }),
            "prompts/get" => {
                let messages = links.as_array().unwrap().iter();
                let messages: Vec<_> =
                    messages.map(|content| json!({ "role": "user", "content": content })).collect();
                json!({ "messages": messages })
            }
            "completion/complete" => {
                json!({ "completion": { "values": [format!("{me} {}", params["ref"]["uri"])] } })
            }
            _ => json!({}),
        };
        if era == Era::Modern {
            result["resultType"] = json!("complete");
        }
        Reply::Result(result.to_string())
    })
}

struct Scene {
    gateway: Arc<Gateway>,
    served: Served,
    new: Odd,
    _old: Odd,
}

async fn scene(era: Era) -> Scene {
    let (old, new) = (server(era, "old"), server(era, "new"));
    let gateway = Arc::new(Gateway::new(Vec::new()));
    let mut first = at_url("old", &old.url());
    first.created = Timestamp::UNIX_EPOCH;
    gateway.apply(at_url("new", &new.url()));
    gateway.apply(first);
    for name in ["old", "new"] {
        ready(&gateway, name).await;
    }
    let catalogues = gateway.catalogues();
    let mut seen = catalogues.clone();
    let both = |catalogue: &Arc<pilothouse::gateway::Catalogue>| {
        catalogue.find(pilothouse::gateway::Kind::ResourceTemplate, "ph+shop+new+f:///{path}").is_some()
    };
    crate::stage::soon("both lists", seen.wait_for(both)).await.unwrap();
    let stage = Stage::over(gateway.clone(), Arc::new(Toolbox::default()), catalogues);
    let served = Served::open(stage, HttpSettings::default()).await;
    Scene { gateway, served, new, _old: old }
}

fn sorted(list: &Value, member: &str, key: &str) -> Vec<String> {
    let entries = list[member].as_array().unwrap().iter();
    let mut all: Vec<_> = entries.map(|entry| entry[key].as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

/// The URIs of the blocks, in their order.
fn uris<'a>(blocks: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let uri = |block: &Value| block["uri"].as_str().or(block["resource"]["uri"].as_str()).unwrap().to_owned();
    blocks.map(uri).collect()
}

async fn is_true_everywhere(server_era: Era, client: Era) {
    let scene = scene(server_era).await;
    let talk = Talk::open(&scene.served.url, client, json!({})).await;

    let list = talk.ask("resources/list", json!({})).await.unwrap();
    let listed = sorted(&list, "resources", "uri");
    assert_eq!(listed, ["ph+shop+new+x://1", "x://1", "x://only-new", "x://only-old"]);
    let templates = talk.ask("resources/templates/list", json!({})).await.unwrap();
    let templates = sorted(&templates, "resourceTemplates", "uriTemplate");
    assert_eq!(templates, ["f:///{path}", "ph+shop+new+f:///{path}"]);

    for (uri, by) in [
        ("x://1", "old"),
        ("ph+shop+new+x://1", "new"),
        ("x://only-new", "new"),
        ("f:///a/b", "old"),
        ("ph+shop+new+f:///a/b", "new"),
    ] {
        let read = talk.ask("resources/read", json!({ "uri": uri })).await.unwrap();
        assert_eq!(read["contents"], json!([{ "uri": uri, "text": by }]));
    }
    let unheard = talk.ask("resources/read", json!({ "uri": "ph+shop+none+x://1" })).await.unwrap_err();
    let code = if client == Era::Legacy { -32002 } else { -32602 };
    assert_eq!(unheard["code"], code, "{unheard}");

    let of_new = [
        "ph+shop+new+x://1",
        "x://only-new",
        "ph+shop+new+f:///a",
        "https://example.com/x",
        "ph+shop+new+x://1",
    ];
    let of_old = ["x://1", "x://only-old", "f:///a", "https://example.com/x", "x://1"];
    for (name, expected) in [("new", of_new), ("old", of_old)] {
        let call = talk.ask("tools/call", json!({ "name": format!("{name}_link") })).await.unwrap();
        let blocks = call["content"].as_array().unwrap();
        assert_eq!(uris(blocks.iter()), expected);
        assert_eq!(blocks[4]["resource"]["text"], "x://1", "a text is nobody's URI");
        let prompt = talk.ask("prompts/get", json!({ "name": format!("{name}_ask") })).await.unwrap();
        let messages = prompt["messages"].as_array().unwrap().iter();
        assert_eq!(uris(messages.map(|message| &message["content"])), expected);
    }

    for (uri, by) in [("f:///{path}", "old"), ("ph+shop+new+f:///{path}", "new")] {
        let reference = json!({ "type": "ref/resource", "uri": uri });
        let asked = json!({ "ref": reference, "argument": { "name": "path", "value": "" } });
        let completed = talk.ask("completion/complete", asked).await.unwrap();
        assert_eq!(completed["completion"]["values"], json!([format!("{by} \"f:///{{path}}\"")]));
    }
}

#[tokio::test]
async fn a_contested_uri_names_its_server_for_legacy_clients() {
    is_true_everywhere(Era::Legacy, Era::Legacy).await;
    is_true_everywhere(Era::Modern, Era::Legacy).await;
}

#[tokio::test]
async fn a_contested_uri_names_its_server_for_modern_clients() {
    is_true_everywhere(Era::Legacy, Era::Modern).await;
    is_true_everywhere(Era::Modern, Era::Modern).await;
}

async fn is_told(client: Era) {
    let scene = scene(Era::Legacy).await;
    let talk = Talk::open(&scene.served.url, client, json!({})).await;
    let mut events = talk.hear(&["x://1", "ph+shop+new+x://1"]).await;
    let updated = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://1"}}"#;
    let told = async {
        loop {
            let message = events.next().await;
            if message["method"] == "notifications/resources/updated" {
                return message["params"]["uri"].clone();
            }
        }
    };
    let telling = async {
        loop {
            scene.new.note(updated);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let uri = tokio::select! {
        uri = told => uri,
        () = telling => Value::Null,
    };
    assert_eq!(uri, "ph+shop+new+x://1");
    assert!(scene.new.seen("resources/subscribe").iter().all(|params| params.contains(r#""uri":"x://1""#)));
}

async fn is_followed_beyond_its_server(client: Era) {
    let scene = scene(Era::Legacy).await;
    let talk = Talk::open(&scene.served.url, client, json!({})).await;
    let mut events = talk.hear(&["x://only-new"]).await;
    crate::gateway_support::wait_for("it is subscribed to", || {
        (!scene.new.seen("resources/subscribe").is_empty()).then_some(())
    })
    .await;
    scene.gateway.delete(&crate::gateway_support::named("new"));
    scene.gateway.apply(at_url("new", &scene.new.url()));
    let mut told = async || {
        loop {
            let message = events.next().await;
            if message["method"] == "notifications/resources/updated" {
                return message["params"]["uri"].clone();
            }
        }
    };
    let uri = crate::stage::soon("that it may be another now", told()).await;
    assert_eq!(uri, "x://only-new");
    let updated =
        r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://only-new"}}"#;
    let telling = async {
        loop {
            scene.new.note(updated);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let uri = tokio::select! {
        uri = crate::stage::soon("an update of it", told()) => uri,
        () = telling => Value::Null,
    };
    assert_eq!(uri, "x://only-new");
}

#[tokio::test]
async fn a_resource_is_followed_beyond_the_end_of_its_server() {
    is_followed_beyond_its_server(Era::Legacy).await;
    is_followed_beyond_its_server(Era::Modern).await;
}

#[tokio::test]
async fn an_update_has_the_uri_that_was_subscribed_to() {
    is_told(Era::Legacy).await;
    is_told(Era::Modern).await;
}

#[tokio::test]
async fn a_name_that_is_no_longer_needed_still_leads_there() {
    let scene = scene(Era::Legacy).await;
    scene.gateway.delete(&crate::gateway_support::named("old"));
    let plain = |catalogue: &Arc<pilothouse::gateway::Catalogue>| {
        let found = catalogue.find(pilothouse::gateway::Kind::Resource, "x://1");
        found.is_some_and(|entry| entry.raw.get().contains(r#""name":"new""#))
    };
    let mut catalogues = scene.gateway.catalogues();
    crate::stage::soon("the URI is free", catalogues.wait_for(plain)).await.unwrap();
    let talk = Talk::open(&scene.served.url, Era::Modern, json!({})).await;
    for uri in ["x://1", "ph+shop+new+x://1"] {
        let read = talk.ask("resources/read", json!({ "uri": uri })).await.unwrap();
        assert_eq!(read["contents"], json!([{ "uri": "x://1", "text": "new" }]));
    }
}
