#![allow(clippy::unwrap_used)]

use proptest::{prop_assert_eq, proptest};
use serde_json::{json, value::RawValue};

use super::{raw, shown, text, value, values};

const JWT: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJzeXN0ZW06c2EifQ.c2lnbmF0dXJlLXBhcnQ";

#[test]
fn secrets_in_text_are_found() {
    let corpus = [
        ("token is {}", JWT),
        ("Authorization: Bearer {}", "abc123def456ghi789"),
        ("curl -H 'authorization: Basic {}'", "dXNlcjpodW50ZXIy"),
        ("using bearer {} now", "0a1b2c3d4e5f6a7b"),
        ("connect postgres://app:{}@db.shop:5432/orders failed", "hunter2"),
        ("amqp://guest:{}@mq", "s3cr3t!"),
        ("amqp://guest:{}@mq", "$ecret1"),
        ("amqp://guest:{}@mq", "${PREFIX}hunter2"),
        ("DB_PASSWORD={}", "hunter2"),
        ("password: {}", "correct-horse"),
        ("{\"password\":\"{}\"}", "hunter2 and more"),
        ("{\\\"api_key\\\":\\\"{}\\\"}", "abcdef"),
        ("mysql --password {} -h db", "hunter2"),
        ("login --token={}", "qwertyuiop"),
        ("existingSecret: {}", "7f3a9c2e1b8d4f6a"),
        ("existingSecret: {}", "Correct-Horse"),
        ("existingSecretKey: {}", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
        ("existingSecret: {}", "sk-abcdefghijklmnopqrstuvwx"),
        ("existingSecret: {}", JWT),
        ("existingPassword: {}", "web-db"),
        ("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("key {} used", "AKIAIOSFODNN7EXAMPLE"),
        ("{}", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
        ("{}", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----"),
        ("{}", "-----BEGIN PRIVATE KEY-----\nMIIE cut off"),
        ("tls.key: {}", "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlF"),
        ("tls.key: {}", "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1JSUU="),
        ("x: {}", "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0tCk1IYw=="),
        ("    client-key-data: {}", "cGxhbnRlZC1jbGllbnQta2V5"),
    ];
    for (line, secret) in corpus {
        let line = line.replace("{}", secret);
        let out = text(&line);
        assert!(!out.contains(secret), "{out}");
        assert!(out.contains("<redacted:"), "{out}");
        assert_eq!(text(&out), out, "a second time changes nothing");
    }
}

#[test]
fn what_is_no_secret_stays() {
    for line in [
        "secretName: web-tls",
        "imagePullSecrets:\n- name: regcred",
        "auth:\n  existingSecret: web-db\n  existingSecretKey: root-password",
        "helm upgrade web --set auth.existingSecret=web-db",
        "{existingSecret: web-db}",
        "{\"existingSecret\":\"web-db\"}",
        "bearer authentication is required",
        "basic authentication failed",
        "tokenExpirationSeconds: 3607",
        "open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file",
        "image registry.local:5000/team/app:1.2@sha256:0123456789abcdef",
        "GET http://web.shop:8080/healthz 200",
        "password: ${DB_PASSWORD}",
        "connect redis://cart:$REDIS_PASSWORD@redis.shop:6379",
        "connect redis://cart:${REDIS_PASSWORD}@redis.shop:6379",
        "connect redis://cart:$(REDIS_PASSWORD)@redis.shop:6379",
        "export DB_PASSWORD=$REDIS_PASSWORD",
        "--token-ttl 30m",
        "certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
    ] {
        assert_eq!(text(line), line);
    }
}

#[test]
fn equal_secrets_stay_equal_and_different_ones_different() {
    let out = text("password=hunter2 token=hunter2 secret=other99").into_owned();
    let marks: Vec<&str> = out.split_whitespace().map(|word| word.split_once('=').unwrap().1).collect();
    assert_eq!(marks[0], marks[1]);
    assert_ne!(marks[0], marks[2]);
}

#[test]
fn objects_lose_secrets_by_place_and_name() {
    let mut object = json!({
        "kind": "Secret", "metadata": { "name": "db", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{\"stringData\":{\"x\":\"plainly\"}}",
            "note": "fine" } },
        "data": { "user": "YXBw", "password": "aHVudGVyMg==" },
    });
    value(&mut object);
    let out = object.to_string();
    for secret in ["YXBw", "aHVudGVyMg", "plainly"] {
        assert!(!out.contains(secret), "{out}");
    }
    assert!(out.contains("fine"));

    let mut pod = json!({ "kind": "Pod", "spec": {
        "volumes": [{ "secret": { "secretName": "db" } }],
        "containers": [{ "env": [
            { "name": "DB_PASSWORD", "value": "hunter2" },
            { "name": "MODE", "value": "fast" },
            { "name": "API_TOKEN", "valueFrom": { "secretKeyRef": { "name": "db", "key": "token" } } } ] }] } });
    let before = pod.clone();
    value(&mut pod);
    let env = &pod["spec"]["containers"][0]["env"];
    assert!(env[0]["value"].as_str().unwrap().starts_with("<redacted:"));
    assert_eq!(env[1], before["spec"]["containers"][0]["env"][1]);
    assert_eq!(env[2], before["spec"]["containers"][0]["env"][2]);
    assert_eq!(pod["spec"]["volumes"], before["spec"]["volumes"]);

    let mut command =
        json!({ "args": ["--admin-password", "hunter2", "--password-file", "/etc/pw", "--fast", "yes"] });
    value(&mut command);
    let out = command.to_string();
    assert!(!out.contains("hunter2") && out.contains("/etc/pw") && out.contains("yes"), "{out}");

    let mut list = json!({ "kind": "SecretList", "items": [{ "data": { "a": "c2VjcmV0" } }] });
    value(&mut list);
    assert!(!list.to_string().contains("c2VjcmV0"));

    let mut config = json!({ "kind": "ConfigMap", "data": {
        "app.properties": "mode=fast\ndb.password=hunter2\n", "ADMIN_PASSWORD": "letmein" } });
    value(&mut config);
    let out = config.to_string();
    assert!(!out.contains("hunter2") && !out.contains("letmein") && out.contains("mode=fast"), "{out}");
}

#[test]
fn values_of_a_chart_keep_the_names_of_secrets() {
    let kept = json!({ "auth": { "existingSecret": "web-db", "existingSecretKey": "root-password" },
        "tls": { "secretName": "web-tls" }, "image": { "pullSecrets": ["regcred"], "pullSecret": "regcred" },
        "config": { "existingSecret": "web-db" },
        "env": [{ "name": "EXISTING_SECRET", "value": "web-db" }] });
    let mut out = kept.clone();
    values(&mut out);
    assert_eq!(out, kept);

    for secret in ["7f3a9c2e1b8d4f6a", "AKIAIOSFODNN7EXAMPLE", JWT, "Tr0ub4dor&3", "xoxb-1234567890-abc"] {
        let mut out = json!({ "auth": { "existingSecret": secret, "existingSecretKey": secret },
            "image": { "pullSecret": secret }, "config": { "existingSecret": secret },
            "env": [{ "name": "EXISTING_SECRET", "value": secret }] });
        values(&mut out);
        assert!(!out.to_string().contains(secret), "{out}");
    }
    let mut out = json!({ "existingPassword": "web-db", "rootPassword": ["web-db"] });
    values(&mut out);
    assert!(!out.to_string().contains("web-db"), "{out}");
}

#[test]
fn raw_json_changes_only_where_a_secret_was() {
    let json = r#"{"b":2.50, "text":"DB_PASSWORD=hunter2\nnext","a":1e3,"a":18446744073709551617,"password":"x y z","password_hint":"dog"}"#;
    let out = raw(RawValue::from_string(json.into()).unwrap());
    let out = out.get();
    assert!(!out.contains("hunter2") && !out.contains("x y z"), "{out}");
    assert!(out.starts_with(r#"{"b":2.50, "text":"DB_PASSWORD=<redacted:"#), "{out}");
    assert!(out.contains(r#"\nnext","a":1e3,"a":18446744073709551617,"password":"<redacted:"#), "{out}");
    assert!(out.ends_with(r#""password_hint":"dog"}"#), "{out}");
    let json = r#"{"values":"existingSecret: web-db \/x\u0041\nexistingSecret: web-db"}"#;
    assert_eq!(raw(RawValue::from_string(json.into()).unwrap()).get(), json);
}

#[test]
fn half_a_character_hides_no_secret() {
    // As a program leaves it that cuts a string in the middle of an emoji.
    let json =
        r#"{"text":"DB_PASSWORD=hunter2 \ud83d","password":"x y\udc00 z","password_hint\ud800":"dog"}"#;
    let out = raw(RawValue::from_string(json.to_owned()).unwrap());
    assert!(!out.get().contains("hunter2") && !out.get().contains("x y"), "{out}");
    assert!(out.get().contains("dog"), "{out}");
}

#[test]
fn shown_text_has_neither_secrets_nor_hidden_characters() {
    let out = shown("pass\u{200b}word=hun\u{200b}ter2 \u{1b}[31mred");
    assert!(!out.contains("ter2") && out.ends_with(" red"), "{out:?}");
}

proptest! {
    #[test]
    fn json_without_secrets_comes_back_as_it_was(words in proptest::collection::vec("[ -~äß\n\"\\\\]{0,12}", 0..20)) {
        let json = serde_json::to_string(&words).unwrap();
        let is_clean = !super::pattern::hits(&json);
        let out = raw(RawValue::from_string(json.clone()).unwrap());
        serde_json::from_str::<Vec<String>>(out.get()).unwrap();
        if is_clean {
            prop_assert_eq!(out.get(), json);
        }
    }
}
