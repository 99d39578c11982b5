//! The ConfigMap that a proxy reads.

use std::time::{Duration, Instant};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Event, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
};
use pilothouse::operator::LitellmConfig;
use reqwest::Method;
use serde_json::{Value, json};

use super::{CONDITION, FINALIZER, SOON, broken, delete, finalizers, gone, proxy::Proxy, registered, whole};
use crate::support::{
    kubectl,
    namespace::Scratch,
    one_server::OneServer,
    own_operator::{ACCOUNT, OwnOperator, solo},
    wait::until,
    whole::{NAME, STARTED, Whole},
};

const FOREIGN: &str = "# kept by the platform team\ngeneral_settings:\n  master_key: os.environ/LITELLM_MASTER_KEY   # from a Secret\n\nmcp_servers:\n  # by hand\n  github:\n    url: 'http://127.0.0.1:9/mcp'   # nobody is there\n    transport: http\n\n# and the rest\nlitellm_settings: {drop_params: true}\n";

struct Stage {
    whole: Whole,
    maps: Api<ConfigMap>,
    namespace: String,
}

impl Stage {
    async fn set(namespace: &str, text: &str, more: Value) -> Self {
        let mut config = json!({
            "configMap": { "namespace": namespace, "name": "litellm-config" },
            "graceSeconds": 2,
            "lookEverySeconds": 5,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let client = crate::support::client::admin().await;
        let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
        let map = json!({ "metadata": { "name": "litellm-config" }, "data": { "config.yaml": text, "other": "x" } });
        let map: ConfigMap = serde_json::from_value(map).expect("a ConfigMap");
        maps.create(&PostParams::default(), &map).await.expect("the ConfigMap is made");
        Self { whole: whole(namespace, config).await, maps, namespace: namespace.to_owned() }
    }

    async fn map(&self) -> ConfigMap {
        self.maps.get("litellm-config").await.expect("the ConfigMap is there")
    }

    async fn text(&self) -> String {
        self.map().await.data.unwrap_or_default().remove("config.yaml").unwrap_or_default()
    }

    /// Ours of the text; None while there is none.
    async fn entry(&self) -> Option<Value> {
        let config: Value = serde_saphyr::from_str(&self.text().await).expect("the text stays YAML");
        let entry = config["mcp_servers"][NAME].clone();
        (!entry.is_null()).then_some(entry)
    }

    async fn enters(&self) -> Value {
        until("it has an entry", STARTED, || self.entry()).await
    }

    async fn leaves(&self, why: &str) {
        until(why, SOON, || async { self.entry().await.is_none().then_some(()) }).await;
    }

    /// As a person with an editor: read, changed, written, again when somebody else wrote in between.
    async fn person_writes(&self, change: impl Fn(&str) -> String) {
        loop {
            let mut map = self.map().await;
            let data = map.data.get_or_insert_default();
            let text = change(&data["config.yaml"]);
            data.insert("config.yaml".to_owned(), text);
            match self.maps.replace("litellm-config", &PostParams::default(), &map).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("a person writes the ConfigMap: {error}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_stands_there_while_it_is_ready_and_no_other_byte_changes() {
    let scratch = solo("litellm");
    kubectl::apply(&format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: litellm, namespace: {}}}\nspec:\n  replicas: 0\n  \
         selector: {{matchLabels: {{app: litellm}}}}\n  template:\n    metadata: {{labels: {{app: litellm}}}}\n    \
         spec: {{containers: [{{name: main, image: 'example.test/none:1'}}]}}\n",
        scratch.name()
    ));
    let restart = json!({ "configMap": { "namespace": scratch.name(), "name": "litellm-config",
        "restart": { "deployment": "litellm" } } });
    let stage = Stage::set(scratch.name(), FOREIGN, restart).await;
    let proxies: Api<Deployment> = Api::namespaced(stage.whole.client.clone(), scratch.name());
    let restarted = async || {
        let template = proxies.get("litellm").await.ok()?.spec?.template;
        template.metadata?.annotations?.remove("kubectl.kubernetes.io/restartedAt")
    };
    let begun = Instant::now();
    stage.whole.create(registered(&["ops", "shop"])).await;

    let entry = stage.enters().await;
    eprintln!("entered {:?} after the MCPServer was made", begun.elapsed());
    assert_eq!(entry["url"], format!("http://{NAME}.{}.svc:8080/mcp", scratch.name()));
    assert_eq!((&entry["transport"], &entry["access_groups"]), (&json!("http"), &json!(["ops", "shop"])));
    assert_eq!(entry["mcp_info"]["pilothouse"]["server"], format!("{}/{NAME}", scratch.name()));
    let said = stage.whole.condition_becomes(CONDITION, "True Registered", SOON).await;
    assert!(said.contains("under the name demo"), "{said}");
    assert_eq!(finalizers(&stage.whole).await, [FINALIZER]);
    let (text, before) = (stage.text().await, "    transport: http\n");
    let ours = text.split_once(before).unwrap().1.split_once("\n\n# and").unwrap().0;
    assert_eq!(text.replace(&format!("{ours}\n"), ""), FOREIGN, "{text}");
    assert_eq!(stage.map().await.data.unwrap()["other"], "x");
    until("the proxy is restarted", SOON, restarted).await;
    until("no restart is due", SOON, || async { stage.map().await.annotations().is_empty().then_some(()) })
        .await;

    stage.whole.change(json!({ "replicas": 0 })).await;
    stage.leaves("a stopped server has no entry").await;
    stage.whole.condition_becomes(CONDITION, "False NotReady", SOON).await;
    assert_eq!(stage.text().await, FOREIGN);
    stage.whole.change(json!({ "replicas": 1 })).await;
    stage.enters().await;
    stage.whole.condition_becomes(CONDITION, "True Registered", SOON).await;

    stage.whole.change(broken()).await;
    stage.leaves("a server whose new pods cannot start has none after the grace time").await;
    stage.whole.condition_becomes(CONDITION, "False NotReady", SOON).await;
    stage.whole.change(registered(&[])).await;
    let entry = stage.enters().await;
    assert!(entry.get("access_groups").is_none(), "{entry}");

    delete(&stage.whole).await;
    gone(&stage.whole).await;
    assert_eq!(stage.text().await, FOREIGN, "nothing of ours is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_put_back_is_silent_and_loses_nobodys_edit() {
    let scratch = solo("litellm-drift");
    let stage = Stage::set(scratch.name(), FOREIGN, json!({})).await;
    stage.whole.create(registered(&["g0"])).await;
    stage.enters().await;
    stage.whole.condition_becomes(CONDITION, "True Registered", SOON).await;

    // Longer than two looks.
    let version = async || {
        let server = stage.whole.servers.get(NAME).await.unwrap();
        (server.resource_version(), stage.map().await.resource_version())
    };
    stage.whole.condition_becomes("Registered", "True", SOON).await;
    let before = version().await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(version().await, before, "looking writes nothing");

    stage.person_writes(|_| FOREIGN.to_owned()).await;
    stage.enters().await;

    // A person and the operator write at once.
    for round in 1..=15 {
        let group = format!("g{round}");
        stage.whole.change(json!({ "litellm": { "allowedUserGroups": [group] } })).await;
        stage.person_writes(|text| format!("{text}# note {round}\n")).await;
    }
    until("the last groups are there", SOON, || async {
        (stage.entry().await?["access_groups"] == json!(["g15"])).then_some(())
    })
    .await;
    let text = stage.text().await;
    let notes: Vec<String> = (1..=15).map(|round| format!("# note {round}\n")).collect();
    assert!(text.ends_with(&notes.concat()), "{text}");

    stage.whole.change(json!({ "litellm": { "register": false, "allowedUserGroups": null } })).await;
    stage.leaves("it wants no entry any more").await;
    until("nothing holds it", SOON, || async { finalizers(&stage.whole).await.is_empty().then_some(()) })
        .await;
    assert_eq!(stage.whole.condition(CONDITION).await, "");
    assert_eq!(stage.text().await, format!("{FOREIGN}{}", notes.concat()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_told_and_holds_nobody() {
    let scratch = solo("litellm-taken");
    let taken = FOREIGN.replace("github", NAME);
    let stage = Stage::set(scratch.name(), &taken, json!({})).await;
    stage.whole.create(registered(&[])).await;
    let said = stage.whole.condition_becomes(CONDITION, "False NameTaken", STARTED).await;
    assert!(said.contains("which pilothouse did not make") && said.contains("spec.gateway.prefix"), "{said}");
    assert_eq!(stage.text().await, taken);
    let events: Api<Event> = Api::namespaced(stage.whole.client.clone(), &stage.namespace);
    let told = ListParams::default().fields(&format!("involvedObject.name={NAME},reason=NameTaken"));
    until("an event tells it", SOON, || async {
        (!events.list(&told).await.ok()?.items.is_empty()).then_some(())
    })
    .await;
    stage.person_writes(|_| "mcp_servers: {a: {url: 'http://a'}}\n".to_owned()).await;
    let said = stage.whole.condition_becomes(CONDITION, "False Refused", SOON).await;
    assert!(said.contains("block style"), "{said}");

    let name = "litellm-config";
    stage.maps.delete(name, &kube::api::DeleteParams::default()).await.unwrap();
    let said = stage.whole.condition_becomes(CONDITION, "False ProxyUnreachable", SOON).await;
    assert!(said.contains("does not exist"), "{said}");
    delete(&stage.whole).await;
    gone(&stage.whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_proxy_that_reads_the_text_offers_the_tools() {
    let scratch = solo("litellm-real");
    let stage = Stage::set(scratch.name(), FOREIGN, json!({})).await;
    stage.whole.create(registered(&[])).await;
    stage.enters().await;
    let pods: Api<Pod> = Api::namespaced(stage.whole.client.clone(), scratch.name());
    let pods = pods.list(&ListParams::default()).await.unwrap().items;
    let address = pods.iter().find_map(|pod| pod.status.as_ref()?.pod_ip.clone()).expect("a pod's address");
    // The proxy runs outside of the cluster here, where the Service has no name.
    let text = stage.text().await.replace(&format!("{NAME}.{}.svc", scratch.name()), &address);
    let proxy = Proxy::of_file(&text).await;
    let listed = proxy.server(NAME).await.expect("the proxy lists our server");
    assert_eq!(listed["url"], format!("http://{address}:8080/mcp"));
    let offered = until("the proxy lists the tool", SOON, || async {
        let (_, tools) = proxy.ask(Method::GET, "/mcp-rest/tools/list", None).await?;
        let tools = tools["tools"].as_array()?.clone();
        tools.into_iter().find(|tool| tool["name"].as_str().is_some_and(|name| name.ends_with("look")))
    })
    .await;
    let call = json!({ "name": offered["name"], "arguments": {}, "server_id": listed["server_id"] });
    let answer = proxy.ask(Method::POST, "/mcp-rest/tools/call", Some(&call)).await;
    let (status, answer) = answer.expect("the proxy answers");
    assert!(
        status.is_success() && answer.to_string().contains("proxied look"),
        "{status} {answer}\n{}",
        proxy.said()
    );
    // The entry of a server that is deleted is taken out first: nobody would do so after the test.
    delete(&stage.whole).await;
    gone(&stage.whole).await;
}

/// As an installation for one namespace, with the proxy in another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_named_and_the_role_of_the_docs_gives_it() {
    let (scratch, elsewhere) = (solo("litellm-rights"), Scratch::new("litellm-proxy"));
    let name = "litellm-config";
    let text = "mcp_servers: {}\n";
    kubectl::run(&[
        "-n",
        elsewhere.name(),
        "create",
        "configmap",
        name,
        &format!("--from-literal=config.yaml={text}"),
    ]);
    let config =
        json!({ "configMap": { "namespace": elsewhere.name(), "name": name }, "lookEverySeconds": 5 });
    let config: LitellmConfig = serde_json::from_value(config).unwrap();
    let operator = OwnOperator::start_registering(scratch.name(), config.settings().unwrap()).await;
    let one = OneServer::new(&operator.client, scratch.name());
    let admin = OneServer::new(&crate::support::client::admin().await, scratch.name());
    admin.create(json!({ "image": "registry.invalid/none:1", "litellm": { "register": true } })).await;
    let said = one.says(CONDITION, "False Refused").await;
    assert!(said.contains("no right to read ConfigMap") && said.contains("docs/litellm.md"), "{said}");
    let docs = include_str!("../../../docs/litellm.md");
    let role = docs.rsplit("```yaml\n").next().unwrap().split("```").next().unwrap();
    let role = role
        .replace(
            "name: pilothouse, namespace: pilothouse",
            &format!("name: {ACCOUNT}, namespace: {}", scratch.name()),
        )
        .replace("namespace: litellm}", &format!("namespace: {}}}", elsewhere.name()));
    kubectl::apply(&role);
    one.says(CONDITION, "False NotReady").await;
    admin.servers.delete(NAME, &kube::api::DeleteParams::default()).await.expect("a person deletes it");
    until("nothing holds it", SOON, || async {
        matches!(admin.servers.get_opt(NAME).await, Ok(None)).then_some(())
    })
    .await;
    operator.stop().await;
}
