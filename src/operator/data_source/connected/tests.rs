#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use k8s_openapi::ByteString;

use super::{ConnectedSources, Usable, connect};
use crate::{api::DataSource, fleet::ServerName};

const TEMPLATE: &str = "template: {format: json, mountPath: /etc/sources.json, text: '{{ sources }}'}";

fn usable(namespace: &str, name: &str, version: &str) -> Usable {
    let spec = format!(
        "{{type: database, endpoint: 'redis://{name}', credentials: [{{name: password, secretKeyRef: {{name: keys, key: {name}}}}}]}}"
    );
    let mut source = DataSource::new(name, serde_saphyr::from_str(&spec).unwrap());
    source.metadata.namespace = Some(namespace.to_owned());
    let foreign = namespace != "shop";
    Usable {
        source,
        copied: foreign
            .then(|| ("password".to_owned(), ByteString(b"hunter22".to_vec())))
            .into_iter()
            .collect(),
        versions: vec![version.to_owned()],
    }
}

fn connected(template: &str, usable: &[Usable]) -> ConnectedSources {
    let server = ServerName { namespace: "shop".to_owned(), name: "sql".to_owned() };
    let spec = serde_saphyr::from_str(&format!("{{matchNames: [a], {template}}}")).unwrap();
    connect(&server, &spec, usable, "pilothouse:1").unwrap()
}

/// Variables and where they come from.
fn variables(env: &[k8s_openapi::api::core::v1::EnvVar]) -> Vec<String> {
    let said = env.iter().map(|variable| {
        let from = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
        let from = from.map(|from| format!("{}/{}", from.name, from.key));
        format!("{}={}", variable.name, from.or(variable.value.clone()).unwrap_or_default())
    });
    said.collect()
}

#[test]
fn no_credential_is_in_a_config_map_and_each_comes_from_a_secret() {
    let sources = [usable("shop", "cache", "1"), usable("other", "billing", "7")];
    let all = connected(TEMPLATE, &sources);
    let text = all.config_map.as_ref().unwrap().data.as_ref().unwrap()["sources"].clone();
    assert!(text.contains("${CACHE_PASSWORD}") && text.contains("${OTHER_BILLING_PASSWORD}"), "{text}");
    assert!(!text.contains("hunter22"));
    let init = all.init_container.as_ref().unwrap();
    assert_eq!(
        variables(init.env.as_ref().unwrap()),
        [
            "PILOTHOUSE_FILL_CACHE_PASSWORD=keys/cache",
            "PILOTHOUSE_FILL_OTHER_BILLING_PASSWORD=sql-sources/OTHER_BILLING_PASSWORD"
        ]
    );
    assert_eq!(
        init.args.as_ref().unwrap().join(" "),
        "bridge --fill /sources-template/sources --into /sources/sources"
    );
    let secret = all.secret.unwrap();
    let expected = BTreeMap::from([("OTHER_BILLING_PASSWORD".to_owned(), ByteString(b"hunter22".to_vec()))]);
    assert_eq!((secret.metadata.name.as_deref(), secret.data), (Some("sql-sources"), Some(expected)));
    assert_eq!(all.env, []);
    let mount = all.mount.unwrap();
    assert_eq!(
        (mount.mount_path.as_str(), mount.sub_path.as_deref()),
        ("/etc/sources.json", Some("sources"))
    );
    assert_eq!((all.count, all.listed.len()), (2, 2));
}

#[test]
fn without_a_template_the_server_has_variables() {
    let all = connected("", &[usable("shop", "cache", "1")]);
    assert_eq!(variables(&all.env), ["CACHE_URL=redis://cache", "CACHE_PASSWORD=keys/cache"]);
    assert_eq!((all.config_map, all.init_container, all.mount, all.volumes.len()), (None, None, None, 0));
}

#[test]
fn sources_that_come_go_or_change_roll_the_pods_and_checks_do_not() {
    let one = [usable("shop", "cache", "1")];
    let two = [usable("shop", "cache", "1"), usable("shop", "index", "1")];
    let hash = |usable: &[Usable]| connected(TEMPLATE, usable).hash;
    assert_ne!(hash(&one), hash(&two));
    assert_ne!(hash(&one), hash(&[usable("shop", "cache", "2")]));
    let mut checked = one.clone();
    checked[0].source.status = Some(serde_saphyr::from_str("{phase: Failed, message: gone}").unwrap());
    assert_eq!(hash(&one), hash(&checked));
    assert_ne!(connected("", &one).hash, connected("", &two).hash);
}

#[test]
fn secrets_of_external_values_are_known_where_the_kubelet_reads_them() {
    let external = |namespace: &str, name: &str| {
        let mut usable = usable(namespace, name, "1");
        let spec = "{type: database, endpoint: 'redis://a', credentials: [{name: password, external: {store: {name: vault}, key: k}}]}";
        usable.source.spec = serde_saphyr::from_str(spec).unwrap();
        usable
    };
    let sources = [usable("shop", "cache", "1"), external("shop", "index"), external("other", "billing")];
    let all = connected(TEMPLATE, &sources);
    assert_eq!(all.brought.into_iter().collect::<Vec<_>>(), ["index-datasource"]);
}
