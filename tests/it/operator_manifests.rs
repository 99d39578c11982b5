//! What `kubectl apply` of the manifests gives to whom, and how the pods run.

use std::collections::BTreeMap;

use pilothouse::{mcp::authentication::config::IdentityConfig, operator};
use serde_json::{Value, json};

/// Every object, by kind and name.
fn objects() -> BTreeMap<(String, String), Value> {
    parsed(&operator::manifests().unwrap())
}

fn parsed(text: &str) -> BTreeMap<(String, String), Value> {
    let documents = text.split("\n---\n");
    documents
        .map(|document| {
            let object: Value = serde_saphyr::from_str(document).unwrap();
            let word = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap().to_owned();
            ((word("/kind"), word("/metadata/name")), object)
        })
        .collect()
}

fn object(kind: &str, name: &str) -> Value {
    objects().remove(&(kind.to_owned(), name.to_owned())).unwrap()
}

fn rules(of: &Value) -> Vec<Value> {
    of["rules"].as_array().cloned().unwrap_or_default()
}

fn words(rule: &Value, field: &str) -> Vec<String> {
    rule[field].as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_right_is_a_wildcard() {
    for ((kind, name), object) in objects() {
        for rule in rules(&object) {
            for field in ["apiGroups", "resources", "verbs"] {
                let words = words(&rule, field);
                assert!(!words.iter().any(|word| word.contains('*')), "{kind} {name}: {rule}");
            }
        }
    }
}

#[test]
fn the_viewer_only_reads_and_reads_no_secret() {
    for rule in rules(&object("ClusterRole", "pilothouse-viewer")) {
        for verb in words(&rule, "verbs") {
            assert!(["get", "list", "watch"].contains(&verb.as_str()), "{rule}");
        }
        for resource in words(&rule, "resources") {
            assert!(resource != "secrets" && !resource.contains('/'), "{rule}");
        }
    }
}

#[test]
fn who_is_impersonated_is_named() {
    let mut impersonated = Vec::new();
    for ((kind, _), object) in objects() {
        for rule in rules(&object) {
            if words(&rule, "verbs").contains(&"impersonate".to_owned()) {
                let names = words(&rule, "resourceNames").join(",");
                impersonated.push(format!("{kind} {} {names}", words(&rule, "resources").join(",")));
            }
        }
    }
    impersonated.sort();
    let expected = [
        // Bound to nobody by the manifests.
        "ClusterRole serviceaccounts ",
        "ClusterRole userextras/authentication.kubernetes.io/credential-id,userextras/authentication.kubernetes.io/node-name,userextras/authentication.kubernetes.io/node-uid,userextras/authentication.kubernetes.io/pod-name,userextras/authentication.kubernetes.io/pod-uid ",
        "ClusterRole userextras/pilothouse.dev/via reader",
        "Role serviceaccounts pilothouse-viewer",
    ];
    let bound = objects().into_values().any(|object| object["roleRef"]["name"] == "pilothouse-impersonator");
    assert!(!bound, "whom pilothouse acts for is chosen by whoever runs the cluster");
    assert_eq!(impersonated, expected);
}

#[test]
fn no_secret_is_shipped() {
    assert!(objects().keys().all(|(kind, _)| kind != "Secret"));
}

#[test]
fn the_bridge_is_brought_by_the_image_that_runs() {
    let set = object("StatefulSet", "pilothouse");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let env = container["env"].as_array().unwrap();
    let own = env.iter().find(|variable| variable["name"] == "PILOTHOUSE_IMAGE").unwrap();
    assert_eq!(own["value"], container["image"]);
}

#[test]
fn service_accounts_come_in_by_a_review_that_the_viewer_may_ask_for() {
    let binding = object("ClusterRoleBinding", "pilothouse-token-review");
    let viewer = &binding["subjects"][0];
    assert_eq!((&viewer["kind"], &viewer["name"]), (&json!("ServiceAccount"), &json!("pilothouse-viewer")));
    assert_eq!(
        rules(&object("ClusterRole", "pilothouse-token-review")),
        [json!({"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]})]
    );
    let text = object("ConfigMap", "pilothouse")["data"]["config.yaml"].as_str().unwrap().to_owned();
    let read: BTreeMap<String, IdentityConfig> = serde_saphyr::from_str(&text).unwrap();
    assert!(read["identity"].service_accounts.is_some());
    let set = object("StatefulSet", "pilothouse");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    assert!(words(container, "args").contains(&"/etc/pilothouse/config.yaml".to_owned()), "{container}");
}

#[test]
fn pods_are_restricted() {
    let set = object("StatefulSet", "pilothouse");
    assert_eq!(set["spec"]["replicas"], 2);
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let security = &pod["containers"][0]["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"]["drop"][0], "ALL");
}

#[test]
fn services_find_the_pods() {
    let labels = object("StatefulSet", "pilothouse")["spec"]["template"]["metadata"]["labels"].clone();
    for name in ["pilothouse", "pilothouse-peers"] {
        let service = object("Service", name);
        for (key, value) in service["spec"]["selector"].as_object().unwrap() {
            assert_eq!(labels.get(key), Some(value), "{name}: {key}");
        }
    }
    assert_eq!(object("Service", "pilothouse")["spec"]["sessionAffinity"], "ClientIP");
    assert_eq!(object("Service", "pilothouse-peers")["spec"]["clusterIP"], "None");
}

/// The names of the tools that a level gives.
fn tools_of(level: &str) -> Vec<String> {
    let rules = rules(&object("ClusterRole", level));
    let tools = rules.iter().filter(|rule| words(rule, "resources").contains(&"tools".to_owned()));
    tools.flat_map(|rule| words(rule, "resourceNames")).collect()
}

#[test]
fn each_level_holds_the_ones_before_it() {
    let levels = ["pilothouse-observer", "pilothouse-engineer", "pilothouse-lead"].map(tools_of);
    for pair in levels.windows(2) {
        assert!(pair[0].iter().all(|tool| pair[1].contains(tool)), "{pair:?}");
        assert!(pair[1].len() > pair[0].len(), "{pair:?}");
    }
    assert!(!levels[0].contains(&"get_logs".to_owned()) && levels[1].contains(&"get_logs".to_owned()));
    assert!(tools_of("pilothouse-platform").is_empty(), "a rule without names gives all tools");
}

#[test]
fn an_installation_for_some_namespaces_has_its_rights_there_only() {
    let names = ["team-a", "team-b"].map(str::to_owned);
    let text = operator::namespaced_manifests(&names).unwrap();
    let everywhere = objects();
    let mut rights = Vec::new();
    for document in text.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(document).unwrap();
        if ["Role", "RoleBinding"].contains(&object["kind"].as_str().unwrap()) {
            let word =
                |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
            rights.push(format!(
                "{} {}/{} {}",
                word("/kind"),
                word("/metadata/namespace"),
                word("/metadata/name"),
                word("/roleRef/kind")
            ));
            if word("/metadata/name") == "pilothouse-operator" && word("/kind") == "Role" {
                let role = &everywhere[&("ClusterRole".to_owned(), "pilothouse-operator".to_owned())];
                assert_eq!(object["rules"], role["rules"], "the same rights, in fewer places");
            }
        }
    }
    rights.sort();
    let expected = [
        "Role pilothouse/pilothouse ",
        "Role team-a/pilothouse-operator ",
        "Role team-b/pilothouse-operator ",
        "RoleBinding pilothouse/pilothouse Role",
        "RoleBinding team-a/pilothouse-operator Role",
        "RoleBinding team-a/pilothouse-viewer ClusterRole",
        "RoleBinding team-a/pilothouse-viewer-view ClusterRole",
        "RoleBinding team-b/pilothouse-operator Role",
        "RoleBinding team-b/pilothouse-viewer ClusterRole",
        "RoleBinding team-b/pilothouse-viewer-view ClusterRole",
    ];
    assert_eq!(rights, expected);
    let narrow = parsed(&text);
    let everything = ("ClusterRole".to_owned(), "pilothouse-operator".to_owned());
    assert!(!narrow.contains_key(&everything), "no right to write everywhere is left");
    let set = &narrow[&("StatefulSet".to_owned(), "pilothouse".to_owned())];
    let arguments = words(&set["spec"]["template"]["spec"]["containers"][0], "args");
    assert_eq!(arguments[..3], ["serve", "--namespace", "team-a,team-b"]);
}

#[test]
fn a_name_that_no_namespace_has_is_refused() {
    for wrong in ["", "Team", "a_b", "-a", "a,b"] {
        let refused = operator::namespaced_manifests(&[wrong.to_owned()]).unwrap_err().to_string();
        assert!(refused.contains(&format!("`{wrong}`")) && refused.contains("team-a"), "{refused}");
    }
}

fn with_webhook(namespaces: &[String]) -> BTreeMap<(String, String), Value> {
    let plain = match namespaces {
        [] => operator::manifests().unwrap(),
        some => operator::namespaced_manifests(some).unwrap(),
    };
    parsed(&operator::with_webhook(&plain, namespaces).unwrap())
}

fn named(objects: &BTreeMap<(String, String), Value>, kind: &str, name: &str) -> Value {
    objects[&(kind.to_owned(), name.to_owned())].clone()
}

#[test]
fn the_webhook_is_asked_about_little_and_is_in_nobodys_way() {
    let objects = with_webhook(&[]);
    let configuration = named(&objects, "ValidatingWebhookConfiguration", "pilothouse");
    let webhook = &configuration["webhooks"][0];
    assert_eq!((&webhook["failurePolicy"], &webhook["sideEffects"]), (&json!("Ignore"), &json!("None")));
    assert!(webhook["timeoutSeconds"].as_u64().unwrap() <= 5);
    assert_eq!(webhook["rules"][0]["resources"], json!(["mcpservers", "mcppools", "datasources"]));
    assert!(webhook.get("namespaceSelector").is_none());
    let service = &webhook["clientConfig"]["service"];
    let port = &named(&objects, "Service", service["name"].as_str().unwrap())["spec"]["ports"][0];
    assert_eq!((&service["port"], &port["targetPort"]), (&port["port"], &json!(9443)));
    let text = named(&objects, "ConfigMap", "pilothouse")["data"]["config.yaml"].as_str().unwrap().to_owned();
    let read: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(read["operator"]["webhook"], json!({}), "it is served");
    assert!(
        !self::objects().contains_key(&("Service".to_owned(), "pilothouse-webhook".to_owned())),
        "it is optional"
    );
}

#[test]
fn the_webhook_needs_two_objects_by_name_and_looks_at_what_specs_name() {
    let objects = with_webhook(&[]);
    for kind in ["Role", "ClusterRole"] {
        for rule in rules(&named(&objects, kind, "pilothouse-webhook")) {
            let writes = words(&rule, "verbs").iter().any(|verb| !["get", "list"].contains(&verb.as_str()));
            assert!(!writes || words(&rule, "resourceNames").len() == 1, "{rule}");
            let secrets = words(&rule, "resources").contains(&"secrets".to_owned());
            assert!(!secrets || words(&rule, "resourceNames") == ["pilothouse-webhook"], "{rule}");
        }
    }
    assert!(named(&objects, "Secret", "pilothouse-webhook").get("data").is_none(), "no key is shipped");
}

#[test]
fn an_installation_for_some_namespaces_is_asked_about_these() {
    let objects = with_webhook(&["team-a".to_owned(), "team-b".to_owned()]);
    let configuration = named(&objects, "ValidatingWebhookConfiguration", "pilothouse");
    assert_eq!(
        configuration["webhooks"][0]["namespaceSelector"],
        json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}]})
    );
}

#[test]
fn the_dry_run_identity_may_ask_and_the_policy_lets_it_do_nothing_else() {
    let plain = operator::with_webhook(&operator::manifests().unwrap(), &[]).unwrap();
    let objects = parsed(&operator::with_dry_run(&plain, &[]).unwrap());
    for rule in rules(&named(&objects, "ClusterRole", "pilothouse-dryrun")) {
        for resource in words(&rule, "resources") {
            assert!(
                !resource.contains('*') && !resource.contains("secrets") && !resource.contains("role"),
                "{rule}"
            );
        }
        assert_eq!(words(&rule, "verbs"), ["create", "patch"]);
    }
    let policy = named(&objects, "ValidatingAdmissionPolicy", "pilothouse-dryrun-never-writes");
    assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    assert_eq!(policy["spec"]["matchConstraints"]["resourceRules"][0]["resources"], json!(["*/*"]));
    let text = named(&objects, "ConfigMap", "pilothouse")["data"]["config.yaml"].as_str().unwrap().to_owned();
    let read: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(read["changes"]["dryRun"], json!({ "serviceAccount": "pilothouse/pilothouse-dryrun" }));
    assert_eq!(read["operator"]["webhook"], json!({}), "both may be asked for");
    assert!(
        !self::objects().contains_key(&("ServiceAccount".to_owned(), "pilothouse-dryrun".to_owned())),
        "it is optional"
    );

    // Where pilothouse works in some namespaces it asks about these.
    let teams = ["team-a".to_owned()];
    let narrow = operator::namespaced_manifests(&teams).unwrap();
    let objects = parsed(&operator::with_dry_run(&narrow, &teams).unwrap());
    let binding = named(&objects, "RoleBinding", "pilothouse-dryrun");
    assert!(!objects.contains_key(&("ClusterRoleBinding".to_owned(), "pilothouse-dryrun".to_owned())));
    assert_eq!(binding["metadata"]["namespace"], "team-a");
    assert_eq!(binding["roleRef"]["kind"], "ClusterRole", "its rights, there alone");
}

#[test]
fn whoever_writes_is_told_of_and_nobody_waits_for_it() {
    let plain = operator::manifests().unwrap();
    let objects = parsed(&operator::with_witness(&plain, &[]).unwrap());
    let configuration = named(&objects, "ValidatingWebhookConfiguration", "pilothouse-witness");
    let webhook = &configuration["webhooks"][0];
    assert_eq!((&webhook["failurePolicy"], &webhook["sideEffects"]), (&json!("Ignore"), &json!("None")));
    assert_eq!(
        (&webhook["timeoutSeconds"], &webhook["clientConfig"]["service"]["path"]),
        (&json!(1), &json!("/witness"))
    );
    // What is watched without a word in the configuration is asked about.
    let asked: Vec<String> = webhook["rules"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|rule| {
            let group = rule["apiGroups"][0].as_str().unwrap().to_owned();
            let end = if group.is_empty() { group } else { format!(".{group}") };
            words(rule, "resources").into_iter().map(move |plural| format!("{plural}{end}"))
        })
        .filter(|kind| !kind.contains('/'))
        .collect();
    let scope = pilothouse::changes::capture::ScopeConfig::default();
    assert_eq!(asked.iter().cloned().collect::<std::collections::BTreeSet<_>>(), scope.kinds);
    let text = named(&objects, "ConfigMap", "pilothouse")["data"]["config.yaml"].as_str().unwrap().to_owned();
    let read: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!((&read["emergency"], &read["operator"]["webhook"]), (&json!({}), &json!({})));
    for rule in rules(&named(&objects, "ClusterRole", "pilothouse-witness")) {
        assert_eq!(words(&rule, "resourceNames"), ["pilothouse-witness"], "{rule}");
    }
}
